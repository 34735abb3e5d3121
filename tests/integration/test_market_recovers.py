"""The market on a real chain when its logs are incomplete, and when the chain goes back past what can be undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoint, Endpoints
from node.engine.feed import ChainFeed, FeedHooks
from node.engine.headers import header_from_json
from node.engine.multicall import Multicall
from node.engine.pipeline_settings import pipeline_settings
from node.engine.pool_reading import PoolReader, read_contracts
from node.engine.rpc import HttpTransport, Rpc
from node.pipeline.events import AlertKind, Effect, Event, PoolQuarantined, RaiseAlert, ResyncPools
from node.pipeline.pools import PoolFamily, PoolSpec
from node.pipeline.settings import Bounds
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.units import Address
from tests.chain import Chain
from tests.engine_scene import engine_config

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(180)]

WHALE = account("whale-0")
FAR_FUTURE = 1 << 40
UNDO_BLOCKS = 4
SECONDS = 60.0
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"


class Forgetful(HttpTransport):
    """Carries requests to a node that leaves out every log of one contract while `forgotten` names it."""

    forgotten = ""

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """See `Transport`."""
        status, text = await super().post(body)
        if self.forgotten and b"eth_getLogs" in body:
            answers = orjson.loads(text)
            for answer in answers if isinstance(answers, list) else [answers]:
                if isinstance(answer["result"], list):
                    answer["result"] = [log for log in answer["result"] if log["address"] != self.forgotten]
            return status, orjson.dumps(answers)
        return status, text


@dataclass
class Subject:
    """A feed and the pipeline behind it, on a chain that the test moves."""

    chain: Chain
    world: World
    transport: Forgetful
    endpoints: Endpoints
    feed: ChainFeed
    state: PipelineState
    events: list[Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    async def swap(self, amount: int) -> None:
        """The whale sells WETH for USDC on Uniswap V2, in a block of its own, and the feed hears of it."""
        path = [self.world.manifest.token(symbol).address for symbol in ("WETH", "USDC")]
        router = self.world.manifest.contracts["uniswap_v2_router"]
        await self.chain.send(WHALE, router, SWAP, amount, 0, path, WHALE.address, FAR_FUTURE)
        await self.caught_up()

    async def caught_up(self) -> None:
        """Wait until the feed has told the chain's head and nothing is being read any more."""
        head = await self._head()
        await until(lambda: self.state.blocks.head is not None and self.state.blocks.head.hash == head.hash)
        await asyncio.wait_for(self.feed.settled(), SECONDS)

    async def is_the_chains(self) -> bool:
        """Whether the states of all pools are those that are read of the chain."""
        market, protocols = self.state.market, engine_config(self.world.manifest).protocols
        reader = PoolReader(Multicall(self.endpoints, protocols.multicall3), read_contracts(protocols))
        read = await reader.read(market.specs, (await self._head()).hash)
        return read == {spec.id: market.state_of(spec.id) for spec in market.specs}

    def pair(self) -> PoolSpec:
        """Uniswap V2's pair of WETH and USDC."""
        tokens = {Address(bytes.fromhex(self.world.manifest.token(name).address[2:])) for name in ("WETH", "USDC")}
        market = self.state.market
        return next(
            spec for spec in market.specs if spec.family is PoolFamily.UNISWAP_V2 and set(spec.tokens) == tokens
        )

    async def _head(self) -> Any:
        return header_from_json(orjson.dumps(await self.chain.rpc.call("eth_getBlockByNumber", "latest", False)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(chain: Chain, anvil: Anvil, world: World, folder: Path) -> AsyncIterator[Subject]:
    websocket = anvil.url.replace("http://", "ws://")
    config = engine_config(world.manifest, folder, anvil.url, websocket, bounds=Bounds(undo_blocks=UNDO_BLOCKS))
    rpc = RpcConfig(http=anvil.url, websocket=websocket)
    transport = Forgetful(rpc.http)
    endpoints = Endpoints([Endpoint(Rpc("anvil", transport, SystemClock()), rpc.websocket)])
    state = PipelineState(pipeline_settings(config, [], [Address(bytes(20))]), lambda **_: b"")

    def emit(event: Event) -> None:
        subject.events.append(event)
        effects = step(state, event)
        subject.effects += effects
        for effect in effects:
            if isinstance(effect, ResyncPools):
                feed.resync(effect)

    feed = ChainFeed(config, endpoints, SystemClock(), FeedHooks(emit=emit, state_of=state.market.state_of))
    subject = Subject(chain, world, transport, endpoints, feed, state)
    running = asyncio.create_task(feed.run())
    try:
        await until(lambda: feed.ready.is_set() or running.done())
        weth, router = world.manifest.contracts["weth"], world.manifest.contracts["uniswap_v2_router"]
        await chain.send(WHALE, weth, "approve(address,uint256)", router, (1 << 256) - 1)
        await subject.caught_up()
        yield subject
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await endpoints.close()


async def test_a_reorg_past_the_ring_is_told_and_everything_is_read_anew(
    chain: Chain, world_anvil: Anvil, world: World, tmp_path: Path
) -> None:
    async with following(chain, world_anvil, world, tmp_path) as subject:
        snapshot = await chain.rpc.call("evm_snapshot")
        for number in range(UNDO_BLOCKS + 2):
            await subject.swap(10**18 * (number + 1))
        assert await subject.is_the_chains()
        before = subject.state.market.state_of(subject.pair().id)
        assert await chain.rpc.call("evm_revert", snapshot)
        for _ in range(UNDO_BLOCKS + 3):
            await chain.mine()
        await subject.swap(5 * 10**18)
        alerts = [effect for effect in subject.effects if isinstance(effect, RaiseAlert)]
        assert AlertKind.PARENT_UNKNOWN in [alert.kind for alert in alerts]
        assert any(isinstance(effect, ResyncPools) and not effect.pool_ids for effect in subject.effects)
        assert subject.feed.status.counts["begun_anew"] == 1
        assert subject.state.market.state_of(subject.pair().id) != before
        assert await subject.is_the_chains()


async def test_a_log_that_a_node_left_out_is_found_by_the_audit_and_the_pool_mended(
    chain: Chain, world_anvil: Anvil, world: World, tmp_path: Path
) -> None:
    async with following(chain, world_anvil, world, tmp_path) as subject:
        pair = subject.pair()
        before = subject.state.market.state_of(pair.id)
        seen, subject.transport.forgotten = len(subject.events), "0x" + pair.address.hex()
        await subject.swap(7 * 10**18)
        subject.transport.forgotten = ""
        for _ in subject.state.market.specs:  # by then all had their turn in the audit, which takes some a block
            if subject.state.market.state_of(pair.id) != before:
                break
            await chain.mine()
            await subject.caught_up()
        quarantined = [event for event in subject.events[seen:] if isinstance(event, PoolQuarantined)]
        assert [event.pool_id for event in quarantined] == [pair.id]
        assert await subject.is_the_chains()
        number = subject.state.market.number_of(pair.id)
        assert number is not None
        assert not subject.state.market.is_quarantined(number)
