"""The devnet's clock."""

from __future__ import annotations

import asyncio

import pytest

from devnet.clock import DevnetClock


class Source:
    """Monotonic seconds by hand."""

    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


def test_devnet_time_runs_with_its_source_from_its_origin() -> None:
    source = Source()
    clock = DevnetClock(1000.0, source)
    source.seconds += 2.5
    assert clock.now() == 1002.5


def test_a_warp_jumps_ahead_and_is_told() -> None:
    clock = DevnetClock.stepped(1000.0)
    assert clock.warp(60) == 1060.0
    assert clock.warped_seconds == 60.0


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_time_never_goes_back(seconds: float) -> None:
    with pytest.raises(ValueError, match="only be warped ahead"):
        DevnetClock.stepped(0.0).warp(seconds)


def test_a_stepped_clock_moves_with_the_blocks() -> None:
    clock = DevnetClock.stepped(1000.0)
    clock.advance_to(1002.0)
    clock.advance_to(1001.0)
    assert (clock.now(), clock.is_stepped, clock.warped_seconds) == (1002.0, True, 0.0)


async def test_a_warp_wakes_those_whose_time_has_come_and_nobody_else() -> None:
    clock = DevnetClock.stepped(0.0)
    early, late = asyncio.create_task(clock.sleep(10)), asyncio.create_task(clock.sleep(100))
    await asyncio.sleep(0)
    clock.warp(10)
    await early
    assert not late.done()
    clock.advance_to(100)
    await late


async def test_a_running_clock_wakes_by_itself() -> None:
    clock = DevnetClock(0.0)
    await clock.sleep(0.01)
    assert clock.now() >= 0.01
