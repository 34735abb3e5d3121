"""A whole devnet for tests: the world on its own Anvil, the relay, and the actors in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from devnet.actors.app import ActorsOptions, PlayTape, RecordTape, wire
from devnet.actors.gateway import Gateway
from devnet.actors.parameters import Parameters, load_parameters
from devnet.actors.playback import Playback
from devnet.actors.session import Session
from devnet.anvil import Anvil, AnvilOptions
from devnet.packages import Packages
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World

PARTICIPANTS = 3
"""Of the actors in lockstep: the order flow, the rival, the sandwich attacker."""
_DEADLINE_SECONDS = 150.0


@dataclass(frozen=True)
class Recorded:
    """What a run left behind: blocks with their transactions, receipts by hash, both journals."""

    blocks: Sequence[Mapping[str, Any]]
    receipts: Mapping[str, Mapping[str, Any]]
    journal: Sequence[Mapping[str, Any]]
    sandwiches: Sequence[Mapping[str, Any]]

    @property
    def hashes(self) -> list[str]:
        """The blocks' hashes."""
        return [block["hash"] for block in self.blocks]


@asynccontextmanager
async def devnet(
    packages: Packages,
    world: World,
    folder: Path,
    config: RelayConfig,
    before: Callable[[str], Awaitable[None]] | None = None,
) -> AsyncIterator[Relay]:
    """A relay that makes blocks on an Anvil of its own; `before` it starts something is done to the Anvil of a URL."""
    options = AnvilOptions(load_state=world.state_path)
    async with AsyncExitStack() as parts:
        anvil = await parts.enter_async_context(Anvil(packages.anvil, options, folder / "anvil.log"))
        if before is not None:
            await before(anvil.url)
        relay = await parts.enter_async_context(Relay(config, anvil.url))
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            failed = running.exception() if running.done() else None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            if failed is not None:
                raise failed


@asynccontextmanager
async def session(
    relay: Relay,
    world: World,
    folder: Path,
    config: RelayConfig,
    seed: int,
    parameters: Parameters | None = None,
    tape: RecordTape | PlayTape | None = None,
) -> AsyncIterator[Session | Playback]:
    """The actors, wired up but not playing; or a tape of them."""
    options = ActorsOptions(
        url=relay.public_url,
        websocket_url=relay.ws_url,
        builders={builder.name: relay.builder_url(builder.name) for builder in config.builders},
        seed=seed,
        lockstep=config.lockstep,
        block_seconds=config.block_time_seconds,
        log_folder=folder,
        tape=tape,
    )
    async with AsyncExitStack() as parts:
        rpc = await parts.enter_async_context(RpcClient(relay.public_url))
        gateway = await parts.enter_async_context(Gateway(options.url, options.builders, lockstep=config.lockstep))
        yield await wire(world.manifest, parameters or load_parameters(), options, rpc, gateway, parts)


@asynccontextmanager
async def playing(actors: Session | Playback) -> AsyncIterator[asyncio.Task[None]]:
    """The actors at play."""
    async with background(actors.run()) as task:
        yield task


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Something that goes on until the end."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def reach(rpc: RpcClient, block: int, *tasks: asyncio.Task[None]) -> None:
    """Wait until a block is there; fail with a task that ends before, or when the deadline has passed."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while int(await rpc.call("eth_blockNumber"), 16) < block:
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool], *tasks: asyncio.Task[None]) -> None:
    """Wait until a condition holds; fail with a task that ends before, or when the deadline has passed."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while True:
            if condition():
                return
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)


async def record_lockstep(packages: Packages, world: World, folder: Path, seed: int, blocks: int) -> Recorded:
    """Play so many blocks in lockstep and return them."""
    config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS, seed=seed)
    first = world.manifest.block_number + 1
    async with (
        devnet(packages, world, folder, config) as relay,
        session(relay, world, folder, config, seed) as actors,
        RpcClient(relay.public_url) as rpc,
    ):
        async with playing(actors) as task:
            await reach(rpc, first + blocks, task)  # one more, so that the journal tells of all that are wanted
        return await _record(rpc, folder, range(first, first + blocks))


async def _record(rpc: RpcClient, folder: Path, numbers: range) -> Recorded:
    blocks: list[Any] = await rpc.batch([("eth_getBlockByNumber", [hex(number), True]) for number in numbers])
    answers: list[Any] = await rpc.batch([("eth_getBlockReceipts", [hex(number)]) for number in numbers])
    receipts = {receipt["transactionHash"]: receipt for answer in answers for receipt in answer}
    wanted = set(numbers)
    return Recorded(
        blocks,
        receipts,
        [entry for entry in lines_of(folder / "actors.jsonl") if entry["block"] in wanted],
        [entry for entry in lines_of(folder / "sandwiches.jsonl") if entry["block"] in wanted],
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
