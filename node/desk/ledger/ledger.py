"""The ledger's writing side: batches of entries, each whole or not at all, and each entry once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiosqlite

from node.desk.ledger.errors import ledger_errors
from node.desk.ledger.schema import number, open_for_writing
from node.desk.ledger.writing import tally, write_record
from node.link import LedgerEntry
from node.records import decode_record
from protocol.errors import RemoteProtocolError

ENTRIES_KEPT: Final = 20_000
"""Sequences whose bytes are remembered, to tell a repetition from another entry of the same number."""
FINDS_KEPT: Final = 200_000
"""Finds that were never executed; the oldest go first. What was signed is kept for good."""
ALERTS_KEPT: Final = 10_000
_PRUNE_EVERY: Final = 1_000

_LOG: Final = logging.getLogger("hftnode.ledger")


class Ledger:
    """Appends what the engine tells. `last_sequence` is the last entry that is on disk. Made by `open_ledger`."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, last_sequence: int) -> None:
        self.path = path
        self.last_sequence = last_sequence
        self._db = connection
        self._unpruned = 0

    async def append(self, entries: Sequence[LedgerEntry]) -> int:
        """Write entries in one transaction and return the last sequence on disk: it may be acknowledged.

        An entry that is there already is passed over; one that cannot be read is kept as bytes and counted. Raises
        LedgerUnwritable, and then nothing of the batch is there: try again; LedgerUnusable when the file is damaged.
        """
        last = self.last_sequence
        with ledger_errors(self.path):
            await self._db.execute("BEGIN IMMEDIATE")
            try:
                for entry in entries:
                    last = await self._append_one(entry, last)
                self._unpruned += len(entries)
                if self._unpruned >= _PRUNE_EVERY:
                    await self._prune()
                await self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    await self._db.execute("ROLLBACK")
                raise
        self.last_sequence = last
        return last

    async def close(self) -> None:
        """Close the file."""
        await self._db.close()

    async def _append_one(self, entry: LedgerEntry, last: int) -> int:
        digest = hashlib.blake2b(entry.body, digest_size=16).digest()
        if entry.sequence <= last:
            await self._repeated(entry, digest)
            return last
        if last and entry.sequence > last + 1:
            _LOG.error("%d entries before %d never came", entry.sequence - last - 1, entry.sequence)
            await tally(self._db, "ledger", "lost", entry.sequence - last - 1)
        await self._db.execute("INSERT INTO entries VALUES (?, ?)", (entry.sequence, digest))
        try:
            await write_record(self._db, entry.sequence, decode_record(entry.body))
        except RemoteProtocolError as error:
            _LOG.error("entry %d (%s) is kept unread: %s", entry.sequence, entry.kind[:40], error)
            await self._db.execute("INSERT INTO unreadable VALUES (?, ?, ?)", (entry.sequence, entry.kind, entry.body))
            await tally(self._db, "ledger", "unreadable")
        return entry.sequence

    async def _repeated(self, entry: LedgerEntry, digest: bytes) -> None:
        """The engine was not sure that we have it, which is everyday; other bytes under an old number are not."""
        async with self._db.execute("SELECT digest FROM entries WHERE sequence = ?", (entry.sequence,)) as cursor:
            row = await cursor.fetchone()
        if row is not None and row[0] != digest:
            _LOG.error("entry %d came again with other bytes: the first stays", entry.sequence)
            await tally(self._db, "ledger", "contradicted")
        else:
            await tally(self._db, "ledger", "repeated")

    async def _prune(self) -> None:
        """Forget what has a bound; what was signed stays."""
        self._unpruned = 0
        for table, kept in (("entries", ENTRIES_KEPT), ("alerts", ALERTS_KEPT), ("unreadable", ALERTS_KEPT)):
            await self._db.execute(
                f"DELETE FROM {table} WHERE sequence <= (SELECT max(sequence) FROM {table}) - ?",  # noqa: S608  # nosec B608
                (kept,),
            )
        await self._db.execute(
            """DELETE FROM opportunities WHERE number <= (SELECT max(number) FROM opportunities) - ?
                AND id NOT IN (SELECT opportunity_id FROM executions)""",
            (FINDS_KEPT,),
        )
        await self._db.execute("DELETE FROM simulations WHERE opportunity_id NOT IN (SELECT id FROM opportunities)")


async def open_ledger(path: Path) -> Ledger:
    """Open the ledger at `path`; make it where there is none. Raises LedgerUnwritable, LedgerUnusable."""
    connection = await open_for_writing(path)
    with ledger_errors(path):
        last = await number(connection, "SELECT max(sequence) FROM entries")
    return Ledger(path, connection, last)
