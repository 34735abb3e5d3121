"""The pending transactions that we can follow: by hash, by pool, by sender. Bounded: the oldest leave, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from node.pipeline.decoders import Step, decode_steps
from node.pipeline.events import PoolChange
from node.pipeline.market import Market
from node.pipeline.reasons import Reason
from node.pipeline.settings import RouterKind
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Address, BlockNumber, Hash32, UnixNanoseconds

MAX_PREDECESSORS = 8
RoutedSwaps = tuple[tuple[Step, tuple[int, ...]], ...]
"""What a transaction does step by step: swaps with the edges of their legs, and payments, which have none."""


class PendingSwap(msgspec.Struct, frozen=True, gc=False):
    """A pending transaction with the swaps that it makes, each with the edges of its legs; or, where no decoder reads
    it, with the changes that it made to `pools` when it was simulated on the state after `on_block`.

    `changes` is None while they are not known on the head. One without pools changes none, but has a nonce.
    `account_nonce`: the sender's next nonce when it was seen, or after the last block that took one of the sender's
    pending ones; None if not known.
    """

    transaction: SignedTransaction
    swaps: RoutedSwaps
    pools: tuple[int, ...]
    received_at: UnixNanoseconds
    seen_at_block: BlockNumber
    account_nonce: int | None
    changes: tuple[PoolChange, ...] | None = ()
    on_block: Hash32 | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether its effect is what a simulation told: that holds on one state alone."""
        return self.on_block is not None


def routed_swaps(
    market: Market, kind: RouterKind, transaction: SignedTransaction, coin: Address
) -> RoutedSwaps | Reason:
    """The swaps of a transaction to a router of `kind`, with the edges of their legs."""
    ends = [Address(bytes.fromhex(one[2:])) if one else None for one in (transaction.to, transaction.sender)]
    swaps = decode_steps(kind, transaction.data, transaction.value, coin, *ends)
    if not swaps:
        return Reason.NOT_A_SWAP
    routed: list[tuple[Step, tuple[int, ...]]] = []
    for swap in swaps:
        edges: list[int] = []
        for key in swap.keys:
            edge = market.edge_by_key.get(key)
            if edge is None or not market.is_eligible(market.edges[edge].pool):
                return Reason.POOL_UNKNOWN
            edges.append(edge)
        routed.append((swap, tuple(edges)))
    return tuple(routed)


class PendingBook:
    """What is pending, in the order of arrival."""

    def __init__(self, limit: int) -> None:
        self.overflowed = 0
        self._limit = limit
        self._by_hash: dict[bytes, PendingSwap] = {}
        self._by_pool: dict[int, dict[bytes, PendingSwap]] = {}
        self._by_sender: dict[str, dict[int, PendingSwap]] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._by_hash

    def __iter__(self) -> Iterator[PendingSwap]:
        return iter(tuple(self._by_hash.values()))

    def add(self, pending: PendingSwap) -> None:
        """Take it in; one of the same sender and nonce is replaced."""
        replaced = self._by_sender.get(pending.transaction.sender, {}).get(pending.transaction.nonce)
        if replaced is not None:
            self.remove(replaced.transaction.hash)
        if len(self._by_hash) >= self._limit:
            self.overflowed += 1
            self.remove(next(iter(self._by_hash)))
        self._put(pending)

    def _put(self, pending: PendingSwap) -> None:
        self._by_sender.setdefault(pending.transaction.sender, {})[pending.transaction.nonce] = pending
        self._by_hash[pending.transaction.hash] = pending
        for pool in pending.pools:
            self._by_pool.setdefault(pool, {})[pending.transaction.hash] = pending

    def get(self, transaction_hash: bytes) -> PendingSwap | None:
        """The one with this hash; None if it is not there."""
        return self._by_hash.get(transaction_hash)

    def remove(self, transaction_hash: bytes) -> bool:
        """Forget it; False if it was not there."""
        pending = self._by_hash.pop(transaction_hash, None)
        if pending is None:
            return False
        for pool in pending.pools:
            there = self._by_pool[pool]
            there.pop(transaction_hash, None)
            if not there:
                del self._by_pool[pool]
        sender = self._by_sender[pending.transaction.sender]
        del sender[pending.transaction.nonce]
        if not sender:
            del self._by_sender[pending.transaction.sender]
        return True

    def mined(self, transaction_hash: bytes) -> None:
        """Forget what a block took, if it is there; the sender's others stand at the nonce after it."""
        pending = self._by_hash.get(transaction_hash)
        if pending is None:
            return
        self.remove(transaction_hash)
        account_nonce = pending.transaction.nonce + 1
        for waiting in tuple(self._by_sender.get(pending.transaction.sender, {}).values()):
            if waiting.account_nonce is None or waiting.account_nonce < account_nonce:
                self._put(msgspec.structs.replace(waiting, account_nonce=account_nonce))

    def outdate(self) -> list[PendingSwap]:
        """Another head: what simulations told does not hold any more. Return those."""
        outdated = [msgspec.structs.replace(pending, changes=None) for pending in self if pending.is_simulated]
        for pending in outdated:
            self._put(pending)
        return outdated

    def expire(self, before: BlockNumber) -> int:
        """Forget what was seen before a block; return how many."""
        old = [pending.transaction.hash for pending in self if pending.seen_at_block < before]
        for transaction_hash in old:
            self.remove(transaction_hash)
        return len(old)

    def has_company(self, pending: PendingSwap) -> bool:
        """Whether anything else waits on its pools."""
        return any(len(self._by_pool.get(pool, ())) > 1 for pool in pending.pools)

    def on_pools(self, pools: Iterable[int]) -> list[PendingSwap]:
        """Those that swap through any of the pools, in the order of arrival."""
        found: dict[bytes, PendingSwap] = {}
        for pool in pools:
            found.update(self._by_pool.get(pool, {}))
        return sorted(found.values(), key=_arrival)

    def with_predecessors(self, pending: PendingSwap) -> list[PendingSwap] | None:
        """The sender's earlier pending ones, then this; None if one between the chain's nonce and it was never seen."""
        nonce = pending.transaction.nonce
        if pending.account_nonce is None or pending.account_nonce >= nonce:
            return [pending]
        if nonce - pending.account_nonce > MAX_PREDECESSORS:
            return None
        earlier = self._by_sender.get(pending.transaction.sender, {})
        chain = [earlier[number] for number in range(pending.account_nonce, nonce) if number in earlier]
        return [*chain, pending] if len(chain) == nonce - pending.account_nonce else None


def _arrival(pending: PendingSwap) -> tuple[int, int, bytes]:
    return pending.received_at, pending.transaction.nonce, pending.transaction.hash
