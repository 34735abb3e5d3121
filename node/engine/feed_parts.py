"""What both ways of following the chain are made of, and how a group of tasks lives and dies together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from random import Random
from typing import Any, Final

import msgspec

from node.clock import Clock
from node.config import Config
from node.engine.block_teller import BlockTeller
from node.engine.endpoints import Endpoints
from node.engine.heads import Heads
from node.engine.subscription import Dial, Subscription
from node.engine.upkeep import Readers, Upkeep
from node.errors import SetupError
from node.pipeline.pools import PoolId, PoolState

RESTORE_ATTEMPTS: Final = 3
"""So often the kept states are brought up to a head that moved meanwhile; then the pools are read."""


class ChainUnusable(SetupError):
    """Waiting does not help: the configuration and the chain do not fit."""


class FeedParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts; `subscriptions` by the node's name."""

    config: Config
    endpoints: Endpoints
    clock: Clock
    random: Random
    dial: Dial
    heads: Heads
    readers: Readers
    upkeep: Upkeep
    teller: BlockTeller
    ready: asyncio.Event
    subscriptions: dict[str, Subscription] = {}

    async def discover(self) -> None:
        """Find the pools at the last block told, and tell of them. Raises RpcError."""
        head = self.readers.blocks.head
        if head is None:
            raise RuntimeError("pools are discovered once a block was told")
        specs = await self.readers.discovery.pools(head)
        states: Mapping[PoolId, PoolState] = {}
        self.readers.load.pools = len(specs)
        for _ in range(RESTORE_ATTEMPTS):
            at = self.readers.blocks.head
            if at is None:
                break
            states = await self.readers.memory.states_at(at, specs)
            if self.readers.blocks.head is at:
                break
        self.upkeep.discovered(specs)
        # Of blocks told before this the pools' logs were not read: states of an earlier head would stay without them.
        if at is not None and self.readers.blocks.head is at:
            self.upkeep.restored(states, at)
        self.upkeep.load_begins()

    def loaded(self) -> None:
        """The market is there: everybody may begin."""
        self.readers.load.end()
        self.ready.set()


async def run_together(coroutines: list[Coroutine[Any, Any, Any]]) -> None:
    """Run all until one ends; end the others and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
