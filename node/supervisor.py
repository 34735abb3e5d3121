"""`hftnode start`: the desk, the sentry if there is a network, the engine; a crashed one comes back.

Without a sentry that crashes always the node goes on alone: the network never costs its own executions.

They stop in reverse order. However this process ends, its children end: they hear it from their stdin (`node.process`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from node.child import Child, ChildCommand
from node.clock import Clock
from node.config import Config, Mode
from node.keyfile import Password
from node.run_file import RunFolderUnusable, RunRecord, clear_run, run_lock, write_run
from protocol.units import UnixMilliseconds

DESK_READY_SECONDS: Final = 15.0
SENTRY_READY_SECONDS: Final = 30.0
ENGINE_READY_SECONDS: Final = 180.0
"""Cold caches: kernels are compiled, thousands of pools read."""

_LOG: Final = logging.getLogger("hftnode.supervisor")


def node_commands(config: Config, config_path: Path, password: Password | None) -> tuple[ChildCommand, ...]:
    """Return the processes of a node in the order in which they start; the sentry only where there is a network.

    In lockstep the devnet stands for it (devnet/gossip_bus.py).
    """
    words = ("--config", str(config_path.absolute()))
    desk = ChildCommand("desk", (sys.executable, "-m", "node.desk", *words), DESK_READY_SECONDS)
    engine = ChildCommand("engine", (sys.executable, "-m", "node.engine", *words), ENGINE_READY_SECONDS, password)
    sentry = ChildCommand("sentry", (sys.executable, "-m", "node.sentry", *words), SENTRY_READY_SECONDS, is_vital=False)
    takes_part = config.network is not None and config.mode is Mode.LIVE and config.lockstep is None
    return (desk, sentry, engine) if takes_part else (desk, engine)


async def supervise(
    config: Config,
    commands: Sequence[ChildCommand],
    clock: Clock,
    stop: asyncio.Event,
    on_change: Callable[[RunRecord], None],
) -> None:
    """Run the children until `stop` is set. `on_change` is told every state.

    Raises ChildFailed when a vital one is given up (the others are stopped), RunFolderUnusable if a node runs there
    already.
    """
    with run_lock(config.run_folder):
        await _Supervisor(config, commands, clock, on_change).run(stop)


class _Supervisor:
    def __init__(
        self,
        config: Config,
        commands: Sequence[ChildCommand],
        clock: Clock,
        on_change: Callable[[RunRecord], None],
    ) -> None:
        self._config = config
        self._on_change = on_change
        self._started_at = UnixMilliseconds(time.time_ns() // 10**6)
        logs = config.data_folder / "logs"
        self._children = [Child(command, logs / f"{command.name}.log", clock, self._changed) for command in commands]

    async def run(self, stop: asyncio.Event) -> None:
        running: list[asyncio.Task[None]] = []
        stopped = asyncio.create_task(stop.wait())
        try:
            for child in self._children:
                running.append(asyncio.create_task(child.run(), name=child.command.name))
                ready = asyncio.create_task(child.ready.wait())
                await asyncio.wait({*running, stopped, ready}, return_when=asyncio.FIRST_COMPLETED)
                ready.cancel()
                _raise_failure(running)
                if stop.is_set():
                    return
            await asyncio.wait({*running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            _raise_failure(running)
        finally:
            stopped.cancel()
            for task in reversed(running):
                await _stop(task)
            with contextlib.suppress(OSError):
                clear_run(self._config.run_folder)

    def _changed(self) -> None:
        record = RunRecord(
            name=self._config.name,
            mode=self._config.mode,
            pid=os.getpid(),
            started_at=self._started_at,
            processes={child.command.name: child.record for child in self._children},
        )
        try:
            write_run(self._config.run_folder, record)
        except RunFolderUnusable as error:  # a full disk costs the view, not the node
            _LOG.warning("%s", error)
        self._on_change(record)


def _raise_failure(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await task
        except Exception as error:  # its failure has been raised, or another's has
            _LOG.info("%s had failed: %s", task.get_name(), error)
