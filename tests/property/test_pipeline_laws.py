"""Laws of the pipeline that hold for every sequence of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import settings as chosen
from hypothesis import strategies as st

from benchmarks.market_generator import CHAIN_ID, HEAD, NOW, VAULT_MODULE
from node.engine.bundle_wire import bundle_body
from node.engine.signer import Signer, SigningLimits
from node.pipeline.decoders import decode_swaps
from node.pipeline.events import (
    BlockArrived,
    BlockRetracted,
    Effect,
    Event,
    ExecutionLanded,
    ExecutionMissed,
    KillSwitchSet,
    PendingGone,
    PendingTransactionSeen,
    PoolChange,
    PoolQuarantined,
    PoolSynced,
    PriceMoved,
    ReservesSet,
    SignAndSubmit,
    TimePassed,
)
from node.pipeline.finds import Find, conflict
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.packing import pack
from node.pipeline.pending import routed_swaps
from node.pipeline.plans import BundlePlan, FlashLender, FlashLoan, LenderKind, Opportunity
from node.pipeline.pools import PoolFamily
from node.pipeline.reasons import Reason
from node.pipeline.rows import rows_of
from node.pipeline.search import Route
from node.pipeline.settings import RouterKind
from node.pipeline.step import step
from protocol.ethereum.hot_path import pending_from_json, sign_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import (
    DynamicFeeFields,
    SignedTransaction,
    TransactionFields,
    decode_transaction,
    sign_dynamic_fee,
    sign_transaction,
    to_rpc,
    transaction_from_rpc,
)
from protocol.kinds import OpportunityKind
from protocol.units import (
    Address,
    BlockNumber,
    Gas,
    Hash32,
    UnixNanoseconds,
    UnixSeconds,
    Wei,
    address_from_hex,
    address_to_hex,
)
from tests.ethereum_samples import ALICE as SIGNER
from tests.pipeline_scene import ALICE, block, pipeline, plans, seen, settings, small_market, swap_of
from tests.property.test_ethereum_encodings import transaction_fields

MARKET = small_market()
POOLS = range(len(MARKET.pools))
V2 = [number for number in POOLS if MARKET.pools[number][0].family in (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)]
V3 = [number for number in POOLS if MARKET.pools[number][0].family is PoolFamily.UNISWAP_V3]
_swaps = st.tuples(
    st.sampled_from(POOLS), st.floats(1e-6, 0.2), st.integers(0, 1), st.sampled_from("cdefg"), st.integers(0, 2)
)
_moves = st.lists(st.tuples(st.sampled_from([*V2, *V3]), st.integers(900, 1_100)), max_size=4)
_happenings = st.one_of(
    st.tuples(st.just("swap"), _swaps),
    st.tuples(st.just("block"), _moves),
    st.tuples(st.just("retract"), st.none()),
    st.tuples(st.just("quarantine"), st.sampled_from(POOLS)),
    st.tuples(st.just("sync"), st.sampled_from(POOLS)),
    st.tuples(st.just("outcome"), st.booleans()),
    st.tuples(st.just("gone"), st.none()),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("time"), st.none()),
)


def pending(swap: tuple[int, float, int, str, int]) -> SignedTransaction:
    number, part, into, trader, nonce = swap
    spec, state = MARKET.pools[number]
    return swap_of(spec, state, part=part, into=into, trader=trader, nonce=nonce)


def change_of(number: int, permille: int) -> PoolChange:
    spec, state = MARKET.pools[number]
    if spec.family is PoolFamily.UNISWAP_V3:
        price = state.sqrt_price_x96 * permille // 1_000  # type: ignore[union-attr]
        return PriceMoved(spec.id, price, state.liquidity, state.tick)  # type: ignore[union-attr]
    return ReservesSet(spec.id, state.reserve0 * permille // 1_000, state.reserve1)  # type: ignore[union-attr]


def history(happenings: list[tuple[str, Any]]) -> list[Event]:
    """Events that a chain could tell, out of what Hypothesis thinks up."""
    events: list[Event] = []
    chain_of_heads: list[BlockArrived] = []
    victims: list[bytes] = []
    for number, (kind, detail) in enumerate(happenings):
        now = UnixNanoseconds(NOW + number)
        if kind == "swap":
            transaction = pending(detail)
            victims.append(transaction.hash)
            events.append(seen(transaction, after_ns=number, account_nonce=None))
        elif kind == "block":
            height = HEAD + 1 + len(chain_of_heads)
            parent = chain_of_heads[-1].hash if chain_of_heads else None
            changes = [change_of(*move) for move in detail]
            arrived = block(height, changes=changes, included=victims[-1:], parent=parent, fork=str(number))
            chain_of_heads.append(arrived)
            events.append(arrived)
        elif kind == "retract" and chain_of_heads:
            events.append(BlockRetracted(chain_of_heads.pop().hash, now))
        elif kind in ("quarantine", "sync"):
            spec, state = MARKET.pools[detail]
            height = BlockNumber(HEAD + len(chain_of_heads))
            events.append(PoolSynced(spec.id, state, height) if kind == "sync" else PoolQuarantined(spec.id, "drawn"))
        elif kind == "gone" and victims:
            events.append(PendingGone(Hash32(victims.pop()), "drawn"))
        elif kind == "kill":
            events.append(KillSwitchSet(on=detail, why="drawn"))
        elif kind == "time":
            events.append(TimePassed(now))
        elif kind == "outcome":
            events.append(TimePassed(now) if detail else TimePassed(UnixNanoseconds(now + 1)))
    return events


def replay(
    happenings: list[tuple[str, Any]],
    check: Callable[[Market, Event, bytes], None],
    senders: Sequence[Address] = (ALICE,),
) -> list[Effect]:
    """Run the events; outcomes are those of what was sent. `check` sees the market before (bytes) and after each."""
    state = pipeline(MARKET, settings(MARKET, senders=tuple(senders)), senders)
    effects: list[Effect] = []
    for event in history(happenings):
        before = state.market.snapshot()
        effects += step(state, event)
        check(state.market, event, before)
        if isinstance(event, TimePassed) and state.outstanding:
            name = next(iter(state.outstanding))
            effects += step(
                state,
                ExecutionLanded(name, HEAD, 1, Gas(200_000), Wei(10**14))
                if event.now % 2
                else ExecutionMissed(name, Reason.OUTBID, Wei(0)),
            )
    return effects


def no_check(market: Market, event: Event, before: bytes) -> None:
    assert market
    assert event
    assert before


@given(st.lists(_happenings, max_size=12))
@chosen(max_examples=25)
def test_the_same_events_give_the_same_effects(happenings: list[tuple[str, Any]]) -> None:
    assert repr(replay(happenings, no_check)) == repr(replay(happenings, no_check))


@given(st.lists(_happenings, max_size=12))
@chosen(max_examples=25)
def test_only_blocks_and_syncs_change_the_confirmed_market_and_the_rows_follow_it(
    happenings: list[tuple[str, Any]],
) -> None:
    def check(market: Market, event: Event, before: bytes) -> None:
        if isinstance(event, PendingTransactionSeen | PendingGone | TimePassed | KillSwitchSet | PoolQuarantined):
            assert market.snapshot() == before
        for pool, state in enumerate(market.states):
            rows = market.rows[market.first_edge[pool] : market.first_edge[pool + 1]]
            if state is None or not market.is_eligible(pool):
                assert not rows.any()
            else:
                assert (rows == np.array(rows_of(pool, state, market.ticks))).all()

    replay(happenings, check)


@given(st.lists(_happenings, max_size=14))
@chosen(max_examples=40)
def test_no_transaction_of_ours_stands_before_a_victims(happenings: list[tuple[str, Any]]) -> None:
    for plan in plans(replay(happenings, no_check)):
        order = plan.in_order(lambda victim: ("theirs", victim.hash), lambda one: ("ours", one.opportunity.id))
        sides = [side for side, _ in order]
        assert sides == sorted(sides, reverse=True)
        assert sides.count("ours") == len(plan.executions) >= 1
        needed = {victim.hash for execution in plan.executions for victim in execution.opportunity.victims}
        assert needed == {name for side, name in order if side == "theirs"}


LIMITS = SigningLimits(CHAIN_ID, VAULT_MODULE, Wei(10**24))
SIGNERS = {signer.address: signer for signer in [Signer(keccak256(name), LIMITS) for name in (b"one", b"two")]}


@given(st.lists(_happenings, max_size=14))
@chosen(max_examples=40)
def test_on_the_wire_every_victim_stands_before_everything_that_we_signed(happenings: list[tuple[str, Any]]) -> None:
    for effect in replay(happenings, no_check, tuple(SIGNERS)):
        if not isinstance(effect, SignAndSubmit):
            continue
        plan = effect.plan
        bundle = SIGNERS[plan.executions[0].sender].sign(effect)
        (request,) = msgspec.json.decode(bundle_body(bundle.transactions, plan.target_block, plan.replaces))["params"]
        sent = [decode_transaction(bytes.fromhex(raw[2:])) for raw in request["txs"]]
        ours = [address_from_hex(one.sender) in SIGNERS for one in sent]
        assert ours == sorted(ours)
        assert [one.hash for one in sent[: ours.count(False)]] == [victim.hash for victim in plan.victims]
        assert [(one.to, one.nonce) for one in sent[ours.count(False) :]] == [
            (address_to_hex(VAULT_MODULE), execution.nonce) for execution in plan.executions
        ]
        nonces = [execution.nonce for execution in plan.executions]
        assert nonces == list(range(7, 7 + len(nonces)))


@given(st.integers(0, 5), st.integers(0, 5))
@chosen(max_examples=20)
def test_a_bundle_of_any_making_puts_theirs_first(victims: int, executions: int) -> None:
    plan = BundlePlan(
        id=Hash32(bytes(32)),
        target_block=HEAD,
        victims=tuple(pending((V2[0], 0.01, 0, "c", nonce)) for nonce in range(victims)),
        executions=tuple([None] * executions),  # type: ignore[list-item]
        entry_point=ALICE,
        chain_id=1,
        replaces=Hash32(bytes(32)),
    )
    assert plan.in_order(lambda _: "theirs", lambda _: "ours") == ["theirs"] * victims + ["ours"] * executions


@given(st.lists(_moves, min_size=1, max_size=6))
@chosen(max_examples=30)
def test_undoing_blocks_brings_back_the_same_bytes(blocks: list[list[tuple[int, int]]]) -> None:
    state = pipeline(MARKET)
    before, rows = state.market.snapshot(), state.market.rows.copy()
    heads: list[BlockArrived] = []
    for number, moves in enumerate(blocks):
        parent = heads[-1].hash if heads else None
        changes = [change_of(*move) for move in moves]
        heads.append(block(HEAD + 1 + number, changes=changes, parent=parent, fork=f"undo {number}"))
        step(state, heads[-1])
    for head in reversed(heads):
        step(state, BlockRetracted(head.hash, NOW))
    assert state.market.snapshot() == before
    assert (state.market.rows == rows).all()


@given(st.lists(_swaps, min_size=1, max_size=5))
@chosen(max_examples=30)
def test_overlays_of_pending_swaps_add_up_and_leave_the_market_alone(
    drawn: list[tuple[int, float, int, str, int]],
) -> None:
    state = pipeline(MARKET)
    before, rows = state.market.snapshot(), state.market.rows.copy()
    together, one_by_one = Overlay(state.market), Overlay(state.market)
    for swap in drawn:
        transaction = pending(swap)
        routed = routed_swaps(
            state.market, state.routers[transaction.to or ""], transaction, state.settings.wrapped_coin
        )
        assert not isinstance(routed, Reason)
        assert together.apply(routed, UnixSeconds(0)) == one_by_one.apply(routed, UnixSeconds(0))
        with one_by_one:
            pass
    with together:
        assert together.states == one_by_one.states
    assert state.market.snapshot() == before
    assert (state.market.rows == rows).all()


def find(surplus: int, pools: list[int], victims: list[SignedTransaction], victim_pools: list[int]) -> Find:
    lender = FlashLender(LenderKind.VAULT, ALICE, ALICE, 0)
    loan = FlashLoan(lender, 1, 0)
    name = Hash32(keccak256(repr((surplus, pools, victim_pools)).encode()))
    kind = OpportunityKind.BACKRUN
    opportunity = Opportunity(
        name, kind, HEAD, (), loan, ALICE, surplus, Wei(surplus), Gas(1), tuple(victims), UnixNanoseconds(NOW)
    )
    route = Route((), 0, (), loan, surplus, Wei(surplus), Gas(1), Wei(surplus))
    return Find(opportunity, route, tuple(pools), tuple([tuple(victim_pools) for _ in victims]))


_VICTIMS = [pending((number, 0.01, 0, "c", number)) for number in range(3)]
_finds = st.lists(
    st.builds(
        find,
        st.integers(1, 50),
        st.lists(st.integers(0, 6), min_size=2, max_size=3, unique=True),
        st.lists(st.sampled_from(_VICTIMS), max_size=1),
        st.lists(st.integers(0, 6), max_size=2, unique=True),
    ),
    max_size=8,
    unique_by=lambda one: one.opportunity.id,
)


@given(_finds)
def test_packing_takes_the_most_valuable_set_without_conflicts(finds: list[Find]) -> None:
    taken, left = pack(finds)
    assert sorted(map(_name, [*taken, *left])) == sorted(map(_name, finds))
    assert not any(conflict(one, other) for one, other in combinations(taken, 2))
    every = chain.from_iterable(combinations(finds, size) for size in range(len(finds) + 1))
    best = max(
        sum(one.surplus for one in some)
        for some in every
        if not any(conflict(one, other) for one, other in combinations(some, 2))
    )
    assert sum(one.surplus for one in taken) == best


def _name(one: Find) -> bytes:
    return one.opportunity.id


@given(_finds)
def test_conflicts_are_mutual(finds: list[Find]) -> None:
    for one, other in combinations(finds, 2):
        assert conflict(one, other) == conflict(other, one)


@given(st.sampled_from(list(RouterKind)), st.binary(max_size=600), st.integers(0, 2**256 - 1))
def test_no_bytes_make_the_decoders_fail(kind: RouterKind, data: bytes, value: int) -> None:
    decode_swaps(kind, data, value, ALICE)


@given(_swaps, st.integers(0, 700), st.binary(min_size=1, max_size=40))
def test_a_damaged_call_is_read_or_left_alone(
    swap: tuple[int, float, int, str, int], place: int, damage: bytes
) -> None:
    transaction = pending(swap)
    data = transaction.data
    for kind in RouterKind:
        damaged = data[:4] + (data[4:place] + damage + data[place + len(damage) :])
        for routed in decode_swaps(kind, damaged, 0, ALICE):
            assert 1 <= len(routed.keys) <= 8
            assert all(len(key) in (42, 45, 72) for key in routed.keys)
        decode_swaps(kind, data[:place], 0, ALICE)


@given(transaction_fields())
def test_the_quick_reader_reads_what_the_strict_one_reads(fields: TransactionFields) -> None:
    transaction = sign_transaction(fields, SIGNER)
    body = to_rpc(transaction)
    raw = msgspec.json.encode(body)
    read = pending_from_json(raw, [transaction.to or ""])
    if transaction.to is None:
        assert read is None
        return
    strict = transaction_from_rpc(body, recover=False)
    assert read == strict
    assert read is not None
    assert (read.raw, read.hash, read.sender) == (strict.raw, strict.hash, strict.sender)
    assert pending_from_json(raw, ()) is None


_words = st.integers(0, 2**256 - 1)
_small = st.integers(0, 2**64 - 2)


@given(
    _small,
    _words,
    _words,
    st.integers(1, 2**64 - 1),
    _words,
    st.binary(max_size=400),
    st.binary(min_size=20, max_size=20),
)
def test_the_quick_signer_signs_what_the_strict_one_signs(
    nonce: int, one: int, other: int, gas: int, value: int, data: bytes, to: bytes
) -> None:
    fields = DynamicFeeFields(
        chain_id=31337,
        nonce=nonce,
        max_priority_fee_per_gas=min(one, other),
        max_fee_per_gas=max(one, other),
        gas_limit=gas,
        to="0x" + Address(to).hex(),
        value=value,
        data=data,
    )
    key = SigningKey(keccak256(b"alice"))
    assert _outcome(sign_call, fields, key) == _outcome(sign_dynamic_fee, fields, key)


def _outcome(
    sign: Callable[[DynamicFeeFields, SigningKey], bytes], fields: DynamicFeeFields, key: SigningKey
) -> object:
    try:
        return sign(fields, key)
    except Exception as error:
        return type(error)
