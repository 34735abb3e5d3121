"""One node of the demo as a real process: `hftnode start`, its log, what it tells of itself, and its certain end.

However the demo ends, the node ends: a watchdog at the other end of a pipe asks it to when we are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from devnet.demo.operators import PreparedNode
from devnet.errors import ChainFailed
from node.run_file import read_run

MARK: Final = "HFT_DEMO_RUN"
"""Variable of the environment by which everything that a demo started is found again."""
STOP_SECONDS: Final = 20.0
_WATCHDOG: Final = 'read -r _; kill -TERM "$1" 2>/dev/null'
_SERIOUS: Final = re.compile(rb"^\S+ (?:ERROR|CRITICAL) .*", re.MULTILINE)
_MAX_LOG_BYTES: Final = 64 * 1024 * 1024
_TAIL: Final = 1_500
_READY: Final = "ready"


def start_command() -> tuple[str, ...]:
    """Return how `hftnode start` is called: the program beside this Python, else the one on the path."""
    beside = Path(sys.executable).with_name("hftnode")
    return (str(beside) if beside.exists() else shutil.which("hftnode") or "hftnode", "start")


class NodeProcess:
    """Starts and stops one node; `command` gets `--config FILE`, `environment` is added to ours."""

    def __init__(
        self, prepared: PreparedNode, command: Sequence[str], mark: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.prepared = prepared
        self.restarts = 0
        """Of the node's processes, as last told."""
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._environment |= {MARK: mark, "HFTNODE_PASSWORD_FILE": str(prepared.password_path)}
        self._log_path = prepared.config_path.parent / "start.log"
        self._process: asyncio.subprocess.Process | None = None
        self._watchdog: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. Raises `ChainFailed` if there is no such program."""
        try:
            with self._log_path.open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    "--config",
                    str(self.prepared.config_path),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C is ours to handle, in our order
                )
        except OSError as error:
            raise ChainFailed(f"a node cannot be started with {self._command[0]}: {error.strerror}") from error
        self._watchdog = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _WATCHDOG, "sh", str(self._process.pid)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    def is_ready(self) -> bool:
        """Whether all its processes do their work. Raises `ChainFailed` if it has ended."""
        if self._process is None or self._process.returncode is not None:
            code = None if self._process is None else self._process.returncode
            raise ChainFailed(f"node {self.prepared.name} ended with code {code}:\n{self._log_tail()}")
        run = read_run(self.prepared.config.run_folder)
        if run is None:
            return False
        self.restarts = sum(process.restarts for process in run.processes.values())
        return bool(run.processes) and all(process.state == _READY for process in run.processes.values())

    async def wait(self) -> None:
        """Return when it has ended, for whatever reason."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """End it: kindly, after a while hard. Idempotent."""
        process, watchdog = self._process, self._watchdog
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            # Not asyncio.timeout: see ChildProcess.
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait({ended}, timeout=STOP_SECONDS)
            if not ended.done():
                process.kill()
            await ended
        if watchdog is not None and watchdog.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                watchdog.kill()
            await watchdog.wait()

    def errors(self) -> list[str]:
        """Return the serious lines of all its logs, and what else it said of an end that was not asked for."""
        found = []
        for path in [self._log_path, *sorted((self.prepared.config.data_folder / "logs").glob("*.log"))]:
            with contextlib.suppress(OSError), path.open("rb") as log:
                lines = _SERIOUS.findall(log.read(_MAX_LOG_BYTES))
                found += [f"{self.prepared.name}: {line.decode(errors='replace')}" for line in lines]
        code = None if self._process is None else self._process.returncode
        if code:
            found.append(f"{self.prepared.name}: ended with code {code}: {self._log_tail()}")
        return found

    def _log_tail(self) -> str:
        try:
            return self._log_path.read_bytes()[-_TAIL:].decode(errors="replace").strip()
        except OSError:
            return f"(no log at {self._log_path})"


def left_running(mark: str) -> tuple[str, ...]:
    """Return the living processes with our mark, as `pid command`; nothing where there is no /proc."""
    return tuple(f"{pid} {' '.join(words)}".strip() for pid, words in marked(mark).items())


def marked(mark: str) -> dict[int, list[str]]:
    """Return the words of the living processes with our mark, by their numbers, without our own."""
    found, wanted = {}, f"{MARK}={mark}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            if wanted in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found[int(entry.name)] = [word for word in words if word]
    return found
