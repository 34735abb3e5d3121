"""Pending answers of price feeds: by hash and by sender, in the order of nonces. Bounded: the oldest of the feed
that has most leave, counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from node.pipeline.lending.oracle_view import pending_answer
from node.pipeline.pending import MAX_PREDECESSORS
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import BlockNumber, UnixNanoseconds

MAX_ANSWERS = 256


class PendingAnswer(msgspec.Struct, frozen=True, gc=False):
    """A pending transaction to an aggregator (lower-case hex), and what it will answer.

    `account_nonce`: as that of a PendingSwap.
    """

    transaction: SignedTransaction
    aggregator: str
    answer: int
    received_at: UnixNanoseconds
    seen_at_block: BlockNumber
    account_nonce: int | None


class PendingAnswers:
    """In the order of arrival."""

    def __init__(self) -> None:
        self.overflowed = 0
        self._by_hash: dict[bytes, PendingAnswer] = {}

    def __iter__(self) -> Iterator[PendingAnswer]:
        return iter(tuple(self._by_hash.values()))

    def add(self, pending: PendingAnswer) -> None:
        """Take it in; one of the same sender and nonce is replaced."""
        sender, nonce = pending.transaction.sender, pending.transaction.nonce
        for known in self:
            if known.transaction.sender == sender and known.transaction.nonce == nonce:
                self.remove(known.transaction.hash)
        if len(self._by_hash) >= MAX_ANSWERS:
            self.overflowed += 1
            self._make_room()
        self._by_hash[pending.transaction.hash] = pending

    def _make_room(self) -> None:
        """Forget the oldest of the feed that has most: it may be a stranger's own."""
        ((feed, _),) = Counter([one.aggregator for one in self]).most_common(1)
        del self._by_hash[next(name for name, one in self._by_hash.items() if one.aggregator == feed)]

    def remove(self, transaction_hash: bytes) -> None:
        """Forget it, if it is there."""
        self._by_hash.pop(transaction_hash, None)

    def mined(self, transaction_hash: bytes) -> None:
        """Forget what a block took, if it is there; the sender's others stand at the nonce after it."""
        pending = self._by_hash.pop(transaction_hash, None)
        if pending is None:
            return
        account_nonce = pending.transaction.nonce + 1
        for one in self:
            is_same = one.transaction.sender == pending.transaction.sender
            if is_same and (one.account_nonce is None or one.account_nonce < account_nonce):
                self._by_hash[one.transaction.hash] = msgspec.structs.replace(one, account_nonce=account_nonce)

    def expire(self, before: BlockNumber) -> int:
        """Forget what was seen before a block; return how many."""
        old = [one.transaction.hash for one in self if one.seen_at_block < before]
        for transaction_hash in old:
            del self._by_hash[transaction_hash]
        return len(old)

    def with_predecessors(self, pending: PendingAnswer) -> list[PendingAnswer] | None:
        """The sender's earlier pending ones, then this; None if one between the chain's nonce and it was never seen."""
        sender, nonce, first = pending.transaction.sender, pending.transaction.nonce, pending.account_nonce
        if first is None or first >= nonce:
            return [pending]
        earlier = {one.transaction.nonce: one for one in self if one.transaction.sender == sender}
        wanted = range(first, nonce)
        if len(wanted) > MAX_PREDECESSORS or any(number not in earlier for number in wanted):
            return None
        return [*(earlier[number] for number in wanted), pending]


def answer_of(
    transaction: SignedTransaction, received_at: UnixNanoseconds, head: BlockNumber, account_nonce: int | None
) -> PendingAnswer | None:
    """The answer that a transaction to an aggregator would give; None for any other call, and for no price at all."""
    answer = pending_answer(transaction.data)
    if answer is None or answer <= 0:
        return None
    return PendingAnswer(transaction, transaction.to or "", answer, received_at, head, account_nonce)
