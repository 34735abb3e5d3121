"""`hftnode devnet demo` as its user meets it; a stand-in trades in the node's place (tests/stand_in_node.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.home import Home
from devnet.packages import Packages
from devnet.world import World

HFTNODE = str(Path(sys.executable).parent / "hftnode")
ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 180.0
FIELDS = {
    "seed",
    "blocks",
    "pending_transactions",
    "opportunities",
    "bundles",
    "nodes",
    "net_profit_usd",
    "available_usd",
    "best_single_bid",
    "available_with_open_bids_usd",
    "liquidations",
    "liquidations_usd",
    "capture",
    "tick_to_bundle_us",
    "errors",
    "network",
    "processors",
    "memory",
    "expectations",
}

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(400)]


@pytest.fixture
def own_home(home: Home, world: World, packages: Packages, tmp_path: Path) -> Path:
    """A home of this test's own that borrows what takes long to make."""
    assert world.state_path.exists()
    assert packages.anvil.exists()
    for part in (home.packages, home.builds, home.worlds):
        (tmp_path / part.name).symlink_to(part)
    return tmp_path


@contextmanager
def demo(own_home: Path, behaviour: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a demo with stand-ins; with nodes where `behaviour` is empty."""
    with subprocess.Popen(
        [
            *(HFTNODE, "devnet", "demo", "--plain", "--node-command"),
            f"{sys.executable} -m tests.stand_in_node {behaviour}" if behaviour else "",
            *words,
        ],
        env=os.environ | {"HFTNODE_HOME": str(own_home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def processes_of(own_home: Path) -> list[int]:
    """The living processes that were started with this home."""
    mark = f"HFTNODE_HOME={own_home}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def eventually(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.05)


def until_it_runs(process: subprocess.Popen[str]) -> None:
    """Return when the demo says that it runs."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("running:"):
            return
    raise AssertionError("the demo ended before it ran")


def told(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in report["expectations"] if entry["name"] == name)
    return found


def test_a_demo_in_lockstep_tells_what_the_chain_says_and_leaves_nothing(own_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    words = ("--lockstep", "--nodes", "1", "--duration", "24", "--seed", "5", "--report", str(target))
    with demo(own_home, "trades", *words) as process:
        output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1, errors
    report = json.loads(target.read_text())
    assert set(report) == FIELDS
    assert report["blocks"] >= 12
    assert report["bundles"]["included"] >= 5
    assert report["net_profit_usd"] > 0
    assert report["net_profit_usd"] < report["available_usd"]
    in_order = ("ledgers differing from the chain", "left running", "errors", "misses without a reason", "restarts")
    for name in (*in_order, "pools beyond hindsight"):
        assert told(report, name)["met"], told(report, name)
    assert not told(report, "capture")["met"], "whoever looks at the start of blocks only misses most"
    (node,) = report["nodes"]
    assert set(node) == {"name", "vault_profit_wei", "gas_wei", "bids_wei", "net_profit_usd", "restarts"}
    assert "What was expected" in output
    assert processes_of(own_home) == []


def test_three_nodes_in_real_time_end_at_a_signal_and_so_does_all_else(own_home: Path) -> None:
    with demo(own_home, "trades", "--duration", "300") as process:
        until_it_runs(process)
        assert len(processes_of(own_home)) >= 6, "the demo, Anvil, the actors and three nodes"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130
    eventually(lambda: processes_of(own_home) == [], "everything ended")


def test_a_demo_that_is_killed_leaves_nothing_either(own_home: Path) -> None:
    with demo(own_home, "idles", "--nodes", "2", "--duration", "300") as process:
        until_it_runs(process)
        process.kill()
    eventually(lambda: processes_of(own_home) == [], "everything ended")


def test_a_node_that_does_not_start_is_told_with_its_last_words(own_home: Path) -> None:
    with demo(own_home, "fails", "--nodes", "1") as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert "node north ended with code 1" in errors
    assert "a stand-in that fails at once" in errors
    assert processes_of(own_home) == []


def test_idle_nodes_meet_no_expectation_but_those_of_order(own_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with demo(own_home, "idles", "--nodes", "2", "--duration", "4", "--report", str(target)) as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1, errors
    report = json.loads(target.read_text())
    assert report["net_profit_usd"] == 0
    assert told(report, "every node executes")["actual"] == "idle: north, east"
    assert told(report, "ledgers differing from the chain")["met"]


@pytest.mark.parametrize(("words", "why"), [(("--nodes", "6"), "6 nodes"), (("--duration", "0"), "not 0 s")])
def test_options_out_of_their_range_are_refused(own_home: Path, words: tuple[str, ...], why: str) -> None:
    with demo(own_home, "idles", *words) as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert why in errors
