"""Constant product with the fee inside the formula: Uniswap v2-core, contracts/UniswapV2Pair.sol (swap), and
v2-periphery, contracts/libraries/UniswapV2Library.sol (getAmountOut, getAmountIn); Sushi with the same fee of 3/1000,
Pancake with 25/10000, Camelot's volatile pairs with a fee for each direction.

Pools that take the fee off the input first, and therefore round otherwise, are in `solidly.py`.
"""

from __future__ import annotations

import msgspec

from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    InsufficientOutput,
    InvariantViolated,
)
from node.pipeline.amm.units import UINT112_MAX, UINT256_MAX, TokenAmount


class ConstantProductPool(msgspec.Struct, frozen=True, gc=False):
    """Reserves and the fee on an input of either token, in parts of `fee_scale` (3 of 1000 is 0.3 percent)."""

    reserve0: TokenAmount
    reserve1: TokenAmount
    fee0: int = 3
    fee1: int = 3
    fee_scale: int = 1000


def quote_exact_in(pool: ConstantProductPool, zero_for_one: bool, amount_in: TokenAmount) -> TokenAmount:
    """What the router's getAmountsOut answers for this pair. Raises as `amount_out_rounding_down`."""
    if zero_for_one:
        return amount_out_rounding_down(amount_in, pool.reserve0, pool.reserve1, pool.fee0, pool.fee_scale)
    return amount_out_rounding_down(amount_in, pool.reserve1, pool.reserve0, pool.fee1, pool.fee_scale)


def quote_exact_out(pool: ConstantProductPool, zero_for_one: bool, amount_out: TokenAmount) -> TokenAmount:
    """What the router's getAmountsIn answers for this pair. Raises as `amount_in_rounding_up`."""
    if zero_for_one:
        return amount_in_rounding_up(amount_out, pool.reserve0, pool.reserve1, pool.fee0, pool.fee_scale)
    return amount_in_rounding_up(amount_out, pool.reserve1, pool.reserve0, pool.fee1, pool.fee_scale)


def swap_exact_in(
    pool: ConstantProductPool, zero_for_one: bool, amount_in: TokenAmount
) -> tuple[ConstantProductPool, TokenAmount]:
    """(pool afterwards, amount out) of a swap through the router. Raises as the quote and `swap` do."""
    amount_out = quote_exact_in(pool, zero_for_one, amount_in)
    if zero_for_one:
        return swap(pool, amount_in, 0, 0, amount_out), amount_out
    return swap(pool, 0, amount_in, amount_out, 0), amount_out


def amount_out_rounding_down(
    amount_in: TokenAmount, reserve_in: TokenAmount, reserve_out: TokenAmount, fee: int, fee_scale: int
) -> TokenAmount:
    """UniswapV2Library.getAmountOut.

    Raises InsufficientInput, InsufficientLiquidity (an empty reserve), ArithmeticRevert beyond uint256.
    """
    if amount_in <= 0:
        raise InsufficientInput("UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT")
    if reserve_in <= 0 or reserve_out <= 0:
        raise InsufficientLiquidity("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
    in_less_fee = amount_in * (fee_scale - fee)
    numerator = in_less_fee * reserve_out
    denominator = reserve_in * fee_scale + in_less_fee
    if numerator > UINT256_MAX or denominator > UINT256_MAX:
        raise ArithmeticRevert("ds-math-mul-overflow", f"input of {amount_in}")
    return numerator // denominator


def amount_in_rounding_up(
    amount_out: TokenAmount, reserve_in: TokenAmount, reserve_out: TokenAmount, fee: int, fee_scale: int
) -> TokenAmount:
    """UniswapV2Library.getAmountIn: rounded down plus one, so that it is one too many where the division is exact.

    Raises InsufficientOutput, InsufficientLiquidity (an empty reserve, or all of it asked for), ArithmeticRevert.
    """
    if amount_out <= 0:
        raise InsufficientOutput("UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT")
    if reserve_in <= 0 or reserve_out <= 0:
        raise InsufficientLiquidity("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
    if amount_out >= reserve_out:
        raise InsufficientLiquidity("ds-math-sub-underflow", f"{amount_out} of {reserve_out}")
    numerator = reserve_in * amount_out * fee_scale
    if numerator > UINT256_MAX:
        raise ArithmeticRevert("ds-math-mul-overflow", f"output of {amount_out}")
    return numerator // ((reserve_out - amount_out) * (fee_scale - fee)) + 1


def swap(
    pool: ConstantProductPool,
    amount0_in: TokenAmount,
    amount1_in: TokenAmount,
    amount0_out: TokenAmount,
    amount1_out: TokenAmount,
) -> ConstantProductPool:
    """The pool after UniswapV2Pair.swap was called for the outputs, while the inputs had come in (flash swaps too).

    Raises InsufficientOutput, InsufficientLiquidity, InsufficientInput, InvariantViolated("UniswapV2: K"), and
    ArithmeticRevert("UniswapV2: OVERFLOW") for a balance beyond uint112, as the pair does.
    """
    if amount0_out <= 0 and amount1_out <= 0:
        raise InsufficientOutput("UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT")
    if amount0_out >= pool.reserve0 or amount1_out >= pool.reserve1:
        raise InsufficientLiquidity("UniswapV2: INSUFFICIENT_LIQUIDITY")
    if amount0_in <= 0 and amount1_in <= 0:
        raise InsufficientInput("UniswapV2: INSUFFICIENT_INPUT_AMOUNT")
    balance0 = pool.reserve0 - amount0_out + amount0_in
    balance1 = pool.reserve1 - amount1_out + amount1_in
    scale = pool.fee_scale
    product = (balance0 * scale - amount0_in * pool.fee0) * (balance1 * scale - amount1_in * pool.fee1)
    if product < pool.reserve0 * pool.reserve1 * scale * scale:
        raise InvariantViolated("UniswapV2: K")
    if balance0 > UINT112_MAX or balance1 > UINT112_MAX:
        raise ArithmeticRevert("UniswapV2: OVERFLOW")
    return ConstantProductPool(balance0, balance1, pool.fee0, pool.fee1, scale)
