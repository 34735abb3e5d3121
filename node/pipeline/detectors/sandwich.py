"""Sandwiches in mined blocks: seen and told, never made.

In one block and one pool, somebody swaps, then others swap in the same direction and so at a worse price, then the
first one swaps back what it got, all but TOLERANCE of it. Who it is: the account that sent both, or a contract that
both called and nobody else who swaps in the block did. A router is not told from a bot's contract by a list, which
would differ between nodes, but by this. Pure: from the block's swaps alone, so that every node that knows the block
comes to the same alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from node.pipeline.pools import PoolId
from protocol.units import BASIS_POINTS_ONE, Address, Hash32

_Callers = Mapping[Address, set[Address]]
"""Contract to the accounts that swap through it in the block."""

TOLERANCE = 100
"""Basis points by which what is sold back may differ from what was bought."""
MAX_FOUND = 24
"""Of one block; a block with more of them is told of by its first ones."""
MAX_SWAPS = 4_096


class MinedSwap(NamedTuple):
    """One swap of a block, in its order. `destination`: what the transaction called; None if it created a contract."""

    transaction: Hash32
    origin: Address
    destination: Address | None
    pool_id: PoolId
    direction: int
    """0 if the token that goes in has the lower address."""
    amount_in: int
    amount_out: int


class Sandwich(NamedTuple):
    """One that was found: the pool, and the transactions in front, between and behind."""

    pool_id: PoolId
    front: Hash32
    victims: tuple[Hash32, ...]
    back: Hash32


def sandwiches(swaps: Sequence[MinedSwap]) -> list[Sandwich]:
    """Find the sandwiches of one block, by the place of their front; each swap is in front of one at most.

    Looked at are the first MAX_SWAPS; pairs are made greedily: each front, in the block's order, with the first back
    behind it that fits and that no earlier front has taken.
    """
    by_pool: dict[PoolId, list[MinedSwap]] = {}
    callers: dict[Address, set[Address]] = {}
    places: dict[Hash32, int] = {}
    for place, swap in enumerate(swaps[:MAX_SWAPS]):
        by_pool.setdefault(swap.pool_id, []).append(swap)
        places.setdefault(swap.transaction, place)
        if swap.destination is not None:
            callers.setdefault(swap.destination, set()).add(swap.origin)
    found = [one for several in by_pool.values() for one in _in_pool(several, callers)]
    return sorted(found, key=lambda one: (places[one.front], one.pool_id))[:MAX_FOUND]


def _in_pool(swaps: Sequence[MinedSwap], callers: _Callers) -> Iterable[Sandwich]:
    closed: set[int] = set()
    for first, front in enumerate(swaps):
        if first in closed:
            continue
        for last in range(first + 2, len(swaps)):
            back = swaps[last]
            if last in closed or not _closes(front, back, callers):
                continue
            between = swaps[first + 1 : last]
            victims = [swap.transaction for swap in between if _suffers(swap, front, back)]
            if victims:
                closed |= {first, last}
                yield Sandwich(front.pool_id, front.transaction, tuple(dict.fromkeys(victims)), back.transaction)
                break


def _closes(front: MinedSwap, back: MinedSwap, callers: _Callers) -> bool:
    if back.transaction == front.transaction or back.direction == front.direction:
        return False
    if not _is_one_actor(front, back, callers):
        return False
    return abs(back.amount_in - front.amount_out) * BASIS_POINTS_ONE <= front.amount_out * TOLERANCE


def _is_one_actor(front: MinedSwap, back: MinedSwap, callers: _Callers) -> bool:
    if front.origin == back.origin:
        return True
    shared = front.destination
    return shared is not None and shared == back.destination and callers[shared] == {front.origin, back.origin}


def _suffers(swap: MinedSwap, front: MinedSwap, back: MinedSwap) -> bool:
    """Whether a swap between them is another's, at a worse price: who sends front or back sends none of its victims."""
    return swap.direction == front.direction and swap.origin not in (front.origin, back.origin)
