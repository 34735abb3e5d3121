"""What comes seldom: logs of every kind, swaps with limits, gates that one find meets once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from benchmarks.market_generator import CHAIN_ID, GWEI, HEAD, NOW, VAULT_MODULE, GeneratedMarket, first_block
from node.pipeline.amm import concentrated
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import AmmError, PoolRevert
from node.pipeline.amm.units import SqrtPriceX96, TokenAmount
from node.pipeline.blocks import next_base_fee
from node.pipeline.changes import changed
from node.pipeline.decoders import RoutedSwap
from node.pipeline.events import (
    AlertKind,
    BalancesChanged,
    BlockRetracted,
    BundleSimulated,
    Effect,
    LiquidityChanged,
    PoolDiscovered,
    PoolQuarantined,
    PoolSynced,
    PriceMoved,
    RaiseAlert,
    RecordDrop,
    ReservesSet,
    ResyncPools,
    SimulateBundle,
    TimePassed,
    TreasuryRead,
)
from node.pipeline.finds import Find
from node.pipeline.overlay import Overlay
from node.pipeline.plans import FlashLender, FlashLoan, LenderKind, SwapStep
from node.pipeline.pools import PoolFamily, quote_exact_in, quote_exact_out, swap_exact_in, swap_exact_out
from node.pipeline.reasons import Reason
from node.pipeline.risk import Approved, DayUse, Question, Rejected, RiskGate
from node.pipeline.settings import NANOSECONDS_PER_SECOND, ProfitToken, RiskLimits
from node.pipeline.sizing import best_amount, exact_amounts
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.units import BlockNumber, Gas, Hash32, UnixNanoseconds, UnixSeconds, Wei
from tests.pipeline_scene import ALICE, block, pipeline, plans, pools_of_family, seen, settings, small_market, swap_of

MARKET = small_market()
V2, V2_POOL = pools_of_family(MARKET, PoolFamily.UNISWAP_V2)[0]
V3, V3_POOL = pools_of_family(MARKET, PoolFamily.UNISWAP_V3)[0]
BALANCER, BALANCER_POOL = pools_of_family(MARKET, PoolFamily.BALANCER_V2_WEIGHTED)[0]


# Logs


def test_a_mint_and_a_burn_undo_each_other() -> None:
    assert isinstance(V3_POOL, ConcentratedPool)
    lower, upper = sorted(V3_POOL.ticks.net)[0], sorted(V3_POOL.ticks.net)[-1]
    grown = changed(V3_POOL, LiquidityChanged(V3.id, lower, upper, 10**9))
    assert isinstance(grown, ConcentratedPool)
    assert grown.liquidity == V3_POOL.liquidity + 10**9
    assert changed(grown, LiquidityChanged(V3.id, lower, upper, -(10**9))) == V3_POOL


def test_balances_follow_their_changes_and_never_fall_below_nothing() -> None:
    moved = changed(BALANCER_POOL, BalancesChanged(BALANCER.id, (5, -3, 0)))
    before = BALANCER_POOL.balances  # type: ignore[union-attr]
    assert moved.balances == (before[0] + 5, before[1] - 3, before[2])  # type: ignore[union-attr]
    for deltas in [(1, 2), (-(before[0]) - 1, 0, 0)]:
        with pytest.raises(AmmError):
            changed(BALANCER_POOL, BalancesChanged(BALANCER.id, deltas))
    with pytest.raises(AmmError):
        changed(V2_POOL, BalancesChanged(V2.id, (1, 2)))


@pytest.mark.parametrize(
    ("gas_used", "after"),
    [(15_000_000, GWEI), (30_000_000, GWEI * 9 // 8), (0, GWEI * 7 // 8), (15_000_001, GWEI + 8)],
)
def test_the_base_fee_follows_the_gas_used(gas_used: int, after: int) -> None:
    assert next_base_fee(msgspec.structs.replace(first_block(), gas_used=Gas(gas_used))) == after


def test_a_base_fee_rises_by_a_wei_at_least_and_stays_where_there_is_no_gas() -> None:
    low = msgspec.structs.replace(first_block(), base_fee=Wei(1), gas_used=Gas(16_000_000))
    assert next_base_fee(low) == 2
    assert next_base_fee(msgspec.structs.replace(low, gas_limit=Gas(0))) == 1


def test_what_happens_to_pools_that_are_not_known_changes_nothing() -> None:
    state = pipeline(MARKET)
    before = state.market.snapshot()
    assert step(state, PoolSynced(b"nobody", V2_POOL, HEAD)) == ()
    assert step(state, PoolQuarantined(b"nobody", "a test")) == ()
    step(state, block(changes=[ReservesSet(b"nobody", 1, 1)]))
    assert state.market.snapshot() == before


def test_a_log_of_a_pool_that_has_yet_to_be_read_waits_for_the_reading() -> None:
    state = pipeline(MARKET)
    number = state.market.number_of(V2.id)
    assert number is not None
    state.market.set_state(number, None)
    step(state, block(changes=[ReservesSet(V2.id, 1, 1)]))
    assert state.market.states[number] is None


def test_a_pending_swap_whose_pool_is_not_known_any_more_waits_and_ends_nothing() -> None:
    state = pipeline(MARKET)
    step(state, seen(swap_of(V2, V2_POOL, part=0.1)))
    (pending,) = state.book
    number = state.market.number_of(V2.id)
    assert number is not None
    for pool in state.market.specs:  # as after a reorganisation that undid the block at which they were read
        known = state.market.number_of(pool.id)
        assert known is not None
        state.market.set_state(known, None)

    assert Overlay(state.market).apply(pending.swaps, UnixSeconds(0)) is Reason.POOL_UNKNOWN
    step(state, block())
    step(state, seen(swap_of(V2, V2_POOL, part=0.2, trader="another")))
    assert len(state.book) == 1
    edge = state.market.first_edge[number]
    assert not Overlay(state.market).execute([edge], TokenAmount(1))


def test_a_pool_read_before_the_ring_is_asked_for_anew() -> None:
    state = pipeline(MARKET)
    effects = step(state, PoolSynced(V2.id, V2_POOL, BlockNumber(HEAD - 100)))
    assert [effect.pool_ids for effect in effects if isinstance(effect, ResyncPools)] == [(V2.id,)]


def test_a_pool_read_before_its_logs_were_followed_is_asked_for_anew() -> None:
    (late, late_state), rest = MARKET.pools[0], MARKET.pools[1:]
    state = pipeline(GeneratedMarket(rest, MARKET.tokens, MARKET.profit_tokens))
    first, second = block(), block(HEAD + 2, parent=block().hash)
    step(state, first)
    step(state, PoolDiscovered(late))
    assert _asked(step(state, PoolSynced(late.id, late_state, HEAD))) == [(late.id,)]
    step(state, second)
    assert _asked(step(state, PoolSynced(late.id, late_state, HEAD))) == [(late.id,)]
    assert _asked(step(state, PoolSynced(late.id, late_state, BlockNumber(HEAD + 1)))) == []
    # What comes in place of blocks that are gone is read for the pool.
    for gone in (second, first):
        step(state, BlockRetracted(gone.hash, state.now))
    assert _asked(step(state, PoolSynced(late.id, late_state, HEAD))) == []


def _asked(effects: Sequence[Effect]) -> list[tuple[bytes, ...]]:
    return [effect.pool_ids for effect in effects if isinstance(effect, ResyncPools)]


def test_a_log_that_does_not_fit_raises_an_alert() -> None:
    effects = step(pipeline(MARKET), block(changes=[PriceMoved(V2.id, SqrtPriceX96(1), 1, 1)]))
    assert AlertKind.POOL_QUARANTINED in [effect.kind for effect in effects if isinstance(effect, RaiseAlert)]


def test_time_passes() -> None:
    state = pipeline(MARKET)
    step(state, TimePassed(UnixNanoseconds(NOW + 5)))
    assert state.now == NOW + 5


# Swaps with limits


def edge_of(state: PipelineState, pool_id: bytes) -> int:
    pool = state.market.number_of(pool_id)
    assert pool is not None
    return state.market.first_edge[pool]


def routed(state: PipelineState, pool_id: bytes, **fields: int | bool) -> tuple[RoutedSwap, tuple[int, ...]]:
    swap = RoutedSwap((), ALICE, ALICE, **{"exact_in": True, "amount": 10**12, "limit": 0, **fields})  # type: ignore[arg-type]
    return swap, (edge_of(state, pool_id),)


def test_a_price_limit_stops_a_swap_on_its_way() -> None:
    state = pipeline(MARKET)
    assert isinstance(V3_POOL, ConcentratedPool)
    limit = V3_POOL.sqrt_price_x96 * 9_999 // 10_000
    overlay = Overlay(state.market)
    amount = 10**30
    assert overlay.apply([routed(state, V3.id, amount=amount, price_limit_x96=limit)], UnixSeconds(0)) is None
    (after,) = overlay.states.values()
    assert after == concentrated.swap(V3_POOL, True, amount, SqrtPriceX96(limit)).after
    assert isinstance(after, ConcentratedPool)
    assert after.sqrt_price_x96 == limit


def test_an_exact_output_that_stops_at_its_price_limit_is_given_in_part_and_without_one_not_at_all() -> None:
    state = pipeline(MARKET)
    assert isinstance(V3_POOL, ConcentratedPool)
    limit, wanted = V3_POOL.sqrt_price_x96 * 9_999 // 10_000, 10**30
    done = concentrated.swap(V3_POOL, True, -wanted, SqrtPriceX96(limit))
    assert -done.amount1 < wanted
    swap = {"exact_in": False, "amount": wanted, "price_limit_x96": limit}
    overlay = Overlay(state.market)
    assert overlay.apply([routed(state, V3.id, **swap, limit=done.amount0)], UnixSeconds(0)) is None
    assert list(overlay.states.values()) == [done.after]
    for refused in ({**swap, "limit": done.amount0 - 1}, {**swap, "limit": 10**40, "price_limit_x96": 0}):
        overlay = Overlay(state.market)
        assert overlay.apply([routed(state, V3.id, **refused)], UnixSeconds(0)) is Reason.VICTIM_WOULD_REVERT
        assert overlay.states == {}


@pytest.mark.parametrize("pool_id", [V2.id, V3.id, BALANCER.id])
def test_an_exact_output_moves_the_pool_as_its_input_does(pool_id: bytes) -> None:
    state = pipeline(MARKET)
    number = state.market.number_of(pool_id)
    assert number is not None
    pool = state.market.states[number]
    assert pool is not None
    wanted = quote_exact_in(pool, 0, 1, 10**9)
    needed = quote_exact_out(pool, 0, 1, wanted)
    overlay = Overlay(state.market)
    swap = routed(state, pool_id, exact_in=False, amount=wanted, limit=needed)
    assert overlay.apply([swap], UnixSeconds(0)) is None
    assert overlay.states[number] == swap_exact_out(pool, 0, 1, wanted)[0]
    short = routed(state, pool_id, exact_in=False, amount=wanted, limit=needed - 1)
    assert Overlay(state.market).apply([short], UnixSeconds(0)) is Reason.VICTIM_WOULD_REVERT


def test_a_transaction_whose_second_swap_fails_moves_nothing() -> None:
    state = pipeline(MARKET)
    for second in (
        routed(state, V3.id, deadline=5),
        routed(state, V3.id, limit=10**40),
        routed(state, V2.id, exact_in=False, amount=10**40),
    ):
        overlay = Overlay(state.market)
        assert overlay.apply([routed(state, V2.id), second], UnixSeconds(9)) is Reason.VICTIM_WOULD_REVERT
        assert overlay.states == {}


def test_a_pool_without_a_state_is_in_no_overlay() -> None:
    state = pipeline(MARKET)
    swap = routed(state, V2.id)
    state.market.set_state(0, None)
    number = state.market.number_of(V2.id)
    assert number is not None
    state.market.set_state(number, None)
    overlay = Overlay(state.market)
    assert overlay.apply([swap], UnixSeconds(0)) is Reason.POOL_UNKNOWN
    assert overlay.states == {}


def test_what_a_pool_cannot_take_or_give_whole_is_no_swap() -> None:
    with pytest.raises(PoolRevert):
        quote_exact_in(V3_POOL, 0, 1, 10**40)
    with pytest.raises(PoolRevert):
        swap_exact_out(V3_POOL, 0, 1, 10**40)
    with pytest.raises(TypeError):
        swap_exact_in("no pool", 0, 1, 1)  # type: ignore[arg-type]
    assert exact_amounts([(V2_POOL, 0, 1), (V3_POOL, 0, 1)], 0) is None


def test_an_amount_that_cannot_be_executed_has_no_best_neighbour() -> None:
    assert best_amount(lambda _: None, 5, 10, 8) is None
    assert best_amount(lambda amount: -abs(amount - 530), 512, 600, 40) == (530, 0)
    assert best_amount(lambda amount: -abs(amount - 530), 512, 520, 40) == (520, -10)


# The gate


TOKEN = ProfitToken(ALICE, 10**18, 2 * 10**18)


def question(**changes: object) -> Question:
    opportunity = next(placed.find.opportunity for placed in _one_on_its_way().outstanding.values())
    loan = FlashLoan(FlashLender(LenderKind.VAULT, ALICE, ALICE, 0), 10**18, 0)
    opportunity = msgspec.structs.replace(
        opportunity, profit_token=ALICE, loan=loan, gross_profit_wei=Wei(10**18), target_block=BlockNumber(HEAD + 1)
    )
    plain = {
        "opportunity": opportunity,
        "gas_wei": Wei(1),
        "bid_wei": Wei(1),
        "hot_key_wei": Wei(1),
        "net_profit_wei": Wei(1),
        "next_block": BlockNumber(HEAD + 1),
        "head_age_ns": 0,
        "in_flight": 0,
        "quarantined": False,
        "trusted": True,
    }
    return Question(**{**plain, **changes})  # type: ignore[arg-type]


def _one_on_its_way(**changes: object) -> PipelineState:
    state = pipeline(MARKET, settings(MARKET, **changes))
    for spec, pool in pools_of_family(MARKET, PoolFamily.UNISWAP_V2):
        step(state, seen(swap_of(spec, pool, part=0.2)))
        if state.outstanding or state.waiting:
            return state
    raise AssertionError("nothing to find")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"next_block": BlockNumber(HEAD + 2)}, Reason.OPPORTUNITY_STALE),
        ({"quarantined": True}, Reason.POOL_QUARANTINED),
        ({"trusted": False}, Reason.TOKEN_REFUSED),
    ],
)
def test_the_gate_looks_at_block_and_pools(changes: dict[str, object], reason: Reason) -> None:
    gate = RiskGate(RiskLimits(), (TOKEN,))
    assert gate.check(question(**changes), NOW) == Rejected(reason)
    assert gate.check(question(), NOW) == Approved()


def test_the_gate_holds_to_the_tokens_limits() -> None:
    gate = RiskGate(RiskLimits(), (msgspec.structs.replace(TOKEN, max_input=10**17),))
    assert gate.check(question(), NOW) == Rejected(Reason.BUNDLE_LIMIT)
    gate = RiskGate(RiskLimits(), (TOKEN,))
    assert gate.check(question(), NOW) == Approved()
    gate.reserve(ALICE, 10**18 + 1, Wei(1))
    assert gate.check(question(), NOW) == Rejected(Reason.TOKEN_LIMIT)


DAY_NS = 86_400 * NANOSECONDS_PER_SECOND


def at(days: int, more: int = 0) -> UnixNanoseconds:
    return UnixNanoseconds(NOW + days * DAY_NS + more)


def test_a_clock_that_goes_a_day_ahead_and_back_gives_no_limit_twice() -> None:
    gate = RiskGate(RiskLimits(), (TOKEN,))
    for days in (0, 1, 0, 1, 0):
        gate.check(question(), at(days))
        gate.reserve(ALICE, 1, Wei(5))
    assert gate.used == DayUse(int(at(1)) // DAY_NS, Wei(20), {ALICE: 4})
    gate.check(question(), at(2))
    assert gate.used.spent == 0


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_days_from_turning() -> None:
    gate = RiskGate(RiskLimits(), (TOKEN,))
    gate.resume(DayUse(int(at(365)) // DAY_NS, Wei(7), {}))
    gate.check(question(), at(0))
    assert gate.used == DayUse(int(at(1)) // DAY_NS, Wei(7), {})
    gate.check(question(), at(2))
    assert gate.used.spent == 0


def test_a_breaker_that_opened_under_a_clock_that_was_ahead_closes_after_its_pause() -> None:
    limits = RiskLimits(breaker_failures=0)
    gate = RiskGate(limits, (TOKEN,))
    assert gate.report(at(1), failed=True)
    assert gate.breaker_open(at(0))
    assert gate.breaker_open(at(0, limits.breaker_pause_ns - 1))
    assert not gate.breaker_open(at(0, limits.breaker_pause_ns))


# Simulations


def test_answers_to_what_nobody_asked_or_for_a_block_gone_by_are_left_alone() -> None:
    state = _one_on_its_way(simulate=True)
    assert step(state, BundleSimulated(Hash32(bytes(32)), None, (), Gas(0), NOW)) == ()
    (plan,) = state.waiting.values()
    state.schedule.start(BlockNumber(HEAD + 2), Wei(GWEI))
    assert step(state, BundleSimulated(plan.id, None, (), Gas(0), NOW)) == ()


def test_a_joint_bundle_that_fails_its_simulation_is_counted_and_its_parts_go_on() -> None:
    state = pipeline(MARKET, settings(MARKET, simulate=True))
    asked = []
    for spec, pool in pools_of_family(MARKET, PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2):
        effects = step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex())))
        asked += [effect.plan for effect in effects if isinstance(effect, SimulateBundle)]
    joint = next(plan for plan in reversed(asked) if len(plan.executions) > 1)
    on_its_way = len(state.outstanding)
    effects = step(state, BundleSimulated(joint.id, Reason.SIMULATION_REVERTED, (), Gas(0), NOW))
    assert effects == ()
    assert len(state.outstanding) == on_its_way
    assert state.dropped[Reason.SIMULATION_REVERTED] == 1


def test_a_plan_whose_simulation_ends_after_its_successors_is_not_sent() -> None:
    state = _one_on_its_way(simulate=True)
    (older,) = state.waiting.values()
    effects = step(state, TreasuryRead(ALICE, Wei(10**24), 9))
    (newer,) = [effect.plan for effect in effects if isinstance(effect, SimulateBundle)]
    assert newer.replaces == older.replaces
    sent = []
    for plan in (newer, older):
        profits = tuple(execution.minimum_profit for execution in plan.executions)
        gas = tuple(execution.opportunity.gas for execution in plan.executions)
        sent += plans(step(state, BundleSimulated(plan.id, None, profits, Gas(300_000), NOW, gas)))
    assert sent == [newer]


def test_the_oldest_plan_leaves_where_too_many_wait_for_their_simulation() -> None:
    bounds = msgspec.structs.replace(settings(MARKET).bounds, plans_waiting=1)
    state = pipeline(MARKET, settings(MARKET, simulate=True, bounds=bounds))
    for spec, pool in pools_of_family(MARKET, PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2):
        step(state, seen(swap_of(spec, pool, part=0.2, trader=spec.id.hex())))
    assert len(state.waiting) == 1
    assert state.dropped[Reason.OUTBOX_FULL] > 0


# What is predicted


def _legs_redone(state: PipelineState, find: Find) -> int:
    """The proceeds of a route on the confirmed pools with the victims' swaps laid over, by the pools' own maths."""
    overlay = Overlay(state.market)
    for victim in find.opportunity.victims:
        waiting = next(pending for pending in state.book if pending.transaction.hash == victim.hash)
        assert overlay.apply(waiting.swaps, UnixSeconds(0)) is None
    amount = find.opportunity.loan.amount
    for leg in find.opportunity.steps:
        assert isinstance(leg, SwapStep)
        pool = state.market.number_of(leg.pool_id)
        assert pool is not None
        held = overlay.state(pool)
        assert held is not None
        overlay.states[pool], moved = swap_exact_in(held, leg.index_in, leg.index_out, amount)
        amount = moved.amount_out
    return amount


def test_what_is_left_after_loan_fee_and_payment_is_what_was_predicted() -> None:
    """As the executor does it: proceeds, less the loan and its fee, less the payment; then the minimum is asked for."""
    kinds: set[tuple[LenderKind, bool]] = set()
    for spec, pool in MARKET.pools:
        state = pipeline(MARKET)
        for plan in plans(step(state, seen(swap_of(spec, pool, part=0.1))))[:1]:
            (execution,) = plan.executions
            opportunity, loan = execution.opportunity, execution.opportunity.loan
            proceeds = _legs_redone(state, state.outstanding[opportunity.id].find) - loan.amount - loan.fee
            assert proceeds == opportunity.gross_profit
            left = proceeds - execution.bid.coinbase_wei
            assert left >= execution.minimum_profit >= 0
            in_coin = opportunity.profit_token == state.settings.wrapped_coin
            assert (execution.bid.coinbase_wei > 0) == in_coin
            gas = opportunity.gas * (GWEI + execution.bid.priority_fee_per_gas)
            if in_coin:
                assert left - gas == execution.net_profit_wei
                assert execution.minimum_profit == gas
            else:
                price = state.search.prices[state.outstanding[opportunity.id].find.route.rank]
                assert price is not None
                assert price.wei_down(left) - gas == execution.net_profit_wei
            kinds.add((loan.lender.kind, in_coin))
            assert (plan.entry_point, plan.chain_id) == (VAULT_MODULE, CHAIN_ID)
    assert {lender for lender, _ in kinds} == {LenderKind.BALANCER_V2, LenderKind.AAVE_V3}
    assert {in_coin for _, in_coin in kinds} == {True, False}


def test_a_find_dropped_is_told_once() -> None:
    state = _one_on_its_way(limits=RiskLimits(max_bid=Wei(10**24), max_daily_spend=Wei(10**24)))
    (placed,) = state.outstanding.values()
    effects = step(state, PoolQuarantined(placed.find.opportunity.steps[0].pool_id, "a test"))
    assert len([effect for effect in effects if isinstance(effect, RecordDrop)]) <= 1
