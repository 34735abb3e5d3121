"""The desk: ledger, intake, HTTP, in this order, and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from node.desk.http import serving
from node.desk.intake import Intake
from node.desk.ledger.ledger import open_ledger
from node.desk.status import StatusReader
from node.desk.watch.rpc import WatchRpc
from node.desk.watch.watcher import watcher_of
from node.errors import NodeError
from node.link_errors import SocketUnusable
from node.link_server import LinkServer
from node.process import Process


@dataclass(frozen=True, slots=True)
class Desk:
    """What runs."""

    writing: asyncio.Task[None]
    http: str


async def main(process: Process) -> None:
    """Serve until told to stop. Raises NodeError: what its parts raise."""
    try:
        await _serve(process)
    except SocketUnusable as error:
        raise NodeError(str(error)) from error


async def _serve(process: Process) -> None:
    async with wire(process) as desk:
        process.ready(http=desk.http)
        stopped = asyncio.create_task(process.stop.wait())
        await asyncio.wait({stopped, desk.writing}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if desk.writing.done():
            desk.writing.result()


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


@contextlib.asynccontextmanager
async def wire(process: Process) -> AsyncIterator[Desk]:
    """Start the parts; nothing but wiring."""
    config = process.config
    ledger = await open_ledger(config.ledger_path)
    config.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    intake = Intake(ledger, process.clock)
    writing = asyncio.create_task(intake.write())
    try:
        async with (
            WatchRpc(config.chain.rpcs[0].http) as rpc,
            LinkServer(config.desk_socket, process.name, intake.handle, process.clock),
        ):
            watcher = watcher_of(config, rpc, process.clock)
            watching = None if watcher is None else asyncio.create_task(watcher.run())
            try:
                async with serving(config.desk, StatusReader(config, intake, process.clock, watcher)) as http:
                    yield Desk(writing, http)
            finally:
                await _end(watching)
    finally:
        intake.stop()
        await asyncio.wait({writing})
        await ledger.close()
