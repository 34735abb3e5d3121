"""`hftnode devnet up`: packages, world, Anvil, relay and actors, started in this order and stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.actors.cast import PARTICIPANTS
from devnet.actors.journal import forget_journals
from devnet.actors.parameters import load_parameters
from devnet.anvil import Anvil, AnvilOptions
from devnet.child_process import ChildProcess
from devnet.config import DevnetConfig
from devnet.home import Home
from devnet.interruption import ends_blocking_work, ends_task
from devnet.manifest import Manifest
from devnet.packages import Progress, ensure_packages
from devnet.recorder import Recorder
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.run_folder import RunFolder, RunRecord
from devnet.world import World, ensure_world

HEAD_POLL_SECONDS = 0.05

OnReady = Callable[[RunRecord, Manifest], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A devnet that is up: its endpoints and the parts that go on until they are stopped."""

    record: RunRecord
    manifest: Manifest
    anvil: Anvil
    relay: Relay
    actors: ChildProcess | None


async def run_devnet(config: DevnetConfig, home: Home, progress: Progress, on_ready: OnReady) -> None:
    """Bring the devnet up, call `on_ready`, and keep it until SIGINT, SIGTERM or the block to stop after.

    Raises `DevnetError` when a part cannot start or dies, `Interrupted` when a signal comes before the world is there.
    Leaves no process and no record behind.
    """
    if config.actor_parameters is not None:
        load_parameters(config.actor_parameters)  # or the actors would find it out when everything is up
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    folder = RunFolder(home.run)
    with folder.locked():
        with ends_task():
            with ends_blocking_work():
                packages = ensure_packages(home, progress)  # blocks the loop, on which nothing else runs yet
            world = await ensure_world(home, packages, progress)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with wire(config, home, world, packages.anvil) as running:
            folder.write(running.record)
            try:
                on_ready(running.record, running.manifest)
                await _until_stopped(config, running, stop)
            finally:
                folder.clear()


def record_of(relay: Relay, config: RelayConfig, world: World, log_folder: Path) -> RunRecord:
    """Return the endpoints of a relay that listens in this process."""
    return RunRecord(
        pid=os.getpid(),
        chain_id=config.chain_id,
        seed=config.seed,
        block_time_seconds=config.block_time_seconds,
        lockstep=config.lockstep,
        rpc_url=relay.public_url,
        ws_url=relay.ws_url,
        admin_url=relay.admin_url,
        builder_urls={builder.name: relay.builder_url(builder.name) for builder in config.builders},
        manifest_path=str(world.manifest_path),
        log_folder=str(log_folder),
    )


@contextlib.asynccontextmanager
async def wire(config: DevnetConfig, home: Home, world: World, anvil_binary: Path) -> AsyncIterator[Running]:
    """Start the parts on a loaded world; nothing but wiring."""
    logs = home.run / "logs"
    forget_journals(logs)
    options = AnvilOptions(chain_id=world.manifest.chain_id, load_state=world.state_path)
    relay_config = RelayConfig(
        host=config.host,
        port=config.port,
        chain_id=world.manifest.chain_id,
        block_time_seconds=config.block_time_seconds,
        seed=config.seed,
        lockstep=config.lockstep,
        lockstep_participants=max(1, (len(PARTICIPANTS) if config.actors else 0) + config.participants),
    )
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(Anvil(anvil_binary, options, logs / "anvil.log"))
        if config.empty_blocks:
            await pass_blocks(anvil.url, config.empty_blocks, int(config.block_time_seconds))
        relay = await stack.enter_async_context(Relay(relay_config, anvil.url))
        record = record_of(relay, relay_config, world, logs)
        actors = actors_process(config, record, logs, anvil.url) if config.actors else None
        yield Running(record, world.manifest, anvil, relay, actors)


async def pass_blocks(anvil_url: str, count: int, seconds: int) -> None:
    """Make empty blocks, each so long after the one before it by the chain's time, whatever the wall clock says."""
    async with RpcClient(anvil_url) as chain:
        head = await chain.call("eth_getBlockByNumber", "latest", False)
        for place in range(1, count + 1):
            at = int(head["timestamp"], 16) + place * max(1, seconds)
            await chain.call("evm_setNextBlockTimestamp", hex(at))
            await chain.call("evm_mine")


def actors_process(config: DevnetConfig, record: RunRecord, logs: Path, anvil_url: str = "") -> ChildProcess:
    """Return the actors of a devnet, to be run beside it."""
    builders = ",".join(f"{name}={url}" for name, url in record.builder_urls.items())
    command = [sys.executable, "-m", "devnet.actors", "--manifest", record.manifest_path, "--url", record.rpc_url]
    command += ["--ws", record.ws_url, "--builders", builders, "--seed", str(record.seed), "--logs", str(logs)]
    command += ["--block-seconds", str(record.block_time_seconds), "--exit-with-parent"]
    if config.lockstep:
        command.append("--lockstep")
    if config.record_tape is not None:
        command += ["--record-tape", str(config.record_tape), "--tape-blocks", str(config.tape_blocks)]
    if config.tape is not None:
        command += ["--tape", str(config.tape)]
    if config.record_tape is not None or config.tape is not None:
        command += ["--chain-url", anvil_url]
    if config.actor_parameters is not None:
        command += ["--parameters", str(config.actor_parameters)]
    return ChildProcess("actors", command, logs / "actors.log", restart=not config.lockstep)


async def _until_stopped(config: DevnetConfig, running: Running, stop: asyncio.Event) -> None:
    parts = {
        asyncio.create_task(stop.wait(), name="stop"),
        asyncio.create_task(running.relay.run(), name="relay"),
        asyncio.create_task(_until_lost(running.anvil), name="anvil"),
    }
    if running.actors is not None:
        parts.add(asyncio.create_task(running.actors.run(), name="actors"))
    if config.stop_after_blocks is not None or config.record is not None:
        parts.add(asyncio.create_task(_follow(config, running), name="blocks"))
    try:
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _cancel(parts)


async def _until_lost(anvil: Anvil) -> None:
    await anvil.wait()
    raise anvil.failure()


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(config: DevnetConfig, running: Running) -> None:
    """Record blocks as they come; return after the block to stop after."""
    first = running.manifest.block_number + 1
    last = None if config.stop_after_blocks is None else first + config.stop_after_blocks - 1
    async with RpcClient(running.record.rpc_url) as rpc:
        recorder = None if config.record is None else Recorder(rpc, config.record, first)
        while True:
            head = int(await rpc.call("eth_blockNumber"), 16)
            if recorder is not None:
                await recorder.catch_up(head if last is None else min(head, last))
            if last is not None and head >= last:
                return
            await asyncio.sleep(HEAD_POLL_SECONDS)
