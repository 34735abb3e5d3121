"""Plain StableSwap pools: Curve, curvefi/curve-contract, contracts/pool-templates/base/SwapTemplateBase.vy, and the
first pools before it, such as contracts/pools/3pool/StableSwap3Pool.vy (get_D, get_y, get_y_D, get_dy, exchange,
calc_token_amount, _calc_withdraw_one_coin, add_liquidity, get_virtual_price, _A).

Lending, meta and crypto pools are `curve_lending`, `curve_meta` and `curve_crypto`. Where the first pools would return
the last value of an iteration that did not converge in 255 rounds, this raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

import msgspec

from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    NotConverged,
    PoolStateInvalid,
    TokenInvalid,
)
from node.pipeline.amm.units import UINT256_MAX, TokenAmount

PRECISION = 10**18
FEE_SCALE = 10**10
KEPT_INVARIANTS: Final = 4_096
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
    `is_moving`: the amplification ramps, from one second to the next and without a log.
    """

    balances: tuple[TokenAmount, ...]
    rates: tuple[int, ...]
    amplification: int
    fee: int
    admin_fee: int = 0
    a_precision: int = 100
    fee_after_rate: bool = False
    product_rule: ProductRule = ProductRule.EACH
    is_moving: bool = False


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
    before = invariant_of(pool, lifted(pool))
    sign = 1 if deposit else -1
    changed = tuple(balance + sign * amount for balance, amount in zip(pool.balances, amounts, strict=True))
    if min(changed) < 0:
        raise ArithmeticRevert("", "more than the balance")
    after = invariant_of(pool, lifted(msgspec.structs.replace(pool, balances=changed)))
    return checked_difference(*((after, before) if deposit else (before, after))) * supply // divisor(before)


def calc_withdraw_one_coin(pool: CurvePool, index: int, burnt: int, supply: int) -> TokenAmount:
    """What `burnt` pool tokens of a `supply` give in one coin, after fees (calc_withdraw_one_coin)."""
    return _withdrawal(pool, index, burnt, supply)[0]


def withdraw_one_coin(pool: CurvePool, index: int, burnt: int, supply: int) -> tuple[CurvePool, TokenAmount]:
    """(pool afterwards, amount out) of remove_liquidity_one_coin; the admin's share leaves the balance too."""
    amount_out, fee = _withdrawal(pool, index, burnt, supply)
    balances = list(pool.balances)
    balances[index] = checked_difference(balances[index], amount_out + fee * pool.admin_fee // FEE_SCALE)
    return msgspec.structs.replace(pool, balances=tuple(balances)), amount_out


def add_liquidity(pool: CurvePool, amounts: Sequence[TokenAmount], supply: int) -> tuple[CurvePool, int]:
    """(pool afterwards, pool tokens minted) of a deposit; all coins are needed where there is no supply yet.

    Raises ArithmeticRevert, NotConverged, InsufficientInput for a deposit that adds nothing.
    """
    if len(amounts) != len(pool.balances) or (not supply and not all(amounts)):
        raise InsufficientInput("", "a deposit of every coin is needed")
    before = invariant_of(pool, lifted(pool)) if supply else 0
    raised = [balance + amount for balance, amount in zip(pool.balances, amounts, strict=True)]
    enlarged = msgspec.structs.replace(pool, balances=tuple(raised))
    after = invariant_of(pool, lifted(enlarged))
    if after <= before:
        raise InsufficientInput("", "the deposit adds nothing")
    if not supply:
        return enlarged, after
    count = len(raised)
    rate = pool.fee * count // (4 * (count - 1))
    kept, counted = [], []
    for old, new in zip(pool.balances, raised, strict=True):
        fee = rate * abs(after * old // divisor(before) - new) // FEE_SCALE
        kept.append(new - fee * pool.admin_fee // FEE_SCALE)
        counted.append(checked_difference(new, fee))
    less_fees = invariant_of(pool, lifted(msgspec.structs.replace(pool, balances=tuple(counted))))
    minted = supply * checked_difference(less_fees, before) // before
    return msgspec.structs.replace(pool, balances=tuple(kept)), minted


def virtual_price(pool: CurvePool, supply: int) -> int:
    """What one pool token is worth, times 10**18 (get_virtual_price). Raises ArithmeticRevert without a supply."""
    return invariant_of(pool, lifted(pool)) * PRECISION // divisor(supply)


def ramped_amplification(initial: int, future: int, start: int, end: int, now: int) -> int:
    """The amplification while it moves from one value to another in a straight line; times in seconds (_A)."""
    if now >= end:
        return future
    if future > initial:
        return initial + (future - initial) * (now - start) // divisor(end - start)
    return initial - (initial - future) * (now - start) // divisor(end - start)


def _withdrawal(pool: CurvePool, index: int, burnt: int, supply: int) -> tuple[TokenAmount, TokenAmount]:
    """(amount out, fee in it) of one coin."""
    _require_index(pool, index)
    xp, count = lifted(pool), len(pool.balances)
    before = divisor(invariant_of(pool, xp))
    after = checked_difference(before, burnt * before // divisor(supply))
    balance = balance_at_invariant(pool.amplification, index, xp, after, pool.a_precision)
    without_fee = checked_difference(xp[index], balance) * PRECISION // pool.rates[index]
    fee = pool.fee * count // (4 * (count - 1))
    reduced = []
    for place, amount in enumerate(xp):
        expected = amount * after // before
        moved = checked_difference(expected, balance) if place == index else amount - expected
        reduced.append(amount - fee * moved // FEE_SCALE)
    left = balance_at_invariant(pool.amplification, index, reduced, after, pool.a_precision)
    amount_out = checked_difference(reduced[index], left + 1) * PRECISION // pool.rates[index]
    return amount_out, without_fee - amount_out


def invariant(amplification: int, balances: Sequence[int], a_precision: int, rule: ProductRule) -> int:
    """D of balances lifted to 18 decimals; 0 for an empty pool (get_D). Raises NotConverged, ArithmeticRevert."""
    total, count = sum(balances), len(balances)
    if total == 0:
        return 0
    d, ann = total, amplification * count
    for _ in range(MAX_ROUNDS):
        d_p = _product_term(d, balances, rule)
        before = d
        numerator = word((ann * total // a_precision + d_p * count) * d)
        d = numerator // divisor((ann - a_precision) * d // a_precision + (count + 1) * d_p)
        if abs(d - before) <= 1:
            return d
    raise NotConverged("", "the invariant")


def balance_at_invariant(amplification: int, index: int, balances: Sequence[int], d: int, a_precision: int) -> int:
    """The balance of one coin at which the others hold D (get_y, get_y_D). Raises NotConverged, ArithmeticRevert."""
    count = len(balances)
    ann, c, total = divisor(amplification * count), d, 0
    for place, balance in enumerate(balances):
        if place != index:
            total += balance
            c = word(c * d) // divisor(balance * count)
    c = word(c * d * a_precision) // (ann * count)
    b = total + d * a_precision // ann
    y = d
    for _ in range(MAX_ROUNDS):
        before = y
        y = word(y * y + c) // divisor(checked_difference(2 * y + b, d))
        if abs(y - before) <= 1:
            return y
    raise NotConverged("", "the balance")


def _product_term(d: int, balances: Sequence[int], rule: ProductRule) -> int:
    count = len(balances)
    if rule in (ProductRule.PAIR, ProductRule.PAIR_SQUARED):
        pair = word(word(d * d) // divisor(balances[0]) * d) // divisor(balances[1])
        exponent = count if rule is ProductRule.PAIR else 2
        return pair // int(count**exponent)
    more = 1 if rule is ProductRule.EACH_PLUS_ONE else 0
    d_p = d
    for balance in balances:
        d_p = word(d_p * d) // divisor(balance * count + more)
    return d_p


def _received(pool: CurvePool, index_in: int, index_out: int, amount_in: TokenAmount) -> int:
    """What leaves the pool for an input, lifted to 18 decimals and before the fee; one less than the curve says."""
    _require_index(pool, index_in)
    _require_index(pool, index_out)
    if index_in == index_out:
        raise TokenInvalid("", "a coin for itself")
    xp = lifted(pool)
    d = invariant_of(pool, xp)
    moved = list(xp)
    moved[index_in] = xp[index_in] + word(amount_in * pool.rates[index_in]) // PRECISION
    balance = balance_at_invariant(pool.amplification, index_out, moved, d, pool.a_precision)
    return checked_difference(xp[index_out], balance + 1)


def lifted(pool: CurvePool) -> list[int]:
    """The balances in 18 decimals (_xp). Raises PoolStateInvalid."""
    if not 2 <= len(pool.balances) == len(pool.rates):
        raise PoolStateInvalid(f"{len(pool.balances)} balances, {len(pool.rates)} rates")
    return [balance * rate // PRECISION for balance, rate in zip(pool.balances, pool.rates, strict=True)]


def invariant_of(pool: CurvePool, xp: Sequence[int]) -> int:
    """D of lifted balances, as this pool computes it; kept, since every quote of a state begins with the same."""
    return _kept_invariant(pool.amplification, tuple(xp), pool.a_precision, pool.product_rule)


@lru_cache(KEPT_INVARIANTS)
def _kept_invariant(amplification: int, balances: tuple[int, ...], a_precision: int, rule: ProductRule) -> int:
    return invariant(amplification, balances, a_precision, rule)


def _require_index(pool: CurvePool, index: int) -> None:
    if not 0 <= index < len(pool.balances):
        raise TokenInvalid("", f"coin {index} of {len(pool.balances)}")


def word(number: int) -> int:
    """The number, where it fits a word. Raises ArithmeticRevert."""
    if number > UINT256_MAX:
        raise ArithmeticRevert("", "a product overflows")
    return number


def divisor(number: int) -> int:
    """The number, where it can be divided by. Raises ArithmeticRevert."""
    if number == 0:
        raise ArithmeticRevert("", "division by zero")
    return number


def checked_difference(a: int, b: int) -> int:
    """a - b. Raises ArithmeticRevert below zero."""
    if b > a:
        raise ArithmeticRevert("", f"{a} less {b}")
    return a - b
