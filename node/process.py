"""What every process of a node shares: configuration, password, readiness, signals, log lines, and an orderly end.

The supervisor starts `python -m node.NAME --config FILE` and speaks with it through three pipes:

- stdin: one line with the keystore password (empty for processes that need none), then nothing. When it ends, the
  supervisor is gone, however it died: the process stops, and ends hard if it has not stopped after STOP_SECONDS.
- stdout: one line `ready`, with facts as ` name=value`, when the process does its work.
- stderr: the log, one line an entry.

Exit codes: 0 stopped, 1 a NodeError (one line tells it), 70 an unforeseen fault, 78 a SetupError: do not start again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from node.clock import Clock, SystemClock
from node.config import Config
from node.config_file import load_config
from node.core_dumps import empty_core_dumps
from node.errors import NodeError, SetupError
from node.keyfile import MAX_PASSWORD_BYTES, Password, PasswordUnusable

STOP_SECONDS: Final = 5.0
PASSWORD_SECONDS: Final = 10.0
EXIT_FAILED: Final = 1
EXIT_FAULT: Final = 70  # EX_SOFTWARE of sysexits.h
EXIT_SETUP: Final = 78  # EX_CONFIG of sysexits.h
READY: Final = "ready"

_LOG: Final = logging.getLogger("hftnode.process")


class Process:
    """What a process's `main` is given. Return from `main` when `stop` is set."""

    def __init__(self, name: str, config: Config, password: Password | None, clock: Clock) -> None:
        self.name = name
        self.config = config
        self.password = password
        """Of the keystores; None for a process that holds no key."""
        self.clock = clock
        self.stop = asyncio.Event()
        self._told = False

    def ready(self, **facts: str) -> None:
        """Tell the supervisor that this process does its work; `facts` (without blanks) land in `run/node.json`."""
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError):  # the supervisor is gone: stdin tells it too, and that ends us
                os.write(1, " ".join([READY, *(f"{name}={value}" for name, value in facts.items())]).encode() + b"\n")


ProcessMain = Callable[[Process], Awaitable[None]]


def run_process(name: str, main: ProcessMain, words: Sequence[str] | None = None) -> None:
    """Run `main` as the process `name` until it returns, then exit with the code that the module names."""
    start_logging(name)
    parser = argparse.ArgumentParser(prog=f"python -m node.{name}")
    parser.add_argument("--config", type=Path, required=True)
    path: Path = parser.parse_args(words).config
    try:
        config = load_config(path, os.environ)
        empty_core_dumps()
        password = _password_from(sys.stdin.fileno())
        _run(_live(name, config, password, main))
    except SetupError as error:
        _LOG.critical("%s", error)
        sys.exit(EXIT_SETUP)
    except NodeError as error:
        _LOG.critical("%s", error)
        sys.exit(EXIT_FAILED)
    except Exception:
        _LOG.critical("an unforeseen fault", exc_info=True)
        sys.exit(EXIT_FAULT)


async def _live(name: str, config: Config, password: Password | None, main: ProcessMain) -> None:
    process = Process(name, config, password, SystemClock())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, process.stop.set)
    threading.Thread(target=_end_with_stdin, args=(loop, process.stop), name="supervisor's pipe", daemon=True).start()
    await main(process)


def _end_with_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop the process when its stdin ends. A thread, so that it also works while the loop is busy or stuck."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending already
        loop.call_soon_threadsafe(stop.set)
    time.sleep(STOP_SECONDS)
    os._exit(EXIT_FAILED)


def _password_from(descriptor: int) -> Password | None:
    """Return the first line of a pipe, byte by byte: nothing after it is taken. None if it is empty."""
    line = bytearray()
    while (byte := _byte_from(descriptor)) not in (b"", b"\n"):
        line += byte
        if len(line) > MAX_PASSWORD_BYTES:
            raise PasswordUnusable(f"the password on stdin has more than {MAX_PASSWORD_BYTES} bytes")
    try:
        return Password(line.decode()) if line else None
    except UnicodeDecodeError:
        raise PasswordUnusable("the password on stdin is not text") from None


def _byte_from(descriptor: int) -> bytes:
    if not select.select([descriptor], [], [], PASSWORD_SECONDS)[0]:
        raise PasswordUnusable(f"no line with the password came on stdin within {PASSWORD_SECONDS:g} s")
    return os.read(descriptor, 1)


def _run(main: Awaitable[None]) -> None:
    async def whole() -> None:
        await main

    try:
        import uvloop
    except ImportError:  # not on Windows; asyncio's own loop is slower and does the same
        asyncio.run(whole())
    else:
        uvloop.run(whole())


def start_logging(process: str, level: int = logging.INFO) -> None:
    """Log to stderr, one line an entry: time (UTC), level, process, logger, message; a traceback folded into it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _OneLine(logging.Formatter):
    """One line an entry, whatever the message holds."""

    def __init__(self, process: str) -> None:
        super().__init__(
            f"%(asctime)s.%(msecs)03dZ %(levelname)s {process} %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry's one line."""
        return super().format(record).replace("\r", "").replace("\n", " | ")
