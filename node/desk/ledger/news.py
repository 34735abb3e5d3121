"""The ledger's newest entries of one kind, in order: what `hftnode alerts` and `hftnode opportunities` show."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from node.desk.ledger.errors import ledger_errors
from node.desk.ledger.schema import open_for_reading

_ALERTS: Final = (
    "SELECT sequence, kind, severity, verdict, subject, block, operator, evidence, at FROM network_alerts "
    "WHERE sequence > ? ORDER BY sequence DESC LIMIT ?"
)
_FINDS: Final = (
    "SELECT number, id, kind, target_block, gross_profit_wei, coalesce(dropped, ''), seen_at FROM opportunities "
    "WHERE number > ? ORDER BY number DESC LIMIT ?"
)


class AlertNews(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the network in the ledger; hashes and addresses are 0x-hex, `at` Unix nanoseconds."""

    number: int
    kind: str
    severity: str
    verdict: str
    """What our own recomputation says: `confirmed` or `refuted`."""
    subject: str
    block: int
    operator: str
    """Who told it."""
    evidence: str
    at: int


class FindNews(msgspec.Struct, frozen=True, kw_only=True):
    """A find in the ledger; `dropped`: why it went no further, or empty."""

    number: int
    id: str
    kind: str
    target_block: int
    gross_profit_wei: str
    dropped: str
    at: int


News: TypeAlias = AlertNews | FindNews


async def newest_alerts(path: Path, after: int, most: int) -> list[AlertNews]:
    """Return at most so many of the newest alerts after a number, in order. Raises LedgerUnusable."""
    rows = await _rows(path, _ALERTS, after, most)
    return [
        AlertNews(
            number=number,
            kind=kind,
            severity=severity,
            verdict=verdict,
            subject="0x" + subject.hex(),
            block=block,
            operator="0x" + operator.hex(),
            evidence="0x" + evidence.hex(),
            at=at,
        )
        for number, kind, severity, verdict, subject, block, operator, evidence, at in rows
    ]


async def newest_finds(path: Path, after: int, most: int) -> list[FindNews]:
    """Return at most so many of the newest finds after a number, in order. Raises LedgerUnusable."""
    rows = await _rows(path, _FINDS, after, most)
    return [
        FindNews(
            number=number,
            id="0x" + name.hex(),
            kind=kind,
            target_block=target,
            gross_profit_wei=gross,
            dropped=dropped,
            at=at,
        )
        for number, name, kind, target, gross, dropped, at in rows
    ]


async def _rows(path: Path, sql: str, after: int, most: int) -> list[tuple[Any, ...]]:
    connection = await open_for_reading(path)
    try:
        with ledger_errors(path):
            async with connection.execute(sql, (after, most)) as cursor:
                return [tuple(row) for row in await cursor.fetchall()][::-1]
    finally:
        await connection.close()
