"""Direct streams: one message asks, one answers, each after its length in 4 bytes; all of it within a deadline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from node.sentry.peers import Fault
from protocol.buckets import BucketRules, Buckets
from protocol.codec import MAX_DIRECT_BYTES, DirectMessage, decode_direct, encode_direct
from protocol.errors import MalformedMessage, OversizeMessage, RemoteProtocolError, TruncatedMessage
from protocol.messages import (
    Decline,
    Have,
    PeerRecords,
    PeerRecordsRequest,
    SealedOrder,
    SealingKeyRequest,
    SignedAccept,
    SignedSealingKey,
)
from protocol.units import UnixMilliseconds

LENGTH_BYTES: Final = 4
STREAM_SECONDS: Final = 2.0
QUESTIONS_PER_PEER: Final = BucketRules(rate=20, burst=60)
MAX_PEERS_WATCHED: Final = 1_024
MAX_ASKED_AT_ONCE: Final = 24
"""Of one peer: its connection has 32 streams, and gossip needs some."""
QUESTIONS: Final = (SealedOrder, SealingKeyRequest, PeerRecordsRequest)
ANSWERS: Final[dict[type, tuple[type, ...]]] = {
    SealedOrder: (SignedAccept, Have, Decline),
    SealingKeyRequest: (SignedSealingKey,),
    PeerRecordsRequest: (PeerRecords,),
}

Answer = Callable[[ID, DirectMessage], Awaitable[DirectMessage | None]]


class NoAnswer(Exception):
    """The peer is not there, does not speak this protocol, said nothing in time, or said what is no answer."""


class DirectStreams:
    """Answers what peers ask by `answer` (None: nothing), and asks peers. `blame` is told who sends what is none."""

    def __init__(
        self,
        host: IHost,
        protocol: str,
        answer: Answer,
        blame: Callable[[ID, Fault], object],
        now: Callable[[], UnixMilliseconds],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._host, self._protocol = host, TProtocol(protocol)
        self._answer, self._blame, self._now = answer, blame, now
        self._buckets: Buckets[ID] = Buckets(MAX_PEERS_WATCHED)
        self._asked: Counter[ID] = Counter()
        host.set_stream_handler(self._protocol, self._handle)

    async def ask(self, peer: ID, question: DirectMessage, seconds: float = STREAM_SECONDS) -> DirectMessage:
        """Return the peer's answer. Raises NoAnswer."""
        if self._asked[peer] >= MAX_ASKED_AT_ONCE:
            self.counts["NOT ASKED"] += 1
            raise NoAnswer(f"{MAX_ASKED_AT_ONCE} questions to it are under way")
        stream: INetStream | None = None
        end = self._reset  # an answer that comes late is read by nobody, and would keep the stream
        self._asked[peer] += 1
        try:
            with trio.fail_after(seconds):
                stream = await self._host.new_stream(peer, [self._protocol])
                await write_message(stream, encode_direct(question))
                answer = decode_direct(await read_message(stream))
            end = _end
        except RemoteProtocolError as error:
            self._blame(peer, Fault.BAD_STREAM)
            raise NoAnswer(str(error)) from None
        except Exception as error:
            raise NoAnswer(repr(error)) from None
        finally:
            await end(stream)
            self._asked[peer] -= 1
            if not self._asked[peer]:
                del self._asked[peer]
        if not isinstance(answer, ANSWERS[type(question)]):
            self._blame(peer, Fault.BAD_STREAM)
            raise NoAnswer(f"{type(answer).__name__} is no answer to {type(question).__name__}")
        return answer

    async def _reset(self, stream: INetStream | None) -> None:
        """End a stream of which nothing more is wanted."""
        if stream is None:
            return
        with trio.CancelScope(deadline=trio.current_time() + STREAM_SECONDS, shield=True):
            try:
                await stream.reset()
            except Exception:  # the connection ends, and its streams with it
                self.counts["BROKEN"] += 1

    async def _handle(self, stream: INetStream) -> None:
        peer = stream.muxed_conn.peer_id
        bucket = self._buckets.of(peer, QUESTIONS_PER_PEER, self._now())
        try:
            if not bucket.take(QUESTIONS_PER_PEER, self._now()):
                self.counts["FLOOD"] += 1
                self._blame(peer, Fault.FLOOD)
                return
            with trio.fail_after(STREAM_SECONDS):
                answer = await self._answer(peer, _question(await read_message(stream)))
                if answer is not None:
                    await write_message(stream, encode_direct(answer))
                    self.counts["ANSWERED"] += 1
        except RemoteProtocolError:
            self.counts["MALFORMED"] += 1
            self._blame(peer, Fault.BAD_STREAM)
        except Exception:  # however a stream of a stranger ends, it is all that ends
            self.counts["BROKEN"] += 1
        finally:
            await _end(stream)


def _question(data: bytes) -> DirectMessage:
    question = decode_direct(data)
    if not isinstance(question, QUESTIONS):
        raise MalformedMessage(f"{type(question).__name__} is no question", "direct.kind")
    return question


async def read_message(stream: INetStream) -> bytes:
    """Return the next message of a stream. Raises RemoteProtocolError for what is none."""
    length = int.from_bytes(await _read_exactly(stream, LENGTH_BYTES), "big")
    if not 0 < length <= MAX_DIRECT_BYTES:
        raise OversizeMessage(f"announces {length} bytes", "direct")
    return await _read_exactly(stream, length)


async def write_message(stream: INetStream, message: bytes) -> None:
    """Write a message to a stream."""
    await stream.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)


async def _read_exactly(stream: INetStream, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = await stream.read(length - len(data))
        if not more:
            raise TruncatedMessage("the stream ended", "direct")
        data += more
    return data


async def _end(stream: INetStream | None) -> None:
    """Close a stream, whatever state it is in."""
    if stream is None:
        return
    with trio.CancelScope(deadline=trio.current_time() + STREAM_SECONDS, shield=True):
        try:
            await stream.close()
        except Exception:
            await stream.reset()
