"""The node's reading of its own vault, held against the module itself while the Safe's owners change it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.multicall import Multicall
from node.engine.vault_limits import VaultLimits
from node.pipeline.events import Event, NetworkRead, VaultRead
from node.pipeline.orders_out import Lack, lack_of
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.abi import encode_call
from protocol.units import Address, address_from_hex
from tests import pipeline_scene as scene
from tests.chain import Chain
from tests.integration.test_network_part import head_of, opened, prepared
from tests.unit.test_pipeline_orders import swap

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(240)]

TIGHTEN = "tighten(address,(uint8,address,uint256))"
PAUSE, TOKEN, UNPIN = 0, 2, 3
OWNER, HOT = account("north-owner-1"), account("north-key-0")
NOBODY = "0x" + "00" * 20


@asynccontextmanager
async def reading(anvil: Anvil, world: World, *tokens: Address) -> AsyncIterator[VaultLimits]:
    contracts, clock = world.manifest.contracts, SystemClock()
    vault = world.manifest.operators[0].vaults[0]
    endpoints = Endpoints.open([RpcConfig(http=anvil.url, websocket=anvil.url.replace("http", "ws"))], clock)
    try:
        multicall = Multicall(endpoints, address_from_hex(contracts["multicall3"]))
        safes = {address_from_hex(HOT.address): address_from_hex(vault.safe)}
        yield VaultLimits(multicall, address_from_hex(contracts["vault_module"]), safes, tokens)
    finally:
        await endpoints.close()


async def test_what_is_read_is_what_the_module_lets_be_drawn(world_anvil: Anvil, world: World, chain: Chain) -> None:
    module, safe = world.manifest.contracts["vault_module"], world.manifest.operators[0].vaults[0].safe
    await chain.rpc.call("anvil_setBalance", OWNER.address, hex(10**18))
    weth, usdc = world.manifest.token("WETH").address, world.manifest.token("USDC").address
    key, tokens = address_from_hex(HOT.address), [address_from_hex(one) for one in (weth, usdc)]
    limit = {
        one: (await chain.read(module, "limitOf(address,address)", ["bool", "uint128"], safe, one))[1]
        for one in (weth, usdc)
    }
    async with reading(world_anvil, world, *tokens) as limits:
        first = await limits.read((await head_of(chain)).hash)
        assert first == [VaultRead(key, tokens[0], limit[weth]), VaultRead(key, tokens[1], limit[usdc])]

        await chain.send(OWNER, module, TIGHTEN, safe, (TOKEN, weth, 5))
        assert await limits.read((await head_of(chain)).hash) == [VaultRead(key, tokens[0], 5)]

        await chain.send(OWNER, module, TIGHTEN, safe, (UNPIN, usdc, 0))
        assert await limits.read((await head_of(chain)).hash) == [VaultRead(key, tokens[1], None)]

        sentinel, disable = "0x" + "00" * 19 + "01", "disableModule(address,address)"
        await chain.rpc.call("anvil_setBalance", safe, hex(10**18))
        await chain.rpc.call("anvil_impersonateAccount", safe)
        call = "0x" + encode_call(disable, sentinel, module).hex()
        await chain.rpc.call("eth_sendTransaction", {"from": safe, "to": safe, "data": call, "gasPrice": "0x2540be400"})
        await chain.mine()
        assert await chain.read(safe, "isModuleEnabled(address)", ["bool"], module) == (False,)
        assert await limits.read((await head_of(chain)).hash) == [VaultRead(key, tokens[0], 0)]


async def test_a_vault_that_an_owner_pauses_is_no_live_executor_from_the_next_block_on(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    """What the node finds then lacks an executor; nobody has to tell it."""
    module, safe = world.manifest.contracts["vault_module"], world.manifest.operators[0].vaults[0].safe
    await chain.rpc.call("anvil_setBalance", OWNER.address, hex(10**18))
    market = scene.small_market()
    node, _ = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part:
        assert part is not None
        told: list[Event] = []
        part.feed = told.append
        await part.follow(await head_of(chain))
        await chain.send(OWNER, module, TIGHTEN, safe, (PAUSE, NOBODY, 1))
        await part.follow(await head_of(chain))

    assert [event.view.executor_live for event in told if isinstance(event, NetworkRead)] == [True, False]
    state: PipelineState = scene.pipeline(market)
    lacks = []
    for event in told:
        step(state, event)
        step(state, swap(market))
        (placed,) = state.outstanding.values()
        lacks.append(lack_of(state, placed.find))
    assert lacks == [None, Lack.EXECUTOR]
