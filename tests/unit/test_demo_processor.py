"""What a demo's processes take of the processors: told by the kernel, by kind and operator."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace
from rich.console import Console

from devnet.demo.node_process import MARK
from devnet.demo.processor import DEVNET, cores, name_of, taken
from devnet.demo.view import summary
from tests.unit.test_demo_report import REPORT


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python", "-m", "node.engine", "--config", "/run/demo/north/hftnode.toml"], "north engine"),
        (["python", "-m", "node.sentry", "--config", "/run/demo/west/hftnode.toml"], "west sentry"),
        (["python", "-m", "node.desk"], "a node's desk"),
        (["python", "/bin/hftnode", "start", "--config", "/run/demo/east/hftnode.toml"], "east supervisor"),
        (["/npm/bin/anvil", "--port", "1"], "anvil"),
        (["python", "-m", "devnet.actors", "--seed", "1"], "actors"),
        (["/bin/sh", "-c", "read -r _"], "others"),
    ],
)
def test_a_process_is_named_by_its_command(words: list[str], name: str) -> None:
    assert name_of(words) == name


def test_what_was_taken_in_between_is_told_in_processors() -> None:
    before = {(1, "anvil"): 10.0, (2, "north desk"): 3.0, (3, "east desk"): 1.0}
    after = {(1, "anvil"): 15.0, (2, "north desk"): 3.5, (4, "north desk"): 0.5}

    assert cores(before, after, 10.0) == {"anvil": 0.5, "north desk": 0.1}
    assert cores(before, after, 0.0) == {}


def test_a_busy_process_with_the_mark_is_found_and_counted_and_so_are_we() -> None:
    busy = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(busy, env={**os.environ, MARK: "mark of the busy"}) as process:
        try:
            deadline = time.monotonic() + 60.0
            while not (seconds := taken("mark of the busy").get((process.pid, "others"), 0.0)):
                assert time.monotonic() < deadline
        finally:
            process.kill()

    assert seconds > 0
    assert (os.getpid(), DEVNET) in taken("nobody's mark")


def test_the_summary_tells_them_by_kind() -> None:
    console = Console(width=200, record=True)
    console.print(summary(replace(REPORT, processors={"north engine": 0.2, "east engine": 0.15, "anvil": 0.25})))
    assert "processors: 0.60 in all (engine 0.35, anvil 0.25)" in console.export_text()

    console.print(summary(REPORT))
    assert "processors: not told by this kernel" in console.export_text()
