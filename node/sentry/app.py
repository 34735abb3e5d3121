"""The sentry's process: one host, and a link to the engine that is made again when it breaks.

What comes from the network waits in bounded queues: accepted gossip that the engine does not take in time is dropped
and counted, a peer's question that it does not answer in time stays without answer.
"""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID

from node.link import (
    AnswerPeer,
    AnyLinkMessage,
    AskPeer,
    FrameDecoder,
    GossipHeard,
    Hello,
    PeerAnswered,
    PeerAsks,
    PeerSeen,
    Ping,
    Pong,
    PublishGossip,
    Refusal,
    RegistrySnapshot,
    SentryStatus,
    ShutDown,
    encode_frame,
    require_version,
)
from node.registry_snapshot import snapshot_of
from node.sentry.host import Callbacks, SentryHost, SentrySettings, hash_of_peer, system_milliseconds
from node.sentry.peers import PeerBook
from node.sentry.streams import NoAnswer
from protocol.codec import DirectMessage, decode_direct, decode_envelope, encode_direct
from protocol.errors import ProtocolError, RemoteProtocolError
from protocol.messages import Envelope
from protocol.signing import Domain
from protocol.units import Hash32, PeerIdHash

OUTGOING: Final = 1_024
MAX_QUESTIONS: Final = 256
READ_BYTES: Final = 64 * 1024
FIRST_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 1.0
STATUS_SECONDS: Final = 2.0
_LOG: Final = logging.getLogger("hftnode.sentry")


class Wiring(NamedTuple):
    """What the process is made of: settings, the protocol's domain, the identity, the book, the engine's socket."""

    settings: SentrySettings
    domain: Domain
    identity: KeyPair
    book: PeerBook
    engine: Path


class SentryApp:
    """See the module."""

    def __init__(self, wiring: Wiring) -> None:
        self.dropped = 0
        self.host = SentryHost(
            wiring.settings, wiring.domain, wiring.identity, Callbacks(self._heard, self._answer), wiring.book
        )
        self._engine, self._domain = wiring.engine, wiring.domain
        self._to_engine, self._outgoing = trio.open_memory_channel[AnyLinkMessage](OUTGOING)
        self._numbers = count(1)
        self._questions: dict[int, trio.MemorySendChannel[bytes]] = {}
        self._over = trio.Event()

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled, or until the engine says to end."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.host.run)
            nursery.start_soon(self._keep_linked)
            nursery.start_soon(self._report)
            task_status.started()
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _keep_linked(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with await trio.open_unix_socket(str(self._engine)) as stream:
                    pause = FIRST_PAUSE_SECONDS
                    await stream.send_all(encode_frame(Hello(process="sentry")))
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._send, stream)
                        await self._receive(stream, nursery)
                        nursery.cancel_scope.cancel()
            except* (OSError, trio.BrokenResourceError, ProtocolError) as errors:
                _LOG.info("no engine: %s", errors.exceptions[0])
            await trio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _send(self, stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(encode_frame(await self._outgoing.receive()))

    async def _receive(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        decoder = FrameDecoder()
        while data := await stream.receive_some(READ_BYTES):
            decoder.feed(data)
            while (message := decoder.next_message()) is not None:
                await self._take(message, nursery)

    async def _take(self, message: AnyLinkMessage, nursery: trio.Nursery) -> None:
        match message:
            case RegistrySnapshot():
                self.host.follow(snapshot_of(message))
            case PublishGossip(envelope=data):
                await self.host.publish(decode_envelope(data, self._domain.separator).kind, data)
            case AskPeer():
                nursery.start_soon(self._ask, message)
            case AnswerPeer(number=number, answer=answer):
                waiting = self._questions.pop(number, None)
                if waiting is not None:
                    waiting.send_nowait(answer)
            case Ping(nonce=nonce):
                self._tell(Pong(nonce=nonce))
            case Hello():
                require_version(message)
            case Refusal(reason=reason):
                _LOG.error("the engine refuses us: %s", reason)
            case ShutDown():
                self._over.set()
            case _:
                pass

    async def _ask(self, message: AskPeer) -> None:
        name = PeerIdHash(Hash32(message.peer_id_hash))
        self.host.need(name)
        peer = {hash_of_peer(peer): peer for peer in self.host.connected}.get(name)
        answer, why = b"", "not connected"
        if peer is not None:
            try:
                question = decode_direct(message.question)
                answer = encode_direct(await self.host.streams.ask(peer, question, message.deadline_ms / 1_000))
                why = ""
            except (NoAnswer, RemoteProtocolError) as error:
                why = str(error)[:200]
        self._tell(PeerAnswered(number=message.number, answer=answer, why=why))

    def _heard(self, envelope: Envelope, data: bytes, forwarder: ID) -> None:
        self._tell(GossipHeard(envelope=data, peer=str(forwarder)))

    async def _answer(self, peer: ID, question: DirectMessage) -> DirectMessage | None:
        """Pass a question on and return the engine's answer; the stream's deadline cancels the wait."""
        if len(self._questions) >= MAX_QUESTIONS:
            self.dropped += 1
            return None
        number = next(self._numbers)
        self._questions[number], answered = trio.open_memory_channel[bytes](1)
        try:
            self._tell(PeerAsks(number=number, peer_id_hash=hash_of_peer(peer), question=encode_direct(question)))
            answer = await answered.receive()
        finally:
            self._questions.pop(number, None)
        try:
            return decode_direct(answer) if answer else None
        except RemoteProtocolError as error:  # the engine's fault, not the peer's
            _LOG.error("the engine answers what is no answer: %s", error)
            return None

    def _tell(self, message: AnyLinkMessage) -> None:
        try:
            self._to_engine.send_nowait(message)
        except trio.WouldBlock:
            self.dropped += 1

    async def _report(self) -> None:
        while True:
            self._tell(self._status())
            await trio.sleep(STATUS_SECONDS)

    def _status(self) -> SentryStatus:
        now, host = system_milliseconds(), self.host
        staked = host.gossip.snapshot.by_peer
        peers = [
            PeerSeen(peer=str(peer), operator=operator, score=host.book.score(str(peer), now))
            for peer in host.connected
            for operator in staked.get(hash_of_peer(peer), (b"",))
        ]
        counts = {**host.pubsub.counts, **host.streams.counts, **host.admission.refused, **host.admission.held}
        counts |= host.records.counts | {"records": len(host.records)}
        counts |= {"dropped to engine": self.dropped, "dropped to peers": host.router.dropped}
        counts["connections evicted"] = host.admission.places.evicted
        counts["handshakes evicted"] = host.admission.handshakes.evicted
        counts["ids evicted"] = host.pubsub.seen_messages.evicted
        counts["book not written"] = host.book.unsaved
        counts["banned"] = host.book.banned(now)
        ahead_ms, against, _ = host.clock_doubt or (0, 0, 0)
        return SentryStatus(at=now, peers=peers, counts=counts, clock_ahead_ms=ahead_ms, clock_peers=against)
