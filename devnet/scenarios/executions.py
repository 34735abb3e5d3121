"""What vaults executed, as the chain tells it: who sent it, and which contracts spoke in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from devnet.rpc import RpcClient
from protocol.ethereum.keccak import keccak256
from protocol.units import Address

EXECUTED: Final = "0x" + keccak256(b"Executed(address,address,uint256,uint256)").hex()
"""`Executed(safe, token, drawn, profit)` of the vault module."""


@dataclass(frozen=True, slots=True)
class VaultExecution:
    """One that succeeded; `sender` and `contracts` in lower-case hex, `profit` in the token's smallest unit."""

    block: int
    sender: str
    contracts: frozenset[str]
    token: str
    profit: int

    def is_through(self, pools: Collection[str]) -> bool:
        """Whether one of these contracts, in lower-case hex, took part."""
        return not self.contracts.isdisjoint(pools)


async def executions_of(
    rpc: RpcClient, module: str, safes: Collection[Address], first: int, last: int
) -> list[VaultExecution]:
    """Return what the vaults of these Safes executed from block `first` to `last`, in order. Raises `RpcError`."""
    named = ["0x" + safe.hex().rjust(64, "0") for safe in safes]
    wanted = {"address": module, "topics": [EXECUTED, named], "fromBlock": hex(first), "toBlock": hex(last)}
    found = []
    for log in await rpc.call("eth_getLogs", wanted):
        receipt = await rpc.call("eth_getTransactionReceipt", log["transactionHash"])
        contracts = frozenset(each["address"].lower() for each in receipt["logs"])
        token, profit = "0x" + log["topics"][2][-40:], int(log["data"][-64:], 16)
        found.append(VaultExecution(int(log["blockNumber"], 16), receipt["from"].lower(), contracts, token, profit))
    return found
