"""Baits: public swaps, each large against its pool, so that what it leaves is worth taking; and whether it was taken.

The same dice lay the same baits: so much of a pool's ether, in that pool, at that moment of a block. Two baits a block,
each in another pool, and no pool again before the others had theirs: an execution that goes through a pool answers to
one bait, whoever else trades.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.manifest import Manifest, Pool
from devnet.rpc import RpcClient
from devnet.scenarios.executions import VaultExecution
from devnet.scenarios.nodes import BLOCK_SECONDS, LiveDevnet
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import ChainId

BAITER: Final = account("scenario-baiter")
BAITS_A_BLOCK: Final = 2
TAKEN_WITHIN_BLOCKS: Final = 2
"""Behind a bait's own block: a bait that comes late in a block is taken in the next one."""
_SHARES: Final = (0.015, 0.03)
"""Of the ether that the pool holds."""
_MOMENTS: Final = (0.0, 0.5)
"""Of a block's time."""
_TOKENS: Final = frozenset({"USDC", "USDT", "DAI", "WBTC", "LINK", "UNI", "AAVE"})
_ROUTERS: Final = {"uniswap_v2": "uniswap_v2_router", "sushi_v2": "sushi_router"}
_SWAP: Final = "swapExactETHForTokens(uint256,address[],address,uint256)"
_GAS: Final = 300_000
_TIP: Final = 5 * 10**9


class Bait(NamedTuple):
    """One that was mined; `pool` in lower-case hex."""

    block: int
    pool: str


class Baiter:
    """Lays baits into a live devnet's public mempool, drawn by `dice`; BAITER needs ether for them."""

    def __init__(self, scene: LiveDevnet, rpc: RpcClient, dice: Random) -> None:
        self._scene, self._rpc, self._dice = scene, rpc, dice
        self._pools = _turns(baited(scene.stage.manifest), dice)
        self._nonce = 0

    async def lay(self, blocks: int) -> list[Bait]:
        """Lay BAITS_A_BLOCK in each of so many blocks; return those mined, when all can have been taken.

        Raises what the chain refuses.
        """
        self._nonce = int(await self._rpc.call("eth_getTransactionCount", BAITER.address, "latest"), 16)
        sent: list[tuple[str, str]] = []
        for _ in range(blocks):
            await self._scene.blocks(1)
            moments = sorted(self._dice.uniform(*_MOMENTS) * BLOCK_SECONDS for _ in range(BAITS_A_BLOCK))
            for before, moment in pairwise([0.0, *moments]):
                await asyncio.sleep(moment - before)
                sent.append(await self._send(next(self._pools)))
        await self._scene.blocks(2 + TAKEN_WITHIN_BLOCKS)
        receipts: list[Any] = await self._rpc.batch([("eth_getTransactionReceipt", [name]) for name, _ in sent])
        mined = [(receipt, pool) for receipt, (_, pool) in zip(receipts, sent, strict=True) if receipt]
        return [Bait(int(receipt["blockNumber"], 16), pool) for receipt, pool in mined if receipt["status"] == "0x1"]

    async def _send(self, pool: Pool) -> tuple[str, str]:
        """Send one; return its transaction's hash and the pool's address."""
        manifest = self._scene.stage.manifest
        weth = manifest.token("WETH").address
        (other,) = (symbol for symbol in pool.tokens if symbol != "WETH")
        held = int(await self._rpc.call("eth_call", {"to": weth, "data": _balance_of(pool.address)}, "latest"), 16)
        fields = DynamicFeeFields(
            chain_id=ChainId(CHAIN_ID),
            nonce=self._nonce,
            max_priority_fee_per_gas=_TIP,
            max_fee_per_gas=4 * self._scene.head.next_base_fee + _TIP,
            gas_limit=_GAS,
            to=manifest.contracts[_ROUTERS[pool.family]],
            value=int(held * self._dice.uniform(*_SHARES)),
            data=encode_call(_SWAP, 0, [weth, manifest.token(other).address], BAITER.address, 2**40),
        )
        raw = sign_dynamic_fee(fields, BAITER.key)
        await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        self._nonce += 1
        return "0x" + keccak256(raw).hex(), pool.address.lower()


def baited(manifest: Manifest) -> list[Pool]:
    """Return the pools in which baits are laid: WETH against a token that is traded elsewhere too."""
    return [
        pool
        for pool in manifest.pools
        if pool.family in _ROUTERS and "WETH" in pool.tokens and not _TOKENS.isdisjoint(pool.tokens)
    ]


def taken(baits: Sequence[Bait], executions: Collection[VaultExecution]) -> int:
    """Return how many of these baits some vault's execution went through, in their block or soon behind it."""
    blocks: defaultdict[str, set[int]] = defaultdict(set)
    for execution in executions:
        for contract in execution.contracts:
            blocks[contract].add(execution.block)
    return sum(
        not blocks[bait.pool].isdisjoint(range(bait.block, bait.block + TAKEN_WITHIN_BLOCKS + 1)) for bait in baits
    )


def _turns(pools: Sequence[Pool], dice: Random) -> Iterator[Pool]:
    """Yield the pools in a drawn order, again and again in the same one."""
    order = list(pools)
    dice.shuffle(order)
    while True:
        yield from order


def _balance_of(owner: str) -> str:
    return "0x" + encode_call("balanceOf(address)", owner).hex()
