"""Alerts: found in mined blocks and told; of others' each is recomputed from our own chain before it is believed.

What an alert claims has to be in its evidence (`block_alerts`), the hash of its block first. An alert that we come to
ourselves is true, one of a block that we know and do not come to is false; both verdicts are signed by the store, once.
Of a block that we do not know nothing is said. What no block gives by itself (`claims`) is looked at by other means,
with the next block that comes, and often cannot be judged: then nothing is signed, and nothing follows.

A false alert costs who tells it nothing, and us a signature on disk, a place in the store and a message: from one block
to the next only a few of one operator are answered, and of all together no more than leave room for accepts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from node.engine.anti_slashing import SlashableRefused
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.network.block_alerts import EVIDENCE_BYTES, block_alerts
from node.engine.network.claims import Claims
from node.engine.network.keys import NetworkKeys
from node.engine.network.mined_answers import answers_at, mined_answers
from node.engine.receipts import Receipt, block_receipts
from node.engine.rpc import RpcError
from node.engine.signing_journal import JournalError
from node.records import AnyRecord, NetworkAlertTold
from protocol.claims import CLAIM_BYTES
from protocol.kinds import Verdict
from protocol.messages import Envelope, Payload, SecurityAlert
from protocol.signing import alert_id
from protocol.statements import Attestation
from protocol.units import HASH_BYTES, Address, Hash32, UnixNanoseconds

BLOCKS_KNOWN: Final = 64
MAX_WAITING: Final = 256
"""For their blocks, and as many that are being judged."""
MAX_SAID: Final = 256
"""Of one block, who said which alert of it; beyond, the first is forgotten, and told anew if it is said anew."""
MAX_WAITING_OF_ONE: Final = 16
"""So that who tells of blocks that never come takes the place of its own alerts alone."""
MAX_REFUTED_OF_ONE: Final = 4
MAX_REFUTED: Final = 24
"""From one block to the next, claims that are judged at all among them: in the 1,088 blocks that the store remembers,
with our own less than half of its 65,536 slots."""
MAX_OF_BLOCK: Final = 96
"""Alerts of one block that are ours or confirmed, claims among them; beyond, others' claims are not judged."""
_SIZES: Final = EVIDENCE_BYTES | CLAIM_BYTES
UNJUDGED: Final = "unjudged"
"""In the ledger, the verdict on a claim of which nothing here can tell whether it is true."""
READ_SECONDS: Final = 10.0
GIVEN_UP_AFTER: Final = 8
"""Blocks later, one that cannot be read is left out: it may not be on the chain any more."""
_LOG: Final = logging.getLogger("hftnode.engine.network")


class _Block(msgspec.Struct, frozen=True):
    """A block that was looked at: its header, the alerts that it gives, and who said which (or a false one) of it."""

    header: Header
    alerts: dict[Hash32, SecurityAlert]
    said: dict[tuple[Hash32, Address], None] = msgspec.field(default_factory=dict)


class Alerts:
    """See the module. `counts`: `found`, `confirmed`, `refuted`, `not answered` (false ones beyond the bounds),
    `unknown block`, `left waiting` (given up for others), `attested`, `unread`, `said forgotten` (beyond MAX_SAID),
    `unjudged` (nothing here can tell), `claims put off` (to the next block: others are still looked at), `faults`,
    `left out` (blocks that nobody had time to look at), `not told` (of a block that is too old by now), `not attested`,
    `without evidence` (not of the form of its kind).
    """

    def __init__(
        self,
        endpoints: Endpoints,
        keys: NetworkKeys,
        now: Callable[[], UnixNanoseconds],
        claims: Claims,
        *,
        in_order: bool = True,
    ) -> None:
        """`in_order`: `work` ends when claims are judged, too; else they are beside it: simulations take their time."""
        self.claims, self._in_order = claims, in_order
        self._claiming: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()
        self.tell: Callable[[AnyRecord], object] = lambda _: None
        self.publish: Callable[[Payload], Awaitable[None]] = _nowhere
        self.on_confirmed: Callable[[SecurityAlert, Header], None] = lambda _alert, _header: None
        """Called once for each alert that our own means come to, whoever told it, and also where nobody is told."""
        self.on_block: Callable[[Header, Sequence[Receipt]], None] = lambda _header, _receipts: None
        """Called with what is in each block that was read, in its order."""
        self._endpoints, self._keys, self._now = endpoints, keys, now
        self._blocks: OrderedDict[Hash32, _Block] = OrderedDict()
        self._waiting: list[Envelope] = []
        self._unread: deque[Header] = deque(maxlen=BLOCKS_KNOWN)
        self._tasks: set[asyncio.Task[None]] = set()
        self._refuted: Counter[Address] = Counter()

    @property
    def busy(self) -> int:
        """How many alerts are being judged."""
        return len(self._tasks)

    def expect(self, header: Header) -> None:
        """A block is there, to be looked at by `work`; of more than BLOCKS_KNOWN that wait the oldest is left out."""
        self.counts["left out"] += len(self._unread) == BLOCKS_KNOWN
        self._unread.append(header)

    async def work(self) -> None:
        """Look at all blocks that wait, the oldest first, then at claims; what cannot be read is tried again later."""
        looked_at: Header | None = None
        while self._unread:
            header = self._unread[0]
            try:
                receipts = await block_receipts(self._endpoints, header.hash, READ_SECONDS)
                feeds = mined_answers(receipts.values())
                before = await answers_at(self._endpoints, feeds, header.parent_hash, READ_SECONDS)
            except RpcError as error:
                self.counts["unread"] += 1
                _LOG.info("block %d cannot be looked at: %s", header.number, error)
                if self._unread[-1].number - header.number < GIVEN_UP_AFTER:
                    break
                self._unread.popleft()
                continue
            self._unread.popleft()
            self.on_block(header, tuple(receipts.values()))
            await self._look(header, block_alerts(header, tuple(receipts.values()), before))
            looked_at = header
        if looked_at is None:
            return
        if self._in_order:
            await self._work_at_claims(looked_at)
        elif self._claiming is not None:
            self.counts["claims put off"] += 1
        else:
            self._claiming = asyncio.create_task(self._work_at_claims(looked_at))
            self._claiming.add_done_callback(self._claimed)

    async def _work_at_claims(self, header: Header) -> None:
        await self._claim(header)
        await self._judge_claims()

    def _claimed(self, done: asyncio.Task[None]) -> None:
        self._claiming = None
        if not done.cancelled() and (fault := done.exception()) is not None:
            self.counts["faults"] += 1
            _LOG.error("claims could not be judged", exc_info=fault)

    async def _look(self, header: Header, found: Sequence[SecurityAlert]) -> None:
        """Tell what is in a block, and judge what others said of it before it was here."""
        former = self._blocks.get(header.hash)  # it left the chain, and came back
        block = _Block(header, {alert_id(alert): alert for alert in found}, {} if former is None else former.said)
        self._blocks[header.hash] = block
        self._blocks.move_to_end(header.hash)
        self._refuted.clear()
        while len(self._blocks) > BLOCKS_KNOWN:
            self._blocks.popitem(last=False)
        for name, alert in block.alerts.items():
            await self._find(name, alert, block)
        here = self._take_waiting(lambda one: _block_of(one) == header.hash and not _is_claim(one))
        for envelope in here:
            await self._judge(envelope, block)

    async def _find(self, name: Hash32, alert: SecurityAlert, block: _Block) -> None:
        """We came to an alert ourselves, before anybody told us."""
        self.counts["found"] += 1
        self.on_confirmed(alert, block.header)
        self._told(name, alert, block, self._keys.account, Verdict.CONFIRMED)
        await self.publish(alert)
        await self._attest(name, block.header, Verdict.CONFIRMED)

    async def _claim(self, header: Header) -> None:
        """Tell what no block says by itself and we came to: one of each kind, whatever others have us judge."""
        for alert in await self.claims.begin(header, [block.header for block in self._blocks.values()]):
            block = self._blocks.get(Hash32(alert.evidence[:HASH_BYTES]))
            name = alert_id(alert)
            if block is None:
                self.counts["not told"] += 1
                self.on_confirmed(alert, header)
            elif name not in block.alerts:
                block.alerts[name] = alert
                await self._find(name, alert, block)
                self.claims.told(alert)

    async def _judge_claims(self) -> None:
        """Judge the claims that wait and whose block is here; after a failure of the chain's node the rest waits on."""
        ready = self._take_waiting(lambda one: _is_claim(one) and _block_of(one) in self._blocks)
        while ready:
            envelope = ready.pop(0)
            try:
                block = self._blocks.get(_block_of(envelope))
                if block is not None:  # it may be too old by now
                    await self._judge_claim(envelope, block)
            except RpcError as error:
                self.counts["unread"] += 1
                _LOG.info("an alert of 0x%s cannot be looked at: %s", envelope.operator.hex(), error)
                came_since, self._waiting = self._waiting, ready
                for later in came_since:  # within the bounds, which what was taken out did not count for
                    self._wait(later)
                return
            except Exception:  # who told it may have led to it: that costs nobody else's claim
                self.counts["faults"] += 1
                _LOG.exception("an alert of 0x%s could not be judged", envelope.operator.hex())

    async def _judge_claim(self, envelope: Envelope, block: _Block) -> None:
        alert = envelope.payload
        if not isinstance(alert, SecurityAlert) or (alert_id(alert), envelope.operator) in block.said:
            return
        name = alert_id(alert)
        if name in block.alerts:
            await self._judge(envelope, block)
            return
        if not self._has_room(block, envelope.operator):
            self.counts["not answered"] += 1
            return
        verdict = await self.claims.judge(alert, block.header, envelope.operator)
        self._told(name, alert, block, envelope.operator, verdict)
        if verdict is None:
            self.counts[UNJUDGED] += 1
            _LOG.info("of an alert of 0x%s we cannot tell: %s", envelope.operator.hex(), name.hex())
            return
        if verdict is Verdict.CONFIRMED:
            self.counts["confirmed"] += 1
            block.alerts[name] = alert
            self.on_confirmed(alert, block.header)
        else:
            self.counts["refuted"] += 1
            _LOG.warning("an alert of 0x%s is false: %s", envelope.operator.hex(), name.hex())
        await self._attest(name, block.header, verdict)

    def _has_room(self, block: _Block, operator: Address) -> bool:
        """Whether one more claim of this operator may be judged, before the next block and of its own."""
        return len(block.alerts) < MAX_OF_BLOCK and self._may_refute(operator)

    def _take_waiting(self, is_due: Callable[[Envelope], bool]) -> list[Envelope]:
        """Take out of those that wait what is due, in the order in which it came."""
        due = [envelope for envelope in self._waiting if is_due(envelope)]
        self._waiting = [envelope for envelope in self._waiting if not is_due(envelope)]
        return due

    def heard(self, envelope: Envelope) -> None:
        """Somebody tells an alert; it is judged now, or with its block if that is not here yet."""
        alert = envelope.payload
        if not isinstance(alert, SecurityAlert) or len(alert.evidence) != _SIZES.get(alert.kind):
            self.counts["without evidence"] += 1
            return
        block = self._blocks.get(_block_of(envelope))
        if block is not None and _is_claim(envelope):
            self._wait(envelope)
            return
        if block is not None and len(self._tasks) >= MAX_WAITING:
            self.counts["not answered"] += 1
            return
        if block is not None:
            self._tasks.add(task := asyncio.create_task(self._judge(envelope, block)))
            task.add_done_callback(self._tasks.discard)
            return
        self.counts["unknown block"] += 1
        self._wait(envelope)

    def _wait(self, envelope: Envelope) -> None:
        """Keep an alert for later.

        Beyond the bounds one is left out: the oldest of who is over its own, else of who has most waiting.
        """
        operator = envelope.operator
        self._waiting.append(envelope)
        waiting = Counter(one.operator for one in self._waiting)
        if waiting[operator] > MAX_WAITING_OF_ONE:
            leaves = operator
        elif len(self._waiting) > MAX_WAITING:
            leaves = max(waiting, key=waiting.__getitem__)
        else:
            return
        self.counts["left waiting"] += 1
        del self._waiting[next(place for place, one in enumerate(self._waiting) if one.operator == leaves)]

    async def close(self) -> None:
        """Give up what is being judged."""
        tasks = [*self._tasks, *([] if self._claiming is None else [self._claiming])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge(self, envelope: Envelope, block: _Block) -> None:
        alert = envelope.payload
        if not isinstance(alert, SecurityAlert):
            return
        name = alert_id(alert)
        verdict = Verdict.CONFIRMED if name in block.alerts else Verdict.REFUTED
        if verdict is Verdict.REFUTED and not self._may_refute(envelope.operator):
            self.counts["not answered"] += 1
            return
        self.counts["confirmed" if verdict is Verdict.CONFIRMED else "refuted"] += 1
        self._told(name, alert, block, envelope.operator, verdict)
        if verdict is Verdict.REFUTED:
            _LOG.warning("an alert of 0x%s is false: %s", envelope.operator.hex(), name.hex())
            await self._attest(name, block.header, verdict)

    def _may_refute(self, operator: Address) -> bool:
        """Whether one more false alert of this operator is answered before the next block."""
        if self._refuted[operator] >= MAX_REFUTED_OF_ONE or self._refuted.total() >= MAX_REFUTED:
            return False
        self._refuted[operator] += 1
        return True

    async def _attest(self, name: Hash32, header: Header, verdict: Verdict) -> None:
        slashable = self._keys.slashable
        if slashable is None:
            self.counts["not attested"] += 1
            return
        attestation = Attestation(
            alert_id=name,
            block_hash=header.hash,
            verdict=verdict,
            block_number=header.number,
            timestamp=header.timestamp,
        )
        try:
            signed = slashable.attest(attestation)
        except (SlashableRefused, JournalError) as error:
            self.counts["not attested"] += 1
            _LOG.info("no attestation: %s", error)
            return
        self.counts["attested"] += 1
        await self.publish(signed)

    def _told(self, name: Hash32, alert: SecurityAlert, block: _Block, by: Address, verdict: Verdict | None) -> None:
        """Put it into the ledger, once for each who says it while its block is known."""
        said = name, by
        if said in block.said:
            return
        block.said[said] = None
        if len(block.said) > MAX_SAID:
            del block.said[next(iter(block.said))]
            self.counts["said forgotten"] += 1
        self.tell(
            NetworkAlertTold(
                alert_id=name,
                alert_kind=alert.kind.name.lower(),
                subject=alert.subject,
                severity=alert.severity.name.lower(),
                evidence=alert.evidence,
                block=block.header.number,
                block_hash=block.header.hash,
                operator=by,
                verdict=UNJUDGED if verdict is None else verdict.name.lower(),
                at=self._now(),
            )
        )


def _block_of(envelope: Envelope) -> Hash32:
    """The block that an alert with evidence is about."""
    alert = envelope.payload
    return Hash32(alert.evidence[:HASH_BYTES] if isinstance(alert, SecurityAlert) else b"")


def _is_claim(envelope: Envelope) -> bool:
    alert = envelope.payload
    return isinstance(alert, SecurityAlert) and alert.kind in CLAIM_BYTES


async def _nowhere(_: Payload) -> None:
    return
