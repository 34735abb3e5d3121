"""A real desk for tests: `python -m node.desk` as the supervisor starts it, and an engine's end of its link."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from node.clock import SystemClock
from node.config import Config
from node.config_file import load_config
from node.config_template import write_commented
from node.link import EngineStatus, LedgerAcknowledgement, LedgerEntry
from node.link_sockets import Link, connect
from protocol.units import UnixMilliseconds
from tests.config_factories import config_in

SECONDS = 30.0


class DeskProcess:
    """One desk over its life of several processes; its folder stays."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hftnode.toml"
        write_commented(config_in(folder), self.path)
        self.config: Config = load_config(self.path, {})
        self.http = ""
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, max_file_bytes: int | None = None) -> None:
        """Start it and wait until it is ready; its files may then grow to `max_file_bytes` only."""
        pipe = asyncio.subprocess.PIPE
        # A coverage file that may not grow is a broken one.
        environ = {name: value for name, value in os.environ.items() if not (max_file_bytes and "COVERAGE" in name)}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "node.desk", "--config", str(self.path)),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environ,
        )
        if max_file_bytes is not None:
            self.limit(max_file_bytes)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        told = (await asyncio.wait_for(self.process.stdout.readline(), SECONDS)).decode().split()
        if not told:
            raise AssertionError((await self.ended())[1])
        self.http = f"http://{told[1].removeprefix('http=')}"

    def limit(self, max_file_bytes: int) -> None:
        """Let its files grow no further: what a full disk is to a program, as near as one comes without one."""
        assert self.process is not None
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (max_file_bytes, hard))

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int | None:
        """End it as the supervisor does, and return its exit code."""
        if self.process is None or self.process.returncode is not None:
            return None
        self.process.terminate()
        return (await self.ended())[0]

    async def ended(self) -> tuple[int, str]:
        """Its exit code and its log."""
        assert self.process is not None
        assert self.process.stderr is not None
        log = await asyncio.wait_for(self.process.stderr.read(), SECONDS)
        return await asyncio.wait_for(self.process.wait(), SECONDS), log.decode()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a request."""
        async with aiohttp.ClientSession() as session, session.get(self.http + path) as response:
            return response.status, await response.read()

    @contextlib.asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """The engine's end."""
        async with await connect(self.config.desk_socket, "engine", SystemClock(), SECONDS) as link:
            yield link


async def acknowledged(link: Link, sequence: int) -> int:
    """Wait for the acknowledgement of `sequence` or later."""
    async with asyncio.timeout(SECONDS):
        while True:
            message = await link.receive()
            assert isinstance(message, LedgerAcknowledgement)
            if message.sequence >= sequence:
                return message.sequence


async def send(link: Link, entries: list[LedgerEntry]) -> None:
    for entry in entries:
        await link.send(entry)


def engine_status(phase: str = "running") -> EngineStatus:
    """What an engine tells after a while on a devnet."""
    return EngineStatus(
        at=UnixMilliseconds(1_790_000_000_000),
        phase=phase,
        mode="live",
        head_number=1234,
        head_age_ms=800,
        pools=40,
        pools_quarantined=1,
        cycles=312,
        tokens_trusted=9,
        tokens_refused=3,
        tokens_unpriced=["0x" + "c2".rjust(40, "0")],
        pending_seen=5000,
        pending_read=4000,
        opportunities={"backrun": 7},
        dropped={"not_profitable": 3},
        bundles_sent=5,
        tick_to_bundle_us={"p50": 310, "p99": 1900, "max": 4000},
        rpcs={"http://127.0.0.1:8545": "ok", "http://127.0.0.1:8546": "behind by 4 blocks"},
        relays={"flashbots": "ok"},
        hot_keys={"0x" + "a1".rjust(40, "0"): str(10**18)},
        spooled=2,
    )
