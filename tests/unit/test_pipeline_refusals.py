"""What simulations refuse is left alone for a while, and nobody else is put out by it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import pytest

from benchmarks.market_generator import HEAD, GeneratedMarket
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.events import (
    AlertKind,
    BundleSimulated,
    Effect,
    PoolDiscovered,
    PoolSynced,
    RaiseAlert,
    ScreenTokens,
    SignAndSubmit,
    SimulateBundle,
    TokenScreened,
    TokenVerdict,
)
from node.pipeline.market import Market
from node.pipeline.plans import BundlePlan
from node.pipeline.pools import PoolFamily, PoolSpec
from node.pipeline.reasons import Reason
from node.pipeline.refusals import FIRST_BLOCKS, GOOD_BLOCKS, MAX_CYCLES, MOST_BLOCKS, SEVERAL, Refusals
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, Gas
from tests.pipeline_scene import block, pipeline, pools_of_family, seen, settings, small_market, swap_of

MARKET = small_market()
COIN = MARKET.profit_tokens[0]
TRAPS = 4


def _token(name: str) -> Address:
    return Address(keccak256(name.encode())[:20])


def _pool(one: Address, other: Address, name: str) -> PoolSpec:
    tokens = (one, other) if one < other else (other, one)
    return PoolSpec(_token(name), PoolFamily.UNISWAP_V2, _token(name), tokens, 3000)


def _with_traps(market: GeneratedMarket = MARKET) -> tuple[PipelineState, list[PoolSpec]]:
    """A market with tokens that two pools price unlike, and that nobody can sell."""
    like = pools_of_family(market, PoolFamily.UNISWAP_V2)[0][1]
    assert isinstance(like, ConstantProductPool)
    state = pipeline(market, settings(market, simulate=True))
    specs = []
    for number in range(TRAPS):
        token = _token(f"trap {number}")
        for times in (1, 6):
            spec = _pool(COIN, token, f"pool {number} {times}")
            reserves = {COIN: 5 * 10**16, token: 10**24 * times}
            reserve0, reserve1 = (reserves[one] for one in spec.tokens)
            step(state, PoolDiscovered(spec))
            pool = msgspec.structs.replace(like, reserve0=reserve0, reserve1=reserve1)
            step(state, PoolSynced(spec.id, pool, BlockNumber(HEAD)))
            specs.append(spec)
        step(state, TokenScreened(token, TokenVerdict.PLAIN, trusted=True))
    return state, specs


def _simulated(state: PipelineState, effects: Sequence[Effect], traps: Collection[bytes]) -> list[Effect]:
    """All effects, with every simulation answered: what goes through a trap reverts."""
    told, asked = list(effects), [one.plan for one in effects if isinstance(one, SimulateBundle)]
    while asked:
        plan = asked.pop(0)
        failure = Reason.SIMULATION_REVERTED if _pools(plan) & set(traps) else None
        profits = (10**30,) * len(plan.executions)
        gas = (Gas(1),) * len(plan.executions)
        more = step(state, BundleSimulated(plan.id, failure, profits, Gas(1), state.now, gas))
        told += more
        asked += [one.plan for one in more if isinstance(one, SimulateBundle)]
    return told


def _pools(plan: BundlePlan) -> set[bytes]:
    return {leg.pool_id for one in plan.opportunities for leg in one.steps if hasattr(leg, "pool_id")}


def test_traps_neither_open_the_breaker_nor_keep_others_from_being_traded() -> None:
    plain = pipeline(MARKET, settings(MARKET, simulate=True))
    state, traps = _with_traps()
    signed, signed_beside = 0, 0
    swapped = pools_of_family(MARKET, PoolFamily.UNISWAP_V2)[0]
    for number in range(1, 13):
        swap = swap_of(*swapped, part=0.2, trader=str(number))
        for event in (block(HEAD + number), seen(swap, after_ns=number * 12 * 10**9)):
            signed += _signed(_simulated(plain, step(plain, event), ()))
            effects = _simulated(state, step(state, event), {spec.id for spec in traps})
            signed_beside += _signed(effects)
            alerts = [one.kind for one in effects if isinstance(one, RaiseAlert)]
            assert AlertKind.BREAKER_OPENED not in alerts
    assert signed_beside == signed > 0
    assert state.dropped[Reason.SIMULATION_REVERTED] <= 4 * TRAPS


def _signed(effects: Sequence[Effect]) -> int:
    return sum(isinstance(one, SignAndSubmit) for one in effects)


def test_the_pools_of_a_refused_cycle_of_two_are_out_and_told_and_screened_anew_when_refused_again() -> None:
    state, traps = _with_traps()
    ids = {spec.id for spec in traps}
    told: dict[int, list[str]] = {}
    screened: dict[int, set[Address]] = {}
    for number in range(1, FIRST_BLOCKS + 3):
        effects = _simulated(state, step(state, block(HEAD + number)), ids)
        told[number] = [one.detail for one in effects if isinstance(one, RaiseAlert)]
        screened[number] = {token for one in effects if isinstance(one, ScreenTokens) for token in one.tokens}
    tokens = {_token(f"trap {number}") for number in range(TRAPS)}
    first = min(number for number, details in told.items() if details)
    assert any(detail.endswith(f"out up to block {HEAD + first + 1 + FIRST_BLOCKS}") for detail in told[first])
    assert screened[first] == set()
    again = first + FIRST_BLOCKS + 1
    assert screened[again] <= tokens
    assert screened[again]
    assert not any(told[number] for number in range(first + 2, again))


# The memory itself


@pytest.fixture
def market() -> Market:
    """Five pools between the coin and token A, one of A and B, one of B and the coin: 0…4, 5, 6."""
    a, b = _token("a"), _token("b")
    market = Market([COIN], 100, 1_000)
    for number in range(5):
        market.discover(_pool(COIN, a, f"honest {number}"))
    market.discover(_pool(a, b, "a to b"))
    market.discover(_pool(b, COIN, "b to coin"))
    return market


def _cycle(market: Market, *pools: int) -> tuple[int, ...]:
    """The edges of the way through these pools from the coin and back."""
    held, edges = market.token_number(COIN), []
    for pool in pools:
        ways = range(market.first_edge[pool], market.first_edge[pool + 1])
        edges.append(next(way for way in ways if market.edges[way].token_in == held))
        held = market.edges[edges[-1]].token_out
    assert held == market.token_number(COIN)
    return tuple(edges)


def test_a_cycle_is_left_alone_for_twice_as_long_each_time_up_to_a_bound(market: Market) -> None:
    refusals, cycle = Refusals(market, [COIN]), _cycle(market, 0, 1)
    target = 100
    for length in [FIRST_BLOCKS << turn for turn in range(7)] + [MOST_BLOCKS] * 3:
        refusals.begin_block(BlockNumber(target))
        assert not refusals.passes_over(cycle)
        refusals.refused(cycle)
        refusals.begin_block(BlockNumber(target + min(length, MOST_BLOCKS)))
        assert refusals.passes_over(cycle)
        target += min(length, MOST_BLOCKS) + 1
    assert refusals.take_passed_over() == 10
    assert refusals.take_passed_over() == 0


def test_company_is_not_blamed_at_first_and_what_is_in_several_refused_cycles_is(market: Market) -> None:
    refusals = Refusals(market, [COIN])
    for number in range(SEVERAL - 1):
        assert refusals.refused(_cycle(market, number, 5, 6)).pools == ()
    assert refusals.refused(_cycle(market, SEVERAL - 1, 5, 6)).pools == (5, 6)
    assert [market.is_suspended(pool) for pool in range(7)] == [False] * 5 + [True] * 2
    assert refusals.pools == {5: FIRST_BLOCKS, 6: FIRST_BLOCKS}
    refusals.begin_block(BlockNumber(FIRST_BLOCKS + 1))
    assert refusals.pools == {}
    assert not market.is_suspended(5)


def test_a_pool_that_a_clean_simulation_went_through_is_not_blamed_until_that_is_long_ago(market: Market) -> None:
    refusals, cycle = Refusals(market, [COIN]), _cycle(market, 0, 1)
    refusals.begin_block(BlockNumber(10))
    refusals.succeeded(_cycle(market, 0, 2), (0, 2))
    assert refusals.refused(cycle).pools == (1,)
    refusals.begin_block(BlockNumber(11 + GOOD_BLOCKS))
    assert refusals.refused(cycle).pools == (0, 1)


def test_a_clean_simulation_lets_the_cycle_and_its_pools_in_again(market: Market) -> None:
    refusals, cycle = Refusals(market, [COIN]), _cycle(market, 0, 1)
    refusals.refused(cycle)
    assert market.is_suspended(0)
    refusals.succeeded(cycle, (0, 1, -7))
    assert not market.is_suspended(0)
    assert not refusals.passes_over(cycle)


def test_pools_between_profit_tokens_alone_are_never_blamed(market: Market) -> None:
    refusals = Refusals(market, [COIN, _token("a")])
    for _ in range(3):
        assert refusals.refused(_cycle(market, 0, 1)).pools == ()
    assert refusals.passes_over(_cycle(market, 0, 1))


def test_the_tokens_of_a_cycle_are_screened_anew_when_it_is_refused_again(market: Market) -> None:
    refusals, cycle = Refusals(market, [COIN]), _cycle(market, 0, 5, 6)
    assert refusals.refused(cycle).tokens == ()
    again = refusals.refused(cycle)
    assert (again.pools, again.tokens) == ((0, 5, 6), (_token("a"), _token("b")))


def test_the_memory_of_cycles_is_bounded(market: Market) -> None:
    refusals, first = Refusals(market, [COIN]), _cycle(market, 0, 1)
    refusals.refused(first)
    for _ in range(MAX_CYCLES - 1):
        refusals._cycles[(*first, len(refusals._cycles))] = refusals._cycles[first]
    refusals.refused(_cycle(market, 2, 3))
    assert len(refusals._cycles) == MAX_CYCLES
    assert first not in refusals._cycles
