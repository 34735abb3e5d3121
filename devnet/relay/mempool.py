"""The mempool: transactions that wait for a block, by sender and nonce. Pure: time comes in as block numbers.

At the bound on size the cheapest last transaction of a sender makes room (never one from the middle of a queue, which
would strand those behind it), and only for a better paying one; else the newcomer is refused as underpriced.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from devnet.relay.context import PooledTransaction
from devnet.relay.mempool_rules import (
    AccountState,
    MempoolLimits,
    Reason,
    Refused,
    check_account,
    cost,
    may_replace,
)
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee


class Removal(Enum):
    """Why a transaction has left the mempool."""

    INCLUDED = "included"
    REPLACED = "replaced"
    EVICTED = "evicted for a better paying one"
    STALE_NONCE = "its nonce was used by another"
    UNFUNDED = "its sender can no longer pay for it"
    EXPIRED = "it waited too long"
    WITHDRAWN = "its sender took back what was private"
    UNEXECUTABLE = "the chain refused it"


@dataclass(slots=True)
class _Queue:
    """One sender's transactions by nonce; `state` as of the last block seen."""

    state: AccountState
    by_nonce: dict[int, PooledTransaction] = field(default_factory=dict)
    total_cost: int = 0

    def executable(self) -> Iterator[PooledTransaction]:
        nonce = self.state.nonce
        while (pooled := self.by_nonce.get(nonce)) is not None:
            yield pooled
            nonce += 1

    def last(self) -> PooledTransaction:
        return self.by_nonce[max(self.by_nonce)]


@dataclass(frozen=True, slots=True)
class Admission:
    """What an admission changed. `announce` is False for what is private or was public before."""

    pooled: PooledTransaction
    announce: bool


class Mempool:
    """Transactions that wait for a block. Every change of its content is counted in `removed` or returned."""

    def __init__(self, limits: MempoolLimits) -> None:
        self._limits = limits
        self._queues: dict[str, _Queue] = {}
        self._by_hash: dict[bytes, PooledTransaction] = {}
        self._entered: dict[bytes, int] = {}
        self._arrivals = 0
        self._block = 0
        self.removed: Counter[Removal] = Counter()

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[PooledTransaction]:
        return iter(self._by_hash.values())

    def get(self, transaction_hash: bytes) -> PooledTransaction | None:
        """Return the waiting transaction of that hash."""
        return self._by_hash.get(transaction_hash)

    def senders(self) -> tuple[str, ...]:
        """Return who has transactions waiting, in order of first arrival."""
        return tuple(self._queues)

    def add(self, transaction: SignedTransaction, account: AccountState, *, public: bool, base_fee: int) -> Admission:
        """Admit a transaction that passed `read_transaction`; `account` is its sender at the head. Raises `Refused`."""
        known = self._by_hash.get(transaction.hash)
        if known is not None:
            return self._make_public(known, public=public)
        check_account(transaction, account, self._limits)
        queue = self._queues.get(transaction.sender)
        rival = queue.by_nonce.get(transaction.nonce) if queue is not None else None
        if rival is not None and not may_replace(transaction, rival.transaction):
            raise Refused(Reason.REPLACEMENT_UNDERPRICED)
        self._check_funds(transaction, account, queue, rival)
        if rival is not None:
            self._remove(rival, Removal.REPLACED)
        elif len(self._by_hash) >= self._limits.transactions:
            self._make_room(transaction, base_fee)
        self._arrivals += 1
        pooled = PooledTransaction(transaction, self._arrivals, public)
        self._insert(pooled, account)
        return Admission(pooled, announce=public)

    def give_back(self, pooled: PooledTransaction, account: AccountState, *, base_fee: int) -> None:
        """Admit again what a reorg took out of its block; the sender's later nonces make room for it.

        It was announced before, or is private. Raises `Refused`.
        """
        transaction = pooled.transaction
        queue = self._queues.get(transaction.sender)
        while queue is not None and queue.by_nonce and queue.last().transaction.nonce > transaction.nonce:
            if queue.total_cost + cost(transaction) <= account.balance:
                break
            self._remove(queue.last(), Removal.UNFUNDED)
        self.add(transaction, account, public=pooled.public, base_fee=base_fee)

    def ready(self, base_fee: int) -> list[PooledTransaction]:
        """Return what a block of that base fee can take, by effective tip, then arrival; a sender's nonces in order."""
        walks: dict[str, Iterator[PooledTransaction]] = {}
        heap: list[tuple[int, int, PooledTransaction]] = []

        def push_next(sender: str) -> None:
            pooled = next(walks[sender], None)
            if pooled is not None and pooled.transaction.max_fee_per_gas >= base_fee:
                heapq.heappush(heap, (-effective_priority_fee(pooled.transaction, base_fee), pooled.arrival, pooled))

        for sender, queue in self._queues.items():
            walks[sender] = queue.executable()
            push_next(sender)
        ordered: list[PooledTransaction] = []
        while heap:
            pooled = heapq.heappop(heap)[2]
            ordered.append(pooled)
            push_next(pooled.transaction.sender)
        return ordered

    def pending_nonce(self, sender: str, state_nonce: int) -> int:
        """Return the nonce after the sender's public transactions without a gap, from the state's nonce on."""
        queue = self._queues.get(sender)
        nonce = state_nonce
        while queue is not None and (pooled := queue.by_nonce.get(nonce)) is not None and pooled.public:
            nonce += 1
        return nonce

    def public_split(self) -> tuple[list[PooledTransaction], list[PooledTransaction]]:
        """Return the public transactions that are executable by nonce, and those behind a gap (geth: queued)."""
        pending: list[PooledTransaction] = []
        queued: list[PooledTransaction] = []
        for sender, queue in self._queues.items():
            gap = self.pending_nonce(sender, queue.state.nonce)
            for nonce in sorted(queue.by_nonce):
                if (pooled := queue.by_nonce[nonce]).public:
                    (pending if nonce < gap else queued).append(pooled)
        return pending, queued

    def apply_block(
        self, number: int, included: Iterable[bytes], accounts: Mapping[str, AccountState]
    ) -> list[PooledTransaction]:
        """Take out what a block included, made stale or unpayable, and what expired; return the included.

        `accounts` holds the new state of at least every sender in `senders()`.
        """
        self._block = number
        taken = [pooled for hash_ in included if (pooled := self._by_hash.get(hash_)) is not None]
        for pooled in taken:
            self._remove(pooled, Removal.INCLUDED)
        for sender in self.senders():
            self._refresh(sender, accounts[sender])
        # `_entered` is in order of entry, so the expired ones are at its front.
        oldest = number - self._limits.blocks_kept
        expired = []
        for hash_, entered in self._entered.items():
            if entered > oldest:
                break
            expired.append(self._by_hash[hash_])
        for pooled in expired:
            self._remove(pooled, Removal.EXPIRED)
        return taken

    def drop(self, transaction_hash: bytes, removal: Removal) -> None:
        """Take out one transaction, if it is there."""
        if (pooled := self._by_hash.get(transaction_hash)) is not None:
            self._remove(pooled, removal)

    def withdraw(self, transaction_hash: bytes) -> bool:
        """Take out a private transaction; whether it was there. What is public cannot be taken back."""
        pooled = self._by_hash.get(transaction_hash)
        if pooled is None or pooled.public:
            return False
        self._remove(pooled, Removal.WITHDRAWN)
        return True

    def rewind(self, number: int, accounts: Mapping[str, AccountState]) -> None:
        """Take the state of an earlier block after a reorg; nonces may go down, so nothing becomes stale by it."""
        self._block = number
        for hash_, entered in self._entered.items():
            self._entered[hash_] = min(entered, number)
        for sender in self.senders():
            self._refresh(sender, accounts[sender])

    def _make_public(self, known: PooledTransaction, *, public: bool) -> Admission:
        if known.public or not public:
            raise Refused(Reason.ALREADY_KNOWN)
        shown = replace(known, public=True)
        self._by_hash[known.transaction.hash] = shown
        self._queues[known.transaction.sender].by_nonce[known.transaction.nonce] = shown
        return Admission(shown, announce=True)

    @staticmethod
    def _check_funds(
        transaction: SignedTransaction, account: AccountState, queue: _Queue | None, rival: PooledTransaction | None
    ) -> None:
        if queue is None:
            return
        queued = queue.total_cost - (cost(rival.transaction) if rival is not None else 0)
        if queued + cost(transaction) > account.balance:
            raise Refused(
                Reason.INSUFFICIENT_FUNDS,
                f"balance {account.balance}, queued cost {queued}, tx cost {cost(transaction)}",
            )

    def _make_room(self, newcomer: SignedTransaction, base_fee: int) -> None:
        """Evict the cheapest last transaction of another sender, if the newcomer pays more than it."""
        others = [queue.last() for sender, queue in self._queues.items() if sender != newcomer.sender]
        if not others:
            raise Refused(Reason.POOL_FULL)
        cheapest = min(
            others, key=lambda pooled: (effective_priority_fee(pooled.transaction, base_fee), -pooled.arrival)
        )
        if effective_priority_fee(cheapest.transaction, base_fee) >= effective_priority_fee(newcomer, base_fee):
            raise Refused(Reason.UNDERPRICED, "the mempool is full of better paying transactions")
        self._remove(cheapest, Removal.EVICTED)

    def _insert(self, pooled: PooledTransaction, account: AccountState) -> None:
        transaction = pooled.transaction
        queue = self._queues.setdefault(transaction.sender, _Queue(account))
        queue.state = account
        queue.by_nonce[transaction.nonce] = pooled
        queue.total_cost += cost(transaction)
        self._by_hash[transaction.hash] = pooled
        self._entered[transaction.hash] = self._block

    def _remove(self, pooled: PooledTransaction, removal: Removal) -> None:
        transaction = pooled.transaction
        queue = self._queues[transaction.sender]
        del queue.by_nonce[transaction.nonce]
        queue.total_cost -= cost(transaction)
        if not queue.by_nonce:
            del self._queues[transaction.sender]
        del self._by_hash[transaction.hash]
        del self._entered[transaction.hash]
        self.removed[removal] += 1

    def _refresh(self, sender: str, account: AccountState) -> None:
        queue = self._queues[sender]
        queue.state = account
        for nonce in sorted(queue.by_nonce):
            if nonce >= account.nonce:
                break
            self._remove(queue.by_nonce[nonce], Removal.STALE_NONCE)
        while queue.by_nonce and queue.total_cost > account.balance:
            self._remove(queue.last(), Removal.UNFUNDED)
