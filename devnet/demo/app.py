"""`hftnode devnet demo`: a devnet, its operators' nodes as real processes, and a report that the chain vouches for.

Order: devnet, nodes, play; then the chain stands still until the ledgers have told of the last block; then everything
ends, in reverse, and the report is made of what was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from devnet.actors.journal import SANDWICHES
from devnet.actors.parameters import load_parameters
from devnet.actors.tape import Tape, read_tape
from devnet.app import Running, wire
from devnet.config import DevnetConfig
from devnet.demo.chain_watch import ChainWatch
from devnet.demo.ledger_reading import LedgerSummary, LedgerUnreadable, read_ledger
from devnet.demo.memory import MemoryWatch
from devnet.demo.network_contracts import members, network_contracts, networks
from devnet.demo.node_process import MARK, NodeProcess, left_running, start_command
from devnet.demo.operators import EVERYTHING, OF_FIVE, STYLES, PreparedNode, Style, prepare_node
from devnet.demo.processor import Seconds, cores, taken
from devnet.demo.reach import (
    OPERATORS,
    approach_epoch,
    blocks_before_epoch,
    interrupt,
    interrupt_later,
    limit,
    websocket_of,
)
from devnet.demo.report import Report
from devnet.demo.summary import NodeOutcome, Outcome, available_wei, earned, ledger_differences, make_report, net_usd
from devnet.demo.tape_recording import record_tape
from devnet.demo.view import DemoView, NodeView, Screen
from devnet.demo.worth import Side, worth
from devnet.errors import ChainFailed, ConfigInvalid
from devnet.gossip_bus import GossipBus
from devnet.home import Home
from devnet.interruption import ends_blocking_work, ends_task
from devnet.manifest import Manifest
from devnet.packages import Packages, Progress, ensure_packages
from devnet.relay.app import Relay
from devnet.rpc import RpcClient
from devnet.run_folder import RunFolder
from devnet.storage import storage_errors, write_atomically
from devnet.waiting import Patience
from devnet.world import World, ensure_world
from node.clock import SystemClock
from node.config_errors import ConfigError
from protocol.signing import Domain
from protocol.units import ChainId, UnixMilliseconds

READY_SECONDS: Final = 240.0
SETTLE_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.5
REFUSED_IN_A_ROW: Final = 20
"""Reads of the watch that the chain may refuse, one after the other: it serves the nodes too."""
BLOCK_SECONDS: Final = 2.0
JOURNAL: Final = "actors.jsonl"
TAPE: Final = "tape.json"
MAXIMUM_NODES: Final = len(STYLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One demo. In lockstep `duration_seconds` is chain time: one block every two seconds of it."""

    duration_seconds: float = 300.0
    nodes: int = MAXIMUM_NODES
    seed: int = 1
    lockstep: bool = False
    report: Path | None = None
    strangers: bool = False
    """In lockstep: five nodes of which each acts alone. A run to compare with, without a report of its own."""
    tape: Path | None = None
    """In lockstep: what the actors send, in place of what they would answer to this chain."""
    node_command: Sequence[str] = ()
    """In place of `hftnode start`."""

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAXIMUM_NODES:
            raise ConfigInvalid(f"{self.nodes} nodes: the world has {MAXIMUM_NODES} operators")
        if not BLOCK_SECONDS <= self.duration_seconds <= 86_400:
            raise ConfigInvalid(f"a demo takes {BLOCK_SECONDS:g} s to a day, not {self.duration_seconds:g} s")

    @property
    def is_network(self) -> bool:
        """Whether the nodes form a network. In lockstep only five do, whose reach differs; fewer act alone."""
        return not self.strangers and (self.nodes == OPERATORS or not self.lockstep)

    @property
    def blocks(self) -> int | None:
        """In lockstep, how many blocks count."""
        return math.ceil(self.duration_seconds / BLOCK_SECONDS) if self.lockstep else None


async def run_demo(options: DemoOptions, home: Home, progress: Progress, screen: Screen) -> Report | None:
    """Run a demo and return its report; None when a signal ended it before. Leaves no process behind.

    Five nodes in lockstep run twice on the one seed: as strangers first, then as the network that is reported. Before
    that the actors play alone, and what they send then is what both runs are given.

    Raises `DevnetError` when a part cannot start or dies, `Interrupted` when a signal comes before the world is there.
    """
    mark = os.environ[MARK] = uuid.uuid4().hex
    folder, stop = RunFolder(home.run), asyncio.Event()
    with folder.locked():
        with ends_task():
            with ends_blocking_work():
                packages = ensure_packages(home, progress)
            world = await ensure_world(home, packages, progress)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        place, compared = _Place(home, folder, packages, world, screen, mark), None
        if options.lockstep and options.is_network:
            options = replace(options, tape=await _recorded(options, place, progress, stop))
            alone = await _played(replace(options, strangers=True), place, stop) if options.tape else None
            if alone is None or options.tape is None:
                return None
            compared = Compared(read_tape(options.tape), alone.side())
        demo = await _played(options, place, stop)
        return None if demo is None else await demo.report(stop, compared)


class Compared(NamedTuple):
    """What a network is held against: what the actors sent in both runs, and the run of the same as strangers."""

    tape: Tape
    strangers: Side


class _Place(NamedTuple):
    """Where demos run, and who watches: all that runs one after the other share."""

    home: Home
    folder: RunFolder
    packages: Packages
    world: World
    screen: Screen
    mark: str


async def _recorded(options: DemoOptions, place: _Place, progress: Progress, stop: asyncio.Event) -> Path | None:
    """Let the actors play alone and keep what they sent; None when a signal came before. Raises `DevnetError`."""
    path = place.home.run / TAPE
    progress(f"recording what the actors send in {options.blocks} blocks")
    with storage_errors(path):
        path.unlink(missing_ok=True)
    config = replace(_config(options, place), participants=0, record_tape=path, tape_blocks=options.blocks or 0)
    async with wire(config, place.home, place.world, place.packages.anvil) as running:
        place.folder.write(running.record)
        try:
            return path if await record_tape(running, path, stop) else None
        finally:
            place.folder.clear()


async def _played(options: DemoOptions, place: _Place, stop: asyncio.Event) -> _Demo | None:
    """Play one demo to its end; None when a signal came before. Raises as `run_demo`."""
    config = _config(options, place)
    async with wire(config, place.home, place.world, place.packages.anvil) as running:
        place.folder.write(running.record)
        try:
            demo = await _Demo.prepare(options, place.home, running, place.screen, place.mark)
            async with demo:
                return demo if await demo.play(stop) else None
        finally:
            place.folder.clear()


def _config(options: DemoOptions, place: _Place) -> DevnetConfig:
    is_five = options.nodes == OPERATORS
    return DevnetConfig(
        port=0,
        block_time_seconds=BLOCK_SECONDS,
        seed=options.seed,
        lockstep=options.lockstep,
        participants=options.nodes if options.lockstep else 0,
        empty_blocks=blocks_before_epoch(place.world.manifest) if options.lockstep and is_five else 0,
        tape=options.tape,
    )


class _Demo:
    """One demo under way: the devnet's loops, the nodes, the watch."""

    def __init__(
        self, options: DemoOptions, running: Running, nodes: list[NodeProcess], screen: Screen, mark: str
    ) -> None:
        self._options, self._running, self._nodes = options, running, nodes
        self._screen, self._mark = screen, mark
        self._rpc = RpcClient(running.record.rpc_url)
        operators = [node.prepared.operator for node in nodes]
        self._watch = ChainWatch(self._rpc, running.manifest, operators, most=options.blocks)
        is_stepped = options.is_network and options.lockstep
        self._bus = bus_of(running.relay, running.manifest, [node.prepared for node in nodes]) if is_stepped else None
        self._parts: dict[str, asyncio.Task[Any]] = {}
        self._beside: list[asyncio.Task[None]] = []
        self._outcomes: list[NodeOutcome] = []
        self._pending = self._pending_at_start = 0
        self._rate: tuple[float, int] = (0.0, 0)
        self._began = time.monotonic()
        self._taken: Seconds = {}
        self._cores: dict[str, float] = {}
        self._memory = MemoryWatch(mark)
        self._patience = Patience(REFUSED_IN_A_ROW)

    @classmethod
    async def prepare(cls, options: DemoOptions, home: Home, running: Running, screen: Screen, mark: str) -> _Demo:
        """Write the nodes' files into a new folder. Raises `ConfigInvalid` and what storage raises."""
        root = home.run / "demo"
        command = options.node_command or start_command()
        with storage_errors(root):
            shutil.rmtree(root, ignore_errors=True)
            nodes, operators = [], running.manifest.operators[: options.nodes]
            network = networks(operators, running.manifest, root) if options.is_network else {}
            for operator in operators:
                try:
                    prepared = prepare_node(
                        operator,
                        style_of(operator.name, options.nodes),
                        running.record,
                        running.manifest,
                        root / operator.name,
                        network.get(operator.name),
                        websocket_of(operator.name, running.record.ws_url) if options.nodes == OPERATORS else "",
                    )
                except ConfigError as error:
                    raise ConfigInvalid(str(error)) from error
                nodes.append(NodeProcess(prepared, command, mark))
        return cls(options, running, nodes, screen, mark)

    async def __aenter__(self) -> _Demo:
        await self._rpc.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._parts.values(), *self._beside):
            task.cancel()
        await asyncio.gather(*self._parts.values(), *(node.stop() for node in self._nodes), return_exceptions=True)
        await self._rpc.__aexit__()

    async def play(self, stop: asyncio.Event) -> bool:
        """Let the nodes play; return whether it went to its end. Raises `ChainFailed` when a part dies."""
        self._parts = {
            "relay": asyncio.create_task(self._running.relay.run()),
            "anvil": asyncio.create_task(self._running.anvil.wait()),
            "stop": asyncio.create_task(stop.wait()),
        }
        if self._running.actors is not None:
            self._parts["actors"] = asyncio.create_task(self._running.actors.run())
        if self._options.nodes == OPERATORS:
            await self._limit()
        if self._options.lockstep:
            await self._begin()  # no block is made before the nodes have joined
        if self._bus is not None:
            self._parts["gossip"] = asyncio.create_task(self._bus.run())
        for node in self._nodes:
            await node.start()
        if not await self._until(self._are_ready, READY_SECONDS, "warming up"):
            return False
        if not self._options.lockstep:
            if self._options.nodes == OPERATORS:
                async with RpcClient(self._running.record.admin_url) as admin:
                    await approach_epoch(self._running.manifest, admin)
            await self._begin()
        self._began, self._taken = time.monotonic(), taken(self._mark)
        if self._options.nodes == OPERATORS and not self._options.lockstep:
            builders = tuple(self._running.record.builder_urls)
            interrupting = interrupt(self._running.manifest.operators, builders, self._running.record.admin_url)
            self._beside.append(asyncio.create_task(interrupting))
        if not await self._until(self._is_over, float("inf"), "running"):
            return False
        self._cores = cores(self._taken, taken(self._mark), time.monotonic() - self._began)
        await self._freeze()
        if not await self._until(self._is_settled, SETTLE_SECONDS, "settling", must=False):
            return False
        await self._measure()
        return True

    async def _limit(self) -> None:
        """Give the operators their different reach."""
        operators, record = self._running.manifest.operators, self._running.record
        async with RpcClient(record.admin_url) as admin, RpcClient(self._running.anvil.url) as chain:
            await limit(operators, chain, admin)
            if self._options.lockstep:
                await interrupt_later(operators, tuple(record.builder_urls), admin)

    def side(self) -> Side:
        """Return what came of it, to be compared with another run; everything has ended."""
        errors = [line for node in self._nodes for line in node.errors()]
        if self._running.actors is not None and self._running.actors.restarts:
            errors.append(f"the actors were restarted {self._running.actors.restarts} times")
        return Side(
            watch=self._watch,
            nodes=self._outcomes,
            journal=_journal(Path(self._running.record.log_folder) / JOURNAL),
            errors=errors,
            left_running=left_running(self._mark),
            digest="" if self._bus is None else self._bus.digests.get(self._watch.last, ""),
        )

    async def report(self, stop: asyncio.Event, compared: Compared | None = None) -> Report | None:
        """Solve for what was available and put the report together; everything has ended. Writes the file.

        None when a signal comes meanwhile.
        """
        self._show("looking back", 0.0)
        side, manifest = self.side(), self._running.manifest
        available = await asyncio.to_thread(available_wei, self._watch, side.journal, load_parameters(), stop.is_set)
        if available is None:
            return None
        sandwiches = Path(self._running.record.log_folder) / SANDWICHES
        report = make_report(
            Outcome(
                seed=self._options.seed,
                manifest=manifest,
                watch=self._watch,
                nodes=self._outcomes,
                pending_transactions=self._pending - self._pending_at_start,
                available=available,
                errors=side.errors,
                left_running=side.left_running,
                sandwiches=_journal(sandwiches) if self._options.is_network else None,
                worth=None if compared is None else worth(manifest, side, compared.strangers, compared.tape),
                cores=self._cores,
                memory={} if self._options.lockstep else self._memory.growths(),
            )
        )
        if self._options.report is not None:
            write_atomically(self._options.report, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        return report

    async def _begin(self) -> None:
        await self._watch.start()
        self._pending_at_start = await self._count_pending()

    async def _until(
        self, holds: Callable[[], Awaitable[bool]], seconds: float, phase: str, *, must: bool = True
    ) -> bool:
        """Look again and again until `holds()`; False if a signal comes. Raises `ChainFailed` when time is up."""
        give_up = time.monotonic() + seconds
        while not await self._patience.ask(holds):
            if self._parts["stop"].done():
                return False
            self._raise_failure()
            if time.monotonic() > give_up:
                if must:
                    raise ChainFailed(f"{phase} took longer than {seconds:g} s")
                return True
            await self._patience.ask(partial(self._look, phase))
            await asyncio.wait({self._parts["stop"]}, timeout=LOOK_SECONDS)
        return True

    def _raise_failure(self) -> None:
        for name, task in self._parts.items():
            if name != "stop" and task.done() and not task.cancelled():
                task.result()
                raise self._running.anvil.failure() if name == "anvil" else ChainFailed(f"{name} ended by itself")

    async def _are_ready(self) -> bool:
        return all(node.is_ready() for node in self._nodes)

    async def _is_over(self) -> bool:
        await self._watch.catch_up()
        self._pending = await self._count_pending()
        if not self._options.lockstep:  # there the time that passes is not the node's
            self._memory.look(len(self._watch.blocks))
        for node in self._nodes:
            node.is_ready()  # also raises when it has ended
        if self._options.blocks is not None:
            return len(self._watch.blocks) >= self._options.blocks
        return time.monotonic() - self._began >= self._options.duration_seconds

    async def _freeze(self) -> None:
        """No more blocks; the RPC goes on answering."""
        relay = self._parts.pop("relay")
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await self._watch.catch_up()

    async def _is_settled(self) -> bool:
        """Whether the ledgers tell of everything that was sent, as the chain does."""
        await self._measure()
        return not any(
            ledger_differences(self._running.manifest, outcome) or outcome.ledger.unexplained
            for outcome in self._outcomes
        )

    async def _measure(self) -> None:
        holdings = await self._watch.holdings(self._watch.last)
        self._outcomes = []
        for node in self._nodes:
            operator = node.prepared.operator
            gained = earned(self._watch, operator, holdings[operator.name])
            self._outcomes.append(
                NodeOutcome(operator, _ledger(node, self._watch.first, self._watch.last), gained, node.restarts)
            )

    async def _count_pending(self) -> int:
        async with RpcClient(self._running.record.admin_url) as admin:
            return int((await admin.call("devnet_stats")).get("transactions_admitted", 0))

    async def _look(self, phase: str) -> None:
        if self._watch.blocks:
            await self._measure()
        left = self._options.duration_seconds - (time.monotonic() - self._began)
        if self._options.lockstep:
            left = self._options.duration_seconds - BLOCK_SECONDS * len(self._watch.blocks)
        self._show(phase, left)

    def _show(self, phase: str, seconds_left: float) -> None:
        nodes = [
            NodeView(
                name=outcome.operator.name,
                state=f"restarted {outcome.restarts}x" if outcome.restarts else "running",
                opportunities=outcome.ledger.opportunities,
                sent=outcome.ledger.submitted,
                included=outcome.earned.included,
                missed=outcome.ledger.missed,
                net_usd=net_usd(self._running.manifest, outcome.earned),
                latency_us=outcome.ledger.latency_us,
            )
            for outcome in self._outcomes
        ]
        seen, pending = max(time.monotonic() - self._began, LOOK_SECONDS), self._pending - self._pending_at_start
        self._screen.show(
            DemoView(
                phase=phase,
                seconds_left=seconds_left,
                block=self._watch.last if self._watch.first else 0,
                blocks=len(self._watch.blocks),
                pending=max(0, pending),
                pending_per_second=max(0, pending) / seen,
                nodes=tuple(nodes or [NodeView(node.prepared.name, "starting") for node in self._nodes]),
            )
        )


def bus_of(relay: Relay, manifest: Manifest, nodes: Sequence[PreparedNode]) -> GossipBus:
    """Return what carries gossip between these nodes in lockstep, by the devnet's clock."""
    clock = relay.clock
    domain = Domain(ChainId(manifest.chain_id), network_contracts(manifest).staking)
    return GossipBus(members(nodes), domain, SystemClock(), lambda: UnixMilliseconds(int(clock.now() * 1_000)))


def style_of(name: str, nodes: int) -> Style:
    """Return what an operator does otherwise than the others, in a demo of so many."""
    if nodes == 1:
        return EVERYTHING
    return (OF_FIVE if nodes == OPERATORS else STYLES)[name]


def _ledger(node: NodeProcess, first_block: int, last_block: int) -> LedgerSummary:
    with contextlib.suppress(LedgerUnreadable):  # not there yet; if it never comes, the chain's figures differ
        return read_ledger(node.prepared.config.ledger_path, first_block, last_block)
    return LedgerSummary()


def _journal(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]
