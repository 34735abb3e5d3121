"""What ill positions of Morpho's are worth by our own pools: a market's own oracle is whose that made the market.

Only a debt in a profit token is taken there, and only what our pools lead back to one is worth anything. A position is
worth what is seized at the price of a small swap, less what is repaid, and no more than what the pools on the way back
hold: to come before others a stranger has to put up collateral that sells, or as much in a pool. Feeds are ranked
likewise, by what is put up in a market of theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import nlargest, nsmallest
from typing import Final

import msgspec

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import TokenAmount
from node.pipeline.lending.liquidations import LiquidationFind
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pool_lenders import least_held
from node.pipeline.pools import PoolState, held_amounts
from node.pipeline.prices import ReferencePrice
from node.pipeline.settings import ProfitToken
from node.pipeline.way_back import POOLS_LOOKED_AT, Ways
from protocol.units import Address, Wei, address_from_hex

_RANGES: Final = 4
"""Of concentrated liquidity beside the price."""
_SMALL_PART: Final = 1_000
"""Of what the deepest pool holds: so much is swapped for a price."""
Pair = tuple[str, str]
"""Collateral and debt, in lower-case hex."""


class _Depth(msgspec.Struct, frozen=True, gc=False, order=True):
    """What the deepest of a token's pools really hold: of profit tokens, and of the token."""

    held_wei: Wei
    held: TokenAmount


class _Sale(msgspec.Struct, frozen=True, gc=False):
    """What a small swap of a collateral gives, and the most that any does: what the way's pools really hold, each
    pool's at the small swap's price through those behind it.
    """

    sold: TokenAmount
    got: TokenAmount
    most_wei: Wei


class Worth:
    """On the confirmed market, at the profit tokens' prices (None where there is none)."""

    def __init__(
        self, market: Market, profit_tokens: Sequence[ProfitToken], prices: Sequence[ReferencePrice | None]
    ) -> None:
        self._market, self._ways = market, Ways(market, Overlay(market))
        told = zip(profit_tokens, prices, strict=True)
        self._prices = {token.address: price for token, price in told if price is not None}
        self._depths: dict[Address, _Depth | None] = {}
        self._sales: dict[Pair, _Sale | None] = {}

    def best(self, ill: Iterable[LiquidationFind], most: int, most_pairs: int) -> list[LiquidationFind]:
        """The positions that are worth most, at most so many, of at most so many pairs of tokens."""
        of_pair: dict[Pair, list[LiquidationFind]] = {}
        for one in ill:
            of_pair.setdefault((one.collateral_asset, one.debt_asset), []).append(one)
        ranked: list[tuple[int, bytes, str, LiquidationFind]] = []
        for pair, sale in self._sales_of(of_pair, most_pairs):
            for one in of_pair[pair]:
                gain_wei = self._wei(pair, sale, one.moved.collateral_received, one.moved.debt_repaid)
                ranked.append((-gain_wei, one.market, one.user, one))
        return [one for *_, one in nsmallest(most, ranked, key=lambda place: place[:3])]

    def feeds(self, book: MorphoBook, most: int, most_pairs: int) -> list[str]:
        """The feeds behind which who owes in one market has put most up: at most so many, of at most so many pairs."""
        held: Counter[bytes] = Counter()
        for (name, _), position in book.positions.items():
            if position.borrow_shares:
                held[name] += position.collateral
        of_pair: dict[Pair, list[bytes]] = {}
        for name in held:
            if name not in book.refused and book.params[name].oracle in book.oracles:
                of_pair.setdefault((book.params[name].collateral, book.params[name].loan), []).append(name)
        worth: dict[str, int] = {}
        for pair, sale in self._sales_of(of_pair, most_pairs):
            for name in of_pair[pair]:
                oracle, wei = book.oracles[book.params[name].oracle], self._wei(pair, sale, held[name])
                worth |= {feed: max(wei, worth.get(feed, 0)) for feed in (*oracle.base, *oracle.quote)}
        return nlargest(most, worth, key=lambda feed: (worth[feed], feed))

    def _sales_of(self, pairs: Collection[Pair], most: int) -> Iterator[tuple[Pair, _Sale]]:
        """Of those with the deepest pools."""
        depths = {pair: depth for pair in pairs if (depth := self._depth(*pair)) is not None}
        for pair in nlargest(most, depths, key=lambda pair: (depths[pair], pair)):
            sale = self._sale(pair, depths[pair])
            if sale is not None:
                yield pair, sale

    def _wei(self, pair: Pair, sale: _Sale, received: TokenAmount, repaid: TokenAmount = 0) -> Wei:
        """What so much collateral is worth above what is repaid for it."""
        price = self._prices[address_from_hex(pair[1])]
        return min(price.wei_down(received * sale.got // sale.sold - repaid), sale.most_wei)

    def _sale(self, pair: Pair, depth: _Depth) -> _Sale | None:
        """None where no way leads back, or a pool on it refuses."""
        if pair not in self._sales:
            collateral, debt = map(address_from_hex, pair)
            self._sales[pair] = self._of_pair(collateral, debt, depth)
        return self._sales[pair]

    def _of_pair(self, collateral: Address, debt: Address, depth: _Depth) -> _Sale | None:
        sold = max(depth.held // _SMALL_PART, 1)
        way = self._ways.best(collateral, debt, sold)
        amounts = None if way is None else self._ways.amounts(way, sold)
        if way is None or amounts is None:
            return None
        if not way:
            return _Sale(sold, amounts[-1], depth.held_wei)
        most: TokenAmount | None = None
        for number, given, got in zip(way, amounts[:-1], amounts[1:], strict=True):
            edge = self._market.edges[number]
            state = self._market.states[edge.pool]
            held = 0 if state is None else _really_held(state)[edge.index_out]
            most = held if most is None or not given else min(held, most * got // given)
        return _Sale(sold, amounts[-1], self._prices[debt].wei_down(most or 0))

    def _depth(self, collateral: str, debt: str) -> _Depth | None:
        """None where the debt is in no priced profit token, or no pool of ours takes the collateral for one."""
        token = address_from_hex(collateral)
        if address_from_hex(debt) not in self._prices or self._market.token_number(token) is None:
            return None
        if token not in self._depths:
            self._depths[token] = self._of_token(token)
        return self._depths[token]

    def _of_token(self, token: Address) -> _Depth | None:
        market = self._market
        bounds = []
        for pool in market.pools_of(token):
            state = market.states[pool]
            if state is not None and market.is_eligible(pool):
                bounds.append((held_amounts(state)[market.routed[pool].index(token)], pool, state))
        if not bounds:
            return None
        wei, own = 0, 0
        for _, pool, state in nlargest(POOLS_LOOKED_AT, bounds, key=lambda bound: bound[:2]):
            tokens = market.routed[pool]
            for one, held in zip(tokens, _really_held(state), strict=True):
                if one == token:
                    own = max(own, held)
                elif one in self._prices:
                    wei = max(wei, self._prices[one].wei_down(held))
        return _Depth(Wei(wei), own)


def _really_held(state: PoolState) -> tuple[TokenAmount, ...]:
    """Of concentrated liquidity what is near the price: a narrow range acts as much more than it is."""
    if isinstance(state, ConcentratedPool | V4Pool):
        return least_held(state, zero=True, ranges=_RANGES), least_held(state, zero=False, ranges=_RANGES)
    return held_amounts(state)
