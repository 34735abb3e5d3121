"""How far a swap can walk for the gas of its transaction: a pool of ticks stops at every word of its bitmap at least.

A stranger's transaction may swap back and forth over a pool with next to nothing in it, so that every swap walks from
one end of the prices to the other. On chain it would run out of gas on the way, and so it is stopped here.
"""

from __future__ import annotations

from typing import Final

from node.pipeline.amm import concentrated, uniswap_v4
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import InsufficientLiquidity, PoolRevert
from node.pipeline.amm.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import SqrtPriceX96, TokenAmount
from node.pipeline.market import Edge
from node.pipeline.pools import PoolState, swap_exact_in, swap_exact_out

LEAST_GAS_PER_STOP: Final = 600
"""Less than any stop takes, its slots all warm: the load of the bitmap's word (100, EIP-2929) and the tick's price, of
which TickMath asks 19 bits, each by a mask, a test and a jump (at least 26). The step's own maths come on top."""
ENDLESS: Final = 1 << 32
"""Stops: more than there are."""


class OutOfGas(PoolRevert):
    """The swap walks further than its transaction can pay for."""


def stops_for(gas: int) -> int:
    """Stops that no transaction of so much gas gets beyond."""
    return gas // LEAST_GAS_PER_STOP


class Reach:
    """The stops that one transaction's walks have left."""

    __slots__ = ("stops",)

    def __init__(self, stops: int) -> None:
        self.stops = stops

    def leg(
        self, state: PoolState, way: Edge, amount: TokenAmount, *, exact_in: bool, limit: SqrtPriceX96 = 0
    ) -> tuple[PoolState, TokenAmount, TokenAmount]:
        """(pool afterwards, amount in, amount out) of one pool's part in a swap through any router but V4's.

        `limit`: a price of a V3 pool, 0 for none. An exact output that one stops is given in part; without one that
        reverts, as in Uniswap's `exactOutputInternal`. Of an input a V3 pool takes what fits.
        Raises AmmError, OutOfGas among them.
        """
        if isinstance(state, ConcentratedPool):
            after, into, out_of = self.walk(state, way.index_in == 0, amount, exact_in=exact_in, limit=limit)
            if out_of != amount and not exact_in and not limit:
                raise InsufficientLiquidity("", f"the pool gives {out_of} of {amount}")
            return after, into, out_of
        move = swap_exact_in if exact_in else swap_exact_out
        state, moved = move(state, way.index_in, way.index_out, amount)
        return state, moved.amount_in, moved.amount_out

    def walk(
        self,
        pool: ConcentratedPool | V4Pool,
        zero_for_one: bool,
        amount: TokenAmount,
        *,
        exact_in: bool,
        limit: SqrtPriceX96 = 0,
    ) -> tuple[ConcentratedPool | V4Pool, TokenAmount, TokenAmount]:
        """(pool afterwards, amount in, amount out) of a swap; `limit`: a price, 0 for none.

        A price limit, or the last tick, may leave some of the amount. Raises PoolRevert, OutOfGas.
        """
        far = furthest_price(pool, zero_for_one, self.stops)
        bound = far
        if limit:
            bound = limit if far is None else max(far, limit) if zero_for_one else min(far, limit)
        after: ConcentratedPool | V4Pool
        if isinstance(pool, V4Pool):
            moved = uniswap_v4.swap(pool, zero_for_one, amount, exact_in=exact_in, sqrt_price_limit_x96=bound)
            after, into, out_of = moved.after, moved.amount_in, moved.amount_out
        else:
            done = concentrated.swap(pool, zero_for_one, amount if exact_in else -amount, bound)
            after, into, out_of = done.after, done.amount0, -done.amount1
            if not zero_for_one:
                into, out_of = done.amount1, -done.amount0
        if after.sqrt_price_x96 == far:
            raise OutOfGas("", f"more than {self.stops} stops")
        spacing = pool.ticks.spacing
        self.stops -= abs((after.tick // spacing >> 8) - (pool.tick // spacing >> 8))
        return after, into, out_of


def furthest_price(pool: ConcentratedPool | V4Pool, zero_for_one: bool, stops: int) -> SqrtPriceX96 | None:
    """A price beyond so many stops; None where the prices end before."""
    spacing = pool.ticks.spacing
    word = pool.tick // spacing >> 8
    if zero_for_one:
        tick = (word - stops) * 256 * spacing
        return sqrt_ratio_at_tick(tick) if tick > MIN_TICK else None
    tick = (word + stops + 1) * 256 * spacing
    return sqrt_ratio_at_tick(tick) if tick < MAX_TICK else None
