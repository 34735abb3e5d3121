"""The tables of the ledger and how an older file becomes a newer one. A migration, once released, is never changed.

Hashes and addresses are blobs; amounts that may pass 64 bits are decimal text; times are Unix nanoseconds.
`entries` remembers the last sequences, to tell a repetition; `tallies` and `sums` change in the same transaction as
what they count, so that no reader ever has to add up the whole ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import aiosqlite

from node.desk.ledger.errors import LedgerUnusable, ledger_errors

APPLICATION_ID: Final = 0x6866746E  # "hftn"
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE entries (sequence INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT",
        """CREATE TABLE opportunities (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,
            target_block INTEGER NOT NULL, seen_at INTEGER NOT NULL, profit_token BLOB NOT NULL,
            gross_profit TEXT NOT NULL, gross_profit_wei TEXT NOT NULL, found BLOB NOT NULL,
            dropped TEXT, dropped_at INTEGER) STRICT""",
        """CREATE TABLE simulations (
            sequence INTEGER NOT NULL, opportunity_id BLOB NOT NULL, failure TEXT, detail TEXT NOT NULL, profit TEXT,
            gas_used INTEGER NOT NULL, took_ns INTEGER NOT NULL, PRIMARY KEY (opportunity_id, sequence)) STRICT""",
        """CREATE TABLE bundles (
            hash BLOB PRIMARY KEY, target_block INTEGER NOT NULL, signed_at INTEGER NOT NULL,
            tick_to_bundle_ns INTEGER NOT NULL) STRICT""",
        """CREATE TABLE executions (
            transaction_hash BLOB PRIMARY KEY, bundle_hash BLOB NOT NULL, opportunity_id BLOB NOT NULL,
            sender BLOB NOT NULL, nonce INTEGER NOT NULL, target_block INTEGER NOT NULL, predicted_profit TEXT NOT NULL,
            minimum_profit TEXT NOT NULL, coinbase_wei TEXT NOT NULL, priority_fee_per_gas TEXT NOT NULL,
            gas_limit INTEGER NOT NULL) STRICT""",
        "CREATE INDEX executions_by_opportunity ON executions (opportunity_id)",
        "CREATE INDEX executions_by_bundle ON executions (bundle_hash)",
        """CREATE TABLE answers (
            sequence INTEGER PRIMARY KEY, bundle_hash BLOB NOT NULL, relay TEXT NOT NULL, error TEXT NOT NULL,
            took_ns INTEGER NOT NULL) STRICT""",
        "CREATE INDEX answers_by_bundle ON answers (bundle_hash)",
        """CREATE TABLE outcomes (
            sequence INTEGER PRIMARY KEY, opportunity_id BLOB NOT NULL, transaction_hash BLOB, sender BLOB NOT NULL,
            token BLOB NOT NULL, block INTEGER NOT NULL, block_hash BLOB, missed TEXT, lost_to BLOB,
            profit TEXT NOT NULL, profit_wei TEXT NOT NULL, gas_used INTEGER NOT NULL, gas_wei TEXT NOT NULL,
            bid_wei TEXT NOT NULL, void INTEGER NOT NULL DEFAULT 0) STRICT""",
        "CREATE INDEX outcomes_by_opportunity ON outcomes (opportunity_id)",
        "CREATE INDEX outcomes_by_block_hash ON outcomes (block_hash)",
        """CREATE TABLE alerts (
            sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, detail TEXT NOT NULL, at INTEGER NOT NULL) STRICT""",
        "CREATE TABLE unreadable (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL) STRICT",
        """CREATE TABLE tallies (
            what TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, name)) STRICT""",
        """CREATE TABLE sums (
            sender BLOB NOT NULL, what TEXT NOT NULL, token BLOB NOT NULL, amount TEXT NOT NULL,
            PRIMARY KEY (sender, what, token)) STRICT""",
    ),
    (
        """CREATE TABLE payments (
            sequence INTEGER PRIMARY KEY, what TEXT NOT NULL, subject BLOB NOT NULL, transaction_hash BLOB NOT NULL,
            sender BLOB NOT NULL, token BLOB NOT NULL, amount TEXT NOT NULL, block INTEGER NOT NULL,
            block_hash BLOB NOT NULL, gas_wei TEXT NOT NULL, bid_wei TEXT NOT NULL,
            void INTEGER NOT NULL DEFAULT 0) STRICT""",
        "CREATE INDEX payments_by_block_hash ON payments (block_hash)",
    ),
    (
        """CREATE TABLE orders (
            sequence INTEGER PRIMARY KEY, order_hash BLOB NOT NULL, role TEXT NOT NULL, peer BLOB NOT NULL,
            target_block INTEGER NOT NULL, primary_key BLOB NOT NULL, answer TEXT NOT NULL, detail TEXT NOT NULL,
            lack TEXT NOT NULL, is_backup INTEGER NOT NULL, took_ns INTEGER NOT NULL, at INTEGER NOT NULL) STRICT""",
        "CREATE INDEX orders_by_hash ON orders (order_hash)",
        """CREATE TABLE network_alerts (
            sequence INTEGER PRIMARY KEY, alert_id BLOB NOT NULL, kind TEXT NOT NULL, subject BLOB NOT NULL,
            severity TEXT NOT NULL, evidence BLOB NOT NULL, block INTEGER NOT NULL, block_hash BLOB NOT NULL,
            operator BLOB NOT NULL, verdict TEXT NOT NULL, at INTEGER NOT NULL) STRICT""",
        "CREATE INDEX network_alerts_by_id ON network_alerts (alert_id)",
    ),
    (
        # The ids of the opportunities behind which the profit was computed, one after the other.
        "ALTER TABLE executions ADD COLUMN behind BLOB NOT NULL DEFAULT x''",
    ),
)


async def open_for_writing(path: Path) -> aiosqlite.Connection:
    """Return a connection to the ledger at `path`, made or brought up to date where needed. Raises as `errors` says."""
    with ledger_errors(path):
        _make(path)
        connection = await aiosqlite.connect(path, isolation_level=None)
    try:
        with ledger_errors(path):
            await _require_ours(connection, path)
            # FULL: what is acknowledged survives a power cut too, and one sync a batch is cheap.
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 2000", "foreign_keys = OFF"):
                await connection.execute(f"PRAGMA {pragma}")
            await _migrate(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def open_for_reading(path: Path) -> aiosqlite.Connection:
    """Return a connection that writes nothing, beside a desk that writes or without one. Raises LedgerUnusable."""
    address = _address_for_reading(path)
    with ledger_errors(path):
        connection = await aiosqlite.connect(address, uri=True, isolation_level=None)
    try:
        with ledger_errors(path):
            await _require_ours(connection, path, at_least=len(MIGRATIONS))
    except BaseException:
        await connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make an empty file that only this user can read, before SQLite makes one that others can."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _address_for_reading(path: Path) -> str:
    if not path.is_file():
        raise LedgerUnusable(f"ledger {path}: there is none yet; `hftnode start` makes it")
    return f"{path.absolute().as_uri()}?mode=ro"


async def _require_ours(connection: aiosqlite.Connection, path: Path, at_least: int = 0) -> None:
    """Raise LedgerUnusable unless it is a ledger that this version can use; an empty file is a ledger of version 0."""
    version, application, tables = [
        await number(connection, sql)
        for sql in ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
    ]
    if application != APPLICATION_ID and (application or version or tables):
        raise LedgerUnusable(f"ledger {path}: a database of another program")
    if version > len(MIGRATIONS):
        raise LedgerUnusable(
            f"ledger {path}: written by a newer hftnode (version {version}, this one knows {len(MIGRATIONS)})"
        )
    if version < at_least:
        raise LedgerUnusable(f"ledger {path}: of an older version ({version}); `hftnode start` brings it up to date")


async def _migrate(connection: aiosqlite.Connection) -> None:
    """Bring the file up to date: all missing migrations or none."""
    version = await number(connection, "PRAGMA user_version")
    if version == len(MIGRATIONS):
        return
    await connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                await connection.execute(statement)
        await connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        await connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise


async def number(connection: aiosqlite.Connection, sql: str) -> int:
    """Return the one whole number that a query gives; 0 for NULL."""
    async with connection.execute(sql) as cursor:
        row = await cursor.fetchone()
    return int(row[0] or 0) if row else 0
