"""The way to the desk: everything in order, again after each break, until the desk has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.engine.desk_link import DeskLink
from node.engine.spool import Spool
from node.link import AnyLinkMessage, EngineStatus, LedgerAcknowledgement, LedgerEntry, Ping, Pong
from node.link_errors import LinkError
from node.link_server import LinkServer
from node.link_sockets import Link
from protocol.units import UnixMilliseconds
from tests.unit.test_engine_spool import NOW, alert, filled, opened


class QuickClock(SystemClock):
    """Pauses are as short as can be, so that no test waits."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01) if seconds <= 1.0 else seconds)


def status() -> EngineStatus:
    return EngineStatus(
        at=UnixMilliseconds(1), phase="running", mode="live", head_number=1, head_age_ms=0, pools=0,
        pools_quarantined=0, cycles=0, tokens_trusted=0, tokens_refused=0, tokens_unpriced=[], pending_seen=0,
        pending_read=0, opportunities={}, dropped={}, bundles_sent=0, tick_to_bundle_us={}, rpcs={}, relays={},
        hot_keys={}, spooled=0,
    )  # fmt: skip


class Desk:
    """The other side: takes entries, and acknowledges them if it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledges = True
        self.last = 0
        self.hangs_up_after = 0
        self.entries: list[int] = []
        self.others: list[AnyLinkMessage] = []
        self.connections = 0
        self.news = asyncio.Event()

    async def handle(self, link: Link) -> None:
        self.connections += 1
        await link.send(Ping(nonce=7))
        await link.send(LedgerAcknowledgement(sequence=self.last))
        while True:
            message = await link.receive()
            if isinstance(message, LedgerEntry):
                self.entries.append(message.sequence)
                if self.acknowledges:
                    await link.send(LedgerAcknowledgement(sequence=message.sequence))
            else:
                self.others.append(message)
            self.news.set()
            if self.hangs_up_after and len(self.entries) >= self.hangs_up_after:
                self.hangs_up_after = 0
                return

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with LinkServer(self.path, "desk", self.handle, QuickClock()):
            yield

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await asyncio.wait([asyncio.create_task(self.news.wait())], timeout=0.02)


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk.sock")


@asynccontextmanager
async def linked(desk: Desk, spool: Spool) -> AsyncIterator[DeskLink]:
    link = DeskLink(desk.path, spool, status, QuickClock())
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_waits_is_told_in_order_and_then_forgotten(desk: Desk, tmp_path: Path) -> None:
    spool = filled(tmp_path / "spool", 5)
    async with desk.open(), linked(desk, spool) as link:
        await desk.until(lambda: len(spool) == 0)
        assert desk.entries == [1, 2, 3, 4, 5]
        assert link.connected


async def test_what_a_lost_spool_began_anew_is_told_behind_the_desks_last_number(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = filled(tmp_path / "spool", 50)
    desk.last = 40
    async with desk.open(), linked(desk, spool):
        await desk.until(lambda: len(spool) == 0)
    assert desk.entries == [*range(41, 91)]
    assert "50 entries are numbered anew, behind the desk's 40" in caplog.text


async def test_what_comes_later_is_told_at_once(desk: Desk, tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool")
    async with desk.open(), linked(desk, spool) as link:
        await desk.until(lambda: link.connected)
        spool.append(alert("news"), NOW)
        link.wake()
        await desk.until(lambda: desk.entries == [1] and len(spool) == 0)


async def test_status_and_answers_to_pings_are_told(desk: Desk, tmp_path: Path) -> None:
    async with desk.open(), linked(desk, opened(tmp_path / "spool")):
        await desk.until(lambda: Pong(nonce=7) in desk.others and desk.others.count(status()) >= 2)


async def test_a_desk_that_comes_late_gets_everything(desk: Desk, tmp_path: Path) -> None:
    spool = filled(tmp_path / "spool", 3)
    async with linked(desk, spool) as link:
        await asyncio.sleep(0)
        assert not link.connected
        async with desk.open():
            await desk.until(lambda: len(spool) == 0)
    assert desk.entries == [1, 2, 3]


async def test_what_was_not_acknowledged_is_told_again_after_a_break(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = filled(tmp_path / "spool", 3)
    desk.acknowledges, desk.hangs_up_after = False, 3
    async with desk.open(), linked(desk, spool):
        await desk.until(lambda: len(desk.entries) == 3)
        desk.acknowledges = True
        await desk.until(lambda: len(spool) == 0)
    assert desk.entries == [1, 2, 3, 1, 2, 3]
    assert desk.connections == 2
    assert "the desk is away" in caplog.text


async def test_a_desk_that_is_away_is_looked_for_again_and_again(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def refused(*_: object) -> Link:
        nonlocal asked
        asked += 1
        desk.news.set()
        raise LinkError("nobody there")

    monkeypatch.setattr("node.engine.desk_link.connect", refused)
    async with linked(desk, opened(tmp_path / "spool")) as link:
        await desk.until(lambda: asked >= 3)
        assert not link.connected
