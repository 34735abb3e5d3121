"""Amounts and prices within one range of constant liquidity: Uniswap v3-core, contracts/libraries/SqrtPriceMath.sol.

Products that the contract forms with FullMath have no bound here either; where it forms them in one 256-bit word, the
overflow is looked for, because the contract then answers with another formula or reverts.
"""

from __future__ import annotations

from node.pipeline.amm.errors import ArithmeticRevert, InsufficientLiquidity, SqrtPriceInvalid
from node.pipeline.amm.units import UINT160_MAX, UINT256_MAX, Liquidity, SqrtPriceX96, TokenAmount

_Q96_MASK = (1 << 96) - 1


def amount0_delta_rounding_up(a_x96: SqrtPriceX96, b_x96: SqrtPriceX96, liquidity: Liquidity) -> TokenAmount:
    """Token0 between two prices in any order, as the pool asks for it (getAmount0Delta, roundUp = true)."""
    if a_x96 > b_x96:
        a_x96, b_x96 = b_x96, a_x96
    if a_x96 <= 0:
        raise SqrtPriceInvalid("", "the lower price is zero")
    over_upper = ((liquidity << 96) * (b_x96 - a_x96) + b_x96 - 1) // b_x96
    return (over_upper + a_x96 - 1) // a_x96


def amount0_delta_rounding_down(a_x96: SqrtPriceX96, b_x96: SqrtPriceX96, liquidity: Liquidity) -> TokenAmount:
    """Token0 between two prices in any order, as the pool pays it (getAmount0Delta, roundUp = false)."""
    if a_x96 > b_x96:
        a_x96, b_x96 = b_x96, a_x96
    if a_x96 <= 0:
        raise SqrtPriceInvalid("", "the lower price is zero")
    return (liquidity << 96) * (b_x96 - a_x96) // b_x96 // a_x96


def amount1_delta_rounding_up(a_x96: SqrtPriceX96, b_x96: SqrtPriceX96, liquidity: Liquidity) -> TokenAmount:
    """Token1 between two prices in any order, as the pool asks for it (getAmount1Delta, roundUp = true)."""
    return (liquidity * (b_x96 - a_x96 if b_x96 > a_x96 else a_x96 - b_x96) + _Q96_MASK) >> 96


def amount1_delta_rounding_down(a_x96: SqrtPriceX96, b_x96: SqrtPriceX96, liquidity: Liquidity) -> TokenAmount:
    """Token1 between two prices in any order, as the pool pays it (getAmount1Delta, roundUp = false)."""
    return (liquidity * (b_x96 - a_x96 if b_x96 > a_x96 else a_x96 - b_x96)) >> 96


def sqrt_price_after_token0_in_rounding_up(
    sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity, amount: TokenAmount
) -> SqrtPriceX96:
    """Price after token0 came in (getNextSqrtPriceFromAmount0RoundingUp, add = true)."""
    if amount == 0:
        return sqrt_price_x96
    numerator = liquidity << 96
    product = amount * sqrt_price_x96
    denominator = numerator + product
    if product <= UINT256_MAX and denominator <= UINT256_MAX:
        return (numerator * sqrt_price_x96 + denominator - 1) // denominator
    # The contract's less exact formula for amounts whose product leaves the word.
    denominator = numerator // sqrt_price_x96 + amount
    if denominator > UINT256_MAX:
        raise ArithmeticRevert("", "amount overflows")
    return (numerator + denominator - 1) // denominator


def sqrt_price_after_token0_out_rounding_up(
    sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity, amount: TokenAmount
) -> SqrtPriceX96:
    """Price after token0 went out (getNextSqrtPriceFromAmount0RoundingUp, add = false)."""
    if amount == 0:
        return sqrt_price_x96
    numerator = liquidity << 96
    product = amount * sqrt_price_x96
    if product > UINT256_MAX or product >= numerator:
        raise InsufficientLiquidity("", "not that much token0 in the range")
    denominator = numerator - product
    sqrt_price_after = (numerator * sqrt_price_x96 + denominator - 1) // denominator
    if sqrt_price_after > UINT160_MAX:
        raise ArithmeticRevert("", "price leaves uint160")
    return sqrt_price_after


def sqrt_price_after_token1_in_rounding_down(
    sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity, amount: TokenAmount
) -> SqrtPriceX96:
    """Price after token1 came in (getNextSqrtPriceFromAmount1RoundingDown, add = true)."""
    sqrt_price_after = sqrt_price_x96 + (amount << 96) // liquidity
    if sqrt_price_after > UINT160_MAX:
        raise ArithmeticRevert("", "price leaves uint160")
    return sqrt_price_after


def sqrt_price_after_token1_out_rounding_down(
    sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity, amount: TokenAmount
) -> SqrtPriceX96:
    """Price after token1 went out (getNextSqrtPriceFromAmount1RoundingDown, add = false)."""
    fall = ((amount << 96) + liquidity - 1) // liquidity
    if fall >= sqrt_price_x96:
        raise InsufficientLiquidity("", "not that much token1 in the range")
    return sqrt_price_x96 - fall


def sqrt_price_after_input(
    sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity, amount_in: TokenAmount, zero_for_one: bool
) -> SqrtPriceX96:
    """Price after an input, rounded so that it does not pass the target (getNextSqrtPriceFromInput)."""
    _require_price_and_liquidity(sqrt_price_x96, liquidity)
    if zero_for_one:
        return sqrt_price_after_token0_in_rounding_up(sqrt_price_x96, liquidity, amount_in)
    return sqrt_price_after_token1_in_rounding_down(sqrt_price_x96, liquidity, amount_in)


def sqrt_price_after_output(
    sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity, amount_out: TokenAmount, zero_for_one: bool
) -> SqrtPriceX96:
    """Price after an output, rounded so that it passes the target (getNextSqrtPriceFromOutput)."""
    _require_price_and_liquidity(sqrt_price_x96, liquidity)
    if zero_for_one:
        return sqrt_price_after_token1_out_rounding_down(sqrt_price_x96, liquidity, amount_out)
    return sqrt_price_after_token0_out_rounding_up(sqrt_price_x96, liquidity, amount_out)


def _require_price_and_liquidity(sqrt_price_x96: SqrtPriceX96, liquidity: Liquidity) -> None:
    if sqrt_price_x96 <= 0:
        raise SqrtPriceInvalid("", "the price is zero")
    if liquidity <= 0:
        raise InsufficientLiquidity("", "the range has no liquidity")
