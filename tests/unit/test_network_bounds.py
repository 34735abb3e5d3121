"""All that the engine's network part keeps of an operator has a bound: what is kept is listed here, by its bound.

A new map fails the first test until it is listed with what bounds it. The sentry's are in tests/network/test_bounds.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from node.engine.network.claims import Claims, claim_alert
from node.engine.network.directory import PeerDirectory
from node.engine.network.keys import NetworkKeys
from node.engine.network.trust import Trust
from node.records import OrderTold
from protocol.ethereum.keccak import keccak256
from protocol.kinds import AlertKind
from protocol.signing import sign_attestation
from protocol.units import BlockNumber, Hash32, UnixMilliseconds
from tests import protocol_factories as make
from tests.alerts_scene import Scene
from tests.block_alert_samples import BACK, FRONT, VICTIM, header
from tests.claim_samples import TOKEN_SUBJECT, double_accept, flagged
from tests.claims_scene import Operators
from tests.mentioned import where_mentioned
from tests.protocol_factories import BOB, CAROL, DEVNET
from tests.unit import test_network_watcher
from tests.unit.test_network_orders import Desk, Known, Wire, accepting, alice, bob, effect, given

__all__ = ["alice", "bob"]
BY_REGISTRY = {"directory._heard"}
"""Forgets whoever leaves it."""
BY_COUNT = {
    "desk._sealing",  # MAX_KEYS
    "trust._known",  # MAX_KNOWN, of those who lost something for us
    "trust._open",  # MAX_OPEN
    "watcher._accepts._first",  # MAX_WATCHED, and the last BLOCKS_BEHIND blocks
    "watcher._verdicts._first",  # MAX_WATCHED, and the last BLOCKS_BEHIND blocks
    "watcher._cases",  # MAX_REPORTS
    "watcher._promised",  # MAX_WAITING
    "alerts._waiting",  # MAX_WAITING
    "alerts._blocks",  # BLOCKS_KNOWN times MAX_SAID
    "claims._offences",  # MAX_QUEUED
}
"""Has a cap of its own, and who leaves when it is reached."""
BY_BLOCK = {"alerts._refuted", "claims._screens"}
"""Begins anew with each block."""
NOT_OURS = (Known, Wire, NetworkKeys, OrderTold, test_network_watcher.Court, Scene, Operators)


async def test_what_is_kept_of_an_operator_that_was_dealt_with_is_listed_and_goes_with_the_registry(
    alice: Desk, bob: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust, known = Trust(), alice.desk._registry
    directory, (watcher, _court) = PeerDirectory(known), test_network_watcher.watching()
    scene = Scene("carol", tmp_path, monkeypatch)
    claims = Claims(Operators(), DEVNET, CAROL)
    whole = SimpleNamespace(
        desk=alice.desk, trust=trust, directory=directory, watcher=watcher, alerts=scene.alerts, claims=claims
    )
    accepting(bob)
    alice.desk.on_given = lambda order, name, value, accepted: trust.given(
        order.executor, name, order.target_block, value, accepted=accepted
    )
    alice.desk.on_revealed = trust.revealed
    await given(alice, effect())
    test_network_watcher.promises(watcher, "leg", "one", "another")
    vote = sign_attestation(DEVNET, make.attestation(timestamp=test_network_watcher.TIME), make.KEYS["bob"])
    watcher.attested(make.envelope(vote, operator=BOB))
    directory.heard(make.envelope(make.heartbeat(), operator=BOB), UnixMilliseconds(1))
    await scene.sees(7, [FRONT, VICTIM, BACK])
    for number in (7, 8):
        evidence = header(number).hash + bytes(96)
        false = make.alert(kind=AlertKind.SANDWICH_SEEN, evidence=evidence, evidence_hash=_hash(evidence))
        scene.alerts.heard(make.envelope(false, operator=BOB))
    await asyncio.gather(*scene.alerts._tasks)

    claims.contradicted(double_accept())
    await claims.judge(claim_alert(header(), flagged(), TOKEN_SUBJECT), header(), BOB)

    assert where_mentioned(whole, BOB, NOT_OURS) == BY_REGISTRY | BY_COUNT | BY_BLOCK

    known.operators.pop(BOB)
    directory.follow(BlockNumber(9))
    trust.limits(known.operators)
    await scene.sees(9, [])
    await claims.begin(header(9), [header(7), header(9)])
    left = BY_COUNT - {"trust._known", "claims._offences"}
    assert where_mentioned(whole, BOB, NOT_OURS) == left, "it broke nothing, and its offence was told"


async def test_the_search_finds_an_account_wherever_it_hides(alice: Desk) -> None:
    extra = {"plain": [BOB], "pairs": {1: (2, BOB)}, "deep": {1: {2: [b"before" + BOB]}}, "keys": {BOB: 1}}
    whole = SimpleNamespace(desk=alice.desk, extra=SimpleNamespace(**extra))

    assert where_mentioned(whole, BOB, NOT_OURS) == {f"extra.{name}" for name in extra}


def _hash(evidence: bytes) -> Hash32:
    return Hash32(keccak256(evidence))
