"""A child process of the devnet that logs to a file, ends with us, and is restarted when it crashes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from devnet.errors import ChainFailed
from devnet.storage import storage_errors

MAX_RESTARTS = 3
RESTART_SECONDS = 0.25
STOP_SECONDS = 5.0
LOG_TAIL_BYTES = 2_000


class ChildProcess:
    """Runs one command. After `MAX_RESTARTS` crashes it gives up with `ChainFailed` and the end of the log."""

    def __init__(self, name: str, command: Sequence[str], log_path: Path, *, restart: bool) -> None:
        self.name = name
        self.restarts = 0
        self._command = command
        self._log_path = log_path
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Run until cancelled; then end the child, kindly first. Returns when the child ends by itself with 0.

        The log begins anew with each run, and goes on over restarts.
        """
        with storage_errors(self._log_path):
            self._log_path.unlink(missing_ok=True)
        try:
            while (code := await self._run_once()) != 0:
                if not self._restart or self.restarts >= MAX_RESTARTS:
                    raise ChainFailed(f"{self.name} ended with code {code}:\n{self._log_tail()}")
                self.restarts += 1
                await asyncio.sleep(RESTART_SECONDS * 2**self.restarts)
        finally:
            await self._stop()

    async def _run_once(self) -> int:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        return await self._process.wait()

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        # Not asyncio.timeout: we may be here because the task was cancelled, and up to Python 3.11.2 a timeout inside a
        # cancelled task ends as one more cancellation, which would leave the child alive.
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({ended}, timeout=STOP_SECONDS)
        if not ended.done():
            process.kill()
        await ended

    def _log_tail(self) -> str:
        try:
            return self._log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            return f"(no log at {self._log_path})"
