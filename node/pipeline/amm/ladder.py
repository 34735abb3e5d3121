"""What it takes to pass each stop of a concentrated pool, and what comes out: exact-input quotes by bisection.

A step of UniswapV3Pool.swap that passes a whole range takes and gives what the range alone decides: `amountIn` rounded
up and its fee (SwapMath.computeSwapStep). An input passes the range exactly if it is at least their sum, for
x * (1e6 - fee) // 1e6 >= amountIn holds from x = amountIn + ceil(amountIn * fee / (1e6 - fee)) on. So the sums over
whole ranges are kept, a quote finds its range by bisection, and walks only the one that it ends in: the same
integers as the contract's loop, to which `tests/unit/test_ladder.py` holds them.

A ladder begins at the first stop beyond the price, so it stays good while the price moves within its range. What is not
plain (no liquidity where the amount ends, the last tick, a product beyond a word) is left to the loop.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.sqrt_price_math import (
    amount0_delta_rounding_down,
    amount0_delta_rounding_up,
    amount1_delta_rounding_down,
    amount1_delta_rounding_up,
)
from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.tick_bitmap import next_initialized_tick_within_one_word
from node.pipeline.amm.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick
from node.pipeline.amm.ticks import TickTable, add_liquidity_delta
from node.pipeline.amm.units import FeePips, Liquidity, SqrtPriceX96, Tick, TokenAmount

MAX_STOPS: Final = 256
"""Of one ladder; an amount that goes further is left to the loop."""
MAX_LADDERS: Final = 4
"""Of one tick table; the oldest goes first."""
_WORD_BITS: Final = 256


class Ladder:
    """From one stop on, in one direction: sums of what the whole ranges beyond it take and give."""

    __slots__ = ("_ended", "_tick", "given", "liquidity", "prices", "taken")

    def __init__(self, tick: Tick, price: SqrtPriceX96, liquidity: Liquidity) -> None:
        self._tick, self._ended = tick, False
        self.prices = [price]
        self.liquidity = [liquidity]
        """Between each stop and the next."""
        self.taken: list[TokenAmount] = [0]
        self.given: list[TokenAmount] = [0]

    def reach(self, table: TickTable, amount: TokenAmount, fee_pips: FeePips, *, zero_for_one: bool) -> None:
        """Go on until the last stop costs more than `amount`, or there is none."""
        while self.taken[-1] <= amount and not self._ended:
            try:
                self._ended = not self._one_more(table, fee_pips, zero_for_one)
            except AmmError:  # the loop meets it too, if it comes so far
                self._ended = True

    def _one_more(self, table: TickTable, fee_pips: FeePips, zero_for_one: bool) -> bool:
        """Add a stop; return False at the last ones."""
        price, liquidity = self.prices[-1], self.liquidity[-1]
        stop, initialized = next_initialized_tick_within_one_word(table.bitmap, self._tick, table.spacing, zero_for_one)
        if not MIN_TICK < stop < MAX_TICK or len(self.prices) >= MAX_STOPS:
            return False
        target = sqrt_ratio_at_tick(stop)
        taken, given = _whole_range(price, target, liquidity, fee_pips, zero_for_one)
        liquidity = _beyond(table, stop, liquidity, initialized, zero_for_one)
        self.taken.append(self.taken[-1] + taken)
        self.given.append(self.given[-1] + given)
        self.prices.append(target)
        self.liquidity.append(liquidity)
        self._tick = stop - 1 if zero_for_one else stop
        return True


class Quotes:
    """Of one state in one direction: the range that the price is in, and the ladder beyond it."""

    __slots__ = ("_fee_pips", "_first", "_given", "_ladder", "_liquidity", "_price", "_table", "_zero_for_one")

    def __init__(
        self,
        table: TickTable,
        tick: Tick,
        price: SqrtPriceX96,
        liquidity: Liquidity,
        fee_pips: FeePips,
        *,
        zero_for_one: bool,
    ) -> None:
        self._table, self._price, self._liquidity = table, price, liquidity
        self._fee_pips, self._zero_for_one = fee_pips, zero_for_one
        self._first, self._given = 0, 0  # what passing the range takes and gives
        self._ladder = self._begin(tick)

    def amount_out(self, amount_in: TokenAmount) -> TokenAmount | None:
        """What all of an amount above zero buys without a price limit, or None: left to the loop."""
        ladder = self._ladder
        if ladder is None:
            return None
        left = amount_in - self._first
        if left < 0:
            return _within_a_range(self._price, self._liquidity, self._fee_pips, amount_in, self._zero_for_one)
        taken = ladder.taken
        if taken[-1] <= left:
            ladder.reach(self._table, left, self._fee_pips, zero_for_one=self._zero_for_one)
        place = bisect_right(taken, left) - 1
        given = self._given + ladder.given[place]
        left -= taken[place]
        if not left:
            return given
        liquidity = ladder.liquidity[place]
        if place == len(taken) - 1 or not liquidity:
            return None
        rest = _within_a_range(ladder.prices[place], liquidity, self._fee_pips, left, self._zero_for_one)
        return None if rest is None else given + rest

    def _begin(self, tick: Tick) -> Ladder | None:
        """Measure the range that the price is in; return the ladder beyond it, None to leave all to the loop."""
        table, down = self._table, self._zero_for_one
        stop, initialized = next_initialized_tick_within_one_word(table.bitmap, tick, table.spacing, down)
        if not self._liquidity or not MIN_TICK < stop < MAX_TICK:
            return None
        try:
            target = sqrt_ratio_at_tick(stop)
            self._first, self._given = _whole_range(self._price, target, self._liquidity, self._fee_pips, down)
            beyond = _beyond(table, stop, self._liquidity, initialized, down)
        except AmmError:  # the loop meets it too
            return None
        kept, key = table.ladders, (down, stop, beyond, self._fee_pips)
        ladder: Ladder | None = kept.get(key)
        if ladder is None:
            if len(kept) >= MAX_LADDERS:
                del kept[next(iter(kept))]
            ladder = kept[key] = Ladder(stop - 1 if down else stop, target, beyond)
        return ladder


def _beyond(table: TickTable, stop: Tick, liquidity: Liquidity, initialized: bool, zero_for_one: bool) -> Liquidity:
    if not initialized:
        return liquidity
    entering = table.net[stop]
    return add_liquidity_delta(liquidity, -entering if zero_for_one else entering)


def _whole_range(
    price: SqrtPriceX96, target: SqrtPriceX96, liquidity: Liquidity, fee_pips: FeePips, zero_for_one: bool
) -> tuple[TokenAmount, TokenAmount]:
    """(what passing a whole range takes with its fee, what it gives). Raises AmmError."""
    if zero_for_one:
        amount_in = amount0_delta_rounding_up(target, price, liquidity)
        amount_out = amount1_delta_rounding_down(target, price, liquidity)
    else:
        amount_in = amount1_delta_rounding_up(price, target, liquidity)
        amount_out = amount0_delta_rounding_down(price, target, liquidity)
    kept = FEE_SCALE - fee_pips
    return amount_in + (amount_in * fee_pips + kept - 1) // kept, amount_out


def _within_a_range(
    price: SqrtPriceX96, liquidity: Liquidity, fee_pips: FeePips, amount_in: TokenAmount, zero_for_one: bool
) -> TokenAmount | None:
    """What an amount buys that ends within a range (SqrtPriceMath), or None where a product leaves its word."""
    less_fee = amount_in * (FEE_SCALE - fee_pips) // FEE_SCALE
    numerator = liquidity << 96
    if zero_for_one:
        denominator = numerator + less_fee * price
        if denominator >> _WORD_BITS:
            return None
        reached = -(-numerator * price // denominator)
        return liquidity * (price - reached) >> 96
    reached = price + (less_fee << 96) // liquidity
    return numerator * (reached - price) // reached // price
