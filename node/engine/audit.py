"""Samples followed pools against the chain, a few each block, in turn: what differs is not to be traded on.

Of a concentrated pool the price, the liquidity, the words of its tick bitmap that we believe in and a window of the
others are compared, so that every word is looked at in the course of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from node.engine.pool_reading import PoolReader, Unreadable
from node.engine.tick_reading import all_words
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.ticks import TickTable
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.pools import PoolId, PoolSpec, PoolState
from protocol.units import Hash32

POOLS_PER_BLOCK: Final = 2
"""At the least; more where there are more, so that each has its turn within ROUND_BLOCKS."""
ROUND_BLOCKS: Final = 256
MOST_PER_BLOCK: Final = 64
"""Of more than 16,384 pools a round takes longer."""
WINDOW_WORDS: Final = 128


class Audit:
    """Knows whose turn it is. `counts`: `audited`, `differed`, `unknown` (pools without a state)."""

    def __init__(self, pools: PoolReader, state_of: Callable[[PoolId], PoolState | None], first: int = 0) -> None:
        """`first`: a random number, so that a node that is started often does not begin with the same pools."""
        self.counts: Counter[str] = Counter()
        self._pools, self._state_of = pools, state_of
        self._next = first

    async def sample(self, followed: Sequence[PoolSpec], at: Hash32) -> dict[PoolId, str]:
        """Compare the next few pools with the chain after the block `at`, to which our states must belong now.

        Return what differs, and why. Raises RpcError.
        """
        if not followed:
            return {}
        count = len(followed)
        sampled = min(count, MOST_PER_BLOCK, max(POOLS_PER_BLOCK, -(-count // ROUND_BLOCKS)))
        first, self._next = self._next, self._next + sampled
        specs = [followed[place % count] for place in range(first, first + sampled)]
        rounds = {followed[place % count].id: place // count for place in range(first, first + sampled)}
        ours = {spec.id: self._state_of(spec.id) for spec in specs}
        words = {spec.id: self._words(spec, ours[spec.id], rounds[spec.id]) for spec in specs if spec.tick_spacing}
        theirs = await self._pools.read(specs, at, words)
        differing: dict[PoolId, str] = {}
        for spec in specs:
            expected, found = ours[spec.id], theirs[spec.id]
            if expected is None:
                self.counts["unknown"] += 1
                if not isinstance(found, Unreadable):
                    differing[spec.id] = "it can be read now"
                continue
            self.counts["audited"] += 1
            if isinstance(found, Unreadable):
                differing[spec.id] = found.why
            elif found != _restricted(expected, words.get(spec.id)):
                differing[spec.id] = "its state is another one on the chain"
        self.counts["differed"] += sum(ours[pool_id] is not None for pool_id in differing)
        return differing

    def _words(self, spec: PoolSpec, state: PoolState | None, round_number: int) -> list[int]:
        every = all_words(spec)
        start = round_number * WINDOW_WORDS % len(every)
        believed = state.ticks.bitmap if isinstance(state, ConcentratedPool | V4Pool) else {}
        return sorted({*every[start : start + WINDOW_WORDS], *believed})


def _restricted(state: PoolState, words: Sequence[int] | None) -> PoolState:
    """Return the state with the ticks of these words only, and without what is not read: the fees' growth."""
    if words is None or not isinstance(state, ConcentratedPool | V4Pool):
        return state
    ticks, inside = state.ticks, set(words)
    kept = [tick for tick in ticks.gross if (tick // ticks.spacing) >> 8 in inside]
    table = TickTable(
        ticks.spacing,
        {tick: ticks.gross[tick] for tick in kept},
        {tick: ticks.net[tick] for tick in kept},
        {word: bits for word, bits in ticks.bitmap.items() if word in inside},
    )
    if isinstance(state, V4Pool):
        return msgspec.structs.replace(state, ticks=table)
    return msgspec.structs.replace(state, ticks=table, fee_growth_global0_x128=0, fee_growth_global1_x128=0)
