"""`python -m devnet.actors.value`: what value each actor made and took in the last blocks of a running devnet.

The value of cyclic arbitrage is measured, not supposed: the pools are followed log by log, and after each transaction
the profit of the best disjoint cycles is computed anew; the difference is that transaction's doing. Beside it stand
what the sandwich attacker noted, and the liquidation bonus of loans that became unhealthy.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import orjson

from devnet.actors.app import load_manifest
from devnet.actors.journal import ACTORS, SANDWICHES
from devnet.actors.market import WETH, Market
from devnet.actors.reading import StateReader
from devnet.actors.replay import Account, Replay
from devnet.actors.view import View
from devnet.errors import ChainFailed, DevnetError, RpcError
from devnet.rpc import RpcClient

_LIQUIDATION_SHARE: Final = Decimal("0.5")
"""Aave's close factor."""
_LIQUIDATION_BONUS: Final = Decimal("0.05")
_OTHERS: Final = "others"
_ETHER: Final = Decimal(10**18)


@dataclass(frozen=True, slots=True)
class ValueReport:
    """What `blocks` blocks brought. `arbitrage` by actor; the others in dollars."""

    blocks: int
    arbitrage: Mapping[str, Account]
    ether_usd: Decimal
    sandwiched_usd: Decimal
    liquidation_usd: Decimal

    def lines(self) -> list[str]:
        """Return the table for people."""
        total = sum(account.created for account in self.arbitrage.values()) or 1
        lines = [f"{'actor':<14}{'tx/block':>10}{'created $/block':>18}{'share':>8}{'taken $/block':>16}"]
        for name, account in sorted(self.arbitrage.items(), key=lambda entry: -entry[1].created):
            created, taken = (self._usd_per_block(wei) for wei in (account.created, account.taken))
            rate = Decimal(account.transactions) / self.blocks
            share = Decimal(account.created) / total
            lines.append(f"{name:<14}{rate:>10.2f}{created:>18.2f}{share:>8.1%}{taken:>16.2f}")
        lines.append(f"sandwiches: {self.sandwiched_usd / self.blocks:.2f} $/block")
        lines.append(f"liquidations: {self.liquidation_usd / self.blocks:.2f} $/block")
        return lines

    def _usd_per_block(self, wei: int) -> Decimal:
        return Decimal(wei) / _ETHER * self.ether_usd / self.blocks


async def measure(rpc: RpcClient, market: Market, blocks: int, head: int, actors: Mapping[str, str]) -> ValueReport:
    """Measure `blocks` blocks up to `head`; `actors` maps transaction hashes to names.

    Raises `ChainFailed`, `RpcError`.
    """
    first = max(market.manifest.block_number, head - blocks)
    borrowers = market.manifest.funded.get("borrower", ())
    reader = StateReader(rpc, market, [], providers=(), borrowers=borrowers, maximum_positions=0)
    await reader.start()
    prices = {token.symbol: token.usd_price_e8 for token in market.manifest.tokens}
    before = await reader.read(first, 0, 0, prices)
    replay, liquidation = Replay(market, before.pools), Decimal(0)
    for number in range(first + 1, head + 1):
        for receipt in await _receipts(rpc, number):
            replay.transaction(actors.get(receipt["transactionHash"], _OTHERS), receipt["logs"])
        view = await reader.read(number, 0, 0, prices)
        liquidation += _newly_liquidatable(before, view)
        before = view
    if head <= first:
        raise ChainFailed("there are no blocks to measure yet")
    ether_usd = Decimal(before.feeds[WETH].answer_e8).scaleb(-8)
    return ValueReport(head - first, replay.accounts, ether_usd, Decimal(0), liquidation)


async def _receipts(rpc: RpcClient, number: int) -> list[Mapping[str, Any]]:
    answer = await rpc.call("eth_getBlockReceipts", hex(number))
    if not isinstance(answer, list):
        raise ChainFailed(f"the chain has no block {number}")
    return answer


def _newly_liquidatable(before: View, after: View) -> Decimal:
    """The bonus, in dollars, of the loans that were healthy before and are not any more."""
    usd = Decimal(0)
    for name, loan in after.loans.items():
        if before.loans[name].health >= _ETHER > loan.health and loan.debt_base:
            usd += Decimal(loan.debt_base).scaleb(-8) * _LIQUIDATION_SHARE * _LIQUIDATION_BONUS
    return usd


def read_actors(folder: Path) -> tuple[dict[str, str], int]:
    """Return transaction hash to actor, and the last block that the journal tells of. Raises `ChainFailed`."""
    actors: dict[str, str] = {}
    last = 0
    for entry in _journal(folder / ACTORS):
        if "outcome" not in entry:
            continue
        last = max(last, entry["block"]) if entry["outcome"] != "refused" else last
        for transaction in [entry["hash"]] if "hash" in entry else entry["own"]:
            actors[transaction] = entry["actor"]
    return actors, last


def _journal(path: Path) -> list[dict[str, Any]]:
    try:
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    except (OSError, orjson.JSONDecodeError) as error:
        raise ChainFailed(f"{path} is not a journal of the actors: {error}") from error


async def _report(manifest: Path, url: str, logs: Path, blocks: int) -> ValueReport:
    market = Market(load_manifest(manifest))
    actors, head = read_actors(logs)
    async with RpcClient(url) as rpc:
        report = await measure(rpc, market, blocks, head, actors)
    prices = {token.symbol: token.usd_price_e8 for token in market.manifest.tokens}
    usd = Decimal(0)
    for entry in _journal(logs / SANDWICHES):
        if head - report.blocks < entry["block"] <= head:
            usd += market.usd(entry["token_in"], int(entry["profit"]), prices)
    return replace(report, sandwiched_usd=usd)


@click.command()
@click.option("--manifest", required=True, type=click.Path(path_type=Path), help="the world's manifest (JSON)")
@click.option("--url", required=True, help="the public JSON-RPC over HTTP")
@click.option("--logs", required=True, type=click.Path(path_type=Path), help="folder of the actors' journals")
@click.option("--blocks", default=60, show_default=True, help="so many of the latest; the chain keeps 64 states")
def main(manifest: Path, url: str, logs: Path, blocks: int) -> None:
    """Print what value each actor made and took in the last blocks."""
    try:
        report = asyncio.run(_report(manifest, url, logs, blocks))
    except (DevnetError, RpcError) as error:
        click.echo(f"value: {error}", err=True)
        sys.exit(1)
    for line in report.lines():
        click.echo(line)


if __name__ == "__main__":
    main()
