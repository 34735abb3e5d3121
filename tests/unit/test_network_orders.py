"""Orders between two desks over a wire that a test holds: sealed, checked, answered, promised once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from governance.network import HotKeyRecord, OperatorRecord
from node.clock import SystemClock
from node.engine.anti_slashing import AntiSlashingStore, begin_journal
from node.engine.network import orders as orders_module
from node.engine.network.keys import NetworkKeys
from node.engine.network.orders import MAX_UNDER_WAY, OrderDesk
from node.engine.network.watcher import Promised
from node.engine.signing_journal import Owner
from node.pipeline.events import (
    AnswerOrder,
    Event,
    HandOver,
    OrderAnswer,
    OrderAnswered,
    OrderArrived,
    OrderVerdict,
)
from node.records import AnyRecord, OrderTold
from protocol import statements
from protocol.codec import DirectMessage
from protocol.ethereum.keccak import keccak256
from protocol.kinds import DeclineReason
from protocol.leaders import EpochRules, Leaders
from protocol.messages import Decline, SealedOrder, SealingKeyRequest, SignedAccept
from protocol.signing import sign_accept
from protocol.units import (
    Address,
    BlockNumber,
    BootId,
    Hash32,
    PeerIdHash,
    StakeUnits,
    UnixMilliseconds,
    UnixNanoseconds,
    UnixSeconds,
)
from tests import protocol_factories as make
from tests.protocol_factories import ALICE, BOB, CAROL, DEVNET, SECRETS, hash_of

HEAD, TARGET = BlockNumber(100), BlockNumber(101)
TIME = UnixSeconds(1_790_000_000)
PEERS = {name: PeerIdHash(hash_of(f"peer of {name}")) for name in ("alice", "bob")}
ROUTE = b"a route"


class Head(msgspec.Struct):
    number: BlockNumber = HEAD
    timestamp: UnixSeconds = TIME


class Known:
    """A registry in which alice and bob are operators whose hot keys are their accounts."""

    def __init__(self) -> None:
        self.head = Head()
        self.leaders = Leaders(EpochRules(30, 12, 6))
        self.operators = {make.ADDRESSES[name]: self.record(name) for name in PEERS}
        self.peers = frozenset(PEERS.values())

    def record(self, name: str) -> OperatorRecord:
        account = make.ADDRESSES[name]
        none = BlockNumber(0)
        return OperatorRecord(
            account=account, hot_key=account, active=StakeUnits(1), leaving=StakeUnits(0), ready_at=UnixSeconds(0),
            locked_through=none, locked=StakeUnits(0), peer_id_hash=PEERS[name],
        )  # fmt: skip

    def key_of(self, account: Address, block: BlockNumber, time: UnixSeconds) -> Address | None:
        record = HotKeyRecord(
            operator=account, from_block=BlockNumber(1), from_time=UnixSeconds(1), until_block=BlockNumber(0),
            until_time=UnixSeconds(0),
        )  # fmt: skip
        return account if account in self.operators and record.is_in_force(block, time) else None


@dataclass
class Wire:
    """Where one desk's questions go; `answer` says what comes back."""

    answer: Callable[[PeerIdHash, DirectMessage], Any] = lambda _peer, _question: None
    asked: list[DirectMessage] = field(default_factory=list)

    async def ask(self, peer: PeerIdHash, question: DirectMessage, _seconds: float) -> DirectMessage | None:
        self.asked.append(question)
        answer = self.answer(peer, question)
        message: DirectMessage | None = await answer if asyncio.iscoroutine(answer) else answer
        return message


@dataclass
class Desk:
    """One operator's desk, what it told its pipeline, and its ledger."""

    desk: OrderDesk
    keys: NetworkKeys
    wire: Wire
    told: list[Event] = field(default_factory=list)
    records: list[AnyRecord] = field(default_factory=list)


def keys_of(name: str) -> NetworkKeys:
    now = UnixMilliseconds(TIME * 1_000)
    return NetworkKeys(DEVNET, make.ADDRESSES[name], PEERS[name], SECRETS[name], BootId(1), lambda: now)


def desk_of(name: str) -> Desk:
    keys, wire = keys_of(name), Wire()
    desk = OrderDesk(keys, Known(), wire, SystemClock(), lambda: UnixNanoseconds(1))  # type: ignore[arg-type]
    made = Desk(desk, keys, wire)
    desk.feed, desk.tell = made.told.append, made.records.append
    return made


@pytest.fixture
def bob(tmp_path: Path) -> Desk:
    """The leader, with a store that has signed nothing."""
    made = desk_of("bob")
    owner = Owner(DEVNET.separator, BOB, hash_of("machine"))
    begin_journal(tmp_path / "signed.journal", owner, HEAD)
    made.keys.open(AntiSlashingStore(tmp_path / "signed.journal", owner, HEAD))
    return made


@pytest.fixture
def alice(bob: Desk) -> Desk:
    """The finder, whose questions reach bob."""
    made = desk_of("alice")

    def deliver(peer: PeerIdHash, question: DirectMessage) -> Any:
        if peer != PEERS["bob"]:
            return None
        if isinstance(question, SealingKeyRequest):
            return bob.keys.sealing_key(BlockNumber(90), BlockNumber(119))
        assert isinstance(question, SealedOrder)
        return bob.desk.asked(PEERS["alice"], question)

    made.wire.answer = deliver
    return made


def accepting(bob: Desk, verdict: OrderVerdict = OrderVerdict.ACCEPT, reason: DeclineReason | None = None) -> None:
    """Let bob's pipeline answer every order at once."""

    def feed(event: Event) -> None:
        bob.told.append(event)
        assert isinstance(event, OrderArrived)
        bob.desk.answer(AnswerOrder(event.number, event.order, event.order_hash, verdict, reason))

    bob.desk.feed = feed


def effect(**changes: Any) -> HandOver:
    order = make.order(target_block=TARGET, route_commit=Hash32(keccak256(ROUTE)), **changes)
    opportunity: Any = msgspec.defstruct(
        "Found", [("id", bytes, b"opportunity"), ("kind", int, 2), ("gross_profit_wei", int, 7)]
    )()
    return HandOver(opportunity, order, ROUTE, "reach", is_backup=False)


async def given(alice: Desk, *effects: HandOver) -> list[OrderAnswer]:
    """Hand over, one after the other, and return what the pipeline heard."""
    for one in effects:
        alice.desk.hand_over(one)
        await asyncio.gather(*alice.desk._tasks)
    return [event.answer for event in alice.told if isinstance(event, OrderAnswered)]


async def test_an_order_reaches_its_leader_and_comes_back_accepted(alice: Desk, bob: Desk) -> None:
    accepting(bob)

    assert await given(alice, effect()) == [OrderAnswer.ACCEPT]

    (arrived,) = bob.told
    assert isinstance(arrived, OrderArrived)
    assert (arrived.route, arrived.order.finder) == (ROUTE, ALICE)
    (record,) = alice.records
    assert isinstance(record, OrderTold)
    assert (record.role, record.answer, record.peer, record.lack) == ("finder", "accept", BOB, "reach")
    (record,) = bob.records
    assert isinstance(record, OrderTold)
    assert (record.role, record.answer, record.peer) == ("leader", "accept", ALICE)


async def test_a_leader_promises_a_leg_once_and_must_not_execute_what_it_did_not_promise(
    alice: Desk, bob: Desk
) -> None:
    accepting(bob)

    answers = await given(alice, effect(), effect(min_finder_wei=2))

    assert answers == [OrderAnswer.ACCEPT, OrderAnswer.DECLINE]
    (_, second) = bob.told
    assert isinstance(second, OrderArrived)
    assert second.order_hash in bob.desk.refused
    assert bob.desk.counts["accepts not signed"] == 1


async def test_other_answers_come_back_as_they_are(alice: Desk, bob: Desk) -> None:
    accepting(bob, OrderVerdict.HAVE)
    assert await given(alice, effect()) == [OrderAnswer.HAVE]
    accepting(bob, OrderVerdict.DECLINE, DeclineReason.UNPROFITABLE)
    assert (await given(alice, effect()))[-1] is OrderAnswer.DECLINE
    assert isinstance(alice.records[-1], OrderTold)
    assert alice.records[-1].detail == "unprofitable"


async def test_a_pipeline_that_does_not_answer_in_time_is_busy_and_must_not_execute_later(
    alice: Desk, bob: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_module, "DECIDE_SECONDS", 0.01)

    assert await given(alice, effect()) == [OrderAnswer.DECLINE]
    (arrived,) = bob.told
    assert isinstance(arrived, OrderArrived)
    assert arrived.order_hash in bob.desk.refused
    bob.desk.answer(AnswerOrder(arrived.number, arrived.order, arrived.order_hash, OrderVerdict.ACCEPT))
    assert bob.keys.slashable is not None
    assert not bob.keys.slashable._store.history.answers, "nothing was signed too late"


async def test_what_a_leader_was_shown_and_did_not_take_is_told_and_one_in_so_many_is_shown_to_nobody(
    alice: Desk, bob: Desk
) -> None:
    refused: list[Any] = []
    withheld: list[Any] = []
    alice.desk.on_refused, alice.desk.on_withheld = lambda *told: refused.append(told), withheld.append
    accepting(bob)
    await given(alice, effect())
    assert (refused, withheld) == ([], [])
    for verdict in (OrderVerdict.HAVE, OrderVerdict.DECLINE):
        accepting(bob, verdict)
        await given(alice, effect())
    alice.wire.answer = lambda _peer, _question: None
    await given(alice, effect())
    assert [(leader, found.id) for leader, found in refused] == [(BOB, b"opportunity")] * 3

    asked = len(alice.wire.asked)
    control = effect()
    msgspec.structs.force_setattr(control.opportunity, "id", bytes(32))
    assert (await given(alice, control))[-1] is OrderAnswer.SILENT
    assert (withheld, len(alice.wire.asked)) == ([control.opportunity], asked)
    assert alice.desk.counts["withheld"] == 1


async def test_without_a_store_nothing_is_promised(alice: Desk, bob: Desk) -> None:
    accepting(bob)
    bob.keys.slashable = None

    assert await given(alice, effect()) == [OrderAnswer.DECLINE]


async def test_who_does_not_answer_tell_its_key_or_sign_is_silent(alice: Desk, bob: Desk) -> None:
    accepting(bob)
    deliver = alice.wire.answer
    stranger = make.KEYS["carol"]
    forged = SignedAccept(accept=make.accept(), signature=bytes(65))  # type: ignore[arg-type]
    wrong_key = keys_of("alice").sealing_key(BlockNumber(90), BlockNumber(119))
    for answer in (
        lambda _peer, _question: None,
        lambda peer, question: wrong_key if isinstance(question, SealingKeyRequest) else deliver(peer, question),
        lambda peer, question: forged if isinstance(question, SealedOrder) else deliver(peer, question),
    ):
        alice.wire.answer = answer
        alice.desk._sealing.clear()
        assert (await given(alice, effect()))[-1] is OrderAnswer.SILENT
    assert stranger is not None
    assert alice.desk.counts["accepts that bind nobody"] == 1


@pytest.mark.parametrize(
    ("block", "time"),
    [(HEAD - 3, TIME), (HEAD + 3, TIME), (HEAD, TIME - 15 * 86_400), (HEAD, TIME + 901), (2**63, 16_725_225_600)],
)
async def test_an_accept_of_another_time_than_now_binds_nobody(alice: Desk, bob: Desk, block: int, time: int) -> None:
    """Signed all the same by the leader's key: no court would take it."""

    def sign(event: Event) -> None:
        assert isinstance(event, OrderArrived)
        accept = make.accept(
            order_hash=event.order_hash, primary_key=event.order.primary_key, target_block=TARGET,
            block_number=BlockNumber(block), timestamp=UnixSeconds(time),
        )  # fmt: skip
        bob.desk._waiting[event.number].set_result(sign_accept(DEVNET, accept, make.KEYS["bob"]))

    bob.desk.feed = sign
    assert await given(alice, effect()) == [OrderAnswer.SILENT]
    assert alice.desk.counts["accepts that bind nobody"] == 1


async def test_whose_peer_it_is_the_finders_own_record_says(alice: Desk, bob: Desk) -> None:
    """Carol names alice's peer as hers: nobody has to prove that. Alice is heard all the same, and carol is not."""
    accepting(bob)
    known = bob.desk._registry
    known.operators[CAROL] = msgspec.structs.replace(known.operators[ALICE], account=CAROL, hot_key=CAROL)

    assert await given(alice, effect()) == [OrderAnswer.ACCEPT]
    assert await given(alice, effect(finder=CAROL)) == [OrderAnswer.ACCEPT, OrderAnswer.SILENT]
    assert bob.desk.counts["boxes refused"] == 1


async def test_an_accept_with_a_wrong_signature_binds_nobody(alice: Desk, bob: Desk) -> None:
    def sign_badly(event: Event) -> None:
        assert isinstance(event, OrderArrived)
        accept = make.accept(
            order_hash=event.order_hash, primary_key=event.order.primary_key, target_block=TARGET, block_number=HEAD,
            timestamp=TIME,
        )  # fmt: skip
        waiting = bob.desk._waiting[event.number]
        waiting.set_result(SignedAccept(accept=accept, signature=keys_of("alice").order(event.order)))

    bob.desk.feed = sign_badly
    assert await given(alice, effect()) == [OrderAnswer.SILENT]


async def test_what_a_leader_promised_is_told_to_whom_it_may_concern(alice: Desk, bob: Desk) -> None:
    accepting(bob)
    promised: list[Promised] = []
    alice.desk.on_promise = promised.append

    await given(alice, effect())

    (one,) = promised
    assert (one.leader, one.signed.accept.target_block) == (BOB, TARGET)


async def test_boxes_of_strangers_for_others_and_of_others_orders_are_not_answered(alice: Desk, bob: Desk) -> None:
    sealed: list[SealedOrder] = []
    deliver = alice.wire.answer

    def keep(peer: PeerIdHash, question: DirectMessage) -> Any:
        if isinstance(question, SealedOrder):
            sealed.append(question)
            return None
        return deliver(peer, question)

    alice.wire.answer = keep
    await given(alice, effect(), effect(finder=CAROL))
    good, others = sealed

    assert await bob.desk.asked(PeerIdHash(hash_of("stranger")), good) is None
    assert await bob.desk.asked(PEERS["alice"], others) is None
    assert await bob.desk.asked(PEERS["alice"], msgspec.structs.replace(good, box=b"broken")) is None
    assert bob.desk.counts["boxes refused"] == 2
    assert not bob.told


async def nothing_under_way(desk: Desk) -> None:
    while desk.desk.busy:
        await asyncio.sleep(0)


async def test_sealing_keys_are_asked_for_once_and_before_they_are_needed(alice: Desk, bob: Desk) -> None:
    accepting(bob)
    alice.desk.fetch_keys([ALICE, BOB, CAROL], TARGET)
    alice.desk.fetch_keys([BOB], TARGET)
    assert alice.desk.busy == 2, "Bob and Carol are asked once each"
    await nothing_under_way(alice)
    alice.desk.fetch_keys([BOB], TARGET)
    assert alice.desk.busy == 0
    assert [type(question) for question in alice.wire.asked] == [SealingKeyRequest]

    await given(alice, effect())

    assert [type(question) for question in alice.wire.asked] == [SealingKeyRequest, SealedOrder]


async def test_more_orders_than_the_bound_are_not_given(alice: Desk) -> None:
    waiting = [asyncio.create_task(asyncio.Event().wait()) for _ in range(MAX_UNDER_WAY)]
    alice.desk._tasks.update(waiting)  # type: ignore[arg-type]

    alice.desk.hand_over(effect())

    (event,) = alice.told
    assert isinstance(event, OrderAnswered)
    assert event.answer is OrderAnswer.SILENT
    await alice.desk.close()
    assert all(task.cancelled() for task in waiting)


def test_a_decline_has_its_reason_and_orders_are_statements() -> None:
    assert issubclass(statements.Order, statements.Statement)
    assert Decline(order_hash=hash_of("order"), reason=DeclineReason.BUSY).reason is DeclineReason.BUSY


async def test_sealing_keys_that_are_remembered_are_bounded(
    alice: Desk, bob: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_module, "MAX_KEYS", 2)
    strangers = {Address(bytes([place]) * 20): 1 for place in (1, 2)}
    alice.desk._sealing.update(dict.fromkeys(strangers, make.sealing_key()))
    accepting(bob)

    assert await given(alice, effect()) == [OrderAnswer.ACCEPT]
    assert list(alice.desk._sealing) == [BOB], "full, it begins anew, and no order waits for room"


async def test_what_is_shown_to_a_leader_is_told_whatever_it_answers_and_nothing_where_no_box_was_sent(
    alice: Desk, bob: Desk
) -> None:
    shown: list[tuple[Address, int]] = []
    alice.desk.on_revealed = lambda leader, value: shown.append((leader, value))
    accepting(bob, OrderVerdict.DECLINE, DeclineReason.UNPROFITABLE)
    await given(alice, effect())
    assert shown == [(BOB, 7)]

    alice.desk._sealing.clear()
    alice.wire.answer = lambda _peer, _question: None
    await given(alice, effect())
    assert shown == [(BOB, 7)], "without its key nothing is sealed"
