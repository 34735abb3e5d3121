"""The kernels as plain Python beside the compiled ones: the same code, line by line, and the same answers."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numba
import numpy as np
import pytest

from node.pipeline import kernels
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from tests.pipeline_scene import pipeline, seen, small_market, swap_of

MARKET = small_market()


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    """The module once more, with a compiler that leaves functions as they are."""
    spec = importlib.util.spec_from_file_location("plain_kernels", kernels.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", lambda **_: lambda function: function)
        patch.setitem(sys.modules, "plain_kernels", module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def moved() -> PipelineState:
    """A market in which much stands open: every fifth pool's rows are as after a large swap."""
    state = pipeline(MARKET)
    for number, (spec, pool) in enumerate(MARKET.pools):
        step(state, seen(swap_of(spec, pool, part=0.01, trader=str(number))))
    rows = state.market.rows
    for edge in range(0, len(state.market.edges), 5):
        rows[edge, kernels.RATE] *= 1.05
        rows[edge, kernels.B] *= 1.0 if rows[edge, kernels.KIND] == kernels.CONCENTRATED else 1.05
    return state


def _found(module: ModuleType, state: PipelineState, edges: list[int] | None) -> kernels.Floats:
    market, search = state.market, state.search
    places, found = np.empty(16, np.int64), np.zeros((16, kernels.FOUND_WIDTH), np.float64)
    common = (market.rows, *market.ticks.arrays, search._rows, search._costs, places, found)
    if edges is None:
        count = module.screen_all(market.index.cycles, *common)
    else:
        numbers = np.array(edges, np.int64)
        count = module.screen_edges(numbers, market.index.offsets, market.index.by_edge, *common)
    return found[:count]


def test_the_whole_market_is_screened_and_sized_alike(plain: ModuleType, moved: PipelineState) -> None:
    ours = _found(plain, moved, None)
    assert len(ours) > 4
    assert ours == pytest.approx(_found(kernels, moved, None), rel=1e-9)
    assert sorted(ours[:, 1], reverse=True) == list(ours[:, 1])


def test_edges_are_screened_alike_and_a_cycle_through_two_of_them_is_there_once(
    plain: ModuleType, moved: PipelineState
) -> None:
    best = [int(edge) for edge in _found(kernels, moved, None)[0, 2:5] if edge >= 0]
    ours = _found(plain, moved, best)
    assert ours == pytest.approx(_found(kernels, moved, best), rel=1e-9)
    cycles = [tuple(row[2:]) for row in ours]
    assert len(cycles) == len(set(cycles))


def test_every_edge_gives_the_same_at_every_size(plain: ModuleType, moved: PipelineState) -> None:
    market = moved.market
    for row in market.rows[: len(market.edges)]:
        for amount in (1.0, 1e6, 1e15, 1e21, 1e27):
            one = plain.edge_out(amount, row, *market.ticks.arrays)
            assert one == pytest.approx(kernels.edge_out(amount, row, *market.ticks.arrays), rel=1e-9)


@pytest.mark.parametrize("room", [1 << 14, 5])
def test_cycles_are_enumerated_alike(plain: ModuleType, moved: PipelineState, room: int) -> None:
    market = moved.market
    edges = np.array([(edge.pool, edge.token_in, edge.token_out) for edge in market.edges], np.int32)
    by_source = np.lexsort((edges[:, 2], edges[:, 1])).astype(np.int32)
    offsets = np.zeros(len(market.tokens) + 1, np.int64)
    np.cumsum(np.bincount(edges[:, 1], minlength=len(market.tokens)), out=offsets[1:])
    starts, rank_of = np.array([0, 1], np.int32), np.full(len(market.tokens), 2, np.int32)
    rank_of[:2] = (0, 1)
    answers = []
    for module in (plain, kernels):
        cycles = np.zeros((room, kernels.CYCLE_WIDTH), np.int32)
        answers.append((module.enumerate_cycles(edges, offsets, by_source, starts, rank_of, cycles), cycles.tolist()))
    assert answers[0] == answers[1]
    assert answers[0][0] > 5
