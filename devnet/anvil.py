"""Runs one Anvil: started with everything pinned, watched over, and gone when we are.

ChainFailed    it did not start in time, died, or is of another version
PortTaken      another program listens on the port
ToolMissing    the program is not there
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from devnet.errors import ChainFailed, PortTaken, ToolMissing
from devnet.rpc import RpcClient
from devnet.storage import storage_errors

ANVIL_VERSION: Final = "1.7.1"
CHAIN_ID: Final = 31337
HARDFORK: Final = "osaka"
GENESIS_TIMESTAMP: Final = 1_767_225_600
"""2026-01-01T00:00:00Z: chain time begins here, so that the same inputs give the same blocks."""
GENESIS_BASE_FEE: Final = 1_000_000_000
BLOCK_GAS_LIMIT: Final = 60_000_000
BLOCKS_KEPT: Final = 1024
"""Of so many blocks Anvil keeps transactions, receipts and logs: about half a megabyte a busy block."""

_LISTENING: Final = re.compile(rb"Listening on \S+:(\d+)")
_STOP_SECONDS: Final = 5.0
_LOG_BYTES: Final = 1_000_000
_TAIL_LINES: Final = 30
# Ends Anvil when we die, even by kill -9: our end of its pipe closes and `read` returns. Portable, unlike
# PR_SET_PDEATHSIG, and bound to our process instead of the thread that happened to start it.
_WATCHDOG: Final = 'read -r _; kill -9 "$1" 2>/dev/null'


@dataclass(frozen=True, slots=True, kw_only=True)
class AnvilOptions:
    """What is pinned. Port 0 takes a free one. `states_kept` bounds memory and is how deep a reorg can go."""

    host: str = "127.0.0.1"
    port: int = 0
    chain_id: int = CHAIN_ID
    hardfork: str = HARDFORK
    gas_limit: int = BLOCK_GAS_LIMIT
    timestamp: int = GENESIS_TIMESTAMP
    base_fee: int = GENESIS_BASE_FEE
    load_state: Path | None = None
    auto_impersonate: bool = False
    states_kept: int = 64
    blocks_kept: int = BLOCKS_KEPT
    start_seconds: float = 30.0

    def arguments(self) -> list[str]:
        """Return Anvil's command line. It mines only on demand and in the order of arrival: the relay decides both."""
        pinned = {
            "--host": self.host,
            "--port": self.port,
            "--chain-id": self.chain_id,
            "--hardfork": self.hardfork,
            "--gas-limit": self.gas_limit,
            "--block-base-fee-per-gas": self.base_fee,
            "--prune-history": self.states_kept,
            "--transaction-block-keeper": self.blocks_kept,
            "--accounts": 0,
            "--order": "fifo",
        }
        arguments = [word for name, value in pinned.items() for word in (name, str(value))]
        arguments += ["--no-mining", "--no-request-size-limit", "--enable-tx-gas-limit", "--color", "never"]
        if self.auto_impersonate:
            arguments.append("--auto-impersonate")
        if self.load_state is not None:
            arguments += ["--load-state", str(self.load_state)]
        else:  # beside a loaded state it would be the next block's time, which is before its parent's
            arguments += ["--timestamp", str(self.timestamp)]
        return arguments


class Anvil:
    """An Anvil process. Use as an async context manager; inside, `url` answers.

    Its output goes to `log_path`, at most 1 MB of it; what comes after that is dropped and counted in `dropped_bytes`.
    """

    def __init__(self, program: Path, options: AnvilOptions, log_path: Path) -> None:
        self._program = program
        self._options = options
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self._watchdog: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._port: asyncio.Future[int] | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.dropped_bytes = 0
        self.url = ""

    @property
    def pid(self) -> int:
        """The process id of Anvil itself."""
        if self._process is None:
            raise ChainFailed("Anvil is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(self._options.start_seconds):
                await self._start()
        except TimeoutError as error:
            await self.stop()
            raise ChainFailed(self._story(f"did not answer within {self._options.start_seconds:g} s")) from error
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Return when Anvil has ended, whatever the reason."""
        if self._process is not None:
            await self._process.wait()

    def failure(self) -> ChainFailed:
        """Return an error that tells how Anvil ended, with its last words."""
        code = self._process.returncode if self._process is not None else None
        return ChainFailed(self._story(f"ended with code {code}"))

    async def stop(self) -> None:
        """End Anvil, first politely, and everything that was started with it. Idempotent."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        if self._watchdog is not None and self._watchdog.returncode is None:
            # Before our end of its pipe closes, or it would shoot at a process id that is free for others by now.
            with contextlib.suppress(ProcessLookupError):
                self._watchdog.kill()
            await self._watchdog.wait()
        if self._reader is not None:
            await self._reader
            self._reader = None

    async def _start(self) -> None:
        with storage_errors(self._log_path):
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log_path.write_bytes(b"")
        try:
            self._process = await asyncio.create_subprocess_exec(
                str(self._program),
                *self._options.arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in our order
            )
        except OSError as error:
            raise ToolMissing(f"Anvil cannot be started from {self._program}: {error.strerror}") from error
        self._watchdog = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            _WATCHDOG,
            "sh",
            str(self._process.pid),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._port = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read_output(self._port))
        self.url = f"http://{self._options.host}:{await self._port}"
        await self._prepare()

    async def _prepare(self) -> None:
        async with RpcClient(self.url, deadline_seconds=self._options.start_seconds) as rpc:
            version = await rpc.call("web3_clientVersion")
            if version != f"anvil/v{ANVIL_VERSION}":
                raise ChainFailed(f"{self._program} is {version}, but the devnet is made for anvil/v{ANVIL_VERSION}")
            await rpc.call("anvil_setLoggingEnabled", False)  # a line per call would only fill the disk
            if self._options.load_state is not None:
                # Chain time goes on where it stopped; else the next block would be stamped with the wall clock.
                head = await rpc.call("eth_getBlockByNumber", "latest", False)
                await rpc.call("evm_setTime", int(head["timestamp"], 16))
                # A loaded state brings its own limit, whatever the command line says.
                await rpc.call("evm_setBlockGasLimit", self._options.gas_limit)

    async def _read_output(self, port: asyncio.Future[int]) -> None:
        process = self._process
        if process is None or process.stdout is None:
            raise RuntimeError("output is read before the process exists")
        written, unfinished = 0, b""
        while chunk := await process.stdout.read(65536):
            kept = chunk[: max(0, _LOG_BYTES - written)]
            written += len(kept)
            self.dropped_bytes += len(chunk) - len(kept)
            if kept:
                self._append(kept)
            *lines, unfinished = (unfinished + chunk)[-65536:].split(b"\n")
            for line in lines:
                self._tail.append(line.decode(errors="replace").rstrip())
                if not port.done() and (match := _LISTENING.search(line)):
                    port.set_result(int(match[1]))
        self._tail.append(unfinished.decode(errors="replace").rstrip())
        await process.wait()
        if not port.done():
            port.set_exception(self._start_failure())

    def _append(self, data: bytes) -> None:
        try:
            with self._log_path.open("ab") as file:
                file.write(data)
        except OSError:  # a full disk must not stop the chain: the tail in memory still tells what happened
            self.dropped_bytes += len(data)

    def _start_failure(self) -> ChainFailed | PortTaken:
        if any("Address already in use" in line for line in self._tail):
            where = f"{self._options.host}:{self._options.port}"
            return PortTaken(f"another program listens on {where}: choose another port or end that program")
        return self.failure()

    def _story(self, what: str) -> str:
        said = " | ".join(line for line in self._tail if line)
        return f"Anvil {what}; its last words: {said[-600:] or 'none'}; log: {self._log_path}"
