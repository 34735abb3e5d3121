"""Uniswap V4: v4-core, src/libraries/Pool.sol (swap), SwapMath.sol (computeSwapStep), ProtocolFeeLibrary.sol
(calculateSwapFee), Hooks.sol, types/PoolId.sol; quotes as v4-periphery, src/lens/V4Quoter.sol, answers them.

A pool whose hook may change the amounts of a swap is recognised by the hook's address and left alone.
"""

from __future__ import annotations

from enum import IntFlag

import msgspec

from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    OutsideDomain,
    PoolStateInvalid,
    PriceLimitInvalid,
)
from node.pipeline.amm.sqrt_price_math import (
    amount0_delta_rounding_down,
    amount0_delta_rounding_up,
    amount1_delta_rounding_down,
    amount1_delta_rounding_up,
    sqrt_price_after_input,
    sqrt_price_after_output,
)
from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.tick_bitmap import next_initialized_tick_within_one_word
from node.pipeline.amm.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from node.pipeline.amm.ticks import TickTable, add_liquidity_delta, max_liquidity_per_tick_v4, table_with_position
from node.pipeline.amm.units import FeePips, Liquidity, LiquidityDelta, SqrtPriceX96, Tick, TokenAmount
from protocol.ethereum.keccak import keccak256
from protocol.units import Address

DYNAMIC_FEE = 0x800000
"""In the place of a pool key's fee: the hook sets it, and slot0 tells it."""
_PAD = bytes(12)
_INT128_LIMIT = 1 << 127


class Hook(IntFlag):
    """What a hook's address says that it is called for, as far as swaps go (Hooks.sol)."""

    BEFORE_SWAP = 1 << 7
    BEFORE_SWAP_RETURNS_DELTA = 1 << 3
    AFTER_SWAP_RETURNS_DELTA = 1 << 2


class V4Pool(msgspec.Struct, frozen=True, gc=False):
    """State of one pool, as far as amounts depend on it: `lp_fee` and both directions' protocol fees from slot0, in
    pips; 12 bits each of slot0.protocolFee, zero for one in the lower ones.
    """

    lp_fee: FeePips
    sqrt_price_x96: SqrtPriceX96
    tick: Tick
    liquidity: Liquidity
    ticks: TickTable
    protocol_fee0: FeePips = 0
    protocol_fee1: FeePips = 0


class V4Swap(msgspec.Struct, frozen=True, gc=False):
    """What a swap did: what was paid, what was got, the protocol's fee in the input token, the pool afterwards."""

    amount_in: TokenAmount
    amount_out: TokenAmount
    protocol_fee: TokenAmount
    after: V4Pool


def pool_id(currency0: Address, currency1: Address, fee: int, spacing: int, hooks: Address) -> bytes:
    """The 32 bytes by which the PoolManager names a pool: the hash of its key. Raises PoolStateInvalid."""
    if not 0 <= fee < 1 << 24 or not 0 < spacing < 1 << 15:
        raise PoolStateInvalid(f"fee {fee}, tick spacing {spacing}")
    words = (_PAD, currency0, _PAD, currency1, fee.to_bytes(32, "big"), spacing.to_bytes(32, "big"), _PAD, hooks)
    return keccak256(b"".join(words))


def alters_amounts(hooks: Address) -> bool:
    """Whether a pool's hook may change what a swap pays: it acts before the swap (where it may set the fee, or move the
    pool), or takes or gives a part of it.
    """
    flags = int.from_bytes(hooks, "big")
    return bool(flags & (Hook.BEFORE_SWAP | Hook.BEFORE_SWAP_RETURNS_DELTA | Hook.AFTER_SWAP_RETURNS_DELTA))


def protocol_fees(packed: int) -> tuple[FeePips, FeePips]:
    """(zero for one, one for zero) of slot0.protocolFee."""
    return packed & 0xFFF, packed >> 12 & 0xFFF


def swap_fee(lp_fee: FeePips, protocol_fee: FeePips) -> FeePips:
    """The whole fee of a swap: the protocol's comes first, then the pool's from the rest (calculateSwapFee)."""
    return protocol_fee + lp_fee - protocol_fee * lp_fee // FEE_SCALE


def quote_exact_in(pool: V4Pool, zero_for_one: bool, amount_in: TokenAmount) -> tuple[TokenAmount, TokenAmount]:
    """(amount taken, amount out): less is taken where the last tick comes first. Raises InsufficientInput."""
    done = swap(pool, zero_for_one, amount_in, exact_in=True)
    return done.amount_in, done.amount_out


def quote_exact_out(pool: V4Pool, zero_for_one: bool, amount_out: TokenAmount) -> TokenAmount:
    """The input that buys `amount_out`. Raises InsufficientInput, InsufficientLiquidity, OutsideDomain."""
    done = swap(pool, zero_for_one, amount_out, exact_in=False)
    if done.amount_out != amount_out:
        raise InsufficientLiquidity("NotEnoughLiquidity", f"{done.amount_out} of {amount_out}")
    return done.amount_in


def modify_liquidity(pool: V4Pool, lower: Tick, upper: Tick, delta: LiquidityDelta) -> V4Pool:
    """The pool after a position over lower … upper grew or shrank (ModifyLiquidity). Raises TickInvalid,
    LiquidityInvalid.
    """
    limit = max_liquidity_per_tick_v4(pool.ticks.spacing)
    ticks = table_with_position(pool.ticks, lower, upper, delta, limit)
    inside = lower <= pool.tick < upper
    liquidity = add_liquidity_delta(pool.liquidity, delta) if inside else pool.liquidity
    return msgspec.structs.replace(pool, ticks=ticks, liquidity=liquidity)


def swap(
    pool: V4Pool,
    zero_for_one: bool,
    amount: TokenAmount,
    *,
    exact_in: bool,
    sqrt_price_limit_x96: SqrtPriceX96 | None = None,
) -> V4Swap:
    """Pool.swap: an exact input or output, partly filled where the price limit or the last tick comes first.

    Raises InsufficientInput for nothing, PriceLimitInvalid, OutsideDomain for an exact output at a fee of everything,
    ArithmeticRevert for more than the manager counts of a token (int128).
    """
    if amount <= 0:
        raise InsufficientInput("SwapAmountCannotBeZero")
    limit = _checked_limit(pool.sqrt_price_x96, zero_for_one, sqrt_price_limit_x96)
    protocol = pool.protocol_fee0 if zero_for_one else pool.protocol_fee1
    fee_pips = swap_fee(pool.lp_fee, protocol)
    if not 0 <= fee_pips <= FEE_SCALE:
        raise PoolStateInvalid(f"fee of {fee_pips} pips")
    if fee_pips == FEE_SCALE and not exact_in:
        raise OutsideDomain("InvalidFeeForExactOut")
    bitmap, spacing, net = pool.ticks.bitmap, pool.ticks.spacing, pool.ticks.net
    price, tick, liquidity = pool.sqrt_price_x96, pool.tick, pool.liquidity
    remaining, calculated, to_protocol = amount, 0, 0
    while remaining and price != limit:
        stop, initialized = next_initialized_tick_within_one_word(bitmap, tick, spacing, zero_for_one)
        stop = max(stop, MIN_TICK) if zero_for_one else min(stop, MAX_TICK)
        stop_price = sqrt_ratio_at_tick(stop)
        target = max(stop_price, limit) if zero_for_one else min(stop_price, limit)
        start = price
        price, step_in, step_out, fee = _step(start, target, liquidity, remaining, fee_pips, exact_in)
        remaining -= step_in + fee if exact_in else step_out
        calculated += step_out if exact_in else step_in + fee
        if protocol:
            to_protocol += fee if fee_pips == protocol else (step_in + fee) * protocol // FEE_SCALE
        if price == stop_price:
            if initialized:
                liquidity = add_liquidity_delta(liquidity, -net[stop] if zero_for_one else net[stop])
            tick = stop - 1 if zero_for_one else stop
        elif price != start:
            tick = tick_at_sqrt_ratio(price)
    moved = amount - remaining
    amount_in, amount_out = (moved, calculated) if exact_in else (calculated, moved)
    if amount_in > _INT128_LIMIT or amount_out >= _INT128_LIMIT:  # what is paid counts as negative
        raise ArithmeticRevert("SafeCastOverflow", f"{amount_in} in, {amount_out} out")
    after = msgspec.structs.replace(pool, sqrt_price_x96=price, tick=tick, liquidity=liquidity)
    return V4Swap(amount_in, amount_out, to_protocol, after)


def _step(
    current: SqrtPriceX96, target: SqrtPriceX96, liquidity: Liquidity, remaining: int, fee_pips: FeePips, exact_in: bool
) -> tuple[SqrtPriceX96, TokenAmount, TokenAmount, TokenAmount]:
    """(price reached, amount in without fee, amount out, fee) of one range (SwapMath.computeSwapStep)."""
    zero_for_one, kept = current >= target, FEE_SCALE - fee_pips
    reached = target
    if exact_in:
        less_fee = remaining * kept // FEE_SCALE
        amount_in = _input(target, current, liquidity, zero_for_one)
        if less_fee >= amount_in:
            fee = amount_in if not kept else -(-amount_in * fee_pips // kept)
        else:
            # The range outlasts the input; V3 would count the input anew from the price.
            amount_in, fee = less_fee, remaining - less_fee
            reached = sqrt_price_after_input(current, liquidity, less_fee, zero_for_one)
        return reached, amount_in, _output(reached, current, liquidity, zero_for_one), fee
    amount_out = _output(target, current, liquidity, zero_for_one)
    if remaining < amount_out:
        amount_out = remaining
        reached = sqrt_price_after_output(current, liquidity, remaining, zero_for_one)
    amount_in = _input(reached, current, liquidity, zero_for_one)
    return reached, amount_in, amount_out, -(-amount_in * fee_pips // kept)


def _input(target: SqrtPriceX96, current: SqrtPriceX96, liquidity: Liquidity, zero_for_one: bool) -> TokenAmount:
    if zero_for_one:
        return amount0_delta_rounding_up(target, current, liquidity)
    return amount1_delta_rounding_up(current, target, liquidity)


def _output(target: SqrtPriceX96, current: SqrtPriceX96, liquidity: Liquidity, zero_for_one: bool) -> TokenAmount:
    if zero_for_one:
        return amount1_delta_rounding_down(target, current, liquidity)
    return amount0_delta_rounding_down(current, target, liquidity)


def _checked_limit(price: SqrtPriceX96, zero_for_one: bool, limit: SqrtPriceX96 | None) -> SqrtPriceX96:
    """The price limit of a swap, or the last possible one. Raises PriceLimitInvalid."""
    last = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
    limit = last if limit is None else limit
    if limit >= price if zero_for_one else limit <= price:
        raise PriceLimitInvalid("PriceLimitAlreadyExceeded", f"limit {limit} for a price of {price}")
    if limit < last if zero_for_one else limit > last:
        raise PriceLimitInvalid("PriceLimitOutOfBounds", f"limit {limit}")
    return limit
