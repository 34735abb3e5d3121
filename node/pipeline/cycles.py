"""All cycles of two and three hops through the profit tokens, and which of them go through an edge.

Pools come and go rarely, prices always: so the index is built anew as a whole when pools were added, at most once a
block (`Market` asks for it), by a kernel that takes some ten milliseconds for two thousand pools. A pool that must not
trade stays in the index with a rate of zero. Beyond `max_cycles` the rest is left out, counted in `left_out`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from node.pipeline.kernels import CYCLE_WIDTH, Integers, Places, enumerate_cycles

_FIRST_GUESS = 1 << 14


class CycleIndex:
    """`cycles`: each once. `by_edge[offsets[e]:offsets[e+1]]`: copies of those through edge e, lying together."""

    __slots__ = ("by_edge", "cycles", "edge_count", "left_out", "offsets")

    def __init__(self, cycles: Places, by_edge: Places, offsets: Integers, left_out: int) -> None:
        self.cycles, self.by_edge, self.offsets, self.left_out = cycles, by_edge, offsets, left_out
        self.edge_count = len(offsets) - 1


def empty_index() -> CycleIndex:
    """The index of no pools."""
    nothing = np.empty((0, CYCLE_WIDTH), np.int32)
    return CycleIndex(nothing, nothing, np.zeros(1, np.int64), 0)


def build_index(
    graph: Sequence[tuple[int, int, int]], token_count: int, starts: Sequence[int], max_cycles: int
) -> CycleIndex:
    """Enumerate over `graph`, a row an edge: pool, token in, token out. `starts`: the profit tokens, best first."""
    edges = np.array(graph, np.int32).reshape(-1, 3)
    by_source = np.lexsort((edges[:, 2], edges[:, 1])).astype(np.int32)
    offsets = _offsets(edges[:, 1], token_count)
    rank_of = np.full(token_count, len(starts), np.int32)
    rank_of[list(starts)] = np.arange(len(starts), dtype=np.int32)
    starts_array = np.array(starts, np.int32)
    room = min(_FIRST_GUESS, max_cycles)
    while True:
        cycles = np.empty((room, CYCLE_WIDTH), np.int32)
        count = enumerate_cycles(edges, offsets, by_source, starts_array, rank_of, cycles)
        if count <= room or room == max_cycles:
            break
        room = min(count, max_cycles)
    kept = cycles[:count].copy() if count < room else cycles
    return CycleIndex(kept, *_by_edge(kept, len(edges)), max(0, count - room))


def _by_edge(cycles: Places, edge_count: int) -> tuple[Places, Integers]:
    through = cycles[:, :3].T.reshape(-1)
    used = np.flatnonzero(through >= 0)
    order = used[np.argsort(through[used], kind="stable")]
    return cycles[order % len(cycles)] if len(cycles) else cycles, _offsets(through[used], edge_count)


def _offsets(keys: NDArray[np.int32], count: int) -> Integers:
    """Where each key's members begin when they are sorted by key; one more for the end."""
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=count), out=offsets[1:])
    return offsets
