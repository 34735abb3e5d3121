"""How fast a demo's nodes grow: told by process, after the warm-up, with an interval."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import msgspec
import pytest

from devnet.demo.memory import SAMPLE_SECONDS, WARM_BLOCKS, MemoryGrowth, MemoryWatch, own_bytes
from devnet.demo.node_process import MARK
from devnet.demo.view import summary
from tests.unit.test_demo_report import REPORT, printed

MEGABYTE = 10**6


class Machine:
    """A clock and processes: the engine grows by 200 MB at once, then by 36 MB an hour; the desk is restarted."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def read(self, mark: str) -> dict[tuple[int, str], int]:
        assert mark == "mark"
        warming = min(self.seconds, 60.0) / 60.0 * 200 * MEGABYTE
        desk = 2 if self.seconds < 170.0 else 3
        return {
            (1, "north engine"): int(warming + self.seconds / 3_600 * 36 * MEGABYTE),
            (desk, "north desk"): 50 * MEGABYTE,
        }


def test_the_slope_is_that_of_the_second_half_and_read_every_other_second() -> None:
    machine = Machine()
    watch = MemoryWatch("mark", lambda: machine.seconds, machine.read)
    for half_seconds in range(360):
        machine.seconds = half_seconds / 2
        watch.look(WARM_BLOCKS)
    told = watch.growths()

    assert len(watch._samples[1, "north engine"]) == 180 / SAMPLE_SECONDS
    engine, desk = told["north engine"], told["north desk"]
    assert (engine.slope, engine.low, engine.high) == (36.0, 36.0, 36.0)
    assert engine.megabytes == pytest.approx(201.8, abs=0.1)
    assert (desk.slope, desk.megabytes) == (0.0, 50.0)


def test_nothing_is_told_of_what_was_there_too_short() -> None:
    machine = Machine()
    watch = MemoryWatch("mark", lambda: machine.seconds, machine.read)
    for _ in range(46):
        watch.look(WARM_BLOCKS)
        machine.seconds += SAMPLE_SECONDS
    assert watch.growths() == {}


def test_what_fills_what_is_kept_of_the_last_blocks_is_no_growth() -> None:
    machine = Machine()

    def read(_: str) -> dict[tuple[int, str], int]:
        filled = min(machine.seconds, 2.0 * WARM_BLOCKS) * MEGABYTE
        return {(1, "north engine"): int(100 * MEGABYTE + filled)}

    watch = MemoryWatch("mark", lambda: machine.seconds, read)
    for seconds in range(0, 190, 2):
        machine.seconds = float(seconds)
        watch.look(seconds // 2)
    assert watch.growths()["north engine"].high == 0.0

    slow = MemoryWatch("mark", lambda: machine.seconds, read)
    for seconds in range(0, 190, 2):
        machine.seconds = float(seconds)
        slow.look(seconds // 4)
    assert slow.growths() == {}, "too few blocks came to tell"


def test_a_living_process_is_read_by_its_name() -> None:
    words = [sys.executable, "-c", "import time; time.sleep(60)", "node.desk", "--config", "/run/demo/north/a.toml"]
    with subprocess.Popen(words, env={**os.environ, MARK: "mark of the desk"}) as process:
        try:
            deadline = time.monotonic() + 60.0
            while sum((found := own_bytes("mark of the desk")).values()) <= MEGABYTE:  # it has only just begun
                assert time.monotonic() < deadline
        finally:
            process.kill()
    assert found.keys() == {(process.pid, "north desk")}
    assert own_bytes("nobody's mark") == {}


def test_it_is_shown_at_the_end() -> None:
    grown = MemoryGrowth(megabytes=250.0, slope=1.2, low=-3.0, high=5.4)
    text = printed(summary(msgspec.structs.replace(REPORT, memory={"north engine": grown})))
    (line,) = [" ".join(line.split()) for line in text.splitlines() if line.strip().startswith("north engine")]
    assert line == "north engine 250 +1.2 -3.0 +5.4"
    assert "Memory" not in printed(summary(REPORT))
