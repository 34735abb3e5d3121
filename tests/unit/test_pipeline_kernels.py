"""The kernels beside exact integers, and the cycles beside a plain search."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from node.pipeline import kernels
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.kernels import TOKEN_WIDTH
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pools import PoolFamily, PoolState, quote_exact_in, swap_exact_in
from node.pipeline.prices import virtual_reserves
from node.pipeline.sizing import Leg, best_amount, exact_amounts
from node.pipeline.state import PipelineState
from tests.pipeline_scene import pipeline


@pytest.fixture(scope="module")
def state() -> PipelineState:
    return pipeline()


def test_every_edge_gives_what_the_exact_maths_gives(state: PipelineState) -> None:
    market = state.market
    prices, liquidity = market.ticks.arrays
    for number, edge in enumerate(market.edges):
        pool = market.states[edge.pool]
        assert pool is not None
        depth = virtual_reserves(pool, edge.index_in, edge.index_out)[0]
        if market.specs[edge.pool].family is PoolFamily.BALANCER_V2_WEIGHTED:
            depth = pool.balances[edge.index_in]  # type: ignore[union-attr]
        for part in (1_000_000, 1_000, 50, 20):
            amount = depth // part
            exact = quote_exact_in(pool, edge.index_in, edge.index_out, amount)
            estimate, _ = kernels.edge_out(float(amount), market.rows[number], prices, liquidity)
            assert estimate == pytest.approx(exact, rel=1e-6, abs=2), (market.specs[edge.pool].family, part)


def test_the_margin_is_the_slope_of_the_output(state: PipelineState) -> None:
    market = state.market
    prices, liquidity = market.ticks.arrays
    for number, edge in enumerate(market.edges):
        pool = market.states[edge.pool]
        assert pool is not None
        at = virtual_reserves(pool, edge.index_in, edge.index_out)[0] / 300
        row = market.rows[number]
        out, margin = kernels.edge_out(at, row, prices, liquidity)
        further, _ = kernels.edge_out(at * 1.0001, row, prices, liquidity)
        assert (further - out) / (at * 0.0001) == pytest.approx(margin, rel=1e-3)


def test_cycles_are_those_of_a_plain_search(state: PipelineState) -> None:
    market = state.market
    starts = [market.tokens.index(token.address) for token in state.settings.profit_tokens]
    expected = sorted(_plain_cycles(market, starts))
    listed = [tuple(edge for edge in row[:3] if edge >= 0) for row in market.index.cycles.tolist()]
    assert sorted(listed) == expected
    assert len(set(listed)) == len(listed) > 100


def _plain_cycles(market: Market, starts: list[int]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for rank, start in enumerate(starts):
        for hops in (2, 3):
            for edges in itertools.product(range(len(market.edges)), repeat=hops) if hops == 2 else _triples(market):
                legs = [market.edges[edge] for edge in edges]
                joined = all(one.token_out == other.token_in for one, other in itertools.pairwise(legs))
                closed = legs[0].token_in == start == legs[-1].token_out
                between = [leg.token_out for leg in legs[:-1]]
                distinct = len({leg.pool for leg in legs}) == hops and start not in between
                if joined and closed and distinct and not set(between) & set(starts[:rank]):
                    found.append(edges)
    return found


def _triples(market: Market) -> list[tuple[int, int, int]]:
    numbers = range(len(market.edges))
    after = [
        [other for other in numbers if market.edges[other].token_in == market.edges[one].token_out] for one in numbers
    ]
    return [(one, two, three) for one in numbers for two in after[one] for three in after[two]]


def test_each_edge_knows_all_cycles_through_it(state: PipelineState) -> None:
    index = state.market.index
    for edge in range(len(state.market.edges)):
        through = {tuple(row) for row in index.by_edge[index.offsets[edge] : index.offsets[edge + 1]].tolist()}
        assert through == {tuple(row) for row in index.cycles.tolist() if edge in row[:3]}


def test_the_kernel_sizes_as_a_long_search_in_exact_integers_does(state: PipelineState) -> None:
    market = state.market
    compared = 0
    for pool in range(len(market.specs)):
        confirmed = market.states[pool]
        assert confirmed is not None
        overlay = Overlay(market)
        overlay.states[pool] = _moved(confirmed)
        with overlay as risen:
            candidates = state.search.through(risen) if risen else []
        for candidate in candidates[:2]:
            gain_of = _gain_in(market, overlay, candidate.edges)
            proposed = gain_of(candidate.amount)
            best = best_amount(gain_of, candidate.amount, 10**30, 400)
            assert proposed is not None
            assert best is not None
            assert proposed <= best[1] <= proposed * (1 + 1e-6) + 2
            compared += 1
    assert compared > 20


def _gain_in(market: Market, overlay: Overlay, edges: tuple[int, ...]) -> Callable[[int], int | None]:
    legs: list[Leg] = []
    for number in edges:
        edge = market.edges[number]
        pool = overlay.state(edge.pool)
        assert pool is not None
        legs.append((pool, edge.index_in, edge.index_out))

    def gain_of(amount: int) -> int | None:
        amounts = exact_amounts(legs, amount)
        return None if amounts is None else amounts[-1] - amount

    return gain_of


def _moved(state: PoolState) -> PoolState:
    """The pool after somebody put in four percent of one side."""
    depth = state.balances[0] if isinstance(state, WeightedPool) else virtual_reserves(state, 0, 1)[0]
    return swap_exact_in(state, 0, 1, depth // 25)[0]


def test_an_input_that_the_last_tick_cannot_take_is_lost_and_pays_nothing_more(state: PipelineState) -> None:
    market = state.market
    prices, liquidity = market.ticks.arrays
    for number, edge in enumerate(market.edges):
        if market.specs[edge.pool].family is PoolFamily.UNISWAP_V3:
            out, margin = kernels.edge_out(1e40, market.rows[number], prices, liquidity)
            assert out > 0
            assert margin == 0


def test_the_largest_input_bounds_the_amount(state: PipelineState) -> None:
    market = state.market
    prices, liquidity = market.ticks.arrays
    tokens = np.zeros((2, TOKEN_WIDTH), np.float64)
    tokens[:, kernels.PRICE], tokens[:, kernels.MAX_INPUT] = 1.0, 1e15
    overlay = Overlay(market)
    first = market.states[0]
    assert first is not None
    overlay.states[0] = _moved(first)
    with overlay as risen:
        begin, end = market.index.offsets[risen[0]], market.index.offsets[risen[0] + 1]
        sizes = [kernels.size(row, market.rows, prices, liquidity, tokens) for row in market.index.by_edge[begin:end]]
    assert sizes
    assert max(amount for amount, _ in sizes) == 1e15
