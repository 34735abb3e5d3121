"""What governance takes out of use is not traded from that event on: no find, no order, nothing on its way."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.market_generator import GeneratedMarket
from node.pipeline.events import (
    CancelBundle,
    Effect,
    NetworkRead,
    OrderVerdict,
    RecordDrop,
    SignAndSubmit,
)
from node.pipeline.pools import PoolFamily
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from tests import pipeline_scene as scene
from tests.unit.test_pipeline_orders import FINDER, LEADER, answer_in, arriving, given, member, swap, view

V2 = frozenset({PoolFamily.UNISWAP_V2})


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return scene.small_market()


def removed(names: frozenset[bytes] = frozenset(), families: frozenset[PoolFamily] = frozenset()) -> NetworkRead:
    return NetworkRead(msgspec.structs.replace(view(LEADER), removed=names, removed_families=families))


def signed(effects: tuple[Effect, ...]) -> set[bytes]:
    """The ids of all pools of plans that go out."""
    plans = [effect.plan for effect in effects if isinstance(effect, SignAndSubmit)]
    return {step.pool_id for plan in plans for one in plan.opportunities for step in one.steps}


def trading(market: GeneratedMarket) -> tuple[PipelineState, set[bytes]]:
    """A leader with something on its way, and the pools through which that goes."""
    state = member(LEADER, market)
    through = signed(step(state, swap(market)))
    assert through
    return state, through


def test_what_goes_through_a_removed_pool_is_withdrawn_at_once_and_not_found_again(market: GeneratedMarket) -> None:
    state, through = trading(market)
    pool = sorted(through)[0]

    effects = step(state, removed(frozenset({pool})))

    drops = [effect for effect in effects if isinstance(effect, RecordDrop)]
    assert drops
    assert {drop.reason for drop in drops} == {Reason.TAKEN_OUT_OF_USE}
    assert any(isinstance(effect, CancelBundle) for effect in effects)
    assert not state.outstanding
    again = signed(step(state, swap(market, part=0.06, trader="dave")))
    assert pool not in again


def test_a_removed_token_and_a_removed_venue_take_all_their_pools_out(market: GeneratedMarket) -> None:
    state, through = trading(market)
    of_v2 = {spec.id for spec, _ in scene.pools_of_family(market, PoolFamily.UNISWAP_V2)}
    assert through & of_v2

    step(state, removed(families=V2))

    assert not [
        pool for pool, spec in enumerate(state.market.specs) if spec.id in of_v2 and state.market.is_eligible(pool)
    ]
    assert any(state.market.is_eligible(pool) for pool in range(len(state.market.specs))), "the others trade on"
    coin = market.profit_tokens[0]
    step(state, removed(frozenset({coin})))
    with_coin = [pool for pool, spec in enumerate(state.market.specs) if coin in spec.tokens]
    assert with_coin
    assert not [pool for pool in with_coin if state.market.is_eligible(pool)]


def test_nothing_is_borrowed_from_a_removed_lender(market: GeneratedMarket) -> None:
    state, _ = trading(market)
    coin = market.profit_tokens[0]
    before = state.lenders.cheapest(coin)
    assert before is not None

    effects = step(state, removed(frozenset({before.address})))

    after = state.lenders.cheapest(coin)
    assert after is None or after.address != before.address
    assert {effect.reason for effect in effects if isinstance(effect, RecordDrop)} == {Reason.TAKEN_OUT_OF_USE}


def test_an_order_through_a_removed_venue_is_declined(market: GeneratedMarket) -> None:
    handed = given(step(member(FINDER, market), swap(market)))
    leader = member(LEADER, market)
    assert answer_in(step(leader, arriving(handed)))[0] is OrderVerdict.ACCEPT

    leader = member(LEADER, market)
    step(leader, removed(families=V2))

    assert answer_in(step(leader, arriving(handed)))[0] is OrderVerdict.DECLINE


def test_a_removal_whose_block_left_the_chain_is_undone(market: GeneratedMarket) -> None:
    state, through = trading(market)
    step(state, removed(families=V2))
    step(state, removed())

    assert signed(step(state, swap(market))) == through
