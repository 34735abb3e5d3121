"""Weighted pools: Balancer V2, balancer-v2-monorepo, pkg/pool-weighted/contracts/WeightedMath.sol (_calcOutGivenIn,
_calcInGivenOut, _calculateInvariant), called by pool-utils/contracts/BaseMinimalSwapInfoPool.sol (onSwap).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.amm.balancer_fixed_point import (
    ONE,
    PowVersion,
    add,
    complement,
    div_down,
    div_up,
    mul_down,
    mul_up,
    pow_down,
    pow_up,
    sub,
)
from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    PoolStateInvalid,
    TokenInvalid,
    TradeTooLarge,
)
from node.pipeline.amm.units import UINT112_MAX, Fixed18, TokenAmount

MAX_IN_RATIO: Fixed18 = 3 * 10**17
MAX_OUT_RATIO: Fixed18 = 3 * 10**17
MAX_SWAP_FEE: Fixed18 = 10**17
"""Of every pool that Balancer's factories make: BasePool.sol (_MAX_SWAP_FEE_PERCENTAGE)."""


class WeightedPool(msgspec.Struct, frozen=True, gc=False):
    """Balances (smallest units, in the Vault's order), normalised weights, scaling factors and the swap fee."""

    balances: tuple[TokenAmount, ...]
    weights: tuple[Fixed18, ...]
    scaling_factors: tuple[Fixed18, ...]
    swap_fee: Fixed18
    pow_version: PowVersion = PowVersion.V2


def scaling_factor(decimals: int) -> Fixed18:
    """What lifts a token's amounts to 18 decimals (_computeScalingFactor). Raises PoolStateInvalid beyond 18."""
    if not 0 <= decimals <= 18:
        raise PoolStateInvalid(f"a token of {decimals} decimals cannot be in a Balancer pool")
    factor: int = ONE * 10 ** (18 - decimals)
    return factor


def weighted_pool(
    balances: Sequence[TokenAmount],
    weights: Sequence[Fixed18],
    decimals: Sequence[int],
    swap_fee: Fixed18,
    pow_version: PowVersion = PowVersion.V2,
) -> WeightedPool:
    """A pool from what the chain answers. Raises PoolStateInvalid where the pieces do not fit together."""
    if not 2 <= len(balances) == len(weights) == len(decimals):
        raise PoolStateInvalid(f"{len(balances)} balances, {len(weights)} weights, {len(decimals)} tokens")
    if min(weights) <= 0 or sum(weights) > ONE or not 0 <= swap_fee < ONE or min(balances) < 0:
        raise PoolStateInvalid(f"weights {list(weights)}, fee {swap_fee}")
    factors = tuple(scaling_factor(number) for number in decimals)
    return WeightedPool(tuple(balances), tuple(weights), factors, swap_fee, pow_version)


def quote_exact_in(pool: WeightedPool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """Amount out for an exact input, fee included (onSwap, GIVEN_IN).

    Raises TradeTooLarge("BAL#304") above 30 percent of the balance, TokenInvalid, InsufficientInput, ArithmeticRevert
    (also for a balance that the Vault cannot keep).
    """
    _require_pair(pool, index_in, index_out, amount_in)
    require_kept(pool.balances[index_in] + amount_in)
    factor_in, factor_out = pool.scaling_factors[index_in], pool.scaling_factors[index_out]
    less_fee = less_fee_rounding_down(amount_in, pool.swap_fee)
    amount_out = out_given_in_rounding_down(
        mul_down(pool.balances[index_in], factor_in),
        pool.weights[index_in],
        mul_down(pool.balances[index_out], factor_out),
        pool.weights[index_out],
        mul_down(less_fee, factor_in),
        pool.pow_version,
    )
    return div_down(amount_out, factor_out)


def quote_exact_out(pool: WeightedPool, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """Amount in for an exact output, fee included (onSwap, GIVEN_OUT).

    Raises TradeTooLarge("BAL#305") above 30 percent of the balance, TokenInvalid, InsufficientInput, ArithmeticRevert
    (also for a balance that the Vault cannot keep).
    """
    _require_pair(pool, index_in, index_out, amount_out)
    factor_in, factor_out = pool.scaling_factors[index_in], pool.scaling_factors[index_out]
    amount_in = in_given_out_rounding_up(
        mul_down(pool.balances[index_in], factor_in),
        pool.weights[index_in],
        mul_down(pool.balances[index_out], factor_out),
        pool.weights[index_out],
        mul_down(amount_out, factor_out),
        pool.pow_version,
    )
    with_fee = with_fee_rounding_up(div_up(amount_in, factor_in), pool.swap_fee)
    require_kept(pool.balances[index_in] + with_fee)
    return with_fee


def swap_exact_in(
    pool: WeightedPool, index_in: int, index_out: int, amount_in: TokenAmount
) -> tuple[WeightedPool, TokenAmount]:
    """(pool afterwards, amount out). Raises as the quote, and InsufficientLiquidity."""
    amount_out = quote_exact_in(pool, index_in, index_out, amount_in)
    return _moved(pool, index_in, index_out, amount_in, amount_out), amount_out


def swap_exact_out(
    pool: WeightedPool, index_in: int, index_out: int, amount_out: TokenAmount
) -> tuple[WeightedPool, TokenAmount]:
    """(pool afterwards, amount in). Raises as the quote, and InsufficientLiquidity."""
    amount_in = quote_exact_out(pool, index_in, index_out, amount_out)
    return _moved(pool, index_in, index_out, amount_in, amount_out), amount_in


def out_given_in_rounding_down(
    balance_in: int, weight_in: Fixed18, balance_out: int, weight_out: Fixed18, amount_in: int, version: PowVersion
) -> int:
    """WeightedMath._calcOutGivenIn, on amounts lifted to 18 decimals and after the fee."""
    if amount_in > mul_down(balance_in, MAX_IN_RATIO):
        raise TradeTooLarge("BAL#304", f"{amount_in} into {balance_in}")
    base = div_up(balance_in, add(balance_in, amount_in))
    power = pow_up(base, div_down(weight_in, weight_out), version)
    return mul_down(balance_out, complement(power))


def in_given_out_rounding_up(
    balance_in: int, weight_in: Fixed18, balance_out: int, weight_out: Fixed18, amount_out: int, version: PowVersion
) -> int:
    """WeightedMath._calcInGivenOut, on amounts lifted to 18 decimals and before the fee."""
    if amount_out > mul_down(balance_out, MAX_OUT_RATIO):
        raise TradeTooLarge("BAL#305", f"{amount_out} out of {balance_out}")
    base = div_up(balance_out, sub(balance_out, amount_out))
    power = pow_up(base, div_up(weight_out, weight_in), version)
    return mul_up(balance_in, sub(power, ONE))


def invariant_rounding_down(weights: Sequence[Fixed18], balances: Sequence[int], version: PowVersion) -> int:
    """Product of balance ** weight (WeightedMath._calculateInvariant). Raises ArithmeticRevert("BAL#311") for zero."""
    invariant = ONE
    for weight, balance in zip(weights, balances, strict=True):
        invariant = mul_down(invariant, pow_down(balance, weight, version))
    if invariant == 0:
        raise ArithmeticRevert("BAL#311", "the invariant is zero")
    return invariant


def less_fee_rounding_down(amount: TokenAmount, swap_fee: Fixed18) -> TokenAmount:
    """What of an input is left to be swapped (BasePool._subtractSwapFeeAmount)."""
    return sub(amount, mul_up(amount, swap_fee))


def with_fee_rounding_up(amount: TokenAmount, swap_fee: Fixed18) -> TokenAmount:
    """The input of which `amount` is left to be swapped (BasePool._addSwapFeeAmount)."""
    return div_up(amount, complement(swap_fee))


def require_kept(balance: TokenAmount) -> None:
    """The Vault keeps 112 bits of a balance (BalanceAllocation). Raises ArithmeticRevert."""
    if balance > UINT112_MAX:
        raise ArithmeticRevert("BAL#526", "the balance leaves uint112")


def _moved(
    pool: WeightedPool, index_in: int, index_out: int, amount_in: TokenAmount, amount_out: TokenAmount
) -> WeightedPool:
    """The Vault books the whole input, fee included (PoolBalances)."""
    balances = list(pool.balances)
    balances[index_in] += amount_in
    balances[index_out] -= amount_out
    if balances[index_out] < 0:
        raise InsufficientLiquidity("BAL#001", f"{amount_out} of token {index_out}")
    return msgspec.structs.replace(pool, balances=tuple(balances))


def _require_pair(pool: WeightedPool, index_in: int, index_out: int, amount: TokenAmount) -> None:
    count = len(pool.balances)
    if not (0 <= index_in < count and 0 <= index_out < count):
        raise TokenInvalid("BAL#521", f"tokens {index_in} and {index_out} of {count}")
    if index_in == index_out:
        raise TokenInvalid("BAL#509", "a token for itself")
    if amount <= 0:
        raise InsufficientInput("BAL#510", "nothing to swap")
