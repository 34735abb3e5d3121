"""Aave's arithmetic, rounded half up: aave-v3-core, contracts/protocol/libraries/math/WadRayMath.sol (wadDiv, rayMul,
rayDiv), PercentageMath.sol (percentMul, percentDiv), MathUtils.sol (linear and compounded interest).
"""

from __future__ import annotations

from typing import Final

from node.pipeline.lending.errors import StateContradicted

WAD: Final = 10**18
RAY: Final = 10**27
PERCENT: Final = 10**4
SECONDS_PER_YEAR: Final = 365 * 24 * 60 * 60


def wad_div(a: int, b: int) -> int:
    """a / b in 18 decimals."""
    return (a * WAD + b // 2) // _divisor(b)


def ray_mul(a: int, b: int) -> int:
    """a * b in 27 decimals."""
    return (a * b + RAY // 2) // RAY


def ray_div(a: int, b: int) -> int:
    """a / b in 27 decimals."""
    return (a * RAY + b // 2) // _divisor(b)


def percent_mul(value: int, percentage: int) -> int:
    """value * percentage, of which 10,000 is all."""
    return (value * percentage + PERCENT // 2) // PERCENT


def percent_div(value: int, percentage: int) -> int:
    """value / percentage, of which 10,000 is all."""
    return (value * PERCENT + percentage // 2) // _divisor(percentage)


def linear_interest(rate: int, seconds: int) -> int:
    """1 + rate for a time, in rays (calculateLinearInterest)."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def compounded_interest(rate: int, seconds: int) -> int:
    """(1 + rate per second) ** seconds by three terms of its binomial series, in rays (calculateCompoundedInterest)."""
    if seconds == 0:
        return RAY
    less_one, less_two = seconds - 1, max(seconds - 2, 0)
    squared = ray_mul(rate, rate) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    cubed = ray_mul(squared, rate) // SECONDS_PER_YEAR
    second = seconds * less_one * squared // 2
    third = seconds * less_one * less_two * cubed // 6
    return RAY + rate * seconds // SECONDS_PER_YEAR + second + third


def _divisor(b: int) -> int:
    if b == 0:
        raise StateContradicted("division by zero")
    return b
