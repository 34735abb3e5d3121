"""Liquidations on Aave V3 and Morpho Blue: what is ill now, and right behind it what a pending answer makes ill.

A find is a closed route in exact integers: borrow the profit token, swap it to the debt's asset where that is another,
repay the debt, swap the collateral back. How much is repaid is chosen for the greatest gain, up to what the close
factor, the debt and the collateral let. Morpho's debts are repaid in shares, which cost a little more with each second:
what is spare then is only given back where the debt is in the profit token, so that only those are taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import msgspec

from node.pipeline.amm.units import TokenAmount
from node.pipeline.finds import Find
from node.pipeline.lenders import flash_loan
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.errors import LendingError
from node.pipeline.lending.liquidations import LiquidationFind, Taken
from node.pipeline.lending.margins import Margins
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pending_answers import PendingAnswer, PendingAnswers
from node.pipeline.plans import FlashLender, LiquidationStep, LiquidationVenue, MorphoTerms, Opportunity, Step
from node.pipeline.prices import ReferencePrice
from node.pipeline.reasons import Reason
from node.pipeline.search import Route, Search, least_out
from node.pipeline.seizures import Worth
from node.pipeline.settings import PipelineSettings
from node.pipeline.way_back import Way, Ways
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import SignedTransaction
from protocol.kinds import OpportunityKind
from protocol.units import (
    BlockNumber,
    Hash32,
    UnixNanoseconds,
    UnixSeconds,
    Wei,
    address_from_hex,
)

LOOKED_AT = 8
"""Ill positions that one look weighs: those whose collateral is worth most above the debt."""
PAIRS_LOOKED_AT = 32
"""Pairs of collateral and debt at Morpho whose way back one look prices: those with the deepest pools."""
LOOKS_PER_BLOCK = 24
"""Pending answers that are weighed between two blocks for one book: each may make every loan ill."""
LOOKS_PER_FEED = 2
"""Of these, of one aggregator: at Morpho it may be a stranger's own."""
FEEDS_FIRST = 12
"""Morpho's aggregators that have their looks also where others used up those of the block: strangers would starve all
else. They are those behind which most collateral stands that sells for what is owed.
"""
_ROUNDS = 40
"""Of the search for the amount, if it is not all that may be repaid."""
_NEARLY = 1024
Book = AaveBook | MorphoBook


class _Way(msgspec.Struct, frozen=True):
    """How one position is taken with one profit token."""

    ill: LiquidationFind
    rank: int
    into_debt: Way
    out_of_collateral: Way
    lender: FlashLender
    price: ReferencePrice


class _Amounts(msgspec.Struct, frozen=True, gc=False):
    """What moves: before each leg of the way in and after its last, then the same of the way out."""

    into_debt: tuple[TokenAmount, ...]
    out_of_collateral: tuple[TokenAmount, ...]
    taken: Taken
    gain: TokenAmount


class LiquidationDetector:
    """Weighs ill positions of a book against the market. `unjudged`: positions that the last look could not judge;
    `passed_over`: what was ill and was not weighed, since the start.

    Each pending answer is looked at when it comes and at each block that it waits for: `LOOKS_PER_FEED` of one
    aggregator and `LOOKS_PER_BLOCK` in all, for each book by itself; beyond these only the `FEEDS_FIRST` have theirs.
    """

    def __init__(self, market: Market, search: Search, settings: PipelineSettings) -> None:
        self.unjudged = self.passed_over = 0
        self._margins: Margins | None = None
        self._worth: Worth | None = None
        self._worth_of: tuple[int, tuple[ReferencePrice | None, ...]] = 0, ()
        self._first: tuple[MorphoBook, Worth, list[str]] | None = None
        self._looks: dict[LiquidationVenue, Counter[str]] = {}
        """By book and aggregator, since the block began."""
        self._market, self._search, self._settings = market, search, settings

    def at_block_start(
        self, book: Book, target_block: BlockNumber, at: UnixSeconds, now: UnixNanoseconds
    ) -> list[Find]:
        """Finds of what is ill by the confirmed prices, in a block that is not before `at`."""
        self._looks[_venue(book)] = Counter()
        return self._finds(book, self._ill(book, book, at), (), target_block, at, now)

    def behind(
        self,
        book: Book,
        pending: PendingAnswer,
        answers: PendingAnswers,
        target_block: BlockNumber,
        at: UnixSeconds,
        now: UnixNanoseconds,
    ) -> list[Find] | Reason:
        """Finds of what a pending answer makes ill, or is ill and stays so; behind it, and behind what it waits for."""
        looks = self._looks.setdefault(_venue(book), Counter())
        if looks[pending.aggregator] >= LOOKS_PER_FEED:
            return Reason.OVER_ANSWER_BUDGET
        if looks.total() >= LOOKS_PER_BLOCK and pending.aggregator not in self._first_feeds(book):
            return Reason.OVER_ANSWER_BUDGET
        chain = answers.with_predecessors(pending)
        if chain is None:
            return Reason.VICTIM_NONCE_GAP
        if len(chain) > self._settings.bounds.victims_per_bundle:
            return Reason.VICTIM_NONCE_GAP
        if min(one.transaction.max_fee_per_gas for one in chain) < self._search.base_fee:
            return Reason.VICTIM_FEE_TOO_LOW
        looks[pending.aggregator] += 1
        confirmed = book
        try:
            for one in chain:
                book = book.answered(one.aggregator, one.answer)
        except LendingError:
            return Reason.VICTIM_WOULD_REVERT
        ill = self._ill(book, confirmed, at)
        finds = self._finds(book, ill, [one.transaction for one in chain], target_block, at, now)
        return finds or Reason.NOT_PROFITABLE

    def _ill(self, book: Book, confirmed: Book, at: UnixSeconds) -> list[LiquidationFind]:
        """What may be liquidated in a book; of Aave's only those are weighed exactly that are near by its margins."""
        if isinstance(book, AaveBook) and isinstance(confirmed, AaveBook):
            margins = self._margins_of(confirmed, at)
            near = margins.near_now() if book is confirmed else margins.near(book.oracle.prices)
            ill, unknown = book.liquidatable(at, near)
            self.unjudged = margins.unjudged + unknown
            return ill
        ill, self.unjudged = book.liquidatable(at)
        return ill

    def _margins_of(self, book: AaveBook, at: UnixSeconds) -> Margins:
        """Of the confirmed book; computed anew where another block, or what was read since, made another one."""
        margins = self._margins
        if margins is None or margins.book is not book or margins.at != at:
            margins = self._margins = Margins(book, at)
        return margins

    def _finds(
        self,
        book: Book,
        ill: Sequence[LiquidationFind],
        victims: Sequence[SignedTransaction],
        target_block: BlockNumber,
        at: UnixSeconds,
        now: UnixNanoseconds,
    ) -> list[Find]:
        overlay = Overlay(self._market)
        finds: list[Find] = []
        if isinstance(book, MorphoBook):
            chosen = self._worth_now().best(ill, LOOKED_AT, PAIRS_LOOKED_AT)
        else:
            chosen = list(ill[:LOOKED_AT])
        self.passed_over += len(ill) - len(chosen)
        for one in chosen:
            best: Find | None = None
            for rank in range(len(self._settings.profit_tokens)):
                found = self._weigh(book, one, rank, overlay, at)
                if found is not None and found[1].surplus_wei > (0 if best is None else best.surplus):
                    best = self._find(*found, victims, target_block, now, book)
            if best is not None:
                finds.append(best)
        return finds

    def _first_feeds(self, book: Book) -> Collection[str]:
        """Of Morpho's; looked for once for a book, pools and prices: who uses up the looks makes it cost no more."""
        if not isinstance(book, MorphoBook):
            return ()
        worth = self._worth_now()
        if self._first is None or self._first[0] is not book or self._first[1] is not worth:
            self._first = book, worth, worth.feeds(book, FEEDS_FIRST, PAIRS_LOOKED_AT)
        return self._first[2]

    def _worth_now(self) -> Worth:
        """Kept from look to look, while pools and prices are the same."""
        of = self._market.changes, tuple(self._search.prices)
        if self._worth is None or self._worth_of != of:
            self._worth = Worth(self._market, self._settings.profit_tokens, self._search.prices)
            self._worth_of = of
        return self._worth

    def _weigh(
        self, book: Book, ill: LiquidationFind, rank: int, overlay: Overlay, at: UnixSeconds
    ) -> tuple[_Way, Route, _Amounts] | None:
        """The best amount of one position with one profit token; None where there is no way or no lender."""
        price, token = self._search.prices[rank], self._settings.profit_tokens[rank]
        if price is None:
            return None
        ways = Ways(self._market, overlay)
        debt, collateral = address_from_hex(ill.debt_asset), address_from_hex(ill.collateral_asset)
        back = ways.best(collateral, token.address, ill.moved.collateral_received)
        returned = None if back is None else ways.amounts(back, ill.moved.collateral_received)
        if back is None or returned is None:
            return None
        into = ways.best(token.address, debt, returned[-1], ways.pools(back))
        if into is None or (into and isinstance(book, MorphoBook)):
            return None
        most = min(token.max_input, _greatest_input(ways, into, ill.moved.debt_repaid, returned[-1]))
        available = self._search.lenders.most(token.address)
        most = most if available is None else min(most, available)
        specs = [self._market.specs[pool] for pool in (*ways.pools(into), *ways.pools(back))]
        lender = self._search.lenders.lender_for(token.address, most, specs, overlay.states) if most > 0 else None
        if lender is None:
            return None
        way = _Way(ill, rank, into, back, lender, price)

        def gain_of(amount: TokenAmount) -> int | None:
            moved = _amounts(book, way, ways, amount, at)
            return None if moved is None else moved.gain

        best = _best(gain_of, most)
        moved = None if best is None else _amounts(book, way, ways, best, at)
        if best is None or moved is None or moved.gain <= 0:
            return None
        return way, self._route(book, way, moved, best), moved

    def _route(self, book: Book, way: _Way, moved: _Amounts, amount: TokenAmount) -> Route:
        market, edges = self._market, (*way.into_debt, *way.out_of_collateral)
        families = [market.specs[market.edges[edge].pool].family for edge in way.into_debt]
        after = [market.specs[market.edges[edge].pool].family for edge in way.out_of_collateral]
        gas = self._search.gas.expected(way.lender.kind, [*families, _venue(book), *after])
        gain_wei = way.price.wei_down(moved.gain)
        surplus = Wei(gain_wei - gas * self._search.base_fee)
        amounts = (*moved.into_debt, *moved.out_of_collateral)
        return Route(edges, way.rank, amounts, flash_loan(way.lender, amount), moved.gain, gain_wei, gas, surplus)

    def _find(
        self,
        way: _Way,
        route: Route,
        moved: _Amounts,
        victims: Sequence[SignedTransaction],
        target_block: BlockNumber,
        now: UnixNanoseconds,
        book: Book,
    ) -> Find:
        borrower = address_from_hex(way.ill.user)
        taken, given = moved.into_debt[-1], moved.out_of_collateral[0]
        pool = book.morpho if isinstance(book, MorphoBook) else book.pool
        ends = address_from_hex(way.ill.debt_asset), address_from_hex(way.ill.collateral_asset)
        liquidation = LiquidationStep(
            _venue(book),
            address_from_hex(pool),
            borrower,
            *ends,
            taken,
            given,
            least_out(given),
            _terms(book, way.ill, moved.taken),
        )
        before = self._search.swap_steps(way.into_debt, moved.into_debt)
        after = self._search.swap_steps(way.out_of_collateral, moved.out_of_collateral)
        steps: tuple[Step, ...] = (*before, liquidation, *after)
        named = borrower + way.ill.market + b"".join(one.hash for one in victims)
        opportunity = Opportunity(
            id=Hash32(keccak256(self._settings.chain_id.to_bytes(8, "big") + target_block.to_bytes(8, "big") + named)),
            kind=OpportunityKind.LIQUIDATION,
            target_block=target_block,
            steps=steps,
            loan=route.loan,
            profit_token=self._settings.profit_tokens[way.rank].address,
            gross_profit=route.gain,
            gross_profit_wei=route.gain_wei,
            gas=route.gas,
            victims=tuple(victims),
            seen_at=now,
        )
        pools = tuple(self._market.edges[edge].pool for edge in route.edges)
        return Find(opportunity, route, pools, tuple([() for _ in victims]), borrower)


def is_feed(books: Sequence[Book], address: str) -> bool:
    """Whether an address (lower-case hex) is that of a feed that one of the books follows."""
    return any(address in book.feeds for book in books)


def is_believed(books: Sequence[Book], pending: PendingAnswer) -> bool:
    """Whether a pending answer is of the feed's only oracle: anybody may send one, with any value."""
    of = pending.aggregator, pending.transaction.sender
    return any(book.believes(*of) if isinstance(book, MorphoBook) else book.oracle.believes(*of) for book in books)


def _venue(book: Book) -> LiquidationVenue:
    return LiquidationVenue.MORPHO_BLUE if isinstance(book, MorphoBook) else LiquidationVenue.AAVE_V3


def _terms(book: Book, ill: LiquidationFind, taken: Taken) -> MorphoTerms | None:
    if not isinstance(book, MorphoBook):
        return None
    params = book.params[ill.market]
    return MorphoTerms(address_from_hex(params.oracle), address_from_hex(params.rate_model), params.lltv, taken.shares)


def _amounts(book: Book, way: _Way, ways: Ways, amount: TokenAmount, at: UnixSeconds) -> _Amounts | None:
    """All amounts for a loan; None where a pool refuses, or the lender would not take all that is brought."""
    into = ways.amounts(way.into_debt, amount)
    if into is None:
        return None
    taken = book.taken(way.ill, into[-1], at)
    if taken is None or not taken.collateral_received:
        return None
    back = ways.amounts(way.out_of_collateral, taken.collateral_received)
    if back is None:
        return None
    gain = back[-1] + taken.spare - amount - flash_loan(way.lender, amount).fee
    return _Amounts(into, back, taken, gain)


def _greatest_input(ways: Ways, into: Way, wanted: TokenAmount, enough: TokenAmount) -> TokenAmount:
    """The greatest amount, at most `enough`, of which no more than `wanted` comes out; by bisection."""
    if not into:
        return wanted
    low, high = 0, enough
    while low < high:
        middle = (low + high + 1) // 2
        amounts = ways.amounts(into, middle)
        if amounts is not None and amounts[-1] <= wanted:
            low = middle
        else:
            high = middle - 1
    return low


def _best(gain_of: Callable[[TokenAmount], int | None], most: TokenAmount) -> TokenAmount | None:
    """The amount of the greatest gain up to `most`: mostly all of it; else by thirds, for a gain with one summit."""

    def worth(amount: TokenAmount) -> tuple[bool, int]:
        gain = gain_of(amount)
        return gain is not None, gain or 0

    if worth(most)[0] and worth(most) >= worth(max(1, most - most // _NEARLY)):
        return most
    low, high = 1, most
    for _ in range(_ROUNDS):
        if high - low < 3:
            break
        third = (high - low) // 3
        if worth(low + third) < worth(high - third):
            low += third
        else:
            high -= third
    best = max((low, (low + high) // 2, high), key=worth)
    return best if worth(best)[0] else None
