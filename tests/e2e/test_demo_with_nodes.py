"""`hftnode devnet demo` with the node itself: the same seed twice, and processes that are killed in mid-demo."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from node.run_file import read_run
from tests.e2e.test_demo import DEADLINE_SECONDS, demo, eventually, own_home, processes_of, told, until_it_runs

__all__ = ["own_home"]
pytestmark = [pytest.mark.anvil, pytest.mark.timeout(600)]


def test_one_seed_gives_the_same_events_twice_to_the_byte(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for log in logs:
        monkeypatch.setenv("HFTNODE_EVENT_LOG", str(log))
        target = tmp_path / f"{log.stem}.json"
        words = ("--lockstep", "--nodes", "1", "--duration", "20", "--seed", "5", "--report", str(target))
        with demo(own_home, "", *words) as process:
            _, errors = process.communicate(timeout=DEADLINE_SECONDS)
        assert target.exists(), errors
        report = json.loads(target.read_text())
        for name in ("ledgers differing from the chain", "left running", "errors", "misses without a reason"):
            assert told(report, name)["met"], told(report, name)
    first, second = (log.read_bytes().splitlines() for log in logs)
    common = min(len(first), len(second))  # the demo ends at its pace: how many blocks more there are is no matter
    assert common > 100
    differing = [place for place in range(common) if first[place] != second[place]]
    assert not differing, (first[differing[0]], second[differing[0]])


def ready_pid(run_folder: Path, name: str) -> int | None:
    """The process, if it does its work."""
    run = read_run(run_folder)
    return run.processes[name].pid if run is not None and run.processes[name].state == "ready" else None


def is_back(run_folder: Path, name: str, killed: int) -> bool:
    return ready_pid(run_folder, name) not in (None, killed)


def test_the_killed_come_back(own_home: Path, tmp_path: Path) -> None:
    # A short name: the folder is called after its first 30 letters, and the path of a socket has 107 bytes at most.
    target = tmp_path / "report.json"
    with demo(own_home, "", "--nodes", "1", "--duration", "24", "--seed", "5", "--report", str(target)) as process:
        until_it_runs(process)
        run_folder = own_home / "run" / "demo" / "north" / "data" / "run"
        ledger = run_folder.parent / "ledger.sqlite"
        eventually(lambda: ledger.exists() and ledger.stat().st_size > 100_000, "the node has something to tell")
        for name in ("desk", "engine"):
            pid = ready_pid(run_folder, name)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            eventually(partial(is_back, run_folder, name, pid), f"the {name} is back")
        process.communicate(timeout=DEADLINE_SECONDS)
    report = json.loads(target.read_text())
    assert [node["restarts"] for node in report["nodes"]] == [2]
    assert report["bundles"]["included"] > 0
    for name in ("ledgers differing from the chain", "left running", "misses without a reason"):
        assert told(report, name)["met"], told(report, name)
    eventually(lambda: processes_of(own_home) == [], "everything ended")
