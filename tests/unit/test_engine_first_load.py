"""What a start tells of its market's load, and how often it is written down."""

from __future__ import annotations

import io
import logging

import msgspec
import pytest
from rich.console import Console

from node.cli.status_screen import screen
from node.desk.ledger.totals import Totals
from node.desk.metrics import metrics_page
from node.desk.status import NodeStatus
from node.engine.first_load import FINDING, READING, SAVE_PAUSE, SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_SAVES, FirstLoad
from node.link import LoadStatus
from node.run_file import RunRecord
from protocol.units import UnixMilliseconds
from tests.desk_process import engine_status
from tests.manual_clock import ManualClock


async def test_nothing_is_told_before_it_begins_and_after_it_ended() -> None:
    load = FirstLoad(ManualClock())
    told = [load.status]
    load.begin(READING, 10)
    told.append(load.status)
    load.end()
    load.begin(READING, 10)
    told.append(load.status)
    assert [one is None for one in told] == [True, False, True]
    assert not load.is_save_due


async def test_what_is_left_is_told_by_the_pace_of_this_start() -> None:
    clock = ManualClock()
    load = FirstLoad(clock)
    load.pools = 1_000
    load.begin(READING, 1_000, 400)
    await clock.advance(2)
    assert load.status == LoadStatus(
        stage=READING, done=400, whole=1_000, kept=400, pools=1_000, elapsed_ms=2_000, left_ms=None
    )
    load.reached(500, 1_010)
    told = load.status
    assert told is not None
    assert (told.done, told.whole, told.left_ms) == (500, 1_010, 10_200)


async def test_a_line_is_logged_now_and_then_however_often_it_gets_further(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    load = FirstLoad(clock)
    load.begin(FINDING, 1_000_000)
    for _ in range(1_000):
        await clock.advance(4 * SECONDS_BETWEEN_LINES / 1_000)
        told = load.status
        assert told is not None
        load.reached(told.done + 100)
    assert 3 <= len(caplog.messages) <= 4
    assert caplog.messages[0].startswith("25,")
    assert "of 1,000,000 blocks looked through, 0 pools known, 2,500.0 a second, about 390 s left" in caplog.messages[0]
    load.pools = 7
    load.end()
    load.end()
    assert caplog.messages[-1] == "the market is there: 7 pools, in 40.0 s"
    assert len(caplog.messages) <= 5


async def test_it_is_written_down_at_intervals_that_grow_with_what_a_writing_takes() -> None:
    clock = ManualClock()
    load = FirstLoad(clock)

    async def is_due_after(seconds: float) -> bool:
        await clock.advance(seconds)
        return load.is_save_due

    assert not await is_due_after(0)
    assert await is_due_after(SECONDS_BETWEEN_SAVES)
    load.saved(3.0)
    assert not await is_due_after(3.0 * SAVE_PAUSE - 0.1)
    assert await is_due_after(0.2)
    load.saved(0.0)
    assert not await is_due_after(SECONDS_BETWEEN_SAVES - 0.1)


def told_while(load: LoadStatus | None) -> tuple[str, str]:
    """The screen and the metrics of a node whose start is so far."""
    at = UnixMilliseconds(1_790_000_000_000)
    status = NodeStatus(
        name="alice", mode="live", at=at, processes={}, engine_silent_ms=1, totals=Totals(), ledger_entries=0,
        engine=msgspec.structs.replace(engine_status("starting"), load=load), trouble="",
    )  # fmt: skip
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(screen(status, RunRecord(name="alice", mode="live", pid=1, started_at=at, processes={}), ""))
    return console.export_text(), metrics_page(status).decode()


def test_status_and_metrics_tell_how_far_a_start_is_and_nothing_once_it_is_over() -> None:
    load = LoadStatus(stage=READING, done=4_500, whole=10_000, kept=500, pools=10_000, elapsed_ms=8_000, left_ms=11_000)
    shown, metrics = told_while(load)
    assert (
        "reading pools: 4,500 of 10,000, 500 of them kept from the last run, 500 a second, about 11.0 s left" in shown
    )
    assert 'hftnode_load_done{stage="reading pools"} 4500.0' in metrics
    assert 'hftnode_load_whole{stage="reading pools"} 10000.0' in metrics
    assert 'hftnode_load_known_pools{stage="reading pools"} 10000.0' in metrics
    assert 'hftnode_load_seconds_left{stage="reading pools"} 11.0' in metrics
    shown, metrics = told_while(msgspec.structs.replace(load, stage=FINDING, kept=0, left_ms=None))
    assert "finding pools: 4,500 of 10,000, 562 a second, no pace yet" in shown
    assert "load_seconds_left" not in metrics
    shown, metrics = told_while(None)
    assert "first load" not in shown
    assert "hftnode_load" not in metrics
