"""The loans that the node follows: each lender's book after the head, a ring of the last blocks to undo, and doubts.

As with pools: confirmed state changes with blocks only; a reorg within the ring is undone exactly; what contradicts
itself, and everything past the ring, is read anew. A book that was read at a block within the ring gets the later
blocks' logs replayed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from node.pipeline.events import AlertKind, BlockArrived, Effect, LoansRead, RaiseAlert, RatesRead, ResyncLoans
from node.pipeline.lending.aave_book import AaveBook, LoanLog
from node.pipeline.lending.errors import LendingError
from node.pipeline.lending.morpho_book import MorphoBook
from protocol.units import Hash32

_Book = TypeVar("_Book", AaveBook, MorphoBook)


class _Undo(msgspec.Struct, Generic[_Book]):
    """A block of the ring, and the book before it."""

    block: BlockArrived
    before: _Book | None


class _Followed(Generic[_Book]):
    """One lender's book. `book` is None while it is not known."""

    is_morpho = False

    def __init__(self, undo_blocks: int) -> None:
        self.book: _Book | None = None
        self._ring: deque[_Undo[_Book]] = deque(maxlen=undo_blocks)

    def arrive(self, block: BlockArrived) -> list[Effect]:
        """Apply a block's logs. A block that does not follow ours makes the book unknown."""
        is_anew = bool(self._ring) and block.parent_hash != self._ring[-1].block.hash
        if is_anew:
            self._ring.clear()
        self._ring.append(_Undo(block, self.book))
        if self.book is None:
            return []
        if is_anew:
            return self._doubt(f"block {block.number} does not follow what came before")
        try:
            self.book, strangers = self.book.after(self._logs(block), block.timestamp)
        except LendingError as error:
            return self._doubt(f"block {block.number}: {error}")
        return _strangers(strangers)

    def retract(self, block_hash: Hash32) -> list[Effect]:
        """Undo the head."""
        if not self._ring or self._ring[-1].block.hash != block_hash:
            self._ring.clear()
            return self._doubt(f"block 0x{block_hash.hex()} cannot be undone") if self.book is not None else []
        before = self._ring.pop().before
        if before is None and self.book is not None:
            return self._doubt(f"it was read after block 0x{block_hash.hex()}, which is gone")
        self.book = before
        return []

    def _take_book(self, book: _Book, later: Sequence[_Undo[_Book]]) -> list[Effect]:
        effects: list[Effect] = []
        for undo in self._ring:
            undo.before = None
        for undo in later:
            undo.before = book
            try:
                book, strangers = book.after(self._logs(undo.block), undo.block.timestamp)
            except LendingError as error:
                return self._doubt(f"block {undo.block.number}: {error}")
            effects += _strangers(strangers)
        self.book = book
        return effects

    def _since(self, event: LoansRead) -> list[_Undo[_Book]] | None:
        """The blocks after that at which it was read; None if the ring does not reach back to it."""
        later = [undo for undo in self._ring if undo.block.number > event.block]
        head = self._ring[-1].block.number if self._ring else event.block
        return later if head - event.block <= len(later) else None

    def _logs(self, block: BlockArrived) -> tuple[LoanLog, ...]:
        return block.morpho_logs if self.is_morpho else block.loan_logs

    def _doubt(self, why: str) -> list[Effect]:
        self.book = None
        return [RaiseAlert(AlertKind.LOANS_UNKNOWN, why), ResyncLoans((), why, self.is_morpho)]


class Loans(_Followed[AaveBook]):
    """Aave's."""

    def read(self, event: LoansRead) -> list[Effect]:
        """Take in what was read after a block: a whole book, or positions for the one that is there."""
        later = self._since(event)
        if later is None:
            users = () if event.book is not None else tuple(event.positions)
            return [ResyncLoans(users, f"read at block {event.block}, before the ring")]
        if isinstance(event.book, AaveBook):
            return self._take_book(event.book, later)
        return self._take_positions(event, later)

    def _take_positions(self, event: LoansRead, later: list[_Undo[AaveBook]]) -> list[Effect]:
        if self.book is None:
            return []
        read = self.book.with_positions(event.positions)
        users = [user for user in event.positions if user in read.positions]
        try:
            for undo in later:
                if undo.before is not None:
                    undo.before = undo.before.with_positions({user: read.positions[user] for user in users})
                read, _ = read.after(undo.block.loan_logs, undo.block.timestamp, only=users)
        except LendingError as error:
            return self._doubt(f"replayed after block {event.block}: {error}")
        self.book = read
        for undo in self._ring:
            if undo.block.number <= event.block:
                undo.before = None  # nobody knows what they had before it
        return []


class MorphoLoans(_Followed[MorphoBook]):
    """Morpho's."""

    is_morpho = True

    def read(self, block: LoansRead, book: MorphoBook) -> list[Effect]:
        """Take in a book that was read after a block."""
        later = self._since(block)
        if later is None:
            return [ResyncLoans((), f"read at block {block.block}, before the ring", is_morpho=True)]
        return self._take_book(book, later)

    def rates_read(self, event: RatesRead) -> list[Effect]:
        """Take in rates, if they are the head's."""
        if self.book is not None and self._ring and self._ring[-1].block.number == event.block:
            self.book = self.book.with_rates(event.rates)
        return []


def _strangers(users: tuple[str, ...]) -> list[Effect]:
    return [ResyncLoans(users, "they borrow and are not followed")] if users else []
