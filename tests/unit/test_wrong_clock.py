"""The wrong clock of the scenarios: a Python that is started with it tells a time as wrong as it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from devnet.scenarios import nodes
from devnet.scenarios.wrong_clock.sitecustomize import BYTES, VARIABLE

PROGRAM = "import time; input(); print(time.time_ns()); input(); print(time.time()); print(time.monotonic() > 0)"


def test_its_clock_is_wrong_by_what_the_file_says_and_jumps_with_it(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_bytes((3_600_000).to_bytes(BYTES, "big", signed=True))
    environment = {**os.environ, "PYTHONPATH": str(Path(nodes.__file__).with_name("wrong_clock")), VARIABLE: str(clock)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        ahead = int(process.stdout.readline()) / 10**9
        with clock.open("r+b") as file:
            file.write((-3_600_000).to_bytes(BYTES, "big", signed=True))
        process.stdin.write("\n")
        process.stdin.flush()
        behind = float(process.stdout.readline())
        assert process.stdout.readline() == "True\n"
    assert ahead - 3_600 < time.time() < ahead
    assert behind < time.time() - 3_000
