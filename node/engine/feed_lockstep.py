"""Following a devnet in lockstep: one connection to the first node, one message after the other.

It carries heads, pending transactions and stages in the node's order. Each is served to its end, with all that it made
necessary, before the next one is looked at; time is the chain's. So one seed gives equal events. What is missed cannot
be repeated: failures end the feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import msgspec

from node.engine.endpoints import Endpoint
from node.engine.feed_live import PROBE_SECONDS
from node.engine.feed_parts import ChainUnusable, FeedParts, run_together
from node.engine.headers import header_from_json
from node.engine.heads import WrongChain, probe
from node.engine.subscription import Channel, Subscription

OnStage = Callable[[int, int], Awaitable[None]]


class _Stage(msgspec.Struct):
    block: int
    stage: int


_STAGE: Final = msgspec.json.Decoder(_Stage)


class LockstepFeed:
    """The one stream. `on_stage(block, stage)` is awaited when all that came before a stage is served."""

    def __init__(self, parts: FeedParts, on_stage: OnStage | None) -> None:
        self._parts, self._on_stage = parts, on_stage

    async def run(self) -> None:
        endpoint = self._parts.endpoints.all[0]
        try:
            head = await probe(endpoint, self._parts.config.chain.id, PROBE_SECONDS)
        except WrongChain as wrong:
            raise ChainUnusable(f"{endpoint.name}: {wrong}: set chain.id or chain.rpcs") from None
        channels = (Channel.HEADS, Channel.PENDING, Channel.STAGES)
        subscription = Subscription(
            endpoint.name, endpoint.websocket, channels, self._parts.clock, self._parts.random, self._parts.dial
        )
        self._parts.subscriptions[endpoint.name] = subscription
        connected = asyncio.Event()

        async def load() -> NoReturn:
            await connected.wait()
            await self._parts.teller.advance(head)
            await self._parts.discover()
            await self._parts.upkeep.work()
            self._parts.loaded()
            await asyncio.Event().wait()
            raise AssertionError

        async def handle(channel: Channel, body: msgspec.Raw) -> None:
            await self._parts.ready.wait()
            await self._serve(endpoint, channel, body)

        await run_together([subscription.follow_once(handle, connected.set), load()])

    async def _serve(self, endpoint: Endpoint, channel: Channel, body: msgspec.Raw) -> None:
        """Serve one message of lockstep to its end."""
        mempool = self._parts.readers.mempool
        if channel is Channel.PENDING:
            sender = mempool.sender_of(body)
            if sender is not None:
                mempool.unasked[sender] = None
                self._parts.upkeep.look()
                await self._parts.upkeep.work()
            mempool.announced(body)
        elif channel is Channel.HEADS:
            header = header_from_json(body)
            self._parts.heads.announced(endpoint, header)
            await self._parts.teller.advance(header)
            await self._parts.upkeep.work()
        else:
            opened = _STAGE.decode(body)
            await self._parts.upkeep.work()
            if self._on_stage is not None:
                await self._on_stage(opened.block, opened.stage)
