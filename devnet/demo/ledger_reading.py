"""What a node's ledger says at the end: read from its file, so that nothing depends on a process that may be gone.

LedgerUnreadable    no ledger, or one of another version
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from devnet.demo.network_report import AlertSeen, NetworkLedger
from devnet.errors import DevnetError
from node.records import OpportunityFound

_FOUND = msgspec.msgpack.Decoder(OpportunityFound)
_ID_BYTES = 32


class LedgerUnreadable(DevnetError):
    """No ledger, or one of another version."""


@dataclass(frozen=True, slots=True)
class LandedExecution:
    """One that is in a block: what was predicted, what came, and where it went; hashes and ids are bytes.

    `behind`: the opportunities that the prediction takes to be executed before it.
    """

    opportunity_id: bytes
    transaction_hash: bytes
    block: int
    predicted: int
    realised: int
    pools: tuple[bytes, ...]
    victims: tuple[bytes, ...]
    behind: tuple[bytes, ...] = ()


@dataclass(slots=True)
class LedgerSummary:
    """Counts and sums over one ledger; outcomes that a reorg undid do not count."""

    opportunities: dict[str, int] = field(default_factory=dict)
    submitted: int = 0
    unexplained: int = 0
    missed: dict[str, int] = field(default_factory=dict)
    landed: list[LandedExecution] = field(default_factory=list)
    profit: dict[str, int] = field(default_factory=dict)
    """By token address in lower-case hex."""
    gas_wei: int = 0
    bid_wei: int = 0
    tick_to_bundle_ns: list[int] = field(default_factory=list)
    network: NetworkLedger = field(default_factory=NetworkLedger)
    troubles: dict[str, int] = field(default_factory=dict)
    """Of the entries: how many were `lost`, `contradicted`, `unreadable`."""

    @property
    def latency_us(self) -> tuple[int, int, int]:
        """Median, p99 and maximum of tick to bundle in microseconds; zeros without a bundle."""
        return latency_us(self.tick_to_bundle_ns)


def latency_us(took_ns: Sequence[int]) -> tuple[int, int, int]:
    """Return median, p99 and maximum in microseconds; zeros of nothing."""
    if not took_ns:
        return 0, 0, 0
    ordered = sorted(took_ns)
    p50, p99 = (ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] // 1000 for percent in (50, 99))
    return p50, p99, ordered[-1] // 1000


def read_ledger(path: Path, first_block: int, last_block: int) -> LedgerSummary:
    """Read what one ledger tells of the blocks from the first to the last: before, a node that was ready sooner than
    others was at work already; what was aimed at blocks after the last one has no outcome.

    Raises `LedgerUnreadable`.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            ledger.execute("BEGIN")  # all of it as of one moment
            return _summary(ledger, (first_block, last_block))
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise LedgerUnreadable(f"{path} cannot be read as a ledger: {error}") from error


def pools_sent(path: Path, first_block: int) -> list[tuple[int, tuple[bytes, ...]]]:
    """Read of each execution that was signed for `first_block` or later its block and the pools of its route.

    Raises `LedgerUnreadable`.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            told = ledger.execute(
                """SELECT DISTINCT e.target_block, e.opportunity_id, f.found FROM executions e
                   JOIN opportunities f ON f.id = e.opportunity_id WHERE e.target_block >= ? ORDER BY 1, 2""",
                (first_block,),
            )
            return [(block, tuple(leg.pool_id for leg in _FOUND.decode(found).legs)) for block, _, found in told]
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise LedgerUnreadable(f"{path} cannot be read as a ledger: {error}") from error


def accepted_for(path: Path, finder: bytes) -> list[int]:
    """Read the blocks for which a leader accepted orders of a finder, one an order. Raises `LedgerUnreadable`."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            wanted = "SELECT target_block FROM orders WHERE role = 'leader' AND answer = 'accept' AND peer = ?"
            return [block for (block,) in ledger.execute(wanted, (finder,))]
    except sqlite3.Error as error:
        raise LedgerUnreadable(f"{path} cannot be read as a ledger: {error}") from error


def _summary(ledger: sqlite3.Connection, blocks: tuple[int, int]) -> LedgerSummary:
    profit: defaultdict[str, int] = defaultdict(int)
    summary = LedgerSummary()
    found = "SELECT kind, count(*) FROM opportunities WHERE target_block >= ? GROUP BY kind ORDER BY kind"
    summary.opportunities = dict(ledger.execute(found, blocks[:1]))
    summary.submitted, summary.unexplained = ledger.execute(
        """SELECT count(*), count(*) - count(CASE WHEN opportunity_id IN
               (SELECT opportunity_id FROM outcomes WHERE void = 0) THEN 1 END)
           FROM (SELECT DISTINCT opportunity_id FROM executions WHERE target_block BETWEEN ? AND ?)""",
        blocks,
    ).fetchone()
    summary.missed = dict(
        ledger.execute(
            """SELECT missed, count(*) FROM outcomes WHERE void = 0 AND missed IS NOT NULL AND block BETWEEN ? AND ?
               GROUP BY missed ORDER BY missed""",
            blocks,
        )
    )
    for token, amount, gas, bid in ledger.execute(
        "SELECT token, profit, gas_wei, bid_wei FROM outcomes WHERE void = 0 AND block BETWEEN ? AND ?", blocks
    ):
        profit["0x" + token.hex()] += int(amount)
        summary.gas_wei += int(gas)
        summary.bid_wei += int(bid)
    payments = ledger.execute(
        "SELECT token, amount, gas_wei, bid_wei FROM payments WHERE void = 0 AND block BETWEEN ? AND ?", blocks
    )
    for token, amount, gas, bid in payments:
        profit["0x" + token.hex()] += int(amount)
        summary.gas_wei += int(gas)
        summary.bid_wei += int(bid)
    summary.network = _network(ledger, blocks)
    troubles = "SELECT name, count FROM tallies WHERE what = 'ledger' AND name <> 'repeated' AND count <> 0"
    summary.troubles = dict(ledger.execute(troubles))
    summary.profit = {token: amount for token, amount in sorted(profit.items()) if amount}
    summary.landed = [
        _landed(*row)
        for row in ledger.execute(
            """SELECT o.transaction_hash, o.block, e.predicted_profit, o.profit, f.found, e.behind FROM outcomes o
               JOIN executions e ON e.transaction_hash = o.transaction_hash
               JOIN opportunities f ON f.id = o.opportunity_id
               WHERE o.void = 0 AND o.missed IS NULL AND o.block BETWEEN ? AND ? ORDER BY o.sequence""",
            blocks,
        )
    ]
    took = "SELECT tick_to_bundle_ns FROM bundles WHERE target_block >= ?"
    summary.tick_to_bundle_ns = [took_ns for (took_ns,) in ledger.execute(took, blocks[:1])]
    return summary


def _network(ledger: sqlite3.Connection, blocks: tuple[int, int]) -> NetworkLedger:
    given = """SELECT answer, count(*) FROM orders WHERE role = 'finder' AND target_block BETWEEN ? AND ?
               GROUP BY answer"""
    paid = "SELECT amount FROM payments WHERE what = 'finder_paid' AND void = 0 AND block BETWEEN ? AND ?"
    backups = "SELECT order_hash FROM orders WHERE role = 'finder' AND is_backup"
    alerts = "SELECT alert_id, evidence, operator, verdict FROM network_alerts"
    return NetworkLedger(
        given=dict(ledger.execute(given, blocks)),
        paid=tuple(int(amount) for (amount,) in ledger.execute(paid, blocks)),
        backups=frozenset(order_hash for (order_hash,) in ledger.execute(backups)),
        alerts=tuple(
            AlertSeen(alert_id, evidence, "0x" + operator.hex(), verdict == "confirmed")
            for alert_id, evidence, operator, verdict in ledger.execute(alerts)
        ),
    )


def _landed(
    transaction_hash: bytes, block: int, predicted: str, realised: str, found: bytes, behind: bytes
) -> LandedExecution:
    opportunity = _FOUND.decode(found)
    return LandedExecution(
        opportunity_id=opportunity.opportunity_id,
        transaction_hash=transaction_hash,
        block=block,
        predicted=int(predicted),
        realised=int(realised),
        pools=tuple(leg.pool_id for leg in opportunity.legs),
        victims=tuple(opportunity.victims),
        behind=tuple(behind[place : place + _ID_BYTES] for place in range(0, len(behind), _ID_BYTES)),
    )
