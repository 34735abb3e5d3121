"""The story from event to effect: what goes out, in which order, and what does not."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from benchmarks.market_generator import GWEI, HEAD, NOW, GeneratedMarket
from node.pipeline.bids import SHARES, bid_wei
from node.pipeline.changes import changed
from node.pipeline.events import (
    AlertKind,
    BlockRetracted,
    BundleSimulated,
    CancelBundle,
    Effect,
    ExecutionLanded,
    ExecutionMissed,
    KillSwitchSet,
    PendingGone,
    PoolQuarantined,
    PoolSynced,
    RaiseAlert,
    RecordDrop,
    RecordOpportunity,
    ReservesSet,
    ResyncPools,
    SignAndSubmit,
    SimulateBundle,
    TokenScreened,
    TokenVerdict,
    TreasuryRead,
)
from node.pipeline.overlay import Overlay
from node.pipeline.plans import BundlePlan, SwapStep
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, swap_exact_in
from node.pipeline.reasons import Reason
from node.pipeline.risk import StoppedBy
from node.pipeline.schedule import STANDING_BY_PER_KEY
from node.pipeline.settings import RiskLimits
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.kinds import OpportunityKind
from protocol.units import Address, BasisPoints, Gas, Hash32, UnixNanoseconds, Wei
from tests.pipeline_scene import (
    ALICE,
    BOB,
    VAULT,
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

MARKET: GeneratedMarket = small_market()
V2 = pools_of_family(MARKET, PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)
FAMILIES = list(dict.fromkeys(spec.family for spec, _ in MARKET.pools))


def _worth_backrunning() -> list[tuple[PoolSpec, PoolState]]:
    """The V2 pools on which a swap of three percent leaves something to take."""
    found = []
    for spec, pool in V2:
        state = pipeline(MARKET)
        if plans(step(state, seen(swap_of(spec, pool)))):
            found.append((spec, pool))
    return found


GOOD = _worth_backrunning()


def busiest() -> tuple[PoolSpec, PoolState]:
    """A pool on which a swap of three percent leaves something to take."""
    return GOOD[0]


def dropped(state: PipelineState, reason: Reason) -> int:
    return state.dropped.get(reason, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_swap_on_any_family_is_backrun(family: PoolFamily) -> None:
    state = pipeline(MARKET)
    found = [
        plan
        for spec, pool in pools_of_family(MARKET, family)
        for plan in plans(step(state, seen(swap_of(spec, pool, part=0.1, trader=spec.id.hex()))))
    ]
    assert found
    assert all(plan.target_block == HEAD + 1 for plan in found)


def test_the_predicted_profit_is_what_the_pools_give_to_the_wei() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    effects = step(state, seen(swap_of(spec, pool)))
    (plan,) = plans(effects)
    opportunity = plan.executions[0].opportunity
    after = {spec.id: swap_exact_in(pool, 0, 1, _input_of(pool))[0]}
    amount = opportunity.loan.amount
    for leg in opportunity.steps:
        assert isinstance(leg, SwapStep)
        number = state.market.number_of(leg.pool_id)
        assert number is not None
        assert leg.amount_in == amount
        leg_state = after.get(leg.pool_id) or state.market.states[number]
        assert leg_state is not None
        after[leg.pool_id], moved = swap_exact_in(leg_state, leg.index_in, leg.index_out, amount)
        amount = moved.amount_out
        assert leg.amount_out == amount
    assert amount - opportunity.loan.amount - opportunity.loan.fee == opportunity.gross_profit > 0


def _input_of(pool: PoolState) -> int:
    return int(pool.reserve0 * 0.03)  # type: ignore[union-attr]


def test_the_intent_is_recorded_before_it_is_sent() -> None:
    effects = step(pipeline(MARKET), seen(swap_of(*busiest())))
    assert [type(effect) for effect in effects] == [RecordOpportunity, SignAndSubmit]


def test_a_plan_pays_for_its_gas_its_bid_and_its_minimum() -> None:
    chosen = settings(
        MARKET, limits=RiskLimits(minimum_net_profit=Wei(10**15), max_bid=Wei(10**24), max_daily_spend=Wei(10**24))
    )
    (plan,) = plans(step(pipeline(MARKET, chosen), seen(swap_of(*busiest(), part=0.2))))
    (execution,) = plan.executions
    assert execution.net_profit_wei > 10**15
    assert execution.minimum_profit > 0
    assert execution.gas_limit > execution.opportunity.gas
    assert execution.max_fee_per_gas == GWEI + execution.bid.priority_fee_per_gas
    assert (execution.sender, execution.nonce) == (ALICE, 7)


def test_two_pending_swaps_on_one_pool_are_backrun_together() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    first = swap_of(spec, pool, trader="carol")
    second = swap_of(spec, pool, trader="dave")
    (alone,) = plans(step(state, seen(first)))
    effects = step(state, seen(second, after_ns=1))
    (together,) = plans(effects)
    assert [victim.hash for victim in together.victims] == [first.hash, second.hash]
    assert together.net_profit_wei > alone.net_profit_wei
    assert not [effect for effect in effects if isinstance(effect, RecordDrop)]
    (name,) = _names(alone)
    assert state.schedule.is_standing_by(Hash32(name))
    assert not [effect for effect in effects if isinstance(effect, CancelBundle)]


def test_a_swap_that_would_revert_on_the_overlay_is_no_victim() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    promised = swap_exact_in(pool, 0, 1, _input_of(pool))[1].amount_out
    assert plans(step(state, seen(swap_of(spec, pool, minimum=promised))))
    assert not plans(step(state, seen(swap_of(spec, pool, minimum=promised + 1, trader="dave"), after_ns=1)))
    assert dropped(state, Reason.VICTIM_WOULD_REVERT) == 1


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("to nobody", Reason.NOT_A_SWAP),
        ("garbage", Reason.NOT_A_SWAP),
        ("unknown pool", Reason.POOL_UNKNOWN),
        ("fee", Reason.VICTIM_FEE_TOO_LOW),
        ("gap", Reason.VICTIM_NONCE_GAP),
        ("old nonce", Reason.VICTIM_GONE),
        ("tiny", Reason.NOT_PROFITABLE),
    ],
)
def test_what_cannot_be_backrun_is_counted_with_its_reason(part: str, reason: Reason) -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    unknown = msgspec.structs.replace(spec, tokens=(BOB, spec.tokens[1]))
    events = {
        "to nobody": seen(signed(b"", BOB, "carol")),
        "garbage": seen(signed(swap_of(spec, pool).data[:40], VAULT, "carol")),
        "unknown pool": seen(swap_of(unknown, pool)),
        "fee": seen(swap_of(spec, pool, max_fee=GWEI - 1)),
        "gap": seen(swap_of(spec, pool, nonce=3), account_nonce=1),
        "old nonce": seen(swap_of(spec, pool, nonce=3), account_nonce=4),
        "tiny": seen(swap_of(spec, pool, part=1e-6)),
    }
    assert step(state, events[part]) == ()
    assert dropped(state, reason) == 1


def test_a_senders_earlier_pending_swap_comes_along() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    earlier, later = swap_of(spec, pool, nonce=4, part=1e-6), swap_of(spec, pool, nonce=5)
    step(state, seen(earlier, account_nonce=4))
    (plan,) = plans(step(state, seen(later, after_ns=1, account_nonce=4)))
    assert [victim.nonce for victim in plan.victims] == [4, 5]


def test_a_senders_later_pending_swap_stands_alone_once_a_block_took_the_earlier() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    earlier, later = swap_of(spec, pool, nonce=4, part=1e-6), swap_of(spec, pool, nonce=5)
    for one in (earlier, later):
        step(state, seen(one, account_nonce=4))
    (plan,) = plans(step(state, block(included=[earlier.hash])))
    assert [victim.nonce for victim in plan.victims] == [5]


def test_a_price_that_a_block_leaves_behind_is_taken_at_the_start_of_the_next() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    moved = swap_exact_in(pool, 0, 1, _input_of(pool))[0]
    change = ReservesSet(spec.id, moved.reserve0, moved.reserve1)  # type: ignore[union-attr]
    effects = step(state, block(changes=[change]))
    (plan,) = plans(effects)
    assert plan.victims == ()
    assert plan.executions[0].opportunity.kind is OpportunityKind.CYCLIC_ARBITRAGE
    assert plan.target_block == HEAD + 2


def test_several_finds_at_the_start_of_a_block_share_no_pool() -> None:
    state = pipeline(MARKET)
    changes = []
    for spec, pool in V2[:8]:
        moved = swap_exact_in(pool, 0, 1, _input_of(pool))[0]
        changes.append(ReservesSet(spec.id, moved.reserve0, moved.reserve1))  # type: ignore[union-attr]
    taken = [
        effect.opportunity for effect in step(state, block(changes=changes)) if isinstance(effect, RecordOpportunity)
    ]
    pools = [leg.pool_id for opportunity in taken for leg in opportunity.steps]
    assert len(taken) > 1
    assert len(set(pools)) == len(pools)


def test_finds_on_one_hot_key_go_jointly_with_rising_nonces_and_alone() -> None:
    state = pipeline(MARKET)
    sent = []
    for spec, pool in V2:
        sent += plans(step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex()))))
    joint = max(sent, key=lambda plan: len(plan.executions))
    assert len(joint.executions) > 1
    assert [execution.nonce for execution in joint.executions] == [7 + i for i in range(len(joint.executions))]
    singles = [plan for plan in sent if len(plan.executions) == 1]
    assert {plan.executions[0].nonce for plan in singles} == {7}


def test_two_hot_keys_carry_their_finds_apart() -> None:
    state = pipeline(MARKET, settings(MARKET, senders=(ALICE, BOB)), (ALICE, BOB))
    sent = []
    for spec, pool in V2:
        sent += plans(step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex()))))
    assert {execution.sender for plan in sent for execution in plan.executions} == {ALICE, BOB}


def _gas(plan: BundlePlan) -> tuple[Gas, ...]:
    """What its executions are expected to use."""
    return tuple(one.opportunity.gas for one in plan.executions)


def test_an_execution_that_does_not_pay_the_gas_of_its_simulation_is_dropped() -> None:
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    effects = step(state, seen(swap_of(*busiest())))
    (request,) = [effect for effect in effects if isinstance(effect, SimulateBundle)]
    (execution,) = request.plan.executions
    minimum = (execution.minimum_profit,)
    dear = (Gas(execution.opportunity.gas * 11 // 10),)
    answer = BundleSimulated(request.plan.id, None, minimum, Gas(300_000), NOW, dear)
    assert minimum[0] > 0
    dropped = [effect.reason for effect in step(state, answer) if isinstance(effect, RecordDrop)]
    assert dropped == [Reason.SIMULATION_TOO_DEAR]


def test_a_simulation_that_does_not_tell_the_gas_of_each_execution_is_not_clean() -> None:
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    effects = step(state, seen(swap_of(*busiest())))
    (request,) = [effect for effect in effects if isinstance(effect, SimulateBundle)]
    profits = tuple(one.opportunity.gross_profit for one in request.plan.executions)
    assert not plans(step(state, BundleSimulated(request.plan.id, None, profits, Gas(300_000), NOW)))
    assert state.dropped == {Reason.SIMULATION_TOO_DEAR: 1}


def test_nothing_goes_out_before_its_simulation_was_clean() -> None:
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    effects = step(state, seen(swap_of(*busiest())))
    (request,) = [effect for effect in effects if isinstance(effect, SimulateBundle)]
    assert not plans(effects)
    profits = tuple(execution.minimum_profit for execution in request.plan.executions)
    (sent,) = plans(step(state, BundleSimulated(request.plan.id, None, profits, Gas(300_000), NOW, _gas(request.plan))))
    assert sent == request.plan


@pytest.mark.parametrize(
    ("failure", "profit_short", "reason"),
    [
        (Reason.SIMULATION_REVERTED, 0, Reason.SIMULATION_REVERTED),
        (Reason.SIMULATION_UNAVAILABLE, 0, Reason.SIMULATION_UNAVAILABLE),
        (None, 1, Reason.SIMULATION_DIFFERS),
    ],
)
def test_a_simulation_that_is_not_clean_ends_the_find(
    failure: Reason | None, profit_short: int, reason: Reason
) -> None:
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    effects = step(state, seen(swap_of(*busiest())))
    (request,) = [effect for effect in effects if isinstance(effect, SimulateBundle)]
    profits = tuple(execution.minimum_profit - profit_short for execution in request.plan.executions)
    after = step(state, BundleSimulated(request.plan.id, failure, profits, Gas(300_000), NOW, _gas(request.plan)))
    assert not plans(after)
    assert [effect.reason for effect in after if isinstance(effect, RecordDrop)] == [reason]


def test_the_kill_switch_stops_what_is_on_its_way_and_what_comes() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    (sent,) = plans(step(state, seen(swap_of(spec, pool))))
    effects = step(state, KillSwitchSet(on=True, why="a drill"))
    assert sent.replaces in [effect.replaces for effect in effects if isinstance(effect, CancelBundle)]
    after = step(state, seen(swap_of(spec, pool, trader="dave", part=0.2), after_ns=1))
    assert [effect.reason for effect in after if isinstance(effect, RecordDrop)] == [Reason.KILL_SWITCH]
    step(state, KillSwitchSet(on=False, why="over"))
    assert plans(step(state, seen(swap_of(spec, pool, trader="erin", part=0.2), after_ns=2)))


def test_the_kill_switch_sends_nothing_while_it_withdraws() -> None:
    """Each find taken off alone would let what stood by, or what is left of a joint bundle, go out anew."""
    state, *_ = _rivals()
    live: set[Hash32] = set()
    for spec, pool in V2:
        for effect in step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex()))):
            live |= {effect.plan.replaces} if isinstance(effect, SignAndSubmit) else set()
            live -= {effect.replaces} if isinstance(effect, CancelBundle) else set()
    spent = state.gate.used.spent
    effects = step(state, KillSwitchSet(on=True, why="a drill"))
    assert not plans(effects)
    withdrawn = [effect.replaces for effect in effects if isinstance(effect, CancelBundle)]
    assert live <= set(withdrawn)
    assert len(withdrawn) == len(set(withdrawn)) == len([one for one in effects if isinstance(one, RecordDrop)]) + 1
    assert state.gate.used.spent < spent
    assert not state.outstanding
    assert not plans(step(state, TreasuryRead(ALICE, Wei(10**24), 9)))


@pytest.mark.parametrize("first", list(StoppedBy))
def test_the_kill_switch_is_on_as_long_as_anybody_wants_it_on(first: StoppedBy) -> None:
    state = pipeline(MARKET)
    (second,) = set(StoppedBy) - {first}
    for by in (first, second):
        step(state, KillSwitchSet(on=True, why="a drill", by=by))
    (alert,) = step(state, KillSwitchSet(on=False, why="over", by=first))
    assert isinstance(alert, RaiseAlert)
    assert alert.detail == f"off: over, but still on by the {second}"
    spec, pool = busiest()
    assert not plans(step(state, seen(swap_of(spec, pool, part=0.2))))
    step(state, KillSwitchSet(on=False, why="over", by=second))
    assert plans(step(state, seen(swap_of(spec, pool, trader="erin", part=0.2), after_ns=2)))


def test_what_was_given_up_during_its_simulation_is_not_signed() -> None:
    """Its reservation is given back: signed all the same, it would pass the limits by."""
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    victim = swap_of(*busiest())
    (request,) = [effect for effect in step(state, seen(victim)) if isinstance(effect, SimulateBundle)]
    step(state, PendingGone(Hash32(victim.hash), "replaced"))
    profits = tuple(execution.minimum_profit for execution in request.plan.executions)
    assert not plans(
        step(state, BundleSimulated(request.plan.id, None, profits, Gas(300_000), NOW, _gas(request.plan)))
    )


def test_a_reorganisation_withdraws_what_was_planned_on_the_head_and_leaks_no_reservation() -> None:
    state = pipeline(MARKET)
    untouched = state.gate.used
    step(state, block(HEAD + 1))
    (sent,) = plans(step(state, seen(swap_of(*busiest()))))
    first = state.gate.used
    for fork in "ab":
        assert state.blocks.head is not None
        effects = step(state, BlockRetracted(state.blocks.head.hash, NOW))
        cancels = [effect for effect in effects if isinstance(effect, CancelBundle)]
        assert [(cancel.replaces, cancel.reason) for cancel in cancels] == [(sent.replaces, Reason.REORGED)]
        assert state.gate.used == first
        (again,) = plans(step(state, block(HEAD + 1, fork=fork)))
        assert again.replaces == sent.replaces
        assert state.gate.used == first
    step(state, ExecutionMissed(sent.executions[0].opportunity.id, Reason.OUTBID, Wei(0)))
    assert state.gate.used.spent == untouched.spent == 0
    assert not any(state.gate.used.turnover.values())


def test_a_victim_that_is_gone_takes_its_bundle_with_it() -> None:
    state = pipeline(MARKET)
    victim = swap_of(*busiest())
    (sent,) = plans(step(state, seen(victim)))
    effects = step(state, PendingGone(Hash32(victim.hash), "replaced"))
    assert [effect.reason for effect in effects if isinstance(effect, RecordDrop)] == [Reason.VICTIM_GONE]
    assert sent.replaces in [effect.replaces for effect in effects if isinstance(effect, CancelBundle)]


def test_a_quarantined_pool_is_in_no_plan_until_it_is_synced() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    effects = step(state, PoolQuarantined(spec.id, "the audit says so"))
    assert [type(effect) for effect in effects] == [RaiseAlert, ResyncPools]
    assert not plans(step(state, seen(swap_of(spec, pool))))
    assert dropped(state, Reason.POOL_UNKNOWN) == 1
    step(state, PoolSynced(spec.id, pool, HEAD))
    assert plans(step(state, seen(swap_of(spec, pool, trader="dave"), after_ns=1)))


def test_a_token_that_failed_its_screen_is_in_no_plan() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    step(state, TokenScreened(spec.tokens[0], TokenVerdict.TAKES_FEE, trusted=False))
    assert not plans(step(state, seen(swap_of(spec, pool))))


def test_an_empty_treasury_sends_nothing_and_warns_once() -> None:
    state = pipeline(MARKET)
    alerts = [*step(state, TreasuryRead(ALICE, Wei(5), 7)), *step(state, TreasuryRead(ALICE, Wei(4), 7))]
    assert [alert.kind for alert in alerts if isinstance(alert, RaiseAlert)] == [AlertKind.TREASURY_LOW]
    effects = step(state, seen(swap_of(*busiest())))
    assert [effect.reason for effect in effects if isinstance(effect, RecordDrop)] == [Reason.TREASURY_EMPTY]


def test_a_nonce_that_moved_on_plans_anew_what_is_on_its_way() -> None:
    state = pipeline(MARKET)
    (before,) = plans(step(state, seen(swap_of(*busiest()))))
    (after,) = plans(step(state, TreasuryRead(ALICE, Wei(10**24), 9)))
    assert (before.executions[0].nonce, after.executions[0].nonce) == (7, 9)
    assert after.replaces == before.replaces
    assert step(state, TreasuryRead(ALICE, Wei(10**24), 9)) == ()


def test_a_find_that_had_to_leave_is_sent_again_when_it_comes_back() -> None:
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    victim = swap_of(*busiest())
    for _ in range(2):
        effects = step(state, seen(victim))
        (request,) = [effect for effect in effects if isinstance(effect, SimulateBundle)]
        failed = step(state, BundleSimulated(request.plan.id, Reason.SIMULATION_UNAVAILABLE, (), Gas(0), NOW))
        assert [effect.reason for effect in failed if isinstance(effect, RecordDrop)]


def test_joint_bundles_pay_more_per_gas_than_their_parts_alone() -> None:
    state = pipeline(MARKET)
    live = {}
    for spec, pool in V2:
        for effect in step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex()))):
            if isinstance(effect, SignAndSubmit):
                live[effect.plan.replaces] = effect.plan
            elif isinstance(effect, CancelBundle):
                live.pop(effect.replaces, None)
    joint = max(live.values(), key=lambda plan: len(plan.executions))
    parts = {one.opportunity.id for one in joint.executions}
    singles = [plan for plan in live.values() if len(plan.executions) == 1]
    assert len(parts) > 1
    assert {plan.executions[0].opportunity.id for plan in singles} >= parts
    assert all(_price(plan) < _price(joint) for plan in singles)


def _price(plan: BundlePlan) -> float:
    """Wei per gas over the whole bundle, victims included: single swaps through routers here."""
    bids = [bid_wei(execution.bid, execution.opportunity.gas) for execution in plan.executions]
    victims = 135_000 * len(plan.victims)
    return sum(bids) / (sum(execution.opportunity.gas for execution in plan.executions) + victims)


def _rivals(senders: tuple[Address, ...] = (ALICE,)) -> tuple[PipelineState, BundlePlan, BundlePlan]:
    """A find, and a lesser one that conflicts with it and stands by."""
    state = pipeline(MARKET, settings(MARKET, senders=senders), senders)
    sent: dict[bytes, BundlePlan] = {}
    for spec, pool in GOOD:
        for plan in plans(step(state, seen(swap_of(spec, pool, trader=spec.id.hex())))):
            name = plan.executions[0].opportunity.id
            if len(plan.executions) == 1 and name in state.outstanding:
                sent[name] = plan
                better = state.schedule.in_conflict_with(state.outstanding[name].find)
                if state.schedule.is_standing_by(name) and len(better) == 1:
                    return state, sent[better[0].id], plan
    raise AssertionError("nothing conflicts")


def test_a_find_that_conflicts_with_a_better_one_stands_by_at_a_lower_price() -> None:
    state, better, beside = _rivals()
    assert beside.executions[0].nonce == better.executions[0].nonce == 7
    assert _price(beside) < _price(better)
    assert {placed.id for placed in state.outstanding.values() if not placed.teaches} == _names(beside)


def test_what_is_left_of_a_find_that_makes_way_is_sent_behind_the_better_one() -> None:
    senders = (ALICE, BOB, Address(b"\xc0" * 20), Address(b"\xc1" * 20))
    followed = 0
    for first, then in permutations(GOOD, 2):
        state = pipeline(MARKET, settings(MARKET, senders=senders), senders)
        small = plans(step(state, seen(swap_of(*first, trader="carol"))))
        large = plans(step(state, seen(swap_of(*then, part=0.2, trader="dave"), after_ns=1)))
        made_way = [name for name in _names(*small) if state.schedule.is_standing_by(Hash32(name))]
        behind = [one for plan in large for one in plan.opportunities if one.behind]
        followed += bool(made_way and behind)
        for one in behind:
            assert set(one.behind) < _names(*large)
            assert {victim.hash for victim in one.victims} == {victim.hash for victim in small[0].victims}
    assert followed


def _names(*some: BundlePlan) -> set[bytes]:
    return {execution.opportunity.id for plan in some for execution in plan.executions}


def test_what_stands_by_goes_on_a_free_key_where_there_is_one() -> None:
    _, better, beside = _rivals((ALICE, BOB, *(Address(bytes([0xC0 + number]) * 20) for number in range(6))))
    assert better.executions[0].sender != beside.executions[0].sender


def test_what_stood_by_takes_the_place_of_the_better_one_that_is_gone() -> None:
    state, better, beside = _rivals()
    effects = step(state, PendingGone(Hash32(better.victims[0].hash), "replaced"))
    (name,) = _names(beside)
    assert not state.schedule.is_standing_by(Hash32(name))
    again = [plan for plan in plans(effects) if plan.replaces == beside.replaces]
    assert all(_price(plan) > _price(beside) for plan in again)
    assert name in state.outstanding


@pytest.mark.parametrize("reason", [Reason.OUTBID, Reason.CONFLICTS_WITH_BETTER, Reason.TAKEN_BY_OPERATOR])
def test_what_only_stands_by_and_what_other_operators_take_teaches_nothing_about_bids(reason: Reason) -> None:
    state, better, beside = _rivals()
    before = repr(state.bids._classes)
    for name in _names(beside) if reason is Reason.OUTBID else _names(better, beside):
        step(state, ExecutionMissed(Hash32(name), reason, Wei(0)))
    assert repr(state.bids._classes) == before


def test_the_same_find_again_is_no_rival_of_its_own() -> None:
    state, better, beside = _rivals()
    for plan in (better, beside):
        (victim,) = plan.victims
        counted = state.dropped.get(Reason.CONFLICTS_WITH_BETTER, 0)
        effects = step(state, seen(victim, after_ns=5))
        assert not [effect for effect in effects if isinstance(effect, RecordDrop)], "it is on its way, not dropped"
        assert state.dropped[Reason.CONFLICTS_WITH_BETTER] == counted + 1


def test_only_so_many_finds_stand_by_on_a_key() -> None:
    state = pipeline(MARKET)
    for number in range(8):
        for spec, pool in V2:
            step(state, seen(swap_of(spec, pool, part=0.05 + number / 50, trader=f"{spec.id.hex()}{number}")))
    beside = [placed for placed in state.outstanding.values() if state.schedule.is_standing_by(placed.id)]
    assert 0 < len(beside) <= STANDING_BY_PER_KEY
    assert len(state.outstanding) == len(state.schedule) + len(beside)


def test_with_three_keys_each_find_has_its_own_until_the_keys_run_out() -> None:
    senders = (ALICE, BOB, Address(b"\xc0" * 20))
    state = pipeline(MARKET, settings(MARKET, senders=senders), senders)
    for spec, pool in V2:
        step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex())))
        placed = [
            one for one in state.outstanding.values() if not (state.schedule.is_standing_by(one.id) or one.behind)
        ]
        per_key = [sum(one.sender == sender for one in placed) for sender in senders]
        assert max(per_key) - min(per_key) <= 1
    assert sum(per_key) > len(senders)


def test_a_treasury_of_somebody_else_is_not_ours() -> None:
    state = pipeline(MARKET)
    assert step(state, TreasuryRead(BOB, Wei(10**20), 1)) == ()
    assert BOB not in state.treasury


def test_reverts_open_the_breaker_until_its_time_has_passed() -> None:
    wide = RiskLimits(max_bid=Wei(10**24), max_daily_spend=Wei(10**24))
    limits = msgspec.structs.replace(wide, breaker_failures=2, breaker_pause_ns=10**9)
    state = pipeline(MARKET, settings(MARKET, limits=limits))
    alerts: list[Effect] = []
    for number, (spec, pool) in enumerate(V2):
        for plan in plans(step(state, seen(swap_of(spec, pool, part=0.2, trader=str(number)))))[:1]:
            opportunity = plan.executions[0].opportunity
            alerts += step(state, ExecutionMissed(opportunity.id, Reason.REVERTED, Wei(10**14)))
    assert AlertKind.BREAKER_OPENED in [alert.kind for alert in alerts if isinstance(alert, RaiseAlert)]
    effects = step(state, seen(swap_of(*busiest(), part=0.3, trader="zoe")))
    assert [effect.reason for effect in effects if isinstance(effect, RecordDrop)] == [Reason.BREAKER_OPEN]
    effects = step(state, seen(swap_of(*busiest(), part=0.3, trader="yves"), after_ns=2 * 10**9))
    assert plans(effects)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (RiskLimits(max_bid=Wei(0)), Reason.BID_ABOVE_CAP),
        (RiskLimits(max_bid=Wei(10**24), minimum_net_profit=Wei(10**24)), Reason.BELOW_MINIMUM_PROFIT),
        (RiskLimits(max_bid=Wei(10**24), max_daily_spend=Wei(1)), Reason.DAILY_LIMIT),
        (RiskLimits(max_bid=Wei(10**24), max_gas_share=BasisPoints(0)), Reason.GAS_SHARE_TOO_HIGH),
        (RiskLimits(max_bid=Wei(10**24), max_executions_per_block=0), Reason.BLOCK_LIMIT),
        (RiskLimits(max_bid=Wei(10**24), max_head_age_ns=-1), Reason.HEAD_STALE),
    ],
)
def test_the_gate_names_the_limit_that_is_broken(limits: RiskLimits, reason: Reason) -> None:
    effects = step(pipeline(MARKET, settings(MARKET, limits=limits)), seen(swap_of(*busiest())))
    assert [effect.reason for effect in effects if isinstance(effect, RecordDrop)] == [reason]


def test_a_bid_above_the_cap_is_cut_to_it_and_goes_out() -> None:
    limits = RiskLimits(max_bid=Wei(10**6), max_daily_spend=Wei(10**24))
    (plan,) = plans(step(pipeline(MARKET, settings(MARKET, limits=limits)), seen(swap_of(*busiest(), part=0.2))))
    (execution,) = plan.executions
    assert 10**6 - execution.gas_limit < bid_wei(execution.bid, execution.gas_limit) <= 10**6


def test_what_the_winner_paid_teaches_what_to_bid() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    bids = []
    for number in range(60):
        (plan,) = plans(step(state, seen(swap_of(spec, pool, trader=str(number)), account_nonce=0)))[:1]
        opportunity = plan.executions[0].opportunity
        placed = state.outstanding[opportunity.id]
        bids.append(placed.bid.share_bucket)
        half, gas = Wei(placed.find.surplus // 2), Gas(placed.find.gas_in_bundle)
        if SHARES[bids[-1]] > 5_000:
            break
        step(state, ExecutionMissed(opportunity.id, Reason.OUTBID, Wei(0), half, gas))
        step(state, PendingGone(Hash32(opportunity.victims[0].hash), "a test"))
        state.schedule.start(state.schedule.target_block, state.schedule.base_fee)
    assert bids[0] == 0
    assert bids[-1] == SHARES.index(5_100)


def test_an_amount_above_the_tokens_limit_is_cut_to_it_and_turnover_is_counted() -> None:
    base = settings(MARKET)
    tokens = tuple(
        msgspec.structs.replace(token, max_input=10**6, max_daily_turnover=10**6) for token in base.profit_tokens
    )
    chosen = msgspec.structs.replace(base, profit_tokens=tokens, limits=RiskLimits(max_gas_share=BasisPoints(10_000)))
    state = pipeline(MARKET, chosen)
    spec, pool = busiest()
    step(state, seen(swap_of(spec, pool)))
    assert all(placed.find.opportunity.loan.amount <= 10**6 for placed in state.outstanding.values())


def test_outcomes_teach_gas_and_bids_and_free_what_was_reserved() -> None:
    state = pipeline(MARKET)
    (plan,) = plans(step(state, seen(swap_of(*busiest()))))
    execution = plan.executions[0]
    opportunity = execution.opportunity
    families = [leg.family for leg in opportunity.steps]
    before = state.search.gas.expected(opportunity.loan.lender.kind, families)
    landed = ExecutionLanded(opportunity.id, plan.target_block, opportunity.gross_profit, Gas(before // 2), Wei(10**14))
    step(state, landed)
    assert state.search.gas.expected(opportunity.loan.lender.kind, families) < before
    assert opportunity.id not in state.outstanding
    assert step(state, landed) == ()


def test_a_reorg_brings_back_the_market_byte_for_byte() -> None:
    state = pipeline(MARKET)
    before = state.market.snapshot()
    spec, _ = busiest()
    arrived = block(changes=[ReservesSet(spec.id, 10**18, 10**18)])
    step(state, arrived)
    assert state.market.snapshot() != before
    step(state, BlockRetracted(arrived.hash, UnixNanoseconds(NOW + 1)))
    assert state.market.snapshot() == before
    other = step(state, block(fork="other"))
    assert not [effect for effect in other if isinstance(effect, RaiseAlert)]


def test_a_reorg_past_the_ring_asks_for_everything_anew() -> None:
    state = pipeline(MARKET)
    effects = step(state, BlockRetracted(Hash32(bytes(32)), NOW))
    assert ResyncPools((), effects[0].detail) in effects  # type: ignore[union-attr]
    assert all(pool is None for pool in state.market.states)


def test_a_head_with_another_parent_asks_for_everything_anew() -> None:
    state = pipeline(MARKET)
    effects = step(state, block(parent=bytes(32)))
    assert [effect.kind for effect in effects if isinstance(effect, RaiseAlert)] == [AlertKind.PARENT_UNKNOWN]
    assert any(isinstance(effect, ResyncPools) and effect.pool_ids == () for effect in effects)


def test_a_pool_read_some_blocks_ago_gets_the_blocks_since_replayed() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    change = ReservesSet(spec.id, 10**20, 10**20)
    step(state, block(changes=[change]))
    assert step(state, PoolSynced(spec.id, pool, HEAD)) == ()
    number = state.market.number_of(spec.id)
    assert number is not None
    assert state.market.states[number] == changed(pool, change)
    too_old = step(state, PoolSynced(spec.id, pool, type(HEAD)(HEAD - 100)))
    assert [type(effect) for effect in too_old] == [ResyncPools]


def test_a_log_that_cannot_be_of_our_state_quarantines_the_pool() -> None:
    state = pipeline(MARKET)
    spec, _ = pools_of_family(MARKET, PoolFamily.UNISWAP_V3)[0]
    effects = step(state, block(changes=[ReservesSet(spec.id, 1, 1)]))
    number = state.market.number_of(spec.id)
    assert number is not None
    assert state.market.is_quarantined(number)
    assert AlertKind.POOL_QUARANTINED in [effect.kind for effect in effects if isinstance(effect, RaiseAlert)]


def test_an_overlay_shows_nothing_of_itself_once_it_is_left() -> None:
    state = pipeline(MARKET)
    spec, pool = busiest()
    number = state.market.number_of(spec.id)
    assert number is not None
    rows, states = state.market.rows.copy(), state.market.snapshot()
    overlay = Overlay(state.market)
    overlay.states[number] = swap_exact_in(pool, 0, 1, _input_of(pool))[0]
    with overlay as risen:
        assert risen
        assert (state.market.rows != rows).any()
    assert (state.market.rows == rows).all()
    assert state.market.snapshot() == states
