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
WINDOW_WORDS: Final = 128


class Audit:
    """Knows whose turn it is. `counts`: `audited`, `differed`, `unknown` (pools without a state)."""

    def __init__(self, pools: PoolReader, state_of: Callable[[PoolId], PoolState | None]) -> None:
        self.counts: Counter[str] = Counter()
        self._pools, self._state_of = pools, state_of
        self._turn = 0

    async def sample(self, followed: Sequence[PoolSpec], at: Hash32) -> dict[PoolId, str]:
        """Compare the next few pools with the chain after the block `at`, to which our states must belong now.

        Return what differs, and why. Raises RpcError.
        """
        if not followed:
            return {}
        turn, self._turn = self._turn, self._turn + 1
        chosen = [followed[(turn * POOLS_PER_BLOCK + i) % len(followed)] for i in range(POOLS_PER_BLOCK)]
        specs = list({spec.id: spec for spec in chosen}.values())
        ours = {spec.id: self._state_of(spec.id) for spec in specs}
        words = {spec.id: self._words(spec, ours[spec.id], turn) for spec in specs if spec.tick_spacing}
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

    def _words(self, spec: PoolSpec, state: PoolState | None, turn: int) -> list[int]:
        every = all_words(spec)
        start = turn * WINDOW_WORDS % len(every)
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
