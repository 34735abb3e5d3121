"""Morpho Blue as the node follows it: all markets that may be liquidated in, who owes there, prices by our own view.

A book is a value, as Aave's: a block's logs make another of it. Every position is told by logs; the rate at which a
market's debt grows is a contract's to tell, and is read at the head. Source of the prices: MorphoChainlinkOracleV2.sol
(morpho-blue-oracles): a scale, times the base feeds' answers, over the quote feeds'. `refused` names the markets whose
oracle is none of that kind, and why: they are followed, not liquidated.
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
from protocol.ethereum.keccak import keccak256

_CREATE: Final = EventKind("CreateMarket", ("bytes32", "(address,address,address,address,uint256)"), (True, False))
OPENED: Final = {keccak256(_CREATE.signature.encode()): _CREATE}
EVENTS: Final = morpho_blue.EVENTS | OPENED
LATE_SECONDS: Final = 60
"""A liquidation is sized so that it holds, whatever interest comes, in blocks up to so much later."""


class MarketParams(msgspec.Struct, frozen=True, gc=False):
    """What a market is made of, addresses in lower-case hex; `lltv` in 18 decimals."""

    loan: str
    collateral: str
    oracle: str
    rate_model: str
    lltv: int
    loan_decimals: int


class FeedOracle(msgspec.Struct, frozen=True, gc=False):
    """An oracle that multiplies feeds, by their aggregators (lower-case hex)."""

    scale: int
    base: tuple[str, ...]
    quote: tuple[str, ...]

    def price(self, answers: Mapping[str, int]) -> int:
        """Collateral in loan tokens, times 10**36. Raises UnknownReserve for a feed without an answer."""
        try:
            return self.scale * prod([answers[one] for one in self.base]) // prod([answers[one] for one in self.quote])
        except KeyError as missing:
            raise UnknownReserve(f"the feed {missing} has no answer") from None


class MorphoBook(msgspec.Struct, frozen=True, gc=False):
    """See the module. `rates`: by market, what debt grows by a second, in 18 decimals; `answers`: by aggregator."""

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

    @property
    def feeds(self) -> Collection[str]:
        """The aggregators whose answers move its prices."""
        return self.answers

    def after(self, logs: Sequence[LoanLog], timestamp: int) -> tuple[MorphoBook, tuple[str, ...]]:
        """(the book after a block's logs, nobody: every borrower is followed). Raises LendingError."""
        if not logs:
            return self, ()
        markets, positions, answers = dict(self.markets), dict(self.positions), dict(self.answers)
        for log in logs:
            event = log.event
            if event.name == UNREADABLE:
                raise LogMalformed(f"{log.source}: {event.values[0]}")
            if log.source == self.morpho:
                _move(markets, positions, event, timestamp)
            elif log.source in answers:
                answers[log.source] = _answer(log.source, event.values[0])
        if len(positions) > MAX_POSITIONS:
            raise StateContradicted(f"{len(positions)} positions, more than are followed")
        return msgspec.structs.replace(self, markets=markets, positions=positions, answers=answers), ()

    def answered(self, aggregator: str, answer: int) -> MorphoBook:
        """The book as it would be with a pending answer of an aggregator. Raises StateContradicted."""
        if aggregator not in self.answers:
            return self
        return msgspec.structs.replace(self, answers={**self.answers, aggregator: _answer(aggregator, answer)})

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
        """Worth in the loan's own feed, so that markets of several loan tokens can be ranked."""
        params = self.params[name]
        worth = whole.seized * price // morpho_blue.ORACLE_SCALE - whole.repaid_assets
        unit = prod([self.answers[one] for one in self.oracles[params.oracle].quote])
        late = self.accrued(name, now + LATE_SECONDS)
        most = morpho_blue.assets_of(late, whole.repaid_shares)
        moved = Taken(most, whole.seized, most - whole.repaid_assets, whole.repaid_shares)
        surplus: int = worth * unit // 10**params.loan_decimals
        return LiquidationFind(user, health, params.collateral, params.loan, moved, surplus, name)


def _move(
    markets: dict[bytes, MorphoMarket],
    positions: dict[tuple[bytes, str], MorphoPosition],
    event: Event,
    timestamp: int,
) -> None:
    name: bytes = event.values[0]
    if name not in markets:
        raise StateContradicted(f"{event.name} of market 0x{name.hex()}, which is not known")
    markets[name] = morpho_blue.market_after(markets[name], event, timestamp)
    owner = morpho_blue.owner_of(event)
    if owner is not None:
        key = name, owner
        positions[key] = morpho_blue.position_after(positions.get(key, MorphoPosition()), event)


def _answer(aggregator: str, answer: int) -> int:
    if answer <= 0:
        raise StateContradicted(f"an answer of {answer} by {aggregator}")
    return answer
