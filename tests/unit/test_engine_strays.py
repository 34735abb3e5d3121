"""What a hot key pays and no outcome tells of: found in the block's receipts, told once, with who had it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.network.membership import Membership
from node.engine.outcomes import Outcomes
from node.engine.record_making import found_record, signed_record
from node.engine.relays import OVERTAKEN
from node.engine.signer import SignedBundle
from node.engine.strays import MAX_BLOCKS, MAX_READ, STRAY, Found, Strays
from node.pipeline.events import HotKeyUsed
from node.records import AnyRecord, OutcomeRetracted, PaymentMade, RelayAnswered, TransactionSent
from protocol.ethereum.keys import SigningKey
from protocol.units import ZERO_ADDRESS, Address, ChainId, Hash32, UnixNanoseconds, Wei
from tests.mentioned import where_mentioned
from tests.unit.test_engine_outcomes import ALICE, GAS, PRICE, ROUTER, Chain, own, profit_log, receipt, sync_log
from tests.unit.test_engine_simulator import header
from tests.vault_stand_in import BASE_FEE, CHAIN_ID, MODULE, SECRET, TOKEN, signed

BOB = Address(b"\x0b" * 20)
PAID = Wei(GAS * PRICE)


class Scene:
    """Outcomes and strays as the engine wires them: both hear what is told."""

    def __init__(self, *keys: Address) -> None:
        self.chain = Chain()
        endpoints = self.chain.endpoints
        self.outcomes = Outcomes(endpoints, MODULE, [ALICE], [ROUTER])
        self.strays = Strays(endpoints, MODULE, keys or (ALICE,), self.outcomes.__contains__)

    def send(self, bundle: SignedBundle, **answers: str) -> SignedBundle:
        self.strays.hear(signed_record(bundle, UnixNanoseconds(1), 1))
        self.outcomes.expect(bundle)
        for relay, error in answers.items():
            self.strays.hear(RelayAnswered(bundle_hash=bundle.hash, relay=relay, error=error, took_ns=1))
        return bundle

    async def block(self, at: Header, nonce: int | None) -> list[Found]:
        for _, told in await self.outcomes.judge(at):
            self.strays.hear(told)
        found = await self.strays.look(at, {} if nonce is None else {ALICE: nonce})
        for _, record in found:
            if record is not None:
                self.strays.hear(record)
        return found

    def reads(self) -> int:
        return self.chain.node.asked.count("eth_getBlockReceipts")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def the_one(found: Sequence[Found]) -> tuple[HotKeyUsed, PaymentMade]:
    ((event, record),) = found
    assert isinstance(event, HotKeyUsed)
    assert isinstance(record, PaymentMade)
    return event, record


async def test_a_bundle_that_a_builder_puts_into_the_block_after_its_own_is_paid_told_and_named(scene: Scene) -> None:
    bundle = scene.send(signed(11), swift="", slow="refused: no", late=OVERTAKEN)
    ten = header(10)
    await scene.block(ten, 0)
    eleven = scene.chain.holds(header(11, ten))
    assert await scene.block(eleven, 0) == []
    twelve = scene.chain.holds(header(12, eleven), own(bundle, status=0))

    event, record = the_one(await scene.block(twelve, 1))

    assert (event.sender, event.spent_wei, event.reverted) == (ALICE, PAID, True)
    for word in (bundle.own[0].hex(), "block 12", "signed for block 11", "slow, swift"):
        assert word in event.strange
    assert "late" not in event.strange, "it was never sent it"
    assert record == PaymentMade(
        what=STRAY,
        transaction_hash=bundle.own[0],
        sender=ALICE,
        token=ZERO_ADDRESS,
        amount="0",
        block=twelve.number,
        block_hash=twelve.hash,
        gas_wei=str(PAID),
        bid_wei=str(GAS * (PRICE - BASE_FEE)),
        subject=bundle.plan.executions[0].opportunity.id,
    )
    assert await scene.block(scene.chain.holds(header(13, twelve)), 1) == [], "told once"


async def test_what_an_outcome_tells_of_is_no_stray_and_nothing_more_is_read(scene: Scene) -> None:
    bundle = scene.send(signed(11))
    await scene.block(header(10), 0)
    at = scene.chain.holds(header(11, header(10)), own(bundle, sync_log(), profit_log(5)))
    assert await scene.block(at, 1) == []
    assert scene.reads() == 1, "by the outcomes"


async def test_of_two_variants_in_one_block_the_second_is_counted_too(scene: Scene) -> None:
    alone, jointly = (scene.send(signed(11, call_data=data)) for data in (b"one!", b"two!"))
    await scene.block(header(10), 0)
    at = scene.chain.holds(header(11, header(10)), own(alone, status=0), own(jointly, sync_log(), profit_log(5)))
    event, record = the_one(await scene.block(at, 2))
    assert (event.reverted, record.transaction_hash, record.amount) == (True, alone.own[0], "0"), (
        "what landed is the find"
    )


async def test_a_stray_that_succeeds_is_told_with_what_it_brought(scene: Scene) -> None:
    bundle = scene.send(signed(11))
    await scene.block(header(10), 0)
    await scene.block(scene.chain.holds(header(11, header(10))), 0)
    at = scene.chain.holds(header(12, header(11, header(10))), own(bundle, profit_log(7)))
    event, record = the_one(await scene.block(at, 1))
    assert (event.reverted, record.token, record.amount) == (False, TOKEN, "7")


async def test_what_membership_sent_is_spent_and_no_stray(scene: Scene) -> None:
    name = Hash32(b"\5" * 32)
    scene.strays.hear(TransactionSent(what="check_in", transaction_hash=name, subject=Hash32(bytes(32))))
    await scene.block(header(10), 0)
    at = scene.chain.holds(header(11, header(10)), receipt(name, sender=ALICE, status=0))
    assert await scene.block(at, 1) == [(HotKeyUsed(ALICE, PAID, False, ""), None)], "membership books it itself"


async def test_what_this_node_never_sent_is_told_of_the_key(scene: Scene) -> None:
    await scene.block(header(10), 0)
    at = scene.chain.holds(header(11, header(10)), receipt(b"\5" * 32, sender=ALICE), receipt(b"\6" * 32))
    event, record = the_one(await scene.block(at, 1))
    assert "was not sent by this node" in event.strange
    assert (record.subject, event.spent_wei) == (bytes(32), PAID)


async def test_a_nonce_that_rose_and_no_block_says_why_is_an_alarm(scene: Scene) -> None:
    await scene.block(header(10), 3)
    ((event, record),) = await scene.block(scene.chain.holds(header(11, header(10))), 5)
    assert record is None
    assert isinstance(event, HotKeyUsed)
    assert (event.spent_wei, event.reverted) == (0, False)
    assert "rose by 2 more than the 1 blocks up to 11 tell of" in event.strange
    assert await scene.block(header(12, header(11, header(10))), 5) == []


async def test_what_cannot_be_read_is_looked_at_with_the_next_head(scene: Scene) -> None:
    bundle = scene.send(signed(10))
    await scene.block(scene.chain.holds(header(10)), 0)
    eleven = scene.chain.holds(header(11, header(10)), own(bundle, status=0))
    reads, scene.chain.node.methods = scene.chain.node.methods, {}
    assert await scene.strays.look(eleven, {ALICE: 1}) == []
    assert scene.strays.counts["unread"] == 1
    scene.chain.node.methods = reads
    _, record = the_one(await scene.block(scene.chain.holds(header(12, eleven)), 1))
    assert record.block == 11


async def test_where_a_nonce_was_not_told_the_next_that_is_looks_back(scene: Scene) -> None:
    bundle = scene.send(signed(10))
    await scene.block(scene.chain.holds(header(10)), 0)
    eleven = scene.chain.holds(header(11, header(10)), own(bundle, status=0))
    assert await scene.block(eleven, None) == []
    _, record = the_one(await scene.block(scene.chain.holds(header(12, eleven)), 1))
    assert record.block == 11


async def test_blocks_that_wait_are_read_a_few_with_each_head(scene: Scene) -> None:
    last = scene.chain.holds(header(10))
    await scene.block(last, 0)
    for number in range(11, 12 + MAX_READ):
        last = scene.chain.holds(header(number, last))
        await scene.block(last, None)
    last = scene.chain.holds(header(last.number + 1, last), receipt(b"\5" * 32, sender=ALICE))
    assert await scene.block(last, 1) == []
    assert scene.reads() == MAX_READ
    _, record = the_one(await scene.block(scene.chain.holds(header(last.number + 1, last)), 1))
    assert record.block == last.number


async def test_blocks_that_wait_are_bounded_and_what_is_given_up_is_counted(scene: Scene) -> None:
    last = header(10)
    await scene.block(last, 0)
    for number in range(11, 12 + MAX_BLOCKS):
        last = header(number, last)
        await scene.block(last, None)
    assert await scene.block(header(last.number + 1, last), 9) == [], "nobody knows since when"
    assert scene.strays.counts["given_up"] == MAX_BLOCKS + 1


async def test_a_stray_in_a_block_that_left_the_chain_is_taken_back_and_found_in_its_new_one(scene: Scene) -> None:
    bundle = scene.send(signed(10))
    await scene.block(scene.chain.holds(header(10)), 0)
    first = scene.chain.holds(header(11, header(10)), own(bundle, status=0))
    the_one(await scene.block(first, 1))
    assert scene.strays.retract(first.hash)
    assert not scene.strays.retract(first.hash)
    second = scene.chain.holds(header(11, header(10), salt="b"))
    assert await scene.block(second, 0) == []
    third = scene.chain.holds(header(12, second), own(bundle, status=0))
    _, record = the_one(await scene.block(third, 1))
    assert record.block_hash == third.hash


async def test_a_block_that_was_told_and_never_retracted_is_taken_back_when_another_stands_there(scene: Scene) -> None:
    bundle = scene.send(signed(10))
    await scene.block(scene.chain.holds(header(10)), 0)
    first = scene.chain.holds(header(11, header(10)), own(bundle, status=0))
    the_one(await scene.block(first, 1))
    assert await scene.block(first, 1) == [], "the same block, told again"
    second = scene.chain.holds(header(11, header(10), salt="b"))
    assert await scene.block(second, 0) == [(None, OutcomeRetracted(block_hash=first.hash))]


async def test_what_the_outcomes_have_still_to_judge_is_left_to_them(scene: Scene) -> None:
    bundle = scene.send(signed(11))
    await scene.block(header(10), 0)
    at = scene.chain.holds(header(11, header(10)), own(bundle, status=0))
    assert await scene.strays.look(at, {ALICE: 1}) == []


async def test_each_key_is_counted_by_itself() -> None:
    scene = Scene(ALICE, BOB)
    ten = header(10)
    await scene.strays.look(ten, {ALICE: 0, BOB: 4})
    at = scene.chain.holds(header(11, ten), receipt(b"\5" * 32, sender=BOB))
    ((event, _),) = await scene.strays.look(at, {ALICE: 0, BOB: 5})
    assert isinstance(event, HotKeyUsed)
    assert event.sender == BOB


async def test_a_stray_is_no_payment_of_memberships_after_a_restart(scene: Scene) -> None:
    bundle = scene.send(signed(10))
    await scene.block(scene.chain.holds(header(10)), 0)
    first = scene.chain.holds(header(11, header(10)), own(bundle, status=0))
    _, told = the_one(await scene.block(first, 1))
    registry: Any = None  # it is not asked
    membership = Membership(scene.chain.endpoints, registry, SigningKey(SECRET), ChainId(CHAIN_ID))
    membership.resume([], [told])
    membership.retract(first.hash)
    assert await membership.settled() == []
    assert "eth_getTransactionReceipt" not in scene.chain.node.asked


async def test_without_a_key_nothing_is_asked() -> None:
    chain = Chain()
    strays = Strays(chain.endpoints, MODULE, (), lambda _: False)
    for number in (10, 11):
        assert await strays.look(header(number), {}) == []
    assert chain.node.asked == []


async def test_what_no_block_can_hold_any_more_is_forgotten_and_what_one_still_can_is_not(scene: Scene) -> None:
    last = header(10)
    await scene.block(last, 0)
    late = scene.send(signed(11, name=b"late", nonce=3 * MAX_BLOCKS), swift="")
    for nonce in range(3 * MAX_BLOCKS):
        name = b"find %d" % nonce
        bundle = scene.send(signed(last.number + 1, name=name, call_data=name, nonce=nonce), swift="")
        last = scene.chain.holds(header(last.number + 1, last), own(bundle, profit_log(5)))
        assert await scene.block(last, nonce + 1) == []
        sizes = [len(kept) for kept in (scene.strays._signed, scene.strays._by_bundle, scene.strays._booked)]
        assert max(sizes) <= MAX_BLOCKS + 2, "a block's worth, and what came late"
    assert scene.strays.counts["forgotten"] == 0, "nothing for want of room"
    last = scene.chain.holds(header(last.number + 1, last), own(late, status=0))
    event, _ = the_one(await scene.block(last, 3 * MAX_BLOCKS + 1))
    assert "was signed for block 11; given to: swift" in event.strange


async def test_of_an_execution_nothing_is_left_once_its_block_is_too_old_to_leave_the_chain(scene: Scene) -> None:
    last = header(10)
    await scene.block(last, 0)
    bundles = []
    for nonce in range(MAX_BLOCKS + 2):
        name = b"find %d" % nonce
        bundles.append(scene.send(signed(last.number + 1, name=name, call_data=name, nonce=nonce), swift=""))
        last = scene.chain.holds(header(last.number + 1, last), own(bundles[-1], profit_log(5)))
        await scene.block(last, nonce + 1)
    whole = SimpleNamespace(outcomes=scene.outcomes, strays=scene.strays)

    def kept(bundle: SignedBundle) -> set[str]:
        names = (bundle.own[0], bundle.hash, bundle.plan.executions[0].opportunity.id)
        return set().union(*(where_mentioned(whole, name, (Endpoints,)) for name in names))

    assert kept(bundles[-1]) == {"outcomes._judged", "strays._signed", "strays._by_bundle", "strays._booked"}
    assert kept(bundles[0]) == set()


async def test_where_nothing_lands_only_what_a_block_can_still_hold_is_remembered_and_little_of_it(
    scene: Scene,
) -> None:
    last = header(10)
    await scene.block(last, 0)
    for number in range(3 * MAX_BLOCKS):
        name = b"find %d" % number
        scene.send(signed(last.number + 1, name=name, call_data=name), swift="", slow="refused: " + 300 * "n")
        last = scene.chain.holds(header(last.number + 1, last))
        await scene.block(last, 0)
    kept = scene.strays._signed
    assert len(kept) == 3 * MAX_BLOCKS, "each is good for a block to come"
    assert len(scene.strays._by_bundle) <= MAX_BLOCKS + 1, "relays answer within seconds"
    held = sum(sys.getsizeof(part) for one in kept.values() for part in (one, one.opportunity_id, one.relays))
    assert held < 300 * len(kept), "bytes beside its hash"


async def test_what_a_key_signed_that_was_replaced_is_forgotten(scene: Scene) -> None:
    last = header(10)
    await scene.block(last, 0)
    scene.send(signed(11))
    scene.strays.replace(ALICE, BOB)
    for _ in range(MAX_BLOCKS + 1):
        last = header(last.number + 1, last)
        await scene.strays.look(last, {BOB: 7})
    assert (len(scene.strays._signed), len(scene.strays._by_bundle)) == (0, 0)


def test_what_is_remembered_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.strays.MAX_SIGNED", 2)
    records: list[AnyRecord] = []
    for number in range(4):
        bundle = signed(11, name=str(number).encode(), call_data=f"run{number}".encode())
        records += [found_record(bundle.plan.executions[0].opportunity), signed_record(bundle, UnixNanoseconds(1), 1)]
        name = Hash32(bytes([number]) * 32)
        records += [TransactionSent(what="roll", transaction_hash=name, subject=name)]
    for record in records:
        scene.strays.hear(record)
    sizes = [len(kept) for kept in (scene.strays._signed, scene.strays._by_bundle, scene.strays._membership)]
    assert sizes == [2, 2, 2]
    assert scene.strays.counts["forgotten"] == 6
    assert msgspec.structs.asdict(next(iter(scene.strays._signed.values())))["target_block"] == 11
