"""Concentrated liquidity: Uniswap v3-core, contracts/UniswapV3Pool.sol (swap, mint, burn); the same maths in Pancake V3
and Slipstream, whose fees are read from the pool and put into `fee_pips`.

Not modelled, because no amount depends on it: positions' fees, the oracle, flash loans' fees.
"""

from __future__ import annotations

from functools import cached_property

import msgspec

from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    PoolStateInvalid,
    PriceLimitInvalid,
)
from node.pipeline.amm.ladder import Quotes
from node.pipeline.amm.sqrt_price_math import (
    amount0_delta_rounding_down,
    amount0_delta_rounding_up,
    amount1_delta_rounding_down,
    amount1_delta_rounding_up,
)
from node.pipeline.amm.swap_math import FEE_SCALE, compute_swap_step
from node.pipeline.amm.tick_bitmap import next_initialized_tick_within_one_word
from node.pipeline.amm.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from node.pipeline.amm.ticks import TickTable, add_liquidity_delta, empty_tick_table, table_with_position
from node.pipeline.amm.units import (
    INT256_MAX,
    INT256_MIN,
    UINT128_MAX,
    UINT256_MAX,
    FeePips,
    GrowthX128,
    Liquidity,
    LiquidityDelta,
    SqrtPriceX96,
    Tick,
    TokenAmount,
    TokenDelta,
)


class ConcentratedPool(msgspec.Struct, frozen=True, dict=True):
    """State of one pool, as far as amounts depend on it, and the global fee growth.

    `fee_protocol0` and `fee_protocol1` are the denominators of slot0.feeProtocol (0 is off, else 4 to 10): the
    protocol's share of the fees paid in token0 and in token1.
    """

    fee_pips: FeePips
    sqrt_price_x96: SqrtPriceX96
    tick: Tick
    liquidity: Liquidity
    ticks: TickTable
    fee_growth_global0_x128: GrowthX128 = 0
    fee_growth_global1_x128: GrowthX128 = 0
    fee_protocol0: int = 0
    fee_protocol1: int = 0

    @cached_property
    def quotes_down(self) -> Quotes:
        """What inputs of token0 buy; a memo, no part of the state."""
        return Quotes(self.ticks, self.tick, self.sqrt_price_x96, self.liquidity, self.fee_pips, zero_for_one=True)

    @cached_property
    def quotes_up(self) -> Quotes:
        """What inputs of token1 buy; a memo, no part of the state."""
        return Quotes(self.ticks, self.tick, self.sqrt_price_x96, self.liquidity, self.fee_pips, zero_for_one=False)


class ConcentratedSwap(msgspec.Struct, frozen=True, gc=False):
    """What a swap did: the pool's balance changes, the protocol's fee in the input token, and the pool afterwards."""

    amount0: TokenDelta
    amount1: TokenDelta
    protocol_fee: TokenAmount
    after: ConcentratedPool


class _Walk(msgspec.Struct, frozen=True, gc=False):
    """Where a walk over the ranges ended. `tick` is None while it still has to be found from the price."""

    remaining: TokenDelta
    calculated: TokenDelta
    sqrt_price_x96: SqrtPriceX96
    tick: Tick | None
    liquidity: Liquidity
    fee_growth_x128: GrowthX128
    protocol_fee: TokenAmount


def initialized_pool(fee_pips: FeePips, spacing: int, sqrt_price_x96: SqrtPriceX96) -> ConcentratedPool:
    """A pool without liquidity at a price (UniswapV3Pool.initialize). Raises SqrtPriceInvalid("R")."""
    if not 0 <= fee_pips < FEE_SCALE:
        raise PoolStateInvalid(f"fee of {fee_pips} pips")
    return ConcentratedPool(fee_pips, sqrt_price_x96, tick_at_sqrt_ratio(sqrt_price_x96), 0, empty_tick_table(spacing))


def quote_exact_in(
    pool: ConcentratedPool,
    zero_for_one: bool,
    amount_in: TokenAmount,
    sqrt_price_limit_x96: SqrtPriceX96 | None = None,
) -> tuple[TokenAmount, TokenAmount]:
    """(amount taken, amount out). Less than `amount_in` is taken where the price limit or the last tick comes first,
    as Quoter.quoteExactInputSingle answers too.
    """
    if sqrt_price_limit_x96 is None and 0 < amount_in <= UINT128_MAX:
        amount_out = (pool.quotes_down if zero_for_one else pool.quotes_up).amount_out(amount_in)
        if amount_out is not None:
            return amount_in, amount_out
    _require_amount(max(amount_in, 0))
    walk = _walk(pool, zero_for_one, amount_in, sqrt_price_limit_x96)
    return amount_in - walk.remaining, -walk.calculated


def quote_exact_out(
    pool: ConcentratedPool,
    zero_for_one: bool,
    amount_out: TokenAmount,
    sqrt_price_limit_x96: SqrtPriceX96 | None = None,
) -> tuple[TokenAmount, TokenAmount]:
    """(amount in, amount given), as Quoter.quoteExactOutputSingle.

    Less than `amount_out` is given only where a price limit was set and came first; without one, raises
    InsufficientLiquidity, as Quoter and SwapRouter do.
    """
    _require_amount(-max(amount_out, 0))
    walk = _walk(pool, zero_for_one, -amount_out, sqrt_price_limit_x96)
    if walk.remaining and sqrt_price_limit_x96 is None:
        raise InsufficientLiquidity("", f"the pool cannot give {amount_out}")
    return walk.calculated, amount_out + walk.remaining


def swap(
    pool: ConcentratedPool,
    zero_for_one: bool,
    amount_specified: TokenDelta,
    sqrt_price_limit_x96: SqrtPriceX96 | None = None,
) -> ConcentratedSwap:
    """UniswapV3Pool.swap: an exact input (positive) or an exact output (negative), partly filled at the limit.

    Without a limit, the last possible price. Raises InsufficientInput("AS") for nothing, PriceLimitInvalid("SPL").
    """
    _require_amount(amount_specified)
    walk = _walk(pool, zero_for_one, amount_specified, sqrt_price_limit_x96)
    specified = amount_specified - walk.remaining
    in_token0 = zero_for_one == (amount_specified > 0)
    amount0, amount1 = (specified, walk.calculated) if in_token0 else (walk.calculated, specified)
    after = ConcentratedPool(
        pool.fee_pips,
        walk.sqrt_price_x96,
        tick_at_sqrt_ratio(walk.sqrt_price_x96) if walk.tick is None else walk.tick,
        walk.liquidity,
        pool.ticks,
        walk.fee_growth_x128 if zero_for_one else pool.fee_growth_global0_x128,
        pool.fee_growth_global1_x128 if zero_for_one else walk.fee_growth_x128,
        pool.fee_protocol0,
        pool.fee_protocol1,
    )
    return ConcentratedSwap(amount0, amount1, walk.protocol_fee, after)


def modify_position(
    pool: ConcentratedPool, lower: Tick, upper: Tick, delta: LiquidityDelta
) -> tuple[ConcentratedPool, TokenDelta, TokenDelta]:
    """The pool after a mint (positive) or burn (negative), and the amounts (UniswapV3Pool._modifyPosition).

    The amounts are what the minter pays, rounded up, or what the burner is owed, rounded down and negative.

    Raises TickInvalid and LiquidityInvalid as `table_with_position` does.
    """
    ticks = table_with_position(pool.ticks, lower, upper, delta)
    lower_x96, upper_x96 = sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)
    liquidity, amount0, amount1 = pool.liquidity, 0, 0
    if pool.tick < lower:
        amount0 = _amount0_delta(lower_x96, upper_x96, delta)
    elif pool.tick < upper:
        amount0 = _amount0_delta(pool.sqrt_price_x96, upper_x96, delta)
        amount1 = _amount1_delta(lower_x96, pool.sqrt_price_x96, delta)
        liquidity = add_liquidity_delta(liquidity, delta)
    else:
        amount1 = _amount1_delta(lower_x96, upper_x96, delta)
    return msgspec.structs.replace(pool, ticks=ticks, liquidity=liquidity), amount0, amount1


def _amount0_delta(lower_x96: SqrtPriceX96, upper_x96: SqrtPriceX96, delta: LiquidityDelta) -> TokenDelta:
    if delta < 0:
        return -amount0_delta_rounding_down(lower_x96, upper_x96, -delta)
    return amount0_delta_rounding_up(lower_x96, upper_x96, delta)


def _amount1_delta(lower_x96: SqrtPriceX96, upper_x96: SqrtPriceX96, delta: LiquidityDelta) -> TokenDelta:
    if delta < 0:
        return -amount1_delta_rounding_down(lower_x96, upper_x96, -delta)
    return amount1_delta_rounding_up(lower_x96, upper_x96, delta)


def _walk(
    pool: ConcentratedPool, zero_for_one: bool, amount_specified: TokenDelta, limit: SqrtPriceX96 | None
) -> _Walk:
    """The loop of UniswapV3Pool.swap, long because it is that loop; bounded by the words of the bitmap."""
    limit_x96 = _checked_limit(pool.sqrt_price_x96, zero_for_one, limit)
    exact_in = amount_specified > 0
    bitmap, spacing, net, fee_pips = pool.ticks.bitmap, pool.ticks.spacing, pool.ticks.net, pool.fee_pips
    price, liquidity, remaining, calculated, protocol_fee = pool.sqrt_price_x96, pool.liquidity, amount_specified, 0, 0
    tick: Tick = pool.tick
    within_range = False
    growth = pool.fee_growth_global0_x128 if zero_for_one else pool.fee_growth_global1_x128
    fee_protocol = pool.fee_protocol0 if zero_for_one else pool.fee_protocol1
    while remaining and price != limit_x96:
        next_tick, initialized = next_initialized_tick_within_one_word(bitmap, tick, spacing, zero_for_one)
        if zero_for_one:
            next_price = sqrt_ratio_at_tick(next_tick if next_tick > MIN_TICK else MIN_TICK)
            target = next_price if next_price > limit_x96 else limit_x96
        else:
            next_price = sqrt_ratio_at_tick(next_tick if next_tick < MAX_TICK else MAX_TICK)
            target = next_price if next_price < limit_x96 else limit_x96
        start_price = price
        price, amount_in, amount_out, fee = compute_swap_step(price, target, liquidity, remaining, fee_pips)
        if exact_in:
            remaining -= amount_in + fee
            calculated -= amount_out
        else:
            remaining += amount_out
            calculated += amount_in + fee
        if fee_protocol:
            protocol_share = fee // fee_protocol
            fee -= protocol_share
            protocol_fee += protocol_share
        if liquidity:
            # A step takes less than liquidity * 2**84, so that the quotient stays in its word; the sum may wrap.
            growth += (fee << 128) // liquidity
        if price != next_price:
            # The amount is spent or the limit is reached, so that this was the last step.
            within_range = price != start_price
            break
        if initialized:
            entering = net[next_tick]
            liquidity = add_liquidity_delta(liquidity, -entering if zero_for_one else entering)
        tick = next_tick - 1 if zero_for_one else next_tick
    growth, protocol_fee = growth & UINT256_MAX, protocol_fee & UINT128_MAX
    return _Walk(remaining, calculated, price, None if within_range else tick, liquidity, growth, protocol_fee)


def _checked_limit(price: SqrtPriceX96, zero_for_one: bool, limit: SqrtPriceX96 | None) -> SqrtPriceX96:
    """The price limit of a swap, or the last possible one. Raises PriceLimitInvalid("SPL")."""
    if zero_for_one:
        limit = MIN_SQRT_RATIO + 1 if limit is None else limit
        possible = MIN_SQRT_RATIO < limit < price
    else:
        limit = MAX_SQRT_RATIO - 1 if limit is None else limit
        possible = price < limit < MAX_SQRT_RATIO
    if not possible:
        raise PriceLimitInvalid("SPL", f"limit {limit} for a price of {price}")
    return limit


def _require_amount(amount_specified: int) -> None:
    if amount_specified == 0:
        raise InsufficientInput("AS", "nothing to swap")
    if not INT256_MIN <= amount_specified <= INT256_MAX:
        raise ArithmeticRevert("", "the amount leaves int256")
