"""Uniswap V3's pools as lenders: what they have, which one is taken, and that a route never locks its own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.market_generator import HEAD
from node.config import LenderConfig
from node.engine.pipeline_settings import pipeline_settings
from node.pipeline.amm.concentrated import ConcentratedPool, initialized_pool, modify_position, swap
from node.pipeline.events import PoolSynced
from node.pipeline.lenders import LenderBook
from node.pipeline.market import Market
from node.pipeline.plans import FlashLender, LenderKind
from node.pipeline.pool_lenders import DEEPEST_PER_FEE, PoolLenders, least_held
from node.pipeline.pools import PoolFamily, PoolSpec
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.units import Address
from tests.config_factories import config_in
from tests.pipeline_scene import ETHER, VAULT, block, pipeline, plans, seen, settings, small_market, swap_of

COIN, OTHER = Address(b"\x01" * 20), Address(b"\x02" * 20)
ONE_X96 = 1 << 96


def pool(fee: int = 500, depth: int = ETHER, *, number: int = 1) -> tuple[PoolSpec, ConcentratedPool]:
    """A pool of COIN and another token at a price of one, with liquidity far around it."""
    state, _, _ = modify_position(initialized_pool(fee, 10, ONE_X96), -10_000, 10_000, depth)
    address = Address(bytes([0xC0, number]) * 10)
    return PoolSpec(address, PoolFamily.UNISWAP_V3, address, (COIN, OTHER), fee, 10), state


def market_of(*pools: tuple[PoolSpec, ConcentratedPool]) -> Market:
    market = Market([COIN], 100, 100)
    for token in (COIN, OTHER):
        market.trust(token, True)
    for spec, state in pools:
        market.discover(spec)
        number = market.number_of(spec.id)
        assert number is not None
        market.set_state(number, state)
    return market


def book_of(market: Market, *configured: FlashLender) -> LenderBook:
    book = LenderBook(configured, PoolLenders(market))
    book.refresh([COIN])
    return book


def test_a_pool_lends_what_its_positions_hold_rounded_down() -> None:
    empty = initialized_pool(500, 10, ONE_X96)
    one, in0, in1 = modify_position(empty, -100, 100, ETHER)
    both, more0, none1 = modify_position(one, 50, 200, ETHER)
    assert none1 == 0
    assert in0 + more0 - 3 <= least_held(both, zero=True) <= in0 + more0
    assert in1 - 1 <= least_held(both, zero=False) <= in1


def test_a_pool_without_liquidity_in_range_lends_nothing() -> None:
    above, _, _ = modify_position(initialized_pool(500, 10, ONE_X96), 50, 200, ETHER)
    assert least_held(above, zero=True) == 0


def test_of_equal_fees_the_one_with_less_gas_lends_and_a_dearer_one_never() -> None:
    spec, state = pool(500)
    aave = FlashLender(LenderKind.AAVE_V3, VAULT, COIN, 500)
    chosen = book_of(market_of((spec, state)), aave).lender_for(COIN, 1, [])
    assert chosen is not None
    assert (chosen.kind, chosen.address, chosen.fee_pips) == (LenderKind.UNISWAP_V3, spec.address, 500)
    assert chosen.other_token == OTHER
    dear = book_of(market_of(pool(3000)), aave)
    assert dear.lender_for(COIN, 1, []) == aave
    assert dear.cheapest(COIN) == aave


def test_the_pool_on_the_route_does_not_lend_and_the_next_one_does() -> None:
    first, second = pool(number=1, depth=2 * ETHER), pool(number=2)
    book = book_of(market_of(first, second))
    assert book.cheapest(COIN) == book.lender_for(COIN, 1, [second[0]])
    chosen = book.lender_for(COIN, 1, [first[0]])
    assert chosen is not None
    assert chosen.address == second[0].address
    assert book.lender_for(COIN, 1, [first[0], second[0]]) is None


def test_a_pool_lends_no_more_than_it_has_and_none_that_is_not_trusted() -> None:
    market = market_of(pool())
    book = book_of(market)
    most = book.most(COIN)
    assert most == least_held(pool()[1], zero=True)
    assert book.lender_for(COIN, most, []) is not None
    assert book.lender_for(COIN, most + 1, []) is None
    market.trust(OTHER, False)
    book.refresh([COIN])
    assert book.cheapest(COIN) is None


def test_behind_a_pending_swap_a_pool_has_what_the_swap_leaves() -> None:
    _, state = pool()
    market = market_of(pool())
    book, has = book_of(market), least_held(state, zero=True)
    drained = swap(state, False, ETHER // 4).after
    left = least_held(drained, zero=True)
    assert left < has
    assert book.lender_for(COIN, has, [], {0: drained}) is None
    assert book.lender_for(COIN, left, [], {0: drained}) is not None
    assert book.lender_for(COIN, has, [], {7: drained}) is not None


def test_of_many_pools_the_deepest_of_each_fee_are_kept() -> None:
    pools = [pool(fee, depth * ETHER, number=10 * depth + fee // 500) for fee in (500, 3000) for depth in range(1, 8)]
    kept = PoolLenders(market_of(*pools)).of(COIN)
    assert len(kept) == 2 * DEEPEST_PER_FEE
    depths = [lender.available or 0 for lender in kept if lender.fee_pips == 500]
    assert depths == sorted(depths, reverse=True)
    assert depths[0] == least_held(pool(depth=7 * ETHER)[1], zero=True)


def lending(*, pools_lend: bool) -> PipelineState:
    """The scene without another lender."""
    market = small_market()
    return pipeline(market, settings(market, lenders=(), pools_lend=pools_lend))


@pytest.mark.parametrize("pools_lend", [True, False])
def test_with_pools_alone_as_lenders_routes_are_found_and_none_borrows_from_its_own(pools_lend: bool) -> None:
    market, state = small_market(), lending(pools_lend=pools_lend)
    step(state, block())
    found = [
        plan
        for spec, pool_state in market.pools
        for plan in plans(step(state, seen(swap_of(spec, pool_state, trader=spec.address.hex()))))
    ]
    assert bool(found) is pools_lend
    for plan in found:
        for execution in plan.executions:
            loan = execution.opportunity.loan
            assert loan.lender.kind is LenderKind.UNISWAP_V3
            assert loan.lender.address not in [one.address for one in execution.opportunity.steps]
            assert loan.fee == -(-loan.amount * loan.lender.fee_pips // 10**6)
            assert loan.amount <= (loan.lender.available or 0)


def test_a_pool_read_anew_lends_what_it_has_then() -> None:
    state = lending(pools_lend=True)
    token = state.settings.wrapped_coin
    step(state, block())
    before = state.lenders.most(token)
    for spec, known in zip(state.market.specs, tuple(state.market.states), strict=True):
        if isinstance(known, ConcentratedPool):
            dry = msgspec.structs.replace(known, liquidity=0)
            step(state, PoolSynced(spec.id, dry, block().number))
    step(state, block(HEAD + 2))
    assert before
    assert state.lenders.most(token) == 0


def test_the_configured_kind_lets_the_pools_lend(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    assert pipeline_settings(config, [], []).pools_lend
    without = (LenderConfig(kind=LenderKind.BALANCER_V2, address=VAULT),)
    protocols = msgspec.structs.replace(config.protocols, lenders=without)
    assert not pipeline_settings(msgspec.structs.replace(config, protocols=protocols), [], []).pools_lend
