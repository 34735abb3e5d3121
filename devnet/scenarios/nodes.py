"""Operators' nodes that run in a scenario: the relay and the order flow on its chain, in real time, and real processes.

Each node reaches the chain by a cable of its own, and reads the time from a clock of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from devnet.app import actors_process, record_of
from devnet.config import DevnetConfig
from devnet.demo.network_contracts import networks
from devnet.demo.node_process import NodeProcess, left_running, start_command
from devnet.demo.operators import PreparedNode, Style, prepare_node
from devnet.errors import ChainFailed
from devnet.relay.app import Relay
from devnet.relay.builders import DEFAULT_BUILDERS
from devnet.relay.chain import Head
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.run_folder import RunRecord
from devnet.scenarios.stage import ScenarioFailed, Stage
from devnet.scenarios.wrong_clock.sitecustomize import BYTES, VARIABLE
from devnet.tcp_proxy import TcpProxy
from devnet.waiting import Patience
from node.config_errors import ConfigError
from node.run_file import read_run

BLOCK_SECONDS: Final = 2.0
REFUSED_IN_A_ROW: Final = 20
"""Reads that the chain may refuse, one after the other: it serves the nodes too."""
READY_SECONDS: Final = 150.0
_LOOK_SECONDS: Final = 0.2
_READY: Final = "ready"


@dataclass(frozen=True)
class LiveNode:
    """A node that runs: its processes, its way to the chain, its clock."""

    process: NodeProcess
    cable: TcpProxy
    clock: Path
    killed: list[str] = field(default_factory=list)
    """Names of the processes that were."""

    @property
    def prepared(self) -> PreparedNode:
        """What the node was started with."""
        return self.process.prepared

    @property
    def name(self) -> str:
        """The operator's and the node's name."""
        return self.prepared.name

    def pid_of(self, name: str) -> int | None:
        """The process of that name, if it does its work."""
        run = read_run(self.prepared.config.run_folder)
        record = None if run is None else run.processes.get(name)
        return record.pid if record is not None and record.state == _READY else None

    def kill(self, name: str) -> int:
        """Kill one of its processes as hard as can be; return which it was. Raises `ScenarioFailed` if it is not up."""
        pid = self.pid_of(name)
        if pid is None:
            raise ScenarioFailed(f"{self.name}: the {name} does not run")
        os.kill(pid, signal.SIGKILL)
        self.killed.append(name)
        return pid

    def log(self, name: str) -> str:
        """What one of its processes has logged; nothing before it has."""
        try:
            return (self.prepared.config.data_folder / "logs" / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""

    def put_clock(self, milliseconds: int) -> None:
        """Let its clock be wrong by so much from now on."""
        with self.clock.open("r+b") as file:
            file.write(milliseconds.to_bytes(BYTES, "big", signed=True))


class LiveDevnet:
    """What goes on around a scenario's nodes; made by `live`. `apart`: nodes that are prepared, and not run.

    `record`: where a further node finds everything.
    """

    def __init__(
        self,
        stage: Stage,
        relay: Relay,
        nodes: Mapping[str, LiveNode],
        apart: Mapping[str, PreparedNode],
        record: RunRecord,
        parts: list[asyncio.Task[Any]],
    ) -> None:
        self.stage, self.relay, self.nodes, self.apart, self.record = stage, relay, nodes, apart, record
        self._patience = Patience(REFUSED_IN_A_ROW)
        self._parts = parts

    async def control(self, method: str, *words: object) -> Any:
        """Call one of the devnet's own methods."""
        async with RpcClient(self.relay.admin_url) as admin:
            return await admin.call(method, *words)

    @property
    def head(self) -> Head:
        """The last block."""
        return self.relay.parts.chain.head

    async def blocks(self, count: int, seconds: float = 90.0) -> None:
        """Wait until so many more blocks are there."""
        last = self.head.number + count

        async def reached() -> bool:
            return self.head.number >= last

        await self.until(reached, f"block {last}", seconds)

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str, seconds: float = READY_SECONDS) -> None:
        """Look again and again until `holds()`. Raises `ScenarioFailed` when time is up, or as a part did."""
        give_up = time.monotonic() + seconds
        while not await self._patience.ask(holds):
            for part in self._parts:
                if part.done():
                    part.result()
                    raise ChainFailed(f"{part.get_name()} has ended by itself")
            if time.monotonic() > give_up:
                raise ScenarioFailed(f"waited {seconds:g} s in vain: {what}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def are_ready(self) -> bool:
        """Whether all processes of all nodes do their work. Raises `ChainFailed` if a node has ended."""
        return all(node.process.is_ready() for node in self.nodes.values())

    async def freeze(self) -> None:
        """No more blocks; the chain goes on answering."""
        (producing,) = (part for part in self._parts if part.get_name() == "relay")
        self._parts.remove(producing)
        producing.cancel()
        await asyncio.gather(producing, return_exceptions=True)


def builders_endowment() -> list[tuple[str, list[str]]]:
    """Return the calls by which the relay would give builders a wei: done before a story begins, its books balance."""
    return [("anvil_setBalance", [builder.coinbase, "0x1"]) for builder in DEFAULT_BUILDERS]


@contextlib.asynccontextmanager
async def live(
    stage: Stage,
    styles: Mapping[str, Style],
    apart: Mapping[str, Style] | None = None,
    actors_parameters: Path | None = None,
) -> AsyncIterator[LiveDevnet]:
    """Run the relay, the order flow and a node for each operator of `styles`; nothing of it is left in the end.

    Nodes of `apart` are prepared, and known to the others, and whoever asked for them runs them.
    The nodes warm up yet when the block begins (`are_ready`).
    """
    config = RelayConfig(block_time_seconds=BLOCK_SECONDS, seed=stage.random.getrandbits(32))
    mark, nodes, parts = uuid.uuid4().hex, dict[str, LiveNode](), list[asyncio.Task[Any]]()
    async with contextlib.AsyncExitStack() as stack:
        relay = await stack.enter_async_context(Relay(config, stage.ground.anvil_url))
        record = record_of(relay, config, stage.ground.world, stage.ground.folder)
        aside = dict[str, PreparedNode]()
        for prepared, cable in await _prepared(stage, stack, {**styles, **(apart or {})}, record):
            if prepared.name in styles:
                nodes[prepared.name] = _with_clock(prepared, cable, mark)
            else:
                aside[prepared.name] = prepared
        try:
            played = DevnetConfig(
                seed=config.seed, block_time_seconds=BLOCK_SECONDS, actor_parameters=actors_parameters
            )
            actors = actors_process(played, record, stage.ground.folder)
            parts += [asyncio.create_task(relay.run(), name="relay"), asyncio.create_task(actors.run(), name="actors")]
            await asyncio.gather(*(node.process.start() for node in nodes.values()))
            scene = LiveDevnet(stage, relay, nodes, aside, record, parts)
            yield scene
        finally:
            await asyncio.gather(*(node.process.stop() for node in nodes.values()), return_exceptions=True)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
    if left := left_running(mark):
        raise ScenarioFailed(f"left running: {', '.join(left)}")


async def _prepared(
    stage: Stage, stack: contextlib.AsyncExitStack, styles: Mapping[str, Style], record: RunRecord
) -> list[tuple[PreparedNode, TcpProxy]]:
    operators = [one for one in stage.manifest.operators if one.name in styles]
    configured, found = networks(operators, stage.manifest, stage.ground.folder), []
    for one in operators:
        cable = await stack.enter_async_context(TcpProxy(record.rpc_url))
        behind = msgspec.structs.replace(record, rpc_url=cable.http, ws_url=cable.websocket)
        folder = stage.ground.folder / one.name
        try:
            prepared = prepare_node(one, styles[one.name], behind, stage.manifest, folder, configured[one.name])
        except ConfigError as error:
            raise ScenarioFailed(str(error)) from error
        found.append((prepared, cable))
    return found


@contextlib.asynccontextmanager
async def further_node(scene: LiveDevnet, prepared: PreparedNode) -> AsyncIterator[LiveNode]:
    """Run one more node, which nobody of the others knows, for as long as the block."""
    async with TcpProxy(scene.record.rpc_url) as cable:
        node = _with_clock(prepared, cable, uuid.uuid4().hex)
        await node.process.start()
        try:
            yield node
        finally:
            await node.process.stop()


def _with_clock(prepared: PreparedNode, cable: TcpProxy, mark: str) -> LiveNode:
    clock = prepared.config_path.with_name("clock")
    clock.write_bytes(bytes(BYTES))
    return LiveNode(NodeProcess(prepared, start_command(), mark, _wrong_clock(clock)), cable, clock)


def _wrong_clock(path: Path) -> dict[str, str]:
    """Return the environment in which Python's clock is the one of that file."""
    folder = Path(__file__).with_name("wrong_clock")
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])),
        VARIABLE: str(path),
    }
