"""Exact integers for the finalists: what a route really gives, and the best amount near the kernel's proposal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.units import TokenAmount
from node.pipeline.pools import PoolState, quote_exact_in

Leg = tuple[PoolState, int, int]
"""A pool's state, and the positions of the tokens in and out."""
_FIRST_STEP_PART = 1 << 10


def exact_amounts(legs: Sequence[Leg], amount: TokenAmount) -> tuple[TokenAmount, ...] | None:
    """The amount before each leg and after the last; None where a pool would revert."""
    amounts = [amount]
    try:
        for state, index_in, index_out in legs:
            amount = quote_exact_in(state, index_in, index_out, amount)
            amounts.append(amount)
    except AmmError:
        return None
    return tuple(amounts)


def best_amount(
    gain_of: Callable[[TokenAmount], int | None], guess: TokenAmount, most: TokenAmount, evaluations: int
) -> tuple[TokenAmount, int] | None:
    """(amount, gain) of the greatest gain found near `guess`, at most `most`, with so many evaluations.

    A search on integers with shrinking steps: it ends at an amount whose neighbours at the last step are no better,
    and never below the gain of the guess itself. None if the guess cannot be executed.
    """
    best = max(1, min(guess, most))
    gain = gain_of(best)
    if gain is None:
        return None
    step = max(1, best // _FIRST_STEP_PART)
    left = evaluations - 1
    while left > 0:
        moved = False
        for candidate in (best + step, best - step):
            if left and 0 < candidate <= most:
                left -= 1
                value = gain_of(candidate)
                if value is not None and value > gain:
                    best, gain, moved = candidate, value, True
                    break
        if not moved:
            if step == 1:
                break
            step = max(1, step // 8)
    return best, gain
