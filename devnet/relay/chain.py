"""The published chain: its head, its latest blocks, and the accounts of those who send transactions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from devnet.errors import ChainFailed, RpcError
from devnet.relay.context import PooledTransaction
from devnet.relay.gas import next_base_fee
from devnet.relay.mempool_rules import AccountState
from devnet.rpc import RpcClient

_ACCOUNTS_KEPT: Final = 4096
_ACCOUNTS_REFRESHED: Final = 256
_ATTEMPTS: Final = 8
RECENT_BLOCKS: Final = 64
"""How many blocks are remembered, so how deep a reorg can go; Anvil keeps as many states."""


@dataclass(frozen=True, slots=True)
class Head:
    """A block as published. `header` is the JSON of `newHeads`: the block without its transactions."""

    number: int
    hash: str
    timestamp: int
    base_fee: int
    gas_used: int
    gas_limit: int
    header: dict[str, Any]

    @classmethod
    def from_block(cls, block: Mapping[str, Any]) -> Self:
        """Read the answer of `eth_getBlockByNumber`."""
        header = {name: value for name, value in block.items() if name not in _NOT_IN_HEADER}
        return cls(
            number=int(block["number"], 16),
            hash=str(block["hash"]),
            timestamp=int(block["timestamp"], 16),
            base_fee=int(block["baseFeePerGas"], 16),
            gas_used=int(block["gasUsed"], 16),
            gas_limit=int(block["gasLimit"], 16),
            header=header,
        )

    @property
    def next_base_fee(self) -> int:
        """The base fee of the block after this one, in wei per gas."""
        return next_base_fee(self.base_fee, self.gas_used, self.gas_limit)


_NOT_IN_HEADER: Final = frozenset(("transactions", "uncles", "withdrawals", "size", "totalDifficulty"))


@dataclass(frozen=True, slots=True)
class PublishedBlock:
    """A block, its logs (JSON), and what it took from the mempool."""

    head: Head
    logs: tuple[dict[str, Any], ...]
    from_mempool: tuple[PooledTransaction, ...]


class Chain:
    """What is published, as against what Anvil is doing at the moment. Reads are pinned to the head's number."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._head: Head | None = None
        self._accounts: OrderedDict[str, AccountState] = OrderedDict()
        self.chain_id = 0
        self.recent: OrderedDict[int, PublishedBlock] = OrderedDict()

    async def start(self, gas_limit: int) -> None:
        """Pin the gas limit of the blocks to come, and read where the chain stands. Raises `ChainFailed`."""
        chain_id, block, pinned = await self._rpc.batch(
            [
                ("eth_chainId", []),
                ("eth_getBlockByNumber", ["latest", False]),
                ("evm_setBlockGasLimit", [hex(gas_limit)]),
            ]
        )
        if isinstance(chain_id, RpcError) or isinstance(block, RpcError) or isinstance(pinned, RpcError):
            raise ChainFailed(f"the chain does not tell its head: {chain_id} {block} {pinned}")
        self.chain_id = int(chain_id, 16)
        self._head = Head.from_block(block)
        self.recent[self._head.number] = PublishedBlock(self._head, (), ())

    @property
    def head(self) -> Head:
        """The last published block."""
        if self._head is None:
            raise RuntimeError("the chain is used before its start")
        return self._head

    def publish(self, block: PublishedBlock, accounts: Mapping[str, AccountState]) -> None:
        """Make a block the head; accounts that are not given are asked for again at need."""
        self._head = block.head
        self.recent[block.head.number] = block
        while len(self.recent) > RECENT_BLOCKS:
            self.recent.popitem(last=False)
        self._accounts = OrderedDict(list(accounts.items())[-_ACCOUNTS_KEPT:])

    def unpublish(self, ancestor: Head) -> list[PublishedBlock]:
        """Go back to an earlier block in a reorg; return the orphans, oldest first."""
        orphans = [block for number, block in self.recent.items() if number > ancestor.number]
        for orphan in orphans:
            del self.recent[orphan.head.number]
        self._head = ancestor
        self._accounts = OrderedDict()
        return orphans

    def recently_asked(self) -> tuple[str, ...]:
        """Return the accounts that were asked for last, at most 256: those who will probably send again."""
        return tuple(self._accounts)[-_ACCOUNTS_REFRESHED:]

    async def account(self, address: str) -> AccountState:
        """Return an account at the head, from memory where it was asked for since the last block."""
        state = self._accounts.pop(address, None)
        for _ in range(_ATTEMPTS):
            if state is not None:
                break
            head = self.head
            told = (await self.accounts_at(head.number, (address,)))[address]
            if head is self._head:  # else a block came meanwhile
                state = told
        if state is None:
            raise ChainFailed(f"blocks come faster than the chain tells the account {address}")
        self._accounts[address] = state
        if len(self._accounts) > _ACCOUNTS_KEPT:
            self._accounts.popitem(last=False)
        return state

    async def accounts_at(self, number: int, addresses: Iterable[str]) -> dict[str, AccountState]:
        """Ask for accounts in the state of a block, in one request."""
        asked = tuple(addresses)
        block = hex(number)
        calls = [
            (method, (address, block)) for address in asked for method in ("eth_getTransactionCount", "eth_getBalance")
        ]
        numbers: list[int] = []
        for answer in await self._rpc.batch(calls):
            if isinstance(answer, RpcError):
                raise ChainFailed(f"the chain does not tell an account at block {number}: {answer}")
            numbers.append(int(answer, 16))
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return {address: AccountState(*pair) for address, pair in zip(asked, pairs, strict=True)}
