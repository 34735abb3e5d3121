"""A feed and a pipeline on a devnet, without the rest of the engine: what the feed's tests watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from node.clock import SystemClock
from node.config import Config
from node.engine.endpoints import Endpoints
from node.engine.feed import ChainFeed, FeedHooks
from node.engine.multicall import Multicall
from node.engine.pool_reading import PoolReader, read_contracts
from node.pipeline.events import BlockArrived, Event, ResyncPools
from node.pipeline.pools import PoolId, PoolState
from node.pipeline.settings import PipelineSettings
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.units import Hash32
from tests.pipeline_scene import call_data

DEADLINE_SECONDS = 60.0


class Follower:
    """Steps a pipeline with a feed's events and keeps them. `effects` of a kind are counted by name."""

    def __init__(
        self, config: Config, endpoints: Endpoints, on_stage: Callable[[int, int], Awaitable[None]] | None = None
    ) -> None:
        self.events: list[Event] = []
        self.effects: list[Any] = []
        routers = {router.address: router.kind for router in config.protocols.routers}
        self.pipeline = PipelineState(
            PipelineSettings(
                chain_id=config.chain.id,
                entry_point=config.execution.vault_module,
                profit_tokens=config.tokens.profit,
                lenders=(),
                routers=routers,
                senders=(),
            ),
            call_data,
        )
        self.endpoints = endpoints
        hooks = FeedHooks(emit=self.emit, state_of=self.state_of, on_stage=on_stage)
        self.feed = ChainFeed(config, endpoints, SystemClock(), hooks)
        multicall = Multicall(endpoints, config.protocols.multicall3)
        self.fresh = PoolReader(multicall, read_contracts(config.protocols))
        self.running: asyncio.Task[None] | None = None

    def emit(self, event: Event) -> None:
        self.events.append(event)
        for effect in step(self.pipeline, event):
            self.effects.append(effect)
            if isinstance(effect, ResyncPools):
                self.feed.resync(effect)

    def state_of(self, pool_id: PoolId) -> PoolState | None:
        number = self.pipeline.market.number_of(pool_id)
        return None if number is None else self.pipeline.market.states[number]

    def of_kind(self, kind: type) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def head(self) -> int:
        head = self.pipeline.blocks.head
        return 0 if head is None else head.number

    def has_told(self, block: bytes) -> bool:
        """Whether a block was told, newest first."""
        return any(isinstance(event, BlockArrived) and event.hash == block for event in reversed(self.events))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fail with the feed, or after a minute."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                if self.running is not None and self.running.done():
                    self.running.result()
                    raise AssertionError("the feed ended")
                await asyncio.sleep(0.02)

    async def differences(self) -> dict[str, tuple[Any, Any]]:
        """Compare every followed pool's state with a fresh read at the pipeline's head; return those that differ."""
        market = self.pipeline.market
        while True:
            await self.feed.settled()
            head = self.pipeline.blocks.head
            if head is not None and None not in market.states:
                break
            await asyncio.sleep(0.02)
        ours = dict(zip([spec.id for spec in market.specs], list(market.states), strict=True))
        theirs = await self.fresh.read(list(market.specs), Hash32(head.hash))
        return {key.hex(): (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}


@asynccontextmanager
async def following(
    config: Config, on_stage: Callable[[int, int], Awaitable[None]] | None = None, *, until_ready: bool = True
) -> AsyncIterator[Follower]:
    """A follower at work."""
    endpoints = Endpoints.open(config.chain.rpcs, SystemClock())
    follower = Follower(config, endpoints, on_stage)
    follower.running = asyncio.create_task(follower.feed.run())
    try:
        if until_ready:
            await follower.until(follower.feed.ready.is_set)
        yield follower
    finally:
        follower.running.cancel()
        ended = await asyncio.gather(follower.running, return_exceptions=True)
        await endpoints.close()
        if ended and isinstance(ended[0], Exception):
            raise ended[0]
