"""Follows the chain while the demo runs and keeps what the summary needs: blocks, receipts, balances. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from devnet.accounts import account
from devnet.demo.hindsight_reading import TRADED, read_states
from devnet.errors import ChainFailed, RpcError
from devnet.manifest import Manifest, Operator
from devnet.protocols.vaults import PINNED
from devnet.rpc import RpcClient
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256

_V4_SWAP: Final = "0x" + keccak256(b"Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)").hex()
"""Its first amount is ether's, where the pool holds that: negative what the swapper paid."""
_WITHDRAWAL: Final = "0x" + keccak256(b"Withdrawal(address,uint256)").hex()


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction and what became of it; `from`, `to` and addresses of logs in lower case."""

    hash: str
    sender: str
    succeeded: bool
    gas_used: int
    gas_price: int
    logs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block with all that was mined in it, in order."""

    number: int
    base_fee: int
    transactions: tuple[Mined, ...]
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an operator's Safes hold of each token, and its hot keys of ether, in smallest units."""

    tokens: Mapping[str, int]
    ether: int


@dataclass(slots=True)
class ChainWatch:
    """See the module. `start` fixes the block before the first that counts."""

    rpc: RpcClient
    manifest: Manifest
    operators: Sequence[Operator]
    families: Collection[str] = TRADED
    """Whose pools hindsight looks at: those that the nodes trade."""
    blocks: list[SeenBlock] = field(default_factory=list)
    before: dict[str, Holdings] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    """Pools before the first block."""
    first: int = 0
    most: int | None = None
    """So many blocks are looked at; the chain may be further already."""

    async def start(self) -> None:
        """Take the present head as the moment from which everything counts. Raises `ChainFailed`, `RpcError`."""
        head = int(await self.rpc.call("eth_blockNumber"), 16)
        self.first = head + 1
        self.states = await read_states(self.rpc, self.manifest, head, self.families)
        self.before = await self.holdings(head)

    @property
    def last(self) -> int:
        """The last block that was taken in."""
        return self.first + len(self.blocks) - 1

    async def catch_up(self) -> None:
        """Take in every block up to the head, as far as they count. Raises `ChainFailed`, `RpcError`."""
        head = int(await self.rpc.call("eth_blockNumber"), 16)
        if self.most is not None:
            head = min(head, self.first + self.most - 1)
        while self.last < head:
            number = hex(self.last + 1)
            block = await self.rpc.call("eth_getBlockByNumber", number, False)
            self.blocks.append(_seen(block, await self.rpc.call("eth_getBlockReceipts", number)))

    async def holdings(self, number: int) -> dict[str, Holdings]:
        """Return by operator what Safes and hot keys hold after a block. Raises `ChainFailed`, `RpcError`."""
        calls: list[tuple[str, list[Any]]] = []
        for operator in self.operators:
            for symbol in PINNED:
                token = self.manifest.token(symbol).address
                for vault in operator.vaults:
                    data = "0x" + encode_call("balanceOf(address)", vault.safe).hex()
                    calls.append(("eth_call", [{"to": token, "data": data}, hex(number)]))
            keys = [account(vault.hot_key).address for vault in operator.vaults]
            calls += [("eth_getBalance", [key, hex(number)]) for key in keys]
        answers = iter(await self.rpc.batch(calls))
        found = {}
        for operator in self.operators:
            count = len(operator.vaults)
            tokens = {symbol: sum(_amount(next(answers)) for _ in range(count)) for symbol in PINNED}
            found[operator.name] = Holdings(tokens, sum(_amount(next(answers)) for _ in range(count)))
        return found


def coinbase_payment(manifest: Manifest, mined: Mined) -> int:
    """Return the wei that our executor paid the builder: the WETH it unwrapped, but for what V4 took in ether."""
    executor = "0x" + manifest.contracts["arb_executor"][2:].lower().rjust(64, "0")
    of_ether = {pool.pool_id.lower() for pool in manifest.pools if pool.native_ether}
    unwrapped = 0
    for log in mined.logs:
        topics = [topic.lower() for topic in log["topics"]]
        if topics == [_WITHDRAWAL, executor]:
            unwrapped += int(log["data"], 16)
        elif len(topics) == 3 and topics[0] == _V4_SWAP and topics[1] in of_ether and topics[2] == executor:
            ether = int(log["data"][2:66], 16)
            unwrapped -= (1 << 256) - ether if ether >> 255 else 0
    return unwrapped


def _seen(block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> SeenBlock:
    try:
        transactions = tuple(
            Mined(
                hash=receipt["transactionHash"],
                sender=receipt["from"].lower(),
                succeeded=receipt["status"] == "0x1",
                gas_used=int(receipt["gasUsed"], 16),
                gas_price=int(receipt["effectiveGasPrice"], 16),
                logs=receipt["logs"],
            )
            for receipt in receipts
        )
        return SeenBlock(int(block["number"], 16), int(block["baseFeePerGas"], 16), transactions, block["hash"])
    except (KeyError, TypeError, ValueError) as error:
        raise ChainFailed(f"the chain told a block that cannot be read: {error!r}") from error


def _amount(answer: Any) -> int:
    if isinstance(answer, RpcError):
        raise answer
    return int(answer, 16)
