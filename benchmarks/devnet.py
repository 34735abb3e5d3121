"""The devnet beside bare Anvil on the same world, in one run: start, throughput, simulation, building, delay.

The peer of every row is the bare program that the relay stands in front of: what the relay costs, not how fast the
machine is. Both sides get the same signed bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.harness import Row, Samples, duration_row, interleaved_async, quiet_collector, rate_row
from devnet.accounts import account
from devnet.anvil import Anvil, AnvilOptions
from devnet.errors import ChainFailed, DevnetError
from devnet.home import Home
from devnet.manifest import Manifest
from devnet.packages import ensure_packages
from devnet.relay.app import Relay
from devnet.relay.builders import DEFAULT_BUILDERS
from devnet.relay.config import RelayConfig
from devnet.relay.flashbots_signature import HEADER, sign_body
from devnet.rpc import RpcClient
from devnet.world import World, ensure_world
from protocol.ethereum.abi import encode_call
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee

WARM_STARTS = 5
BLOCKS = 8
BUNDLES = 50
PUBLIC = 300
FLOOD = 2_000
FLOOD_CONNECTIONS = 16
RATE_PER_SECOND = 200
RATE_SECONDS = 10
SIMULATIONS = 100
GWEI = 10**9
SWAP_WEI = 10**15
SWAP_GAS = 250_000
SEARCHER = "benchmark-searcher"
BIDDERS = (SEARCHER, *(f"benchmark-bidder-{i}" for i in range(BUNDLES)))
"""Whose transactions come in bundles; the public ones are others'."""
_CUT_OFF_SECONDS = 0.1 + max(builder.delay_ms for builder in DEFAULT_BUILDERS) / 1000
"""What arrives later than a builder's delay before the block is not in it."""


async def run() -> list[Row]:
    """Measure everything; about a minute."""
    home = Home.from_environment()
    packages = await asyncio.to_thread(ensure_packages, home, _say)
    world = await ensure_world(home, packages, _say)
    rows = [_cold_start(home), await _warm_start(home, packages.anvil, world)]
    with tempfile.TemporaryDirectory() as folder:
        async with _sides(packages.anvil, world, Path(folder)) as (ours, bare):
            rows.append(await _simulation(ours, bare))
            rows += await _building(ours, bare)
        async with _sides(packages.anvil, world, Path(folder)) as (ours, bare):
            rows.append(await _flood(ours, bare))
        async with _sides(packages.anvil, world, Path(folder)) as (ours, bare):
            rows.append(await _delay(ours, bare))
    return rows


def _say(line: str) -> None:
    print(line, file=sys.stderr)


# --- start -----------------------------------------------------------------------------------------------------------


def _cold_start(home: Home) -> Row:
    """From an empty home to the banner: npm packages, compilers, deployment. One sample: it is long, and not noisy."""
    with tempfile.TemporaryDirectory() as folder:
        return duration_row("cold start, empty home", "s", [_start_once(Path(folder))])


async def _warm_start(home: Home, anvil: Path, world: World) -> Row:
    samples: tuple[Samples, Samples] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        linked = Path(folder)
        for part in (home.packages, home.builds, home.worlds):
            (linked / part.name).symlink_to(part)
        for _ in range(WARM_STARTS):
            samples[0].append(await asyncio.to_thread(_start_once, linked))
            begun = time.perf_counter()
            async with Anvil(anvil, AnvilOptions(load_state=world.state_path), linked / "anvil.log"):
                samples[1].append(time.perf_counter() - begun)
    return duration_row("warm start", "s", samples[0], samples[1], "bare anvil, same state")


def _start_once(home: Path) -> float:
    """Return the seconds from the command to its readiness, then end it."""
    command = [str(Path(sys.executable).with_name("hftnode")), "devnet", "up", "--port", "0", "--json"]
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "HFTNODE_HOME": str(home)}
    ) as process:
        if process.stdout is None or not process.stdout.readline():
            raise ChainFailed(f"the devnet did not start: {process.communicate()[1].decode(errors='replace')}")
        seconds = time.perf_counter() - begun
        process.terminate()
        process.communicate()
    return seconds


# --- the two sides ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ours:
    rpc: RpcClient
    admin: RpcClient
    ws_url: str
    builder_url: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class _Bare:
    rpc: RpcClient
    ws_url: str


@asynccontextmanager
async def _sides(anvil: Path, world: World, logs: Path) -> AsyncIterator[tuple[_Ours, _Bare]]:
    """Two Anvils on the same world, one behind the relay; blocks only when the benchmark asks for one."""
    async with AsyncExitStack() as stack:
        options = AnvilOptions(load_state=world.state_path)
        behind = await stack.enter_async_context(Anvil(anvil, options, logs / "behind.log"))
        beside = await stack.enter_async_context(Anvil(anvil, options, logs / "beside.log"))
        for url in (behind.url, beside.url):
            async with RpcClient(url) as rpc:
                for result in await rpc.batch(
                    [("anvil_setBalance", (account(name).address, hex(10**21))) for name in BIDDERS]
                ):
                    _checked(result)
        only = DEFAULT_BUILDERS[:1]
        config = RelayConfig(chain_id=world.manifest.chain_id, block_time_seconds=3600, builders=only)
        relay = await stack.enter_async_context(Relay(config, behind.url))
        rpc = await stack.enter_async_context(RpcClient(relay.public_url))
        admin = await stack.enter_async_context(RpcClient(relay.admin_url))
        bare = await stack.enter_async_context(RpcClient(beside.url))
        builder_url = relay.builder_url(config.builders[0].name)
        ours = _Ours(rpc, admin, relay.ws_url, builder_url, world.manifest)
        yield ours, _Bare(bare, beside.url.replace("http://", "ws://"))


class _Wallets:
    """Signs transfers and swaps of the funded accounts, each with its next nonce."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._names = [*manifest.funded["trader"], *manifest.funded["whale"]]
        self._nonces: dict[str, int] = {}
        self._turn = 0

    async def read_nonces(self, rpc: RpcClient) -> None:
        """Take the nonces from the chain; the same on both sides, which loaded the same world."""
        names = (*self._names, *BIDDERS)
        found = await rpc.batch([("eth_getTransactionCount", (account(name).address, "latest")) for name in names])
        for name, nonce in zip(names, found, strict=True):
            self._nonces[name] = int(_checked(nonce), 16)

    def transfer(self, tip: int) -> bytes:
        """Return a signed transfer of one wei."""
        return self._sign(self._next(), account("operator-0").address, 1, b"", 21_000, tip)

    def swap(self, tip: int, name: str | None = None) -> bytes:
        """Return a signed swap of ether for USDC on Uniswap V2."""
        path = [self._manifest.contracts["weth"], self._manifest.token("USDC").address]
        sender = name or self._next()
        signature = "swapExactETHForTokens(uint256,address[],address,uint256)"
        data = encode_call(signature, 0, path, account(sender).address, 2**63)
        router = self._manifest.contracts["uniswap_v2_router"]
        return self._sign(sender, router, SWAP_WEI, data, SWAP_GAS, tip)

    def _next(self) -> str:
        self._turn += 1
        return self._names[self._turn % len(self._names)]

    def _sign(self, name: str, to: str, value: int, data: bytes, gas: int, tip: int) -> bytes:
        nonce = self._nonces[name]
        self._nonces[name] = nonce + 1
        fields = DynamicFeeFields(
            chain_id=self._manifest.chain_id,
            nonce=nonce,
            max_priority_fee_per_gas=tip,
            max_fee_per_gas=200 * GWEI,
            gas_limit=gas,
            to=to,
            value=value,
            data=data,
        )
        return sign_dynamic_fee(fields, account(name).key)


def _checked(value: Any) -> Any:
    if isinstance(value, DevnetError):
        raise value
    return value


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


async def _send_bundle(session: aiohttp.ClientSession, ours: _Ours, method: str, params: dict[str, object]) -> object:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [params]})
    headers = {HEADER: sign_body(body, account(SEARCHER).key), "Content-Type": "application/json"}
    async with session.post(ours.builder_url, data=body, headers=headers) as answer:
        found = orjson.loads(await answer.read())
    if "result" not in found:
        raise ChainFailed(f"{method} was refused: {found}")
    return found["result"]


# --- simulation and building -----------------------------------------------------------------------------------------


async def _simulation(ours: _Ours, bare: _Bare) -> Row:
    """One bundle of two swaps: eth_callBundle here, eth_simulateV1 of the same two calls there."""
    wallets = _Wallets(ours.manifest)
    await wallets.read_nonces(bare.rpc)
    head = int(await ours.rpc.call("eth_blockNumber"), 16)
    raws = [wallets.swap(GWEI, SEARCHER), wallets.swap(GWEI, SEARCHER)]
    params: dict[str, object] = {
        "txs": [_hex(raw) for raw in raws],
        "blockNumber": hex(head + 1),
        "stateBlockNumber": "latest",
    }
    path = [ours.manifest.contracts["weth"], ours.manifest.token("USDC").address]
    sender = account(SEARCHER).address
    data = encode_call("swapExactETHForTokens(uint256,address[],address,uint256)", 0, path, sender, 2**63)
    call = {
        "from": sender,
        "to": ours.manifest.contracts["uniswap_v2_router"],
        "value": hex(SWAP_WEI),
        "gas": hex(SWAP_GAS),
        "input": _hex(data),
    }
    simulated = {"blockStateCalls": [{"calls": [call, call]}]}
    async with aiohttp.ClientSession() as session:
        samples = await interleaved_async(
            [
                lambda: _send_bundle(session, ours, "eth_callBundle", params),
                lambda: bare.rpc.call("eth_simulateV1", simulated, "latest"),
            ],
            repeats=SIMULATIONS,
        )
    return duration_row("simulate a bundle of 2 swaps", "ms", samples[0], samples[1], "bare eth_simulateV1")


async def _building(ours: _Ours, bare: _Bare) -> list[Row]:
    """Blocks of 50 bundles (one swap each) and 300 public swaps; the peer mines the same bytes with nothing decided."""
    wallets = _Wallets(ours.manifest)
    await wallets.read_nonces(bare.rpc)
    build: Samples = []
    mine: Samples = []
    async with aiohttp.ClientSession() as session:
        for block in range(BLOCKS + 1):
            bundles = [wallets.swap((10 + i) * GWEI, name) for i, name in enumerate(BIDDERS[1:])]
            public = [wallets.swap((1 + i % 7) * GWEI // 2) for i in range(PUBLIC)]
            ours_seconds = await _build_ours(session, ours, bundles, public)
            bare_seconds = await _mine_bare(bare, bundles + public)
            if block:  # the first warms both up
                build.append(ours_seconds)
                mine.append(bare_seconds)
    name = f"build a block of {BUNDLES} bundles and {PUBLIC} transactions"
    return [duration_row(name, "ms", build, mine, "bare anvil mines them")]


async def _build_ours(
    session: aiohttp.ClientSession, ours: _Ours, bundles: Sequence[bytes], public: Sequence[bytes]
) -> float:
    head = int(await ours.rpc.call("eth_blockNumber"), 16)
    for raw in bundles:
        params: dict[str, object] = {"txs": [_hex(raw)], "blockNumber": hex(head + 1)}
        await _send_bundle(session, ours, "eth_sendBundle", params)
    for result in await ours.rpc.batch([("eth_sendRawTransaction", (_hex(raw),)) for raw in public]):
        _checked(result)
    await asyncio.sleep(_CUT_OFF_SECONDS)
    begun = time.perf_counter()
    await ours.admin.call("devnet_mine")
    seconds = time.perf_counter() - begun
    mined = await ours.rpc.call("eth_getBlockByNumber", hex(head + 1), False)
    if len(mined["transactions"]) != len(bundles) + len(public):
        stats = await ours.admin.call("devnet_stats")
        raise ChainFailed(f"{len(mined['transactions'])} transactions were mined: {json.dumps(stats)}")
    return seconds


async def _mine_bare(bare: _Bare, raws: Sequence[bytes]) -> float:
    begun = time.perf_counter()
    for result in await bare.rpc.batch([("eth_sendRawTransaction", (_hex(raw),)) for raw in raws]):
        _checked(result)
    await bare.rpc.call("evm_mine")
    return time.perf_counter() - begun


# --- throughput and delay --------------------------------------------------------------------------------------------


async def _flood(ours: _Ours, bare: _Bare) -> Row:
    """Transfers as fast as a few connections send them, one call each; a sample is a fifth of them."""
    wallets = _Wallets(ours.manifest)
    await wallets.read_nonces(bare.rpc)
    rates: tuple[Samples, Samples] = ([], [])
    for _ in range(5):
        raws = [wallets.transfer(GWEI) for _ in range(FLOOD // 5)]
        for rpc, samples in ((ours.rpc, rates[0]), (bare.rpc, rates[1])):
            with quiet_collector():
                samples.append(len(raws) / await _send_all(rpc, raws))
        await ours.admin.call("devnet_mine")
        await bare.rpc.call("evm_mine")
    return rate_row("transactions taken in", "tx/s", rates[0], rates[1], "bare anvil")


async def _send_all(rpc: RpcClient, raws: Sequence[bytes]) -> float:
    """Send every transaction; those of one sender stay in order because connections take them in turn."""
    lanes = [raws[lane::FLOOD_CONNECTIONS] for lane in range(FLOOD_CONNECTIONS)]

    async def send(lane: Sequence[bytes]) -> None:
        for raw in lane:
            await rpc.call("eth_sendRawTransaction", _hex(raw))

    begun = time.perf_counter()
    await asyncio.gather(*(send(lane) for lane in lanes))
    return time.perf_counter() - begun


async def _delay(ours: _Ours, bare: _Bare) -> Row:
    """From sending a transaction to hearing of it on a WebSocket with full bodies, at a steady rate."""
    wallets = _Wallets(ours.manifest)
    await wallets.read_nonces(bare.rpc)
    raws = [wallets.transfer(GWEI) for _ in range(RATE_PER_SECOND * RATE_SECONDS)]
    heard = [await _delays(rpc, url, raws) for rpc, url in ((ours.rpc, ours.ws_url), (bare.rpc, bare.ws_url))]
    return duration_row(f"pending delay at {RATE_PER_SECOND} tx/s", "ms", heard[0], heard[1], "bare anvil")


async def _delays(rpc: RpcClient, ws_url: str, raws: Sequence[bytes]) -> Samples:
    sent: list[float] = []
    arrived: list[float] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(ws_url, max_msg_size=0) as websocket:
        await websocket.send_json(
            {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newPendingTransactions", True]}
        )
        await websocket.receive(timeout=5)

        async def listen() -> None:
            while len(arrived) < len(raws):
                await websocket.receive(timeout=5)
                arrived.append(time.perf_counter())

        listening = asyncio.create_task(listen())
        await _send_steadily(rpc, raws, sent)
        await listening
    return [b - a for a, b in zip(sent, arrived, strict=True)]


async def _send_steadily(rpc: RpcClient, raws: Sequence[bytes], sent: list[float]) -> None:
    calls: set[asyncio.Task[object]] = set()
    begun = time.perf_counter()
    for index, raw in enumerate(raws):
        await asyncio.sleep(max(0.0, begun + index / RATE_PER_SECOND - time.perf_counter()))
        sent.append(time.perf_counter())
        calls.add(asyncio.create_task(rpc.call("eth_sendRawTransaction", _hex(raw))))
    await asyncio.gather(*calls)
