"""Morpho Blue as the node follows it: all markets that may be liquidated in, who owes there, prices by our own view.

A book is a value, as Aave's: a block's logs make another of it. Every position is told by logs; the rate at which a
market's debt grows is a contract's to tell, and is read at the head. Source of the prices: MorphoChainlinkOracleV2.sol
(morpho-blue-oracles): a scale, times the base feeds' answers, over the quote feeds'. `refused` names the markets whose
oracle is none of that kind, and why: they are followed, not liquidated.

Anybody may create a market, with an oracle and feeds of their own: what is wrong with one costs that market alone.
Only what Morpho itself cannot say contradicts the book.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Final

import msgspec

from node.pipeline.lending import morpho_blue
from node.pipeline.lending.aave_book import MAX_POSITIONS, UNREADABLE, LoanLog
from node.pipeline.lending.errors import LendingError, LogMalformed, StateContradicted, UnknownReserve
from node.pipeline.lending.liquidations import LiquidationFind, Taken
from node.pipeline.lending.logs import Event, EventKind
from node.pipeline.lending.morpho_blue import MorphoMarket, MorphoPosition
from node.pipeline.lending.oracle_view import submitters_after
from protocol.ethereum.keccak import keccak256

_CREATE: Final = EventKind("CreateMarket", ("bytes32", "(address,address,address,address,uint256)"), (True, False))
OPENED: Final = {keccak256(_CREATE.signature.encode()): _CREATE}
EVENTS: Final = morpho_blue.EVENTS | OPENED
MAX_MARKETS: Final = 2_000
"""Markets beyond are not followed, which is counted."""
NO_ANSWER: Final = 0
"""Of a feed whose last answer is no price, or could not be read: its markets have none until it answers well again."""
_UNREAD: Final = "it was created after the oracles were read"
LATE_SECONDS: Final = 60
"""A liquidation is sized so that it holds, whatever interest comes, in blocks up to so much later."""


class MarketParams(msgspec.Struct, frozen=True, gc=False):
    """What a market is made of, addresses in lower-case hex; `lltv` in 18 decimals."""

    loan: str
    collateral: str
    oracle: str
    rate_model: str
    lltv: int


class FeedOracle(msgspec.Struct, frozen=True, gc=False):
    """An oracle that multiplies feeds, by their aggregators (lower-case hex)."""

    scale: int
    base: tuple[str, ...]
    quote: tuple[str, ...]

    def price(self, answers: Mapping[str, int]) -> int:
        """Collateral in loan tokens, times 10**36. Raises UnknownReserve where a feed has no answer that is a price."""
        for one in (*self.base, *self.quote):
            if answers.get(one, NO_ANSWER) <= 0:
                raise UnknownReserve(f"the feed {one} has no answer")
        return self.scale * prod([answers[one] for one in self.base]) // prod([answers[one] for one in self.quote])


class MorphoBook(msgspec.Struct, frozen=True, gc=False):
    """See the module. `rates`: by market, what debt grows by a second, in 18 decimals; `answers`: by aggregator,
    `NO_ANSWER` where there is no price.
    """

    morpho: str
    params: Mapping[bytes, MarketParams]
    markets: Mapping[bytes, MorphoMarket]
    positions: Mapping[tuple[bytes, str], MorphoPosition]
    oracles: Mapping[str, FeedOracle]
    answers: Mapping[str, int]
    rates: Mapping[bytes, int]
    refused: Mapping[bytes, str] = msgspec.field(default_factory=dict)
    submitters: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    """By aggregator, whose answers it takes."""
    markets_beyond: int = 0
    positions_beyond: int = 0
    """Left out because the book is full, and what was told of such since. Once there is one, whoever is not known may
    be one, so that nobody new is taken in until all is read anew.
    """

    @property
    def feeds(self) -> Collection[str]:
        """The aggregators whose answers move its prices."""
        return self.answers

    @property
    def unpriced(self) -> int:
        """How many feeds have no price."""
        return sum(answer == NO_ANSWER for answer in self.answers.values())

    def after(self, logs: Sequence[LoanLog], timestamp: int) -> tuple[MorphoBook, tuple[str, ...]]:
        """(the book after a block's logs, nobody: every borrower is followed). Raises LendingError."""
        if not logs:
            return self, ()
        turn = _Turn(self, timestamp)
        for log in logs:
            turn.take(log)
        return turn.book(), ()

    def answered(self, aggregator: str, answer: int) -> MorphoBook:
        """The book as it would be with a pending answer of an aggregator. Raises StateContradicted."""
        if aggregator not in self.answers:
            return self
        if answer <= 0:
            raise StateContradicted(f"an answer of {answer} by {aggregator}")
        return msgspec.structs.replace(self, answers={**self.answers, aggregator: answer})

    def believes(self, aggregator: str, sender: str) -> bool:
        """Whether a pending answer becomes the price: where the sender is the aggregator's only oracle."""
        return self.submitters.get(aggregator) == frozenset({sender})

    def with_rates(self, rates: Mapping[bytes, int]) -> MorphoBook:
        """The book with rates that were read."""
        return msgspec.structs.replace(self, rates={**self.rates, **rates})

    def owing(self) -> list[bytes]:
        """The markets in which somebody owes something."""
        return [name for name, market in self.markets.items() if market.borrow_shares]

    def price(self, market: bytes) -> int:
        """Collateral in loan tokens, times 10**36. Raises UnknownReserve."""
        oracle = self.oracles.get(self.params[market].oracle)
        if oracle is None:
            raise UnknownReserve(f"market 0x{market.hex()}: its oracle is not known")
        return oracle.price(self.answers)

    def accrued(self, market: bytes, now: int) -> MorphoMarket:
        """A market with interest up to a time. Raises LendingError."""
        if market not in self.rates:
            raise UnknownReserve(f"market 0x{market.hex()}: its rate is not known")
        return morpho_blue.accrued(self.markets[market], self.rates[market], now)

    def liquidatable(self, now: int) -> tuple[list[LiquidationFind], int]:
        """What may be liquidated at a time and is not refused; and how many positions could not be judged."""
        finds: list[LiquidationFind] = []
        unknown = 0
        ready: dict[bytes, tuple[MorphoMarket, int]] = {}
        for (name, user), position in self.positions.items():
            if not position.borrow_shares:
                continue
            try:
                if name not in ready:
                    ready[name] = self.accrued(name, now), self.price(name)
            except LendingError:
                unknown += 1
                continue
            market, price = ready[name]
            health = morpho_blue.health_factor(market, position, price)
            if health is None or health >= morpho_blue.WAD or name in self.refused:
                unknown += name in self.refused
                continue
            whole = morpho_blue.liquidation(market, position, price)
            if whole is not None:
                finds.append(self._find(name, user, health, whole, price, now))
        finds.sort(key=lambda find: (-find.surplus, find.user))
        return finds, unknown

    def taken(self, ill: LiquidationFind, amount: int, now: int) -> Taken | None:
        """What so many loan assets buy at a time, and what of them is left; None where Morpho would refuse."""
        position, price = self.positions[ill.market, ill.user], self.price(ill.market)
        market, late = self.accrued(ill.market, now), self.accrued(ill.market, now + LATE_SECONDS)
        shares = min(morpho_blue.shares_for(late, amount), position.borrow_shares)
        moved = morpho_blue.liquidation_of(market, position, price, shares)
        return None if moved is None else Taken(amount, moved.seized, amount - moved.repaid_assets, shares)

    def _find(
        self, name: bytes, user: str, health: int, whole: morpho_blue.MorphoLiquidation, price: int, now: int
    ) -> LiquidationFind:
        """Worth in the smallest units of the loan token, by the market's own oracle."""
        params = self.params[name]
        worth = whole.seized * price // morpho_blue.ORACLE_SCALE - whole.repaid_assets
        late = self.accrued(name, now + LATE_SECONDS)
        most = morpho_blue.assets_of(late, whole.repaid_shares)
        moved = Taken(most, whole.seized, most - whole.repaid_assets, whole.repaid_shares)
        return LiquidationFind(user, health, params.collateral, params.loan, moved, worth, name)


class _Turn:
    """A block's logs over a book."""

    def __init__(self, book: MorphoBook, timestamp: int) -> None:
        self._book, self._timestamp = book, timestamp
        self._params, self._markets, self._positions = dict(book.params), dict(book.markets), dict(book.positions)
        self._answers, self._submitters = dict(book.answers), dict(book.submitters)
        self._refused = dict(book.refused)
        self._markets_beyond, self._positions_beyond = book.markets_beyond, book.positions_beyond

    def take(self, log: LoanLog) -> None:
        """Raises LendingError for what Morpho told; what a feed told is its markets' matter alone."""
        event, source = log.event, log.source
        if source == self._book.morpho:
            if event.name == UNREADABLE:
                raise LogMalformed(f"{source}: {event.values[0]}")
            self._move(event)
        elif source in self._answers:
            self._tell(source, event)

    def book(self) -> MorphoBook:
        """The book afterwards."""
        return msgspec.structs.replace(
            self._book,
            params=self._params,
            markets=self._markets,
            positions=self._positions,
            answers=self._answers,
            refused=self._refused,
            submitters=self._submitters,
            markets_beyond=self._markets_beyond,
            positions_beyond=self._positions_beyond,
        )

    def _tell(self, feed: str, event: Event) -> None:
        if event.name == "AnswerUpdated":
            self._answers[feed] = max(event.values[0], NO_ANSWER)
        elif event.name == "OraclePermissionsUpdated":
            self._submitters[feed] = submitters_after(self._submitters.get(feed), event)
        else:
            self._answers[feed] = NO_ANSWER

    def _move(self, event: Event) -> None:
        name: bytes = event.values[0]
        if event.name == "CreateMarket":
            self._open(name, event)
        elif name in self._markets:
            self._markets[name] = morpho_blue.market_after(self._markets[name], event, self._timestamp)
            owner = morpho_blue.owner_of(event)
            if owner is not None:
                self._hold((name, owner), event)
        elif self._markets_beyond:
            self._markets_beyond += 1
        else:
            raise StateContradicted(f"{event.name} of market 0x{name.hex()}, which is not known")

    def _open(self, name: bytes, event: Event) -> None:
        """A new market is followed at once; what its oracle is, is read later, so that none is liquidated before."""
        if name in self._markets:
            raise StateContradicted(f"market 0x{name.hex()} is created twice")
        if self._markets_beyond or len(self._markets) >= MAX_MARKETS:
            self._markets_beyond += 1
            return
        self._params[name] = params_of(event)
        self._markets[name] = MorphoMarket(self._params[name].lltv, updated=self._timestamp)
        self._refused[name] = _UNREAD

    def _hold(self, key: tuple[bytes, str], event: Event) -> None:
        held = self._positions.get(key)
        if held is None and (self._positions_beyond or len(self._positions) >= MAX_POSITIONS):
            self._positions_beyond += 1
            return
        after = morpho_blue.position_after(held or MorphoPosition(), event)
        if after == MorphoPosition():
            self._positions.pop(key, None)
        else:
            self._positions[key] = after


def params_of(event: Event) -> MarketParams:
    """Of a `CreateMarket`."""
    loan, collateral, oracle, model, lltv = event.values[1]
    return MarketParams(loan.lower(), collateral.lower(), oracle.lower(), model.lower(), lltv)
