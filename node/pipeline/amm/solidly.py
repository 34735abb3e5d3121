"""Solidly's pairs, which take the fee off the input first: Aerodrome, aerodrome-finance/contracts, contracts/Pool.sol
(getAmountOut, swap, _k, _f, _d, _get_y). Volatile pairs keep x * y, stable pairs x**3 * y + y**3 * x.

Solidity 0.8 reverts on every overflow; the products checked here are the largest of each expression, in whose shadow
the others lie.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    InsufficientOutput,
    InvariantViolated,
    NotConverged,
)
from node.pipeline.amm.units import UINT256_MAX, TokenAmount

ONE = 10**18
MAX_ROUNDS = 255
KEPT_INVARIANTS: Final = 4_096
"""Of the states last asked for; the one that was longest not asked for leaves."""


class SolidlyPool(msgspec.Struct, frozen=True, gc=False):
    """Reserves, the fee in parts of `fee_scale`, and for stable pairs one whole token of each (10**decimals)."""

    reserve0: TokenAmount
    reserve1: TokenAmount
    fee: int
    fee_scale: int = 10_000
    stable: bool = False
    unit0: int = ONE
    unit1: int = ONE


def quote_exact_in(pool: SolidlyPool, zero_for_one: bool, amount_in: TokenAmount) -> TokenAmount:
    """Pool.getAmountOut, which answers 0 for too little rather than revert.

    Raises InsufficientInput below zero, ArithmeticRevert (an empty pool too), NotConverged("!y").
    """
    if amount_in < 0:
        raise InsufficientInput("InsufficientInputAmount")
    less_fee = less_fee_rounding_up(amount_in, pool.fee, pool.fee_scale)
    if not pool.stable:
        reserve_in, reserve_out = _in_out(pool, zero_for_one)
        return volatile_out_rounding_down(less_fee, reserve_in, reserve_out)
    return _stable_out(pool, zero_for_one, less_fee)


def quote_exact_out_volatile(pool: SolidlyPool, zero_for_one: bool, amount_out: TokenAmount) -> TokenAmount:
    """The smallest input that yields `amount_out` of a volatile pair. The contract has no such function: both
    roundings of `quote_exact_in` are inverted exactly.

    Raises InsufficientOutput for nothing, InsufficientLiquidity for the whole reserve or more.
    """
    if amount_out <= 0:
        raise InsufficientOutput("InsufficientOutputAmount")
    reserve_in, reserve_out = _in_out(pool, zero_for_one)
    if amount_out >= reserve_out:
        raise InsufficientLiquidity("InsufficientLiquidity", f"{amount_out} of {reserve_out}")
    less_fee = -(-amount_out * reserve_in // (reserve_out - amount_out))
    # less_fee_rounding_up(x) is ceil(x * kept / scale), which reaches less_fee first at:
    return (less_fee - 1) * pool.fee_scale // (pool.fee_scale - pool.fee) + 1


def swap_exact_in(pool: SolidlyPool, zero_for_one: bool, amount_in: TokenAmount) -> tuple[SolidlyPool, TokenAmount]:
    """(pool afterwards, amount out) of a swap through the router; the fee leaves the reserves at once.

    Raises as the quote, InsufficientOutput for an output of zero, InvariantViolated("K").
    """
    amount_out = quote_exact_in(pool, zero_for_one, amount_in)
    if amount_out == 0:
        raise InsufficientOutput("InsufficientOutputAmount", f"{amount_in} buys nothing")
    kept = less_fee_rounding_up(amount_in, pool.fee, pool.fee_scale)
    change0, change1 = (kept, -amount_out) if zero_for_one else (-amount_out, kept)
    reserve0, reserve1 = pool.reserve0 + change0, pool.reserve1 + change1
    if invariant_rounding_down(pool, reserve0, reserve1) < invariant_rounding_down(pool, pool.reserve0, pool.reserve1):
        raise InvariantViolated("K", f"{amount_in} for {amount_out}")
    return msgspec.structs.replace(pool, reserve0=reserve0, reserve1=reserve1), amount_out


def less_fee_rounding_up(amount_in: TokenAmount, fee: int, fee_scale: int) -> TokenAmount:
    """What of an input is left to be swapped: the fee is rounded down."""
    product = amount_in * fee
    if product > UINT256_MAX:
        raise ArithmeticRevert("", f"input of {amount_in}")
    return amount_in - product // fee_scale


def volatile_out_rounding_down(less_fee: TokenAmount, reserve_in: TokenAmount, reserve_out: TokenAmount) -> TokenAmount:
    """_getAmountOut of a volatile pair, after the fee."""
    numerator, denominator = less_fee * reserve_out, reserve_in + less_fee
    if numerator > UINT256_MAX or denominator == 0:
        raise ArithmeticRevert("", f"input of {less_fee} beside {reserve_in}")
    return numerator // denominator


def invariant_rounding_down(pool: SolidlyPool, balance0: TokenAmount, balance1: TokenAmount) -> int:
    """_k: x * y, or for a stable pair the curve of the balances lifted to 18 decimals."""
    if pool.stable:
        return stable_invariant(balance0, balance1, pool.unit0, pool.unit1)
    return balance0 * balance1


@lru_cache(KEPT_INVARIANTS)
def _kept_invariant(reserve0: TokenAmount, reserve1: TokenAmount, unit0: int, unit1: int) -> int:
    """That of a pool's reserves, which many quotes ask for."""
    return stable_invariant(reserve0, reserve1, unit0, unit1)


def stable_invariant(balance0: TokenAmount, balance1: TokenAmount, unit0: int, unit1: int) -> int:
    """_k of a stable pair."""
    return stable_curve(balance0 * ONE // unit0, balance1 * ONE // unit1)


def stable_curve(x: int, y: int) -> int:
    """_f: x**3 * y + y**3 * x in 18 decimals, each product rounded down. Raises ArithmeticRevert."""
    x_squared, y_squared = x * x, y * y
    product = (x * y // ONE) * (x_squared // ONE + y_squared // ONE)
    if product > UINT256_MAX or x_squared > UINT256_MAX or y_squared > UINT256_MAX:
        raise ArithmeticRevert("", "the curve overflows")
    return product // ONE


def stable_slope(x: int, y: int) -> int:
    """_d: the derivative of the curve by y. Raises ArithmeticRevert."""
    rising, cubic = 3 * x * (y * y // ONE), (x * x // ONE) * x
    if rising > UINT256_MAX or cubic > UINT256_MAX:
        raise ArithmeticRevert("", "the slope of the curve overflows")
    return rising // ONE + cubic // ONE


def stable_balance(x: int, invariant: int, y: int, unit0: int, unit1: int) -> int:
    """_get_y: the balance at which the curve holds the invariant beside x, by Newton's method from a first guess y.

    Raises NotConverged("!y") after 255 rounds, ArithmeticRevert.
    """
    # stable_curve and newton_step, round by round, with what does not change between them taken out: x is the same.
    x_squared = x * x
    x_part = x_squared // ONE
    cubic = x_part * x
    if x_squared > UINT256_MAX or cubic > UINT256_MAX:
        raise ArithmeticRevert("", "the curve overflows")
    x_slope, three_x = cubic // ONE, 3 * x
    for _ in range(MAX_ROUNDS):
        y_squared = y * y
        y_part = y_squared // ONE
        product, rising = (x * y // ONE) * (x_part + y_part), three_x * y_part
        if product > UINT256_MAX or y_squared > UINT256_MAX or rising > UINT256_MAX:
            raise ArithmeticRevert("", "the curve or its slope overflows")
        value, slope = product // ONE, rising // ONE + x_slope
        numerator = (invariant - value if value < invariant else value - invariant) * ONE
        if slope == 0 or numerator > UINT256_MAX:
            raise ArithmeticRevert("", "the curve is flat here, or the error too large")
        step = numerator // slope
        if value < invariant:
            if step == 0:
                # The contract compares _k here, which lifts its arguments a second time.
                if stable_invariant(x, y + 1, unit0, unit1) > invariant:
                    return y + 1
                step = 1
            y += step
        else:
            if step == 0:
                if value == invariant or stable_curve(x, y - 1) < invariant:
                    return y
                step = 1
            y = checked_difference(y, step)
    raise NotConverged("!y")


def newton_step(error: int, x: int, y: int) -> int:
    """How far to move y for an error of the invariant. Raises ArithmeticRevert."""
    slope = stable_slope(x, y)
    numerator = error * ONE
    if slope == 0 or numerator > UINT256_MAX:
        raise ArithmeticRevert("", "the curve is flat here, or the error too large")
    return numerator // slope


def checked_difference(a: int, b: int) -> int:
    """a - b. Raises ArithmeticRevert below zero."""
    if b > a:
        raise ArithmeticRevert("", f"{a} less {b}")
    return a - b


def _stable_out(pool: SolidlyPool, zero_for_one: bool, less_fee: TokenAmount) -> TokenAmount:
    invariant = _kept_invariant(pool.reserve0, pool.reserve1, pool.unit0, pool.unit1)
    x0, x1 = pool.reserve0 * ONE // pool.unit0, pool.reserve1 * ONE // pool.unit1
    if zero_for_one:
        reserve_in, reserve_out, unit_in, unit_out = x0, x1, pool.unit0, pool.unit1
    else:
        reserve_in, reserve_out, unit_in, unit_out = x1, x0, pool.unit1, pool.unit0
    balance_in = reserve_in + less_fee * ONE // unit_in
    balance_out = stable_balance(balance_in, invariant, reserve_out, pool.unit0, pool.unit1)
    return checked_difference(reserve_out, balance_out) * unit_out // ONE


def _in_out(pool: SolidlyPool, zero_for_one: bool) -> tuple[TokenAmount, TokenAmount]:
    return (pool.reserve0, pool.reserve1) if zero_for_one else (pool.reserve1, pool.reserve0)
