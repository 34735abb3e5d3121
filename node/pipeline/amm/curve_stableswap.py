"""Plain StableSwap pools: Curve, curvefi/curve-contract, contracts/pool-templates/base/SwapTemplateBase.vy, and the
first pools before it, such as contracts/pools/3pool/StableSwap3Pool.vy (get_D, get_y, get_y_D, get_dy, exchange,
calc_token_amount, _calc_withdraw_one_coin).

Lending, meta and crypto pools are not of this family. Where the first pools would return the last value of an
iteration that did not converge in 255 rounds, this raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

from node.pipeline.amm.errors import ArithmeticRevert, NotConverged, PoolStateInvalid, TokenInvalid
from node.pipeline.amm.units import UINT256_MAX, TokenAmount

PRECISION = 10**18
FEE_SCALE = 10**10
MAX_ROUNDS = 255


class ProductRule(Enum):
    """How the iteration for D forms D**(n+1) / (n**n * product); they round differently."""

    EACH = "each"
    """Divided by each balance times n."""
    EACH_PLUS_ONE = "each plus one"
    """Divided by each balance times n, plus one, so that an empty balance does not revert."""
    PAIR = "pair"
    """Divided by the two balances, then by n**n (pools of two coins)."""
    PAIR_SQUARED = "pair squared"
    """Divided by the two balances, then by n**2 (pools of two coins)."""


class CurvePool(msgspec.Struct, frozen=True, gc=False):
    """Balances (smallest units), rates that lift them to 18 decimals (times 10**18), amplification and fees.

    `amplification` is A times `a_precision`, which is 1 in the first pools and 100 since; fees are of 10**10.
    `fee_after_rate` tells the first pools, whose get_dy takes the fee after the conversion (exchange never did).
    """

    balances: tuple[TokenAmount, ...]
    rates: tuple[int, ...]
    amplification: int
    fee: int
    admin_fee: int = 0
    a_precision: int = 100
    fee_after_rate: bool = False
    product_rule: ProductRule = ProductRule.EACH


def get_dy(pool: CurvePool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What get_dy answers; up to a unit away from what `exchange` pays in the first pools.

    Raises TokenInvalid, ArithmeticRevert, NotConverged.
    """
    received = _received(pool, index_in, index_out, amount_in)
    if pool.fee_after_rate:
        amount_out = received * PRECISION // pool.rates[index_out]
        return amount_out - pool.fee * amount_out // FEE_SCALE
    return (received - pool.fee * received // FEE_SCALE) * PRECISION // pool.rates[index_out]


def exchange(pool: CurvePool, index_in: int, index_out: int, amount_in: TokenAmount) -> tuple[CurvePool, TokenAmount]:
    """(pool afterwards, amount out) of an exchange; the admin's share of the fee leaves the balances too.

    Raises TokenInvalid, ArithmeticRevert, NotConverged.
    """
    received, rate = _received(pool, index_in, index_out, amount_in), pool.rates[index_out]
    fee = received * pool.fee // FEE_SCALE
    amount_out = (received - fee) * PRECISION // rate
    balances = list(pool.balances)
    balances[index_in] += amount_in
    balances[index_out] -= amount_out + fee * pool.admin_fee // FEE_SCALE * PRECISION // rate
    return msgspec.structs.replace(pool, balances=tuple(balances)), amount_out


def calc_token_amount(pool: CurvePool, amounts: Sequence[TokenAmount], supply: TokenAmount, *, deposit: bool) -> int:
    """Pool tokens for a deposit or a withdrawal of `amounts`, before fees, of a `supply` (calc_token_amount)."""
    before = _invariant(pool, _lifted(pool))
    sign = 1 if deposit else -1
    changed = tuple(balance + sign * amount for balance, amount in zip(pool.balances, amounts, strict=True))
    if min(changed) < 0:
        raise ArithmeticRevert("", "more than the balance")
    after = _invariant(pool, _lifted(msgspec.structs.replace(pool, balances=changed)))
    return _checked_difference(*((after, before) if deposit else (before, after))) * supply // _divisor(before)


def calc_withdraw_one_coin(pool: CurvePool, index: int, burnt: int, supply: int) -> TokenAmount:
    """What `burnt` pool tokens of a `supply` give in one coin, after fees (calc_withdraw_one_coin)."""
    _require_index(pool, index)
    lifted, count = _lifted(pool), len(pool.balances)
    before = _divisor(_invariant(pool, lifted))
    after = _checked_difference(before, burnt * before // _divisor(supply))
    balance = balance_at_invariant(pool.amplification, index, lifted, after, pool.a_precision)
    fee = pool.fee * count // (4 * (count - 1))
    reduced = []
    for place, amount in enumerate(lifted):
        expected = amount * after // before
        moved = _checked_difference(expected, balance) if place == index else amount - expected
        reduced.append(amount - fee * moved // FEE_SCALE)
    left = balance_at_invariant(pool.amplification, index, reduced, after, pool.a_precision)
    return _checked_difference(reduced[index], left + 1) * PRECISION // pool.rates[index]


def invariant(amplification: int, balances: Sequence[int], a_precision: int, rule: ProductRule) -> int:
    """D of balances lifted to 18 decimals; 0 for an empty pool (get_D). Raises NotConverged, ArithmeticRevert."""
    total, count = sum(balances), len(balances)
    if total == 0:
        return 0
    d, ann = total, amplification * count
    for _ in range(MAX_ROUNDS):
        d_p = _product_term(d, balances, rule)
        before = d
        numerator = _word((ann * total // a_precision + d_p * count) * d)
        d = numerator // _divisor((ann - a_precision) * d // a_precision + (count + 1) * d_p)
        if abs(d - before) <= 1:
            return d
    raise NotConverged("", "the invariant")


def balance_at_invariant(amplification: int, index: int, balances: Sequence[int], d: int, a_precision: int) -> int:
    """The balance of one coin at which the others hold D (get_y, get_y_D). Raises NotConverged, ArithmeticRevert."""
    count = len(balances)
    ann, c, total = amplification * count, d, 0
    for place, balance in enumerate(balances):
        if place != index:
            total += balance
            c = _word(c * d) // _divisor(balance * count)
    c = _word(c * d * a_precision) // (ann * count)
    b = total + d * a_precision // ann
    y = d
    for _ in range(MAX_ROUNDS):
        before = y
        y = _word(y * y + c) // _divisor(_checked_difference(2 * y + b, d))
        if abs(y - before) <= 1:
            return y
    raise NotConverged("", "the balance")


def _product_term(d: int, balances: Sequence[int], rule: ProductRule) -> int:
    count = len(balances)
    if rule in (ProductRule.PAIR, ProductRule.PAIR_SQUARED):
        pair = _word(_word(d * d) // _divisor(balances[0]) * d) // _divisor(balances[1])
        exponent = count if rule is ProductRule.PAIR else 2
        return pair // int(count**exponent)
    more = 1 if rule is ProductRule.EACH_PLUS_ONE else 0
    d_p = d
    for balance in balances:
        d_p = _word(d_p * d) // _divisor(balance * count + more)
    return d_p


def _received(pool: CurvePool, index_in: int, index_out: int, amount_in: TokenAmount) -> int:
    """What leaves the pool for an input, lifted to 18 decimals and before the fee; one less than the curve says."""
    _require_index(pool, index_in)
    _require_index(pool, index_out)
    if index_in == index_out:
        raise TokenInvalid("", "a coin for itself")
    lifted = _lifted(pool)
    d = _invariant(pool, lifted)
    moved = list(lifted)
    moved[index_in] = lifted[index_in] + _word(amount_in * pool.rates[index_in]) // PRECISION
    balance = balance_at_invariant(pool.amplification, index_out, moved, d, pool.a_precision)
    return _checked_difference(lifted[index_out], balance + 1)


def _lifted(pool: CurvePool) -> list[int]:
    if not 2 <= len(pool.balances) == len(pool.rates):
        raise PoolStateInvalid(f"{len(pool.balances)} balances, {len(pool.rates)} rates")
    return [balance * rate // PRECISION for balance, rate in zip(pool.balances, pool.rates, strict=True)]


def _invariant(pool: CurvePool, lifted: Sequence[int]) -> int:
    return invariant(pool.amplification, lifted, pool.a_precision, pool.product_rule)


def _require_index(pool: CurvePool, index: int) -> None:
    if not 0 <= index < len(pool.balances):
        raise TokenInvalid("", f"coin {index} of {len(pool.balances)}")


def _word(number: int) -> int:
    if number > UINT256_MAX:
        raise ArithmeticRevert("", "a product overflows")
    return number


def _divisor(number: int) -> int:
    if number == 0:
        raise ArithmeticRevert("", "division by zero")
    return number


def _checked_difference(a: int, b: int) -> int:
    if b > a:
        raise ArithmeticRevert("", f"{a} less {b}")
    return a - b
