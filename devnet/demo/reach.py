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
    while await admin.call("devnet_mine") < manifest.block_number + blocks_before_epoch(manifest):
        pass


async def limit(operators: Sequence[Operator], chain: RpcClient, admin: RpcClient) -> None:
    """Take from west its ether, and from east the largest builder. Before anything is counted."""
    keys = {operator.name: [account(vault.hot_key).address for vault in operator.vaults] for operator in operators}
    await chain.batch([("anvil_setBalance", [key, "0x0"]) for key in keys["west"]])
    await _shun(admin, _LARGEST, keys["east"])


async def interrupt(operators: Sequence[Operator], builders: Sequence[str], admin_url: str) -> None:
    """After a while take every builder from south, for a while."""
    await asyncio.sleep(SOUTH_FROM_SECONDS)
    async with RpcClient(admin_url) as admin:
        for builder in builders:
            await _shun(admin, builder, _keys_of_south(operators), after=0.0)


async def interrupt_later(operators: Sequence[Operator], builders: Sequence[str], admin: RpcClient) -> None:
    """Have the same happen by the chain's time: in lockstep it must not depend on the machine's."""
    for builder in builders:
        await _shun(admin, builder, _keys_of_south(operators), after=SOUTH_FROM_SECONDS)


def _keys_of_south(operators: Sequence[Operator]) -> list[str]:
    (south,) = (operator for operator in operators if operator.name == "south")
    return [account(vault.hot_key).address for vault in south.vaults]


def blocks_before_epoch(manifest: Manifest) -> int:
    """How many blocks are left out before a demo begins: shortly before the first epoch with leaders."""
    first = (manifest.block_number // CUT.length + 1) * CUT.length
    return first - BEFORE_EPOCH - manifest.block_number


async def _shun(admin: RpcClient, builder: str, senders: Sequence[str], after: float | None = None) -> None:
    """Let a builder take nothing of these accounts, for good; for south's time if it begins `after` some."""
    fault: dict[str, Any] = {"endpoint": builder, "kind": "shun", "senders": list(senders)}
    if after is not None:
        fault |= {"after": after, "seconds": SOUTH_FOR_SECONDS}
    await admin.call("devnet_setFault", fault)
