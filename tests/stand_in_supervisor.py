"""A supervisor over stand-ins for the node's processes: `python -m tests.stand_in_supervisor CONFIG BEHAVIOUR…`.

The password comes from its stdin. It prints a line a state, so that a test can follow it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from node.child import ChildCommand
from node.clock import SystemClock
from node.config_file import load_config
from node.keyfile import Password
from node.process import start_logging
from node.supervisor import supervise
from tests.stand_in_process import command


async def main(config_path: Path, behaviours: list[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    password = Password(sys.stdin.readline().strip())
    commands = [ChildCommand(name, command(name, config_path), 20.0, password) for name in behaviours]
    config = load_config(config_path, os.environ)
    await supervise(config, commands, SystemClock(), stop, lambda run: print(_states(run.processes), flush=True))  # noqa: T201


def _states(processes: object) -> str:
    assert isinstance(processes, dict)
    return " ".join(f"{name}:{record.state}:{record.pid or 0}" for name, record in processes.items())


if __name__ == "__main__":
    start_logging("supervisor", logging.INFO)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
