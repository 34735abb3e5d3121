"""An engine at work on a devnet in this process, and what its spool tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from devnet.app import record_of
from devnet.demo.operators import EVERYTHING, PreparedNode, prepare_node
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.world import World
from node.clock import SystemClock
from node.config import Config, LenderConfig, Mode
from node.config_template import write_commented
from node.engine import app
from node.engine.spool import Spool
from node.keyfile import Password
from node.process import Process
from node.records import AnyRecord, decode_record

_POLL_SECONDS = 0.5
"""Reading a spool takes the loop from the engine."""
_Kind = TypeVar("_Kind", bound=AnyRecord)


@dataclass(frozen=True)
class Told:
    """The records of a spool, in their order."""

    records: tuple[AnyRecord, ...]
    sequences: tuple[int, ...]

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """Those of one kind."""
        return [record for record in self.records if isinstance(record, kind)]


def told(config: Config) -> Told:
    """What is on a spool now, without disturbing whoever writes to it."""
    copy = config.data_folder / "spool-copy"
    copy.mkdir(parents=True, exist_ok=True)
    for path in config.spool_folder.glob("*.spool"):
        (copy / path.name).write_bytes(path.read_bytes())
    spool = Spool(copy)
    spool.open()
    entries = spool.after(0, len(spool))
    spool.close()
    return Told(tuple(decode_record(entry.body) for entry in entries), tuple(entry.sequence for entry in entries))


def prepared(relay: Relay, world: World, config: RelayConfig, folder: Path, operator: int = 0) -> PreparedNode:
    """A node of one operator that follows everything, for a devnet in this process."""
    record = record_of(relay, config, world, folder)
    return prepare_node(world.manifest.operators[operator], EVERYTHING, record, world.manifest, folder)


def in_shadow(node: PreparedNode) -> PreparedNode:
    """The same node on the same data, which signs nothing more: it only judges what it had sent before."""
    return _with(node, msgspec.structs.replace(node.config, mode=Mode.SHADOW), "shadow.toml")


def with_lenders(node: PreparedNode, *lenders: LenderConfig) -> PreparedNode:
    """The same node with these flash lenders alone."""
    protocols = msgspec.structs.replace(node.config.protocols, lenders=lenders)
    return _with(node, msgspec.structs.replace(node.config, protocols=protocols), "lenders.toml")


def _with(node: PreparedNode, config: Config, name: str) -> PreparedNode:
    path = node.config_path.with_name(name)
    write_commented(config, path)
    return replace(node, config=config, config_path=path)


def process_of(node: PreparedNode) -> Process:
    """The engine's process, as the supervisor would start it."""
    password = Password(node.password_path.read_text().strip())
    return Process("engine", node.config, password, SystemClock())


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[asyncio.Task[None]]:
    """The engine, until it is told to stop."""
    task = asyncio.create_task(app.main(process))
    try:
        yield task
    finally:
        process.stop.set()
        await asyncio.wait({task}, timeout=20)
        if not task.done():
            task.cancel()
        (error,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(error, Exception):
            raise error


async def eventually(condition: Callable[[], bool], *tasks: asyncio.Task[None], seconds: float = 100.0) -> None:
    """Wait until a condition holds; fail with a task that ends before, or when the time is up."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        for task in tasks:
            if task.done():
                task.result()
                raise AssertionError("it has ended")
        assert asyncio.get_running_loop().time() < deadline, "it took too long"
        await asyncio.sleep(_POLL_SECONDS)


def total(amounts: Iterable[str]) -> int:
    """The sum of decimal texts."""
    return sum(map(int, amounts))
