"""What the ledger adds up to: counts, and sums for each hot key, read at once and whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from node.desk.ledger.errors import ledger_errors
from node.desk.ledger.schema import open_for_reading
from node.records import Amount


class KeySums(msgspec.Struct, frozen=True, kw_only=True):
    """What one hot key has earned and paid, of all blocks that still stand; amounts are decimal text."""

    profit: dict[str, Amount] = {}
    """Token address to its smallest units, as the chain's logs tell it."""
    profit_wei: Amount = "0"
    """The same in wei, at the prices at which the finds were made."""
    gas_wei: Amount = "0"
    """Base and priority fees of what landed or reverted."""
    bid_wei: Amount = "0"
    """Priority fees and coinbase payments: what builders got, part of gas and of profit forgone."""

    @property
    def net_wei(self) -> int:
        """Profit less gas, in wei."""
        return int(self.profit_wei) - int(self.gas_wei)


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. Addresses are 0x-hex."""

    found: dict[str, int] = {}
    """By kind."""
    dropped: dict[str, int] = {}
    """By reason."""
    simulated: dict[str, int] = {}
    """`clean`, or the reason for which a bundle failed its last check."""
    bundles: int = 0
    """Signed."""
    executions: int = 0
    """Signed."""
    landed: int = 0
    missed: dict[str, int] = {}
    """By reason."""
    relay_took: dict[str, int] = {}
    relay_refused: dict[str, int] = {}
    alerts: dict[str, int] = {}
    network_alerts: dict[str, int] = {}
    """Of the network, by kind and verdict, a space between."""
    ledger: dict[str, int] = {}
    """Entries `repeated`, `lost`, `contradicted`, `unreadable`."""
    keys: dict[str, KeySums] = {}
    shadow: dict[str, Amount] = {}
    """Gross profit of what shadow mode would have sent, by token."""
    shadow_wei: Amount = "0"


async def read_totals(path: Path) -> Totals:
    """Return what the ledger at `path` adds up to, as of its last whole batch. Raises LedgerUnusable."""
    connection = await open_for_reading(path)
    try:
        with ledger_errors(path):
            await connection.execute("BEGIN")  # one moment for both queries
            async with connection.execute("SELECT what, name, count FROM tallies WHERE count <> 0") as cursor:
                tallies = [(str(what), str(name), int(count)) async for what, name, count in cursor]
            async with connection.execute("SELECT sender, what, token, amount FROM sums") as cursor:
                sums = [(bytes(key), str(what), bytes(token), str(amount)) async for key, what, token, amount in cursor]
    finally:
        await connection.close()
    return _totals(tallies, sums)


def _totals(tallies: list[tuple[str, str, int]], sums: list[tuple[bytes, str, bytes, str]]) -> Totals:
    by: dict[str, dict[str, int]] = {}
    for what, name, count in sorted(tallies):
        by.setdefault(what, {})[name] = count
    executions = by.get("executions", {})
    shadow = {"0x" + token.hex(): amount for _, what, token, amount in sums if what == "shadow"}
    return Totals(
        found=by.get("found", {}),
        dropped=by.get("dropped", {}),
        simulated=by.get("simulated", {}),
        bundles=by.get("bundles", {}).get("signed", 0),
        executions=executions.get("signed", 0),
        landed=executions.get("landed", 0),
        missed=by.get("missed", {}),
        relay_took=by.get("relay_took", {}),
        relay_refused=by.get("relay_refused", {}),
        alerts=by.get("alert", {}),
        network_alerts=by.get("network_alert", {}),
        ledger=by.get("ledger", {}),
        keys=_keys([row for row in sums if not row[1].startswith("shadow")]),
        shadow=shadow,
        shadow_wei=next((amount for _, what, _, amount in sums if what == "shadow_wei"), "0"),
    )


def _keys(sums: list[tuple[bytes, str, bytes, str]]) -> dict[str, KeySums]:
    keys: dict[str, KeySums] = {}
    for sender in sorted({row[0] for row in sums}):
        own = [row[1:] for row in sums if row[0] == sender]
        single = {what: amount for what, _, amount in own if what != "profit"}
        profit = {"0x" + token.hex(): amount for what, token, amount in own if what == "profit"}
        keys["0x" + sender.hex()] = KeySums(profit=profit, **single)
    return keys
