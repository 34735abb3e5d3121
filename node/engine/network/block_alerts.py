"""The alerts that a block gives: what every node that has the block comes to, byte for byte (docs/protocol.md).

An alert's id hashes its kind, subject, severity, evidence and expiry; so each of them follows from the block and the
state before it alone, and nothing of it from how a node is configured. In all a block gives 32 of them at most: of more
the store that remembers our verdicts would run full (`alerts`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from node.engine.headers import Header
from node.engine.network.mined_answers import mined_answers
from node.engine.network.mined_reserves import mined_reserves
from node.engine.network.mined_swaps import mined_swaps
from node.engine.receipts import Receipt
from node.pipeline.detectors.drain import Drain, drains
from node.pipeline.detectors.oracle_jump import OracleJump, oracle_jumps
from node.pipeline.detectors.sandwich import Sandwich, sandwiches
from protocol.ethereum.keccak import keccak256
from protocol.kinds import AlertKind, Severity
from protocol.layout import WORD_BYTES
from protocol.messages import SecurityAlert
from protocol.units import HASH_BYTES, Address, Hash32, UnixSeconds

STANDS_SECONDS: Final = 3_600
"""For so long after its block an alert is told of."""


EVIDENCE_BYTES: Final = {
    AlertKind.SANDWICH_SEEN: 4 * HASH_BYTES,
    AlertKind.POOL_DRAINED: 2 * HASH_BYTES,
    AlertKind.ORACLE_DEVIATES: HASH_BYTES + 2 * WORD_BYTES,
}
"""Of the kinds that a node recomputes. The block's hash comes first in each."""


def block_alerts(
    header: Header, receipts: Collection[Receipt], answers_before: Mapping[Address, int]
) -> list[SecurityAlert]:
    """Return a block's alerts, each once. `receipts`: all of the block, in its order.

    `answers_before`: what the feeds that answer in the block (`mined_answers`) had answered after its parent.
    """
    jumps = oracle_jumps(mined_answers(receipts), answers_before)
    found = [
        *(_drain(header, one) for one in drains(mined_reserves(receipts))),
        *(_jump(header, one) for one in jumps),
        *(_sandwich(header, one) for one in sandwiches(mined_swaps(receipts))),
    ]
    return list(dict.fromkeys(found))


def _drain(header: Header, found: Drain) -> SecurityAlert:
    return alert_of(header, AlertKind.POOL_DRAINED, found.pool, Severity.HIGH, found.transaction)


def _jump(header: Header, found: OracleJump) -> SecurityAlert:
    answers = found.before.to_bytes(WORD_BYTES, "big") + found.after.to_bytes(WORD_BYTES, "big")
    return alert_of(header, AlertKind.ORACLE_DEVIATES, found.feed, Severity.HIGH, answers)


def _sandwich(header: Header, found: Sandwich) -> SecurityAlert:
    named = found.front + found.victims[0] + found.back
    return alert_of(header, AlertKind.SANDWICH_SEEN, found.pool_id, Severity.MEDIUM, named)


def alert_of(header: Header, kind: AlertKind, subject: bytes, severity: Severity, what: bytes) -> SecurityAlert:
    """Return the alert of a block: evidence is the block's hash and `what`; a shorter subject is padded on the left."""
    evidence = header.hash + what
    return SecurityAlert(
        kind=kind,
        subject=Hash32(subject.rjust(WORD_BYTES, b"\0")),
        severity=severity,
        evidence_hash=Hash32(keccak256(evidence)),
        expiry=UnixSeconds(header.timestamp + STANDS_SECONDS),
        evidence=evidence,
    )
