"""Yamux with bounds: libp2p 0.8.1's muxer, mended (the second half of `hardening`; upstream: libp2p/py-libp2p).

As it comes: (17, read) the receive window is not enforced: a peer that ignores it fills our memory, in frames of up to
16 MiB and on any number of streams. (16, ran) each read of some bytes sends a window update, each frame is read in two
steps, and each look at a stream takes locks and formats log lines: most of the time of a busy node goes there.
(22, ran) a peer behind a cut cable stays connected until the system gives up, and after a partition both sides wait for
the longest of TCP's pauses. Here: one buffered reader, frames within one window of 256 KiB that does not grow, updates
when half of it is read, streams at most MAX_STREAMS each way, answers to pings and new streams within a rate, and every
write has a deadline. Who breaks a bound, or is silent for SILENCE_SECONDS though it is pinged, loses the connection.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import Final

import trio
from libp2p.abc import ISecureConn
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    FLAG_ACK,
    FLAG_FIN,
    FLAG_RST,
    FLAG_SYN,
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    PROTOCOL_ID,
    TYPE_DATA,
    TYPE_GO_AWAY,
    TYPE_PING,
    TYPE_WINDOW_UPDATE,
    YAMUX_HEADER_FORMAT,
    Yamux,
    YamuxStream,
)

from node.sentry.buffered_packets import buffer_packets
from node.sentry.trio_clock import trio_milliseconds
from protocol.buckets import BucketRules, TokenBucket

MAX_STREAMS: Final = 32
MAX_SEND_WINDOW: Final = 16 * 1024 * 1024
BODY_SECONDS: Final = 20.0
WRITE_SECONDS: Final = 10.0
"""Of a frame, and of all that is written to a stream at once, however the peer opens its window."""
_WINDOW_SECONDS: Final = 0.01
PING_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 4.0
ANSWERS: Final = BucketRules(rate=100, burst=500)
"""How often a peer can make us write an answer: to a ping, to a stream that it opens."""
_HEADER: Final = struct.Struct(YAMUX_HEADER_FORMAT)
_LOG: Final = logging.getLogger("hftnode.sentry.yamux")


Blame = Callable[[ID], object]


class BoundedMuxers(MuxerMultistream):
    """Negotiates the muxer and makes ours (21, ran: libp2p makes its own Yamux, whatever class it was given).

    `blame` is told who broke a bound.
    """

    def __init__(self, blame: Blame) -> None:
        super().__init__({TProtocol(PROTOCOL_ID): BoundedYamux})
        self._blame = blame

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> BoundedYamux:
        """Agree on Yamux with the peer, and return a connection of ours."""
        await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return BoundedYamux(conn, peer_id, blame=self._blame)


class BoundBroken(Exception):
    """The peer sent what no correct muxer sends."""


class PeerGone(Exception):
    """The connection has ended, and nobody is to blame."""


class BoundedStream(YamuxStream):
    """A stream whose window stays as it is; what was read is given back when it is half of it.

    Reading and writing do without libp2p's locks where nothing waits between a look and what follows from it.
    """

    async def read(self, n: int | None = -1) -> bytes:
        """Return what has come, at most `n` bytes where that is positive; wait for it. Raises as libp2p's."""
        conn = self.conn
        while n is not None and n > 0 and not (self.recv_closed or self.closed or conn.event_shutting_down.is_set()):
            buffer, event = conn.stream_buffers.get(self.stream_id), conn.stream_events.get(self.stream_id)
            if buffer is None or event is None:
                break
            if buffer:
                data = bytes(buffer[:n])
                del buffer[:n]
                await self._auto_tune_and_send_window_update(bytes_read=len(data))
                return data
            await event.wait()
            if conn.stream_events.get(self.stream_id) is event:
                conn.stream_events[self.stream_id] = trio.Event()
        return await super().read(n)  # the end of a stream, and what is read whole

    async def write(self, data: bytes) -> None:
        """Send, in as many frames as the peer's window asks for. Raises MuxedStreamError where nothing can be sent."""
        sent = 0
        deadline = trio.current_time() + WRITE_SECONDS  # libp2p's begins anew with each byte that the peer takes
        while sent < len(data):
            if self.send_closed or self.closed or self.conn.event_shutting_down.is_set():
                raise MuxedStreamError("the stream is closed for sending")
            if self.send_window <= 0:
                if trio.current_time() >= deadline:
                    raise MuxedStreamError(f"the peer did not take it within {WRITE_SECONDS} s")
                await trio.sleep(_WINDOW_SECONDS)
                continue
            chunk = data[sent : sent + min(self.send_window, MAX_MESSAGE_SIZE - HEADER_SIZE)]
            self.send_window -= len(chunk)
            sent += len(chunk)
            await self.conn._write_frame(_HEADER.pack(0, TYPE_DATA, 0, self.stream_id, len(chunk)) + chunk)  # noqa: SLF001 its own connection

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += bytes_read
        if self._pending_recv_release >= DEFAULT_WINDOW_SIZE // 2:
            given, self._pending_recv_release = self._pending_recv_release, 0
            self.recv_window += given
            await self.send_window_update(given)

    async def reset(self) -> None:
        """End the stream both ways; what came and was not read is dropped (libp2p keeps a stream until it is read).

        Whoever of us waits to read it hears of the end, too.
        """
        waiting = self.conn.stream_events.get(self.stream_id)
        await super().reset()
        if waiting is not None:
            waiting.set()
        if isinstance(self.conn, BoundedYamux):
            self.conn._forget(self.stream_id)  # noqa: SLF001 its own stream


class BoundedYamux(Yamux):
    """See the module."""

    def __init__(self, conn: ISecureConn, peer_id: ID, blame: Blame) -> None:
        super().__init__(conn, peer_id)
        buffer_packets(conn)
        self._blame = blame
        self._heard_at = trio.current_time()
        self._reading = trio.CancelScope()
        self._answers = TokenBucket(ANSWERS, trio_milliseconds())

    async def open_stream(self) -> BoundedStream:
        """Open a stream to the peer. Raises MuxedStreamError if there are too many, or the connection is ending."""
        if self.event_shutting_down.is_set() or self._count(ours=True) >= MAX_STREAMS:
            raise MuxedStreamError("the connection is ending, or has too many streams")
        await self.stream_backlog_semaphore.acquire()
        stream_id, self.next_stream_id = self.next_stream_id, self.next_stream_id + 2
        stream = self._new_stream(stream_id, ours=True)
        stream._owns_backlog_slot = True  # noqa: SLF001 the slot is given back by the base class
        await self._send(TYPE_WINDOW_UPDATE, FLAG_SYN, stream_id, 0)
        return stream

    async def handle_incoming(self) -> None:
        """Read frames until the connection ends or the peer breaks a bound."""
        try:
            with self._reading:
                await self._read_frames()
        except BoundBroken as error:
            _LOG.warning("cut %s off: %s", self.peer_id, error)
            self._blame(self.peer_id)
        except Exception as error:  # whatever a stranger's bytes do, one connection is all it ends
            _LOG.debug("connection to %s ended: %r", self.peer_id, error)
        self.event_shutting_down.set()
        await self._cleanup_on_error()

    async def _measure_rtt_loop(self) -> None:
        """Ping a peer that is silent, and stop reading from one that stays so (22); runs beside the reader."""
        while not self.event_shutting_down.is_set():
            silent = trio.current_time() - self._heard_at
            if silent >= SILENCE_SECONDS:
                _LOG.info("%s said nothing for %.0f s", self.peer_id, silent)
                self._reading.cancel()
                return
            if silent >= PING_SECONDS:
                with trio.move_on_after(PING_SECONDS):
                    await self._send(TYPE_PING, FLAG_SYN, 0, 0)
            await trio.sleep(PING_SECONDS)

    async def _read_frames(self) -> None:
        buffer = bytearray()
        while not self.event_shutting_down.is_set():
            while len(buffer) < HEADER_SIZE:
                buffer += await self._more()
            _, kind, flags, stream_id, length = _HEADER.unpack_from(buffer)
            del buffer[:HEADER_SIZE]
            body = b""
            if kind == TYPE_DATA and length:
                if length > DEFAULT_WINDOW_SIZE:
                    raise BoundBroken(f"a frame of {length} bytes")
                with trio.fail_after(BODY_SECONDS):
                    while len(buffer) < length:
                        buffer += await self._more()
                body = bytes(buffer[:length])
                del buffer[:length]
            if not await self._take_frame(kind, flags, stream_id, length, body):
                return

    async def _more(self) -> bytes:
        data = await self.secured_conn.read(None)
        if not data:
            raise PeerGone
        self._heard_at = trio.current_time()
        return data

    def _require_answerable(self) -> None:
        if not self._answers.take(ANSWERS, trio_milliseconds()):
            raise BoundBroken("asks too much")

    async def _take_frame(self, kind: int, flags: int, stream_id: int, length: int, body: bytes) -> bool:
        """Do what a frame says; return whether to go on."""
        if kind == TYPE_PING:
            if flags & FLAG_SYN:
                self._require_answerable()
                await self._send(TYPE_PING, FLAG_ACK, 0, length)
            return True
        if kind == TYPE_GO_AWAY:
            return False
        if kind not in (TYPE_DATA, TYPE_WINDOW_UPDATE):
            raise BoundBroken(f"a frame of kind {kind}")
        if flags & FLAG_SYN and not await self._accepts(stream_id):
            return True
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._feed(stream, flags, 0 if kind == TYPE_DATA else length, body)
        return True

    async def _accepts(self, stream_id: int) -> bool:
        if stream_id in self.streams or stream_id % 2 == self.next_stream_id % 2:
            raise BoundBroken("opens a stream that is open, or ours to open")
        self._require_answerable()
        if self._count(ours=False) < MAX_STREAMS:
            stream = self._new_stream(stream_id, ours=False)
            try:
                self.new_stream_send_channel.send_nowait(stream)
            except trio.WouldBlock:
                self._forget(stream_id)
            else:
                await self._send(TYPE_WINDOW_UPDATE, FLAG_ACK, stream_id, 0)
                return True
        await self._send(TYPE_WINDOW_UPDATE, FLAG_RST, stream_id, 0)
        return False

    def _feed(self, stream: YamuxStream, flags: int, increment: int, body: bytes) -> None:
        # libp2p's own Yamux grants more than it takes, a little each time: what is too much is no fault, and no use.
        stream.send_window = min(stream.send_window + increment, MAX_SEND_WINDOW)
        if body:
            stream.recv_window -= len(body)
            if stream.recv_window < 0:
                raise BoundBroken("sends more than its window")
            self.stream_buffers[stream.stream_id] += body
        if flags & (FLAG_FIN | FLAG_RST):
            stream.recv_closed = True
            stream.reset_received = stream.reset_received or bool(flags & FLAG_RST)
            stream.closed = stream.send_closed or stream.reset_received
        self.stream_events[stream.stream_id].set()
        if stream.closed:
            self._finalize_stream_locked(stream, fully_closed=True)

    async def _write_frame(self, data: bytes) -> None:
        try:
            with trio.fail_after(WRITE_SECONDS):
                async with self._write_lock:
                    await self.secured_conn.write(data)
        except trio.TooSlowError:
            self.event_shutting_down.set()
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()
            raise MuxedStreamError(f"the peer took nothing for {WRITE_SECONDS} s") from None

    async def _send(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        await self._write_frame(_HEADER.pack(0, kind, flags, stream_id, length))

    def _new_stream(self, stream_id: int, *, ours: bool) -> BoundedStream:
        stream = BoundedStream(stream_id, self, ours)
        self.streams[stream_id] = stream
        self.stream_buffers[stream_id] = bytearray()
        self.stream_events[stream_id] = trio.Event()
        return stream

    def _forget(self, stream_id: int) -> None:
        for table in (self.streams, self.stream_buffers, self.stream_events):
            table.pop(stream_id, None)

    def _count(self, *, ours: bool) -> int:
        return sum(stream.is_initiator is ours for stream in self.streams.values())
