"""Uniswap V3 pools as flash lenders: what each has of a profit token at least, and which ones a route may need.

UniswapV3Pool.flash lends what the pool holds, for its own swap fee. How much that is follows from its state alone: the
liquidity between the price and the ticks beyond it, rounded down, is less than the balance by what fees and donations
left there. So nothing has to be read, a reorg needs no care, and behind pending swaps it holds too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest, nsmallest

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.sqrt_price_math import amount0_delta_rounding_down, amount1_delta_rounding_down
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import FeePips, SqrtPriceX96, TokenAmount
from node.pipeline.market import Market
from node.pipeline.plans import FlashLender, LenderKind
from node.pipeline.pools import PoolFamily, PoolState
from protocol.units import Address

RANGES = 64
"""Beside the price; what lies farther off counts as nothing."""
DEEPEST_PER_FEE = 4
"""Of a token's pools with one fee so many are kept: a route locks three at most."""


class PoolLenders:
    """The pools of a market, by what they lend."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._lenders: dict[tuple[int, Address], tuple[PoolState, FlashLender]] = {}
        """By pool and token, with the state that it was made from."""

    def of(self, token: Address) -> list[FlashLender]:
        """The deepest pools of each fee that have any of a token, as the market is now."""
        by_fee: dict[FeePips, list[FlashLender]] = {}
        for pool in self._market.pools_of(token):
            lender = self._lender(pool, token)
            if lender is not None and lender.available:
                by_fee.setdefault(lender.fee_pips, []).append(lender)
        return [one for several in by_fee.values() for one in sorted(several, key=_depth)[:DEEPEST_PER_FEE]]

    def behind(self, lender: FlashLender, available: TokenAmount, moved: Mapping[int, PoolState]) -> TokenAmount:
        """What a lender has behind pending swaps, which left some pools in other states."""
        pool = self._market.number_of(lender.address) if lender.kind is LenderKind.UNISWAP_V3 else None
        state = None if pool is None else moved.get(pool)
        if not isinstance(state, ConcentratedPool) or lender.other_token is None:
            return available
        return least_held(state, zero=lender.token < lender.other_token)

    def _lender(self, pool: int, token: Address) -> FlashLender | None:
        spec, state = self._market.specs[pool], self._market.states[pool]
        if spec.family is not PoolFamily.UNISWAP_V3 or not self._market.is_eligible(pool):
            return None
        if not isinstance(state, ConcentratedPool):
            return None
        known = self._lenders.get((pool, token))
        if known is not None and known[0] is state:
            return known[1]
        is_zero = token == spec.tokens[0]
        held = least_held(state, zero=is_zero)
        other = spec.tokens[1 if is_zero else 0]
        lender = FlashLender(LenderKind.UNISWAP_V3, spec.address, token, spec.fee_pips, held, other)
        self._lenders[pool, token] = state, lender
        return lender


def least_held(state: ConcentratedPool | V4Pool, *, zero: bool, ranges: int = RANGES) -> TokenAmount:
    """What the pool holds of token0 or token1 at least; 0 without liquidity in range, where it refuses to lend."""
    if not state.liquidity:
        return 0
    delta = amount0_delta_rounding_down if zero else amount1_delta_rounding_down
    held, liquidity, price = 0, state.liquidity, state.sqrt_price_x96
    for next_price, net in _ticks_from(state, zero, ranges):
        held += delta(price, next_price, liquidity)
        liquidity += net
        price = next_price
    return held


def _ticks_from(state: ConcentratedPool | V4Pool, upwards: bool, ranges: int) -> Iterator[tuple[SqrtPriceX96, int]]:
    """The next ticks on the side of the price where the token lies, with what enters there on the way."""
    net, tick = state.ticks.net, state.tick
    if upwards:
        nearest = nsmallest(ranges, [number for number in net if number > tick])
        return ((sqrt_ratio_at_tick(number), net[number]) for number in nearest)
    nearest = nlargest(ranges, [number for number in net if number <= tick])
    return ((sqrt_ratio_at_tick(number), -net[number]) for number in nearest)


def _depth(lender: FlashLender) -> tuple[int, Address]:
    return -(lender.available or 0), lender.address
