"""One process of the node as its supervisor sees it: started, ready, crashed, restarted with back-off, given up.

ChildFailed (NodeError)     the child is given up: it was never ready, crashed too often, or its set-up is wrong
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

import msgspec

from node.clock import Clock, within
from node.errors import NodeError
from node.keyfile import Password
from node.process import EXIT_SETUP, READY, STOP_SECONDS
from node.run_file import ProcessRecord
from protocol.units import UnixMilliseconds

MAX_CRASHES: Final = 5
"""In a row: a child that was ready for STEADY_SECONDS begins anew."""
STEADY_SECONDS: Final = 60.0
FIRST_BACKOFF_SECONDS: Final = 0.25
MAX_BACKOFF_SECONDS: Final = 8.0
ALONE_SECONDS: Final = 300.0
"""How long the node goes on without a child that it can do without, before that is started anew."""
LOG_BYTES: Final = 10_000_000
LOG_FILES: Final = 5
MAX_LINE_BYTES: Final = 64 * 1024
ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "1"}
"""Of a child, where ours does not say otherwise. glibc gives threads heaps of their own, and no thread fills the gaps
in another's: a process with helper threads grows by these gaps.
"""
_TAIL_LINES: Final = 12
_SHOWN: Final = 4_000
"""Characters of one line."""
_STOP_MARGIN_SECONDS: Final = 1.0

_LOG: Final = logging.getLogger("hftnode.supervisor")


class ChildFailed(NodeError):
    """The child is given up."""


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """How a child is started; `ready_seconds` is how long it may take, `password` what goes down its stdin.

    One that is not `is_vital` ends nobody else when it is given up: it is tried again now and then.
    """

    name: str
    words: tuple[str, ...]
    ready_seconds: float
    password: Password | None = None
    is_vital: bool = True


class Child:
    """Runs one command until told to stop. `record` is its state; `on_change` is called when that changes."""

    def __init__(self, command: ChildCommand, log_path: Path, clock: Clock, on_change: Callable[[], None]) -> None:
        self.command = command
        self.record = ProcessRecord(state="starting")
        self.ready = asyncio.Event()
        """Set for good when the child was ready for the first time, or the node goes on without it."""
        self._log_path = log_path
        self._clock = clock
        self._on_change = on_change
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._crashes = 0
        self._is_set_up_wrong = False

    async def run(self) -> None:
        """Start the child and start it again when it ends, until cancelled; then end it, kindly first.

        Raises ChildFailed when it is given up; of one that is not vital only for a wrong set-up at the node's start.
        """
        log = _open_log(self._log_path)
        try:
            while True:
                try:
                    await self._run_until_given_up(log)
                except ChildFailed as error:
                    if self.command.is_vital or (self._is_set_up_wrong and not self.ready.is_set()):
                        raise
                    _LOG.error(
                        "the node goes on without its %s, tried again in %g s: %s",
                        self.command.name,
                        ALONE_SECONDS,
                        error,
                    )
                self.ready.set()
                await self._clock.sleep(ALONE_SECONDS)
                self._crashes = 0
                self._change("restarting", restarts=self.record.restarts + 1, pid=None, facts={})
        finally:
            if log.lost:
                _LOG.warning("%d lines of the log of %s could not be written", log.lost, self.command.name)
            log.close()

    async def _run_until_given_up(self, log: _LogFile) -> None:
        while True:
            begun = self._clock.monotonic()
            code, was_ready = await self._run_once(log)
            steady = was_ready and self._clock.monotonic() - begun >= STEADY_SECONDS
            self._crashes = 1 if steady else self._crashes + 1
            self._judge(code)
            self._change("restarting", restarts=self.record.restarts + 1, pid=None, facts={})
            pause = min(FIRST_BACKOFF_SECONDS * 2 ** (self._crashes - 1), MAX_BACKOFF_SECONDS)
            _LOG.warning("%s ended (%s); it starts again in %g s", self.command.name, _told(code), pause)
            await self._clock.sleep(pause)

    def _judge(self, code: int) -> None:
        """Raise ChildFailed unless starting again may help."""
        self._is_set_up_wrong = code == EXIT_SETUP
        if self._is_set_up_wrong or self._crashes > MAX_CRASHES:
            often = f" {self._crashes} times" if self._crashes > MAX_CRASHES else ""
            self._give_up(f"ended{often} ({_told(code)})")

    def _give_up(self, why: str) -> None:
        self._change("given up", pid=None)
        raise ChildFailed("\n  ".join([f"{self.command.name} {why}. Its last lines ({self._log_path}):", *self._tail]))

    async def _run_once(self, log: _LogFile) -> tuple[int, bool]:
        """Return how the child ended, and whether it had been ready."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.command.words,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            limit=MAX_LINE_BYTES,
            env={**ENVIRONMENT, **os.environ},
        )
        self._change("starting" if not self.record.restarts else "restarting", pid=process.pid)
        is_ready = asyncio.Event()
        logged = asyncio.create_task(self._keep_log(process, log))
        told = asyncio.create_task(self._hear(process, is_ready))
        try:
            await self._hand_over(process)
            await self._await_ready(process, is_ready)
            return await process.wait(), is_ready.is_set()
        finally:
            await _end(process)
            # A grandchild may hold the pipes open: what is in them is taken, what might come is not waited for.
            await asyncio.wait({logged, told}, timeout=_STOP_MARGIN_SECONDS)
            for task in (logged, told):
                task.cancel()
            await asyncio.gather(logged, told, return_exceptions=True)

    async def _hand_over(self, process: asyncio.subprocess.Process) -> None:
        """Write the password's line; the pipe stays open, and its end tells the child that we are gone."""
        assert process.stdin is not None  # nosec B101
        password = self.command.password.reveal() if self.command.password else ""
        with contextlib.suppress(OSError):  # it died at once: its exit code tells more
            process.stdin.write(password.encode() + b"\n")
            await process.stdin.drain()

    async def _await_ready(self, process: asyncio.subprocess.Process, is_ready: asyncio.Event) -> None:
        either = {asyncio.create_task(process.wait()), asyncio.create_task(is_ready.wait())}
        try:
            first = asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await within(self._clock, self.command.ready_seconds, first)
        except TimeoutError:
            await _end(process)
            self._give_up(f"was not ready within {self.command.ready_seconds:g} s")
        finally:
            for task in either:
                task.cancel()

    async def _hear(self, process: asyncio.subprocess.Process, is_ready: asyncio.Event) -> None:
        """Read the child's stdout to its end; anything but the line that tells that it is ready is passed over."""
        assert process.stdout is not None  # nosec B101
        while line := await _line_of(process.stdout):
            words = line.split()
            if words[:1] == [READY]:
                self._change("ready", facts=dict(word.split("=", 1) for word in words[1:] if "=" in word))
                is_ready.set()
                self.ready.set()

    async def _keep_log(self, process: asyncio.subprocess.Process, log: _LogFile) -> None:
        assert process.stderr is not None  # nosec B101
        while line := await _line_of(process.stderr):
            text = line.rstrip("\n")
            text = text if len(text) <= _SHOWN else text[:_SHOWN] + " … (cut)"
            self._tail.append(text)
            log.emit(logging.makeLogRecord({"msg": text}))

    def _change(self, state: str, **changes: object) -> None:
        since = UnixMilliseconds(time.time_ns() // 10**6)
        self.record = msgspec.structs.replace(self.record, state=state, since=since, **changes)
        self._on_change()


class _LogFile(RotatingFileHandler):
    """A bounded log. What a full disk does not take is counted, and told when the child ends."""

    lost = 0

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802, V105  logging calls it
        """Count an entry that could not be written."""
        self.lost += 1


async def _line_of(stream: asyncio.StreamReader) -> str:
    """Return the next line, of one that is too long the next piece. Empty at the end."""
    try:
        return (await stream.readuntil()).decode(errors="replace")
    except asyncio.IncompleteReadError as error:
        return error.partial.decode(errors="replace")
    except asyncio.LimitOverrunError as error:
        cut = await stream.readexactly(max(1, error.consumed))
        return cut.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a child and everything in its session, kindly first."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        # Not asyncio.timeout: in a cancelled task it ends as one more cancellation up to Python 3.11.2.
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({ended}, timeout=STOP_SECONDS + _STOP_MARGIN_SECONDS)
        if not ended.done():
            _LOG.warning("process %d did not stop within %g s: it is killed", process.pid, STOP_SECONDS)
            process.kill()
        await ended
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _open_log(path: Path) -> _LogFile:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _LogFile(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8")
    except OSError as error:
        raise ChildFailed(f"log {path}: {error.strerror}") from None


def _told(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
