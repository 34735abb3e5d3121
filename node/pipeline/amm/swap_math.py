"""One step of a swap, inside one range: Uniswap v3-core, contracts/libraries/SwapMath.sol (computeSwapStep)."""

from __future__ import annotations

from node.pipeline.amm.sqrt_price_math import (
    amount0_delta_rounding_down,
    amount0_delta_rounding_up,
    amount1_delta_rounding_down,
    amount1_delta_rounding_up,
    sqrt_price_after_input,
    sqrt_price_after_output,
)
from node.pipeline.amm.units import FeePips, Liquidity, SqrtPriceX96, TokenAmount, TokenDelta

FEE_SCALE = 1_000_000
"""Fee pips in one."""


def compute_swap_step(
    current_x96: SqrtPriceX96,
    target_x96: SqrtPriceX96,
    liquidity: Liquidity,
    amount_remaining: TokenDelta,
    fee_pips: FeePips,
) -> tuple[SqrtPriceX96, TokenAmount, TokenAmount, TokenAmount]:
    """Swaps until the amount or the range ends: (price reached, amount in without fee, amount out, fee).

    `amount_remaining` is an input still to be spent (positive) or an output still wanted (negative).
    """
    if amount_remaining >= 0:
        return _step_exact_in(current_x96, target_x96, liquidity, amount_remaining, fee_pips)
    return _step_exact_out(current_x96, target_x96, liquidity, -amount_remaining, fee_pips)


def _step_exact_in(
    current_x96: SqrtPriceX96, target_x96: SqrtPriceX96, liquidity: Liquidity, remaining: TokenAmount, fee_pips: FeePips
) -> tuple[SqrtPriceX96, TokenAmount, TokenAmount, TokenAmount]:
    zero_for_one = current_x96 >= target_x96
    remaining_less_fee = remaining * (FEE_SCALE - fee_pips) // FEE_SCALE
    if zero_for_one:
        amount_in = amount0_delta_rounding_up(target_x96, current_x96, liquidity)
    else:
        amount_in = amount1_delta_rounding_up(current_x96, target_x96, liquidity)
    reached_x96 = target_x96
    if remaining_less_fee < amount_in:
        reached_x96 = sqrt_price_after_input(current_x96, liquidity, remaining_less_fee, zero_for_one)
    if zero_for_one:
        if reached_x96 != target_x96:
            amount_in = amount0_delta_rounding_up(reached_x96, current_x96, liquidity)
        amount_out = amount1_delta_rounding_down(reached_x96, current_x96, liquidity)
    else:
        if reached_x96 != target_x96:
            amount_in = amount1_delta_rounding_up(current_x96, reached_x96, liquidity)
        amount_out = amount0_delta_rounding_down(current_x96, reached_x96, liquidity)
    if reached_x96 != target_x96:
        # The range outlasts the input: what the price move did not need is the fee.
        return reached_x96, amount_in, amount_out, remaining - amount_in
    return reached_x96, amount_in, amount_out, _fee_rounding_up(amount_in, fee_pips)


def _step_exact_out(
    current_x96: SqrtPriceX96, target_x96: SqrtPriceX96, liquidity: Liquidity, wanted: TokenAmount, fee_pips: FeePips
) -> tuple[SqrtPriceX96, TokenAmount, TokenAmount, TokenAmount]:
    zero_for_one = current_x96 >= target_x96
    if zero_for_one:
        amount_out = amount1_delta_rounding_down(target_x96, current_x96, liquidity)
    else:
        amount_out = amount0_delta_rounding_down(current_x96, target_x96, liquidity)
    reached_x96 = target_x96
    if wanted < amount_out:
        reached_x96 = sqrt_price_after_output(current_x96, liquidity, wanted, zero_for_one)
    if zero_for_one:
        amount_in = amount0_delta_rounding_up(reached_x96, current_x96, liquidity)
        if reached_x96 != target_x96:
            amount_out = amount1_delta_rounding_down(reached_x96, current_x96, liquidity)
    else:
        amount_in = amount1_delta_rounding_up(current_x96, reached_x96, liquidity)
        if reached_x96 != target_x96:
            amount_out = amount0_delta_rounding_down(current_x96, reached_x96, liquidity)
    # Rounding of the price may free a unit more than was asked for; the pool keeps it.
    return reached_x96, amount_in, min(amount_out, wanted), _fee_rounding_up(amount_in, fee_pips)


def _fee_rounding_up(amount_in: TokenAmount, fee_pips: FeePips) -> TokenAmount:
    kept = FEE_SCALE - fee_pips
    return (amount_in * fee_pips + kept - 1) // kept
