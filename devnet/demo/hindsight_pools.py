"""Pools as the hindsight solver sees them: immutable states and exact swaps, from the protocols' papers and sources.

Shares no code with the detectors, so that an error there is not made twice. Uniswap V2, V3 and V4 are exact to the wei
(with every tick and word boundary), and so are Balancer's stable pools (devnet/demo/hindsight_stable.py) and those with
Curve's interface (devnet/demo/hindsight_coins.py). Balancer's weighted pools are computed to 28 digits: the contract's
own powers are off by up to 2e-14, and so is what it gives, as a part of the pool's balance.

CannotSwap    the pool has no such amount, or nothing to trade
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from functools import cache, lru_cache
from typing import Final, TypeAlias

from devnet.demo import hindsight_coins, hindsight_stable
from devnet.demo.hindsight_coins import Coins

PIPS: Final = 1_000_000
Q96: Final = 1 << 96
MINIMUM_TICK: Final = -887_272
_Q128: Final = 1 << 128
_MAX_WORD: Final = (1 << 256) - 1
_TICK_BITS: Final = 20
_TICKS_A_WORD: Final = 256
_ONE: Final = 10**18


class CannotSwap(ValueError):
    """The pool has no such amount, or nothing to trade."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A constant product."""

    reserves: tuple[int, int]
    fee_pips: int


@dataclass(frozen=True, slots=True)
class Concentrated:
    """A pool of Uniswap V3 or V4. `ticks`: the initialised ones in order; `nets`: the liquidity of each, going up."""

    sqrt_price: int
    tick: int
    liquidity: int
    ticks: tuple[int, ...]
    nets: tuple[int, ...]
    spacing: int
    fee_pips: int


@dataclass(frozen=True, slots=True)
class Weighted:
    """A Balancer V2 weighted pool; weights of 10^18 in total."""

    balances: tuple[int, ...]
    weights: tuple[int, ...]
    fee_pips: int


@dataclass(frozen=True, slots=True)
class Stable:
    """A Balancer V2 composable stable pool, without its own token, which hindsight neither joins nor leaves it by.

    `scales`: what lifts each balance to 18 decimals, of 10^18; `amplification`: in thousandths, as the contract's.
    """

    balances: tuple[int, ...]
    scales: tuple[int, ...]
    amplification: int
    fee_pips: int


PoolState: TypeAlias = Pair | Concentrated | Weighted | Stable | Coins


def swap(state: PoolState, index_in: int, index_out: int, amount: int) -> tuple[int, PoolState]:
    """Put an exact amount of one token in; return what comes out, and the state after. Raises `CannotSwap`."""
    if isinstance(state, Concentrated):
        out, price, tick, liquidity = _walk(state, index_in == 0, amount)
        after = replace(state, sqrt_price=price, tick=_tick_at(price) if tick is None else tick, liquidity=liquidity)
        return out, after
    if isinstance(state, Coins):
        return _exchange(state, index_in, index_out, amount)
    out = amount_out(state, index_in, index_out, amount)
    if isinstance(state, Pair):
        reserves = (state.reserves[index_in] + amount, state.reserves[index_out] - out)
        return out, replace(state, reserves=reserves if index_in == 0 else reserves[::-1])
    balances = list(state.balances)
    balances[index_in] += amount
    balances[index_out] -= out
    return out, replace(state, balances=tuple(balances))


def amount_out(state: PoolState, index_in: int, index_out: int, amount: int) -> int:
    """Return what `swap` gives, without the state after. Raises `CannotSwap`."""
    if isinstance(state, Pair):
        return _out_of_pair(state, index_in, amount)
    if isinstance(state, Concentrated):
        return _walk(state, index_in == 0, amount)[0]
    if isinstance(state, Stable):
        return _out_of_stable(state, index_in, index_out, amount)
    if isinstance(state, Coins):
        return _exchange(state, index_in, index_out, amount)[0]
    return _out_of_weighted(state, index_in, index_out, amount)


def local_curve(state: PoolState, index_in: int, index_out: int) -> tuple[float, float]:
    """Return (rate, bend): at the present price an amount x gives about rate·x / (1 + bend·x), after the fee.

    Exact for a pair. For screening only: no amount comes from it.
    """
    if isinstance(state, Pair):
        held_in, held_out = state.reserves[index_in], state.reserves[index_out]
        return _curve(held_in, held_out, 1.0, state.fee_pips)
    if isinstance(state, Concentrated):
        held = ((state.liquidity << 96) // state.sqrt_price, state.liquidity * state.sqrt_price >> 96)
        return _curve(held[index_in], held[index_out], 1.0, state.fee_pips)
    if isinstance(state, Stable):
        return _curve_of_stable(state, index_in, index_out)
    if isinstance(state, Coins):
        return hindsight_coins.local_curve(state, index_in, index_out)
    ratio = state.weights[index_in] / state.weights[index_out]
    return _curve(state.balances[index_in], state.balances[index_out], ratio, state.fee_pips)


def change_liquidity(pool: Concentrated, lower: int, upper: int, delta: int) -> Concentrated:
    """Return the pool after a position of `delta` liquidity in [lower, upper) came (or went, if negative)."""
    nets = dict(zip(pool.ticks, pool.nets, strict=True))
    for tick, net in ((lower, delta), (upper, -delta)):
        nets[tick] = nets.get(tick, 0) + net
    # A tick at which as much begins as ends stays initialised on-chain, but nothing happens there.
    ordered = sorted((tick, net) for tick, net in nets.items() if net)
    liquidity = pool.liquidity + (delta if lower <= pool.tick < upper else 0)
    ticks, kept = tuple(tick for tick, _ in ordered), tuple(net for _, net in ordered)
    return replace(pool, liquidity=liquidity, ticks=ticks, nets=kept)


@lru_cache(maxsize=1 << 16)
def sqrt_price_at(tick: int) -> int:
    """Return √1.0001^tick · 2^96 with the rounding of Uniswap's TickMath."""
    ratio = _Q128
    for bit, factor in enumerate(_tick_factors()):
        if abs(tick) >> bit & 1:
            ratio = ratio * factor >> 128
    if tick > 0:
        ratio = _MAX_WORD // ratio
    return -(-ratio >> 32)


@cache
def _tick_factors() -> tuple[int, ...]:
    """2^128 / √1.0001^(2^bit), rounded to the nearest: TickMath's constants."""
    with localcontext() as context:
        context.prec = 80
        root = Decimal("1.0001").sqrt()
        return tuple(int((Decimal(_Q128) / root ** (1 << bit)).to_integral_value()) for bit in range(_TICK_BITS))


def _out_of_pair(pool: Pair, index_in: int, amount: int) -> int:
    held_in, held_out = pool.reserves[index_in], pool.reserves[1 - index_in]
    if held_in <= 0 or held_out <= 0 or amount <= 0:
        raise CannotSwap("the pair is empty, or nothing goes in")
    net = amount * (PIPS - pool.fee_pips)
    return net * held_out // (held_in * PIPS + net)


def _out_of_weighted(pool: Weighted, index_in: int, index_out: int, amount: int) -> int:
    held_in, held_out = pool.balances[index_in], pool.balances[index_out]
    if held_in <= 0 or held_out <= 0 or amount <= 0:
        raise CannotSwap("the pool is empty, or nothing goes in")
    net = Decimal(amount - _up(amount * pool.fee_pips, PIPS))
    power = (Decimal(pool.weights[index_in]) / pool.weights[index_out] * (held_in / (held_in + net)).ln()).exp()
    return int(held_out * (1 - power))


def _out_of_stable(pool: Stable, index_in: int, index_out: int, amount: int) -> int:
    if min(pool.balances) <= 0 or amount <= 0:
        raise CannotSwap("the pool is empty, or nothing goes in")
    net = (amount - _up(amount * pool.fee_pips, PIPS)) * pool.scales[index_in] // _ONE
    try:
        out = hindsight_stable.given_for(pool.amplification, _lifted(pool), index_in, index_out, net)
    except hindsight_stable.OffTheCurve as error:
        raise CannotSwap(f"the stable pool: {error}") from error
    return out * _ONE // pool.scales[index_out]


def _exchange(pool: Coins, index_in: int, index_out: int, amount: int) -> tuple[int, Coins]:
    if min(pool.balances) <= 0 or amount <= 0:
        raise CannotSwap("the pool is empty, or nothing goes in")
    try:
        return hindsight_coins.exchanged(pool, index_in, index_out, amount)
    except hindsight_stable.OffTheCurve as error:
        raise CannotSwap(f"the pool of coins: {error}") from error


def _lifted(pool: Stable) -> tuple[int, ...]:
    return tuple(held * scale // _ONE for held, scale in zip(pool.balances, pool.scales, strict=True))


def _walk(pool: Concentrated, down: bool, amount: int) -> tuple[int, int, int | None, int]:
    """Return (amount out, price, tick, liquidity) after a swap; the tick None where the price says it.

    `down`: token 0 goes in and the price falls.
    """
    if amount <= 0:
        raise CannotSwap("nothing goes in")
    price, tick, liquidity, left, out = pool.sqrt_price, pool.tick, pool.liquidity, amount, 0
    while left > 0:
        following, place = _next_stop(pool, tick, down)
        target = sqrt_price_at(following)
        price, used, given = _step(price, target, liquidity, left, pool.fee_pips, down)
        left, out = left - used, out + given
        if price != target:
            return out, price, None, liquidity
        if place is not None:
            liquidity += -pool.nets[place] if down else pool.nets[place]
        tick = following - 1 if down else following
    return out, price, tick, liquidity


def _next_stop(pool: Concentrated, tick: int, down: bool) -> tuple[int, int | None]:
    """Return the next tick at which the contract halts, and its place if it is initialised: a word's end halts too."""
    compressed = tick // pool.spacing
    if down:
        edge = compressed // _TICKS_A_WORD * _TICKS_A_WORD * pool.spacing
        place = bisect_right(pool.ticks, tick) - 1
        if place >= 0 and pool.ticks[place] >= edge:
            return pool.ticks[place], place
    else:
        edge = ((compressed + 1) // _TICKS_A_WORD * _TICKS_A_WORD + _TICKS_A_WORD - 1) * pool.spacing
        place = bisect_left(pool.ticks, tick + 1)
        if place < len(pool.ticks) and pool.ticks[place] <= edge:
            return pool.ticks[place], place
    if abs(edge) > -MINIMUM_TICK:
        raise CannotSwap("the pool has no liquidity left in that direction")
    return edge, None


def _step(price: int, target: int, liquidity: int, left: int, fee_pips: int, down: bool) -> tuple[int, int, int]:
    """Return (price reached, amount in with its fee, amount out): SwapMath.computeSwapStep for an exact amount in."""
    net = left * (PIPS - fee_pips) // PIPS
    needed = _amount0(target, price, liquidity, up=True) if down else _amount1(price, target, liquidity, up=True)
    if net >= needed:
        used = needed + _up(needed * fee_pips, PIPS - fee_pips)
        reached = target
    else:
        used, reached = left, _moved(price, liquidity, net, down)
    given = _amount1(reached, price, liquidity, up=False) if down else _amount0(price, reached, liquidity, up=False)
    return reached, used, given


def _moved(price: int, liquidity: int, net: int, down: bool) -> int:
    if down:
        scaled = liquidity << 96
        return _up(scaled * price, scaled + net * price)
    return price + (net << 96) // liquidity


def _amount0(low: int, high: int, liquidity: int, *, up: bool) -> int:
    scaled = (liquidity << 96) * (high - low)
    return _up(_up(scaled, high), low) if up else scaled // high // low


def _amount1(low: int, high: int, liquidity: int, *, up: bool) -> int:
    scaled = liquidity * (high - low)
    return _up(scaled, Q96) if up else scaled // Q96


def _tick_at(price: int) -> int:
    """The greatest tick whose price is not above `price`."""
    low, high = MINIMUM_TICK, -MINIMUM_TICK
    while low < high:
        middle = (low + high + 1) // 2
        if sqrt_price_at(middle) <= price:
            low = middle
        else:
            high = middle - 1
    return low


def _curve(held_in: int, held_out: int, ratio: float, fee_pips: int) -> tuple[float, float]:
    if held_in <= 0 or held_out <= 0:
        return 0.0, 0.0
    kept = (PIPS - fee_pips) / PIPS
    return kept * ratio * (held_out / held_in), kept * (1 + ratio) / 2 / held_in


def _curve_of_stable(pool: Stable, index_in: int, index_out: int) -> tuple[float, float]:
    if min(pool.balances) <= 0:
        return 0.0, 0.0
    rate, bend = hindsight_stable.slope_and_bend(pool.amplification, _lifted(pool), index_in, index_out)
    kept, scale_in = (PIPS - pool.fee_pips) / PIPS, pool.scales[index_in] / _ONE
    return kept * rate * pool.scales[index_in] / pool.scales[index_out], kept * bend * scale_in


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
