"""The chain on which `benchmarks.gas` measures: the devnet's world with WETH dear on Uniswap V2."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID, Anvil, AnvilOptions
from devnet.errors import ChainFailed
from devnet.home import Home
from devnet.manifest import Manifest
from devnet.packages import Packages, ensure_packages
from devnet.rpc import RpcClient
from devnet.world import ensure_world
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import Address

ETHER: Final = 10**18
OPERATOR: Final = account("operator-0")
WHALE: Final = account("whale-0")
NEVER: Final = 2**40
_GAS: Final = 8_000_000
_FEE: Final = 10**11


@dataclass(frozen=True, slots=True)
class Scene:
    """A chain that takes one transaction a block, and can be put back to where it was."""

    rpc: RpcClient
    manifest: Manifest
    packages: Packages
    home: Home

    def token(self, symbol: str) -> str:
        """Return a token's address."""
        return self.manifest.token(symbol).address

    def contract(self, name: str) -> str:
        """Return a contract's address."""
        return self.manifest.contracts[name]

    def pool(self, name: str) -> str:
        """Return a pool's address."""
        return next(pool.address for pool in self.manifest.pools if pool.name == name)

    def pool_id(self, name: str) -> bytes:
        """Return a pool's id of 32 bytes."""
        return bytes.fromhex(next(pool.pool_id for pool in self.manifest.pools if pool.name == name)[2:])

    async def head(self) -> int:
        """Return the last block's number."""
        return int(await self.rpc.call("eth_blockNumber"), 16)

    async def mine(self) -> None:
        """Mine one block."""
        head = await self.rpc.call("eth_getBlockByNumber", "latest", False)
        await self.rpc.call("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + 2)
        await self.rpc.call("evm_mine")

    async def send(self, sender: Account, to: str | None, data: bytes) -> dict[str, Any]:
        """Mine a transaction, which must succeed, and return its receipt. Raises `ChainFailed`."""
        fields = DynamicFeeFields(
            chain_id=CHAIN_ID,
            nonce=int(await self.rpc.call("eth_getTransactionCount", sender.address, "latest"), 16),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=_FEE,
            gas_limit=_GAS,
            to=to,
            value=0,
            data=data,
        )
        raw = sign_dynamic_fee(fields, sender.key)
        await self.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        await self.mine()
        receipt: dict[str, Any] = await self.rpc.call("eth_getTransactionReceipt", "0x" + keccak256(raw).hex())
        if receipt["status"] != "0x1":
            raise ChainFailed(f"a transaction of {sender.name} to {to} reverted")
        return receipt

    async def call(self, sender: Account, to: str, signature: str, *arguments: Any) -> dict[str, Any]:
        """Mine a call by its signature. Raises `ChainFailed`."""
        return await self.send(sender, to, encode_call(signature, *arguments))

    async def create(self, code: bytes) -> str:
        """Create a contract. Raises `ChainFailed`."""
        return str((await self.send(OPERATOR, None, code))["contractAddress"])

    async def gas(
        self, sender: Account, to: str, data: bytes, before: Sequence[tuple[Account, str, bytes]] = ()
    ) -> int:
        """Return what a transaction takes after some that make ready; put the chain back. Raises `ChainFailed`."""
        snapshot = await self.rpc.call("evm_snapshot")
        for maker, place, prepared in before:
            await self.send(maker, place, prepared)
        used = int((await self.send(sender, to, data))["gasUsed"], 16)
        await self.rpc.call("evm_revert", snapshot)
        return used


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """Yield the world on a chain of its own, somebody having bought WETH for 900,000 dollars on Uniswap V2."""
    home = Home.from_environment()
    packages = ensure_packages(home, print)
    world = await ensure_world(home, packages, print)
    with TemporaryDirectory(prefix="hftnode-gas-") as folder:
        options = AnvilOptions(load_state=world.state_path)
        async with Anvil(packages.anvil, options, Path(folder) / "anvil.log") as anvil, RpcClient(anvil.url) as rpc:
            made = Scene(rpc, world.manifest, packages, home)
            swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
            path = [made.token("USDC"), made.token("WETH")]
            arguments = (900_000 * 10**6, 0, path, WHALE.address, NEVER)
            await made.call(WHALE, made.contract("uniswap_v2_router"), swap, *arguments)
            yield made


def raw(address: str) -> Address:
    """Return an address as bytes."""
    return Address(bytes.fromhex(address[2:]))
