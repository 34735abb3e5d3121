"""Stable pools: Balancer V2, balancer-v2-monorepo, pkg/pool-stable/contracts/StableMath.sol (_calculateInvariant,
_calcOutGivenIn, _calcInGivenOut, _getTokenBalanceGivenInvariantAndAllOtherBalances), called by
pool-utils/contracts/BaseGeneralPool.sol and ComposableStablePool.sol (_onRegularSwap).

Swaps between the pooled tokens; swaps with the pool's own token (BPT), which are joins and exits, raise TokenInvalid.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final

import msgspec

from node.pipeline.amm.balancer_fixed_point import add, div_down, div_up, mul_down, sub
from node.pipeline.amm.errors import ArithmeticRevert, InsufficientInput, NotConverged, PoolStateInvalid, TokenInvalid
from node.pipeline.amm.units import UINT256_MAX, Fixed18, TokenAmount
from node.pipeline.amm.weighted import less_fee_rounding_down, require_kept, with_fee_rounding_up

AMP_PRECISION = 1000
KEPT_INVARIANTS: Final = 4_096
MAX_ROUNDS = 255


class InvariantVersion(IntEnum):
    """Which StableMath a pool was compiled with."""

    ROUNDING_DOWN = 1
    """The repository's since 2022: D**(n+1) / (n**n * P), always rounded down (ComposableStablePool)."""
    ROUNDING_UP = 2
    """The one before: n**n * P / D**(n-1), rounded up for swaps (StablePool, MetaStablePool)."""


class BalancerStablePool(msgspec.Struct, frozen=True, gc=False):
    """Registered balances (smallest units), scaling factors with the rates in them, amplification times 1000, the fee.

    `bpt_index` is the place of the pool's own token among the registered ones, None where it is not registered.
    `is_moving`: time alone changes it, without a log (a ramp of the amplification, rates of providers).
    """

    balances: tuple[TokenAmount, ...]
    scaling_factors: tuple[Fixed18, ...]
    amplification: int
    swap_fee: Fixed18
    bpt_index: int | None = None
    invariant_version: InvariantVersion = InvariantVersion.ROUNDING_DOWN
    is_moving: bool = False


def quote_exact_in(pool: BalancerStablePool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """Amount out for an exact input, fee included (onSwap, GIVEN_IN). Raises TokenInvalid, InsufficientInput,
    ArithmeticRevert (also for a balance that the Vault cannot keep), NotConverged.
    """
    scaled, dense_in, dense_out = _dense(pool, index_in, index_out, amount_in)
    require_kept(pool.balances[index_in] + amount_in)
    less_fee = less_fee_rounding_down(amount_in, pool.swap_fee)
    amount_out = out_given_in_rounding_down(
        pool.amplification,
        scaled,
        dense_in,
        dense_out,
        mul_down(less_fee, pool.scaling_factors[index_in]),
        invariant_of(pool.amplification, scaled, pool.invariant_version),
    )
    return div_down(amount_out, pool.scaling_factors[index_out])


def quote_exact_out(pool: BalancerStablePool, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """Amount in for an exact output, fee included (onSwap, GIVEN_OUT). Raises TokenInvalid, InsufficientInput,
    ArithmeticRevert, NotConverged.
    """
    scaled, dense_in, dense_out = _dense(pool, index_in, index_out, amount_out)
    amount_in = in_given_out_rounding_up(
        pool.amplification,
        scaled,
        dense_in,
        dense_out,
        mul_down(amount_out, pool.scaling_factors[index_out]),
        invariant_of(pool.amplification, scaled, pool.invariant_version),
    )
    with_fee = with_fee_rounding_up(div_up(amount_in, pool.scaling_factors[index_in]), pool.swap_fee)
    require_kept(pool.balances[index_in] + with_fee)
    return with_fee


def invariant_of(amplification: int, balances: Sequence[int], version: InvariantVersion) -> int:
    """D as a swap of this version computes it; kept, since every quote of a state begins with the same."""
    return _kept_invariant(amplification, tuple(balances), version)


@lru_cache(KEPT_INVARIANTS)
def _kept_invariant(amplification: int, balances: tuple[int, ...], version: InvariantVersion) -> int:
    if version is InvariantVersion.ROUNDING_DOWN:
        return invariant_rounding_down(amplification, balances)
    return invariant_by_product(amplification, balances, rounding_up=True)


def invariant_rounding_down(amplification: int, balances: Sequence[int]) -> int:
    """StableMath._calculateInvariant; 0 for an empty pool. Raises NotConverged("BAL#321"), ArithmeticRevert."""
    total, count = sum(balances), len(balances)
    if total == 0:
        return 0
    invariant, amp_times_count = total, amplification * count
    for _ in range(MAX_ROUNDS):
        power_over_product = invariant
        for balance in balances:
            power_over_product = _product(power_over_product, invariant) // _divisor(balance * count)
        before = invariant
        numerator = _product(amp_times_count * total // AMP_PRECISION + power_over_product * count, invariant)
        denominator = (amp_times_count - AMP_PRECISION) * invariant // AMP_PRECISION + (count + 1) * power_over_product
        invariant = numerator // _divisor(denominator)
        if abs(invariant - before) <= 1:
            return invariant
    raise NotConverged("BAL#321", "the invariant")


def invariant_by_product(amplification: int, balances: Sequence[int], *, rounding_up: bool) -> int:
    """StableMath._calculateInvariant(…, roundUp) of the first stable pools; 0 for an empty pool.

    Raises NotConverged("BAL#321"), ArithmeticRevert.
    """
    total, count = sum(balances), len(balances)
    if total == 0:
        return 0
    invariant, amp_times_count = total, amplification * count
    for _ in range(MAX_ROUNDS):
        product = balances[0] * count
        for balance in balances[1:]:
            product = _divided(_product(product * balance, count), invariant, rounding_up)
        before = invariant
        numerator = _product(count * invariant, invariant) + _divided(
            _product(amp_times_count * total, product), AMP_PRECISION, rounding_up
        )
        # The denominator is rounded the other way.
        denominator = (count + 1) * invariant + _divided(
            _product(amp_times_count - AMP_PRECISION, product), AMP_PRECISION, not rounding_up
        )
        invariant = _divided(numerator, denominator, rounding_up)
        if abs(invariant - before) <= 1:
            return invariant
    raise NotConverged("BAL#321", "the invariant")


def out_given_in_rounding_down(
    amplification: int, balances: Sequence[int], index_in: int, index_out: int, amount_in: int, invariant: int
) -> int:
    """StableMath._calcOutGivenIn, on amounts lifted to 18 decimals and after the fee."""
    moved = list(balances)
    moved[index_in] = add(moved[index_in], amount_in)
    return sub(sub(balances[index_out], balance_rounding_up(amplification, moved, invariant, index_out)), 1)


def in_given_out_rounding_up(
    amplification: int, balances: Sequence[int], index_in: int, index_out: int, amount_out: int, invariant: int
) -> int:
    """StableMath._calcInGivenOut, on amounts lifted to 18 decimals and before the fee."""
    moved = list(balances)
    moved[index_out] = sub(moved[index_out], amount_out)
    return sub(balance_rounding_up(amplification, moved, invariant, index_in), balances[index_in]) + 1


def balance_rounding_up(amplification: int, balances: Sequence[int], invariant: int, index: int) -> int:
    """The balance of one token at which the others hold the invariant (StableMath._getTokenBalanceGiven…).

    Raises NotConverged("BAL#322"), ArithmeticRevert.
    """
    count = len(balances)
    amp_times_count = amplification * count
    product = balances[0] * count
    for balance in balances[1:]:
        product = _product(_product(product, balance), count) // _divisor(invariant)
    invariant_squared = _product(invariant, invariant)
    ratio = _divided(invariant_squared, _product(amp_times_count, product), rounding_up=True)
    c = _product(ratio * AMP_PRECISION, balances[index])
    b = sum(balances) - balances[index] + invariant // amp_times_count * AMP_PRECISION
    balance = _divided(invariant_squared + c, invariant + b, rounding_up=True)
    for _ in range(MAX_ROUNDS):
        before = balance
        balance = _divided(_product(balance, balance) + c, sub(2 * balance + b, invariant), rounding_up=True)
        if abs(balance - before) <= 1:
            return balance
    raise NotConverged("BAL#322", "the balance")


def _dense(pool: BalancerStablePool, index_in: int, index_out: int, amount: int) -> tuple[list[int], int, int]:
    """Balances lifted to 18 decimals without the pool's own token, and the two places among them."""
    count, bpt = len(pool.balances), pool.bpt_index
    if len(pool.scaling_factors) != count:
        raise PoolStateInvalid(f"{count} balances, {len(pool.scaling_factors)} scaling factors")
    if not (0 <= index_in < count and 0 <= index_out < count) or bpt in (index_in, index_out):
        raise TokenInvalid("BAL#521", f"tokens {index_in} and {index_out} of {count}, own token {bpt}")
    if index_in == index_out:
        raise TokenInvalid("BAL#509", "a token for itself")
    if amount <= 0:
        raise InsufficientInput("BAL#510", "nothing to swap")
    places = [place for place in range(count) if place != bpt]
    scaled = [mul_down(pool.balances[place], pool.scaling_factors[place]) for place in places]
    return scaled, places.index(index_in), places.index(index_out)


def _product(a: int, b: int) -> int:
    product = a * b
    if product > UINT256_MAX:
        raise ArithmeticRevert("BAL#003", "multiplication overflows")
    return product


def _divisor(b: int) -> int:
    if b == 0:
        raise ArithmeticRevert("BAL#004", "division by zero")
    return b


def _divided(a: int, b: int, rounding_up: bool) -> int:
    return (a + b - 1) // b if rounding_up and _divisor(b) else a // _divisor(b)
