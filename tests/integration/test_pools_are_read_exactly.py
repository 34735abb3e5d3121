"""Pools found through their factories and read by multicall, against the genuine contracts' own answers."""

from __future__ import annotations

import orjson
import pytest

from devnet.anvil import Anvil
from devnet.manifest import Pool
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.discovery import Discovery
from node.engine.endpoints import Endpoints
from node.engine.headers import header_from_json
from node.engine.multicall import Multicall
from node.engine.pool_catalogue import PoolCatalogue
from node.engine.pool_reading import PoolReader, Unreadable, read_contracts
from node.pipeline.pools import AT_BALANCER_V2, PoolFamily, PoolSpec, held_amounts, quote_exact_in
from protocol.units import ChainId, address_from_hex, address_to_hex
from tests.chain import Chain
from tests.engine_scene import engine_config

pytestmark = pytest.mark.anvil


async def _quoted(chain: Chain, world: World, spec: PoolSpec, amount: int) -> int:
    """What the protocol's own contract gives for an input of the first token."""
    contracts = world.manifest.contracts
    into, out_of = map(address_to_hex, spec.tokens[:2])
    if spec.family is PoolFamily.UNISWAP_V3:
        asked = (into, out_of, amount, spec.fee_pips, 0)
        signature = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
        return int((await chain.read(contracts["uniswap_v3_quoter"], signature, ["uint256"], asked))[0])
    if spec.family in AT_BALANCER_V2:
        single = (spec.id, 0, into, out_of, amount, b"")
        zero = "0x" + "00" * 20
        signature = "querySwap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool))"
        queries = contracts["balancer_queries"]
        return int((await chain.read(queries, signature, ["uint256"], single, (zero, False, zero, False)))[0])
    if spec.family is PoolFamily.UNISWAP_V4:
        hooks = "0x" + spec.hooks.hex()
        key = (into, out_of, spec.fee_pips, spec.tick_spacing, hooks)
        signature = "quoteExactInputSingle(((address,address,uint24,int24,address),bool,uint128,bytes))"
        return int(
            (
                await chain.read(
                    contracts["uniswap_v4_quoter"], signature, ["uint256", "uint256"], (key, True, amount, b"")
                )
            )[0]
        )
    if spec.family is PoolFamily.CURVE_PLAIN:
        pool = address_to_hex(spec.address)
        return int((await chain.read(pool, "get_dy(int128,int128,uint256)", ["uint256"], 0, 1, amount))[0])
    if spec.family is PoolFamily.ERC4626:
        vault = address_to_hex(spec.address)
        return int((await chain.read(vault, "previewDeposit(uint256)", ["uint256"], amount))[0])
    if spec.family is PoolFamily.WRAPPER:
        return amount
    router = contracts["uniswap_v2_router" if spec.family is PoolFamily.UNISWAP_V2 else "sushi_router"]
    amounts = await chain.read(router, "getAmountsOut(uint256,address[])", ["uint256[]"], amount, [into, out_of])
    return int(amounts[0][1])


def _id(pool: Pool) -> bytes:
    return bytes.fromhex((pool.pool_id or pool.address)[2:])


def _require_described(world: World, pool: Pool, spec: PoolSpec) -> None:
    """The pool is what the world says that it is."""
    symbols = [world.manifest.token(symbol).address.lower() for symbol in pool.tokens]
    if pool.native_ether:
        symbols[0] = "0x" + "00" * 20
    traded = [token for token in spec.tokens if token != spec.address]
    assert [address_to_hex(token) for token in traded] == symbols
    if spec.family is not PoolFamily.CURVE_PLAIN:
        assert (spec.fee_pips, spec.tick_spacing, str(spec.family)) == (pool.fee_pips, pool.tick_spacing, pool.family)


async def test_every_pool_of_the_world_is_found_and_quotes_as_its_own_contracts_do(
    untouched_chain: Chain, shared_world_anvil: Anvil, world: World
) -> None:
    url = shared_world_anvil.url
    endpoints = Endpoints.open([RpcConfig(http=url, websocket=url)], SystemClock())
    protocols = engine_config(world.manifest).protocols
    multicall = Multicall(endpoints, protocols.multicall3)
    try:
        head = header_from_json(orjson.dumps(await endpoints.call("eth_getBlockByNumber", "latest", False)))
        weth = address_from_hex(world.manifest.contracts["weth"])
        catalogue = PoolCatalogue(None, ChainId(world.manifest.chain_id), endpoints)
        discovery = Discovery(endpoints, multicall, protocols, [weth], 1000, lambda _pool: None, catalogue)
        found = await discovery.pools(head)
        listed = {one.address for one in protocols.pools}
        by_id = {_id(pool): pool for pool in world.manifest.pools}
        assert {spec.id for spec in found} == {*by_id, *listed}
        states = await PoolReader(multicall, read_contracts(protocols)).read(found, head.hash)
        for spec in found:
            pool, state = by_id.get(spec.id), states[spec.id]
            if pool is not None:
                _require_described(world, pool, spec)
            assert not isinstance(state, Unreadable), (spec.family, state)
            for parts in (1_000, 7):
                amount = max(1, held_amounts(state)[0] // parts)
                assert quote_exact_in(state, 0, 1, amount) == await _quoted(untouched_chain, world, spec, amount), spec
    finally:
        await endpoints.close()
