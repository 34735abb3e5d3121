"""What is read of the lenders' loans beside the blocks: Aave's market and borrowers, Morpho's book and rates; audits.

What is wanted waits here, each once, and `upkeep` has it served at the newest head. What was read at a head that has
left the chain meanwhile, or of which logs since were not read, is read again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from node.engine.block_reader import BlockReader
from node.engine.headers import Header
from node.engine.loan_logs import Kinds, LoanLogs
from node.engine.loan_reading import LoanReader, NotAave, aggregators
from node.engine.mempool import Mempool
from node.engine.morpho_reading import MorphoReader
from node.pipeline.events import Event, LoansRead, RatesRead
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.morpho_book import MorphoBook

_log = logging.getLogger(__name__)


class LoanReaders(msgspec.Struct, frozen=True, kw_only=True):
    """What the upkeep of loans reads with."""

    blocks: BlockReader
    mempool: Mempool
    loan_logs: LoanLogs
    loans: LoanReader | None = None
    """None where no lender is configured whose loans we follow."""
    book: Callable[[], AaveBook | None] = lambda: None
    """The pipeline's loans."""
    morpho_logs: LoanLogs
    morpho: MorphoReader | None = None
    """None where no Morpho is configured."""
    morpho_book: Callable[[], MorphoBook | None] = lambda: None


class LoanUpkeep:
    """What is wanted of loans, and its service. Its methods that read are called by one task only.

    `counts`: `loans_read`, `loans_unreadable`, `loans_differed`. `is_gone`: whether a head has left the chain, so that
    what was read at it is not to be told.
    """

    def __init__(
        self,
        readers: LoanReaders,
        counts: Counter[str],
        is_gone: Callable[[Header], bool],
        emit: Callable[[Event], None],
    ) -> None:
        self.counts = counts
        self._readers, self._is_gone, self._emit = readers, is_gone, emit
        self._borrowers_wanted: dict[str, None] = {}
        self._are_loans_wanted = readers.loans is not None
        self._is_morpho_wanted = readers.morpho is not None
        self._morpho_sources: dict[str, Kinds] = {}
        """Whose logs move the book of Morpho's that was told last."""
        self._are_rates_due = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wanted."""
        of_aave = self._are_loans_wanted or self._borrowers_wanted
        return not (of_aave or self._is_morpho_wanted or self._are_rates_due)

    def resync(self, users: Sequence[str], *, is_morpho: bool = False) -> None:
        """Read these borrowers; none means everything of the lender: Aave, or Morpho."""
        if is_morpho:
            self._is_morpho_wanted = self._readers.morpho is not None
        elif self._readers.loans is not None:
            self._borrowers_wanted.update(dict.fromkeys(users))
            self._are_loans_wanted |= not users

    def block_told(self) -> None:
        """A block was told: Morpho's rates after it are due."""
        self._are_rates_due = self._readers.morpho is not None

    def books(self) -> tuple[AaveBook | None, MorphoBook | None]:
        """The pipeline's books as they are now."""
        return self._readers.book(), self._readers.morpho_book()

    async def audit(self, head: Header, aave: AaveBook | None, morpho: MorphoBook | None) -> None:
        """Hold the books after a head against the chain; one that differs is read anew. Raises RpcError."""
        await self._audit_aave(head, aave)
        await self._audit_morpho(head, morpho)

    async def read_aave(self, head: Header) -> None:
        """The whole market where it is wanted, else the borrowers that are. Raises RpcError."""
        loans, users = self._readers.loans, tuple(self._borrowers_wanted)
        if loans is None or not (users or self._are_loans_wanted):
            return
        is_whole = self._are_loans_wanted
        try:
            read = await (loans.read(head) if is_whole else loans.read_positions(users, head))
        except NotAave as error:
            self.counts["loans_unreadable"] += 1
            self._are_loans_wanted = False
            self._borrowers_wanted.clear()
            _log.error("loans are not followed: %s", error)
            return
        if self._is_gone(head) or (self._readers.loan_logs.watch(loans.sources) and self._readers.blocks.head != head):
            return  # of blocks since, the logs were not read
        self._are_loans_wanted &= not is_whole
        for user in users:
            self._borrowers_wanted.pop(user, None)
        self._readers.mempool.watch("aave", aggregators(loans.sources))
        self.counts["loans_read"] += 1
        self._emit(read)

    async def read_morpho(self, head: Header) -> None:
        """The whole book where it is wanted, else the rates after the head. Raises RpcError."""
        morpho = self._readers.morpho
        if morpho is None or self._readers.blocks.head is not head:
            return
        book = self._readers.morpho_book()
        if self._are_rates_due and book is not None and morpho.is_due(book, head):
            self._is_morpho_wanted = True  # until one is told: what the reader learns on the way ends its being due
        is_whole = self._is_morpho_wanted
        if is_whole:
            read: LoansRead | RatesRead = await morpho.read(head)
        elif self._are_rates_due and book is not None:
            read = await morpho.rates(book, head)
        else:
            self._are_rates_due = False
            return
        if self._is_gone(head):
            return
        # A whole book may take longer to read than a block: of blocks since, only the logs of its sources are needed.
        # Until it is told the pipeline goes on with the one before, by the logs of that one's.
        logs = self._readers.morpho_logs
        is_new = is_whole and logs.watch(self._morpho_sources | morpho.sources)
        if is_new:
            self._readers.mempool.watch("morpho", aggregators(self._morpho_sources | morpho.sources))
        if (is_new or not is_whole) and self._readers.blocks.head is not head:
            return
        self._are_rates_due = False
        if is_whole:
            self._is_morpho_wanted, self._morpho_sources = False, dict(morpho.sources)
            logs.watch(morpho.sources)
            self._readers.mempool.watch("morpho", aggregators(morpho.sources))
        self.counts["loans_read"] += is_whole
        self._emit(read)

    async def _audit_aave(self, head: Header, book: AaveBook | None) -> None:
        if self._readers.loans is None or book is None:
            return
        differs = await self._readers.loans.differing(book, head)
        if differs is not None and not self._is_gone(head) and self._readers.blocks.head is head:
            self.counts["loans_differed"] += 1
            _log.warning("audit at block %d: %s", head.number, differs)
            self.resync(())

    async def _audit_morpho(self, head: Header, book: MorphoBook | None) -> None:
        if self._readers.morpho is None or book is None or self._readers.blocks.head is not head:
            return
        differs = await self._readers.morpho.differing(book, head)
        if differs is not None and not self._is_gone(head) and self._readers.blocks.head is head:
            self.counts["loans_differed"] += 1
            _log.warning("audit at block %d: %s", head.number, differs)
            self.resync((), is_morpho=True)
