"""Links over real sockets: greeting, refusals, cuts, slow readers, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import uvloop

from node.clock import Clock, SystemClock
from node.link import AnyLinkMessage, FrameDecoder, Hello, LedgerEntry, MarketTick, Ping, Pong, Refusal, encode_frame
from node.link_errors import LinkBusy, LinkClosed, LinkRefused, LinkUnavailable, SocketUnusable
from node.link_queues import DEFAULT_LIMITS, Overflow, QueueLimits
from node.link_server import LinkServer
from node.link_sockets import READ_BYTES, Link, connect
from protocol.errors import MalformedMessage, RemoteProtocolError, WrongVersion
from protocol.units import UnixMilliseconds
from tests.manual_clock import ManualClock
from tests.unit.test_link import TICK, framed

CLOCK = SystemClock()
Handler: TypeAlias = Callable[[Link], Awaitable[None]]


async def answer_pings(link: Link) -> None:
    while True:
        message = await link.receive()
        if isinstance(message, Ping):
            await link.send(Pong(nonce=message.nonce))


@pytest.fixture
def occupied(path: Path) -> Iterator[Path]:
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.sock"


@pytest.fixture
async def server(path: Path) -> AsyncIterator[LinkServer]:
    async with LinkServer(path, "engine", answer_pings, CLOCK) as server:
        yield server


async def dial(path: Path, clock: Clock = CLOCK) -> Link:
    return await connect(path, "venues", clock, deadline_seconds=30.0)


def mode_of(path: Path) -> int:
    return path.stat().st_mode


async def answer_to(path: Path, data: bytes) -> list[AnyLinkMessage]:
    """What the server says to these bytes before it closes."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    decoder = FrameDecoder()
    decoder.feed(await reader.read(-1))
    writer.close()
    return list(iter(decoder.next_message, None))


async def test_two_processes_greet_and_talk(server: LinkServer, path: Path) -> None:
    async with await dial(path) as link:
        assert link.peer == "engine"
        for nonce in (1, 2, 3):
            await link.send(Ping(nonce=nonce))
            assert await link.receive() == Pong(nonce=nonce)


async def test_only_the_owner_may_connect(server: LinkServer, path: Path) -> None:
    assert stat.S_IMODE(mode_of(path)) == 0o600


async def test_the_other_side_tells_when_it_closes(path: Path) -> None:
    async def leave(link: Link) -> None:
        await link.send(Ping(nonce=9))

    async with LinkServer(path, "engine", leave, CLOCK), await dial(path) as link:
        assert await link.receive() == Ping(nonce=9)
        with pytest.raises(LinkClosed, match="engine has closed"):
            await link.receive()


async def test_a_closed_link_takes_nothing(server: LinkServer, path: Path) -> None:
    link = await dial(path)
    await link.close()
    with pytest.raises(LinkClosed):
        await link.send(Ping(nonce=1))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (framed({"type": "hello", "process": "venues", "version": 2}), "venues speaks version 2, this is version 1"),
        (framed({"type": "teleport"}), "teleport"),
        (encode_frame(Ping(nonce=1)), "begins with Ping instead of Hello"),
        (b"GET / HTTP/1.1\r\n\r\n", "announces 1195725856 bytes"),
        (b"\0\0\0\0", "an empty frame"),
        (encode_frame(Hello(process="venues"))[:-3], "bytes into a frame"),
    ],
)
async def test_a_wrong_first_word_is_refused_with_the_reason(
    server: LinkServer, path: Path, data: bytes, said: str
) -> None:
    (refusal,) = await answer_to(path, data)
    assert isinstance(refusal, Refusal)
    assert said in refusal.reason
    assert server.refused == 1


async def test_a_cut_within_a_frame_is_refused_and_others_live_on(server: LinkServer, path: Path) -> None:
    answer = await answer_to(path, encode_frame(Hello(process="venues")) + encode_frame(TICK)[:-1])
    assert isinstance(answer[0], Hello)
    assert isinstance(answer[1], Refusal)
    async with await dial(path) as link:
        await link.send(Ping(nonce=1))
        assert await link.receive() == Pong(nonce=1)


async def test_an_unknown_message_later_on_is_refused_with_the_reason(server: LinkServer, path: Path) -> None:
    answer = await answer_to(path, encode_frame(Hello(process="venues")) + framed({"type": "teleport"}))
    assert isinstance(answer[1], Refusal)
    assert "not a message of version 1" in answer[1].reason


async def test_who_connects_and_says_nothing_is_dropped(path: Path) -> None:
    clock = ManualClock()
    async with LinkServer(path, "engine", answer_pings, clock):
        reader, writer = await asyncio.open_unix_connection(path)
        await clock.until_asleep(2.0)
        await clock.advance(2.0)
        assert await reader.read(-1) == b""
        writer.close()


async def test_one_connection_too_many_is_refused(path: Path) -> None:
    async with (
        LinkServer(path, "engine", answer_pings, CLOCK, max_connections=1) as server,
        await dial(path),
    ):
        with pytest.raises(LinkRefused, match="engine has 1 connections"):
            await dial(path)
        assert server.refused == 1


async def test_a_handler_that_fails_ends_its_own_link_only(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def fail_on_ping(link: Link) -> None:
        await link.receive()
        raise RuntimeError("a bug")

    async with LinkServer(path, "engine", fail_on_ping, CLOCK):
        for _ in range(2):
            async with await dial(path) as link:
                await link.send(Ping(nonce=1))
                with pytest.raises(LinkClosed):
                    await link.receive()
    assert "the handler of the link with venues failed" in caplog.text


async def test_a_slow_reader_costs_ticks_but_no_ledger_entry(path: Path) -> None:
    """The reader stands still: ticks fall out and are counted, entries wait and are refused; then all goes on."""
    clock = ManualClock()
    small = {**DEFAULT_LIMITS, "ticks": QueueLimits(10, 1 << 20, Overflow.DROP_OLDEST)}
    small["ledger"] = QueueLimits(2, 1 << 20, Overflow.BLOCK)
    entries = [LedgerEntry(sequence=n, at=UnixMilliseconds(1), kind="k", body=bytes(100_000)) for n in range(200)]
    link, peer = await dial_raw(path, connect(path, "venues", clock, 30.0, small))
    sent = await fill(link, clock, entries)
    for _ in range(50):
        await link.send(TICK)
    assert link.outbox.dropped == {"control": 0, "ledger": 0, "ticks": 40}
    assert link.outbox.refused == {"control": 0, "ledger": 1, "ticks": 0}
    reading = asyncio.create_task(read_to_the_end(peer))
    await link.send(entries[sent])
    await link.close()
    received = await reading
    assert [message for message in received if isinstance(message, LedgerEntry)] == entries[: sent + 1]
    assert sum(isinstance(message, MarketTick) for message in received) == 10


async def dial_raw(path: Path, dialling: Awaitable[Link]) -> tuple[Link, socket.socket]:
    """Return a link and the bare socket at its other end, which reads nothing by itself."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        task = asyncio.ensure_future(dialling)
        peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(peer, encode_frame(Hello(process="engine")))
    return await task, peer


async def read_to_the_end(peer: socket.socket) -> list[AnyLinkMessage]:
    decoder, received = FrameDecoder(), list[AnyLinkMessage]()
    while data := await asyncio.get_running_loop().sock_recv(peer, 1 << 16):
        decoder.feed(data)
        received += iter(decoder.next_message, None)
    peer.close()
    return received


async def fill(link: Link, clock: ManualClock, entries: list[LedgerEntry]) -> int:
    """Send until one is refused because nobody reads; return how many were taken."""
    transport = link._writer.transport
    for number, entry in enumerate(entries):
        sending = asyncio.create_task(link.send(entry, deadline_seconds=7.0))
        # When more than the high-water mark waits in the transport, the socket is full, and stays so.
        while not sending.done() and transport.get_write_buffer_size() <= READ_BYTES:
            await asyncio.sleep(0)
        if not sending.done():
            await asyncio.wait([sending, asyncio.create_task(clock.until_asleep(7.0))], return_when="FIRST_COMPLETED")
        if not sending.done():
            await clock.advance(7.0)
            with pytest.raises(LinkBusy):
                await sending
            return number
        await sending
    raise AssertionError("the socket swallowed everything")


async def test_closing_flushes_what_is_queued(path: Path) -> None:
    received, done = list[AnyLinkMessage](), asyncio.Event()

    async def collect(link: Link) -> None:
        try:
            while True:
                received.append(await link.receive())
        finally:
            done.set()

    async with LinkServer(path, "engine", collect, CLOCK):
        async with await dial(path) as link:
            for nonce in range(500):
                await link.send(LedgerEntry(sequence=nonce, at=UnixMilliseconds(1), kind="k", body=bytes(1000)))
        await done.wait()
    assert len(received) == 500


async def test_closing_gives_up_on_a_reader_that_stands_still(path: Path) -> None:
    clock, release = ManualClock(), asyncio.Event()

    async def stand_still(link: Link) -> None:
        await release.wait()

    async with LinkServer(path, "engine", stand_still, CLOCK):
        link = await dial(path, clock)
        for number in range(40):
            await link.send(LedgerEntry(sequence=number, at=UnixMilliseconds(1), kind="k", body=bytes(100_000)))
        closing = asyncio.create_task(link.close())
        await clock.until_asleep(2.0)
        await clock.advance(2.0)
        await closing
        release.set()


async def test_a_peer_that_dies_closes_the_link_for_senders(path: Path) -> None:
    link, peer = await dial_raw(path, dial(path))
    peer.close()
    with pytest.raises(LinkClosed):
        await send_for_ever(link)
    with pytest.raises(LinkClosed):
        await link.receive()
    await link.close()


@pytest.mark.parametrize("is_greeted", [False, True])
def test_on_uvloop_too_a_peer_that_died_ends_the_link_and_no_more(path: Path, is_greeted: bool) -> None:
    async def scene() -> None:
        link, peer = await dial_raw(path, dial(path))
        peer.close()
        link._writer.write(b"it fails, and the loop closes its transport")
        await asyncio.sleep(0.05)
        if not is_greeted:
            link.start_sending()
        with contextlib.suppress(LinkClosed):
            await link.send(Ping(nonce=1))
        await link.close()

    uvloop.run(scene())


async def send_for_ever(link: Link) -> None:
    while True:
        await link.send(Ping(nonce=1))
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (framed({"type": "hello", "process": "engine", "version": 2}), WrongVersion),
        (encode_frame(Ping(nonce=1)), MalformedMessage),
        (b"\xff" * 8, RemoteProtocolError),
        (encode_frame(Refusal(reason="not today")), LinkRefused),
    ],
)
async def test_a_wrong_answer_to_the_greeting_is_told(path: Path, answer: bytes, error: type[Exception]) -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_unix_server(misbehave, path)
    try:
        with pytest.raises(error):
            await dial(path)
    finally:
        server.close()
        await server.wait_closed()


async def test_connecting_pauses_longer_each_time_and_gives_up_at_the_deadline(path: Path) -> None:
    clock = ManualClock()
    connecting = asyncio.create_task(connect(path, "venues", clock, deadline_seconds=3.0))
    for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 0.45):
        await clock.until_asleep(pause)
        await clock.advance(pause)
    with pytest.raises(LinkUnavailable, match=r"engine\.sock: nobody answered within 3\.0 s"):
        await connecting


async def test_connecting_succeeds_once_somebody_listens(path: Path) -> None:
    clock = ManualClock()
    connecting = asyncio.create_task(connect(path, "venues", clock, deadline_seconds=3.0))
    await clock.until_asleep(0.05)
    async with LinkServer(path, "engine", answer_pings, CLOCK):
        await clock.advance(0.05)
        async with await connecting as link:
            assert link.peer == "engine"


async def test_a_second_server_is_kept_away_until_the_first_is_gone(server: LinkServer, path: Path) -> None:
    with pytest.raises(SocketUnusable, match="another process listens"):
        await LinkServer(path, "engine", answer_pings, CLOCK).start()
    await server.close()
    await server.close()
    with pytest.raises(LinkUnavailable):
        await connect(path, "venues", CLOCK, deadline_seconds=0.0)
    async with LinkServer(path, "engine", answer_pings, CLOCK), await dial(path):
        pass


async def test_a_socket_left_behind_by_a_killed_process_is_replaced(path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with LinkServer(path, "engine", answer_pings, CLOCK), await dial(path):
        pass


async def test_something_else_at_the_sockets_path_is_not_touched(occupied: Path) -> None:
    with pytest.raises(SocketUnusable, match="not a socket"):
        await LinkServer(occupied, "engine", answer_pings, CLOCK).start()


@pytest.mark.parametrize("name", ["x" * 120, "missing/engine.sock"])
async def test_a_path_that_cannot_be_bound_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(SocketUnusable):
        await LinkServer(tmp_path / name, "engine", answer_pings, CLOCK).start()
