"""Files that are replaced whole: what is synced, and in which order."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from node.durable import replace_file
from node.engine.day_limits import FILE_NAME, DayLimits
from node.engine.spool import Spool
from node.pipeline.risk import DayUse
from node.records import AlertRaised
from node.stop_file import FILE_NAME as STOP
from node.stop_file import StopFile
from protocol.units import UnixMilliseconds, UnixNanoseconds, Wei


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens on disk, by the names of files."""
    made: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        made.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def replaced(path: Path, target: Path) -> Path:
        made.append(f"{path.name} -> {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return made


def in_order(folder: Path, name: str) -> list[str]:
    return [f"sync {name}.new", f"{name}.new -> {name}", f"sync {folder.name}"]


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_it_returns(tmp_path: Path, steps: list[str]) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(b"old and longer")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert steps == in_order(tmp_path, "kept.json")
    assert list(tmp_path.iterdir()) == [path]


def test_the_days_limits_outlive_a_power_cut(tmp_path: Path, steps: list[str]) -> None:
    DayLimits(tmp_path).save(DayUse(1, Wei(2), {}))
    assert steps == in_order(tmp_path, FILE_NAME)


def test_the_operators_stop_outlives_a_power_cut_and_so_does_its_end(tmp_path: Path, steps: list[str]) -> None:
    stop = StopFile(tmp_path)
    stop.write("a test")
    assert steps == in_order(tmp_path, STOP)
    stop.remove()
    assert steps[3:] == [f"sync {tmp_path.name}"]


def test_the_numbers_of_a_spool_that_is_renumbered_outlive_a_power_cut(tmp_path: Path, steps: list[str]) -> None:
    spool = Spool(tmp_path)
    spool.open()
    spool.append(AlertRaised(kind="test", detail="", at=UnixNanoseconds(1)), UnixMilliseconds(1))
    assert spool.greet(5) == 1
    renumbered = f"{6:020d}.renumbered"
    assert steps == [*in_order(tmp_path, renumbered), *in_order(tmp_path, "desk")]
