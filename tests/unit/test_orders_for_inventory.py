"""What a find needs of capital: our lenders, our vaults, or the vault of the leader of its block."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given as every
from hypothesis import settings as runs
from hypothesis import strategies as st

from benchmarks.market_generator import LENDER, NOW, VAULT_MODULE, GeneratedMarket, opening
from node.pipeline.events import (
    Effect,
    HandOver,
    NetworkRead,
    OrderAnswer,
    OrderAnswered,
    OrderVerdict,
    RecordDrop,
    SenderReplaced,
    TreasuryRead,
    VaultRead,
)
from node.pipeline.lenders import LenderBook
from node.pipeline.plans import BundlePlan, FlashLender, LenderKind, SwapStep
from node.pipeline.pools import PoolFamily
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.kinds import DeclineReason
from protocol.units import BASIS_POINTS_ONE, Address, BasisPoints, UnixNanoseconds, Wei
from tests import pipeline_scene as scene
from tests.unit.test_pipeline_orders import FINDER, LEADER, TARGET, answer_in, arriving, given, swap, view

PLENTY = 10**30
NOBODY = frozenset[Address]()


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return scene.small_market()


@pytest.fixture(scope="module")
def alone(market: GeneratedMarket) -> BundlePlan:
    """What an operator makes of the swap who lacks nothing."""
    (plan,) = scene.plans(step(member(FINDER, market, lenders(market, LenderKind.BALANCER_V2)), swap(market)))
    return plan


def lenders(market: GeneratedMarket, kind: LenderKind, available: int = PLENTY) -> tuple[FlashLender, ...]:
    """One lender that has so much of each profit token; a vault has what is read of it."""
    address, has = (VAULT_MODULE, 0) if kind is LenderKind.VAULT else (LENDER, available)
    return tuple(FlashLender(kind, address, token, 0, has) for token in market.profit_tokens)


def member(
    account: Address,
    market: GeneratedMarket,
    sources: tuple[FlashLender, ...],
    drawable: int | None = 0,
    **changes: Any,
) -> PipelineState:
    """An operator with these sources, whose Safe lets so much be drawn, in a network whose leaders have capital."""
    state = PipelineState(scene.settings(market, lenders=sources), scene.call_data)
    *known, head = opening(market, [scene.ALICE])
    network = NetworkRead(view(account, **{"relays_usable": 2, "funds_orders": frozenset({LEADER})} | changes))
    allowed = [VaultRead(scene.ALICE, token, drawable) for token in market.profit_tokens]
    for event in (*known, network, *allowed, head):
        step(state, event)
    return state


def amount_of(effect: HandOver) -> int:
    return effect.opportunity.steps[0].amount_in


def given_to_anybody(effects: tuple[Effect, ...]) -> list[HandOver]:
    return [effect for effect in effects if isinstance(effect, HandOver)]


def test_a_find_that_nobody_lends_for_is_handed_to_a_leader_with_capital_at_its_full_size(
    market: GeneratedMarket, alone: BundlePlan
) -> None:
    effect = given(step(member(FINDER, market, ()), swap(market)))

    whole = alone.executions[0].opportunity
    assert effect.lack == "inventory"
    assert [leg.pool_id for leg in effect.opportunity.steps] == [leg.pool_id for leg in whole.steps]
    assert amount_of(effect) == whole.loan.amount
    assert effect.order.min_finder_wei == whole.gross_profit * 2_500 // BASIS_POINTS_ONE


@pytest.mark.parametrize("kind", [LenderKind.BALANCER_V2, LenderKind.VAULT])
def test_a_token_that_our_safe_does_not_pin_is_not_ours_to_execute_in_whoever_lends_it(
    market: GeneratedMarket, kind: LenderKind
) -> None:
    state = member(FINDER, market, lenders(market, kind), drawable=None)

    assert given(step(state, swap(market))).lack == "inventory"


@pytest.mark.parametrize("answer", [OrderAnswer.DECLINE, OrderAnswer.HAVE, OrderAnswer.SILENT])
def test_what_nobody_takes_and_nobody_lends_for_is_dropped(market: GeneratedMarket, answer: OrderAnswer) -> None:
    state = member(FINDER, market, ())
    effect = given(step(state, swap(market)))

    (dropped,) = step(state, OrderAnswered(effect.opportunity.id, answer, UnixNanoseconds(NOW)))

    assert isinstance(dropped, RecordDrop)
    assert dropped.reason is Reason.NO_FLASH_LENDER


@pytest.mark.parametrize(
    "changes", [{"funds_orders": NOBODY}, {"takes_orders": NOBODY}, {"turns": {}}, {"is_paused": True}]
)
def test_where_no_leader_has_capital_nothing_is_shown_and_nothing_is_looked_for(
    market: GeneratedMarket, changes: dict[str, Any]
) -> None:
    state = member(FINDER, market, (), **changes)

    effects = step(state, swap(market))

    assert not given_to_anybody(effects)
    assert not scene.plans(effects)
    assert state.search.share_of_funded == 0


def test_a_leader_who_has_spent_its_capital_meanwhile_is_shown_nothing(market: GeneratedMarket) -> None:
    state = member(FINDER, market, ())
    step(state, NetworkRead(view(FINDER, relays_usable=2)))

    (dropped,) = step(state, swap(market))

    assert isinstance(dropped, RecordDrop)
    assert dropped.reason is Reason.NO_FLASH_LENDER


def test_what_comes_back_is_executed_at_the_size_that_our_own_lenders_allow(
    market: GeneratedMarket, alone: BundlePlan
) -> None:
    has = alone.executions[0].opportunity.loan.amount // 20
    state = member(FINDER, market, lenders(market, LenderKind.BALANCER_V2, has))
    effect = given(step(state, swap(market)))
    assert amount_of(effect) > 10 * has

    effects = step(state, OrderAnswered(effect.opportunity.id, OrderAnswer.DECLINE, UnixNanoseconds(NOW)))

    (plan,) = scene.plans(effects)
    assert plan.executions[0].opportunity.loan.amount == has
    assert plan.executions[0].opportunity.id == effect.opportunity.id


def test_who_lacks_reach_as_well_gives_a_leader_with_capital_the_full_size_and_others_its_own(
    market: GeneratedMarket, alone: BundlePlan
) -> None:
    has = alone.executions[0].opportunity.loan.amount // 20
    sources = lenders(market, LenderKind.BALANCER_V2, has)
    rich = given(step(member(FINDER, market, sources, relays_usable=1), swap(market)))
    poor = given(step(member(FINDER, market, sources, relays_usable=1, funds_orders=NOBODY), swap(market)))

    assert (rich.lack, poor.lack) == ("reach", "reach")
    assert amount_of(poor) == has
    assert amount_of(rich) > 10 * has


@pytest.fixture(scope="module")
def where_the_dearest_is_not_ours() -> tuple[GeneratedMarket, Any]:
    """A swap behind which the best route is in a token that a lender of ours has none of, the next in one it has."""
    market = scene.small_market(3)
    spec, pool = scene.pools_of_family(market, PoolFamily.UNISWAP_V3)[1]
    return market, scene.seen(scene.swap_of(spec, pool, part=0.05))


@pytest.mark.parametrize("limit", [10**15, 10**20])
def test_a_leader_that_says_it_has_capital_costs_us_nothing_of_what_we_can_do_ourselves(
    where_the_dearest_is_not_ours: tuple[GeneratedMarket, Any], limit: int
) -> None:
    market, pending = where_the_dearest_is_not_ours
    sources = lenders(market, LenderKind.BALANCER_V2, 10**18)
    (plan,) = scene.plans(step(member(FINDER, market, sources, funds_orders=NOBODY), pending))
    state = member(FINDER, market, sources, value_limits={LEADER: Wei(limit)})

    effects = step(state, pending)
    handed = given_to_anybody(effects)
    assert bool(handed) == (limit == 10**20), "what is worth more than the leader may be given is not shown to it"
    for effect in handed:
        effects = step(state, OrderAnswered(effect.opportunity.id, OrderAnswer.DECLINE, UnixNanoseconds(NOW)))

    (ours,) = scene.plans(effects)
    assert [one.net_profit_wei for one in ours.executions] == [one.net_profit_wei for one in plan.executions]


def test_what_only_another_could_fund_and_is_worth_more_than_it_may_be_given_is_told_so(
    market: GeneratedMarket,
) -> None:
    state = member(FINDER, market, (), value_limits={LEADER: Wei(1)})

    assert step(state, swap(market)) == ()
    assert state.dropped[Reason.ABOVE_VALUE_LIMIT] == 1


@pytest.mark.parametrize("limit_for", ["all of it", "our size"])
def test_who_cannot_execute_gives_its_own_size_where_the_full_one_is_worth_too_much(
    market: GeneratedMarket, alone: BundlePlan, limit_for: str
) -> None:
    has = alone.executions[0].opportunity.loan.amount // 20
    sources = lenders(market, LenderKind.BALANCER_V2, has)
    small = given(step(member(FINDER, market, sources, executor_live=False, funds_orders=NOBODY), swap(market)))
    limit = 10**20 if limit_for == "all of it" else small.opportunity.gross_profit_wei
    limits = {LEADER: Wei(limit)}

    effect = given(step(member(FINDER, market, sources, executor_live=False, value_limits=limits), swap(market)))

    assert (amount_of(effect) == has) == (limit_for == "our size")


def test_where_the_limit_has_sunk_since_the_block_began_the_full_size_gives_way_to_our_own(
    market: GeneratedMarket, alone: BundlePlan
) -> None:
    has = alone.executions[0].opportunity.loan.amount // 20
    sources = lenders(market, LenderKind.BALANCER_V2, has)
    small = given(step(member(FINDER, market, sources, relays_usable=1, funds_orders=NOBODY), swap(market)))
    state = member(FINDER, market, sources)
    limits = {LEADER: Wei(small.opportunity.gross_profit_wei)}
    changes = {"relays_usable": 1, "funds_orders": frozenset({LEADER}), "value_limits": limits}
    step(state, NetworkRead(view(FINDER, **changes)))

    assert amount_of(given(step(state, swap(market)))) == has
    assert Reason.ABOVE_VALUE_LIMIT not in state.dropped


@runs(max_examples=60, deadline=None)
@every(part=st.integers(1, 1_200), finder_bps=st.integers(1, 10_000))
def test_capital_decides_by_what_is_left_for_us_and_nothing_executes_above_what_our_lenders_have(
    market: GeneratedMarket, alone: BundlePlan, part: int, finder_bps: int
) -> None:
    whole = alone.executions[0].opportunity
    has = max(1, whole.loan.amount * part // 1_000)
    terms = {"finder_bps": BasisPoints(finder_bps), "finder_floor_bps": BasisPoints(1)}
    poor = member(FINDER, market, lenders(market, LenderKind.BALANCER_V2, has), funds_orders=NOBODY)
    own = [one for plan in scene.plans(step(poor, swap(market))) for one in plan.executions]
    assert all(one.opportunity.loan.amount <= has for one in own)
    kept = max([one.net_profit_wei for one in own], default=0)

    effects = step(member(FINDER, market, lenders(market, LenderKind.BALANCER_V2, has), **terms), swap(market))

    for effect in given_to_anybody(effects):
        assert amount_of(effect) > has
        assert effect.opportunity.gross_profit_wei * finder_bps // BASIS_POINTS_ONE > kept
    if not given_to_anybody(effects):
        (execution,) = (one for plan in scene.plans(effects) for one in plan.executions)
        assert execution.opportunity.loan.amount <= has
        assert execution.net_profit_wei >= min(kept, whole.gross_profit_wei * finder_bps // BASIS_POINTS_ONE)


def test_a_leader_funds_an_order_out_of_its_own_vault_within_its_limit(market: GeneratedMarket) -> None:
    effect = given(step(member(FINDER, market, ()), swap(market)))
    needs, own = amount_of(effect), lenders(market, LenderKind.VAULT)
    for drawable in (None, 0, needs - 1, needs):
        effects = step(member(LEADER, market, own, drawable), arriving(effect))
        if drawable == needs:
            assert answer_in(effects) == (OrderVerdict.ACCEPT, None)
            (plan,) = scene.plans(effects)
            loan = plan.executions[0].opportunity.loan
            assert (loan.lender.kind, loan.lender.address, loan.amount) == (LenderKind.VAULT, VAULT_MODULE, needs)
        else:
            assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.UNPROFITABLE), drawable


def test_an_order_is_funded_by_the_vault_of_the_key_that_executes_it_not_by_another_of_ours(
    market: GeneratedMarket,
) -> None:
    effect = given(step(member(FINDER, market, ()), swap(market)))
    leader = member(LEADER, market, lenders(market, LenderKind.VAULT))
    _second_key(leader, market, PLENTY)

    assert answer_in(step(leader, arriving(effect))) == (OrderVerdict.DECLINE, DeclineReason.UNPROFITABLE)


def _second_key(state: PipelineState, market: GeneratedMarket, drawable: int | None) -> None:
    state.settings = msgspec.structs.replace(state.settings, senders=(scene.ALICE, scene.BOB))
    step(state, TreasuryRead(scene.BOB, Wei(10**24), 0))
    for token in market.profit_tokens:
        step(state, VaultRead(scene.BOB, token, drawable))


def test_a_find_goes_out_on_the_key_whose_vault_funds_it(market: GeneratedMarket) -> None:
    state = member(LEADER, market, lenders(market, LenderKind.VAULT), drawable=1, turns={})
    _second_key(state, market, PLENTY)
    step(state, scene.block())

    (plan,) = scene.plans(step(state, swap(market)))

    (execution,) = plan.executions
    assert execution.sender == scene.BOB
    assert execution.opportunity.loan.lender.kind is LenderKind.VAULT
    assert execution.opportunity.loan.fee == 0


def test_where_the_only_vault_that_would_fund_a_find_has_no_key_free_it_is_told_so(market: GeneratedMarket) -> None:
    state = member(LEADER, market, lenders(market, LenderKind.VAULT), drawable=1, turns={})
    _second_key(state, market, PLENTY)
    step(state, scene.block())
    del state.treasury[scene.BOB]

    (dropped,) = step(state, swap(market))

    assert isinstance(dropped, RecordDrop)
    assert dropped.reason is Reason.VAULT_FORBIDS


def test_what_a_replaced_keys_safe_allowed_is_forgotten(market: GeneratedMarket) -> None:
    state = member(LEADER, market, (), drawable=5)
    token = market.profit_tokens[0]
    assert state.vaults.draws(scene.ALICE)

    step(state, SenderReplaced(scene.ALICE, scene.BOB))

    assert not state.vaults.draws(scene.ALICE)
    assert state.vaults.drawable(scene.ALICE, token) == 0
    step(state, VaultRead(scene.ALICE, token, PLENTY))
    assert state.vaults.most(token) == 0, "a stranger's Safe says nothing of ours"


@runs(max_examples=200, deadline=None)
@every(has=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)), max_size=6), amount=st.integers(1, 40))
def test_each_source_of_a_route_has_more_than_the_cheaper_ones_and_the_last_all_if_anybody_has(
    has: list[tuple[int, int]], amount: int
) -> None:
    token = Address(b"\x01" * 20)
    several = [
        FlashLender(LenderKind.BALANCER_V2, Address(bytes([place + 1]) * 20), token, fee, available)
        for place, (fee, available) in enumerate(has)
    ]
    sources = LenderBook(several).sources(token, amount, [])

    parts = [part for _, part in sources]
    assert parts == sorted(set(parts))
    assert all(0 < part <= amount and part <= (lender.available or 0) for lender, part in sources)
    assert [lender.fee_pips for lender, _ in sources] == sorted(lender.fee_pips for lender, _ in sources)
    most = min(amount, max([one.available or 0 for one in several], default=0))
    assert max(parts, default=0) == most
    for lender, part in sources:
        cheaper = [one for one in several if one.fee_pips < lender.fee_pips]
        assert all(min(amount, one.available or 0) < part for one in cheaper)


def test_the_route_of_such_an_order_is_what_the_find_says(market: GeneratedMarket) -> None:
    effect = given(step(member(FINDER, market, ()), swap(market)))

    assert effect.order.target_block == TARGET
    assert all(isinstance(leg, SwapStep) for leg in effect.opportunity.steps)
    assert not effect.opportunity.loan.is_ours
