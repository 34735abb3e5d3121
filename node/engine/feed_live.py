"""Following the chain in real time, through all nodes at once.

Each node is probed and listened to; the head that wins wakes the reader of blocks; pending transactions are told the
moment they come, and everything else is read beside them by `Upkeep`. Failures of nodes are waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

import msgspec

from node.engine.block_reader import HeadNotConnected
from node.engine.endpoints import Endpoint, backoff_seconds
from node.engine.feed_parts import ChainUnusable, FeedParts, run_together
from node.engine.headers import Header, HeaderInvalid, header_from_json
from node.engine.heads import ProbeFailed, WrongChain, probe
from node.engine.rpc import RpcError
from node.engine.subscription import Channel, Subscription

_log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 2.0
"""Deadline of a probe."""
LONGEST_PAUSE_SECONDS: Final = 2.0
"""Between two attempts to read a block."""
ATTEMPTS_PER_HEAD: Final = 3
"""So often a head is tried; then the next announcement or probe decides what to follow."""
DISTRUST_SECONDS: Final = 30.0
"""For so long a node that announced a head without ancestors is not let back."""


class LiveFeed:
    """The tasks. `counts`: `blocks_read_again`."""

    def __init__(self, parts: FeedParts) -> None:
        self.counts: Counter[str] = Counter()
        self._parts = parts
        self._head_wanted = asyncio.Event()
        self._distrusted: dict[str, float] = {}
        self._announced: dict[str, Header] = {}
        """What each node announced last by itself: what was asked before that tells nothing of the head."""

    async def run(self) -> None:
        """Follow the chain until cancelled. Raises ChainUnusable."""
        await self._first_probes()
        endpoints = self._parts.endpoints.all
        tasks = [self._probe(endpoint) for endpoint in endpoints] + [self._listen(endpoint) for endpoint in endpoints]
        await run_together([*tasks, self._follow_heads(), self._keep_up(), self._start()])

    async def _first_probes(self) -> None:
        answers = await asyncio.gather(*map(self._probe_once, self._parts.endpoints.all))
        if answers and all(isinstance(answer, WrongChain) for answer in answers):
            names = "; ".join(f"{name}: {why}" for name, why in self._parts.endpoints.status.items())
            raise ChainUnusable(f"{names}: set chain.id or chain.rpcs")

    async def _probe(self, endpoint: Endpoint) -> NoReturn:
        while True:
            await self._parts.clock.sleep(max(self._parts.config.chain.block_seconds, 1.0))
            await self._probe_once(endpoint)

    async def _probe_once(self, endpoint: Endpoint) -> ProbeFailed | None:
        announced = self._announced.get(endpoint.name)
        try:
            header = await probe(endpoint, self._parts.config.chain.id, PROBE_SECONDS)
        except ProbeFailed as failure:
            self._parts.heads.bench(endpoint, str(failure))
            return failure
        if self._parts.clock.monotonic() >= self._distrusted.get(endpoint.name, 0.0):
            self._parts.heads.cleared(endpoint)
            latest = self._announced.get(endpoint.name)
            # An older head would look like a chain that went back; the later one may have come to nothing, of a node
            # that was benched.
            self._take_head(endpoint, header if latest is None or latest is announced else latest)
        return None

    def _listen(self, endpoint: Endpoint) -> Coroutine[Any, Any, NoReturn]:
        channels = (Channel.HEADS, Channel.PENDING)
        subscription = Subscription(
            endpoint.name, endpoint.websocket, channels, self._parts.clock, self._parts.random, self._parts.dial
        )
        self._parts.subscriptions[endpoint.name] = subscription

        def handle(channel: Channel, body: msgspec.Raw) -> None:
            if channel is Channel.PENDING:
                if self._parts.readers.blocks.head is not None:
                    self._parts.readers.mempool.announced(body)
                    self._parts.upkeep.look()
                return
            try:
                header = header_from_json(body)
                self._announced[endpoint.name] = header
                self._take_head(endpoint, header)
            except HeaderInvalid as error:
                self._parts.heads.bench(endpoint, str(error))

        return subscription.follow(handle)

    def _take_head(self, endpoint: Endpoint, header: Header) -> None:
        if self._parts.heads.announced(endpoint, header):
            self._head_wanted.set()

    async def _follow_heads(self) -> NoReturn:
        failures = 0
        while True:
            await self._head_wanted.wait()
            self._head_wanted.clear()
            head = self._parts.heads.best
            if head is None:
                continue
            try:
                await self._parts.teller.advance(head)
                failures = 0
            except HeadNotConnected as error:
                self._distrust(head, str(error))
            except RpcError as error:
                failures += 1
                self.counts["blocks_read_again"] += 1
                _log.warning("block %d cannot be read: %s", head.number, error)
                if failures % ATTEMPTS_PER_HEAD == 0:
                    self._parts.heads.give_up(head)
                await self._parts.clock.sleep(backoff_seconds(failures, self._parts.random, most=LONGEST_PAUSE_SECONDS))
                self._head_wanted.set()

    def _distrust(self, head: Header, why: str) -> None:
        source = self._parts.heads.source()
        self._parts.heads.give_up(head)
        if source is not None:
            self._distrusted[source.name] = self._parts.clock.monotonic() + DISTRUST_SECONDS
            self._parts.heads.bench(source, why)

    async def _keep_up(self) -> NoReturn:
        failures = 0
        while True:
            await self._parts.upkeep.wake.wait()
            try:
                await self._parts.upkeep.work()
                failures = 0
            except RpcError as error:
                failures += 1
                _log.warning("%s", error)
                await self._parts.clock.sleep(backoff_seconds(failures, self._parts.random, most=LONGEST_PAUSE_SECONDS))
                self._parts.upkeep.look()

    async def _start(self) -> None:
        await self._parts.teller.first_told.wait()
        failures = 0
        while not self._parts.ready.is_set():
            try:
                await self._parts.discover()
            except RpcError as error:
                failures += 1
                _log.warning("pools cannot be discovered: %s", error)
                await self._parts.clock.sleep(backoff_seconds(failures, self._parts.random, most=LONGEST_PAUSE_SECONDS))
                continue
            await self._parts.upkeep.idle.wait()
            self._parts.loaded()
        await asyncio.Event().wait()  # its end would end the feed
