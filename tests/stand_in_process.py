"""A stand-in for the node's processes, which the supervisor and `run_process` are tested with.

`python -m tests.stand_in_process BEHAVIOUR --config FILE`; what it does follows from BEHAVIOUR, see `_BEHAVIOURS`.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from node.errors import NodeError, SetupError
from node.process import Process, run_process

_LOG = logging.getLogger("stand-in")


async def _obedient(process: Process) -> None:
    """Ready at once, ends when asked to."""
    password = process.password.reveal() if process.password else "no password"
    _LOG.info("%s runs; the password has %d letters", process.config.name, len(password))
    process.ready(http="127.0.0.1:9464")
    process.ready(http="told twice")
    await process.stop.wait()
    _LOG.info("asked to stop")


async def _stubborn(process: Process) -> None:
    """Ready, and deaf: neither signal nor the end of stdin ends it."""
    process.ready()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.05)  # the loop is stuck


async def _never_ready(process: Process) -> None:
    """Works on, and is never ready."""
    _LOG.warning("waiting for a head that never comes")
    await process.stop.wait()


async def _crashes_once(process: Process) -> None:
    """Ready, crashes; after the restart it stays."""
    mark = process.config.data_folder / f"{process.name}.crashed"
    process.ready()
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    await process.stop.wait()


async def _crashes_always(_process: Process) -> None:
    """Crashes before it is ready."""
    raise ZeroDivisionError("first line\nsecond line")


async def _cannot(_process: Process) -> None:
    raise NodeError("the chain is out of reach: check chain.rpcs")


async def _wrongly_set_up(_process: Process) -> None:
    raise SetupError("keystore hot.json: wrong password")


async def _ends(process: Process) -> None:
    """Ready, and ends by itself although nobody asked."""
    process.ready()


async def _talkative(process: Process) -> None:
    """Logs more than a log file may hold, and says things on stdout that are not `ready`."""
    sys.stdout.write("hello\n")
    sys.stdout.flush()
    for number in range(2000):
        _LOG.info("line %d %s", number, "x" * 200)
    sys.stderr.write("y" * 300_000 + "\n")  # one endless line
    process.ready()
    await process.stop.wait()


async def _with_grandchild(process: Process) -> None:
    """Has a child of its own, which ends with it."""
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    process.ready()
    await process.stop.wait()


_BEHAVIOURS = {
    "obedient": _obedient,
    "stubborn": _stubborn,
    "never-ready": _never_ready,
    "crashes-once": _crashes_once,
    "crashes-always": _crashes_always,
    "cannot": _cannot,
    "wrongly-set-up": _wrongly_set_up,
    "ends": _ends,
    "talkative": _talkative,
    "with-grandchild": _with_grandchild,
}


def command(behaviour: str, config_path: Path) -> tuple[str, ...]:
    """The words that start the stand-in."""
    return (sys.executable, "-m", "tests.stand_in_process", behaviour, "--config", str(config_path))


if __name__ == "__main__":
    run_process(sys.argv[1], _BEHAVIOURS[sys.argv[1]], sys.argv[2:])
