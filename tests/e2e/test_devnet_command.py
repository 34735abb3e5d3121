"""`hftnode devnet` as its user meets it: real processes, real signals, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
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
DEADLINE_SECONDS = 60.0

pytestmark = pytest.mark.anvil


@pytest.fixture
def own_home(home: Home, world: World, packages: Packages, tmp_path: Path) -> Path:
    """A home of this test's own that borrows what takes long to make."""
    assert world.state_path.exists()
    assert packages.anvil.exists()
    for part in (home.packages, home.builds, home.worlds):
        (tmp_path / part.name).symlink_to(part)
    return tmp_path


def hftnode(own_home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [HFTNODE, *words],
        env=os.environ | {"HFTNODE_HOME": str(own_home)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@contextmanager
def devnet_up(own_home: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run `devnet up --json` on a free port; yield the process and what it printed when it was ready."""
    with subprocess.Popen(
        [HFTNODE, "devnet", "up", "--port", "0", "--json", *words],
        env=os.environ | {"HFTNODE_HOME": str(own_home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process, _ready(process)
        finally:
            process.kill()


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read the JSON object that is printed when the devnet is ready."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            found: dict[str, Any] = json.loads("".join(lines))
            return found
    assert process.stderr is not None
    raise AssertionError(f"the devnet did not start: {process.stderr.read()}")


def processes_of(own_home: Path) -> list[int]:
    """Return the living processes that were started with this home: the devnet and all that it started."""
    mark = f"HFTNODE_HOME={own_home}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked, or is not ours to read
    return found


def eventually(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def test_the_devnet_lives_its_life_and_leaves_nothing(own_home: Path) -> None:
    assert hftnode(own_home, "devnet", "status").returncode == 3
    of_an_older_chain = own_home / "run" / "logs" / "sandwiches.jsonl.1"
    of_an_older_chain.parent.mkdir(parents=True)
    of_an_older_chain.write_text("{}\n")
    with devnet_up(own_home, "--block-time", "0.5") as (process, record):
        assert len(processes_of(own_home)) >= 3, "the command, Anvil and the actors"
        assert not of_an_older_chain.exists()

        def blocks_are_built() -> bool:
            stats = json.loads(hftnode(own_home, "devnet", "status", "--json").stdout)["stats"]
            return bool(stats["blocks"] >= 3 and stats["transactions_mined"] > 0)

        eventually(blocks_are_built, "the actors' transactions are mined")
        told = hftnode(own_home, "devnet", "status")
        assert record["rpc_url"] in told.stdout
        second = hftnode(own_home, "devnet", "up", "--port", "0")
        assert second.returncode == 1
        assert f"a devnet already runs in {own_home / 'run'} (process {process.pid})" in second.stderr
        ended = hftnode(own_home, "devnet", "down")
        assert ended.stdout == "the devnet has ended\n"
        assert process.wait(DEADLINE_SECONDS) == 0
    assert processes_of(own_home) == []
    assert hftnode(own_home, "devnet", "down").stdout == "no devnet is running\n"
    assert hftnode(own_home, "devnet", "status", "--json").returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_everything_that_it_started(own_home: Path, number: signal.Signals) -> None:
    with devnet_up(own_home) as (process, _):
        os.killpg(process.pid, number)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert processes_of(own_home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stuck", ["node", "npm"])
def test_a_signal_ends_an_installation_that_takes_long(tmp_path: Path, stuck: str, number: signal.Signals) -> None:
    tools, home, begun = tmp_path / "tools", tmp_path / "home", tmp_path / "begun"
    tools.mkdir()
    for name in ("node", "npm"):
        answer = f"touch {begun}; sleep 60" if name == stuck else "echo v20.1.0"
        (tools / name).write_text(f"#!/bin/sh\n{answer}\n")
        (tools / name).chmod(0o755)
    with subprocess.Popen(
        [HFTNODE, "devnet", "up", "--port", "0"],
        env=os.environ | {"HFTNODE_HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        eventually(begun.exists, "the installation has begun")
        os.killpg(process.pid, number)
        assert process.wait(DEADLINE_SECONDS) == 128 + number
        assert process.stderr is not None
        assert process.stderr.read().endswith("ended before the devnet was up; the next start goes on from here\n")
    eventually(lambda: processes_of(home) == [], "nothing is left behind")
    assert [path.name for path in (home / "npm").glob("*")] in ([], [".lock"])


def test_even_kill_9_leaves_no_process_and_no_lock(own_home: Path) -> None:
    with devnet_up(own_home) as (process, _):
        process.kill()
        process.wait(DEADLINE_SECONDS)
    eventually(lambda: processes_of(own_home) == [], "Anvil and the actors end when the devnet is killed")
    assert hftnode(own_home, "devnet", "status").returncode == 3
    with devnet_up(own_home, "--no-actors") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0


def test_a_dead_anvil_ends_it_with_a_clear_error(own_home: Path) -> None:
    with devnet_up(own_home, "--no-actors") as (process, _):
        for pid in processes_of(own_home):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "anvil":
                os.kill(pid, signal.SIGKILL)
        assert process.wait(DEADLINE_SECONDS) == 1
        assert process.stderr is not None
        told = process.stderr.read()
        assert "Anvil ended with code -9" in told
        assert "Traceback" not in told


def test_a_taken_port_is_named(own_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = hftnode(own_home, "devnet", "up", "--port", str(port))
    assert refused.returncode == 1
    assert str(port) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert processes_of(own_home) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("devnet", "up", "--block-time", "0"), "block time"),
        (("devnet", "up", "--port", "70000"), "port 70000"),
        (("devnet", "up", "--parameters", "nowhere.toml"), "nowhere.toml"),
        (("devnet", "up", "--lockstep", "--no-actors"), "at least one participant"),
        (("devnet", "compare", "one", "2"), "neither a recording nor a seed"),
        (("devnet", "accounts", "--role", "king"), "there is no role 'king'"),
    ],
)
def test_a_wrong_use_says_what_is_wrong(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    refused = hftnode(tmp_path, *words)
    assert refused.returncode in (1, 2)
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_parameters_are_named_before_anything_starts(tmp_path: Path) -> None:
    parameters = tmp_path / "parameters.toml"
    parameters.write_text("[trader]\n")
    refused = hftnode(tmp_path, "devnet", "up", "--port", "0", "--parameters", str(parameters))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "unknown section [trader]" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_accounts_are_listed_with_keys_and_a_warning(tmp_path: Path) -> None:
    words = hftnode(tmp_path, "devnet", "accounts", "--role", "operator").stdout
    assert "never send real funds" in words
    listed = json.loads(hftnode(tmp_path, "devnet", "accounts", "--json").stdout)
    assert {"operator", "trader", "safe-owner"} <= {one["role"] for one in listed}
    assert all(one["address"] in words for one in listed if one["role"] == "operator")


@pytest.mark.timeout(400)  # three runs of 100 blocks, side by side on however few cores
def test_one_seed_gives_the_same_100_blocks_to_the_byte_and_another_seed_does_not(own_home: Path) -> None:
    runs = []
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        folder = own_home / name
        folder.mkdir()
        for part in ("npm", "build", "worlds"):
            (folder / part).symlink_to(own_home / part)
        command = [
            HFTNODE,
            "devnet",
            "up",
            "--port",
            "0",
            "--lockstep",
            "--seed",
            str(seed),
            "--blocks",
            "100",
            "--json",
        ]
        runs.append(
            subprocess.Popen(
                [*command, "--record", str(folder / "blocks.jsonl")],
                env=os.environ | {"HFTNODE_HOME": str(folder)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for run in runs:
        told = run.communicate(timeout=2 * DEADLINE_SECONDS)[1]
        assert run.returncode == 0, told
    first, again, other = (str(own_home / name / "blocks.jsonl") for name in ("first", "again", "other"))
    equal = hftnode(own_home, "devnet", "compare", first, again, "--json")
    assert equal.returncode == 0
    sides = json.loads(equal.stdout)["sides"]
    assert [side["blocks"] for side in sides] == [100, 100]
    assert sides[0]["transactions"] > 1_000
    different = hftnode(own_home, "devnet", "compare", first, other)
    assert different.returncode == 1
    assert different.stdout.startswith("different from block ")
