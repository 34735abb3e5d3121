"""Which of the pending transactions that no decoder reads are simulated: as many a second as the bounds say, and what
never touched a followed pool only now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.pipeline.pending import PendingSwap
from node.pipeline.settings import NANOSECONDS_PER_SECOND
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import BlockNumber, UnixNanoseconds

LEAST_GAS: Final = 70_000
"""With less no pool is swapped through: 21,000 of the transaction, two transfers, what the pool itself writes."""
MOST_GAS: Final = 3_000_000
"""With more, its sender's before it included, nothing is run: a stranger's loop would hold everything else up."""
GAS_OF_ONE: Final = 300_000
"""A simulation of more gas counts as several: what the budget bounds is the time that strangers' code may take."""
SELECTOR_BYTES: Final = 4
MISSES: Final = 3
"""So often in a row a function of a contract may touch no followed pool; then only one call in `LOOKS` is simulated."""
LOOKS: Final = 16
MAX_LIKES: Final = 4_096
"""Functions of contracts of which that is remembered; the one that was longest not seen is forgotten."""
MAX_WAITING: Final = 256
"""Transactions whose simulation was asked for; the oldest leave."""

_Like = tuple[str, bytes]


class Unread:
    """The transactions that wait for their simulation, in the order in which it was asked for; budget and memory."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left, self._left_at = per_second * NANOSECONDS_PER_SECOND, UnixNanoseconds(0)
        """What is left of the budget, in billionths of a simulation."""
        self._misses: dict[_Like, int] = {}
        self._waiting: dict[bytes, PendingSwap] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[PendingSwap]:
        return iter(tuple(self._waiting.values()))

    def is_within_budget(self, now: UnixNanoseconds, gas: int) -> bool:
        """Take a simulation of so much gas from the budget, which holds a second's; False if too little is left."""
        full = self._per_second * NANOSECONDS_PER_SECOND
        self._left = min(full, self._left + max(0, now - self._left_at) * self._per_second)
        self._left_at = now
        cost = min(full, -(-gas // GAS_OF_ONE) * NANOSECONDS_PER_SECOND)
        if self._left < cost:
            return False
        self._left -= cost
        return True

    def is_likely(self, transaction: SignedTransaction) -> bool:
        """Whether its like may touch a followed pool, by what was seen; the question counts."""
        like = _like(transaction)
        misses = self._misses.get(like, 0)
        if misses < MISSES:
            return True
        self._remember(like, misses + 1)
        return misses % LOOKS == 0

    def learn(self, transaction: SignedTransaction, *, touched: bool) -> None:
        """Take in whether it touched a followed pool."""
        like = _like(transaction)
        if touched:
            self._misses.pop(like, None)
        else:
            self._remember(like, self._misses.get(like, 0) + 1)

    def wait(self, pending: PendingSwap) -> int:
        """Note that a simulation was asked for; return how many others had to leave."""
        self._waiting.pop(pending.transaction.hash, None)
        self._waiting[pending.transaction.hash] = pending
        if len(self._waiting) <= MAX_WAITING:
            return 0
        del self._waiting[next(iter(self._waiting))]
        return 1

    def pop(self, transaction_hash: bytes) -> PendingSwap | None:
        """Let one go; None if it does not wait."""
        return self._waiting.pop(transaction_hash, None)

    def expire(self, before: BlockNumber) -> int:
        """Forget what was seen before a block; return how many."""
        old = [pending.transaction.hash for pending in self if pending.seen_at_block < before]
        for transaction_hash in old:
            del self._waiting[transaction_hash]
        return len(old)

    def _remember(self, like: _Like, misses: int) -> None:
        self._misses.pop(like, None)
        self._misses[like] = misses
        if len(self._misses) > MAX_LIKES:
            del self._misses[next(iter(self._misses))]


def _like(transaction: SignedTransaction) -> _Like:
    return transaction.to or "", transaction.data[:SELECTOR_BYTES]
