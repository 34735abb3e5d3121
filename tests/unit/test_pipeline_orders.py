"""Orders between two pipelines: what one cannot use alone becomes the other's execution, or comes back."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from benchmarks.market_generator import HEAD, NOW, GeneratedMarket, router_of
from node.engine.call_data import VaultCallData
from node.pipeline.bids import WEIGHTY_FROM
from node.pipeline.events import (
    AnswerOrder,
    BundleSimulated,
    Effect,
    HandOver,
    NetworkRead,
    OrderAnswer,
    OrderAnswered,
    OrderArrived,
    OrderVerdict,
    PendingGone,
    RecordDrop,
    SignAndSubmit,
    SimulateBundle,
    TreasuryRead,
)
from node.pipeline.network_view import MAX_FAILED, MAX_GIVEN, MAX_TAKEN, MAX_TAKEN_OF_ONE, NetworkView
from node.pipeline.orders_in import EARLY_NS
from node.pipeline.plans import BundlePlan, SwapStep
from node.pipeline.pools import PoolFamily
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from node.pipeline.unread import MOST_GAS
from protocol.conflicts import Occasion, leg_key
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.kinds import DeclineReason
from protocol.leaders import Turn
from protocol.messages import MAX_ROUTE_BYTES
from protocol.routes import MAX_TRANSACTIONS, Route, RouteSwap, decode_route, encode_route
from protocol.signing import digest, sign
from protocol.statements import Order
from protocol.units import (
    Address,
    BasisPoints,
    BlockNumber,
    ChainId,
    Gas,
    Hash32,
    LegKey,
    TokenAmount,
    UnixNanoseconds,
    Wei,
)
from tests import pipeline_scene as scene
from tests.protocol_factories import DEVNET, KEYS, hash_of

FINDER, LEADER, THIRD = (Address(bytes([place]) * 20) for place in (0xF1, 0x1E, 0x03))
TARGET = BlockNumber(HEAD + 1)


def view(account: Address, **changes: Any) -> NetworkView:
    """What an operator knows of the network: the next block is the leader's."""
    known = NetworkView(
        account=account,
        hot_key=scene.ALICE,
        pay_to=Address(b"\x5a" * 20),
        turns={TARGET: Turn(2, LEADER), BlockNumber(TARGET + 1): Turn(0, THIRD)},
        takes_orders=frozenset({LEADER, THIRD}),
        funds_orders=frozenset(),
        value_limits={LEADER: Wei(10**20), THIRD: Wei(10**20)},
        is_paused=False,
        fee_bps=BasisPoints(100),
        finder_bps=BasisPoints(5_000),
        finder_floor_bps=BasisPoints(2_500),
        relays=2,
        relays_usable=1 if account == FINDER else 2,
        executor_live=True,
    )
    return msgspec.structs.replace(known, **changes)


def member(account: Address, market: GeneratedMarket, *, simulate: bool = False, **changes: Any) -> PipelineState:
    """A pipeline that belongs to the network."""
    state = scene.pipeline(market, scene.settings(market, simulate=simulate))
    assert step(state, NetworkRead(view(account, **changes))) == ()
    return state


def swap(market: GeneratedMarket, part: float = 0.05, place: int = 0, trader: str = "carol") -> Any:
    """A pending swap that leaves something behind it."""
    spec, pool = scene.pools_of_family(market, PoolFamily.UNISWAP_V2)[place]
    return scene.seen(scene.swap_of(spec, pool, part=part, trader=trader))


def given(effects: tuple[Effect, ...]) -> HandOver:
    (effect,) = (one for one in effects if isinstance(one, HandOver))
    return effect


def arriving(effect: HandOver, number: int = 7, **changes: Any) -> OrderArrived:
    """The order as the leader's engine passes it on."""
    event = OrderArrived(
        number=number,
        order=effect.order,
        order_hash=digest(DEVNET, effect.order),
        signature=sign(DEVNET, effect.order, KEYS["alice"]),
        route=effect.route,
        now=UnixNanoseconds(NOW),
    )
    return msgspec.structs.replace(event, **changes)


def answer_in(effects: tuple[Effect, ...]) -> tuple[OrderVerdict, DeclineReason | None]:
    (effect,) = (one for one in effects if isinstance(one, AnswerOrder))
    return effect.verdict, effect.reason


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return scene.small_market()


@pytest.fixture(scope="module")
def order(market: GeneratedMarket) -> HandOver:
    """What a finder hands over behind one swap."""
    return given(step(member(FINDER, market), swap(market)))


def test_who_reaches_only_some_builders_hands_its_find_to_the_leader(order: HandOver) -> None:
    assert order.lack == "reach"
    assert not order.is_backup
    assert (order.order.finder, order.order.executor, order.order.target_block) == (FINDER, LEADER, TARGET)
    assert order.order.finder_bps == 5_000
    assert order.order.min_finder_wei == order.opportunity.gross_profit * 2_500 // 10_000
    route = decode_route(order.route)
    assert [swap.pool_id for swap in route.swaps] == [step.pool_id for step in order.opportunity.steps]
    assert list(route.transactions) == [victim.raw for victim in order.opportunity.victims]
    assert encode_route(route) == order.route


@pytest.mark.parametrize(
    "changes",
    [
        {"relays_usable": 2},
        {"turns": {}},
        {"turns": {TARGET: Turn(0, FINDER)}},
        {"takes_orders": frozenset({THIRD})},
        {"is_paused": True},
        {"value_limits": {}},
    ],
)
def test_a_find_that_nobody_can_be_given_goes_its_own_way(market: GeneratedMarket, changes: dict[str, Any]) -> None:
    effects = step(member(FINDER, market, **changes), swap(market))

    assert len(scene.plans(effects)) == 1


def test_a_find_above_the_leaders_limit_is_counted_and_stays(market: GeneratedMarket) -> None:
    state = member(FINDER, market, value_limits={LEADER: Wei(1)})

    assert scene.plans(step(state, swap(market)))
    assert state.dropped[Reason.ABOVE_VALUE_LIMIT] == 1


def a_long_chain(market: GeneratedMarket) -> list[Any]:
    """One sender's swaps, one nonce after the other: behind the last one stand more than an order may hold."""
    spec, pool = scene.pools_of_family(market, PoolFamily.UNISWAP_V2)[0]
    chain = [scene.swap_of(spec, pool, part=0.01, nonce=nonce) for nonce in range(MAX_TRANSACTIONS + 1)]
    return [scene.seen(transaction, account_nonce=0) for transaction in chain]


def a_long_call(market: GeneratedMarket) -> list[Any]:
    """A swap with so many bytes behind its arguments that no order may hold it."""
    spec, pool = scene.pools_of_family(market, PoolFamily.UNISWAP_V2)[0]
    plain = scene.swap_of(spec, pool, part=0.05)
    return [scene.seen(scene.signed(plain.data + bytes(MAX_ROUTE_BYTES), router_of(spec), "carol"))]


@pytest.mark.parametrize("pending", [a_long_chain, a_long_call])
def test_a_find_behind_more_than_an_order_holds_goes_its_own_way(
    market: GeneratedMarket, pending: Callable[[GeneratedMarket], list[Any]]
) -> None:
    state = member(FINDER, market, relays_usable=2)
    *before, last = pending(market)
    for event in before:
        step(state, event)
    step(state, NetworkRead(view(FINDER)))  # from now on it lacks something

    effects = step(state, last)

    assert not [effect for effect in effects if isinstance(effect, HandOver)]
    assert state.dropped[Reason.ORDER_TOO_LARGE] > 0
    assert scene.plans(effects)


def test_without_money_for_gas_everything_is_handed_over_and_what_comes_back_is_dropped(
    market: GeneratedMarket,
) -> None:
    state = member(FINDER, market, relays_usable=2)
    step(state, TreasuryRead(scene.ALICE, Wei(0), 0))
    effect = given(step(state, swap(market)))
    assert effect.lack == "treasury"
    assert step(state, swap(market)) == (), "the same find is not given twice"

    refused = OrderAnswered(effect.opportunity.id, OrderAnswer.DECLINE, UnixNanoseconds(NOW))
    (dropped,) = step(state, refused)

    assert isinstance(dropped, RecordDrop)
    assert dropped.reason is Reason.TREASURY_EMPTY
    assert step(state, refused) == (), "an answer counts once"


def test_a_key_whose_check_in_is_due_executes_nothing_for_that_block_and_another_does(
    market: GeneratedMarket, order: HandOver
) -> None:
    resting = frozenset({TARGET})
    (dropped,) = step(member(LEADER, market, resting=resting), swap(market))
    assert isinstance(dropped, RecordDrop)
    assert dropped.reason is Reason.KEY_CHECKS_IN

    state = member(LEADER, market, resting=resting)
    state.settings = msgspec.structs.replace(state.settings, senders=(scene.ALICE, scene.BOB))
    step(state, TreasuryRead(scene.BOB, Wei(10**20), 3))
    (plan,) = scene.plans(step(state, swap(market)))
    assert [execution.sender for execution in plan.executions] == [scene.BOB]
    asked = step(member(LEADER, market, resting=resting), arriving(order))
    assert answer_in(asked) == (OrderVerdict.DECLINE, DeclineReason.BUSY), "an order is for the registered key alone"

    (plan,) = scene.plans(step(member(LEADER, market, resting=frozenset({TARGET + 1})), swap(market)))
    assert [execution.sender for execution in plan.executions] == [scene.ALICE]


def test_what_is_on_the_way_on_a_key_that_then_rests_stays_and_nothing_stands_by_on_it(market: GeneratedMarket) -> None:
    state = member(LEADER, market)
    (plan,) = scene.plans(step(state, swap(market, 0.1)))
    step(state, NetworkRead(view(LEADER, resting=frozenset({TARGET}))))

    assert not scene.plans(step(state, swap(market, 0.09, trader="dave")))
    assert list(state.outstanding) == [execution.opportunity.id for execution in plan.executions]


def test_with_a_stopped_executor_finds_are_handed_over(market: GeneratedMarket) -> None:
    state = member(FINDER, market, relays_usable=2, executor_live=False)

    assert given(step(state, swap(market))).lack == "executor"


def test_an_accepted_find_is_the_leaders_and_any_other_answer_gives_it_back(market: GeneratedMarket) -> None:
    for answer in OrderAnswer:
        state = member(FINDER, market)
        effect = given(step(state, swap(market)))
        effects = step(state, OrderAnswered(effect.opportunity.id, answer, UnixNanoseconds(NOW)))
        assert len(scene.plans(effects)) == (0 if answer is OrderAnswer.ACCEPT else 1), answer


def test_what_the_leaders_block_missed_goes_to_the_next_leader_as_a_backup(market: GeneratedMarket) -> None:
    state = member(FINDER, market)
    effect = given(step(state, swap(market)))
    step(state, OrderAnswered(effect.opportunity.id, OrderAnswer.ACCEPT, UnixNanoseconds(NOW)))

    again = given(step(state, scene.block()))

    assert again.is_backup
    assert (again.order.executor, again.order.target_block) == (THIRD, TARGET + 1)
    assert again.order.primary_key != effect.order.primary_key


def test_the_leader_executes_an_order_and_keeps_what_is_left(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market)
    effects = step(state, arriving(order))

    assert answer_in(effects) == (OrderVerdict.ACCEPT, None)
    (plan,) = scene.plans(effects)
    (execution,) = plan.executions
    opportunity = execution.opportunity
    assert opportunity.order is not None
    assert opportunity.order.entry == 2
    assert [victim.raw for victim in plan.victims] == [victim.raw for victim in order.opportunity.victims]
    net = opportunity.steps[-1].amount_out - opportunity.steps[0].amount_in - opportunity.loan.fee
    paid = max(-(-net * 5_000 // 10_000), order.order.min_finder_wei)
    fee = net // 100 if opportunity.profit_token == market.profit_tokens[0] else 0
    assert opportunity.gross_profit == net - paid - fee
    assert "order" in execution.call_data.decode()
    assert isinstance(effects[0], AnswerOrder), "the accept is on disk before anything is signed"


def test_an_order_is_accepted_after_a_clean_simulation_only(market: GeneratedMarket, order: HandOver) -> None:
    for failure, verdict in ((None, OrderVerdict.ACCEPT), (Reason.SIMULATION_REVERTED, OrderVerdict.DECLINE)):
        state = member(LEADER, market, simulate=True)
        effects = step(state, arriving(order))
        (asked,) = (effect for effect in effects if isinstance(effect, SimulateBundle))
        assert not any(isinstance(effect, AnswerOrder) for effect in effects)
        profits = tuple(execution.minimum_profit for execution in asked.plan.executions)
        gas = tuple(execution.opportunity.gas for execution in asked.plan.executions)
        simulated = BundleSimulated(asked.plan.id, failure, profits, Gas(1), UnixNanoseconds(NOW), gas)
        effects = step(state, simulated)
        assert answer_in(effects)[0] is verdict
        assert any(isinstance(effect, SignAndSubmit) for effect in effects) == (failure is None)
        assert not state.orders_waiting


def _boast(market: GeneratedMarket, own: BundlePlan) -> OrderArrived:
    """An order over the pools of a find of the leader's own, behind nothing, that says it brings ten times as much."""
    legs = [leg for leg in own.executions[0].opportunity.steps if isinstance(leg, SwapStep)]
    first, last = legs[0].amount_in, legs[-1]
    outs = [leg.amount_out for leg in legs[:-1]] + [first + 10 * (last.amount_out - first)]
    swaps = tuple(
        RouteSwap(
            family=leg.family.value,
            pool_id=leg.pool_id,
            pool=leg.address,
            token_in=leg.token_in,
            token_out=leg.token_out,
            index_in=leg.index_in,
            index_out=leg.index_out,
            fee_pips=leg.fee_pips,
            amount_in=TokenAmount(amount_in),
            amount_out=TokenAmount(amount_out),
        )
        for leg, amount_in, amount_out in zip(legs, [first, *outs], outs, strict=False)
    )
    route = encode_route(Route(transactions=(), swaps=swaps))
    occasion = Occasion(ChainId(scene.settings(market).chain_id), TARGET, None)
    order = Order(
        finder=FINDER,
        executor=LEADER,
        target_block=TARGET,
        finder_bps=BasisPoints(100),
        min_finder_wei=TokenAmount(1),
        profit_token=own.executions[0].opportunity.profit_token,
        pay_to=THIRD,
        primary_key=leg_key(occasion, swaps[0].leg),
        route_commit=Hash32(keccak256(route)),
    )
    signature = sign(DEVNET, order, KEYS["alice"])
    return OrderArrived(3, order, digest(DEVNET, order), signature, route, UnixNanoseconds(NOW))


def _simulation(plan: BundlePlan, failure: Reason | None = None) -> BundleSimulated:
    profits = tuple(execution.opportunity.gross_profit for execution in plan.executions)
    gas = tuple(execution.opportunity.gas for execution in plan.executions)
    return BundleSimulated(plan.id, failure, profits, Gas(1), UnixNanoseconds(NOW), gas)


def test_an_order_moves_nothing_of_ours_before_its_own_simulation_was_clean(market: GeneratedMarket) -> None:
    for failure in (Reason.SIMULATION_REVERTED, None):
        state = member(LEADER, market, simulate=True)
        (own,) = (one.plan for one in step(state, swap(market, 0.1)) if isinstance(one, SimulateBundle))
        step(state, _simulation(own))
        boast = _boast(market, own)
        (asked,) = step(state, boast)
        assert isinstance(asked, SimulateBundle)
        assert [one.order is not None for one in asked.plan.opportunities] == [True]
        assert list(state.outstanding) == [own.executions[0].opportunity.id]

        effects = step(state, _simulation(asked.plan, failure))

        sent = [one.plan for one in effects if isinstance(one, SignAndSubmit)]
        if failure is None:
            assert answer_in(effects) == (OrderVerdict.ACCEPT, None)
            assert sent == [asked.plan], "it is not simulated again"
            assert boast.order_hash in state.outstanding
        else:
            assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.UNPROFITABLE)
            assert not any(isinstance(one, SimulateBundle | SignAndSubmit) for one in effects)
            assert list(state.outstanding) == [own.executions[0].opportunity.id]
        assert (state.trials, state.orders_waiting) == ({}, {})
        assert (boast.order.primary_key in state.taken_keys) == (failure is None)


def _junk(order: HandOver, number: int, finder: Address = THIRD) -> OrderArrived:
    """An order of the same leg that promises more than its route gives."""
    route = decode_route(order.route)
    last = route.swaps[-1]
    lie = encode_route(replace(route, swaps=(*route.swaps[:-1], replace(last, amount_out=last.amount_out + number))))
    changed = replace(order.order, finder=finder, pay_to=finder, route_commit=Hash32(keccak256(lie)))
    return arriving(order, number, order=changed, order_hash=digest(DEVNET, changed), route=lie)


def _asked(effects: tuple[Effect, ...]) -> BundlePlan:
    (effect,) = effects
    assert isinstance(effect, SimulateBundle)
    return effect.plan


def test_an_order_keeps_no_other_of_its_leg_out_before_it_is_accepted(market: GeneratedMarket, order: HandOver) -> None:
    """Else whoever promises enough, and lies, has every honest order of that leg declined."""
    state = member(LEADER, market, simulate=True)
    lie, honest = _asked(step(state, _junk(order, 1))), _asked(step(state, arriving(order, 2)))

    assert answer_in(step(state, _simulation(honest))) == (OrderVerdict.ACCEPT, None)
    late = step(state, _simulation(lie))

    assert answer_in(late) == (OrderVerdict.DECLINE, DeclineReason.CONFLICT), "however clean: the leg is promised"
    assert not any(isinstance(one, SignAndSubmit) for one in late)


def test_an_order_that_comes_twice_is_looked_at_once(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market, simulate=True)
    _asked(step(state, arriving(order)))
    assert answer_in(step(state, arriving(order, 8))) == (OrderVerdict.DECLINE, DeclineReason.CONFLICT)


def test_so_many_of_a_finder_are_looked_at_in_a_block_however_fast_they_fail(
    market: GeneratedMarket, order: HandOver
) -> None:
    state = member(LEADER, market, simulate=True)
    for number in range(MAX_TAKEN_OF_ONE):
        step(state, _simulation(_asked(step(state, _junk(order, number))), Reason.SIMULATION_UNAVAILABLE))
    busy = (OrderVerdict.DECLINE, DeclineReason.BUSY)
    assert answer_in(step(state, _junk(order, MAX_TAKEN_OF_ONE))) == busy
    for place in range(1, 5):
        for number in range(MAX_TAKEN_OF_ONE):
            finder = Address(bytes([0x20 + place]) * 20)
            effects = step(state, _junk(order, number, finder))
            if (place, number) <= (4, MAX_TAKEN - 4 * (MAX_TAKEN_OF_ONE - 1)):
                step(state, _simulation(_asked(effects), Reason.SIMULATION_UNAVAILABLE))
            else:
                assert answer_in(effects) == busy, "of all finders together"
    assert _asked(step(state, _junk(order, 1, FINDER))), "who has sent none yet is looked at"
    assert answer_in(step(state, arriving(order))) == busy
    step(state, scene.block())
    assert not state.orders_tried


def test_of_so_many_finders_the_first_order_is_looked_at(
    market: GeneratedMarket, order: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.pipeline.orders_in.MAX_FIRST", 1)
    state = member(LEADER, market, simulate=True)
    _asked(step(state, _junk(order, 1)))
    assert answer_in(step(state, arriving(order))) == (OrderVerdict.DECLINE, DeclineReason.BUSY)


@pytest.mark.parametrize("failure", [Reason.SIMULATION_REVERTED, Reason.SIMULATION_DIFFERS, Reason.SIMULATION_TOO_DEAR])
def test_a_finder_that_was_wrong_every_time_is_looked_at_once_a_block_until_it_is_right(
    market: GeneratedMarket, order: HandOver, failure: Reason
) -> None:
    state = member(LEADER, market, simulate=True)
    for number in range(MAX_FAILED):
        step(state, _simulation(_asked(step(state, _junk(order, number))), failure))
    state.orders_tried.clear()  # as the next block does
    plan = _asked(step(state, _junk(order, MAX_FAILED)))
    assert answer_in(step(state, _junk(order, MAX_FAILED + 1)))[1] is DeclineReason.BUSY
    assert _asked(step(state, arriving(order))), "another finder"
    assert answer_in(step(state, _simulation(plan)))[0] is OrderVerdict.ACCEPT
    assert not state.orders_failed


def test_of_so_many_finders_it_is_remembered_that_they_were_wrong(
    market: GeneratedMarket, order: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.pipeline.orders_in.MAX_FAILING", 2)
    state = member(LEADER, market, simulate=True)
    finders = [Address(bytes([place]) * 20) for place in (1, 2, 1, 3)]
    for number, finder in enumerate(finders):
        plan = _asked(step(state, _junk(order, number, finder)))
        step(state, _simulation(plan, Reason.SIMULATION_DIFFERS))
    assert state.orders_failed == {finders[0]: 2, finders[3]: 1}


def test_what_came_while_an_order_was_simulated_and_brings_more_stays(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market, simulate=True)
    (asked,) = step(state, arriving(order))
    assert isinstance(asked, SimulateBundle)
    step(state, swap(market))

    effects = step(state, _simulation(asked.plan))

    assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.CONFLICT)
    assert not state.taken_keys


def test_an_order_whose_victim_goes_while_it_is_simulated_is_declined(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market, simulate=True)
    (asked,) = step(state, arriving(order))
    assert isinstance(asked, SimulateBundle)
    (victim,) = asked.plan.victims

    effects = step(state, PendingGone(Hash32(victim.hash), "replaced"))

    assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.UNPROFITABLE)
    assert state.dropped[Reason.VICTIM_GONE] == 1
    assert step(state, _simulation(asked.plan)) == ()


def test_an_order_behind_more_gas_than_is_run_is_declined(market: GeneratedMarket, order: HandOver) -> None:
    route = decode_route(order.route)
    fields = DynamicFeeFields(
        chain_id=scene.settings(market).chain_id,
        nonce=0,
        max_priority_fee_per_gas=10**9,
        max_fee_per_gas=3 * 10**10,
        gas_limit=MOST_GAS + 1,
        to="0x" + "77" * 20,
        data=b"",
    )
    heavy = sign_dynamic_fee(fields, SigningKey(keccak256(b"carol")))
    effects = step(
        member(LEADER, market, simulate=True),
        arriving(order, route=encode_route(replace(route, transactions=(heavy,)))),
    )
    assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.BUSY)


def test_an_order_that_waits_when_its_block_comes_was_too_late(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market, simulate=True)
    step(state, arriving(order))

    assert answer_in(step(state, scene.block())) == (OrderVerdict.DECLINE, DeclineReason.TOO_LATE)


def test_an_order_whose_head_is_still_to_come_waits_for_it(market: GeneratedMarket) -> None:
    """The finder has seen a block that the leader has not."""
    turns = {TARGET: Turn(0, THIRD), BlockNumber(TARGET + 1): Turn(2, LEADER)}
    finder = member(FINDER, market, turns=turns)
    step(finder, scene.block())
    order = given(step(finder, swap(market)))
    assert order.order.target_block == TARGET + 1

    state = member(LEADER, market, turns=turns)
    assert step(state, arriving(order, now=UnixNanoseconds(scene.block().now - EARLY_NS))) == ()
    effects = step(state, scene.block())

    assert answer_in(effects) == (OrderVerdict.ACCEPT, None)
    assert len(scene.plans(effects)) == 1
    assert not state.orders_early


def test_an_order_that_waited_for_its_head_for_too_long_is_not_executed(market: GeneratedMarket) -> None:
    turns = {BlockNumber(TARGET + 1): Turn(2, LEADER)}
    finder = member(FINDER, market, turns=turns)
    step(finder, scene.block())
    order = given(step(finder, swap(market)))
    state = member(LEADER, market, turns=turns)
    step(state, arriving(order, now=UnixNanoseconds(scene.block().now - EARLY_NS - 1)))

    effects = step(state, scene.block())

    assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.TOO_LATE)
    assert not scene.plans(effects)


def test_no_more_orders_wait_for_a_head_than_the_bound(market: GeneratedMarket, order: HandOver) -> None:
    turns = {BlockNumber(TARGET + 1): Turn(2, LEADER)}
    state, later = member(LEADER, market, turns=turns), replace(order.order, target_block=BlockNumber(TARGET + 1))
    refused = (OrderVerdict.DECLINE, DeclineReason.NOT_LEADER)
    finders = [Address(bytes([1 + place]) * 20) for place in range(5)]
    waits = [finder for finder in finders for _ in range(MAX_TAKEN_OF_ONE)][: MAX_TAKEN + 5]
    for number, finder in enumerate(waits):
        assert step(state, arriving(order, number, order=replace(later, finder=finder))) == ()
        if number == MAX_TAKEN_OF_ONE - 1:
            more = arriving(order, number, order=replace(later, finder=finder))
            assert answer_in(step(state, more)) == refused, "one finder leaves room for the others"
    assert step(state, arriving(order, order=later)) == (), "who has none waiting has room"
    assert answer_in(step(state, arriving(order, order=later))) == refused


def test_an_order_bids_more_per_gas_than_who_has_the_find_alone(market: GeneratedMarket) -> None:
    """What is ours of it is less, and its gas more: by the part that is ours it would always be outbid.

    Where a third of the whole is bid, it is more than our part.
    """
    pending = swap(market, 0.02)
    order = given(step(member(FINDER, market), pending))
    assert order.opportunity.gross_profit_wei < WEIGHTY_FROM

    def price(plan: BundlePlan) -> Fraction:
        (execution,) = plan.executions
        gas, bid = execution.opportunity.gas, execution.bid
        victims = sum(victim.gas_limit for victim in plan.victims)
        return Fraction(bid.coinbase_wei + bid.priority_fee_per_gas * gas, gas + victims)

    (alone,) = scene.plans(step(member(THIRD, market), pending))
    (ordered,) = scene.plans(step(member(LEADER, market), arriving(order)))
    assert price(ordered) > price(alone)


def test_one_leg_is_promised_once(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market)
    step(state, arriving(order))

    assert answer_in(step(state, arriving(order, 8))) == (OrderVerdict.DECLINE, DeclineReason.CONFLICT)


def test_what_the_leader_has_itself_it_says_it_has(market: GeneratedMarket, order: HandOver) -> None:
    state = member(LEADER, market)
    assert scene.plans(step(state, swap(market)))

    verdict, reason = answer_in(step(state, arriving(order)))

    assert (verdict, reason) in {(OrderVerdict.HAVE, None), (OrderVerdict.DECLINE, DeclineReason.CONFLICT)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"turns": {}}, DeclineReason.NOT_LEADER),
        ({"turns": {TARGET: Turn(0, THIRD)}}, DeclineReason.NOT_LEADER),
        ({"is_paused": True}, DeclineReason.PAUSED),
        ({"executor_live": False}, DeclineReason.PAUSED),
        ({"hot_key": THIRD}, DeclineReason.BUSY),
    ],
)
def test_a_leader_that_cannot_says_why(
    market: GeneratedMarket, order: HandOver, changes: dict[str, Any], reason: DeclineReason
) -> None:
    assert answer_in(step(member(LEADER, market, **changes), arriving(order))) == (OrderVerdict.DECLINE, reason)


def test_orders_that_cannot_be_meant_are_invalid(market: GeneratedMarket, order: HandOver) -> None:
    replace = msgspec.structs.replace
    route = decode_route(order.route)
    first, *rest = route.swaps
    broken: list[dict[str, Any]] = [
        {"route": b"no route"},
        {"route": encode_route(replace(route, transactions=(b"no transaction",)))},
        {"route": encode_route(replace(route, swaps=(replace(first, family="nobody's"), *rest)))},
        {"route": encode_route(replace(route, swaps=(replace(first, family="uniswap_v4"), *rest)))},
        {"route": encode_route(replace(route, swaps=(replace(first, family="curve_plain", pool_id=THIRD), *rest)))},
        {"route": encode_route(replace(route, swaps=(replace(first, amount_out=1), *rest)))},
        {"route": encode_route(replace(route, swaps=(replace(first, pool=THIRD), *rest)))},
        {"route": encode_route(replace(route, swaps=(replace(first, index_in=16), *rest)))},
        {"route": encode_route(replace(route, swaps=(replace(first, index_in=first.index_out), *rest)))},
        {"order": replace(order.order, primary_key=hash_of("another leg"))},
        {"order": replace(order.order, executor=THIRD)},
        {"order": replace(order.order, profit_token=THIRD)},
    ]
    for changes in broken:
        state = member(LEADER, market)
        expected = (OrderVerdict.DECLINE, DeclineReason.INVALID)
        assert answer_in(step(state, arriving(order, **changes))) == expected, changes
    late = replace(order.order, target_block=HEAD)
    assert answer_in(step(member(LEADER, market), arriving(order, order=late)))[1] is DeclineReason.TOO_LATE
    greedy = replace(order.order, min_finder_wei=10**30)
    assert answer_in(step(member(LEADER, market), arriving(order, order=greedy)))[1] is DeclineReason.UNPROFITABLE


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "uniswap_v3", "fee_pips": 1_000_000},
        {"family": "balancer_v2_weighted", "pool_id": THIRD},
    ],
)
def test_an_order_that_no_plan_can_say_leaves_nothing_behind(
    market: GeneratedMarket, order: HandOver, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that we do not follow is taken as the order names it: whatever it says is said again in our call data."""
    monkeypatch.setattr(scene, "call_data", VaultCallData({scene.ALICE: THIRD}))
    route = decode_route(order.route)
    first, *rest = route.swaps
    strange = replace(first, **{"pool": THIRD, "pool_id": hash_of("nobody's pool"), **changes})
    occasion = Occasion(ChainId(scene.settings(market).chain_id), TARGET, Hash32(swap(market).transaction.hash))
    named = replace(order.order, primary_key=leg_key(occasion, strange.leg))
    state = member(LEADER, market)

    effects = step(state, arriving(order, order=named, route=encode_route(replace(route, swaps=(strange, *rest)))))

    assert answer_in(effects) == (OrderVerdict.DECLINE, DeclineReason.INVALID)
    assert (len(state.schedule), state.taken_keys, state.outstanding, state.orders_waiting) == (0, set(), {}, {})
    assert scene.plans(step(state, swap(market)))


def test_a_leader_without_a_network_leads_nothing(market: GeneratedMarket, order: HandOver) -> None:
    assert answer_in(step(scene.pipeline(market), arriving(order)))[1] is DeclineReason.NOT_LEADER


def test_a_block_brings_no_more_orders_than_the_bound(market: GeneratedMarket) -> None:
    """Also of those that were declined."""
    state = member(FINDER, market)
    state.given_keys.update({LegKey(hash_of(f"given {place}")) for place in range(MAX_GIVEN)})

    assert scene.plans(step(state, swap(market)))
