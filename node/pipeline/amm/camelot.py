"""Camelot's stable pairs: CamelotLabs/core, contracts/CamelotPair.sol (_getAmountOut, _k, _f, _d, _get_y).

The curve is Solidly's, but rounded in another order, and the iteration stops one unit off. A fee for each direction.
(Camelot's volatile pairs are `constant_product` with the scale 100000.)
"""

from __future__ import annotations

import msgspec

from node.pipeline.amm.errors import ArithmeticRevert, InsufficientInput, InsufficientLiquidity
from node.pipeline.amm.solidly import (
    MAX_ROUNDS,
    ONE,
    checked_difference,
    less_fee_rounding_up,
    newton_step,
    stable_invariant,
)
from node.pipeline.amm.units import UINT256_MAX, TokenAmount


class CamelotStablePool(msgspec.Struct, frozen=True, gc=False):
    """Reserves, the fee on an input of either token in parts of `fee_scale`, one whole token of each (10**decimals)."""

    reserve0: TokenAmount
    reserve1: TokenAmount
    fee0: int
    fee1: int
    unit0: int
    unit1: int
    fee_scale: int = 100_000


def quote_exact_in(pool: CamelotStablePool, zero_for_one: bool, amount_in: TokenAmount) -> TokenAmount:
    """CamelotPair.getAmountOut. Raises InsufficientInput, InsufficientLiquidity, ArithmeticRevert."""
    if amount_in <= 0:
        raise InsufficientInput("CamelotPair: INSUFFICIENT_INPUT_AMOUNT")
    if pool.reserve0 <= 0 or pool.reserve1 <= 0:
        raise InsufficientLiquidity("CamelotPair: INSUFFICIENT_LIQUIDITY")
    x0, x1 = pool.reserve0 * ONE // pool.unit0, pool.reserve1 * ONE // pool.unit1
    if zero_for_one:
        reserve_in, reserve_out, unit_in, unit_out, fee = x0, x1, pool.unit0, pool.unit1, pool.fee0
    else:
        reserve_in, reserve_out, unit_in, unit_out, fee = x1, x0, pool.unit1, pool.unit0, pool.fee1
    balance_in = reserve_in + less_fee_rounding_up(amount_in, fee, pool.fee_scale) * ONE // unit_in
    invariant = stable_invariant(pool.reserve0, pool.reserve1, pool.unit0, pool.unit1)
    return checked_difference(reserve_out, stable_balance(balance_in, invariant, reserve_out)) * unit_out // ONE


def stable_curve(x: int, y: int) -> int:
    """_f: x**3 * y + y**3 * x in 18 decimals, each term rounded on its own. Raises ArithmeticRevert."""
    term_y = x * (y * y // ONE * y // ONE)
    term_x = (x * x // ONE * x // ONE) * y
    if term_x > UINT256_MAX or term_y > UINT256_MAX:
        raise ArithmeticRevert("", "the curve overflows")
    return term_y // ONE + term_x // ONE


def stable_balance(x: int, invariant: int, y: int) -> int:
    """_get_y: Newton's method from a first guess y; the last value after 255 rounds. Raises ArithmeticRevert."""
    for _ in range(MAX_ROUNDS):
        value = stable_curve(x, y)
        step = newton_step(abs(value - invariant), x, y)
        y = y + step if value < invariant else checked_difference(y, step)
        if step <= 1:
            return y
    return y
