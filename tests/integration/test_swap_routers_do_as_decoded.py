"""Uniswap's older routers in their own bytecode, as the devnet has them, do with a call what we foretell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest

from devnet.anvil import Anvil
from devnet.rpc import RpcClient
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.pools import V3_KEY
from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import encode_call
from protocol.units import address_from_hex
from tests.chain import BLOCK_SECONDS, Chain
from tests.conftest import undone
from tests.universal_router import MOST, ROUTER
from tests.universal_router_scene import FAR_FUTURE, WHALE, Stage, set_stage

pytestmark = pytest.mark.anvil

_V2_IN: Final = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
_V2_OUT: Final = "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)"
_V3_IN: Final = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
_V3_OUT: Final = "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
_02_V2_IN: Final = "swapExactTokensForTokens(uint256,uint256,address[],address)"
_02_V2_OUT: Final = "swapTokensForExactTokens(uint256,uint256,address[],address)"
_02_V3_IN: Final = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
_02_V3_OUT: Final = "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint160))"
_02_CALLS: Final = "multicall(uint256,bytes[])"


@pytest.fixture(scope="module")
async def stage(shared_world_anvil: Anvil, world: World) -> AsyncIterator[Stage]:
    async with undone(shared_world_anvil), RpcClient(shared_world_anvil.url) as rpc:
        rpcs = [RpcConfig(http=shared_world_anvil.url, websocket=shared_world_anvil.url)]
        endpoints = Endpoints.open(rpcs, SystemClock())
        try:
            yield await set_stage(Chain(rpc), world, endpoints)
        finally:
            await endpoints.close()


def _at(stage: Stage, name: str, kind: RouterKind) -> None:
    stage.goes_to(stage.world.manifest.contracts[name], kind)


async def test_a_deadline_is_kept_to_the_second_and_zero_is_one_that_has_passed(stage: Stage) -> None:
    head = await stage.chain.rpc.call("eth_getBlockByNumber", "latest", False)
    next_second = int(head["timestamp"], 16) + BLOCK_SECONDS
    tokens, inner = (stage.usdc, stage.weth), (10**9, 0, [stage.usdc, stage.weth], WHALE.address)
    for deadline, is_late in ((next_second, False), (next_second - 1, True), (0, True)):
        calls = (
            ("uniswap_v2_router", RouterKind.UNISWAP_V2, encode_call(_V2_IN, *inner, deadline)),
            (
                *("uniswap_v3_router", RouterKind.UNISWAP_V3),
                encode_call(_V3_IN, (*tokens, 500, WHALE.address, deadline, 10**9, 0, 0)),
            ),
            (
                *("uniswap_v3_router02", RouterKind.SWAP_ROUTER_02),
                encode_call(_02_CALLS, deadline, [encode_call(_02_V2_IN, *inner)]),
            ),
        )
        for name, kind, data in calls:
            _at(stage, name, kind)
            if is_late:
                await stage.call_is_refused_as_foretold(data)
            else:
                assert await stage.call_does_as_foretold(data) == 1


async def test_pairs_give_what_was_asked_for_or_all_that_it_costs_buys(stage: Stage) -> None:
    for path in ([stage.usdc, stage.weth], [stage.usdc, stage.weth, stage.wbtc]):
        for amount in (1_234_567, 987_654, 7):
            given = amount, MOST, path, WHALE.address
            _at(stage, "uniswap_v2_router", RouterKind.UNISWAP_V2)
            assert await stage.call_does_as_foretold(encode_call(_V2_OUT, *given, FAR_FUTURE)) == len(path) - 1
            _at(stage, "uniswap_v3_router02", RouterKind.SWAP_ROUTER_02)
            assert await stage.call_does_as_foretold(encode_call(_02_V2_OUT, *given)) == len(path) - 1


async def test_an_exact_output_that_stops_at_its_price_limit_is_given_in_part_and_without_one_not_at_all(
    stage: Stage,
) -> None:
    key = V3_KEY + address_from_hex(stage.usdc) + (500).to_bytes(3, "big") + address_from_hex(stage.weth)
    edge = stage.market.edges[stage.market.edge_by_key[key]]
    pool = stage.market.states[edge.pool]
    assert isinstance(pool, ConcentratedPool)
    near = pool.sqrt_price_x96 * (9_999 if edge.index_in == 0 else 10_001) // 10_000
    for price_limit in (near, 0):
        amounts = 10**24, MOST, price_limit
        calls = (
            (
                *("uniswap_v3_router", RouterKind.UNISWAP_V3),
                encode_call(_V3_OUT, (stage.usdc, stage.weth, 500, WHALE.address, FAR_FUTURE, *amounts)),
            ),
            (
                *("uniswap_v3_router02", RouterKind.SWAP_ROUTER_02),
                encode_call(_02_V3_OUT, (stage.usdc, stage.weth, 500, WHALE.address, *amounts)),
            ),
        )
        for name, kind, data in calls:
            _at(stage, name, kind)
            if price_limit:
                assert await stage.call_does_as_foretold(data) == 1
            else:
                await stage.call_is_refused_as_foretold(data)


async def test_what_one_call_left_with_the_router_is_what_the_next_one_swaps(stage: Stage) -> None:
    _at(stage, "uniswap_v3_router02", RouterKind.SWAP_ROUTER_02)
    first_in = encode_call(_02_V3_IN, (stage.usdc, stage.weth, 500, ROUTER, 10**10, 0, 0))
    first_out = encode_call(_02_V3_OUT, (stage.usdc, stage.weth, 500, ROUTER, 10**16, MOST, 0))
    also = encode_call(_02_V2_IN, 10**10, 0, [stage.usdc, stage.weth], ROUTER)
    onward = encode_call(_02_V3_IN, (stage.weth, stage.wbtc, 500, WHALE.address, 0, 0, 0))
    in_pairs = encode_call(_02_V2_IN, 0, 0, [stage.weth, stage.wbtc], WHALE.address)
    for calls in ([first_in, onward], [first_in, also, onward], [first_out, onward], [first_out, in_pairs]):
        assert await stage.call_does_as_foretold(encode_call(_02_CALLS, FAR_FUTURE, calls)) == len(calls)


async def test_the_least_ether_that_a_sender_takes_back_is_a_limit(stage: Stage) -> None:
    _at(stage, "uniswap_v3_router02", RouterKind.SWAP_ROUTER_02)
    sold = encode_call(_02_V3_IN, (stage.usdc, stage.weth, 500, ROUTER, 10**10, 0, 0))
    for least, is_met in ((1, True), (10**20, False)):
        unwrapped = encode_call("unwrapWETH9(uint256,address)", least, WHALE.address)
        data = encode_call(_02_CALLS, FAR_FUTURE, [sold, unwrapped])
        if is_met:
            assert await stage.call_does_as_foretold(data) == 1
        else:
            await stage.call_is_refused_as_foretold(data)
