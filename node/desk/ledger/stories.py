"""One opportunity's story as the ledger has it: seen, predicted, simulated, sent, landed or lost to whom.

Raises NoSuchStory (NodeError): nothing, or more than one thing, has this id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiosqlite
import msgspec

from node.desk.ledger.errors import ledger_errors
from node.desk.ledger.schema import open_for_reading
from node.errors import NodeError
from node.pipeline.reasons import Reason
from node.records import OpportunityFound

_ID: Final = re.compile(r"(?:0x)?([0-9a-f]{4,64})\Z")
_FOUND: Final = msgspec.msgpack.Decoder(OpportunityFound)
_ID_BYTES: Final = 32
_AMBIGUOUS_SHOWN: Final = 5


class NoSuchStory(NodeError):
    """Nothing, or more than one thing, has this id."""


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What the last check said."""

    failure: Reason | None
    detail: str
    profit: str | None
    gas_used: int
    took_ns: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one relay said; `error` empty if it took the bundle."""

    relay: str
    error: str
    took_ns: int


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of ours that was signed for this opportunity, and its bundle."""

    bundle_hash: str
    transaction_hash: str
    target_block: int
    sender: str
    nonce: int
    predicted_profit: str
    minimum_profit: str
    coinbase_wei: str
    priority_fee_per_gas: str
    gas_limit: int
    signed_at: int
    tick_to_bundle_ns: int
    behind: tuple[str, ...]
    """The opportunities that the predicted profit takes to be executed before it."""
    answers: tuple[Answer, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a block told; `void` if a reorganisation or a later word has overtaken it."""

    block: int
    transaction_hash: str | None
    missed: Reason | None
    lost_to: str | None
    profit: str
    profit_wei: str
    gas_used: int
    gas_wei: str
    bid_wei: str
    void: bool


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. Lists are in the order in which things happened."""

    found: OpportunityFound
    dropped: Reason | None
    simulated: tuple[Simulated, ...]
    sent: tuple[Sent, ...]
    outcomes: tuple[Outcome, ...]


async def read_story(path: Path, told: str) -> Story:
    """Return the story of what `told` names: an opportunity's id, a bundle's or transaction's hash (ours, or the one
    that we stood behind), whole or by its first four hex digits or more. Raises NoSuchStory, LedgerUnusable."""
    connection = await open_for_reading(path)
    try:
        with ledger_errors(path):
            return await _story(connection, await _opportunity(connection, told))
    finally:
        await connection.close()


async def latest_ids(path: Path, count: int) -> list[str]:
    """Return the ids of the last opportunities that were signed, the newest first. Raises LedgerUnusable."""
    connection = await open_for_reading(path)
    try:
        with ledger_errors(path):
            rows = await _rows(
                connection, "SELECT opportunity_id FROM executions ORDER BY rowid DESC LIMIT ?", (count,)
            )
    finally:
        await connection.close()
    return list(dict.fromkeys(_hex(row[0]) for row in rows))


async def _opportunity(connection: aiosqlite.Connection, told: str) -> bytes:
    """Return the id of the opportunity that `told` names."""
    digits = _ID.match(told.strip().lower())
    if digits is None:
        raise NoSuchStory(f"{told[:80]!r} is no id: 0x and 4 to 64 hex digits of an opportunity, bundle or transaction")
    first = bytes.fromhex(digits[1].ljust(64, "0"))
    last = bytes.fromhex(digits[1].ljust(64, "f"))
    found: dict[bytes, None] = {}
    for sql in (
        "SELECT id FROM opportunities WHERE id BETWEEN ? AND ? LIMIT 50",
        "SELECT opportunity_id FROM executions WHERE transaction_hash BETWEEN ? AND ? LIMIT 50",
        "SELECT opportunity_id FROM executions WHERE bundle_hash BETWEEN ? AND ? LIMIT 50",
    ):
        found |= {bytes(row[0]): None for row in await _rows(connection, sql, (first, last))}
    if not found and len(digits[1]) == 64:
        sql = "SELECT id FROM opportunities WHERE instr(found, ?) > 0 ORDER BY number DESC LIMIT 50"
        found = {bytes(row[0]): None for row in await _rows(connection, sql, (first,))}
    if not found:
        raise NoSuchStory(f"the ledger has no opportunity, bundle or transaction {told}")
    if len(found) > 1:
        shown = "\n  ".join(_hex(one) for one in list(found)[:_AMBIGUOUS_SHOWN])
        raise NoSuchStory(f"{told} names {len(found)} opportunities; take one of them:\n  {shown}")
    return next(iter(found))


async def _story(connection: aiosqlite.Connection, opportunity: bytes) -> Story:
    ((found, dropped),) = await _rows(
        connection, "SELECT found, dropped FROM opportunities WHERE id = ?", (opportunity,)
    )
    simulated = await _rows(
        connection,
        "SELECT failure, detail, profit, gas_used, took_ns FROM simulations WHERE opportunity_id = ? ORDER BY sequence",
        (opportunity,),
    )
    sent = await _rows(
        connection,
        """SELECT bundle_hash, transaction_hash, executions.target_block, sender, nonce, predicted_profit,
            minimum_profit, coinbase_wei, priority_fee_per_gas, gas_limit, signed_at, tick_to_bundle_ns, behind
            FROM executions JOIN bundles ON bundles.hash = bundle_hash WHERE opportunity_id = ? ORDER BY signed_at""",
        (opportunity,),
    )
    outcomes = await _rows(
        connection,
        """SELECT block, transaction_hash, missed, lost_to, profit, profit_wei, gas_used, gas_wei, bid_wei, void
            FROM outcomes WHERE opportunity_id = ? ORDER BY sequence""",
        (opportunity,),
    )
    return Story(
        found=_FOUND.decode(found),
        dropped=_reason(dropped),
        simulated=tuple(
            Simulated(failure=_reason(failure), detail=detail, profit=profit, gas_used=gas, took_ns=took)
            for failure, detail, profit, gas, took in simulated
        ),
        sent=tuple([await _sent(connection, row) for row in sent]),
        outcomes=tuple(_outcome(row) for row in outcomes),
    )


async def _sent(connection: aiosqlite.Connection, row: Sequence[Any]) -> Sent:
    answers = await _rows(
        connection, "SELECT relay, error, took_ns FROM answers WHERE bundle_hash = ? ORDER BY sequence", (row[0],)
    )
    named = dict(zip(Sent.__struct_fields__[:-1], row, strict=True))
    named |= {name: _hex(named[name]) for name in ("bundle_hash", "transaction_hash", "sender")}
    named["behind"] = tuple(_hex(row[-1][at : at + _ID_BYTES]) for at in range(0, len(row[-1]), _ID_BYTES))
    return Sent(
        **named, answers=tuple(Answer(relay=relay, error=error, took_ns=took) for relay, error, took in answers)
    )


def _outcome(row: Sequence[Any]) -> Outcome:
    named = dict(zip(Outcome.__struct_fields__, row, strict=True))
    named |= {name: _hex(named[name]) if named[name] else None for name in ("transaction_hash", "lost_to")}
    return Outcome(**(named | {"missed": _reason(named["missed"]), "void": bool(named["void"])}))


def _reason(value: str | None) -> Reason | None:
    return None if value is None else msgspec.convert(value, Reason)


def _hex(raw: bytes) -> str:
    return "0x" + bytes(raw).hex()


async def _rows(connection: aiosqlite.Connection, sql: str, values: Sequence[object]) -> list[Any]:
    async with connection.execute(sql, values) as cursor:
        return list(await cursor.fetchall())
