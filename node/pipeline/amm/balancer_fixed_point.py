"""Checked 18-decimal arithmetic: Balancer V2, balancer-v2-monorepo, pkg/solidity-utils/contracts/math/FixedPoint.sol
and contracts/helpers/ScalingHelpers.sol. Every function reverts where the 256-bit word would overflow.
"""

from __future__ import annotations

from enum import Enum

from node.pipeline.amm import balancer_log_exp
from node.pipeline.amm.errors import ArithmeticRevert
from node.pipeline.amm.units import UINT256_MAX, Fixed18

ONE: Fixed18 = 10**18
TWO: Fixed18 = 2 * ONE
FOUR: Fixed18 = 4 * ONE
MAX_POW_RELATIVE_ERROR: Fixed18 = 10_000


class PowVersion(Enum):
    """Which FixedPoint a pool was compiled with: since 2021-11 exponents of 1, 2 and 4 are multiplied out."""

    V1 = "v1"
    V2 = "v2"


def add(a: int, b: int) -> int:
    """a + b. Raises ArithmeticRevert("BAL#000")."""
    if a + b > UINT256_MAX:
        raise ArithmeticRevert("BAL#000", "addition overflows")
    return a + b


def sub(a: int, b: int) -> int:
    """a - b. Raises ArithmeticRevert("BAL#001") below zero."""
    if b > a:
        raise ArithmeticRevert("BAL#001", "subtraction overflows")
    return a - b


def mul_down(a: int, b: int) -> int:
    """a * b / 10**18, rounded down. Raises ArithmeticRevert("BAL#003")."""
    return _product(a, b) // ONE


def mul_up(a: int, b: int) -> int:
    """a * b / 10**18, rounded up. Raises ArithmeticRevert("BAL#003")."""
    return (_product(a, b) + ONE - 1) // ONE


def div_down(a: int, b: int) -> int:
    """a * 10**18 / b, rounded down. Raises ArithmeticRevert: BAL#004 for zero, BAL#005 beyond the word."""
    return _inflated(a, b) // b


def div_up(a: int, b: int) -> int:
    """a * 10**18 / b, rounded up. Raises ArithmeticRevert: BAL#004 for zero, BAL#005 beyond the word."""
    return (_inflated(a, b) + b - 1) // b


def complement(x: Fixed18) -> Fixed18:
    """1 - x, or 0 for x above one."""
    return ONE - x if x < ONE else 0


def pow_down(base: Fixed18, exponent: Fixed18, version: PowVersion) -> Fixed18:
    """base ** exponent, not above the true value. Raises as `balancer_log_exp.power`, and ArithmeticRevert."""
    if version is PowVersion.V2:
        if exponent == ONE:
            return base
        if exponent == TWO:
            return mul_down(base, base)
        if exponent == FOUR:
            square = mul_down(base, base)
            return mul_down(square, square)
    raw = balancer_log_exp.power(base, exponent)
    max_error = add(mul_up(raw, MAX_POW_RELATIVE_ERROR), 1)
    return 0 if raw < max_error else raw - max_error


def pow_up(base: Fixed18, exponent: Fixed18, version: PowVersion) -> Fixed18:
    """base ** exponent, not below the true value. Raises as `balancer_log_exp.power`, and ArithmeticRevert."""
    if version is PowVersion.V2:
        if exponent == ONE:
            return base
        if exponent == TWO:
            return mul_up(base, base)
        if exponent == FOUR:
            square = mul_up(base, base)
            return mul_up(square, square)
    raw = balancer_log_exp.power(base, exponent)
    return add(raw, add(mul_up(raw, MAX_POW_RELATIVE_ERROR), 1))


def _product(a: int, b: int) -> int:
    product = a * b
    if product > UINT256_MAX:
        raise ArithmeticRevert("BAL#003", "multiplication overflows")
    return product


def _inflated(a: int, b: int) -> int:
    if b == 0:
        raise ArithmeticRevert("BAL#004", "division by zero")
    inflated = a * ONE
    if inflated > UINT256_MAX:
        raise ArithmeticRevert("BAL#005", "division overflows")
    return inflated
