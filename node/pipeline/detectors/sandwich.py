"""Sandwiches in mined blocks: seen and told, never made.

In one block and one pool, somebody swaps, then others swap in the same direction and so at a worse price, then the
first one swaps back what it got, all but TOLERANCE of it. Who it is: the account that sent both, or a contract that
both called and that is no router (several bots call routers). Pure: from the block's swaps alone, so that every node
that knows the block comes to the same alert.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from node.pipeline.pools import PoolId
from protocol.units import BASIS_POINTS_ONE, Address, Hash32

TOLERANCE = 100
"""Basis points by which what is sold back may differ from what was bought."""
MAX_FOUND = 32
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


def sandwiches(swaps: Sequence[MinedSwap], routers: Collection[Address]) -> list[Sandwich]:
    """Find the sandwiches of one block, by the place of their front; each swap is in front of one at most."""
    by_pool: dict[PoolId, list[MinedSwap]] = {}
    for swap in swaps[:MAX_SWAPS]:
        by_pool.setdefault(swap.pool_id, []).append(swap)
    places = {swap.transaction: place for place, swap in reversed(list(enumerate(swaps)))}
    found = [one for several in by_pool.values() for one in _in_pool(several, routers)]
    return sorted(found, key=lambda one: (places[one.front], one.pool_id))[:MAX_FOUND]


def _in_pool(swaps: Sequence[MinedSwap], routers: Collection[Address]) -> Iterable[Sandwich]:
    closed: set[int] = set()
    for first, front in enumerate(swaps):
        if first in closed:
            continue
        for last in range(first + 2, len(swaps)):
            back = swaps[last]
            if last in closed or not _closes(front, back, routers):
                continue
            between = swaps[first + 1 : last]
            victims = [swap.transaction for swap in between if _suffers(swap, front, back, routers)]
            if victims:
                closed |= {first, last}
                yield Sandwich(front.pool_id, front.transaction, tuple(dict.fromkeys(victims)), back.transaction)
                break


def _closes(front: MinedSwap, back: MinedSwap, routers: Collection[Address]) -> bool:
    if back.transaction == front.transaction or back.direction == front.direction or not _is_same(front, back, routers):
        return False
    return abs(back.amount_in - front.amount_out) * BASIS_POINTS_ONE <= front.amount_out * TOLERANCE


def _suffers(swap: MinedSwap, front: MinedSwap, back: MinedSwap, routers: Collection[Address]) -> bool:
    if swap.transaction in (front.transaction, back.transaction) or _is_same(swap, front, routers):
        return False
    return swap.direction == front.direction


def _is_same(one: MinedSwap, other: MinedSwap, routers: Collection[Address]) -> bool:
    """Whether one actor made both."""
    if one.origin == other.origin:
        return True
    return one.destination is not None and one.destination == other.destination and one.destination not in routers
