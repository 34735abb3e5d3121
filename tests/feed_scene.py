"""The chain's feed on nodes in memory that serve one chain, and the WebSocket that a test speaks through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import orjson

from node.clock import SystemClock
from node.config import ChainConfig, Config, FactoryConfig, ProtocolsConfig, RpcConfig, TokensConfig
from node.engine.endpoints import Endpoints
from node.engine.feed import ChainFeed, FeedHooks
from node.engine.headers import Header
from node.engine.subscription import Socket, SubscriptionLost
from node.pipeline.events import BlockArrived, Event, PoolDiscovered, PoolQuarantined, PoolSynced, ResyncPools
from node.pipeline.pools import PoolFamily, PoolId, PoolState
from node.pipeline.settings import ProfitToken
from protocol.units import Address, ChainId
from tests.engine_scene import engine_config
from tests.fake_blocks import Json, chain_of, header_json
from tests.fake_chain_node import FakeNode, endpoints_to, node_with
from tests.fake_contracts import MULTICALL3, USDC, V2, WETH, FakeContracts

PAIR = Address((1).to_bytes(20))
SYNC = "Sync(uint112,uint112)"


class Announcer:
    """A WebSocket that a test speaks through; `dial` opens as many as are asked for."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[bytes]] = []
        self.connected = asyncio.Event()

    async def dial(self, _name: str, _url: str) -> Socket:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.append(queue)
        announcer = self

        class Talking:
            async def send(self, text: bytes) -> None:
                request = orjson.loads(text)
                queue.put_nowait(orjson.dumps({"id": request["id"], "result": request["params"][0]}))
                announcer.connected.set()

            async def receive(self) -> bytes:
                message = await queue.get()
                if not message:
                    raise SubscriptionLost("alice: the connection ended (closed)")
                return message

            async def close(self) -> None:
                if queue in announcer._queues:
                    announcer._queues.remove(queue)

        return Talking()

    def tell(self, channel: str, body: Any) -> None:
        for queue in tuple(self._queues):
            queue.put_nowait(orjson.dumps({"params": {"subscription": channel, "result": body}}))

    def hang_up(self) -> None:
        for queue in tuple(self._queues):
            queue.put_nowait(b"")


class World:
    """A chain in memory with one pair, which several nodes may serve."""

    def __init__(self) -> None:
        self.chain: list[Json] = chain_of(1, 3)
        self.logs: dict[str, list[Json]] = {}
        self.contracts = FakeContracts()
        self.contracts.view(V2, "allPairsLength()", 1)
        self.contracts.view(V2, "allPairs(uint256)", int.from_bytes(PAIR))
        self.contracts.view(PAIR, "token0()", int.from_bytes(WETH))
        self.contracts.view(PAIR, "token1()", int.from_bytes(USDC))
        self.contracts.view(PAIR, "getReserves()", 1000, 2000, 1)

    def node(self) -> FakeNode:
        node = node_with(*self.chain)
        node.methods |= {
            "eth_call": self.contracts.node.methods["eth_call"],
            "eth_getBlockByHash": self._block,
            "eth_getLogs": self._logs,
            "eth_chainId": lambda: "0x1",
            "eth_blockNumber": lambda: self.chain[-1]["number"],
            "eth_getBlockByNumber": lambda tag, _whole: self._numbered(tag),
            "eth_getCode": lambda _address, _block: "0x00",
            "eth_getStorageAt": lambda _address, _slot, _block: "0x" + "00" * 32,
            "eth_getTransactionCount": lambda _address, _block: "0x7",
        }
        return node

    def extend(self, *logs: Any) -> Json:
        (block,) = chain_of(int(self.chain[-1]["number"], 16) + 1, int(self.chain[-1]["number"], 16) + 1)
        block = header_json(int(block["number"], 16), parent=self.chain[-1]["hash"])
        self.chain.append(block)
        self.logs[block["hash"]] = [
            {
                "address": read.address,
                "topics": read.topics,
                "data": read.data,
                "blockHash": block["hash"],
                "blockNumber": block["number"],
                "logIndex": hex(index),
            }
            for index, read in enumerate(logs)
        ]
        return block

    def _block(self, block_hash: str, whole: bool) -> Any:
        found = next((body for body in self.chain if body["hash"] == block_hash), None)
        return None if found is None else {**found, "transactions": []}

    def _numbered(self, tag: str) -> Any:
        return next((body for body in self.chain if body["number"] == tag), self.chain[-1])

    def _logs(self, bounds: Json) -> list[Json]:
        if "fromBlock" in bounds:
            first, last = int(bounds["fromBlock"], 16), int(bounds["toBlock"], 16)
            told = [body for body in self.chain if first <= int(body["number"], 16) <= last]
            return [found for body in told for found in self.logs.get(body["hash"], [])]
        return self.logs.get(bounds.get("blockHash", ""), [])


class Held:
    """Holds back the answer to the node's next call of contracts, or to the next that names something else."""

    def __init__(self, node: FakeNode, name: bytes = b"eth_call") -> None:
        self.asked, self._free, self._post, self._name = asyncio.Event(), asyncio.Event(), node.post, name
        node.post = self._slowly  # type: ignore[method-assign]

    def release(self) -> None:
        self._free.set()

    async def _slowly(self, body: bytes) -> tuple[int, bytes]:
        answer = await self._post(body)
        if self._name in body and not self.asked.is_set():
            self.asked.set()
            await self._free.wait()
        return answer


class Fast(SystemClock):
    """Pauses are short; deadlines are kept."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds if seconds >= 2.0 else min(seconds, 0.02))


class Running:
    """A feed at work and its events; asks for the state of what is discovered, as the pipeline does."""

    def __init__(self, config: Config, endpoints: Endpoints, announcer: Announcer, clock: SystemClock) -> None:
        self.events: list[Event] = []
        self.states: dict[PoolId, PoolState] = {}
        self.before: list[Header] = []
        hooks = FeedHooks(emit=self.emit, state_of=self.states.get, before_block=self._before)
        self.feed = ChainFeed(config, endpoints, clock, hooks, random=Random(1), wall_ns=lambda: 7, dial=announcer.dial)
        self.task: asyncio.Task[None] | None = None

    async def _before(self, header: Header) -> None:
        self.before.append(header)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, PoolDiscovered):
            self.feed.resync(ResyncPools((event.spec.id,), "discovered"))
        elif isinstance(event, PoolQuarantined):
            self.feed.resync(ResyncPools((event.pool_id,), event.why))
        elif isinstance(event, PoolSynced):
            self.states[event.pool_id] = event.state

    def of_kind(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                if self.task is not None and self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)


def config_of(*, factories: Sequence[FactoryConfig] = (), tokens: TokensConfig | None = None) -> Config:
    pairs = FactoryConfig(family=PoolFamily.UNISWAP_V2, address=V2)
    rpcs = tuple(RpcConfig(http=f"http://{name}:8545", websocket=f"ws://{name}:8545") for name in ("alice", "bob"))
    return engine_config(
        chain=ChainConfig(id=ChainId(1), block_seconds=0.05, rpcs=rpcs),
        protocols=ProtocolsConfig(multicall3=MULTICALL3, factories=(pairs, *factories)),
        tokens=tokens or TokensConfig(profit=(ProfitToken(WETH, 1, 1),), trusted=(WETH,), refused=(USDC,)),
    )


@asynccontextmanager
async def running(
    nodes: Sequence[FakeNode], announcer: Announcer, config: Config | None = None
) -> AsyncIterator[Running]:
    clock = Fast()
    subject = Running(config or config_of(), endpoints_to(nodes, clock), announcer, clock)
    subject.task = asyncio.create_task(subject.feed.run())
    try:
        yield subject
    finally:
        subject.task.cancel()
        (ended,) = await asyncio.gather(subject.task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended


def numbers(events: Sequence[BlockArrived]) -> list[int]:
    return [event.number for event in events]
