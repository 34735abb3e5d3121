"""The muxer: whoever breaks a bound loses the connection, and nothing is kept beyond one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset
from libp2p.stream_muxer.yamux.yamux import DEFAULT_WINDOW_SIZE

from node.sentry import bounded_yamux
from node.sentry.bounded_yamux import MAX_STREAMS, BoundedYamux
from protocol.buckets import BucketRules
from tests.sentry_scene import in_trio, peer_of, until

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def frame(kind: int, flags: int, stream: int, body: bytes | int = b"") -> bytes:
    length = body if isinstance(body, int) else len(body)
    return struct.pack("!BBHII", 0, kind, flags, stream, length) + (b"" if isinstance(body, int) else body)


class Wire:
    """A secured connection: the test sends what arrives, and sees what is written."""

    is_initiator = False

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel[bytes](10_000)
        self.written: list[tuple[int, ...]] = []
        self.stuck = False
        self.blamed: list[ID] = []

    async def read(self, n: int | None = None) -> bytes:
        return await self._receive.receive()

    async def write(self, data: bytes) -> None:
        if self.stuck:
            await trio.sleep_forever()
        self.written.append(struct.unpack("!BBHII", data[:12]))

    async def close(self) -> None:
        self.send.close()


def muxed(test: Callable[[BoundedYamux, Wire], Any]) -> Callable[[], None]:
    """Run a test with a muxer on a wire."""

    @in_trio
    async def scene() -> None:
        wire: Any = Wire()
        muxer = BoundedYamux(wire, peer_of("carol"), wire.blamed.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(muxer.start)
            await muxer.event_started.wait()
            await test(muxer, wire)
            await muxer.close()
            nursery.cancel_scope.cancel()

    return scene


@pytest.mark.parametrize(
    ("wire", "blamed"),
    [
        (frame(DATA, SYN, 1, DEFAULT_WINDOW_SIZE + 1), 1),
        (frame(DATA, SYN, 1, bytes(DEFAULT_WINDOW_SIZE)) + frame(DATA, 0, 1, b"!"), 1),
        (frame(WINDOW, SYN, 1) + frame(WINDOW, SYN, 1), 1),
        (frame(WINDOW, SYN, 2), 1),
        (frame(9, 0, 0), 1),
        (frame(GO_AWAY, 0, 0), 0),
        (b"", 0),
    ],
)
def test_a_broken_bound_ends_the_connection_and_is_blamed(wire: bytes, blamed: int) -> None:
    @muxed
    async def scene(muxer: BoundedYamux, link: Wire) -> None:
        await link.send.send(wire)
        await until(muxer.event_shutting_down.is_set)
        assert link.blamed == [muxer.peer_id] * blamed

    scene()


@muxed
async def test_streams_that_the_peer_opens_are_bounded(muxer: BoundedYamux, wire: Wire) -> None:
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            while True:
                await muxer.accept_stream()

        nursery.start_soon(accept)
        for number in range(MAX_STREAMS + 5):
            await wire.send.send(frame(WINDOW, SYN, 2 * number + 1))
            await trio.sleep(0)
        await until(lambda: len(wire.written) >= MAX_STREAMS + 5)
        nursery.cancel_scope.cancel()
    assert len(muxer.streams) <= MAX_STREAMS
    assert sum(flags == RST for _, _, flags, _, _ in wire.written) >= 5


@muxed
async def test_streams_that_nobody_takes_are_reset(muxer: BoundedYamux, wire: Wire) -> None:
    await wire.send.send(b"".join(frame(WINDOW, SYN, 2 * number + 1) for number in range(15)))
    await until(lambda: len([one for one in wire.written if one[1] == WINDOW]) == 15)
    assert len(muxer.streams) == 10


@muxed
async def test_streams_that_we_open_are_bounded(muxer: BoundedYamux, wire: Wire) -> None:
    for _ in range(MAX_STREAMS):
        await muxer.open_stream()
    with pytest.raises(MuxedStreamError):
        await muxer.open_stream()


@muxed
async def test_what_was_read_is_given_back_by_halves(muxer: BoundedYamux, wire: Wire) -> None:
    await wire.send.send(frame(DATA, SYN, 1, b"a" * 1_000))
    stream: Any = await muxer.accept_stream()
    total = 0
    while total < DEFAULT_WINDOW_SIZE:
        total += len(await stream.read(64 * 1024))
        if total < DEFAULT_WINDOW_SIZE:
            await wire.send.send(frame(DATA, 0, 1, b"a" * min(50_000, DEFAULT_WINDOW_SIZE - total)))
    updates = [length for _, kind, flags, _, length in wire.written if kind == WINDOW and not flags]
    assert 1 <= len(updates) <= 2
    assert stream.recv_window <= DEFAULT_WINDOW_SIZE


@muxed
async def test_frames_may_come_in_pieces_and_many_at_once(muxer: BoundedYamux, wire: Wire) -> None:
    whole = (
        frame(DATA, SYN, 1, b"one ") + frame(PING, SYN, 0, 7) + frame(DATA, FIN, 1, b"two") + frame(DATA, 0, 9, b"?")
    )
    for place in range(len(whole)):
        await wire.send.send(whole[place : place + 1])
    stream: Any = await muxer.accept_stream()
    data = b""
    while len(data) < len(b"one two"):
        data += await stream.read(100)
    assert data == b"one two"
    with pytest.raises(MuxedStreamEOF):
        await stream.read(100)
    assert (0, PING, ACK, 0, 7) in wire.written


@muxed
async def test_a_reset_ends_a_stream_and_is_forgotten(muxer: BoundedYamux, wire: Wire) -> None:
    await wire.send.send(frame(WINDOW, SYN, 1))
    stream: Any = await muxer.accept_stream()
    await wire.send.send(frame(WINDOW, RST, 1) + frame(PING, ACK, 0, 1))
    with pytest.raises((MuxedStreamReset, MuxedStreamEOF)):
        await stream.read(1)
    assert 1 not in muxer.streams


@muxed
async def test_who_waits_to_read_a_stream_hears_that_we_reset_it(muxer: BoundedYamux, wire: Wire) -> None:
    stream = await muxer.open_stream()

    async def reads() -> None:
        with pytest.raises((MuxedStreamReset, MuxedStreamEOF)):
            await stream.read(10)

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reads)
            await trio.testing.wait_all_tasks_blocked()
            await stream.reset()


def test_a_peer_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_yamux, "WRITE_SECONDS", 0.05)

    @muxed
    async def scene(muxer: BoundedYamux, wire: Wire) -> None:
        wire.stuck = True
        with pytest.raises(MuxedStreamError, match="took nothing"):
            await muxer.open_stream()
        assert muxer.event_shutting_down.is_set()
        with pytest.raises(MuxedStreamError):
            await muxer.open_stream()
        wire.stuck = False

    scene()


@muxed
async def test_a_window_that_is_opened_without_end_has_one(muxer: BoundedYamux, wire: Wire) -> None:
    await wire.send.send(frame(WINDOW, SYN, 1) + frame(WINDOW, 0, 1, 0xFFFFFFFF) * 3)
    await until(lambda: 1 in muxer.streams and muxer.streams[1].send_window == bounded_yamux.MAX_SEND_WINDOW)
    assert wire.blamed == []


def test_a_silent_peer_is_pinged_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_yamux, "PING_SECONDS", 0.02)
    monkeypatch.setattr(bounded_yamux, "SILENCE_SECONDS", 0.3)

    @muxed
    async def scene(muxer: BoundedYamux, wire: Wire) -> None:
        for _ in range(5):  # who answers stays, for longer than one may be silent
            pings = len(wire.written)
            await until(lambda: (0, PING, SYN, 0, 0) in wire.written[pings:])  # noqa: B023 awaited at once
            await trio.sleep(0.1)
            await wire.send.send(frame(PING, ACK, 0))
        assert not muxer.event_shutting_down.is_set()
        await until(muxer.event_closed.is_set)

    scene()


def test_who_makes_us_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_yamux, "ANSWERS", BucketRules(rate=1, burst=20))

    @muxed
    async def scene(muxer: BoundedYamux, wire: Wire) -> None:
        await wire.send.send(frame(PING, SYN, 0) * 20)
        await until(lambda: wire.written.count((0, PING, ACK, 0, 0)) == 20)
        await wire.send.send(frame(PING, SYN, 0) * 3)
        await until(muxer.event_shutting_down.is_set)

    scene()


@muxed
async def test_what_the_peer_has_no_window_for_is_sent_once_it_gives_one(muxer: BoundedYamux, wire: Wire) -> None:
    stream: Any = await muxer.open_stream()
    stream.send_window = 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.write, b"a" * 12)
        await until(lambda: stream.send_window == 0)
        sent = [length for _, kind, _, _, length in wire.written if kind == DATA]
        assert sent == [5]
        await wire.send.send(frame(WINDOW, 0, stream.stream_id, 7))
    sent = [length for _, kind, _, _, length in wire.written if kind == DATA]
    assert sent == [5, 7]
    assert stream.send_window == 0


def test_a_write_of_which_the_peer_takes_a_byte_now_and_then_has_one_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_yamux, "WRITE_SECONDS", 0.3)

    @muxed
    async def scene(muxer: BoundedYamux, wire: Wire) -> None:
        stream: Any = await muxer.open_stream()
        stream.send_window = 1
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_trickle, wire, stream.stream_id)
            with pytest.raises(MuxedStreamError):
                await stream.write(bytes(10_000))
            nursery.cancel_scope.cancel()
        assert trio.current_time() - begun >= 0.3
        assert sum(length for _, kind, _, _, length in wire.written if kind == DATA) > 1

    scene()


async def _trickle(wire: Wire, stream_id: int) -> None:
    while True:
        await wire.send.send(frame(WINDOW, 0, stream_id, 1))
        await trio.sleep(0.02)


@muxed
async def test_a_frame_is_no_larger_than_any_muxer_takes(muxer: BoundedYamux, wire: Wire) -> None:
    stream: Any = await muxer.open_stream()
    await stream.write(bytes(200_000))
    sent = [length for _, kind, _, _, length in wire.written if kind == DATA]
    assert sum(sent) == 200_000
    assert max(sent) <= 64 * 1024


@muxed
async def test_nothing_is_written_to_a_stream_that_is_closed_for_it(muxer: BoundedYamux, wire: Wire) -> None:
    stream: Any = await muxer.open_stream()
    await stream.close()
    with pytest.raises(MuxedStreamError, match="closed for sending"):
        await stream.write(b"late")


@muxed
async def test_a_reader_that_waits_gets_what_comes_and_then_the_end(muxer: BoundedYamux, wire: Wire) -> None:
    await wire.send.send(frame(WINDOW, SYN, 1))
    stream: Any = await muxer.accept_stream()
    read: list[bytes] = []

    async def reading() -> None:
        try:
            while True:
                read.append(await stream.read(4))
        except MuxedStreamEOF:
            read.append(b"the end")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading)
        await trio.testing.wait_all_tasks_blocked()
        await wire.send.send(frame(DATA, 0, 1, b"first!"))
        await until(lambda: b"".join(read) == b"first!")
        await trio.testing.wait_all_tasks_blocked()
        await wire.send.send(frame(DATA, FIN, 1, b"last"))
    assert read == [b"firs", b"t!", b"last", b"the end"]
