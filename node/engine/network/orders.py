"""Orders on their way: ours sealed to the leader of their block and asked within 250 ms, others' opened and answered.

    pipeline ──HandOver──▶ sign, seal, ask ──▶ OrderAnswered ──▶ pipeline
    peer ──sealed order──▶ open, check ──OrderArrived──▶ pipeline ──AnswerOrder──▶ sign by the store ──▶ peer

What a leader accepts it is held to: `on_promise` is told (`watcher`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from node.clock import Clock, within
from node.engine.anti_slashing import SlashableRefused
from node.engine.network.keys import NetworkKeys
from node.engine.network.registry import Registry
from node.engine.network.sentry_link import SentryLink
from node.engine.network.shown import Shown
from node.engine.network.watcher import Promised
from node.engine.signing_journal import JournalError
from node.pipeline.events import (
    AnswerOrder,
    Event,
    HandOver,
    OrderAnswer,
    OrderAnswered,
    OrderArrived,
    OrderVerdict,
)
from node.pipeline.plans import Opportunity
from node.records import AnyRecord, OrderTold
from protocol.codec import DirectMessage
from protocol.errors import BadSignature, InvalidField, RemoteProtocolError, TooLarge
from protocol.kinds import DeclineReason
from protocol.messages import (
    Decline,
    Have,
    OrderHandover,
    SealedOrder,
    SealingKeyRequest,
    SignedAccept,
    SignedSealingKey,
)
from protocol.sealing import KEY_BYTES, SealingSecret, open_sealed, seal
from protocol.signing import digest, verify
from protocol.statements import Accept, Order, SealingKey
from protocol.units import Address, BlockNumber, Hash32, PeerIdHash, UnixNanoseconds, Wei

ANSWER_SECONDS: Final = 0.25
KEY_SECONDS: Final = 0.5
DECIDE_SECONDS: Final = 0.2
"""Of the answer's time, what we take ourselves; not in lockstep, where it depended on the machine."""
HEADS_APART: Final = 2
"""By so many blocks the head that an accept names may differ from ours …"""
SECONDS_APART: Final = 900
"""… and by so much that head's time: a slow chain's two blocks, and soon enough no future to the court."""
MAX_UNDER_WAY: Final = 12
"""Orders on their way to their leader at once: each has a stream, of which a connection has 32, gossip's included."""
MAX_KEYS: Final = 4_096
_LOG: Final = logging.getLogger("hftnode.engine.network")


class OrderDesk:
    """See the module. `feed` steps the pipeline, `tell` writes to the ledger. `refused`: orders that must not run."""

    def __init__(
        self,
        keys: NetworkKeys,
        registry: Registry,
        sentry: SentryLink,
        clock: Clock,
        now: Callable[[], UnixNanoseconds],
        *,
        draw: Callable[[int], bytes] = os.urandom,
        decide_seconds: float = DECIDE_SECONDS,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: dict[Hash32, None] = {}
        self.feed: Callable[[Event], None] = lambda _: None
        self.tell: Callable[[AnyRecord], object] = lambda _: None
        self.on_revealed: Callable[[Address, Wei], None] = lambda *_: None
        """A find of this gross profit goes to a leader, who can read it from now on."""
        self.on_given: Callable[[Order, Hash32, Wei, bool], None] = lambda *_: None
        """An order, its hash, the find's gross profit, whether it was accepted."""
        self.on_promise: Callable[[Promised], None] = lambda _: None
        self.on_refused: Callable[[Address, Opportunity], None] = lambda *_: None
        """A leader was shown a find and did not take it."""
        self.on_withheld: Callable[[Opportunity], None] = lambda _: None
        """A find is shown to nobody, to tell chance from theft (`shown`)."""
        self._keys, self._registry, self._sentry, self._clock, self._now = keys, registry, sentry, clock, now
        self._sealing: dict[Address, SealingKey] = {}
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[DirectMessage]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching: dict[Address, asyncio.Task[None]] = {}
        self._draw, self._decide_seconds = draw, decide_seconds

    @property
    def busy(self) -> int:
        """How much is under way that waits neither for a peer nor, as an order that came in, for the pipeline."""
        undecided = sum(not decided.done() for decided in self._waiting.values())
        return len(self._tasks) + len(self._fetching) - undecided

    # As finder

    def hand_over(self, effect: HandOver) -> None:
        """Start to ask the leader; the pipeline hears the answer, or that there is none."""
        if Shown.is_control(effect.opportunity.id):
            self.counts["withheld"] += 1
            self.on_withheld(effect.opportunity)
            self._answered(effect, OrderAnswer.SILENT)
            return
        if len(self._tasks) >= MAX_UNDER_WAY:
            self.counts["not given: too many"] += 1
            self._answered(effect, OrderAnswer.SILENT)
            return
        task = asyncio.create_task(self._give(effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def fetch_keys(self, leaders: Iterable[Address], target: BlockNumber) -> None:
        """Begin to ask those whose turn comes for their sealing keys, before an order has to wait for one."""
        for leader in leaders:
            if leader == self._keys.account or leader in self._fetching or self._known_key(leader, target) is not None:
                continue
            self._fetching[leader] = asyncio.create_task(self._fetch_key(leader, target))

    async def close(self) -> None:
        """Give up what is under way."""
        under_way = [*self._tasks, *self._fetching.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _fetch_key(self, leader: Address, target: BlockNumber) -> None:
        try:
            await self._sealing_key(leader, target)
        finally:
            del self._fetching[leader]

    async def _give(self, effect: HandOver) -> None:
        order, begun = effect.order, time.perf_counter_ns()
        order_hash = digest(self._keys.domain, order)
        answer, said = OrderAnswer.SILENT, ""
        try:
            answer, said = await self._asked_leader(effect, order_hash)
        finally:
            self.counts[f"given {answer.value}"] += 1
            self.on_given(order, order_hash, effect.opportunity.gross_profit_wei, answer is OrderAnswer.ACCEPT)
            self.tell(
                OrderTold(
                    order_hash=order_hash,
                    role="finder",
                    peer=order.executor,
                    target_block=order.target_block,
                    primary_key=order.primary_key,
                    answer=answer.value,
                    detail=said,
                    lack=effect.lack,
                    is_backup=effect.is_backup,
                    took_ns=time.perf_counter_ns() - begun,
                    at=self._now(),
                )
            )
            self._answered(effect, answer)

    async def _asked_leader(self, effect: HandOver, order_hash: Hash32) -> tuple[OrderAnswer, str]:
        order = effect.order
        record = self._registry.operators.get(order.executor)
        sealing = await self._sealing_key(order.executor, order.target_block)
        if record is None or sealing is None:
            return OrderAnswer.SILENT, "no sealing key"
        try:
            handover = OrderHandover(order=order, signature=self._keys.order(order), route=effect.route)
            sealed = seal(self._keys.domain, handover, sealing, SealingSecret(self._draw(KEY_BYTES)))
        except (InvalidField, TooLarge) as error:
            return OrderAnswer.SILENT, str(error)
        self.on_revealed(order.executor, effect.opportunity.gross_profit_wei)
        taken = OrderAnswer.SILENT, ""
        try:
            taken = await self._taken(effect, order_hash, record.peer_id_hash, sealed)
        finally:
            if taken[0] is not OrderAnswer.ACCEPT:
                self.on_refused(order.executor, effect.opportunity)
        return taken

    async def _taken(
        self, effect: HandOver, order_hash: Hash32, peer: PeerIdHash, sealed: SealedOrder
    ) -> tuple[OrderAnswer, str]:
        """Show the leader a find, and return what it says."""
        order = effect.order
        answer = await self._sentry.ask(peer, sealed, ANSWER_SECONDS)
        if isinstance(answer, SignedAccept):
            if not self._is_bound(answer, order, order_hash):
                return OrderAnswer.SILENT, "its accept does not bind it"
            found = effect.opportunity
            self.on_promise(Promised(order.executor, answer, found.kind, found.gross_profit_wei))
            return OrderAnswer.ACCEPT, ""
        if isinstance(answer, Have) and answer.order_hash == order_hash:
            return OrderAnswer.HAVE, ""
        if isinstance(answer, Decline):
            return OrderAnswer.DECLINE, answer.reason.name.lower()
        return OrderAnswer.SILENT, "no answer"

    def _is_bound(self, answer: SignedAccept, order: Order, order_hash: Hash32) -> bool:
        """Whether an accept is of this order, made now, and signed by the leader's key in force.

        One that says another time than now would be no evidence: the court takes none from the future, nor an old one.
        """
        accept, head = answer.accept, self._registry.head
        key = self._registry.key_of(order.executor, accept.block_number, accept.timestamp)
        named = (order_hash, order.primary_key, order.target_block)
        is_now = (
            head is not None
            and abs(accept.block_number - head.number) <= HEADS_APART
            and abs(accept.timestamp - head.timestamp) <= SECONDS_APART
        )
        if key is None or not is_now or (accept.order_hash, accept.primary_key, accept.target_block) != named:
            self.counts["accepts that bind nobody"] += 1
            return False
        try:
            verify(self._keys.domain, accept, answer.signature, key)
        except BadSignature:
            self.counts["accepts that bind nobody"] += 1
            return False
        return True

    def _answered(self, effect: HandOver, answer: OrderAnswer) -> None:
        self.feed(OrderAnswered(effect.opportunity.id, answer, self._now()))

    def _known_key(self, operator: Address, target: BlockNumber) -> SealingKey | None:
        known = self._sealing.get(operator)
        return known if known is not None and known.from_block <= target <= known.until_block else None

    async def _sealing_key(self, operator: Address, target: BlockNumber) -> SealingKey | None:
        known, record = self._known_key(operator, target), self._registry.operators.get(operator)
        if known is not None or record is None or self._registry.head is None:
            return known
        question = SealingKeyRequest(target_block=target)
        told = await self._sentry.ask(record.peer_id_hash, question, KEY_SECONDS)
        head = self._registry.head
        key = self._registry.key_of(operator, head.number, head.timestamp)
        if not isinstance(told, SignedSealingKey) or key is None or told.sealing_key.operator != operator:
            return None
        try:
            verify(self._keys.domain, told.sealing_key, told.signature, key)
        except BadSignature:
            self.counts["sealing keys refused"] += 1
            return None
        if len(self._sealing) >= MAX_KEYS:
            self._sealing.clear()
        self._sealing[operator] = told.sealing_key
        return self._known_key(operator, target)

    # As leader

    async def asked(self, peer: PeerIdHash, sealed: SealedOrder) -> DirectMessage | None:
        """Answer a sealed order within the time that its finder waits; nothing to who is no operator."""
        leaders = self._registry.leaders
        if leaders is None or peer not in self._registry.peers:
            return None
        first = leaders.rules.first_block(leaders.rules.epoch_of(sealed.target_block))
        try:
            handover = self._opened(sealed, first)
            order_hash = digest(self._keys.domain, handover.order)
            self._check(handover, peer)
        except (RemoteProtocolError, InvalidField):
            self.counts["boxes refused"] += 1
            return None
        return await self._decided(handover, order_hash, handover.order.finder)

    def _opened(self, sealed: SealedOrder, first: BlockNumber) -> OrderHandover:
        """Open a box for the epoch that begins at `first`. Raises what `open_sealed` raises."""
        *earlier, last = self._keys.opening_secrets(first)
        for secret in earlier:
            with contextlib.suppress(RemoteProtocolError):
                return open_sealed(self._keys.domain, sealed, secret)
        return open_sealed(self._keys.domain, sealed, last)

    def answer(self, effect: AnswerOrder) -> None:
        """Send the pipeline's answer. An accept that the store refuses becomes a decline, and must not be executed."""
        waiting = self._waiting.get(effect.number)
        message = self._message(effect, is_awaited=waiting is not None and not waiting.done())
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def _decided(self, handover: OrderHandover, order_hash: Hash32, finder: Address) -> DirectMessage:
        number, begun = next(self._numbers), time.perf_counter_ns()
        decided = self._waiting[number] = asyncio.get_running_loop().create_future()
        order = handover.order
        try:
            self.feed(OrderArrived(number, order, order_hash, handover.signature, handover.route, self._now()))
            message: DirectMessage = await within(self._clock, self._decide_seconds, decided)
        except TimeoutError:
            self._forbid(order_hash)
            message = Decline(order_hash=order_hash, reason=DeclineReason.BUSY)
        finally:
            self._waiting.pop(number, None)
        said = message.reason.name.lower() if isinstance(message, Decline) else ""
        answer = {SignedAccept: "accept", Have: "have"}.get(type(message), "decline")
        self.counts[f"received {answer}"] += 1
        self.tell(
            OrderTold(
                order_hash=order_hash,
                role="leader",
                peer=finder,
                target_block=order.target_block,
                primary_key=order.primary_key,
                answer=answer,
                detail=said,
                lack="",
                is_backup=False,
                took_ns=time.perf_counter_ns() - begun,
                at=self._now(),
            )
        )
        return message

    def _message(self, effect: AnswerOrder, *, is_awaited: bool) -> DirectMessage:
        if effect.verdict is OrderVerdict.HAVE:
            return Have(order_hash=effect.order_hash)
        if effect.verdict is OrderVerdict.DECLINE:
            return Decline(order_hash=effect.order_hash, reason=effect.reason or DeclineReason.INVALID)
        accept = self._accept(effect) if is_awaited else None
        if accept is None:
            self._forbid(effect.order_hash)
            return Decline(order_hash=effect.order_hash, reason=DeclineReason.CONFLICT)
        return accept

    def _accept(self, effect: AnswerOrder) -> SignedAccept | None:
        """Return our promise, after it is on disk; None where the store does not let us make it."""
        head, slashable = self._registry.head, self._keys.slashable
        if head is None or slashable is None:
            return None
        accept = Accept(
            order_hash=effect.order_hash,
            primary_key=effect.order.primary_key,
            target_block=effect.order.target_block,
            block_number=head.number,
            timestamp=head.timestamp,
        )
        try:
            signed = slashable.accept(accept)
        except SlashableRefused as error:
            self.counts["accepts not signed"] += 1
            _LOG.warning("an order is not accepted: %s", error)
            return None
        except JournalError as error:
            self.counts["accepts not signed"] += 1
            _LOG.error("an order is not accepted: %s", error)
            return None
        return signed

    def _forbid(self, order_hash: Hash32) -> None:
        self.refused[order_hash] = None
        while len(self.refused) > MAX_KEYS:
            del self.refused[next(iter(self.refused))]

    def _check(self, handover: OrderHandover, peer: PeerIdHash) -> None:
        """Raise BadSignature unless the order is of who sent it, signed by its key in force now.

        Whose the peer is, the finder's own record says: several may name one peer, and nobody proves that it is theirs.
        """
        head, finder = self._registry.head, handover.order.finder
        record = self._registry.operators.get(finder)
        key = None if head is None else self._registry.key_of(finder, head.number, head.timestamp)
        if key is None or record is None or record.peer_id_hash != peer:
            raise BadSignature("not of the operator whose peer sent it", "order.finder")
        verify(self._keys.domain, handover.order, handover.signature, key)
