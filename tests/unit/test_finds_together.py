"""Finds that meet: behind one transaction, on one pool, behind each other's executions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.market_generator import NOW
from devnet.actors import calls
from node.pipeline.bids import bid_wei
from node.pipeline.events import BundleSimulated, Effect, RecordDrop, SimulateBundle
from node.pipeline.finds import Find, conflict, share_victim
from node.pipeline.overlay import Overlay
from node.pipeline.placed import Placed
from node.pipeline.plans import BundlePlan
from node.pipeline.pools import PoolFamily, PoolSpec, quote_exact_in
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.units import Address, Gas, UnixSeconds, address_to_hex
from tests.pipeline_scene import (
    ALICE,
    BOB,
    block,
    pipeline,
    plans,
    pools_of_family,
    seen,
    settings,
    signed,
    small_market,
    swap_of,
)

MARKET = small_market()
V2 = pools_of_family(MARKET, PoolFamily.UNISWAP_V2)
KEYS = (ALICE, BOB, Address(b"\xc0" * 20))


def with_keys(*, simulates: bool = False) -> PipelineState:
    return pipeline(MARKET, settings(MARKET, senders=KEYS, simulate=simulates), KEYS)


def placed_in(state: PipelineState) -> list[Placed]:
    return [one for one in state.outstanding.values() if not state.schedule.is_standing_by(one.id)]


def price(plan: BundlePlan, finds: dict[bytes, Find]) -> float:
    several = [finds[one.opportunity.id] for one in plan.executions]
    bid = sum(bid_wei(one.bid, one.opportunity.gas) for one in plan.executions)
    return bid / sum(one.gas_in_bundle for one in several)


# One transaction, several finds


def two_swaps_of_one_trader(*, simulates: bool = False) -> Iterator[tuple[PipelineState, list[Effect]]]:
    """A trader's second swap while the first still waits, on every pair of pools."""
    for first in V2:
        for second in V2:
            if first is not second:
                state = with_keys(simulates=simulates)
                step(state, seen(swap_of(*first, part=0.2, trader="zoe"), account_nonce=0))
                effects = step(state, seen(swap_of(*second, part=0.2, trader="zoe", nonce=1), account_nonce=0))
                yield state, list(effects)


def test_finds_behind_swaps_of_one_trader_go_into_one_bundle_which_has_each_swap_once() -> None:
    seen_so = 0
    for state, effects in two_swaps_of_one_trader():
        placed = [one for one in placed_in(state) if one.find.opportunity.victims and not one.behind]
        if len(placed) < 2:
            continue
        seen_so += 1
        one, other = placed
        assert share_victim(one.find, other.find)
        assert one.sender == other.sender, "two bundles with one transaction exclude each other"
        joint = max(plans(effects), key=lambda plan: len(plan.executions))
        assert joint.executions[0].nonce + 1 == joint.executions[1].nonce
        assert [victim.nonce for victim in joint.victims] == [0, 1]
        assert len({victim.hash for victim in joint.victims}) == 2
    assert seen_so >= 3


def through_two(first: PoolSpec, second: PoolSpec) -> list[Address] | None:
    """The path of a swap through both pools, if they have one token in common."""
    common = set(first.tokens) & set(second.tokens)
    if len(common) != 1:
        return None
    (middle,) = common
    return [next(t for t in first.tokens if t != middle), middle, next(t for t in second.tokens if t != middle)]


def test_behind_a_swap_through_two_pools_both_are_brought_back() -> None:
    seen_so = 0
    for first, state_of_first in V2:
        for second, _ in V2:
            path = through_two(first, second)
            if path is None or first is second:
                continue
            reserve = state_of_first.reserve0 if path[0] == first.tokens[0] else state_of_first.reserve1  # type: ignore[union-attr]
            words = [address_to_hex(token) for token in path]
            data = calls.v2_exact_in(reserve // 4, 0, words, words[0], NOW // 10**9 + 600, odd=False)
            state = with_keys()
            effects = step(state, seen(signed(data, next(iter(state.settings.routers)), "zoe")))
            finds = [one.find for one in placed_in(state) if one.find.opportunity.victims]
            if len(finds) < 2:
                continue
            seen_so += 1
            assert not set(finds[0].pools) & set(finds[1].pools)
            assert not conflict(finds[0], finds[1])
            joint = max(plans(effects), key=lambda plan: len(plan.executions))
            assert (len(joint.victims), len(joint.executions)) == (1, 2)
    assert seen_so >= 2


# Behind our own executions


def followers(*, simulates: bool = False) -> Iterator[tuple[PipelineState, Placed, list[Placed], list[Effect]]]:
    """Finds that were computed behind better ones, as they arise from ever more swaps."""
    state = with_keys(simulates=simulates)
    for number in range(4):
        for spec, pool in V2:
            effects = step(state, seen(swap_of(spec, pool, part=0.1 + number / 20, trader=f"{spec.id.hex()}{number}")))
            going = [effect.plan for effect in effects if isinstance(effect, SimulateBundle)] or plans(effects)
            new = {one.opportunity.id for plan in going for one in plan.executions}
            there = {one.id: one for one in placed_in(state)}
            for placed in there.values():
                if placed.behind and placed.id in new:
                    better = [there[name] for name in placed.behind if name in there]
                    if len(better) == len(placed.behind):
                        yield state, placed, better, list(effects)


def test_what_is_left_behind_a_better_find_is_exact_once_that_is_executed() -> None:
    seen_so = 0
    for state, left, better, _ in followers():
        overlay, laid = Overlay(state.market), set[bytes]()
        for placed in (*better, left):
            for victim in placed.find.opportunity.victims:
                pending = state.book.get(victim.hash)
                assert pending is not None
                if victim.hash not in laid:
                    laid.add(victim.hash)
                    assert overlay.apply(pending.swaps, UnixSeconds(block().timestamp)) is None
            route = placed.find.route
            for edge, amount, expected in zip(route.edges, route.amounts, route.amounts[1:], strict=False):
                of = state.market.edges[edge]
                pool_state = overlay.state(of.pool)
                assert pool_state is not None
                if placed is left:
                    assert quote_exact_in(pool_state, of.index_in, of.index_out, amount) == expected
            assert overlay.execute(route.edges, route.amounts[0])
        seen_so += 1
    assert seen_so >= 3


def test_what_a_find_was_computed_behind_comes_with_it_and_before_it() -> None:
    seen_so = 0
    for state, left, better, _ in followers():
        together = state.schedule.with_what_they_follow([left])
        assert together[-1].id == left.id
        assert {one.id for one in together[:-1]} == {one.id for one in better}
        assert all({*one.behind} <= {before.id for before in together[:place]} for place, one in enumerate(together))
        seen_so += 1
    assert seen_so >= 3


def test_what_is_left_goes_on_another_key_and_pays_less_per_gas_than_the_better_ones() -> None:
    seen_so = 0
    for state, left, better, effects in followers():
        finds: dict[bytes, Find] = {one.id: one.find for one in state.outstanding.values()}
        if any(share_victim(left.find, one.find) for one in better):
            continue
        assert left.sender not in {one.sender for one in better}
        assert not left.teaches
        least = min(bid_wei(one.bid, one.find.opportunity.gas) / one.find.gas_in_bundle for one in better)
        own = [plan for plan in plans(effects) if any(one.opportunity.id == left.id for one in plan.executions)]
        assert own
        assert all(price(plan, finds) < least for plan in own)
        seen_so += 1
    assert seen_so >= 3


def test_nothing_is_left_where_a_victim_is_gone_or_the_better_one_takes_all() -> None:
    state = with_keys()
    spec, pool = V2[0]
    first = swap_of(spec, pool, part=0.3, trader="zoe")
    step(state, seen(first))
    (better,) = placed_in(state)
    again = state.residuals.behind(better.find, [better.find], UnixSeconds(block().timestamp), state.now)
    assert again is None or again.surplus < better.find.surplus // 10
    state.book.remove(first.hash)
    assert state.residuals.behind(better.find, [better.find], UnixSeconds(block().timestamp), state.now) is None


def own_simulation(effects: list[Effect], placed: Placed) -> SimulateBundle | None:
    """What is asked of a find's own bundle."""
    for effect in effects:
        if isinstance(effect, SimulateBundle) and [one.opportunity.id for one in effect.plan.executions] == [placed.id]:
            return effect
    return None


def test_what_is_there_behind_better_finds_alone_is_simulated_behind_them_and_sent() -> None:
    seen_so = 0
    for state, left, better, effects in followers(simulates=True):
        request = own_simulation(effects, left)
        if request is None or left.sender in {one.sender for one in better}:
            continue
        assert [one.opportunity.id for one in request.ahead] == [one.id for one in better]
        assert all(one.nonce == state.treasury[one.sender].nonce for one in request.ahead)
        profits, gas = (left.find.opportunity.gross_profit,), (left.find.opportunity.gas,)
        answer = BundleSimulated(request.plan.id, None, profits, Gas(300_000), state.now, gas)
        assert plans(step(state, answer)) == [request.plan]
        seen_so += 1
    assert seen_so >= 3


def test_what_is_behind_nothing_of_ours_is_simulated_alone() -> None:
    for state, left, _, effects in followers(simulates=True):
        for effect in effects:
            if isinstance(effect, SimulateBundle) and left.id not in {
                one.opportunity.id for one in effect.plan.executions
            }:
                behind = {name for one in effect.plan.opportunities for name in one.behind}
                assert bool(effect.ahead) is bool(behind & {one.id for one in placed_in(state)})


def test_what_shares_a_transaction_with_the_better_one_is_judged_in_their_bundle_not_by_its_own() -> None:
    """On one key it cannot come behind that one but in one bundle: alone it fails, and that says nothing."""
    seen_so = 0
    for state, effects in two_swaps_of_one_trader(simulates=True):
        for left in [one for one in placed_in(state) if state.schedule.goes_with_better(one)]:
            request = own_simulation(effects, left)
            joint = [
                effect for effect in effects if isinstance(effect, SimulateBundle) and len(effect.plan.executions) > 1
            ]
            if request is None or not joint:
                continue
            assert not request.ahead
            assert left.id in [one.id for one in joint[-1].plan.opportunities]
            answer = BundleSimulated(request.plan.id, Reason.SIMULATION_REVERTED, (), Gas(0), state.now)
            assert not [effect for effect in step(state, answer) if isinstance(effect, RecordDrop)]
            assert left.id in state.outstanding
            assert state.dropped[Reason.SIMULATION_REVERTED] == 1
            seen_so += 1
    assert seen_so >= 1


@pytest.mark.parametrize("joint_answer", ["reverted", "never simulated", "clean"])
@pytest.mark.parametrize("is_joint_first", [True, False])
def test_what_fails_alone_is_taken_off_unless_the_joint_bundle_is_clean(
    joint_answer: str, is_joint_first: bool
) -> None:
    seen_so = 0
    for state, effects in two_swaps_of_one_trader(simulates=True):
        followers_there = [one for one in placed_in(state) if state.schedule.goes_with_better(one)]
        if not followers_there or own_simulation(effects, followers_there[0]) is None:
            continue
        left = followers_there[0]
        asked = [plan for plan in state.waiting.values() if plan.executions[0].sender == left.sender]
        asked.sort(key=lambda plan: len(plan.executions), reverse=is_joint_first)
        assert any(len(plan.executions) > 1 for plan in asked)
        told: list[Effect] = []
        if joint_answer == "never simulated":  # as at the bound of what waits
            for plan in [plan for plan in asked if len(plan.executions) > 1]:
                asked.remove(plan)
                del state.waiting[plan.id]
        for plan in asked:
            is_joint = len(plan.executions) > 1
            fails = joint_answer == "reverted" if is_joint else plan.executions[0].opportunity.id == left.id
            assert left.id in state.outstanding, "while a bundle of its key is still being simulated"
            told += step(state, refused(plan, state) if fails else clean(plan, state))
        drops = [one.opportunity.id for one in told if isinstance(one, RecordDrop)]
        is_off = joint_answer != "clean"
        assert (left.id in drops, left.id in state.outstanding) == (is_off, not is_off)
        assert (left.id in [one.id for one in placed_in(state)]) is not is_off
        seen_so += 1
    assert seen_so >= 1


def refused(plan: BundlePlan, state: PipelineState) -> BundleSimulated:
    return BundleSimulated(plan.id, Reason.SIMULATION_REVERTED, (), Gas(0), state.now)


def clean(plan: BundlePlan, state: PipelineState) -> BundleSimulated:
    several = list(plan.opportunities)
    profits, gas = tuple(one.gross_profit for one in several), tuple(Gas(one.gas // 4) for one in several)
    return BundleSimulated(plan.id, None, profits, Gas(300_000), state.now, gas)
