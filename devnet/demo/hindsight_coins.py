"""Pools with Curve's interface, for the hindsight solver, with each rounding of the pool's own code (SwapTemplateBase).

The curve is that of the StableSwap paper, as of Balancer's stable pools (`hindsight_stable`); what differs is how it is
solved, that everything is rounded down, and that a part of the fee leaves the balances. Shares no code with the
detectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from devnet.demo.hindsight_stable import THOUSANDTHS, OffTheCurve, slope_and_bend

FEE_ONE: Final = 10**10
_HUNDREDTHS: Final = 100
"""The contract keeps an amplification in hundredths."""
_ONE: Final = 10**18
_ROUNDS: Final = 255


@dataclass(frozen=True, slots=True)
class Coins:
    """`rates`: what lifts each balance to 18 decimals, of 10^18; fees of 10^10; `admin_fee`: the fee's lost part."""

    balances: tuple[int, ...]
    rates: tuple[int, ...]
    amplification: int
    fee: int
    admin_fee: int


def exchanged(pool: Coins, index_in: int, index_out: int, amount: int) -> tuple[int, Coins]:
    """Return what an exchange gives, and the pool after. Raises `OffTheCurve`."""
    gross, rate = _gross(pool, index_in, index_out, amount), pool.rates[index_out]
    charged = gross * pool.fee // FEE_ONE
    given = (gross - charged) * _ONE // rate
    balances = list(pool.balances)
    balances[index_in] += amount
    balances[index_out] -= given + charged * pool.admin_fee // FEE_ONE * _ONE // rate
    return given, replace(pool, balances=tuple(balances))


def local_curve(pool: Coins, index_in: int, index_out: int) -> tuple[float, float]:
    """Return (rate, bend) at the present price, after the fee, for screening only. Raises `OffTheCurve`."""
    if min(pool.balances) <= 0:
        return 0.0, 0.0
    rate, bend = slope_and_bend(pool.amplification * THOUSANDTHS // _HUNDREDTHS, _lifted(pool), index_in, index_out)
    kept, rate_in = 1 - pool.fee / FEE_ONE, pool.rates[index_in] / _ONE
    return kept * rate * pool.rates[index_in] / pool.rates[index_out], kept * bend * rate_in


def _lifted(pool: Coins) -> tuple[int, ...]:
    return tuple(rate * held // _ONE for held, rate in zip(pool.balances, pool.rates, strict=True))


def _gross(pool: Coins, index_in: int, index_out: int, amount: int) -> int:
    """What leaves the pool, lifted and before the fee; a unit less than the curve says."""
    held = _lifted(pool)
    moved = list(held)
    moved[index_in] += amount * pool.rates[index_in] // _ONE
    constant = _invariant(pool.amplification, held)
    gross = held[index_out] - _balance_on_curve(pool.amplification, moved, constant, index_out) - 1
    if gross < 0:
        raise OffTheCurve("so little goes in that nothing comes out")
    return gross


def _invariant(amplification: int, balances: tuple[int, ...]) -> int:
    count, total = len(balances), sum(balances)
    steep, guess = amplification * count, total
    for _ in range(_ROUNDS):
        term = guess
        for held in balances:
            term = term * guess // (held * count)
        before = guess
        below = (steep - _HUNDREDTHS) * guess // _HUNDREDTHS + (count + 1) * term
        guess = _over((steep * total // _HUNDREDTHS + term * count) * guess, below)
        if abs(guess - before) <= 1:
            return guess
    raise OffTheCurve(f"no invariant after {_ROUNDS} rounds")


def _balance_on_curve(amplification: int, balances: list[int], constant: int, index: int) -> int:
    count = len(balances)
    steep, last = amplification * count, constant
    for place, held in enumerate(balances):
        if place != index:
            last = last * constant // (held * count)
    last = last * constant * _HUNDREDTHS // (steep * count)
    middle = sum(balances) - balances[index] + constant * _HUNDREDTHS // steep
    guess = constant
    for _ in range(_ROUNDS):
        before = guess
        guess = _over(guess * guess + last, 2 * guess + middle - constant)
        if abs(guess - before) <= 1:
            return guess
    raise OffTheCurve(f"no balance after {_ROUNDS} rounds")


def _over(numerator: int, denominator: int) -> int:
    if denominator <= 0:
        raise OffTheCurve("a division that the contract does not make")
    return numerator // denominator
