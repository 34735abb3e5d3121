"""One reference price for each profit token, in the wrapped coin, out of our own pools, with its error and its block.

The price is the median of the pools between the two, each with the weight of what it really holds, so that no pool of
dust and no single one that was pushed sets it. Where too much of what is held is at other prices, or too little is held
at all, there is no price, and finds in that token are not taken. It serves to compare finds in different tokens and to
weigh them against gas, never to compute an amount that is paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt
from typing import Final, NamedTuple

import msgspec

from node.pipeline.amm.balancer_fixed_point import ONE
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import TokenAmount
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.market import Market
from node.pipeline.pool_lenders import least_held
from node.pipeline.pools import PoolState, held_amounts, quote_exact_in
from protocol.units import BASIS_POINTS_ONE, Address, BasisPoints, BlockNumber, Wei

MAX_ERROR: Final = BasisPoints(2_000)
"""Pools that disagree by more give no price. What a find behind a large swap lives on is less."""
LEAST_COINS: Final = 10**18
"""Pools that hold less of the wrapped coin together give no price."""
_AGREEING: Final = BasisPoints(7_500)
"""The part of the depth that has to be within the error."""
_RANGES: Final = 16
"""Of concentrated liquidity so many ranges on each side of the price count as depth."""
_PRICE_BITS: Final = 256
_SMALL_PART: Final = 1_000_000


class _Quote(NamedTuple):
    """A pool's price, in 2**-_PRICE_BITS, with what it is the quotient of, and the pool's depth."""

    price: int
    depth: int
    coins: int
    others: int


class ReferencePrice(msgspec.Struct, frozen=True, gc=False):
    """`numerator` wei for `denominator` smallest units, at `block`; most of what pools hold is within `error`."""

    numerator: int
    denominator: int
    error: BasisPoints
    block: BlockNumber

    def wei_down(self, amount: TokenAmount) -> Wei:
        """What an amount is worth, rounded down (towards minus infinity for a loss)."""
        return Wei(amount * self.numerator // self.denominator)

    def tokens_up(self, wei: Wei) -> TokenAmount:
        """How much of the token is worth that many wei, rounded up."""
        return -(-wei * self.denominator // self.numerator)


def reference_price(market: Market, token: Address, coin: Address, block: BlockNumber) -> ReferencePrice | None:
    """The price of `token` in `coin`; None where no eligible pools tell one."""
    if token == coin:
        return ReferencePrice(1, 1, BasisPoints(0), block)
    quotes = sorted(_quotes(market, token, coin))
    total = sum(quote.depth for quote in quotes)
    if not total:
        return None
    median = _median(quotes, total)
    error = _error(quotes, total, median.price)
    if error > MAX_ERROR or total * total * median.coins < LEAST_COINS * LEAST_COINS * median.others:
        return None
    return ReferencePrice(median.coins, median.others, error, block)


def _quotes(market: Market, token: Address, coin: Address) -> Iterator[_Quote]:
    for pool in market.pools_of(token):
        state, tokens = market.states[pool], market.routed[pool]
        if state is None or coin not in tokens or not market.is_eligible(pool):
            continue
        coin_index, token_index = tokens.index(coin), tokens.index(token)
        depth = _depth(state, coin_index, token_index)
        coins, others = virtual_reserves(state, coin_index, token_index) if depth else (0, 0)
        if coins > 0 and others > 0:
            yield _Quote((coins << _PRICE_BITS) // others, depth, coins, others)


def _median(quotes: Sequence[_Quote], total: int) -> _Quote:
    """The quote at or below whose price half of the depth lies; quotes come by price."""
    reached = 0
    for quote in quotes:
        reached += quote.depth
        if reached * 2 >= total:
            return quote
    raise ValueError("no quotes, or fewer than make up their total")


def _error(quotes: Sequence[_Quote], total: int, price: int) -> BasisPoints:
    """How far from `price` the nearest pools are that hold so much of the depth as has to agree."""
    reached = 0
    for distance, depth in sorted([(abs(quote.price - price), quote.depth) for quote in quotes]):
        reached += depth
        if reached * BASIS_POINTS_ONE >= total * _AGREEING:
            return BasisPoints(distance * BASIS_POINTS_ONE // price)
    raise ValueError("no quotes, or fewer than make up their total")


def _depth(state: PoolState, index: int, other: int) -> int:
    """The geometric mean of what the pool really has of both tokens: moving the price of a pair does not change it."""
    if isinstance(state, ConcentratedPool | V4Pool):
        return isqrt(least_held(state, zero=True, ranges=_RANGES) * least_held(state, zero=False, ranges=_RANGES))
    held = held_amounts(state)
    return isqrt(held[index] * held[other])


def virtual_reserves(state: PoolState, index: int, other: int) -> tuple[int, int]:
    """Amounts of two tokens whose ratio is the pool's price without fee, and whose size is its depth at that price.

    Of curves without a formula for the price it is that of a small swap, with its fee; (0, 0) where there is none.
    """
    held = held_amounts(state)
    if isinstance(state, ConstantProductPool | ConcentratedPool | V4Pool):
        return held[index], held[other]
    if isinstance(state, WeightedPool):
        return held[index] * state.weights[other] // ONE, held[other] * state.weights[index] // ONE
    small = max(1, held[index] // _SMALL_PART)
    try:
        return held[index], held[index] * quote_exact_in(state, index, other, small) // small
    except AmmError:
        return 0, 0
