"""What Balancer's V3 Vault does around a pool's own maths: balancer-v3-monorepo, pkg/vault/contracts/Vault.sol (swap,
_addLiquidity, _removeLiquidity), contracts/BasePoolMath.sol and solidity-utils/contracts/helpers/ScalingHelpers.sol.

The maths of the pool types are `balancer_v3_weighted` and `balancer_v3_stable`; hooks that set the fee of a swap are
given as `fee_hook` (`balancer_v3_surge`). ReClamm, Gyro, QuantAMM and liquidity bootstrapping pools are not supported,
nor are hooks that change amounts: their pools are told by name and left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from node.pipeline.amm.balancer_fixed_point import ONE, complement, div_down, div_up, mul_down, mul_up, sub
from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    PoolStateInvalid,
    TokenInvalid,
    TradeTooLarge,
)
from node.pipeline.amm.units import UINT256_MAX, Fixed18, TokenAmount


class V3Maths(Protocol):
    """What a pool type computes, all in 18 decimals with the rates in them; balances as the Vault passes them."""

    @property
    def min_invariant_ratio(self) -> Fixed18:
        """The least that a withdrawal of one token may leave of the invariant."""

    @property
    def max_invariant_ratio(self) -> Fixed18:
        """The most that an unbalanced deposit may make of the invariant."""

    def invariant(self, balances: Sequence[int], *, rounding_up: bool) -> int:
        """computeInvariant."""

    def balance_rounding_up(self, balances: Sequence[int], index: int, ratio: Fixed18) -> int:
        """computeBalance: the balance of one token at which the invariant is `ratio` of what it is."""

    def out_given_in_rounding_down(self, balances: Sequence[int], index_in: int, index_out: int, amount: int) -> int:
        """onSwap for an exact input, after the fee."""

    def in_given_out_rounding_up(self, balances: Sequence[int], index_in: int, index_out: int, amount: int) -> int:
        """onSwap for an exact output, before the fee."""


class FeeHook(Protocol):
    """A hook that sets the fee of each swap."""

    def swap_fee(self, pool: V3Pool, index_in: int, index_out: int, amount: int, *, given_in: bool) -> Fixed18:
        """onComputeDynamicSwapFeePercentage; `amount` in 18 decimals, before the fee."""

    def require_liquidity_change(self, before: Sequence[int], after: Sequence[int]) -> None:
        """onAfterAddLiquidity, onAfterRemoveLiquidity for live balances. Raises PoolRevert where the hook refuses."""


class V3Pool(msgspec.Struct, frozen=True, gc=False):
    """Balances as the tokens count them and as the Vault lifts them (rounded down, and up for deposits), factors that
    lift to 18 decimals, rates, fees, the pool's own token's supply, and the maths of its type.
    """

    raw: tuple[TokenAmount, ...]
    live: tuple[int, ...]
    live_up: tuple[int, ...]
    scaling_factors: tuple[int, ...]
    rates: tuple[Fixed18, ...]
    swap_fee: Fixed18
    supply: TokenAmount
    maths: V3Maths
    aggregate_fee: Fixed18 = 0
    fee_hook: FeeHook | None = None


def v3_pool(
    raw: Sequence[TokenAmount],
    scaling_factors: Sequence[int],
    rates: Sequence[Fixed18],
    swap_fee: Fixed18,
    supply: TokenAmount,
    maths: V3Maths,
    aggregate_fee: Fixed18 = 0,
    fee_hook: FeeHook | None = None,
) -> V3Pool:
    """A pool from what the chain answers. Raises PoolStateInvalid where the pieces do not fit together."""
    if not 2 <= len(raw) == len(scaling_factors) == len(rates) or not 0 <= swap_fee < ONE:
        raise PoolStateInvalid(f"{len(raw)} balances, {len(scaling_factors)} factors, {len(rates)} rates, {swap_fee}")
    if min(scaling_factors) < 1 or min(rates) < 1 or supply < 1 or min(raw) < 0:
        raise PoolStateInvalid(f"factors {list(scaling_factors)}, rates {list(rates)}, supply {supply}, {list(raw)}")
    live = tuple(mul_down(*pair) for pair in _factored(raw, scaling_factors, rates))
    live_up = tuple(mul_up(*pair) for pair in _factored(raw, scaling_factors, rates))
    parts = tuple(raw), live, live_up, tuple(scaling_factors), tuple(rates)
    return V3Pool(*parts, swap_fee, supply, maths, aggregate_fee, fee_hook)


def quote_exact_in(pool: V3Pool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """Amount out for an exact input, fee included (swap, EXACT_IN). Raises TokenInvalid, InsufficientInput and what the
    pool's maths raise.
    """
    return _out_and_fee(pool, index_in, index_out, amount_in)[0]


def quote_exact_out(pool: V3Pool, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """Amount in for an exact output, fee included (swap, EXACT_OUT). Raises as `quote_exact_in`."""
    _require_pair(pool, index_in, index_out, amount_out)
    rate = _rate_rounding_up(pool.rates[index_out])
    given = mul_up(amount_out * pool.scaling_factors[index_out], rate)
    fee = _fee_of(pool, index_in, index_out, given, given_in=False)
    calculated = pool.maths.in_given_out_rounding_up(pool.live, index_in, index_out, given)
    calculated += mul_div_up(calculated, fee, complement(fee))
    return div_up(calculated, pool.scaling_factors[index_in] * pool.rates[index_in])


def swap_exact_in(pool: V3Pool, index_in: int, index_out: int, amount_in: TokenAmount) -> tuple[V3Pool, TokenAmount]:
    """(pool afterwards, amount out): what of the fee is not the pool's leaves the balance. Raises as the quote."""
    amount_out, fee = _out_and_fee(pool, index_in, index_out, amount_in)
    fee_raw = div_down(fee, pool.scaling_factors[index_in] * pool.rates[index_in])
    raw = list(pool.raw)
    raw[index_in] += amount_in - mul_down(fee_raw, pool.aggregate_fee)
    raw[index_out] = sub(raw[index_out], amount_out)
    return _with_raw(pool, raw, pool.supply), amount_out


def add_unbalanced(pool: V3Pool, amounts: Sequence[TokenAmount]) -> TokenAmount:
    """Pool tokens minted for exact amounts (UNBALANCED, computeAddLiquidityUnbalanced)."""
    given = [mul_down(*pair) for pair in _factored(amounts, pool.scaling_factors, pool.rates)]
    balances = pool.live_up
    raised = [sub(balance + amount, 1) for balance, amount in zip(balances, given, strict=True)]
    current = pool.maths.invariant(balances, rounding_up=True)
    ratio = div_down(pool.maths.invariant(raised, rounding_up=False), current)
    _require_ratio_below(pool, ratio)
    taxed = []
    for balance, new in zip(balances, raised, strict=True):
        taxable = max(new - mul_down(ratio, balance), 0)
        taxed.append(new - mul_up(taxable, pool.swap_fee))
    _require_liquidity_change(pool, given)
    return pool.supply * sub(pool.maths.invariant(taxed, rounding_up=False), current) // current


def add_single_exact_out(pool: V3Pool, index: int, minted: TokenAmount) -> TokenAmount:
    """What one token costs for exact pool tokens (SINGLE_TOKEN_EXACT_OUT)."""
    balances, supply = pool.live_up, pool.supply
    new_supply = supply + minted
    ratio = div_up(new_supply, supply)
    _require_ratio_below(pool, ratio)
    new = pool.maths.balance_rounding_up(balances, index, ratio)
    amount_in = sub(new, balances[index])
    taxable = sub(new, new_supply * balances[index] // supply)
    amount_in += div_up(taxable, complement(pool.swap_fee)) - taxable
    _require_liquidity_change(pool, [amount_in if place == index else 0 for place in range(len(balances))])
    return div_up(amount_in, pool.scaling_factors[index] * pool.rates[index])


def add_proportional(pool: V3Pool, minted: TokenAmount) -> tuple[TokenAmount, ...]:
    """What each token costs for exact pool tokens (PROPORTIONAL)."""
    amounts = [mul_div_up(balance, minted, pool.supply) for balance in pool.live_up]
    return tuple(div_up(amount, factor * rate) for amount, factor, rate in _lifting(pool, amounts))


def remove_proportional(pool: V3Pool, burnt: TokenAmount) -> tuple[TokenAmount, ...]:
    """What each token pays for exact pool tokens (PROPORTIONAL)."""
    amounts = [balance * burnt // pool.supply for balance in pool.live]
    return tuple(div_down(amount, factor * rate) for amount, factor, rate in _lifting(pool, amounts))


def remove_single_exact_in(pool: V3Pool, index: int, burnt: TokenAmount) -> TokenAmount:
    """What one token pays for exact pool tokens (SINGLE_TOKEN_EXACT_IN)."""
    balances, supply = pool.live, pool.supply
    new_supply = sub(supply, burnt)
    ratio = div_up(new_supply, supply)
    _require_ratio_above(pool, ratio)
    new = pool.maths.balance_rounding_up(balances, index, ratio)
    taxable = sub(mul_div_up(new_supply, balances[index], supply), new)
    amount_out = sub(sub(balances[index], new), mul_up(taxable, pool.swap_fee))
    _require_liquidity_change(pool, [-amount_out if place == index else 0 for place in range(len(balances))])
    return div_down(amount_out, pool.scaling_factors[index] * pool.rates[index])


def remove_single_exact_out(pool: V3Pool, index: int, amount_out: TokenAmount) -> TokenAmount:
    """The pool tokens that an exact amount of one token costs (SINGLE_TOKEN_EXACT_OUT)."""
    balances, supply = pool.live, pool.supply
    given = mul_up(amount_out * pool.scaling_factors[index], pool.rates[index])
    new = [sub(balance, 1 + (given if place == index else 0)) for place, balance in enumerate(balances)]
    current = pool.maths.invariant(balances, rounding_up=True)
    ratio = div_up(pool.maths.invariant(new, rounding_up=True), current)
    _require_ratio_above(pool, ratio)
    taxable = sub(mul_up(ratio, balances[index]), new[index])
    new[index] = sub(new[index], div_up(taxable, complement(pool.swap_fee)) - taxable)
    after = pool.maths.invariant(new, rounding_up=False)
    _require_liquidity_change(pool, [-given if place == index else 0 for place in range(len(balances))])
    return mul_div_up(supply, sub(current, after), current)


def mul_div_up(a: int, b: int, c: int) -> int:
    """a * b / c, rounded up. Raises ArithmeticRevert."""
    if c == 0 or a * b > UINT256_MAX:
        raise ArithmeticRevert("ZeroDivision" if c == 0 else "", f"{a} * {b} / {c}")
    return -(-a * b // c)


def _out_and_fee(pool: V3Pool, index_in: int, index_out: int, amount_in: TokenAmount) -> tuple[TokenAmount, int]:
    """(amount out, the fee in 18 decimals of the input)."""
    _require_pair(pool, index_in, index_out, amount_in)
    given = mul_down(amount_in * pool.scaling_factors[index_in], pool.rates[index_in])
    fee = mul_up(given, _fee_of(pool, index_in, index_out, given, given_in=True))
    calculated = pool.maths.out_given_in_rounding_down(pool.live, index_in, index_out, sub(given, fee))
    rate = _rate_rounding_up(pool.rates[index_out])
    return div_down(calculated, pool.scaling_factors[index_out] * rate), fee


def _fee_of(pool: V3Pool, index_in: int, index_out: int, given: int, *, given_in: bool) -> Fixed18:
    if pool.fee_hook is None:
        return pool.swap_fee
    return pool.fee_hook.swap_fee(pool, index_in, index_out, given, given_in=given_in)


def _rate_rounding_up(rate: Fixed18) -> Fixed18:
    """A rate that is no whole number may itself have been rounded down (computeRateRoundUp)."""
    return rate if rate % ONE == 0 else rate + 1


def _factored(amounts: Sequence[int], factors: Sequence[int], rates: Sequence[Fixed18]) -> list[tuple[int, Fixed18]]:
    if len(amounts) != len(factors):
        raise TokenInvalid("InputLengthMismatch", f"{len(amounts)} amounts of {len(factors)} tokens")
    return [(amount * factor, rate) for amount, factor, rate in zip(amounts, factors, rates, strict=True)]


def _lifting(pool: V3Pool, amounts: Sequence[int]) -> list[tuple[int, int, Fixed18]]:
    return list(zip(amounts, pool.scaling_factors, pool.rates, strict=True))


def _with_raw(pool: V3Pool, raw: Sequence[TokenAmount], supply: TokenAmount) -> V3Pool:
    constant = pool.scaling_factors, pool.rates, pool.swap_fee
    return v3_pool(raw, *constant, supply, pool.maths, pool.aggregate_fee, pool.fee_hook)


def _require_liquidity_change(pool: V3Pool, deltas: Sequence[int]) -> None:
    """Ask the hook about live balances before and after."""
    if pool.fee_hook is not None:
        after = [balance + delta for balance, delta in zip(pool.live, deltas, strict=True)]
        pool.fee_hook.require_liquidity_change(pool.live, after)


def _require_ratio_below(pool: V3Pool, ratio: Fixed18) -> None:
    if ratio > pool.maths.max_invariant_ratio:
        raise TradeTooLarge("InvariantRatioAboveMax", f"{ratio}")


def _require_ratio_above(pool: V3Pool, ratio: Fixed18) -> None:
    if ratio < pool.maths.min_invariant_ratio:
        raise TradeTooLarge("InvariantRatioBelowMin", f"{ratio}")


def _require_pair(pool: V3Pool, index_in: int, index_out: int, amount: TokenAmount) -> None:
    count = len(pool.raw)
    if not (0 <= index_in < count and 0 <= index_out < count):
        raise TokenInvalid("TokenNotRegistered", f"tokens {index_in} and {index_out} of {count}")
    if index_in == index_out:
        raise TokenInvalid("CannotSwapSameToken")
    if amount <= 0:
        raise InsufficientInput("AmountGivenZero")
