"""Meta pools: Curve, curvefi/curve-contract, contracts/pool-templates/meta/SwapTemplateMeta.vy (_vp_rate_ro, get_dy,
get_dy_underlying, exchange, exchange_underlying). The last coin is the pool token of a base pool; its rate is the base
pool's virtual price, which the meta pool keeps for ten minutes.

A first coin with a price of its own (RAI's redemption price) has that price as its rate.
"""

from __future__ import annotations

import msgspec

from node.pipeline.amm import curve_stableswap
from node.pipeline.amm.curve_stableswap import FEE_SCALE, PRECISION, CurvePool, checked_difference, divisor
from node.pipeline.amm.errors import PoolStateInvalid, TokenInvalid
from node.pipeline.amm.units import TokenAmount

CACHE_SECONDS = 600


class CurveMetaPool(msgspec.Struct, frozen=True, gc=False):
    """The pool itself, its base pool with the supply of pool tokens, and the base's virtual price as last kept.

    The last of `pool.rates` is not read. `cache_updated` in Unix seconds; `asked_at` is the time at which whoever holds
    the state among others asks it, as no other pool is asked with a time.
    """

    pool: CurvePool
    base: CurvePool
    base_supply: TokenAmount
    cached_virtual_price: int
    cache_updated: int
    asked_at: int = 0


def base_virtual_price(meta: CurveMetaPool, now: int) -> int:
    """The base's virtual price that the pool counts with at a time: the kept one, or when that expired its own."""
    if now <= meta.cache_updated + CACHE_SECONDS:
        return meta.cached_virtual_price
    return curve_stableswap.virtual_price(meta.base, meta.base_supply)


def get_dy(meta: CurveMetaPool, index_in: int, index_out: int, amount_in: TokenAmount, now: int) -> TokenAmount:
    """What get_dy answers at a time, and `exchange` pays. Raises TokenInvalid, ArithmeticRevert, NotConverged."""
    return curve_stableswap.get_dy(priced(meta, now), index_in, index_out, amount_in)


def get_dy_underlying(
    meta: CurveMetaPool, index_in: int, index_out: int, amount_in: TokenAmount, now: int
) -> TokenAmount:
    """What get_dy_underlying answers between the first coins and the base's coins; `exchange_underlying` pays a little
    else, because here the base's fee on a deposit is only estimated.

    Raises TokenInvalid, ArithmeticRevert, NotConverged.
    """
    last = len(meta.pool.balances) - 1
    _require_underlying(meta, index_in, index_out)
    if min(index_in, index_out) >= last:
        return curve_stableswap.get_dy(meta.base, index_in - last, index_out - last, amount_in)
    with_rate = priced(meta, now)
    rate = with_rate.rates[last]
    if index_in < last:
        lifted_in = amount_in * with_rate.rates[index_in] // PRECISION
    else:
        amounts = [amount_in if place == index_in - last else 0 for place in range(len(meta.base.balances))]
        minted = curve_stableswap.calc_token_amount(meta.base, amounts, meta.base_supply, deposit=True)
        lifted_in = minted * rate // PRECISION
        lifted_in -= lifted_in * meta.base.fee // (2 * FEE_SCALE)
    received = _received(with_rate, min(index_in, last), min(index_out, last), lifted_in)
    received -= meta.pool.fee * received // FEE_SCALE
    if index_out < last:
        return received * PRECISION // divisor(with_rate.rates[index_out])
    burnt = received * PRECISION // divisor(rate)
    return curve_stableswap.calc_withdraw_one_coin(meta.base, index_out - last, burnt, meta.base_supply)


def exchange(
    meta: CurveMetaPool, index_in: int, index_out: int, amount_in: TokenAmount, now: int
) -> tuple[CurveMetaPool, TokenAmount]:
    """(pool afterwards, amount out) of an exchange, which renews the kept price where it had expired."""
    renewed = _renewed(meta, now)
    after, amount_out = curve_stableswap.exchange(priced(renewed, now), index_in, index_out, amount_in)
    return msgspec.structs.replace(renewed, pool=after), amount_out


def exchange_underlying(
    meta: CurveMetaPool, index_in: int, index_out: int, amount_in: TokenAmount, now: int
) -> tuple[CurveMetaPool, TokenAmount]:
    """(pools afterwards, amount out) of an exchange between the first coins and the base's coins: deposits into the
    base pool and withdrawals from it happen in full. Raises TokenInvalid, ArithmeticRevert, NotConverged.
    """
    last = len(meta.pool.balances) - 1
    _require_underlying(meta, index_in, index_out)
    renewed = _renewed(meta, now)
    base, supply, amount = renewed.base, renewed.base_supply, amount_in
    if min(index_in, index_out) >= last:
        base, amount = curve_stableswap.exchange(base, index_in - last, index_out - last, amount_in)
        return msgspec.structs.replace(renewed, base=base), amount
    if index_in >= last:
        amounts = [amount_in if place == index_in - last else 0 for place in range(len(base.balances))]
        base, amount = curve_stableswap.add_liquidity(base, amounts, supply)
        supply += amount
    pool, amount = curve_stableswap.exchange(priced(renewed, now), min(index_in, last), min(index_out, last), amount)
    if index_out >= last:
        burnt = amount
        base, amount = curve_stableswap.withdraw_one_coin(base, index_out - last, burnt, supply)
        supply -= burnt
    return msgspec.structs.replace(renewed, pool=pool, base=base, base_supply=supply), amount


def priced(meta: CurveMetaPool, now: int) -> CurvePool:
    """The pool with the rate of its last coin at a time."""
    if len(meta.pool.rates) < 2:
        raise PoolStateInvalid(f"{len(meta.pool.rates)} coins in a meta pool")
    rates = (*meta.pool.rates[:-1], base_virtual_price(meta, now))
    return msgspec.structs.replace(meta.pool, rates=rates)


def _renewed(meta: CurveMetaPool, now: int) -> CurveMetaPool:
    if now <= meta.cache_updated + CACHE_SECONDS:
        return meta
    return msgspec.structs.replace(meta, cached_virtual_price=base_virtual_price(meta, now), cache_updated=now)


def _received(priced: CurvePool, index_in: int, index_out: int, lifted_in: int) -> int:
    """What leaves for an input in 18 decimals, before the fee; one less than the curve says."""
    xp = curve_stableswap.lifted(priced)
    d = curve_stableswap.invariant_of(priced, xp)
    moved = list(xp)
    moved[index_in] += lifted_in
    balance = curve_stableswap.balance_at_invariant(priced.amplification, index_out, moved, d, priced.a_precision)
    return checked_difference(xp[index_out], balance + 1)


def _require_underlying(meta: CurveMetaPool, index_in: int, index_out: int) -> None:
    count = len(meta.pool.balances) - 1 + len(meta.base.balances)
    if not (0 <= index_in < count and 0 <= index_out < count) or index_in == index_out:
        raise TokenInvalid("", f"coins {index_in} and {index_out} of {count} underlying ones")
