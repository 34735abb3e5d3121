"""Pools that were drained: reserves that went without anything coming in, seen in mined blocks.

A constant-product pool's reserves, multiplied, never fall in a swap, and fall as its providers take out what is theirs.
Where they fall far in any other way (tokens burnt or taken out of the pool, then `sync`; a pool whose own check of
its invariant is broken), what was lost was the providers'. Pure: from the block's logs alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from protocol.units import Address, Hash32

FALLS_TO: Final = 16
"""What is left of the product is at most this part: of each reserve a quarter, if both went alike."""
MAX_FOUND: Final = 4
"""Of one block; a block with more of them is told of by its first ones."""


class MinedReserves(NamedTuple):
    """What a pool said of its reserves, in the block's order, and what they were before as far as that follows."""

    transaction: Hash32
    pool: Address
    reserves: tuple[int, int]
    before: tuple[int, int] | None
    """Of a swap: what comes of taking back its amounts. None where nothing tells it."""
    is_withdrawal: bool
    """Liquidity that its providers took out."""


class Drain(NamedTuple):
    """A pool, and the transaction that drained it."""

    pool: Address
    transaction: Hash32


def drains(told: Iterable[MinedReserves]) -> list[Drain]:
    """Find the pools that were drained in one block, each once, in the block's order."""
    last: dict[Address, tuple[int, int]] = {}
    found: dict[Address, Drain] = {}
    for one in told:
        before = last.get(one.pool, one.before)
        last[one.pool] = one.reserves
        if before is not None and not one.is_withdrawal and _is_far_below(one.reserves, before):
            found.setdefault(one.pool, Drain(one.pool, one.transaction))
    return list(found.values())[:MAX_FOUND]


def _is_far_below(after: tuple[int, int], before: tuple[int, int]) -> bool:
    return min(before) > 0 and after[0] * after[1] * FALLS_TO <= before[0] * before[1]
