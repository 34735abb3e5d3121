"""A chain to act on in tests: sends signed transactions and mines each in a block of its own, at a pinned time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devnet.accounts import Account
from devnet.anvil import CHAIN_ID
from devnet.rpc import RpcClient
from protocol.ethereum.abi import decode, encode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee

BLOCK_SECONDS = 2


@dataclass(frozen=True)
class Chain:
    """Acts on one Anvil through `rpc`."""

    rpc: RpcClient

    async def read(self, to: str, signature: str, returns: Sequence[str], *arguments: Any) -> tuple[Any, ...]:
        """Call a view function."""
        request = {"to": to, "data": "0x" + encode_call(signature, *arguments).hex()}
        return decode(returns, bytes.fromhex((await self.rpc.call("eth_call", request, "latest"))[2:]))

    async def balance(self, token: str, owner: str) -> int:
        """An ERC-20 balance."""
        return int((await self.read(token, "balanceOf(address)", ["uint256"], owner))[0])

    async def try_send(
        self, sender: Account, to: str, signature: str, *arguments: Any, value: int = 0
    ) -> dict[str, Any]:
        """Send a call, mine it, return its receipt whatever became of it."""
        return await self._mine(sender, to, encode_call(signature, *arguments), value)

    async def send(self, sender: Account, to: str, signature: str, *arguments: Any, value: int = 0) -> dict[str, Any]:
        """Send a call that must succeed, mine it, return its receipt."""
        receipt = await self.try_send(sender, to, signature, *arguments, value=value)
        assert receipt["status"] == "0x1", f"{signature} reverted"
        return receipt

    async def send_data(self, sender: Account, to: str, data: bytes, value: int = 0) -> dict[str, Any]:
        """Send a call whose data is given, mine it, return its receipt whatever became of it."""
        return await self._mine(sender, to, data, value)

    async def create(self, sender: Account, code: bytes, types: Sequence[str] = (), values: Sequence[Any] = ()) -> str:
        """Create a contract; return its address."""
        receipt = await self._mine(sender, None, code + encode(types, values), 0)
        assert receipt["status"] == "0x1"
        return str(receipt["contractAddress"])

    async def mine(self) -> None:
        """Mine one block, BLOCK_SECONDS after its parent."""
        head = await self.rpc.call("eth_getBlockByNumber", "latest", False)
        await self.rpc.call("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + BLOCK_SECONDS)
        await self.rpc.call("evm_mine")

    async def _mine(self, sender: Account, to: str | None, data: bytes, value: int) -> dict[str, Any]:
        fields = DynamicFeeFields(
            chain_id=CHAIN_ID,
            nonce=int(await self.rpc.call("eth_getTransactionCount", sender.address, "latest"), 16),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=10**11,
            gas_limit=8_000_000,
            to=to,
            value=value,
            data=data,
        )
        raw = sign_dynamic_fee(fields, sender.key)
        await self.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        await self.mine()
        receipt: dict[str, Any] = await self.rpc.call("eth_getTransactionReceipt", "0x" + keccak256(raw).hex())
        return receipt
