"""First load and restart: the devnet's market found and read through JSON-RPC of an Anvil, then out of the files of the
run before; and the snapshot alone, of as many pools as the generated market has.

The devnet's market is that of a node that follows all families of its factories. An Anvil on the same machine answers
in less than a millisecond: on a real chain the latency of each request comes on top, so the requests are counted.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import orjson

from benchmarks.harness import Row, Samples, duration_row, measure
from benchmarks.hotpath_devnet import prepare
from benchmarks.market_generator import GeneratedMarket
from devnet.anvil import Anvil, AnvilOptions
from devnet.demo.operators import EVERYTHING, node_config
from devnet.errors import ChainFailed
from devnet.manifest import Manifest
from devnet.run_folder import RunRecord
from node.clock import SystemClock
from node.config import Config
from node.engine import market_snapshot
from node.engine.discovery import Discovery
from node.engine.endpoints import Endpoint, Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.market_memory import MarketMemory
from node.engine.multicall import Multicall
from node.engine.pool_catalogue import PoolCatalogue
from node.engine.pool_reading import PoolReader, Unreadable, read_contracts
from node.engine.rpc import HttpTransport, Rpc
from node.pipeline.pools import PoolId, PoolState
from protocol.units import BlockNumber, ChainId, Hash32

REPEATS: Final = 12
_CHAIN: Final = ChainId(1)


class CountedTransport:
    """Carries requests to one URL, and counts them."""

    def __init__(self, url: str) -> None:
        self.requests = 0
        self._transport = HttpTransport(url)

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """See `Transport`."""
        self.requests += 1
        return await self._transport.post(body)

    async def close(self) -> None:
        """See `Transport`."""
        await self._transport.close()


class Loader:
    """What a node does with its market when it starts, without telling anybody; `folder` is where its files are."""

    def __init__(self, url: str, manifest: Manifest, folder: Path) -> None:
        record = RunRecord(
            pid=0, chain_id=manifest.chain_id, seed=0, block_time_seconds=12.0, lockstep=False, rpc_url=url, ws_url=url,
            admin_url="", builder_urls={}, manifest_path="", log_folder="",
        )  # fmt: skip
        self.transport, self.folder = CountedTransport(url), folder
        self._config: Config = node_config("market", EVERYTHING, record, manifest, folder, ())
        self.endpoints = Endpoints([Endpoint(Rpc("devnet", self.transport, SystemClock()), url)])

    async def head(self) -> Header:
        """The chain's latest block."""
        return header_from_json(orjson.dumps(await self.endpoints.call("eth_getBlockByNumber", "latest", False)))

    async def load(self, head: Header) -> dict[PoolId, PoolState]:
        """All pools' states after the head: out of the files, as far as they tell, and read; then written there."""
        config, protocols, chain = self._config, self._config.protocols, self._config.chain.id
        multicall = Multicall(self.endpoints, protocols.multicall3)
        discovery = Discovery(
            self.endpoints,
            multicall,
            protocols,
            [token.address for token in config.tokens.profit],
            config.bounds.max_pools,
            lambda _: None,
            PoolCatalogue(self.folder, chain, self.endpoints),
        )
        memory = MarketMemory(self.folder, chain, self.endpoints, protocols)
        specs = await discovery.pools(head)
        states = await memory.states_at(head, specs)
        unknown = [spec for spec in specs if spec.id not in states]
        for pool_id, state in (await PoolReader(multicall, read_contracts(protocols)).read(unknown, head.hash)).items():
            if isinstance(state, Unreadable):
                raise ChainFailed(f"pool 0x{pool_id.hex()} of the devnet cannot be read: {state.why}")
            states[pool_id] = state
        memory.keep(head, states)
        return states


async def devnet_rows() -> list[Row]:
    """The devnet's market, first and again. Raises DevnetError, RpcError."""
    packages, world = await prepare()
    with tempfile.TemporaryDirectory(prefix="hftnode-loading-") as folder:
        options = AnvilOptions(load_state=world.state_path)
        async with Anvil(packages.anvil, options, Path(folder) / "anvil.log") as anvil:
            loader = Loader(anvil.url, world.manifest, Path(folder))
            try:
                return await _first_and_again(loader)
            finally:
                await loader.endpoints.close()


async def _first_and_again(loader: Loader) -> list[Row]:
    head = await loader.head()
    first: Samples = []
    again: Samples = []
    asked: dict[str, int] = {}
    for _ in range(REPEATS):
        for path in (*loader.folder.glob("*.msgpack"), *loader.folder.glob("*.snapshot")):
            path.unlink()
        for name, samples in (("first load", first), ("restart", again)):
            before, begun = loader.transport.requests, time.perf_counter()
            states = await loader.load(head)
            samples.append(time.perf_counter() - begun)
            asked[name] = loader.transport.requests - before
    return [
        duration_row(f"{name} of the devnet's {len(states)} pools, {asked[name]} requests", "ms", samples)
        for name, samples in (("first load", first), ("restart", again))
    ]


def snapshot_rows(market: GeneratedMarket) -> list[Row]:
    """The snapshot of a whole market: written, and read with its checksum."""
    states = {spec.id: state for spec, state in market.pools}
    with tempfile.TemporaryDirectory(prefix="hftnode-loading-") as folder:
        path = Path(folder) / market_snapshot.FILE_NAME

        def write() -> None:
            market_snapshot.write(path, _CHAIN, BlockNumber(1), Hash32(bytes(32)), states)

        def read() -> None:
            snapshot = market_snapshot.read(path, _CHAIN)
            if snapshot is None or snapshot.states != states:
                raise ValueError("the snapshot holds other states than were written")

        written, size = measure(write, repeats=REPEATS), path.stat().st_size
        told = measure(read, repeats=REPEATS)
    per_pool = size / len(states)
    count = f"{len(states):,} pools"
    return [
        duration_row(f"snapshot of {count} written", "ms", written),
        duration_row(f"snapshot of {count} read and compared", "ms", told),
        Row(f"snapshot of {count}: bytes a pool", "B", per_pool, per_pool),
    ]


def loading_rows(market: GeneratedMarket) -> list[Row]:
    """All rows of this module."""
    return [*asyncio.run(devnet_rows()), *snapshot_rows(market)]
