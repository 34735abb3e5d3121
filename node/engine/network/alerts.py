"""Alerts: found in mined blocks and told; of others' each is recomputed from our own chain before it is believed.

What an alert claims has to be in its evidence: of a sandwich the block's hash, the front, the first victim, the back.
An alert that we come to ourselves is true, one of a block that we know and do not come to is false; both verdicts are
signed by the store, once. Of a block that we do not know nothing is said.

A false alert costs who tells it nothing, and us a signature on disk, a place in the store and a message: from one block
to the next only a few of one operator are answered, and of all together no more than leave room for accepts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

import msgspec

from node.engine.anti_slashing import SlashableRefused
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.network.keys import NetworkKeys
from node.engine.network.mined_swaps import mined_swaps
from node.engine.receipts import Receipt, block_receipts
from node.engine.rpc import RpcError
from node.engine.signing_journal import JournalError
from node.pipeline.detectors.sandwich import Sandwich, sandwiches
from node.records import AnyRecord, NetworkAlertTold
from protocol.ethereum.keccak import keccak256
from protocol.kinds import AlertKind, Severity, Verdict
from protocol.layout import WORD_BYTES
from protocol.messages import Envelope, Payload, SecurityAlert
from protocol.signing import alert_id
from protocol.statements import Attestation
from protocol.units import HASH_BYTES, Address, Hash32, UnixNanoseconds, UnixSeconds

BLOCKS_KNOWN: Final = 64
STANDS_SECONDS: Final = 3_600
"""For so long a sandwich that was seen is told of."""
MAX_WAITING: Final = 256
MAX_REFUTED_OF_ONE: Final = 4
MAX_REFUTED: Final = 24
"""From one block to the next: in the 1,088 blocks that the store remembers, less than half of its 65,536 slots."""
READ_SECONDS: Final = 10.0
GIVEN_UP_AFTER: Final = 8
"""Blocks later, one that cannot be read is left out: it may not be on the chain any more."""
EVIDENCE_BYTES: Final = 4 * HASH_BYTES
_LOG: Final = logging.getLogger("hftnode.engine.network")


class _Block(msgspec.Struct, frozen=True):
    """A block that was looked at: its header, and the alerts that it gives."""

    header: Header
    alerts: dict[Hash32, SecurityAlert]


class Alerts:
    """See the module. `counts`: `found`, `confirmed`, `refuted`, `not answered` (false ones beyond the bounds),
    `unknown block`, `attested`, `unread`.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        keys: NetworkKeys,
        routers: Collection[Address],
        now: Callable[[], UnixNanoseconds],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.tell: Callable[[AnyRecord], object] = lambda _: None
        self.publish: Callable[[Payload], Awaitable[None]] = _nowhere
        self.on_confirmed: Callable[[SecurityAlert, Header], None] = lambda _alert, _header: None
        """Called once for each alert that our own look at the chain comes to, whoever told it."""
        self._endpoints, self._keys, self._routers, self._now = endpoints, keys, frozenset(routers), now
        self._blocks: OrderedDict[Hash32, _Block] = OrderedDict()
        self._waiting: dict[Hash32, list[Envelope]] = {}
        self._unread: deque[Header] = deque(maxlen=BLOCKS_KNOWN)
        self._tasks: set[asyncio.Task[None]] = set()
        self._said: OrderedDict[tuple[Hash32, Address], None] = OrderedDict()
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
        """Look at all blocks that wait, the oldest first; one that cannot be read is tried again the next time."""
        while self._unread:
            header = self._unread[0]
            try:
                receipts = await block_receipts(self._endpoints, header.hash, READ_SECONDS)
            except RpcError as error:
                self.counts["unread"] += 1
                _LOG.info("block %d cannot be looked at for sandwiches: %s", header.number, error)
                if self._unread[-1].number - header.number < GIVEN_UP_AFTER:
                    return
                self._unread.popleft()
                continue
            self._unread.popleft()
            await self._look(header, receipts)

    async def _look(self, header: Header, receipts: Mapping[Hash32, Receipt]) -> None:
        """Tell what is in a block, and judge what others said of it before it was here."""
        found = [_alert(header, one) for one in sandwiches(mined_swaps(receipts.values()), self._routers)]
        block = _Block(header, {alert_id(alert): alert for alert in found})
        self._blocks[header.hash] = block
        self._refuted.clear()
        while len(self._blocks) > BLOCKS_KNOWN:
            self._blocks.popitem(last=False)
        for name, alert in block.alerts.items():
            self.counts["found"] += 1
            self.on_confirmed(alert, header)
            self._told(name, alert, header, self._keys.account, Verdict.CONFIRMED)
            await self.publish(alert)
            await self._attest(name, header, Verdict.CONFIRMED)
        for envelope in self._waiting.pop(header.hash, []):
            await self._judge(envelope, block)

    def heard(self, envelope: Envelope) -> None:
        """Somebody tells an alert; it is judged now, or with its block if that is not here yet."""
        alert = envelope.payload
        if not isinstance(alert, SecurityAlert) or alert.kind is not AlertKind.SANDWICH_SEEN:
            self.counts["not recomputable"] += 1
            return
        if len(alert.evidence) != EVIDENCE_BYTES:
            self.counts["without evidence"] += 1
            return
        block_hash = Hash32(alert.evidence[:HASH_BYTES])
        block = self._blocks.get(block_hash)
        if block is not None and len(self._tasks) >= MAX_WAITING:
            self.counts["not answered"] += 1
            return
        if block is not None:
            self._tasks.add(task := asyncio.create_task(self._judge(envelope, block)))
            task.add_done_callback(self._tasks.discard)
            return
        self.counts["unknown block"] += 1
        self._waiting.setdefault(block_hash, []).append(envelope)
        while sum(len(several) for several in self._waiting.values()) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]

    async def close(self) -> None:
        """Give up what is being judged."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        self._told(name, alert, block.header, envelope.operator, verdict)
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

    def _told(self, name: Hash32, alert: SecurityAlert, header: Header, by: Address, verdict: Verdict) -> None:
        """Put it into the ledger, once for each who says it."""
        said = name, by
        if said in self._said:
            return
        self._said[said] = None
        while len(self._said) > BLOCKS_KNOWN * MAX_WAITING:
            self._said.popitem(last=False)
        self.tell(
            NetworkAlertTold(
                alert_id=name,
                alert_kind=alert.kind.name.lower(),
                subject=alert.subject,
                severity=alert.severity.name.lower(),
                evidence=alert.evidence,
                block=header.number,
                block_hash=header.hash,
                operator=by,
                verdict=verdict.name.lower(),
                at=self._now(),
            )
        )


async def _nowhere(_: Payload) -> None:
    return


def _alert(header: Header, found: Sandwich) -> SecurityAlert:
    evidence = header.hash + found.front + found.victims[0] + found.back
    return SecurityAlert(
        kind=AlertKind.SANDWICH_SEEN,
        subject=Hash32(found.pool_id.rjust(WORD_BYTES, b"\0")),
        severity=Severity.MEDIUM,
        evidence_hash=Hash32(keccak256(evidence)),
        expiry=UnixSeconds(header.timestamp + STANDS_SECONDS),
        evidence=evidence,
    )
