"""Crypto pools of three coins that solve for the balance in closed form: Curve, curvefi/tricrypto-ng,
contracts/main/CurveCryptoMathOptimized3.vy (get_y, _cbrt) and CurveCryptoViews3Optimized.vy
(get_dy). Where the closed form has no root, the contract goes back to Newton's method, as here.

Vyper divides signed numbers towards zero. An exchange pays what get_dy answers and then moves the pool's own prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from node.pipeline.amm.curve_crypto import CryptoPool, lifted_after_input, lowered, newton_y, require_share, swap_fee
from node.pipeline.amm.curve_stableswap import FEE_SCALE, PRECISION, checked_difference
from node.pipeline.amm.errors import ArithmeticRevert, OutsideDomain, PoolStateInvalid
from node.pipeline.amm.units import INT256_MAX, INT256_MIN, TokenAmount

A_MULTIPLIER = 10_000
MIN_A, MAX_A = 27 * A_MULTIPLIER // 100, 27 * A_MULTIPLIER * 1000
MIN_GAMMA, MAX_GAMMA = 10**10, 5 * 10**16
_BIG = 115792089237316195423570985008687907853269
# (from which discriminant on, by what the polynomial is divided to stay in its words).
_DIVIDERS = ((48, 30), (44, 26), (40, 22), (36, 18), (32, 14), (28, 10), (24, 6), (20, 2))


def get_dy(pool: CryptoPool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What get_dy answers, fee included. Raises as `curve_crypto.get_dy`."""
    if len(pool.balances) != 3 or pool.a_multiplier != A_MULTIPLIER:
        raise PoolStateInvalid(f"{len(pool.balances)} coins, multiplier {pool.a_multiplier}")
    xp = lifted_after_input(pool, index_in, index_out, amount_in)
    balance = closed_form_y(pool.amplification, pool.gamma, xp, pool.d, index_out)
    received = checked_difference(xp[index_out], balance + 1)
    xp[index_out] = balance
    amount_out = lowered(pool, index_out, received)
    return amount_out - swap_fee(pool, xp) * amount_out // FEE_SCALE


def closed_form_y(amplification: int, gamma: int, xp: Sequence[int], d: int, index: int) -> int:
    """The balance of one coin at which the others hold D, by the root of a cubic (get_y), within a few units of
    Newton's. Raises OutsideDomain, ArithmeticRevert, NotConverged.
    """
    if not MIN_A <= amplification <= MAX_A or not MIN_GAMMA <= gamma <= MAX_GAMMA or not 10**17 <= d <= 10**33:
        raise OutsideDomain("", f"unsafe A {amplification}, gamma {gamma} or D {d}")
    x_j, x_k = (balance for place, balance in enumerate(xp) if place != index)
    for balance in (x_j, x_k):
        require_share(balance * PRECISION // d)
    a, b, c, cubic_d = _polynomial(amplification, gamma, x_j, x_k, d)
    triple = 3 * a * c
    delta0 = _div(triple, b) - b
    delta1 = _div(3 * triple, b) - 2 * b - _div(_div(27 * a * a, b) * cubic_d, b)
    square = _word(delta1 * delta1 + _div(4 * delta0 * delta0, b) * delta0)
    if square <= 0:
        return newton_y(amplification, gamma, xp, d, index, A_MULTIPLIER, MAX_GAMMA)
    root_of_square = isqrt(square)
    b_root = cube_root(b) if b >= 0 else -cube_root(-b)
    second = cube_root((root_of_square + abs(delta1)) // 2) * (1 if delta1 > 0 else -1)
    c1 = _div(_div(b_root * b_root, PRECISION) * second, PRECISION)
    k0 = _div(b + _div(b * delta0, c1) - c1, 3)
    y = _div(d * d // 27 // x_k * d // x_j * k0, a)
    if y < 0:
        raise ArithmeticRevert("", "a negative balance")
    require_share(y * PRECISION // d)
    return y


def cube_root(x: int) -> int:
    """The cube root of x * 10**36, so that 18 decimals stay 18: seven rounds of Newton's method (_cbrt)."""
    if x >= _BIG * PRECISION:
        lifted, factor = x, 10**12
    elif x >= _BIG:
        lifted, factor = x * PRECISION, 10**6
    else:
        lifted, factor = x * 10**36, 1
    exponent, rest = divmod(max(lifted.bit_length() - 1, 0), 3)
    root: int = (1 << exponent) * int(1260**rest) // int(1000**rest)
    for _ in range(7):
        if not root:
            return 0  # unsafe_div by zero is zero in the contract
        root = (2 * root + lifted // (root * root)) // 3
    return root * factor


def _polynomial(amplification: int, gamma: int, x_j: int, x_k: int, d: int) -> tuple[int, int, int, int]:
    """The cubic's coefficients, brought into the range in which its discriminant fits a word."""
    squared = gamma * gamma
    a = 10**36 // 27
    b = 10**36 // 9 + 2 * PRECISION * gamma // 27
    b -= d * d // x_j * squared * amplification // 27**2 // A_MULTIPLIER // x_k
    c = 10**36 // 9 + gamma * (gamma + 4 * PRECISION) // 27
    c += _div(_div(_div(squared * (x_j + x_k - d), d) * amplification, 27), A_MULTIPLIER)
    cubic_d = (PRECISION + gamma) ** 2 // 27
    size = abs(_div(3 * a * c, b) - b)
    divider = next((10**power for bound, power in _DIVIDERS if size > 10**bound), 1)
    if abs(a) > abs(b):
        more = abs(_div(a, b))
        return tuple(_div(part * more, divider) for part in (a, b, c, cubic_d))  # type: ignore[return-value]
    more = abs(_div(b, a))
    return tuple(_div(_div(part, more), divider) for part in (a, b, c, cubic_d))  # type: ignore[return-value]


def _div(a: int, b: int) -> int:
    """a / b towards zero. Raises ArithmeticRevert for zero, and for a numerator beyond its word."""
    if b == 0:
        raise ArithmeticRevert("", "division by zero")
    quotient = abs(_word(a)) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _word(number: int) -> int:
    if not INT256_MIN <= number <= INT256_MAX:
        raise ArithmeticRevert("", "a product leaves int256")
    return number
