"""Somebody who sends transactions into a devnet's public mempool, and waits for the blocks that take them."""

from __future__ import annotations

import asyncio
from typing import Any

from devnet.accounts import Account
from devnet.rpc import RpcClient
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee

TIP = 10**9


class PublicSender:
    """One account; one transaction of it at a time is pending."""

    def __init__(self, rpc: RpcClient, chain_id: int, account: Account) -> None:
        self._rpc, self._chain_id, self._account = rpc, chain_id, account

    async def send(self, to: str | None, data: bytes) -> bytes:
        """Send one; return its hash."""
        fields = DynamicFeeFields(
            chain_id=self._chain_id,
            nonce=int(await self._rpc.call("eth_getTransactionCount", self._account.address, "latest"), 16),
            max_priority_fee_per_gas=TIP,
            max_fee_per_gas=100 * TIP,
            gas_limit=1_000_000,
            to=to,
            value=0,
            data=data,
        )
        raw = sign_dynamic_fee(fields, self._account.key)
        await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        return keccak256(raw)

    async def mined(self, sent: bytes) -> dict[str, Any]:
        """The receipt of one that must succeed."""
        async with asyncio.timeout(60):
            while (receipt := await self._rpc.call("eth_getTransactionReceipt", "0x" + sent.hex())) is None:
                await asyncio.sleep(0.2)
        assert receipt["status"] == "0x1"
        found: dict[str, Any] = receipt
        return found


async def next_block(rpc: RpcClient) -> None:
    """Return right after a block, with all the time until the next one before us."""
    before = await rpc.call("eth_blockNumber")
    async with asyncio.timeout(60):
        while await rpc.call("eth_blockNumber") == before:
            await asyncio.sleep(0.05)
