"""The link to the sentry: it connects to us, hears the registry at each block, publishes and asks for us.

A sentry that is away costs gossip and orders, nothing else: what is published meanwhile is dropped and counted, what is
asked is answered by nothing at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

from node.clock import Clock, within
from node.link import (
    AnswerPeer,
    AnyLinkMessage,
    AskPeer,
    GossipHeard,
    PeerAnswered,
    PeerAsks,
    Ping,
    Pong,
    PublishGossip,
    RegistrySnapshot,
    SentryStatus,
)
from node.link_errors import LinkError
from node.link_sockets import Link
from protocol.codec import DirectMessage, decode_direct, encode_direct
from protocol.errors import RemoteProtocolError
from protocol.units import PeerIdHash

MAX_WAITING: Final = 256
"""Questions to peers under way; more are answered by nothing at once, and counted."""
GRACE_SECONDS: Final = 0.1
"""Longer than the deadline that the sentry is told: its own answer says more than our timeout."""
_MS: Final = 1_000

Heard = Callable[[GossipHeard], None]
Asked = Callable[[PeerAsks], Awaitable[DirectMessage | None]]


async def _no_answer(_: PeerAsks) -> DirectMessage | None:
    return None


class SentryLink:
    """See the module. `status`: what the sentry told last; `counts`: what was published, asked, and not answered."""

    def __init__(self, clock: Clock) -> None:
        self.counts: Counter[str] = Counter()
        self.status: SentryStatus | None = None
        self.heard: Heard = lambda _: None
        self.asked: Asked = _no_answer
        """What takes gossip, and what answers peers; set where all is wired."""
        self._clock = clock
        self._link: Link | None = None
        self._snapshot: RegistrySnapshot | None = None
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[PeerAnswered]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many peers' questions are being answered, less what we wait for ourselves from peers."""
        return len(self._answering) - sum(not answered.done() for answered in self._waiting.values())

    @property
    def is_connected(self) -> bool:
        """Whether a sentry is there."""
        return self._link is not None

    async def handle(self, link: Link) -> None:
        """Serve one connection of a sentry until it ends; a newer one takes its place. Raises LinkError."""
        self._link = link
        try:
            if self._snapshot is not None:
                await link.send(self._snapshot)
            while True:
                await self._take(await link.receive())
        finally:
            if self._link is link:
                self._link = None
                self.status = None

    async def follow(self, snapshot: RegistrySnapshot) -> None:
        """Tell the sentry who has enough stake now."""
        self._snapshot = snapshot
        await self._tell(snapshot)

    async def publish(self, envelope: bytes) -> None:
        """Send a signed envelope to the network."""
        sent = await self._tell(PublishGossip(envelope=envelope))
        self.counts["published" if sent else "unpublished"] += 1

    async def ask(self, peer: PeerIdHash, question: DirectMessage, seconds: float) -> DirectMessage | None:
        """Return what a peer answers within a time; None, which is counted, if it does not."""
        self.counts["asked"] += 1
        if len(self._waiting) >= MAX_WAITING:
            self.counts["unanswered"] += 1
            return None
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = AskPeer(
            number=number, peer_id_hash=peer, question=encode_direct(question), deadline_ms=int(seconds * _MS)
        )
        try:
            if await self._tell(message):
                answer = await within(self._clock, seconds + GRACE_SECONDS, answered)
                if answer.answer:
                    return decode_direct(answer.answer)
        except (TimeoutError, RemoteProtocolError):  # the sentry blames a peer that sends garbage
            pass
        finally:
            self._waiting.pop(number, None)
        self.counts["unanswered"] += 1
        return None

    async def close(self) -> None:
        """Give up the answers under way."""
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _take(self, message: AnyLinkMessage) -> None:
        match message:
            case GossipHeard():
                self.heard(message)
            case PeerAnswered():
                waiting = self._waiting.get(message.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case PeerAsks():
                self._start_answer(message)
            case SentryStatus():
                self.status = message
            case Ping():
                await self._tell(Pong(nonce=message.nonce))
            case _:
                self.counts["not for us"] += 1

    def _start_answer(self, question: PeerAsks) -> None:
        if len(self._answering) >= MAX_WAITING:
            self.counts["questions dropped"] += 1
            return
        task = asyncio.create_task(self._answer(question))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, question: PeerAsks) -> None:
        answer = await self.asked(question)
        await self._tell(AnswerPeer(number=question.number, answer=b"" if answer is None else encode_direct(answer)))

    async def _tell(self, message: AnyLinkMessage) -> bool:
        if self._link is None:
            return False
        try:
            await self._link.send(message)
        except LinkError:  # its reader hears of it too, and ends the connection
            return False
        return True
