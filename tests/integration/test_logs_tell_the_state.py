"""Uniswap V4, a Curve pool and a vault with shares on the devnet: what their logs make of a state is what is read."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import orjson
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.artifacts import load
from devnet.packages import Packages
from devnet.protocols import uniswap_v4
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.discovery import Discovery
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.multicall import Multicall
from node.engine.pool_catalogue import PoolCatalogue
from node.engine.pool_logs import PoolLogs
from node.engine.pool_reading import PoolReader, Unreadable, read_contracts
from node.engine.pool_topics import LogJson
from node.pipeline.changes import changed
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState, held_amounts, swap_exact_in
from protocol.units import ZERO_ADDRESS, ChainId, address_from_hex, address_to_hex
from tests.chain import Chain
from tests.engine_scene import engine_config

pytestmark = pytest.mark.anvil

OPERATOR = account("operator-0")
STEPS = 12
LOWEST, HIGHEST = 4295128740, 1461446703485210103287273052203988822378723970341
APPROVE = "approve(address,uint256)"


class Follower:
    """Our pools, kept by logs alone, beside a reader of the chain."""

    def __init__(self, chain: Chain, endpoints: Endpoints, world: World) -> None:
        protocols = engine_config(world.manifest).protocols
        self._chain, self._endpoints = chain, endpoints
        multicall = Multicall(endpoints, protocols.multicall3)
        self.logs = PoolLogs(protocols.factories, [one.family for one in protocols.pools])
        self.reader = PoolReader(multicall, read_contracts(protocols))
        weth = address_from_hex(world.manifest.contracts["weth"])
        catalogue = PoolCatalogue(None, ChainId(world.manifest.chain_id), endpoints)
        self._discovery = Discovery(endpoints, multicall, protocols, [weth], 1000, lambda _pool: None, catalogue)
        self.states: dict[PoolId, PoolState] = {}

    async def begin(self, *families: PoolFamily) -> list[PoolSpec]:
        """Read the pools of these families once."""
        head = await self._head()
        found = [spec for spec in await self._discovery.pools(head) if spec.family in families]
        for pool_id, state in (await self.reader.read(found, head.hash)).items():
            assert not isinstance(state, Unreadable), state
            self.states[pool_id] = state
        for spec in found:
            self.logs.follow(spec)
        return found

    async def follow(self) -> int:
        """Apply the last block's logs, then require the states to be those of the chain; how many changes it told."""
        head = await self._head()
        block = hex(head.number)
        raw = await self._chain.rpc.call(
            "eth_getLogs", {"fromBlock": block, "toBlock": block, "topics": [self.logs.topics]}
        )
        said = self.logs.read(msgspec.convert(raw, list[LogJson]))
        assert not said.doubtful
        for change in said.changes:
            self.states[change.pool_id] = changed(self.states[change.pool_id], change)
        found = [spec for pool_id in self.states if (spec := self.logs.spec_of(pool_id)) is not None]
        assert await self.reader.read(found, head.hash) == self.states
        return len(said.changes)

    async def _head(self) -> Header:
        return header_from_json(orjson.dumps(await self._endpoints.call("eth_getBlockByNumber", "latest", False)))


@pytest.fixture
async def follower(chain: Chain, world_anvil: Anvil, world: World) -> Any:
    endpoints = Endpoints.open([RpcConfig(http=world_anvil.url, websocket=world_anvil.url)], SystemClock())
    yield Follower(chain, endpoints, world)
    await endpoints.close()


async def test_v4s_manager_tells_what_swaps_and_positions_make_of_its_pools(
    chain: Chain, world: World, packages: Packages, follower: Follower
) -> None:
    specs = await follower.begin(PoolFamily.UNISWAP_V4)
    spec = next(spec for spec in specs if ZERO_ADDRESS not in spec.tokens)
    manager = world.manifest.contracts["uniswap_v4_pool_manager"]
    routers = []
    for name in ("PoolSwapTest", "PoolModifyLiquidityTest"):
        artifact = load(packages, f"{uniswap_v4.ARTIFACTS}/{name}.sol/{name}.default.json")
        routers.append(await chain.create(OPERATOR, artifact.creation, ("address",), (manager,)))
    tokens = [address_to_hex(token) for token in spec.tokens]
    for token in tokens:
        for router in routers:
            await chain.send(OPERATOR, token, APPROVE, router, 2**255)
    key = (*tokens, spec.fee_pips, spec.tick_spacing, "0x" + spec.hooks.hex())
    random, told = Random(5), 0
    for step in range(STEPS):
        state = follower.states[spec.id]
        if step % 3 == 2:
            tick = state.tick // spec.tick_spacing  # type: ignore[union-attr]
            lower, upper = (tick - random.randint(1, 30)) * spec.tick_spacing, (tick + 20) * spec.tick_spacing
            change = f"modifyLiquidity({uniswap_v4.KEY},(int24,int24,int256,bytes32),bytes)"
            await chain.send(OPERATOR, routers[1], change, key, (lower, upper, 10**11, b"\0" * 32), b"")
        else:
            down = random.random() < 0.5
            held = held_amounts(state)[0 if down else 1]
            amount = max(1000, held // 10 ** random.randint(3, 6))
            swap = f"swap({uniswap_v4.KEY},(bool,int256,uint160),(bool,bool),bytes)"
            limits = (down, -amount, LOWEST if down else HIGHEST)
            await chain.send(OPERATOR, routers[0], swap, key, limits, (False, False), b"")
        told += await follower.follow()
    assert told == STEPS


async def test_a_curve_pools_exchanges_and_deposits_tell_its_balances(
    chain: Chain, world: World, follower: Follower
) -> None:
    (spec,) = await follower.begin(PoolFamily.CURVE_PLAIN)
    pool, random = address_to_hex(spec.address), Random(11)
    for token in spec.tokens:
        await chain.send(OPERATOR, address_to_hex(token), APPROVE, pool, 2**255)
    for _ in range(STEPS):
        state = follower.states[spec.id]
        one, other = random.sample(range(3), 2)
        amount = state.balances[one] // random.randint(50, 5_000)  # type: ignore[union-attr]
        ahead, _ = swap_exact_in(state, one, other, amount)
        await chain.send(OPERATOR, pool, "exchange(int128,int128,uint256,uint256)", one, other, amount, 0)
        assert await follower.follow() == 1
        assert follower.states[spec.id] == ahead
    amounts = [state.balances[i] // part for i, part in enumerate((100, 700, 90))]  # type: ignore[union-attr]
    await chain.send(OPERATOR, pool, "add_liquidity(uint256[3],uint256)", amounts, 0)
    assert await follower.follow() == 1
    shares = await chain.balance(pool, OPERATOR.address)
    await chain.send(OPERATOR, pool, "remove_liquidity(uint256,uint256[3])", shares // 3, [0, 0, 0])
    assert await follower.follow() == 1


async def test_a_vaults_deposits_and_redemptions_tell_its_totals(
    chain: Chain, world: World, follower: Follower
) -> None:
    (spec,) = await follower.begin(PoolFamily.ERC4626)
    vault, asset = address_to_hex(spec.address), address_to_hex(spec.tokens[0])
    await chain.send(OPERATOR, asset, APPROVE, vault, 2**255)
    ahead, moved = swap_exact_in(follower.states[spec.id], 0, 1, 12_345_678)
    await chain.send(OPERATOR, vault, "deposit(uint256,address)", 12_345_678, OPERATOR.address)
    assert await follower.follow() == 1
    assert follower.states[spec.id] == ahead
    assert await chain.balance(vault, OPERATOR.address) == moved.amount_out
    back, given = swap_exact_in(ahead, 1, 0, moved.amount_out // 2)
    redeem = "redeem(uint256,address,address)"
    await chain.send(OPERATOR, vault, redeem, moved.amount_out // 2, OPERATOR.address, OPERATOR.address)
    assert await follower.follow() == 1
    assert follower.states[spec.id] == back
    assert given.amount_out > 0


async def test_yield_that_no_log_tells_is_seen_when_the_vault_is_read(
    chain: Chain, world: World, follower: Follower
) -> None:
    (spec,) = await follower.begin(PoolFamily.ERC4626)
    before = follower.states[spec.id]
    await chain.send(
        OPERATOR, address_to_hex(spec.tokens[0]), "transfer(address,uint256)", address_to_hex(spec.address), 999
    )
    with pytest.raises(AssertionError):
        await follower.follow()
    (again,) = await follower.begin(PoolFamily.ERC4626)
    assert follower.states[again.id] == msgspec.structs.replace(before, assets=before.assets + 999)  # type: ignore[union-attr]
