"""Pending transactions that no decoder reads: which are simulated, and what comes of what they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from benchmarks.market_generator import GWEI, V2_ROUTER
from node.pipeline import unread, victims
from node.pipeline.events import (
    BlockRetracted,
    Effect,
    PendingGone,
    PendingSimulated,
    PoolChange,
    ReservesSet,
    SimulatePending,
    StateOutdated,
)
from node.pipeline.pending import PendingSwap
from node.pipeline.plans import BundlePlan
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, swap_exact_in
from node.pipeline.reasons import Reason
from node.pipeline.settings import Bounds
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from node.pipeline.unread import GAS_OF_ONE, Unread
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Address, BlockNumber, Hash32, UnixNanoseconds
from tests.pipeline_scene import (
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

MARKET = small_market()
V2 = pools_of_family(MARKET, PoolFamily.UNISWAP_V2)
STRANGER = Address(b"\x5e" * 20)
CALL = b"\xab\xcd\xef\x01" + bytes(32)
SECOND = 10**9


def scene(**bounds: int) -> PipelineState:
    chosen = settings(MARKET, simulate_pending=True, bounds=Bounds(**bounds))
    return pipeline(MARKET, chosen)


def a_call(trader: str = "carol", nonce: int = 0, to: Address = STRANGER, data: bytes = CALL) -> SignedTransaction:
    return signed(data, to, trader, nonce)


def worth_it() -> tuple[PoolSpec, PoolState, SignedTransaction, tuple[BundlePlan, ...]]:
    """A pool, a swap of three percent through it that is read, and the plans behind it."""
    for spec, pool in V2:
        swap = swap_of(spec, pool)
        found = plans(step(pipeline(MARKET), seen(swap)))
        if found:
            return spec, pool, swap, tuple(found)
    raise AssertionError("nothing is worth anything")


SPEC, POOL, SWAP, PLANS = worth_it()


def moved(part: int = 3) -> tuple[PoolChange, ...]:
    """What the swap's log would say."""
    after, _ = swap_exact_in(POOL, 0, 1, int(POOL.reserve0 * part / 100))  # type: ignore[union-attr]
    return (ReservesSet(SPEC.id, after.reserve0, after.reserve1),)  # type: ignore[union-attr]


def asked(effects: Sequence[Effect]) -> list[SimulatePending]:
    return [effect for effect in effects if isinstance(effect, SimulatePending)]


def answer(request: SimulatePending, changes: Sequence[PoolChange] = (), failure: Reason | None = None) -> Any:
    name = Hash32(request.transactions[-1].hash)
    return PendingSimulated(name, request.on_block, failure, tuple(changes), UnixNanoseconds(2))


def ask(state: PipelineState, transaction: SignedTransaction, **seen_as: Any) -> SimulatePending:
    (request,) = asked(step(state, seen(transaction, **seen_as)))
    return request


def test_what_a_simulation_tells_is_backrun_as_the_same_swap_read_from_its_call_data() -> None:
    state = scene()
    found = plans(step(state, answer(ask(state, a_call()), moved())))
    (one,), (other,) = found, PLANS
    assert one.executions[0].opportunity.steps == other.executions[0].opportunity.steps
    assert one.executions[0].opportunity.gross_profit == other.executions[0].opportunity.gross_profit
    assert [victim.hash for victim in one.victims] == [a_call().hash]


@pytest.mark.parametrize("simulates", [True, False])
def test_behind_a_plain_transfer_of_its_sender_a_swap_is_backrun_with_it(simulates: bool) -> None:
    state = pipeline(MARKET, settings(MARKET, simulate_pending=simulates))
    transfer = a_call(nonce=4, data=b"")
    swap = swap_of(SPEC, POOL, nonce=5)
    assert not asked(step(state, seen(transfer, account_nonce=4)))
    (plan,) = plans(step(state, seen(swap, account_nonce=4)))
    assert [victim.raw for victim in plan.victims] == [transfer.raw, swap.raw]
    assert Reason.VICTIM_NONCE_GAP not in state.dropped


def test_behind_a_transfer_that_cannot_pay_nothing_is_taken() -> None:
    state = pipeline(MARKET)
    step(state, seen(signed(b"", STRANGER, "carol", 4, max_fee=1), account_nonce=4))
    assert not plans(step(state, seen(swap_of(SPEC, POOL, nonce=5), account_nonce=4)))
    assert state.dropped[Reason.VICTIM_FEE_TOO_LOW] == 1


def test_where_simulations_are_off_nothing_is_asked() -> None:
    state = pipeline(MARKET)
    assert step(state, seen(a_call())) == ()
    assert state.dropped == {Reason.NOT_A_SWAP: 1}


def test_call_data_of_a_router_that_no_decoder_reads_is_simulated_too() -> None:
    state = scene()
    assert ask(state, a_call(to=V2_ROUTER)).transactions == (a_call(to=V2_ROUTER),)


def test_a_swap_that_is_read_is_not_simulated() -> None:
    assert asked(step(scene(), seen(SWAP))) == []


@pytest.mark.parametrize(
    ("transaction", "account_nonce", "reason"),
    [
        (a_call(to=Address(MARKET.tokens[0])), None, Reason.UNREAD_UNLIKELY),
        (a_call(data=b"\x01\x02\x03"), None, Reason.NOT_A_SWAP),
        (a_call(nonce=2), 3, Reason.VICTIM_GONE),
        (a_call(nonce=2), 1, Reason.VICTIM_NONCE_GAP),
        (signed(CALL, STRANGER, "carol", max_fee=GWEI // 2), None, Reason.VICTIM_FEE_TOO_LOW),
    ],
)
def test_cheap_questions_come_first(transaction: SignedTransaction, account_nonce: int | None, reason: Reason) -> None:
    state = scene()
    assert asked(step(state, seen(transaction, account_nonce=account_nonce))) == []
    assert state.dropped == {reason: 1}


@pytest.mark.parametrize(("name", "gas"), [("LEAST_GAS", 250_001), ("MOST_GAS", 249_999)])
def test_a_call_with_too_little_gas_for_a_swap_or_far_too_much_is_not_simulated(
    monkeypatch: pytest.MonkeyPatch, name: str, gas: int
) -> None:
    monkeypatch.setattr(victims, name, gas)
    state = scene()
    assert asked(step(state, seen(a_call()))) == []
    assert state.dropped == {Reason.UNREAD_UNLIKELY: 1}


def test_a_budget_of_simulations_fills_up_again_with_time() -> None:
    state = scene(pending_simulations_per_second=2)
    for number in range(4):
        step(state, seen(a_call(f"trader {number}")))
    assert state.dropped == {Reason.OVER_SIMULATION_BUDGET: 2}
    assert asked(step(state, seen(a_call("later"), after_ns=SECOND // 2)))
    assert not asked(step(state, seen(a_call("at once"), after_ns=SECOND // 2)))


def test_a_clock_that_goes_back_gives_no_budget() -> None:
    kept = Unread(1)
    assert kept.is_within_budget(UnixNanoseconds(5 * SECOND), 100_000)
    assert not kept.is_within_budget(UnixNanoseconds(4 * SECOND), 100_000)
    assert not kept.is_within_budget(UnixNanoseconds(4 * SECOND + SECOND // 2), 100_000)


def test_what_may_take_much_gas_takes_much_of_the_budget_and_never_more_than_all_of_it() -> None:
    kept, now = Unread(4), UnixNanoseconds(SECOND)
    assert kept.is_within_budget(now, 3 * GAS_OF_ONE)
    assert not kept.is_within_budget(now, GAS_OF_ONE + 1)
    assert kept.is_within_budget(now, GAS_OF_ONE)
    assert not kept.is_within_budget(now, 1)
    assert kept.is_within_budget(UnixNanoseconds(2 * SECOND), 100 * GAS_OF_ONE)


def test_what_never_touches_a_pool_is_looked_at_now_and_then_only() -> None:
    state = scene()
    looked = 0
    for number in range(unread.MISSES + 2 * unread.LOOKS):
        for request in asked(step(state, seen(a_call(f"trader {number}"), after_ns=number * SECOND))):
            looked += 1
            step(state, answer(request))
    assert unread.MISSES <= looked <= unread.MISSES + 2
    assert state.dropped[Reason.TOUCHES_NO_POOL] == looked


def test_what_touches_a_pool_again_is_looked_at_as_before() -> None:
    kept, call = Unread(1), a_call()
    for _ in range(unread.MISSES):
        kept.learn(call, touched=False)
    assert [kept.is_likely(call) for _ in range(unread.LOOKS)].count(True) == 1
    kept.learn(call, touched=True)
    assert kept.is_likely(call)


def test_what_is_remembered_and_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MAX_LIKES", 1)
    monkeypatch.setattr(unread, "MAX_WAITING", 1)
    kept = Unread(1)
    for _ in range(unread.MISSES):
        kept.learn(a_call(), touched=False)
    kept.learn(a_call(to=VAULT), touched=False)
    assert kept.is_likely(a_call())
    waiting = [PendingSwap(a_call(name), (), (), UnixNanoseconds(0), BlockNumber(1), None) for name in ("a", "b")]
    assert [kept.wait(pending) for pending in waiting] == [0, 1]
    assert list(kept) == waiting[1:]
    assert (kept.expire(BlockNumber(2)), len(kept)) == (1, 0)


def test_a_call_that_touches_nothing_fills_the_gap_before_a_swap_of_its_sender() -> None:
    state = scene()
    approval = a_call(to=Address(MARKET.tokens[0]))
    step(state, seen(approval, account_nonce=0))
    swap = swap_of(SPEC, POOL, nonce=1)
    (plan,) = plans(step(state, seen(swap, account_nonce=0)))
    assert [victim.hash for victim in plan.victims] == [approval.hash, swap.hash]


def test_the_senders_earlier_ones_are_simulated_before_it() -> None:
    state = scene()
    first, second = a_call(nonce=0), a_call(nonce=1)
    step(state, answer(ask(state, first, account_nonce=0)))
    assert ask(state, second, account_nonce=0).transactions == (first, second)


@pytest.mark.parametrize("reason", [Reason.VICTIM_WOULD_REVERT, Reason.POOL_UNKNOWN])
def test_what_could_not_be_simulated_is_counted_and_forgotten(reason: Reason) -> None:
    state = scene()
    assert step(state, answer(ask(state, a_call()), failure=reason)) == ()
    assert state.dropped == {reason: 1}
    assert len(state.book) == len(state.unread) == 0


def test_what_was_not_answered_is_asked_for_again_with_the_next_block() -> None:
    state = scene()
    assert step(state, answer(ask(state, a_call()), failure=Reason.SIMULATION_UNAVAILABLE)) == ()
    assert state.dropped == {Reason.SIMULATION_UNAVAILABLE: 1}
    (again,) = asked(step(state, block()))
    assert again.transactions == (a_call(),)
    assert plans(step(state, answer(again, moved())))


def test_a_pool_whose_state_the_logs_do_not_tell_is_not_backrun() -> None:
    state = scene()
    assert plans(step(state, answer(ask(state, a_call()), (StateOutdated(SPEC.id),)))) == []
    assert state.dropped == {Reason.POOL_UNKNOWN: 1}


def test_with_the_next_block_it_is_asked_for_anew_and_the_old_answer_is_worth_nothing() -> None:
    state = scene()
    step(state, answer(ask(state, a_call()), moved()))
    effects = step(state, block())
    assert plans(effects) == []
    (again,) = asked(effects)
    assert again.on_block == block().hash
    assert plans(step(state, answer(again, moved())))


def test_an_answer_for_a_head_that_is_gone_asks_again() -> None:
    state = scene()
    request = ask(state, a_call())
    step(state, block())
    (again,) = asked(step(state, answer(request, moved())))
    assert (again.transactions, again.on_block) == (request.transactions, block().hash)


def test_more_than_are_asked_for_anew_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(victims, "ANEW_PER_BLOCK", 1)
    state = scene()
    for trader in ("carol", "dave"):
        step(state, answer(ask(state, a_call(trader)), moved()))
    (again,) = asked(step(state, block()))
    assert again.transactions == (a_call("dave"),)
    assert state.dropped[Reason.OVER_SIMULATION_BUDGET] == 1
    assert len(state.book) == 1


def test_what_is_mined_replaced_or_expired_is_not_waited_for() -> None:
    for ends in (block(included=[a_call().hash]), PendingGone(Hash32(a_call().hash), "replaced")):
        state = scene()
        request = ask(state, a_call())
        step(state, ends)
        assert step(state, answer(request, moved())) == ()
    state = scene(pending_blocks=1)
    ask(state, a_call())
    step(state, block())
    step(state, block(block().number + 1, parent=block().hash))
    assert len(state.unread) == 0
    assert state.dropped == {Reason.VICTIM_GONE: 1}


def test_after_a_reorganisation_what_was_simulated_is_not_believed() -> None:
    state = scene()
    step(state, block())
    step(state, answer(ask(state, a_call()), moved()))
    step(state, BlockRetracted(block().hash, UnixNanoseconds(3)))
    (pending,) = state.book
    assert (pending.is_simulated, pending.changes) == (True, None)


def test_what_was_simulated_is_looked_at_alone() -> None:
    """Behind others it would meet another state than the simulation did."""
    state = scene()
    step(state, answer(ask(state, a_call("dave")), moved(1)))
    (plan,) = plans(step(state, seen(SWAP)))
    assert plan.victims == (SWAP,)
    state = scene()
    step(state, seen(swap_of(SPEC, POOL, part=0.01)))
    (plan,) = plans(step(state, answer(ask(state, a_call("dave")), moved())))
    (execution,) = plan.executions
    assert execution.opportunity.victims == (a_call("dave"),)


def test_equal_events_give_equal_effects() -> None:
    def told() -> list[bytes]:
        state, said = scene(), []
        for number in range(6):
            effects = step(state, seen(a_call(f"trader {number}"), after_ns=number))
            said.append(repr(effects).encode())
            said += [repr(step(state, answer(request, moved()))).encode() for request in asked(effects)]
        said.append(repr(step(state, block())).encode())
        return said

    assert told() == told()
    assert msgspec.structs.asdict(Bounds())["pending_simulations_per_second"] == 50
