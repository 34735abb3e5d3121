"""The desk as a real process: what is acknowledged survives kill -9, full disks and re-sent entries; HTTP."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from node.desk.ledger.stories import read_story
from node.desk.ledger.totals import read_totals
from node.desk.status import NodeStatus
from node.link import EngineStatus, MarketTick, Ping, Pong
from node.link_errors import LinkClosed, LinkError
from node.process import EXIT_FAILED, EXIT_SETUP
from node.records import AnyRecord
from protocol.units import UnixMilliseconds
from tests.desk_process import SECONDS, DeskProcess, acknowledged, engine_status, send
from tests.record_factories import alert_told, answered, entries, found, landed, opportunity_id, signed


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeskProcess]:
    made = DeskProcess(tmp_path)
    yield made
    await made.stop()


async def until_status(desk: DeskProcess, phase: str) -> NodeStatus:
    async with asyncio.timeout(SECONDS):
        while True:
            _, body = await desk.get("/status")
            status = msgspec.json.decode(body, type=NodeStatus)
            if status.engine is not None and status.engine.phase == phase:
                return status
            await asyncio.sleep(0.05)


async def test_what_the_engine_tells_is_acknowledged_and_stands_in_the_ledger(desk: DeskProcess) -> None:
    await desk.start()
    async with desk.link() as link:
        await send(link, entries([found(), signed(), answered(), landed()]))
        assert await acknowledged(link, 4) == 4
        await link.send(Ping(nonce=7))
        assert await asyncio.wait_for(link.receive(), SECONDS) == Pong(nonce=7)

    assert (await read_story(desk.config.ledger_path, opportunity_id(1).hex())).outcomes
    assert await desk.stop() == 0
    assert not desk.config.desk_socket.exists()


async def test_a_killed_desk_has_every_entry_that_it_acknowledged_and_none_twice(desk: DeskProcess) -> None:
    """kill -9 in mid-write, three times; the engine sends again from what was acknowledged, as its spool does."""
    told = entries(found(number) for number in range(1, 3001))
    done = 0
    for kill_after in (50, 700, 1500):
        await desk.start()
        async with desk.link() as link:
            sending = asyncio.create_task(send(link, told[done:]))
            done = await acknowledged(link, kill_after)
            await desk.kill()
            with pytest.raises(LinkClosed):
                await acknowledged(link, len(told) + 1)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        with sqlite3.connect(desk.config.ledger_path) as database:
            assert database.execute("SELECT count(*) FROM opportunities").fetchone()[0] >= done
        database.close()

    await desk.start()
    async with desk.link() as link:
        await send(link, told[max(0, done - 20) :])  # also some that it has
        assert await acknowledged(link, len(told)) == len(told)

    totals = await read_totals(desk.config.ledger_path)
    assert totals.found == {"backrun": len(told)}
    assert set(totals.ledger) <= {"repeated"}


async def test_a_reconnecting_engine_is_told_first_what_is_on_disk(desk: DeskProcess) -> None:
    await desk.start()
    async with desk.link() as link:
        await send(link, entries([found(1), found(2)]))
        await acknowledged(link, 2)
    async with desk.link() as link:
        assert await acknowledged(link, 0) == 2


async def test_a_full_disk_stops_acknowledging_says_so_and_goes_on_when_there_is_room(desk: DeskProcess) -> None:
    await desk.start()
    async with desk.link() as link:
        await send(link, entries([found(1)]))
        await acknowledged(link, 1)
        desk.limit(300_000)
        sending = asyncio.create_task(send(link, entries((found(number) for number in range(2, 2001)), first=2)))
        async with asyncio.timeout(SECONDS):
            while not (status := msgspec.json.decode((await desk.get("/status"))[1], type=NodeStatus)).trouble:
                await asyncio.sleep(0.05)
        assert "is its disk full?" in status.trouble
        assert status.ledger_entries < 2000
        code, text = await desk.get("/healthz")
        assert (code, b"is its disk full?" in text) == (503, True)

        desk.limit(100_000_000)
        await sending
        assert await acknowledged(link, 2000) == 2000
    assert (await read_totals(desk.config.ledger_path)).found == {"backrun": 2000}


async def test_a_desk_that_starts_on_a_full_disk_says_so(desk: DeskProcess) -> None:
    with pytest.raises(AssertionError, match="is its disk full"):
        await desk.start(max_file_bytes=1000)


@pytest.mark.parametrize(("content", "told"), [(b"no database " * 100, "not a database"), (b"", "")])
async def test_a_ledger_that_is_none_ends_the_desk_for_good(desk: DeskProcess, content: bytes, told: str) -> None:
    desk.config.data_folder.mkdir()
    desk.config.ledger_path.write_bytes(content)
    if not told:
        await desk.start()  # an empty file is a new ledger
        return
    with pytest.raises(AssertionError, match=told):
        await desk.start()
    assert desk.process is not None
    assert desk.process.returncode == EXIT_SETUP


async def test_a_second_desk_beside_a_living_one_is_refused(desk: DeskProcess) -> None:
    await desk.start()
    first = desk.process
    with pytest.raises(AssertionError, match="another process listens there"):
        await desk.start()
    assert desk.process is not None
    assert desk.process.returncode == EXIT_FAILED
    desk.process = first


async def test_a_taken_port_is_told(desk: DeskProcess) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = desk.path.read_text()
    desk.path.write_text(text.replace("port = 0", f"port = {port}"))

    with pytest.raises(AssertionError, match="choose another port"):
        await desk.start()
    server.close()


async def test_status_health_and_metrics_over_http(desk: DeskProcess) -> None:
    await desk.start()
    assert (await desk.get("/healthz"))[0] == 503
    assert b"hftnode_healthy 0.0" in (await desk.get("/metrics"))[1]
    async with desk.link() as link:
        sent: list[AnyRecord] = [found(), signed(), answered(), answered(1, "titan", "late"), alert_told(), landed()]
        await send(link, entries(sent))
        await acknowledged(link, 6)
        await link.send(engine_status())
        status = await until_status(desk, "running")

        assert status.engine == engine_status()
        assert status.ledger_entries == 6
        assert (await desk.get("/healthz"))[0] == 200
        async with asyncio.timeout(SECONDS):
            while b"hftnode_executions_landed 1.0" not in (page := (await desk.get("/metrics"))[1]):
                await asyncio.sleep(0.1)
        for line in (
            b"hftnode_healthy 1.0",
            b"hftnode_head_number 1234.0",
            b'hftnode_tick_to_bundle_seconds{quantile="p99"} 0.0019',
            b'hftnode_rpc_up{rpc="http://127.0.0.1:8546"} 0.0',
            b'hftnode_relay_refused_total{relay="titan"} 1.0',
            b'hftnode_network_alerts_total{kind="sandwich_seen",verdict="confirmed"} 1.0',
            b'hftnode_profit_ether{key="0x00000000000000000000000000000000000000a1"} 0.5',
        ):
            assert line in page, line
        await link.send(engine_status("behind"))
        await until_status(desk, "behind")
        assert (await desk.get("/healthz"))[0] == 503
    assert (await desk.get("/no-such-page"))[0] == 404


async def test_what_is_not_for_the_desk_is_passed_over_and_wrong_bytes_are_refused(desk: DeskProcess) -> None:
    await desk.start()
    async with desk.link() as link:
        tick = MarketTick(venue="v", symbol="s", bid_price=1, bid_size=1, ask_price=1, ask_size=1,
                          price_decimals=0, size_decimals=0, at=UnixMilliseconds(0))  # fmt: skip
        await link.send(tick)
        await send(link, entries([found()]))
        await acknowledged(link, 1)
        link._writer.write(b"\x00\x00\x00\x01\xff")
        with pytest.raises(LinkError):
            await acknowledged(link, 2)
    assert (await desk.get("/status"))[0] == 200


def test_a_status_is_json_that_others_can_read() -> None:
    assert msgspec.json.decode(msgspec.json.encode(engine_status()), type=EngineStatus) == engine_status()
