"""Five operators whose reach differs, and who enforces it: the devnet's builders, its mempool, its chain.

north     sees half of the public mempool
east      the largest builder takes nothing of it
south     no builder takes anything of it, for a while
west      has no ether for gas
centre    lacks nothing
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from devnet.accounts import account
from devnet.manifest import Manifest, Operator
from devnet.protocols.network import CUT
from devnet.relay.websocket import HALF
from devnet.rpc import RpcClient

OPERATORS: Final = 5
"""With so many nodes their reach differs; with fewer all are complete."""
SOUTH_FROM_SECONDS: Final = 30.0
SOUTH_FOR_SECONDS: Final = 60.0
BEFORE_EPOCH: Final = 8
"""Blocks before the first epoch with leaders, at which the demo begins if its nodes are warm so soon."""
_LARGEST: Final = "swift"


def websocket_of(name: str, url: str) -> str:
    """Return where an operator's node listens to the mempool."""
    return url.rstrip("/") + HALF if name == "north" else url


async def approach_epoch(manifest: Manifest, admin: RpcClient) -> None:
    """Make blocks until shortly before the epoch for which the operators have checked in: before it nobody leads."""
    first = (manifest.block_number // CUT.length + 1) * CUT.length
    while await admin.call("devnet_mine") < first - BEFORE_EPOCH:
        pass


async def limit(operators: Sequence[Operator], chain: RpcClient, admin: RpcClient) -> None:
    """Take from west its ether, and from east the largest builder. Before anything is counted."""
    keys = {operator.name: [account(vault.hot_key).address for vault in operator.vaults] for operator in operators}
    await chain.batch([("anvil_setBalance", [key, "0x0"]) for key in keys["west"]])
    await _shun(admin, _LARGEST, keys["east"])


async def interrupt(operators: Sequence[Operator], builders: Sequence[str], admin_url: str) -> None:
    """After a while take every builder from south, for a while."""
    (south,) = (operator for operator in operators if operator.name == "south")
    keys = [account(vault.hot_key).address for vault in south.vaults]
    await asyncio.sleep(SOUTH_FROM_SECONDS)
    async with RpcClient(admin_url) as admin:
        for builder in builders:
            await _shun(admin, builder, keys, seconds=SOUTH_FOR_SECONDS)


async def _shun(admin: RpcClient, builder: str, senders: Sequence[str], seconds: float | None = None) -> None:
    fault: dict[str, Any] = {"endpoint": builder, "kind": "shun", "senders": list(senders)}
    if seconds is not None:
        fault["seconds"] = seconds
    await admin.call("devnet_setFault", fault)
