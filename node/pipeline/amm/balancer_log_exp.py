"""Powers, exponentials and logarithms of 18-decimal numbers: Balancer V2, balancer-v2-monorepo,
pkg/solidity-utils/contracts/math/LogExpMath.sol (pow, exp, ln, log, _ln, _ln_36).

Solidity divides towards zero and Python downwards. Where the contract's numbers can be negative, its series are odd
functions, so that they are computed here on the magnitude and given the sign at the end.
"""

from __future__ import annotations

from node.pipeline.amm.errors import ArithmeticRevert, OutsideDomain
from node.pipeline.amm.units import Fixed18

ONE_18 = 10**18
ONE_20 = 10**20
ONE_36 = 10**36
MAX_NATURAL_EXPONENT: Fixed18 = 130 * ONE_18
MIN_NATURAL_EXPONENT: Fixed18 = -41 * ONE_18
LN_36_LOWER_BOUND: Fixed18 = ONE_18 - 10**17
LN_36_UPPER_BOUND: Fixed18 = ONE_18 + 10**17
MILD_EXPONENT_BOUND = 2**254 // ONE_20

# e**128 and e**64 are kept without decimals, with their exponents in 18 decimals.
_X0, _A0 = 128 * ONE_18, 38877084059945950922200000000000000000000000000000000000
_X1, _A1 = 64 * ONE_18, 6235149080811616882910000000
# (2**5 … 2**-4, and e to that power), all in 20 decimals.
_POWERS_OF_E_20 = (
    (3200000000000000000000, 7896296018268069516100000000000000),
    (1600000000000000000000, 888611052050787263676000000),
    (800000000000000000000, 298095798704172827474000),
    (400000000000000000000, 5459815003314423907810),
    (200000000000000000000, 738905609893065022723),
    (100000000000000000000, 271828182845904523536),
    (50000000000000000000, 164872127070012814685),
    (25000000000000000000, 128402541668774148407),
    (12500000000000000000, 113314845306682631683),
    (6250000000000000000, 106449445891785942956),
)
_POWERS_OF_E_20_OF_EXP = _POWERS_OF_E_20[:8]  # exp is precise enough without the last two


def power(base: Fixed18, exponent: Fixed18) -> Fixed18:
    """base ** exponent as exp(exponent * ln(base)); 0 ** 0 is one (LogExpMath.pow).

    Raises OutsideDomain: BAL#006 and BAL#007 for a base or an exponent too large, BAL#008 for their product.
    """
    if exponent == 0:
        return ONE_18
    if base == 0:
        return 0
    if not 0 < base < 1 << 255:
        raise OutsideDomain("BAL#006", f"base {base}")
    if not 0 < exponent < MILD_EXPONENT_BOUND:
        raise OutsideDomain("BAL#007", f"exponent {exponent}")
    if LN_36_LOWER_BOUND < base < LN_36_UPPER_BOUND:
        logarithm_36 = _ln_36(base)
        high, low = divmod(abs(logarithm_36), ONE_18)
        magnitude = (high * exponent + low * exponent // ONE_18) // ONE_18
        product = -magnitude if logarithm_36 < 0 else magnitude
    else:
        logarithm = _ln(base)
        magnitude = abs(logarithm) * exponent // ONE_18
        product = -magnitude if logarithm < 0 else magnitude
    if not MIN_NATURAL_EXPONENT <= product <= MAX_NATURAL_EXPONENT:
        raise OutsideDomain("BAL#008", f"{base} to the power of {exponent}")
    return exponential(product)


def exponential(x: Fixed18) -> Fixed18:
    """e ** x (LogExpMath.exp). Raises OutsideDomain("BAL#009") outside -41 … 130."""
    if not MIN_NATURAL_EXPONENT <= x <= MAX_NATURAL_EXPONENT:
        raise OutsideDomain("BAL#009", f"exponent {x}")
    if x < 0:
        return ONE_36 // exponential(-x)
    first = 1
    if x >= _X0:
        x -= _X0
        first = _A0
    elif x >= _X1:
        x -= _X1
        first = _A1
    x *= 100
    product = ONE_20
    for power_of_two, power_of_e in _POWERS_OF_E_20_OF_EXP:
        if x >= power_of_two:
            x -= power_of_two
            product = product * power_of_e // ONE_20
    series = ONE_20 + x
    term = x
    for divisor in range(2, 13):
        term = term * x // ONE_20 // divisor
        series += term
    return product * series // ONE_20 * first // 100


def natural_logarithm(x: Fixed18) -> Fixed18:
    """ln(x), negative below one (LogExpMath.ln). Raises OutsideDomain("BAL#100") for zero, and beyond int256."""
    if not 0 < x < 1 << 255:
        raise OutsideDomain("BAL#100", f"logarithm of {x}")
    if LN_36_LOWER_BOUND < x < LN_36_UPPER_BOUND:
        logarithm_36 = _ln_36(x)
        return -(-logarithm_36 // ONE_18) if logarithm_36 < 0 else logarithm_36 // ONE_18
    return _ln(x)


def logarithm(x: Fixed18, base: Fixed18) -> Fixed18:
    """Logarithm of x to a base, towards zero (LogExpMath.log). Raises OutsideDomain, ArithmeticRevert for base one."""
    log_base, log_x = _logarithm_36(base), _logarithm_36(x)
    if log_base == 0:
        raise ArithmeticRevert("", "logarithm to the base one")
    magnitude = abs(log_x) * ONE_18 // abs(log_base)
    return magnitude if (log_x < 0) == (log_base < 0) else -magnitude


def _logarithm_36(x: Fixed18) -> int:
    if not 0 < x < 1 << 255:
        raise OutsideDomain("BAL#100", f"logarithm of {x}")
    return _ln_36(x) if LN_36_LOWER_BOUND < x < LN_36_UPPER_BOUND else _ln(x) * ONE_18


def _ln(x: Fixed18) -> Fixed18:
    """Natural logarithm with 18 decimals, of any positive number."""
    if x < ONE_18:
        return -_ln(ONE_36 // x)
    total = 0
    if x >= _A0 * ONE_18:
        x //= _A0
        total += _X0
    if x >= _A1 * ONE_18:
        x //= _A1
        total += _X1
    total *= 100
    x *= 100
    for power_of_two, power_of_e in _POWERS_OF_E_20:
        if x >= power_of_e:
            x = x * ONE_20 // power_of_e
            total += power_of_two
    z = (x - ONE_20) * ONE_20 // (x + ONE_20)
    return (total + _area_tangent_series(z, ONE_20, 11)) // 100


def _ln_36(x: Fixed18) -> int:
    """Natural logarithm with 36 decimals, of a number close to one."""
    x *= ONE_18
    magnitude = _area_tangent_series(abs(x - ONE_36) * ONE_36 // (x + ONE_36), ONE_36, 15)
    return magnitude if x >= ONE_36 else -magnitude


def _area_tangent_series(z: int, one: int, last: int) -> int:
    """2 * (z + z**3 / 3 + … + z**last / last), which is ln((1 + z) / (1 - z)), for z not negative."""
    z_squared = z * z // one
    total = power_of_z = z
    for divisor in range(3, last + 1, 2):
        power_of_z = power_of_z * z_squared // one
        total += power_of_z // divisor
    return 2 * total
