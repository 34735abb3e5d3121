"""The engine's core: an event goes through the pipeline, and its effects go where they belong, in their order.

`feed` is synchronous: whatever waits (relays, a simulation by RPC) goes on in a bounded set of tasks. What is sent is
on the spool before its first byte leaves; where the spool fails, the kill switch goes on and nothing more is signed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import msgspec

from node.engine.errors import SpoolFailed
from node.engine.event_log import EventLog
from node.engine.outcomes import Outcomes
from node.engine.record_making import found_record, signed_record
from node.engine.relays import Relays
from node.engine.signer import Signer, SigningRefused
from node.engine.unsent import Unsent
from node.pipeline import events
from node.pipeline.events import Effect, Event, ResyncLoans, ResyncPools, ScreenTokens, SimulateBundle, SimulatePending
from node.pipeline.plans import BundlePlan
from node.pipeline.ports import PendingSimulator, Simulator
from node.pipeline.reasons import Reason
from node.pipeline.risk import StoppedBy
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from node.records import AlertRaised, AnyRecord, BundleSimulatedRecord, OpportunityDropped
from protocol.units import Address, BlockNumber, Hash32, UnixNanoseconds, Wei

MAX_UNDER_WAY: Final = 256
"""Requests to relays and simulations at once; more are dropped and counted."""
PENDING_UNDER_WAY: Final = 64
"""With more at once, pending transactions are not simulated; counted as `pending_unsimulated`."""
CANCELS_BESIDE: Final = 256
"""Room beyond it for withdrawals alone: what is not withdrawn may land."""
LATENCIES: Final = 4_096

_LOG: Final = logging.getLogger("hftnode.engine")
_Answer = TypeVar("_Answer")

Recorder = Callable[[AnyRecord], None]
"""Puts a record where the desk will find it. Raises SpoolFailed."""


class EngineCore:
    """See the module. `signers` is empty in shadow mode: then everything is told and nothing is signed."""

    def __init__(
        self,
        state: PipelineState,
        signers: Mapping[Address, Signer],
        relays: Relays,
        outcomes: Outcomes,
        record: Recorder,
        now: Callable[[], UnixNanoseconds],
        *,
        simulator: Simulator | None = None,
        pending: PendingSimulator | None = None,
        in_order: bool = False,
        log: EventLog | None = None,
    ) -> None:
        """`in_order`: simulations wait until `settled` is awaited, and are taken in in the order of the questions, so
        that a run in lockstep does not depend on the machine's speed.
        """
        self.state, self.outcomes = state, outcomes
        self.counts: Counter[str] = Counter()
        self.opportunities: Counter[str] = Counter()
        self.latencies_ns: deque[int] = deque(maxlen=LATENCIES)
        """From an event's arrival to signed bytes, of the last bundles."""
        self.head = BlockNumber(0)
        """Of the last header seen: what is for it or an earlier one is late."""
        self.resync: Callable[[ResyncPools | ResyncLoans | ScreenTokens], None] = lambda _: None
        """The chain reader's, set where both are wired."""
        self.hand_over: Callable[[events.HandOver], None] = lambda _: None
        self.answer_order: Callable[[events.AnswerOrder], None] = lambda _: None
        self.is_forbidden: Callable[[Hash32], bool] = lambda _: False
        """The network's, likewise: an order that must not be executed, because its accept was not signed."""
        self._signers, self._relays, self._record, self._now = dict(signers), relays, record, now
        self._simulator, self._pending, self._in_order, self._event_log = simulator, pending, in_order, log
        self._stopped_by_spool = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._questions: deque[SimulateBundle | SimulatePending] = deque()
        """In lockstep: simulations that wait for `settled`."""
        self._unsent = Unsent()
        self._do: Final[dict[type, Callable[[Any, int], None]]] = {
            events.SimulateBundle: self._simulate,
            events.SimulatePending: self._simulate_pending,
            events.SignAndSubmit: self._sign_and_send,
            events.CancelBundle: self._cancel,
            events.RecordOpportunity: self._opportunity,
            events.RecordDrop: self._drop,
            events.ResyncPools: self._resync,
            events.ResyncLoans: self._resync,
            events.ScreenTokens: self._resync,
            events.RaiseAlert: self._alert,
            events.HandOver: lambda effect, _: self.hand_over(effect),
            events.AnswerOrder: lambda effect, _: self.answer_order(effect),
        }

    def replace(self, former: Address, signer: Signer) -> None:
        """Let another key sign in a former one's place; that one still withdraws what it sent."""
        self._signers[signer.address] = signer
        self.outcomes.also_ours(signer.address)
        self.feed(events.SenderReplaced(former, signer.address))

    def feed(self, event: Event, arrived: int | None = None) -> None:
        """Step the pipeline. `arrived`: when the event came in, on `time.perf_counter_ns`; by default now."""
        begun = time.perf_counter_ns() if arrived is None else arrived
        effects = step(self.state, event)
        if self._event_log is not None:
            self._event_log.write(event, effects)
        for effect in effects:
            self._dispatch(effect, begun)

    def tell(self, record: AnyRecord) -> bool:
        """Put a record on the spool; where that fails, return False, and execute nothing until it works again."""
        try:
            self._record(record)
        except SpoolFailed as error:
            self.counts["unrecorded"] += 1
            if not self._stopped_by_spool:
                self._stopped_by_spool = True
                _LOG.critical("%s; executing nothing until it works again", error)
                self.feed(events.KillSwitchSet(True, str(error), StoppedBy.SPOOL))
            return False
        if self._stopped_by_spool:
            self._stopped_by_spool = False
            self.feed(events.KillSwitchSet(False, "the spool works again", StoppedBy.SPOOL))
        return True

    def begin(self, block: BlockNumber) -> None:
        """A block is there: what is for it and was not sent is told of and given up."""
        self.head = block
        for opportunity, reason in self._unsent.overdue(block):
            self.tell(OpportunityDropped(found=found_record(opportunity), reason=reason, at=self._now()))
            self.feed(events.ExecutionMissed(opportunity.id, reason, Wei(0)))

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside the pipeline, within the bound on requests."""
        self._start(work)

    async def settled(self) -> None:
        """Return when nothing is under way any more: every answer has come and is taken in."""
        while self._questions or self._tasks:
            if self._questions:
                await self._answer_questions()
            else:
                await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give up what is under way."""
        waiting = list(self._tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _dispatch(self, effect: Effect, begun: int) -> None:
        self._do[type(effect)](effect, begun)

    def _simulate(self, effect: SimulateBundle, _: int) -> None:
        if self._simulator is None:
            raise RuntimeError("the pipeline asks for simulations, and none is wired")
        if self._is_late(effect.plan):
            return
        if not self._in_order:
            self._start(self._simulate_now(effect, self._simulator))
        elif len(self._questions) < MAX_UNDER_WAY:
            self._questions.append(effect)
        else:
            self.counts[Reason.OUTBOX_FULL] += 1

    def _simulate_pending(self, effect: SimulatePending, _: int) -> None:
        if self._pending is None:
            raise RuntimeError("the pipeline asks for simulations of pending transactions, and nobody is wired")
        under_way = len(self._questions) if self._in_order else len(self._tasks)
        if under_way >= PENDING_UNDER_WAY:
            self.counts["pending_unsimulated"] += 1
        elif self._in_order:
            self._questions.append(effect)
        else:
            self._start(self._simulate_pending_now(effect, self._pending))

    async def _simulate_pending_now(self, effect: SimulatePending, simulator: PendingSimulator) -> None:
        self.feed(await simulator.simulate(effect))

    async def _simulate_now(self, effect: SimulateBundle, simulator: Simulator) -> None:
        answer, took = await _timed(simulator.simulate(effect))
        self._simulated(effect, answer, took)

    async def _answer_questions(self) -> None:
        """Simulate what waits, all at once; take the answers in in the order of the questions, at one time."""
        asked = list(self._questions)
        self._questions.clear()
        answers = await asyncio.gather(*map(self._answer, asked))
        for effect, (answer, took) in zip(asked, answers, strict=True):
            if len(self._tasks) > MAX_UNDER_WAY // 2:  # the bound on requests must not depend on who answers how fast
                await asyncio.wait(self._tasks)
            if isinstance(effect, SimulateBundle) and isinstance(answer, events.BundleSimulated):
                self._simulated(effect, answer, took)
            elif answer is not None:
                self.feed(msgspec.structs.replace(answer, now=self._now()))

    async def _answer(
        self, effect: SimulateBundle | SimulatePending
    ) -> tuple[events.BundleSimulated | events.PendingSimulated | None, int]:
        """The answer to a question, and how long it took; None to one whose block is there already."""
        if isinstance(effect, SimulateBundle):
            if self._simulator is None:
                raise RuntimeError("questions wait, and no simulator is wired")
            return (None, 0) if self._is_late(effect.plan) else await _timed(self._simulator.simulate(effect))
        if self._pending is None:
            raise RuntimeError("questions wait, and no simulator is wired")
        return await _timed(self._pending.simulate(effect))

    def _simulated(self, effect: SimulateBundle, answer: events.BundleSimulated, took_ns: int) -> None:
        """Tell of a simulation and feed it back, with the time at which this happens: in lockstep that has an order."""
        if self._is_late(effect.plan):
            return
        self.tell(
            BundleSimulatedRecord(
                opportunity_ids=tuple(opportunity.id for opportunity in effect.plan.opportunities),
                failure=answer.failure,
                detail="",
                profits=tuple(str(profit) for profit in answer.profits),
                gas_used=answer.gas_used,
                took_ns=took_ns,
            )
        )
        self.feed(msgspec.structs.replace(answer, now=self._now()))

    def _is_late(self, plan: BundlePlan) -> bool:
        """Whether the block is there already. A new nonce renews plans of the last block too, so that it is common."""
        is_late = plan.target_block <= self.head
        self.counts["plans_late"] += is_late
        return is_late

    def _sign_and_send(self, effect: events.SignAndSubmit, begun: int) -> None:
        plan = effect.plan
        if self._is_late(plan):
            return
        if self.state.gate.kill_switch:  # it may have been turned on between the plan and this
            self.counts["plans_stopped"] += 1
            self._unsent.refused(plan.opportunities, Reason.KILL_SWITCH)
            return
        if any(one.order is not None and self.is_forbidden(one.order.order_hash) for one in plan.opportunities):
            self.counts["orders_forbidden"] += 1
            self._unsent.refused(plan.opportunities, Reason.SIGNING_REFUSED)
            return
        signer = self._signers.get(plan.executions[0].sender)
        if signer is None:
            self._unsent.refused(plan.opportunities, Reason.SHADOW)
            return
        try:
            bundle = signer.sign(effect)
        except SigningRefused as error:
            self.counts["signing_refused"] += 1
            self._unsent.refused(plan.opportunities, Reason.SIGNING_REFUSED)
            _LOG.error("not signed: %s", error)
            return
        took = time.perf_counter_ns() - begun
        if not self.tell(signed_record(bundle, self._now(), took)):
            return
        self.latencies_ns.append(took)
        self.counts["bundles_sent"] += 1
        self._unsent.settled(plan.opportunities)
        self.outcomes.expect(bundle)
        self._start(self._send(bundle, signer))

    async def _send(self, bundle: Any, signer: Signer) -> None:
        answers = await self._relays.send(bundle, signer.identity)
        self.outcomes.answered(answers)
        for answer in answers:
            self.tell(answer)

    def _cancel(self, effect: events.CancelBundle, _: int) -> None:
        if effect.target_block <= self.head:
            return
        self.counts["bundles_cancelled"] += 1
        for signer in self._signers.values():
            self._start(self._withdraw(effect, signer), MAX_UNDER_WAY + CANCELS_BESIDE)

    async def _withdraw(self, effect: events.CancelBundle, signer: Signer) -> None:
        await self._relays.cancel(effect.replaces, signer.identity)

    def _opportunity(self, effect: events.RecordOpportunity, _: int) -> None:
        self.opportunities[effect.opportunity.kind.name.lower()] += 1
        self.tell(found_record(effect.opportunity))
        if effect.opportunity.id not in self.outcomes:
            self.counts["unsent_forgotten"] += self._unsent.found(effect.opportunity)

    def _drop(self, effect: events.RecordDrop, _: int) -> None:
        self._unsent.settled([effect.opportunity])
        record = found_record(effect.opportunity)
        self.tell(OpportunityDropped(found=record, reason=effect.reason, at=self._now()))

    def _resync(self, effect: ResyncPools | ResyncLoans | ScreenTokens, _: int) -> None:
        self.resync(effect)

    def _alert(self, effect: events.RaiseAlert, _: int) -> None:
        _LOG.warning("%s: %s", effect.kind.value, effect.detail)
        self.tell(AlertRaised(kind=effect.kind.value, detail=effect.detail, at=self._now()))

    def _start(self, work: Coroutine[Any, Any, None], most: int | None = None) -> None:
        if len(self._tasks) >= (MAX_UNDER_WAY if most is None else most):
            work.close()
            self.counts[Reason.OUTBOX_FULL] += 1
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["faults"] += 1
            _LOG.error("a request failed unforeseen", exc_info=error)


async def _timed(work: Awaitable[_Answer]) -> tuple[_Answer, int]:
    """The answer, and the nanoseconds that it took."""
    begun = time.perf_counter_ns()
    return await work, time.perf_counter_ns() - begun
