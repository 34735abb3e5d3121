"""The stage of a scenario whose nodes run: what is acted goes to the public mempool, blocks come by themselves.

Everything that is played on a still stage can be played here, among the order flow. Time that nobody waits for is
jumped over, as by `hftnode devnet warp`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from devnet.accounts import Account
from devnet.anvil import CHAIN_ID
from devnet.rpc import RpcClient
from devnet.scenarios.nodes import LiveDevnet
from devnet.scenarios.stage import BLOCK_SECONDS, GAS, Outcome, Stage
from governance.actions import Action
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import ChainId, address_to_hex

_TIP: Final = 5 * 10**9
_BASE_FEES_AHEAD: Final = 4
_WAITED_SECONDS: Final = 60
"""A longer time is jumped over."""


@dataclass
class LiveStage(Stage):
    """See the module; `scene`: what goes on around."""

    scene: LiveDevnet

    async def attempt(self, who: Account, action: Action) -> Outcome:
        """Send an action to the public mempool, wait for its block, and say what became of it."""
        fields = DynamicFeeFields(
            chain_id=ChainId(CHAIN_ID),
            nonce=int(await self.rpc.call("eth_getTransactionCount", who.address, "latest"), 16),
            max_priority_fee_per_gas=_TIP,
            max_fee_per_gas=_BASE_FEES_AHEAD * self.scene.head.next_base_fee + _TIP,
            gas_limit=GAS,
            to=address_to_hex(action.to),
            value=action.value,
            data=action.data,
        )
        raw = sign_dynamic_fee(fields, who.key)
        name, found = "0x" + keccak256(raw).hex(), list[dict[str, Any]]()
        await self.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())

        async def is_mined() -> bool:
            receipt = await self.rpc.call("eth_getTransactionReceipt", name)
            found.extend([receipt] if receipt else [])
            return bool(found)

        await self.scene.until(is_mined, f"{who.name}: {action.title}")
        return await self.outcome(who, action, found[0])

    async def mine(self, seconds: int = BLOCK_SECONDS) -> None:
        """Wait for a block in which so many seconds have passed."""
        _, now = await self.head()
        if seconds > _WAITED_SECONDS:
            await self.scene.control("devnet_warp", seconds)

        async def has_come() -> bool:
            return (await self.head())[1] >= now + seconds

        await self.scene.until(has_come, f"{seconds} s have passed on the chain")

    async def mine_to(self, block: int) -> None:
        """Wait for a block."""
        await self.scene.blocks(block - self.scene.head.number)


@contextlib.asynccontextmanager
async def live_stage(scene: LiveDevnet) -> AsyncIterator[LiveStage]:
    """Go on with a stage among its live nodes."""
    stage = scene.stage
    async with RpcClient(scene.relay.public_url) as rpc:
        yield LiveStage(rpc, stage.ground, stage.random, stage.tell, scene)
