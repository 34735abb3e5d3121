"""What a swap gives: the pools' own formulas, for planning.

Constant product and concentrated liquidity (within one tick range) are exact, with the contracts' rounding; Balancer's
are correctly rounded decimals, a hair on the safe side. Amounts are in the tokens' smallest units.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

PIPS: Final = 1_000_000
Q96: Final = 1 << 96
_SAFETY: Final = Decimal("1e-9")
_AMPLIFICATION_PRECISION: Final = 1000
_ROUNDS: Final = 255


class CannotQuote(ValueError):
    """The pool cannot give that amount, or is empty."""


def _divide_up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def constant_product_out(amount_in: int, reserve_in: int, reserve_out: int, fee_pips: int) -> int:
    """Amount out for an exact amount in, rounded down (UniswapV2Library.getAmountOut)."""
    if amount_in <= 0 or reserve_in <= 0 or reserve_out <= 0:
        raise CannotQuote("no amount or no reserves")
    with_fee = amount_in * (PIPS - fee_pips)
    return with_fee * reserve_out // (reserve_in * PIPS + with_fee)


def constant_product_in(amount_out: int, reserve_in: int, reserve_out: int, fee_pips: int) -> int:
    """Amount in for an exact amount out, rounded up (UniswapV2Library.getAmountIn)."""
    if not 0 < amount_out < reserve_out or reserve_in <= 0:
        raise CannotQuote("more than the pool holds")
    return reserve_in * amount_out * PIPS // ((reserve_out - amount_out) * (PIPS - fee_pips)) + 1


def concentrated_step(sqrt_price: int, liquidity: int, amount_in: int, zero_for_one: bool, fee: int) -> tuple[int, int]:
    """Return (amount out, next sqrtPriceX96) for an exact amount in, as if no tick were crossed (SwapMath)."""
    if amount_in <= 0 or liquidity <= 0 or sqrt_price <= 0:
        raise CannotQuote("no amount or no liquidity")
    net = amount_in * (PIPS - fee) // PIPS
    if zero_for_one:
        scaled = liquidity << 96
        after = _divide_up(scaled * sqrt_price, scaled + net * sqrt_price)
        return liquidity * (sqrt_price - after) >> 96, after
    after = sqrt_price + (net << 96) // liquidity
    return (liquidity << 96) * (after - sqrt_price) // after // sqrt_price, after


def concentrated_in(sqrt_price: int, liquidity: int, amount_out: int, zero_for_one: bool, fee: int) -> int:
    """Amount in for an exact amount out, rounded up, as if no tick were crossed."""
    if amount_out <= 0 or liquidity <= 0 or sqrt_price <= 0:
        raise CannotQuote("no amount or no liquidity")
    if zero_for_one:
        after = sqrt_price - _divide_up(amount_out << 96, liquidity)
        if after <= 0:
            raise CannotQuote("more than the range holds")
        net = _divide_up(_divide_up((liquidity << 96) * (sqrt_price - after), sqrt_price), after)
    else:
        scaled = liquidity << 96
        if amount_out * sqrt_price >= scaled:
            raise CannotQuote("more than the range holds")
        after = _divide_up(scaled * sqrt_price, scaled - amount_out * sqrt_price)
        net = _divide_up(liquidity * (after - sqrt_price), Q96)
    return _divide_up(net * PIPS, PIPS - fee)


def virtual_reserves(sqrt_price: int, liquidity: int) -> tuple[int, int]:
    """Return the reserves (token0, token1) of the constant product that a V3 pool is within its range."""
    if sqrt_price <= 0:
        return 0, 0
    return (liquidity << 96) // sqrt_price, liquidity * sqrt_price >> 96


def weighted_out(amount_in: int, balances: tuple[int, int], weights: tuple[int, int], fee_pips: int) -> int:
    """Amount out of a Balancer weighted pool; `balances` and `weights` as (in, out) (WeightedMath)."""
    held_in, held_out = (Decimal(b) for b in balances)
    if amount_in <= 0 or not held_in or not held_out:
        raise CannotQuote("no amount or no balance")
    net = Decimal(amount_in) * (PIPS - fee_pips) / PIPS
    power = (Decimal(weights[0]) / weights[1] * (held_in / (held_in + net)).ln()).exp()
    return int(held_out * (1 - power) * (1 - _SAFETY))


def weighted_in(amount_out: int, balances: tuple[int, int], weights: tuple[int, int], fee_pips: int) -> int:
    """Amount in to a Balancer weighted pool for an exact amount out; `balances` and `weights` as (in, out)."""
    held_in, held_out = (Decimal(b) for b in balances)
    if not 0 < amount_out < held_out or not held_in:
        raise CannotQuote("more than the pool holds")
    power = (Decimal(weights[1]) / weights[0] * (held_out / (held_out - amount_out)).ln()).exp()
    return int(held_in * (power - 1) * PIPS / (PIPS - fee_pips) * (1 + _SAFETY)) + 1


def stable_out(amount_in: int, index_in: int, index_out: int, balances: tuple[int, ...], amp: int, fee: int) -> int:
    """Amount out of a Balancer stable pool, all amounts scaled to 18 decimals (StableMath); `amp` is A · 1000."""
    if amount_in <= 0 or min(balances) <= 0:
        raise CannotQuote("no amount or no balance")
    invariant = _stable_invariant(balances, amp)
    raised = list(balances)
    raised[index_in] += amount_in * (PIPS - fee) // PIPS
    left = _stable_balance(raised, amp, invariant, index_out)
    return max(0, balances[index_out] - left - 1)


def _stable_invariant(balances: tuple[int, ...], amp: int) -> int:
    total, count = sum(balances), len(balances)
    invariant, amp_total = total, amp * count
    for _ in range(_ROUNDS):
        product = invariant
        for balance in balances:
            product = product * invariant // (balance * count)
        before = invariant
        invariant = (
            (amp_total * total // _AMPLIFICATION_PRECISION + product * count)
            * invariant
            // ((amp_total - _AMPLIFICATION_PRECISION) * invariant // _AMPLIFICATION_PRECISION + (count + 1) * product)
        )
        if abs(invariant - before) <= 1:
            return invariant
    raise CannotQuote("the stable invariant does not converge")


def _stable_balance(balances: list[int], amp: int, invariant: int, wanted: int) -> int:
    count, amp_total = len(balances), amp * len(balances)
    product, total = invariant, 0
    for index, balance in enumerate(balances):
        if index != wanted:
            product = product * invariant // (balance * count)
            total += balance
    c = product * invariant * _AMPLIFICATION_PRECISION // (amp_total * count)
    b = total + invariant * _AMPLIFICATION_PRECISION // amp_total
    guess = invariant
    for _ in range(_ROUNDS):
        before = guess
        guess = _divide_up(guess * guess + c, 2 * guess + b - invariant)
        if abs(guess - before) <= 1:
            return guess
    raise CannotQuote("the stable balance does not converge")
