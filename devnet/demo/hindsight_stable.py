"""The curve of Balancer V2's stable pools, for the hindsight solver, with each rounding of the contract's StableMath.

The paper's curve (StableSwap, n tokens, amplification A per n^(n-1)): A·n·S + D = A·n·D + D^(n+1) / (n^n·P), S the sum
of the balances and P their product; D, what they would be worth in balance, stays while a swap moves them. Balances
are lifted to 18 decimals. Shares no code with the detectors.

OffTheCurve    the contract's iteration ends nowhere, or nothing would come out
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Final

THOUSANDTHS: Final = 1_000
"""The contract keeps an amplification in thousandths."""
_ROUNDS: Final = 255
_REMEMBERED: Final = 1 << 12


class OffTheCurve(ValueError):
    """The contract's iteration ends nowhere, or nothing would come out."""


def given_for(amplification: int, balances: tuple[int, ...], index_in: int, index_out: int, amount: int) -> int:
    """Return what the pool gives for an amount in, both lifted, the fee already off. Raises `OffTheCurve`."""
    constant = invariant(amplification, balances)
    moved = [held + amount if index == index_in else held for index, held in enumerate(balances)]
    given = balances[index_out] - _balance_on_curve(amplification, moved, constant, index_out) - 1
    if given < 0:
        raise OffTheCurve("so little goes in that nothing comes out")
    return given


@lru_cache(maxsize=_REMEMBERED)
def invariant(amplification: int, balances: tuple[int, ...]) -> int:
    """Return D of these balances, none of them zero. Raises `OffTheCurve`."""
    count, total = len(balances), sum(balances)
    steep = amplification * count

    def closer(guess: int) -> int:
        term = guess  # D^(n+1) / (n^n·P)
        for held in balances:
            term = term * guess // (held * count)
        above = (steep * total // THOUSANDTHS + term * count) * guess
        return above // ((steep - THOUSANDTHS) * guess // THOUSANDTHS + (count + 1) * term)

    return _settled(closer, total)


def slope_and_bend(amplification: int, balances: tuple[int, ...], index_in: int, index_out: int) -> tuple[float, float]:
    """Return (rate, bend) of rate·x / (1 + bend·x), which touches the curve where it is now and bends as it does.

    Of lifted amounts and without a fee; floats, for screening only. Raises `OffTheCurve`.
    """
    held_in, held_out = float(balances[index_in]), float(balances[index_out])
    constant, count = float(invariant(amplification, balances)), len(balances)
    term = constant * prod(constant / (count * held) for held in balances)
    steep = amplification * count / THOUSANDTHS
    by_in, by_out = steep + term / held_in, steep + term / held_out
    rate = by_in / by_out
    curvature = 2 * term * (1 / held_in**2 - rate / (held_in * held_out) + (rate / held_out) ** 2) / by_out
    return rate, curvature / (2 * rate)


def _balance_on_curve(amplification: int, balances: Sequence[int], constant: int, index: int) -> int:
    """Return what the pool has to hold of one token when it holds so much of the others, rounded up."""
    count = len(balances)
    steep = amplification * count
    product = balances[0] * count  # n^n·P / D^(n-1)
    for held in balances[1:]:
        product = product * held * count // constant
    last = _up(constant * constant, steep * product) * THOUSANDTHS * balances[index]
    middle = sum(balances) - balances[index] + constant // steep * THOUSANDTHS

    def closer(guess: int) -> int:
        return _up(guess * guess + last, 2 * guess + middle - constant)

    return _settled(closer, _up(constant * constant + last, constant + middle))


def _settled(closer: Callable[[int], int], guess: int) -> int:
    """Follow an iteration until it moves by no more than one."""
    for _ in range(_ROUNDS):
        before, guess = guess, closer(guess)
        if abs(guess - before) <= 1:
            return guess
    raise OffTheCurve(f"no end after {_ROUNDS} rounds")


def _up(numerator: int, denominator: int) -> int:
    if denominator <= 0:
        raise OffTheCurve("a division that the contract does not make")
    return -(-numerator // denominator)
