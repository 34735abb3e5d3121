"""The relay as a whole: what is wired to what, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from devnet.clock import DevnetClock
from devnet.errors import ChainFailed, RpcError
from devnet.relay.builder_endpoints import BuilderEndpoints
from devnet.relay.builders import BuilderConfig
from devnet.relay.building import build_block
from devnet.relay.chain import Chain, PublishedBlock
from devnet.relay.config import RelayConfig
from devnet.relay.context import BlockContext, BlockPlan, Bundle
from devnet.relay.control_rpc import ControlRpc
from devnet.relay.faults import Faults
from devnet.relay.flashbots_api import FlashbotsApi
from devnet.relay.gate import HeadGate
from devnet.relay.intake import Intake
from devnet.relay.jsonrpc import Call
from devnet.relay.lockstep import Lockstep
from devnet.relay.lockstep_driver import LockstepDriver
from devnet.relay.mempool import Mempool
from devnet.relay.producer import Producer
from devnet.relay.public_rpc import PublicRpc
from devnet.relay.server import Server
from devnet.relay.stats import RelayStats
from devnet.relay.subscriptions import Listener, Subscriptions
from devnet.rpc import RpcClient


@dataclass(frozen=True, slots=True)
class Parts:
    """What `wire` has put together and `Relay` starts, runs and stops."""

    clock: DevnetClock
    chain: Chain
    intake: Intake
    flashbots: FlashbotsApi
    subscriptions: Subscriptions
    faults: Faults
    producer: Producer
    server: Server
    lockstep: LockstepDriver | None


def wire(config: RelayConfig, chain: Chain, building: RpcClient, reading: RpcClient) -> Parts:
    """Put the relay together on a chain that has been read; nothing but wiring."""
    stats = RelayStats()
    gate = HeadGate(config.server.hold_seconds)
    faults = Faults([builder.name for builder in config.builders])
    clock = _clock(config, chain.head.timestamp)
    subscriptions = Subscriptions(config.server.subscriptions_per_websocket)
    mempool = Mempool(config.mempool)
    lockstep = _lockstep(config, chain, subscriptions)
    intake = Intake(
        config=config, chain=chain, mempool=mempool, subscriptions=subscriptions, stats=stats, lockstep=lockstep
    )
    flashbots = FlashbotsApi(
        chain=chain,
        rpc=reading,
        builders=config.builders,
        seed=config.seed,
        now=clock.now,
        submit_private=partial(intake.submit, public=False),
        withdraw_private=mempool.withdraw,
        in_turn=intake.in_turn,
        shuns=lambda builder, senders: faults.shuns(builder, senders, clock.now()),
    )
    endpoints = BuilderEndpoints(flashbots, intake=intake, faults=faults, clock=clock)
    producer = Producer(
        config=config,
        rpc=building,
        chain=chain,
        mempool=mempool,
        bundles=_OfferedBundles(flashbots),
        plan_block=build_block,
        clock=clock,
        gate=gate,
        subscriptions=subscriptions,
        faults=faults,
        stats=stats,
    )
    public = PublicRpc(
        rpc=reading,
        chain=chain,
        mempool=mempool,
        intake=intake,
        gate=gate,
        faults=faults,
        clock=clock,
        blocks_kept=config.blocks_kept,
    )

    def report() -> dict[str, Any]:
        return {
            "head": chain.head.number,
            **stats.as_json(),
            "mempool": len(mempool),
            "mempool_removed": {removal.name.lower(): count for removal, count in mempool.removed.items()},
            "builders": flashbots.as_json(),
            "websocket": dict(subscriptions.counts),
            "reads_repeated": gate.repeated,
            "faults_used": dict(faults.used),
            "lockstep": {} if lockstep is None else dict(lockstep.machine.counts),
        }

    control = ControlRpc(
        config=config, chain=chain, clock=clock, faults=faults, producer=producer, lockstep=lockstep, report=report
    )

    async def on_public(call: Call, listener: Listener | None) -> Any:
        if call.method.startswith("devnet_"):
            return await control.handle(call, admin=False)
        if call.method in ("eth_subscribe", "eth_unsubscribe"):
            return subscriptions.serve(call, listener)
        return await public.handle(call)

    server = Server(
        config=config,
        public=on_public,
        admin=partial(control.handle, admin=True),
        builders=endpoints,
        subscriptions=subscriptions,
        faults=faults,
        clock=clock,
        counts=stats.counts,
    )
    return Parts(clock, chain, intake, flashbots, subscriptions, faults, producer, server, lockstep)


async def _endow(chain: RpcClient, builders: Sequence[BuilderConfig]) -> None:
    """Give each coinbase a wei where it has none, as real builders' have: the first payment to an empty account costs
    25,000 gas more, so estimates would not hold in another builder's block.
    """
    balances = await chain.batch([("eth_getBalance", (builder.coinbase, "latest")) for builder in builders])
    empty = [builder.coinbase for builder, wei in zip(builders, balances, strict=True) if wei == "0x0"]
    for refusal in await chain.batch([("anvil_setBalance", (coinbase, "0x1")) for coinbase in empty]):
        if isinstance(refusal, RpcError):
            raise ChainFailed(f"a builder's coinbase cannot be given a wei: {refusal}")


class Relay:
    """The relay on an Anvil that nobody else speaks to. Use as an async context manager, and `run` it inside.

    Starts: connections to Anvil, the chain's head, the server. Stops in reverse.
    """

    def __init__(self, config: RelayConfig, anvil_url: str) -> None:
        self._config = config
        self._anvil_url = anvil_url
        self._stack = AsyncExitStack()
        self._parts: Parts | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            # Two pools of connections, so that a crowd of readers never keeps the producer waiting.
            building = await stack.enter_async_context(RpcClient(self._anvil_url))
            limits = self._config.server
            reading = await stack.enter_async_context(
                RpcClient(self._anvil_url, deadline_seconds=limits.read_seconds, answer_bytes=limits.read_bytes)
            )
            chain = Chain(building)
            await chain.start(self._config.gas_limit)
            await _endow(building, self._config.builders)
            if chain.chain_id != self._config.chain_id:
                raise ChainFailed(f"{self._anvil_url} is chain {chain.chain_id}, not {self._config.chain_id}")
            parts = wire(self._config, chain, building, reading)
            stack.push_async_callback(parts.server.stop)
            await parts.server.start()
            self._parts = parts
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Produce blocks until cancelled. Raises `ChainFailed` when Anvil fails."""
        parts = self.parts
        if parts.lockstep is None:
            await parts.producer.run()
        else:
            await _first_of(parts.lockstep.run(), _build_in_step(parts.lockstep, parts.producer))

    @property
    def parts(self) -> Parts:
        """The parts, between start and stop."""
        if self._parts is None:
            raise RuntimeError("the relay is used before its start")
        return self._parts

    @property
    def clock(self) -> DevnetClock:
        """The devnet's clock."""
        return self.parts.clock

    @property
    def public_url(self) -> str:
        """Public JSON-RPC over HTTP."""
        return f"http://{self._authority}/"

    @property
    def ws_url(self) -> str:
        """Public JSON-RPC over WebSocket."""
        return f"ws://{self._authority}/"

    @property
    def admin_url(self) -> str:
        """The devnet's controls."""
        return f"http://{self._authority}/admin"

    def builder_url(self, name: str) -> str:
        """The Flashbots-style relay of a builder."""
        return f"http://{self._authority}/builder/{name}"

    @property
    def _authority(self) -> str:
        host = self._config.host
        return f"[{host}]:{self.parts.server.port}" if ":" in host else f"{host}:{self.parts.server.port}"


class _OfferedBundles:
    """The bundles that the producer is offered, and where it tells what became of them."""

    def __init__(self, flashbots: FlashbotsApi) -> None:
        self._flashbots = flashbots

    def candidates(self, builder: BuilderConfig, context: BlockContext, closes_at: float) -> Sequence[Bundle]:
        """See `BundleSource.candidates`."""
        return self._flashbots.offered(builder.name, context.number, closes_at)

    def block_published(self, block: PublishedBlock, plan: BlockPlan, builder: BuilderConfig | None) -> None:
        """See `BundleSource.block_published`."""
        self._flashbots.block_published(block.head.number, plan, None if builder is None else builder.name)


def _clock(config: RelayConfig, head_timestamp: int) -> DevnetClock:
    if config.lockstep:
        return DevnetClock.stepped(head_timestamp)
    return DevnetClock(head_timestamp)  # no jump to the wall clock: months of interest would fall due at once


def _lockstep(config: RelayConfig, chain: Chain, subscriptions: Subscriptions) -> LockstepDriver | None:
    if not config.lockstep:
        return None
    machine = Lockstep(chain.head.number + 1, config.lockstep_participants)
    return LockstepDriver(machine, subscriptions, config.lockstep_seconds)


async def _build_in_step(lockstep: LockstepDriver, producer: Producer) -> None:
    while True:
        await lockstep.build_wanted()
        await producer.produce()
        lockstep.built()


async def _first_of(*endless: Coroutine[Any, Any, None]) -> None:
    """Run side by side what should never end; when one fails, end the others and raise its error."""
    tasks = [asyncio.create_task(part) for part in endless]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
