"""The core: effects go where they belong, and nothing leaves that is not on the spool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.engine import core as core_module
from node.engine.core import EngineCore
from node.engine.errors import SpoolFailed
from node.engine.event_log import EventLog
from node.engine.outcomes import Outcomes
from node.engine.signer import SignedBundle, Signer, SigningLimits
from node.pipeline.events import (
    AlertKind,
    BundleSimulated,
    CancelBundle,
    Event,
    ExecutionMissed,
    KillSwitchSet,
    PendingSimulated,
    RaiseAlert,
    RecordDrop,
    RecordOpportunity,
    ResyncLoans,
    ResyncPools,
    ScreenTokens,
    SignAndSubmit,
    SimulateBundle,
    SimulatePending,
    TimePassed,
)
from node.pipeline.plans import BundlePlan
from node.pipeline.reasons import Reason
from node.pipeline.risk import StoppedBy
from node.pipeline.state import PipelineState
from node.records import (
    AlertRaised,
    AnyRecord,
    BundleSigned,
    BundleSimulatedRecord,
    OpportunityDropped,
    OpportunityFound,
    RelayAnswered,
)
from protocol.ethereum.keys import SigningKey
from protocol.units import Address, BlockNumber, ChainId, Gas, Hash32, UnixNanoseconds, Wei
from tests.fake_chain_node import FakeNode, endpoints_to
from tests.node_factories import approved
from tests.pipeline_scene import pipeline, seen, small_market, swap_of
from tests.vault_stand_in import MODULE, SECRET, opportunity, plan_for, signer

ALICE = signer()
NOW = UnixNanoseconds(5)


class FakeRelays:
    """Says what it is told to say; keeps what it got and what was on the spool at that time."""

    def __init__(self) -> None:
        self.sent: list[SignedBundle] = []
        self.withdrawn: list[Hash32] = []
        self.error = ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, bundle: SignedBundle, identity: SigningKey) -> list[RelayAnswered]:
        await self.gate.wait()
        if self.error == "bug":
            raise ValueError("a bug")
        self.sent.append(bundle)
        return [RelayAnswered(bundle_hash=bundle.hash, relay="swift", error=self.error, took_ns=1)]

    async def cancel(self, replaces: Hash32, identity: SigningKey) -> list[RelayAnswered]:
        self.withdrawn.append(replaces)
        return []


class FakeSimulator:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[BundlePlan] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def simulate(self, request: SimulateBundle) -> BundleSimulated:
        self.asked.append(request.plan)
        await self.gate.wait()
        return BundleSimulated(request.plan.id, Reason.SIMULATION_REVERTED, (), Gas(1), UnixNanoseconds(4))


class FakePendingSimulator:
    """Answers at once that it changes nothing."""

    def __init__(self) -> None:
        self.asked: list[SimulatePending] = []

    async def simulate(self, request: SimulatePending) -> PendingSimulated:
        self.asked.append(request)
        name = Hash32(request.transactions[-1].hash)
        return PendingSimulated(name, request.on_block, None, (), UnixNanoseconds(4))


class Scene:
    """A core with everything around it made by hand."""

    def __init__(self, *, live: bool = True, state: PipelineState | None = None, **options: Any) -> None:
        self.relays, self.simulator, self.pending = FakeRelays(), FakeSimulator(), FakePendingSimulator()
        self.records: list[AnyRecord] = []
        self.disk_is_full = False
        self.outcomes = Outcomes(endpoints_to([FakeNode()]), MODULE, [ALICE.address], [])
        self.core = EngineCore(
            state or pipeline(small_market()),
            {ALICE.address: ALICE} if live else {},
            self.relays,  # type: ignore[arg-type]
            self.outcomes,
            self.record,
            lambda: NOW,
            simulator=self.simulator,
            pending=self.pending,
            **options,
        )

    def record(self, made: AnyRecord) -> None:
        if self.disk_is_full:
            raise SpoolFailed("the disk is full")
        self.records.append(made)

    def does(self, *effects: Any) -> None:
        for effect in effects:
            self.core._dispatch(effect, 0)

    def of(self, kind: type[AnyRecord]) -> Sequence[Any]:
        return [record for record in self.records if isinstance(record, kind)]


def alices(target: int = 2_000, **changes: Any) -> SignAndSubmit:
    plan = plan_for(target, sender=ALICE.address)
    return SignAndSubmit(msgspec.structs.replace(plan, **changes))


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_a_bundle_is_on_the_spool_before_it_is_sent_and_then_expected(scene: Scene) -> None:
    scene.does(alices())
    assert [type(record) for record in scene.records] == [BundleSigned]
    assert scene.relays.sent == []
    assert len(scene.outcomes) == 1
    await scene.core.settled()
    assert len(scene.relays.sent) == 1
    (signed,) = scene.of(BundleSigned)
    assert signed.bundle_hash == scene.relays.sent[0].hash
    assert scene.of(RelayAnswered)[0].bundle_hash == signed.bundle_hash
    assert scene.core.counts["bundles_sent"] == len(scene.core.latencies_ns) == 1


async def test_what_relays_answer_reaches_the_outcomes(scene: Scene) -> None:
    scene.relays.error = "refused: no"
    scene.does(alices())
    await scene.core.settled()
    (sent,) = scene.outcomes._sent.values()
    assert sent.answers == {"swift": "refused: no"}


async def test_with_a_full_disk_nothing_is_sent_and_the_kill_switch_is_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.disk_is_full = True
    scene.does(alices(), alices())
    await scene.core.settled()
    assert scene.relays.sent == []
    assert len(scene.outcomes) == 0
    assert scene.core.state.gate.kill_switch
    assert caplog.text.count("executing nothing until it works again") == 1
    assert scene.core.counts["unrecorded"] >= 2


async def test_when_the_spool_works_again_execution_goes_on(scene: Scene) -> None:
    scene.disk_is_full = True
    scene.does(alices())
    scene.disk_is_full = False
    scene.does(RecordDrop(opportunity(11), Reason.KILL_SWITCH))
    assert not scene.core.state.gate.kill_switch
    scene.does(alices())
    await scene.core.settled()
    assert len(scene.relays.sent) == 1


async def test_a_kill_switch_of_the_operators_is_left_on(scene: Scene) -> None:
    scene.core.feed(KillSwitchSet(True, "the operator's"))
    scene.disk_is_full = True
    scene.does(alices())
    scene.disk_is_full = False
    scene.does(RecordDrop(opportunity(11), Reason.KILL_SWITCH))
    assert scene.core.state.gate.kill_switch


async def test_a_spool_that_works_again_turns_off_no_other_stop(scene: Scene) -> None:
    scene.disk_is_full = True
    scene.does(alices())
    scene.core.feed(KillSwitchSet(True, "by policy"))
    scene.disk_is_full = False
    scene.does(RecordDrop(opportunity(11), Reason.KILL_SWITCH))
    assert scene.core.state.gate.stopped_by == {StoppedBy.OPERATOR}


async def test_nothing_is_signed_while_the_kill_switch_is_on(scene: Scene) -> None:
    scene.core.feed(KillSwitchSet(True, "by policy"))
    assert await reason_told(scene, alices()) == [Reason.KILL_SWITCH]
    assert scene.of(BundleSigned) == scene.relays.sent == []
    assert scene.core.counts["plans_stopped"] == 1


async def test_what_is_for_a_block_that_is_there_already_is_late(scene: Scene) -> None:
    scene.core.begin(BlockNumber(2_000))
    cancel = CancelBundle(Hash32(b"\1" * 32), BlockNumber(2_000), Reason.VICTIM_GONE)
    scene.does(alices(2_000), SimulateBundle(plan_for(2_000)), cancel)
    await scene.core.settled()
    assert scene.core.counts["plans_late"] == 2
    assert scene.records == []
    assert scene.simulator.asked == []
    assert scene.relays.withdrawn == []


@pytest.mark.parametrize("in_order", [False, True])
async def test_what_was_simulated_for_a_block_that_came_meanwhile_is_dropped_quietly(*, in_order: bool) -> None:
    scene = Scene(in_order=in_order)
    scene.simulator.gate.clear()
    scene.does(SimulateBundle(plan_for(2_000)))
    await asyncio.sleep(0)
    scene.core.begin(BlockNumber(2_000))
    scene.simulator.gate.set()
    await scene.core.settled()
    assert scene.records == []
    assert scene.core.counts["plans_late"] == 1


def found_then(*effects: Any) -> list[Any]:
    return [RecordOpportunity(alices().plan.executions[0].opportunity), *effects]


async def reason_told(scene: Scene, *effects: Any) -> list[Reason]:
    """What is told of a find when its block is there; twice, as a block may be begun again."""
    fed: list[Event] = []
    scene.does(*found_then(*effects))
    scene.core.feed = fed.append  # type: ignore[method-assign,assignment]
    scene.core.begin(BlockNumber(1_999))
    scene.core.begin(BlockNumber(2_000))
    scene.core.begin(BlockNumber(2_000))
    await scene.core.settled()
    dropped = [record.reason for record in scene.of(OpportunityDropped)]
    assert dropped == [event.reason for event in fed if isinstance(event, ExecutionMissed)]
    return dropped


async def test_a_find_that_was_not_sent_in_time_is_told_once_and_its_reservation_given_back(scene: Scene) -> None:
    assert await reason_told(scene) == [Reason.LATE]


async def test_a_find_that_was_sent_is_not_told_as_late(scene: Scene) -> None:
    assert await reason_told(scene, alices(), *found_then()) == []


async def test_a_find_that_was_dropped_is_not_told_as_late(scene: Scene) -> None:
    scene.does(*found_then(RecordDrop(alices().plan.executions[0].opportunity, Reason.VICTIM_GONE)))
    scene.core.begin(BlockNumber(2_000))
    assert [record.reason for record in scene.of(OpportunityDropped)] == [Reason.VICTIM_GONE]


async def test_a_find_that_the_signer_refused_is_told_with_that_reason(scene: Scene) -> None:
    assert await reason_told(scene, alices(chain_id=1)) == [Reason.SIGNING_REFUSED]


async def test_finds_that_are_not_sent_are_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.unsent.MAX_UNSENT", 1)
    scene.does(RecordOpportunity(opportunity(11)), RecordOpportunity(opportunity(12, b"other")))
    assert scene.core.counts["unsent_forgotten"] == 1


async def test_without_keys_every_find_is_told_once_and_nothing_signed() -> None:
    scene = Scene(live=False)
    assert await reason_told(scene, alices(), alices()) == [Reason.SHADOW]
    assert scene.relays.sent == []
    scene.does(CancelBundle(Hash32(b"\1" * 32), BlockNumber(9), Reason.VICTIM_GONE))
    await scene.core.settled()
    assert scene.relays.withdrawn == []


async def test_what_the_signer_refuses_goes_no_further(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.does(alices(chain_id=1))
    assert scene.core.counts["signing_refused"] == 1
    assert "not signed: the plan is for another chain or contract" in caplog.text
    assert SECRET.hex() not in caplog.text
    assert scene.records == []


async def test_a_withdrawal_goes_to_the_relays(scene: Scene) -> None:
    scene.does(CancelBundle(Hash32(b"\1" * 32), BlockNumber(9), Reason.VICTIM_GONE))
    await scene.core.settled()
    assert scene.relays.withdrawn == [b"\1" * 32]


async def test_finds_drops_alerts_and_resyncs_go_where_they_belong(scene: Scene) -> None:
    wanted: list[ResyncPools | ResyncLoans | ScreenTokens] = []
    scene.core.resync = wanted.append
    find, resync = opportunity(11), ResyncPools((b"\1",), "doubt")
    screening = ScreenTokens((Address(b"\2" * 20),), "refused")
    scene.does(
        RecordOpportunity(find), RecordDrop(find, Reason.BLOCK_LIMIT), RaiseAlert(AlertKind.TREASURY_LOW, "low"), resync
    )
    scene.does(screening)
    assert [type(record) for record in scene.records] == [OpportunityFound, OpportunityDropped, AlertRaised]
    assert scene.core.opportunities == {"cyclic_arbitrage": 1}
    assert wanted == [resync, screening]


async def test_before_the_reader_is_wired_a_resync_is_nobodys(scene: Scene) -> None:
    scene.does(ResyncPools((), "all"))
    assert scene.records == []


async def test_a_simulation_is_told_and_fed_back(scene: Scene) -> None:
    plan = plan_for(2_000)
    scene.does(SimulateBundle(plan))
    await scene.core.settled()
    (record,) = scene.of(BundleSimulatedRecord)
    assert record.failure is Reason.SIMULATION_REVERTED
    assert record.opportunity_ids == (plan.executions[0].opportunity.id,)


async def test_in_lockstep_simulations_are_taken_in_in_the_order_of_the_questions() -> None:
    scene = Scene(in_order=True)
    fed: list[Event] = []
    scene.core.feed = fed.append  # type: ignore[method-assign,assignment]
    plans = [plan_for(2_000, name=str(number).encode()) for number in range(3)]
    scene.does(*map(SimulateBundle, plans))
    await asyncio.sleep(0)
    assert (scene.simulator.asked, fed) == ([], []), "what the simulator is asked when would depend on the machine"
    await scene.core.settled()
    answers = [event for event in fed if isinstance(event, BundleSimulated)]
    assert [answer.plan_id for answer in answers] == [plan.id for plan in plans]
    assert {answer.now for answer in answers} == {NOW}, "one time: that of taking them in"


async def test_in_lockstep_the_bound_on_requests_does_not_depend_on_who_answers_how_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core_module, "MAX_UNDER_WAY", 4)
    scene = Scene(in_order=True)
    monkeypatch.setattr(scene.core, "feed", lambda _: scene.does(alices()))
    for _ in range(3):
        scene.does(*[SimulateBundle(plan_for(2_000))] * 4)
        await scene.core.settled()
    assert scene.core.counts[Reason.OUTBOX_FULL] == 0
    assert len(scene.relays.sent) == 12


UNREAD = SimulatePending((swap_of(*small_market().pools[0]),), Hash32(b"\1" * 32), Wei(7))


@pytest.mark.parametrize("in_order", [False, True])
async def test_pending_transactions_are_simulated_and_the_answers_fed_back(*, in_order: bool) -> None:
    scene = Scene(in_order=in_order)
    fed: list[Event] = []
    scene.core.feed = fed.append  # type: ignore[method-assign,assignment]
    scene.does(UNREAD, UNREAD)
    assert scene.pending.asked == []
    await scene.core.settled()
    assert scene.pending.asked == [UNREAD, UNREAD]
    assert [event.now for event in fed] == [NOW if in_order else 4] * 2  # type: ignore[union-attr]


@pytest.mark.parametrize("in_order", [False, True])
async def test_simulations_of_pending_transactions_are_bounded(
    monkeypatch: pytest.MonkeyPatch, *, in_order: bool
) -> None:
    monkeypatch.setattr(core_module, "PENDING_UNDER_WAY", 1)
    scene = Scene(in_order=in_order)
    scene.does(UNREAD, UNREAD)
    await scene.core.settled()
    assert scene.pending.asked == [UNREAD]
    assert scene.core.counts["pending_unsimulated"] == 1


async def test_a_pipeline_that_simulates_needs_a_simulator(scene: Scene) -> None:
    scene.core._simulator = scene.core._pending = None
    with pytest.raises(RuntimeError, match="nobody is wired"):
        scene.does(UNREAD)
    with pytest.raises(RuntimeError, match="none is wired"):
        scene.does(SimulateBundle(plan_for(2_000)))


@pytest.mark.parametrize("effect", [SimulateBundle(plan_for(2_000)), alices()])
@pytest.mark.parametrize("in_order", [False, True])
async def test_what_is_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch, effect: Any, *, in_order: bool) -> None:
    scene = Scene(in_order=in_order)
    monkeypatch.setattr(core_module, "MAX_UNDER_WAY", 1)
    scene.relays.gate.clear()
    scene.simulator.gate.clear()
    scene.does(effect, effect)
    assert scene.core.counts[Reason.OUTBOX_FULL] == 1
    await scene.core.close()


async def test_withdrawals_have_room_where_requests_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    monkeypatch.setattr(core_module, "MAX_UNDER_WAY", 1)
    monkeypatch.setattr(core_module, "CANCELS_BESIDE", 1)
    scene.relays.gate.clear()
    cancel = CancelBundle(Hash32(b"\1" * 32), BlockNumber(2_000), Reason.VICTIM_GONE)
    scene.does(alices(), cancel, cancel)
    await asyncio.sleep(0)
    assert scene.relays.withdrawn == [cancel.replaces]
    assert scene.core.counts[Reason.OUTBOX_FULL] == 1
    await scene.core.close()


async def test_a_bug_in_a_request_is_told_and_harms_nothing_else(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.relays.error = "bug"
    with caplog.at_level(logging.ERROR):
        scene.does(alices())
        await scene.core.settled()
    assert scene.core.counts["faults"] == 1
    assert "failed unforeseen" in caplog.text


async def test_closing_gives_up_what_is_under_way(scene: Scene) -> None:
    scene.relays.gate.clear()
    scene.does(alices())
    await asyncio.sleep(0)
    await scene.core.close()
    assert scene.relays.sent == []
    assert scene.core.counts["faults"] == 0


async def test_an_event_goes_through_the_pipeline_to_signed_bytes(tmp_path: Path) -> None:
    market = small_market()
    plan = approved().plan
    found = Signer(SECRET, SigningLimits(ChainId(plan.chain_id), plan.entry_point, Wei(10**20)))
    scene = Scene(state=pipeline(market), log=EventLog(tmp_path / "events.jsonl"))
    scene.core._signers = dict.fromkeys(scene.core.state.settings.senders, PlansSigner(found, plan))
    for spec, state in market.pools:
        scene.core.feed(seen(swap_of(spec, state, part=0.2)))
    scene.core.feed(TimePassed(NOW), arrived=1)
    await scene.core.settled()
    assert scene.of(OpportunityFound)
    assert scene.of(BundleSigned)
    assert len(scene.relays.sent) == len(scene.of(BundleSigned))
    assert all(record.tick_to_bundle_ns > 0 for record in scene.of(BundleSigned))
    scene.core._event_log.close()  # type: ignore[union-attr]
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    assert len(lines) == len(market.pools) + 1


class PlansSigner(Signer):
    """A signer whose address is the plan's: the scene's hot key has no secret."""

    def __init__(self, real: Signer, plan: BundlePlan) -> None:
        super().__init__(SECRET, real._limits)
        self.address = plan.executions[0].sender
