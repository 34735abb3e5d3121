"""The hindsight solver's reading and its formulas against the chain itself."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from devnet.accounts import account
from devnet.artifacts import load
from devnet.demo.hindsight_coins import Coins
from devnet.demo.hindsight_flow import Balanced, LogReader, Ranged, Swapped
from devnet.demo.hindsight_pools import Concentrated, Stable, Weighted, amount_out
from devnet.demo.hindsight_reading import differences, read_states, universe
from devnet.errors import RpcError
from devnet.manifest import Manifest, Pool, Token
from devnet.packages import Packages
from devnet.protocols.uniswap_v4 import ARTIFACTS, KEY, NATIVE
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from tests.chain import Chain
from tests.devnet_run import PARTICIPANTS, devnet, playing, reach, session

pytestmark = pytest.mark.anvil

OPERATOR = account("operator-0")
SEED = 3
BLOCKS = 8


async def test_swaps_give_what_the_contracts_quote_over_many_ticks(untouched_chain: Chain, world: World) -> None:
    manifest = world.manifest
    states = await read_states(untouched_chain.rpc, manifest, manifest.block_number)
    pools = {pool.name: pool for pool in manifest.pools}
    quote = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
    checked: Counter[str] = Counter()
    for name, state in states.items():
        if pools[name].family == "uniswap_v4":
            continue  # it has a quoter of its own, which is asked below
        pool, (first, second) = pools[name], [manifest.token(symbol) for symbol in pools[name].tokens[:2]]
        for dollars in (1_000, 2_000_000):
            amount = dollars * 10**8 * 10**first.decimals // first.usd_price_e8
            if isinstance(state, Concentrated):
                order = (first.address, second.address, amount, pool.fee_pips, 0)
                returns = ["uint256", "uint160", "uint32", "uint256"]
                quoter = manifest.contracts["uniswap_v3_quoter"]
                theirs, _, crossed, _ = await untouched_chain.read(quoter, quote, returns, order)
                assert amount_out(state, 0, 1, amount) == theirs, name
                checked["ticks"] += crossed
            elif isinstance(state, Weighted) and dollars == 1_000:
                (theirs,) = await query_swap(untouched_chain, manifest, pool.pool_id, first, second, amount)
                assert abs(theirs - amount_out(state, 0, 1, amount)) <= state.balances[1] // 10**13, name
                checked["weighted"] += 1
    assert checked["ticks"] > 20
    assert checked["weighted"] == 4


async def test_a_stable_pool_gives_to_the_wei_what_its_query_says(untouched_chain: Chain, world: World) -> None:
    manifest = world.manifest
    states = await read_states(untouched_chain.rpc, manifest, manifest.block_number)
    pools = {pool.name: pool for pool in manifest.pools}
    checked = 0
    for name, state in states.items():
        if not isinstance(state, Stable):
            continue
        symbols = pools[name].tokens
        for into, out in permutations(range(len(symbols)), 2):
            first, second = manifest.token(symbols[into]), manifest.token(symbols[out])
            whole = state.balances[into]
            for amount in (7 * 10**first.decimals + 1, whole // 1_000 + 1, whole // 3, whole * 9 // 10, 4 * whole + 3):
                theirs = await query_swap(untouched_chain, manifest, pools[name].pool_id, first, second, amount)
                assert (amount_out(state, into, out, amount),) == theirs, (name, into, out, amount)
                checked += 1
    assert checked == (6 + 2) * 5


async def query_swap(
    chain: Chain, manifest: Manifest, pool_id: str, sold: Token, bought: Token, amount: int
) -> tuple[Any, ...]:
    single = (bytes.fromhex(pool_id[2:]), 0, sold.address, bought.address, amount, b"")
    funds = (sold.address, False, sold.address, False)
    query = "querySwap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool))"
    return await chain.read(manifest.contracts["balancer_queries"], query, ["uint256"], single, funds)


async def test_the_logs_of_many_blocks_lead_to_the_states_on_the_chain(
    packages: Packages, world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hindsight")
    config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS, seed=SEED)
    first = world.manifest.block_number + 1
    numbers = range(first, first + BLOCKS)
    async with (
        devnet(packages, world, folder, config) as relay,
        session(relay, world, folder, config, SEED) as actors,
        RpcClient(relay.public_url) as rpc,
    ):
        before = await read_states(rpc, world.manifest, first - 1)
        async with playing(actors) as task:
            await reach(rpc, first + BLOCKS, task)
        receipts: list[Any] = await rpc.batch([("eth_getBlockReceipts", [hex(number)]) for number in numbers])
        after = await read_states(rpc, world.manifest, numbers[-1])
    reader = LogReader(universe(world.manifest).followed, before)
    actions = [reader.read(receipt["logs"]) for block in receipts for receipt in block]
    assert len(differences(before, after)) > 20
    assert differences(reader.states, after) == []
    assert sum(map(len, actions)) > 100


async def test_a_chain_that_cannot_answer_is_an_error(untouched_chain: Chain, world: World) -> None:
    with pytest.raises(RpcError):
        await read_states(untouched_chain.rpc, world.manifest, 10**6)


async def test_v4_and_curves_interface_give_to_the_wei_what_their_contracts_quote(
    untouched_chain: Chain, world: World
) -> None:
    manifest = world.manifest
    states = await read_states(untouched_chain.rpc, manifest, manifest.block_number)
    quote, checked = f"quoteExactInputSingle(({KEY},bool,uint128,bytes))", Counter[str]()
    for pool in manifest.pools:
        state, tokens = states.get(pool.name), [manifest.token(symbol) for symbol in pool.tokens]
        if pool.family not in ("uniswap_v4", "curve_stable"):
            continue
        assert isinstance(state, Concentrated | Coins), pool.name
        for into, out in permutations(range(len(tokens)), 2):
            for dollars in (7, 1_000, 300_000):
                amount = dollars * 10**8 * 10 ** tokens[into].decimals // tokens[into].usd_price_e8 + 1
                if isinstance(state, Coins):
                    read = "get_dy(int128,int128,uint256)"
                    theirs = await untouched_chain.read(pool.address, read, ["uint256"], into, out, amount)
                else:
                    order = (_v4_key(manifest, pool), into == 0, amount, b"")
                    quoter = manifest.contracts["uniswap_v4_quoter"]
                    theirs = await untouched_chain.read(quoter, quote, ["uint256", "uint256"], order)
                assert amount_out(state, into, out, amount) == theirs[0], (pool.name, into, out, amount)
                checked[pool.family] += 1
    assert checked == {"uniswap_v4": 4 * 2 * 3, "curve_stable": 6 * 3}


async def test_the_logs_of_v4_and_of_curves_interface_lead_to_the_states_on_the_chain(
    chain: Chain, world: World, packages: Packages
) -> None:
    manifest, first = world.manifest, world.manifest.block_number
    before = await read_states(chain.rpc, manifest, first)
    reader = LogReader(universe(manifest).followed, before)
    pool = next(pool for pool in manifest.pools if pool.family == "uniswap_v4" and not pool.native_ether)
    key, manager = _v4_key(manifest, pool), manifest.contracts["uniswap_v4_pool_manager"]
    routers = []
    for name in ("PoolSwapTest", "PoolModifyLiquidityTest"):
        code = load(packages, f"{ARTIFACTS}/{name}.sol/{name}.default.json").creation
        routers.append(await chain.create(OPERATOR, code, ("address",), (manager,)))
        for token in key[:2]:
            await chain.send(OPERATOR, token, "approve(address,uint256)", routers[-1], 1 << 255)
    curve, coins = manifest.contracts["curve_stable_pool"], ("DAI", "USDC", "USDT")
    for symbol in coins:
        await chain.send(OPERATOR, manifest.token(symbol).address, "approve(address,uint256)", curve, 1 << 255)
    swap, exchange = f"swap({KEY},(bool,int256,uint160),(bool,bool),bytes)", "exchange(int128,int128,uint256,uint256)"
    for down, dollars in ((True, 90), (False, 40_000), (True, 7_000)):
        sold = manifest.token(pool.tokens[0 if down else 1])
        limits = (
            down,
            -dollars * 10**8 * 10**sold.decimals // sold.usd_price_e8,
            4295128740 if down else 1461446703485210103287273052203988822378723970341,
        )
        await chain.send(OPERATOR, routers[0], swap, key, limits, (False, False), b"")
    modify = f"modifyLiquidity({KEY},(int24,int24,int256,bytes32),bytes)"
    near = before[pool.name].tick // pool.tick_spacing * pool.tick_spacing  # type: ignore[union-attr]
    for delta in (10**12, -(10**11)):
        ticks = (near - 3 * pool.tick_spacing, near + 5 * pool.tick_spacing, delta, bytes(32))
        await chain.send(OPERATOR, routers[1], modify, key, ticks, b"")
    await chain.send(OPERATOR, curve, exchange, 0, 1, 12_345 * 10**18 + 7, 0)
    await chain.send(OPERATOR, curve, "add_liquidity(uint256[3],uint256)", [10**21, 0, 3 * 10**9], 0)
    await chain.send(OPERATOR, curve, "remove_liquidity(uint256,uint256[3])", 10**20, [0, 0, 0])
    await chain.send(OPERATOR, curve, exchange, 2, 0, 54_321 * 10**6, 0)
    head = int(await chain.rpc.call("eth_blockNumber"), 16)
    receipts: list[Any] = await chain.rpc.batch(
        [("eth_getBlockReceipts", [hex(number)]) for number in range(first + 1, head + 1)]
    )
    actions = [action for block in receipts for receipt in block for action in reader.read(receipt["logs"])]
    after = await read_states(chain.rpc, manifest, head)
    assert Counter(type(action) for action in actions) == {Swapped: 5, Ranged: 2, Balanced: 2}
    assert len(differences(before, after)) == 2
    assert differences(reader.states, after) == []


def _v4_key(manifest: Manifest, pool: Pool) -> tuple[str, str, int, int, str]:
    first, second = (
        NATIVE if pool.native_ether and symbol == "WETH" else manifest.token(symbol).address for symbol in pool.tokens
    )
    return first, second, pool.fee_pips, pool.tick_spacing, NATIVE
