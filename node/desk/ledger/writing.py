"""One record to rows. Runs inside the transaction of its batch; tallies and sums move with the rows they count."""

from __future__ import annotations

from typing import Any, Final

import aiosqlite
import msgspec

from node.pipeline.reasons import Reason
from node.records import (
    AlertRaised,
    AnyRecord,
    BundleSigned,
    BundleSimulatedRecord,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    NetworkAlertTold,
    OpportunityDropped,
    OpportunityFound,
    OrderTold,
    OutcomeRetracted,
    PaymentMade,
    RelayAnswered,
    TransactionSent,
)

UNKNOWN: Final = b""
"""A sender or token that the ledger was never told; also the token of amounts in wei."""
_FIND: Final = msgspec.msgpack.Encoder()


async def write_record(db: aiosqlite.Connection, sequence: int, record: AnyRecord) -> None:
    """Write what a record tells."""
    match record:
        case OpportunityFound():
            await _find(db, record)
        case OpportunityDropped():
            await _drop(db, record)
        case BundleSimulatedRecord():
            await _simulated(db, sequence, record)
        case BundleSigned():
            await _signed(db, record)
        case RelayAnswered():
            await _answered(db, sequence, record)
        case ExecutionLandedRecord():
            await _landed(db, sequence, record)
        case ExecutionMissedRecord():
            await _missed(db, sequence, record)
        case OutcomeRetracted():
            await _void(db, "block_hash = ?", record.block_hash)
            await _void_payments(db, "block_hash = ?", record.block_hash)
            await tally(db, "retracted", "blocks")
        case PaymentMade() | OrderTold() | NetworkAlertTold():
            await _network(db, sequence, record)
        case TransactionSent():
            await tally(db, "sent", record.what)
        case AlertRaised():
            await db.execute(
                "INSERT INTO alerts VALUES (?, ?, ?, ?)", (sequence, record.kind, record.detail, record.at)
            )
            await tally(db, "alert", record.kind)


async def _network(db: aiosqlite.Connection, sequence: int, record: PaymentMade | OrderTold | NetworkAlertTold) -> None:
    """Write what a record of the network tells."""
    match record:
        case PaymentMade():
            await _paid(db, sequence, record)
        case NetworkAlertTold():
            await db.execute(
                "INSERT INTO network_alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sequence, record.alert_id, record.alert_kind, record.subject, record.severity, record.evidence,
                 record.block, record.block_hash, record.operator, record.verdict, record.at),
            )  # fmt: skip
            await tally(db, "network_alert", f"{record.alert_kind} {record.verdict}")
        case OrderTold():
            await db.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sequence, record.order_hash, record.role, record.peer, record.target_block, record.primary_key,
                 record.answer, record.detail, record.lack, record.is_backup, record.took_ns, record.at),
            )  # fmt: skip
            await tally(db, "order", f"{record.role} {record.answer}")


async def tally(db: aiosqlite.Connection, what: str, name: str, count: int = 1) -> None:
    """Move a tally."""
    await db.execute(
        "INSERT INTO tallies VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        (what, name, count),
    )


async def _find(db: aiosqlite.Connection, found: OpportunityFound) -> None:
    """Write a find, or write it anew: the same one may be aimed at a later block."""
    known = await _row(db, "SELECT 1 FROM opportunities WHERE id = ?", found.opportunity_id)
    await db.execute(
        """INSERT INTO opportunities
            (id, kind, target_block, seen_at, profit_token, gross_profit, gross_profit_wei, found)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
            target_block = excluded.target_block, seen_at = excluded.seen_at, gross_profit = excluded.gross_profit,
            gross_profit_wei = excluded.gross_profit_wei, found = excluded.found, dropped = NULL, dropped_at = NULL""",
        (found.opportunity_id, found.opportunity_kind, found.target_block, found.seen_at, found.profit_token,
         found.gross_profit, found.gross_profit_wei, _FIND.encode(found)),
    )  # fmt: skip
    if known is None:
        await tally(db, "found", found.opportunity_kind)


async def _drop(db: aiosqlite.Connection, record: OpportunityDropped) -> None:
    await _find(db, record.found)
    await db.execute(
        "UPDATE opportunities SET dropped = ?, dropped_at = ? WHERE id = ?",
        (record.reason, record.at, record.found.opportunity_id),
    )
    await tally(db, "dropped", record.reason)
    if record.reason is Reason.SHADOW:
        await _add(db, UNKNOWN, "shadow", record.found.profit_token, int(record.found.gross_profit))
        await _add(db, UNKNOWN, "shadow_wei", UNKNOWN, int(record.found.gross_profit_wei))


async def _simulated(db: aiosqlite.Connection, sequence: int, record: BundleSimulatedRecord) -> None:
    for place, opportunity in enumerate(record.opportunity_ids):
        profit = record.profits[place] if place < len(record.profits) else None
        await db.execute(
            "INSERT INTO simulations VALUES (?, ?, ?, ?, ?, ?, ?)",
            (sequence, opportunity, record.failure, record.detail, profit, record.gas_used, record.took_ns),
        )
    await tally(db, "simulated", record.failure or "clean")


async def _signed(db: aiosqlite.Connection, record: BundleSigned) -> None:
    await db.execute(
        "INSERT OR REPLACE INTO bundles VALUES (?, ?, ?, ?)",
        (record.bundle_hash, record.target_block, record.signed_at, record.tick_to_bundle_ns),
    )
    for signed in record.executions:
        await db.execute(
            "INSERT OR REPLACE INTO executions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (signed.transaction_hash, record.bundle_hash, signed.opportunity_id, signed.sender, signed.nonce,
             record.target_block, signed.predicted_profit, signed.minimum_profit, signed.coinbase_wei,
             signed.priority_fee_per_gas, signed.gas_limit, b"".join(signed.behind)),
        )  # fmt: skip
    await tally(db, "bundles", "signed")
    await tally(db, "executions", "signed", len(record.executions))


async def _answered(db: aiosqlite.Connection, sequence: int, record: RelayAnswered) -> None:
    await db.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
        (sequence, record.bundle_hash, record.relay, record.error, record.took_ns),
    )
    await tally(db, "relay_refused" if record.error else "relay_took", record.relay)


async def _landed(db: aiosqlite.Connection, sequence: int, record: ExecutionLandedRecord) -> None:
    sender = await _row(db, "SELECT sender FROM executions WHERE transaction_hash = ?", record.transaction_hash)
    token, value = await _profit_in_wei(db, record.opportunity_id, int(record.profit))
    await _void(db, "transaction_hash = ?", record.transaction_hash)
    await _void(db, "opportunity_id = ? AND missed IS NOT NULL AND block = ?", record.opportunity_id, record.block)
    await _outcome(
        db,
        (sequence, record.opportunity_id, record.transaction_hash, sender[0] if sender else UNKNOWN, token,
         record.block, record.block_hash, None, None, record.profit, str(value), record.gas_used, record.gas_wei,
         record.bid_wei, 0),
    )  # fmt: skip


async def _missed(db: aiosqlite.Connection, sequence: int, record: ExecutionMissedRecord) -> None:
    found = await _row(
        db,
        "SELECT sender, transaction_hash FROM executions WHERE opportunity_id = ? "
        "ORDER BY target_block <> ?, target_block DESC, rowid DESC LIMIT 1",
        record.opportunity_id,
        record.block,
    )
    sender, transaction = found or (UNKNOWN, None)
    await _void(db, "opportunity_id = ? AND block = ?", record.opportunity_id, record.block)
    await _outcome(
        db,
        (sequence, record.opportunity_id, transaction, sender, UNKNOWN, record.block, record.block_hash,
         str(record.reason), record.lost_to, "0", "0", 0, record.spent_wei, "0", 0),
    )  # fmt: skip


_OUTCOME: Final = (
    "sequence, opportunity_id, transaction_hash, sender, token, block, block_hash, missed, lost_to, profit, "
    "profit_wei, gas_used, gas_wei, bid_wei, void"
)


_PAYMENT: Final = (
    "sequence, what, subject, transaction_hash, sender, token, amount, block, block_hash, gas_wei, bid_wei, void"
)


async def _outcome(db: aiosqlite.Connection, row: tuple[Any, ...]) -> None:
    await db.execute(f"INSERT INTO outcomes ({_OUTCOME}) VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  # nosec B608
    await _count_outcome(db, row, 1)


async def _void(db: aiosqlite.Connection, condition: str, *values: object) -> None:
    """Take outcomes back that a reorganisation or a later word has overtaken: rows stay, and count no more."""
    async with db.execute(f"SELECT {_OUTCOME} FROM outcomes WHERE void = 0 AND {condition}", values) as cursor:  # noqa: S608  # nosec B608
        rows = list(await cursor.fetchall())
    for row in rows:
        await db.execute("UPDATE outcomes SET void = 1 WHERE sequence = ?", (row[0],))
        await _count_outcome(db, tuple(row), -1)


async def _paid(db: aiosqlite.Connection, sequence: int, record: PaymentMade) -> None:
    """The last word on a payment counts: an engine that was started again may tell of one once more."""
    same = "transaction_hash = ? AND what = ? AND subject = ?"
    await _void_payments(db, same, record.transaction_hash, record.what, record.subject)
    row = (
        record.what, record.subject, record.transaction_hash, record.sender, record.token, record.amount, record.block,
        record.block_hash, record.gas_wei, record.bid_wei,
    )  # fmt: skip
    sql = f"INSERT INTO payments ({_PAYMENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"  # noqa: S608  # nosec B608
    await db.execute(sql, (sequence, *row))
    await _count_payment(db, (sequence, *row), 1)


async def _void_payments(db: aiosqlite.Connection, condition: str, *values: object) -> None:
    sql = f"SELECT {_PAYMENT} FROM payments WHERE void = 0 AND {condition}"  # noqa: S608  # nosec B608
    async with db.execute(sql, values) as cursor:
        rows = [tuple(row) for row in await cursor.fetchall()]
    for row in rows:
        await db.execute("UPDATE payments SET void = 1 WHERE sequence = ?", (row[0],))
        await _count_payment(db, row[:-1], -1)


async def _count_payment(db: aiosqlite.Connection, row: tuple[Any, ...], sign: int) -> None:
    _, what, _, _, sender, token, amount, _, _, gas_wei, bid_wei = row
    await tally(db, "payment", what, sign)
    if int(amount):
        await _add(db, sender, "profit", token, sign * int(amount))
    await _add(db, sender, "gas_wei", UNKNOWN, sign * int(gas_wei))
    await _add(db, sender, "bid_wei", UNKNOWN, sign * int(bid_wei))


async def _count_outcome(db: aiosqlite.Connection, row: tuple[Any, ...], sign: int) -> None:
    _, _, _, sender, token, _, _, missed, _, profit, profit_wei, _, gas_wei, bid_wei, _ = row
    if missed is None:
        await tally(db, "executions", "landed", sign)
        await _add(db, sender, "profit", token, sign * int(profit))
        await _add(db, sender, "profit_wei", UNKNOWN, sign * int(profit_wei))
        await _add(db, sender, "bid_wei", UNKNOWN, sign * int(bid_wei))
    else:
        await tally(db, "missed", missed, sign)
    await _add(db, sender, "gas_wei", UNKNOWN, sign * int(gas_wei))


async def _profit_in_wei(db: aiosqlite.Connection, opportunity: bytes, profit: int) -> tuple[bytes, int]:
    """Return the profit's token, and its worth in wei, rounded down, at the price at which the find was made."""
    row = await _row(
        db, "SELECT profit_token, gross_profit, gross_profit_wei FROM opportunities WHERE id = ?", opportunity
    )
    if row is None:
        return UNKNOWN, 0
    token, gross, gross_wei = bytes(row[0]), int(row[1]), int(row[2])
    return token, profit * gross_wei // gross if gross > 0 else 0


async def _add(db: aiosqlite.Connection, sender: bytes, what: str, token: bytes, amount: int) -> None:
    """Move a sum; SQLite's integers end at 64 bits, so that Python adds."""
    row = await _row(db, "SELECT amount FROM sums WHERE sender = ? AND what = ? AND token = ?", sender, what, token)
    total = str(int(row[0]) + amount if row else amount)
    await db.execute("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)", (sender, what, token, total))


async def _row(db: aiosqlite.Connection, sql: str, *values: object) -> Any:
    async with db.execute(sql, values) as cursor:
        return await cursor.fetchone()
