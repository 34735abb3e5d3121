"""The devnet's own market as the engine sees it: what its chain feed reads of an Anvil on the world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from devnet.accounts import account
from devnet.demo.operators import EVERYTHING, node_config
from devnet.errors import ChainFailed
from devnet.manifest import Manifest
from devnet.rpc import RpcClient
from devnet.run_folder import RunRecord
from node.clock import SystemClock
from node.config import Config, VaultConfig
from node.engine.call_data import VaultCallData
from node.engine.endpoints import Endpoints
from node.engine.feed import ChainFeed, FeedHooks
from node.engine.headers import Header
from node.engine.lending import read_lenders
from node.engine.own_evm import OwnEvm
from node.engine.pipeline_settings import pipeline_settings
from node.engine.signer import Signer, SigningLimits
from node.engine.simulator import BundleSimulator
from node.engine.treasury import Treasury
from node.pipeline.events import BlockArrived, Event, ResyncPools
from node.pipeline.settings import PipelineSettings
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.keys import SigningKey
from protocol.units import UnixNanoseconds, Wei, address_from_hex

READY_SECONDS: Final = 60.0
_PLENTY: Final = 10**33


@dataclass(frozen=True, slots=True)
class DevnetMarket:
    """Two pipelines that know the market, the simulator on its head, and an operator who signs."""

    plain: PipelineState
    checked: PipelineState
    """It asks for simulations."""
    simulator: BundleSimulator
    signer: Signer
    hot_key: SigningKey


@asynccontextmanager
async def devnet_market(url: str, manifest: Manifest, folder: Path) -> AsyncIterator[DevnetMarket]:
    """Read the market of an Anvil on the world; all that is open is closed in the end. Raises DevnetError, RpcError."""
    operator = manifest.operators[0]
    key = account(operator.vaults[0].hot_key)
    sender, safe = address_from_hex(key.address), address_from_hex(operator.vaults[0].safe)
    record = RunRecord(
        pid=0, chain_id=manifest.chain_id, seed=0, block_time_seconds=12.0, lockstep=False, rpc_url=url,
        ws_url=url.replace("http://", "ws://"), admin_url="", builder_urls={}, manifest_path="", log_folder="",
    )  # fmt: skip
    vaults = (VaultConfig(safe=safe, keystore=folder / "none"),)
    config = node_config(operator.name, EVERYTHING, record, manifest, folder, vaults)
    endpoints = Endpoints.open(config.chain.rpcs, SystemClock())
    simulator = BundleSimulator(endpoints, OwnEvm(endpoints, config.chain.id), lambda: UnixNanoseconds(0))
    try:
        tokens = [token.address for token in config.tokens.profit]
        lenders = await read_lenders(endpoints, config.protocols.lenders, tokens)
        settings = _unlimited(pipeline_settings(config, [lender for lender, _ in lenders], [sender]))
        plain, checked = (
            PipelineState(msgspec.structs.replace(settings, simulate=simulate), VaultCallData({sender: safe}))
            for simulate in (False, True)
        )
        await _read_market(config, endpoints, Treasury(endpoints, [sender], lenders), simulator, (plain, checked))
        limits = SigningLimits(config.chain.id, config.execution.vault_module, Wei(_PLENTY))
        yield DevnetMarket(plain, checked, simulator, Signer(key.secret, limits), key.key)
    finally:
        await simulator.own_evm.close()
        await endpoints.close()


def _unlimited(settings: PipelineSettings) -> PipelineSettings:
    """Nothing that is sent lands, so what a day's limits hold back would never come free again."""
    tokens = tuple(msgspec.structs.replace(token, max_daily_turnover=_PLENTY) for token in settings.profit_tokens)
    limits = msgspec.structs.replace(settings.limits, max_daily_spend=Wei(_PLENTY))
    return msgspec.structs.replace(settings, profit_tokens=tokens, limits=limits)


async def _read_market(
    config: Config,
    endpoints: Endpoints,
    treasury: Treasury,
    simulator: BundleSimulator,
    states: Sequence[PipelineState],
) -> None:
    """Let the feed tell the pipelines what is there, then a block, at which they make cycles. Raises DevnetError."""
    begun = asyncio.Event()

    def emit(event: Event) -> None:
        wanted = {effect for state in states for effect in step(state, event) if isinstance(effect, ResyncPools)}
        for effect in wanted:
            feed.resync(effect)
        if isinstance(event, BlockArrived) and feed.ready.is_set():
            begun.set()

    async def before_block(header: Header) -> None:
        simulator.own_evm.follow(header)
        for event in await treasury.read(header.hash):
            emit(event)

    hooks = FeedHooks(emit=emit, state_of=states[0].market.state_of, before_block=before_block)
    feed = ChainFeed(config, endpoints, SystemClock(), hooks)
    running = asyncio.create_task(feed.run())
    try:
        await _happens(feed.ready, running)
        async with RpcClient(config.chain.rpcs[0].http) as rpc:
            await rpc.call("evm_mine")
        await _happens(begun, running)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _happens(event: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Return when it does. Raises ChainFailed where the feed ends before, or it takes too long."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait((running, waiting), timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not event.is_set():
        raise ChainFailed(f"the devnet's market was not read within {READY_SECONDS:.0f} s")
