"""Lending pools: Curve, curvefi/curve-contract, contracts/pools/compound/StableSwapCompound.vy (also usdt, y, busd,
susd) and contracts/pools/aave/StableSwapAave.vy (_stored_rates, get_dy, get_dy_underlying, _exchange, _dynamic_fee).

Their coins are shares in a lender, whose growing worth is the coin's rate. They give the last unit of the curve away,
where plain pools keep one back. Pools that keep it (contracts/pools/ib) are plain pools with these rates.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.amm import curve_stableswap
from node.pipeline.amm.curve_stableswap import FEE_SCALE, PRECISION, CurvePool, checked_difference, divisor, word
from node.pipeline.amm.errors import PoolStateInvalid, TokenInvalid
from node.pipeline.amm.units import TokenAmount


class CurveLendingPool(msgspec.Struct, frozen=True, gc=False):
    """The pool with the rates of the block in it, what lifts each underlying coin to 18 decimals, and how many times
    (of 10**10) the fee grows while the pool is out of balance: Aave's pools have that, the others 0.
    """

    pool: CurvePool
    precisions: tuple[int, ...]
    offpeg_fee_multiplier: int = 0


def compound_rate(precision: int, stored_rate: int, supply_rate: int, blocks: int) -> int:
    """The rate of a cToken: its stored exchange rate, grown for the blocks since then (_stored_rates)."""
    return precision * (stored_rate + stored_rate * supply_rate * blocks // PRECISION)


def vault_rate(precision: int, price_per_share: int) -> int:
    """The rate of a share of a vault, by its price times 10**18; a coin that is not lent is worth 10**18."""
    return precision * price_per_share


def get_dy(lending: CurveLendingPool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What get_dy answers, in shares. Raises TokenInvalid, ArithmeticRevert, NotConverged."""
    pool = lending.pool
    received, fee = _moved(lending, index_in, index_out, word(amount_in * _at(pool.rates, index_in)) // PRECISION)
    amount_out = received * PRECISION // divisor(pool.rates[index_out])
    return amount_out - fee * amount_out // FEE_SCALE


def get_dy_underlying(lending: CurveLendingPool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What get_dy_underlying answers, in the coins that are lent. Raises as `get_dy`."""
    received, fee = _moved(lending, index_in, index_out, word(amount_in * _at(lending.precisions, index_in)))
    amount_out = received // divisor(lending.precisions[index_out])
    return amount_out - fee * amount_out // FEE_SCALE


def exchange(
    lending: CurveLendingPool, index_in: int, index_out: int, amount_in: TokenAmount
) -> tuple[CurveLendingPool, TokenAmount]:
    """(pool afterwards, amount out) of an exchange of shares. The balances are kept as the rates of the block give
    them, but for Aave's pools, whose balances are those of the tokens.
    """
    pool = lending.pool
    lifted_in = word(amount_in * _at(pool.rates, index_in)) // PRECISION
    received, rate = _moved(lending, index_in, index_out, lifted_in)
    fee = received * rate // FEE_SCALE
    admin_fee = fee * pool.admin_fee // FEE_SCALE
    rate_in, rate_out = pool.rates[index_in], pool.rates[index_out]
    amount_out = (received - fee) * PRECISION // rate_out
    xp, balances = curve_stableswap.lifted(pool), list(pool.balances)
    if lending.offpeg_fee_multiplier:
        balances[index_in] += amount_in
        balances[index_out] -= amount_out + admin_fee * PRECISION // rate_out
    else:
        balances[index_in] = (xp[index_in] + lifted_in) * PRECISION // rate_in
        balances[index_out] = (xp[index_out] - received + fee - admin_fee) * PRECISION // rate_out
    after = msgspec.structs.replace(pool, balances=tuple(balances))
    return msgspec.structs.replace(lending, pool=after), amount_out


def _moved(lending: CurveLendingPool, index_in: int, index_out: int, lifted_in: int) -> tuple[int, int]:
    """What leaves the curve for an input, both in 18 decimals, and the fee on it, of 10**10."""
    pool = lending.pool
    if len(lending.precisions) != len(pool.balances):
        raise PoolStateInvalid(f"{len(pool.balances)} balances, {len(lending.precisions)} precisions")
    if index_in == index_out or not 0 <= index_out < len(pool.balances):
        raise TokenInvalid("", f"coin {index_in} for {index_out}")
    xp = curve_stableswap.lifted(pool)
    d = curve_stableswap.invariant_of(pool, xp)
    moved = list(xp)
    moved[index_in] += lifted_in
    balance = curve_stableswap.balance_at_invariant(pool.amplification, index_out, moved, d, pool.a_precision)
    mean_in, mean_out = (xp[index_in] + moved[index_in]) // 2, (xp[index_out] + balance) // 2
    return checked_difference(xp[index_out], balance), _fee(lending, mean_in, mean_out)


def _fee(lending: CurveLendingPool, mean_in: int, mean_out: int) -> int:
    """The fee for a swap between balances of these means (_dynamic_fee)."""
    multiplier, fee = lending.offpeg_fee_multiplier, lending.pool.fee
    if multiplier <= FEE_SCALE:
        return fee
    squared = word((mean_in + mean_out) ** 2)
    balance = word((multiplier - FEE_SCALE) * 4 * mean_in * mean_out) // divisor(squared)
    return multiplier * fee // (balance + FEE_SCALE)


def _at(values: Sequence[int], index: int) -> int:
    if not 0 <= index < len(values):
        raise TokenInvalid("", f"coin {index} of {len(values)}")
    return values[index]
