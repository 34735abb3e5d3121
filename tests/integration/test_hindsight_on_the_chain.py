"""The hindsight solver's reading and its formulas against the chain itself."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from devnet.demo.hindsight_flow import LogReader
from devnet.demo.hindsight_pools import Concentrated, Stable, Weighted, amount_out
from devnet.demo.hindsight_reading import differences, read_states, universe
from devnet.errors import RpcError
from devnet.manifest import Manifest, Token
from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from tests.chain import Chain
from tests.devnet_run import PARTICIPANTS, devnet, playing, reach, session

pytestmark = pytest.mark.anvil

SEED = 3
BLOCKS = 8


async def test_swaps_give_what_the_contracts_quote_over_many_ticks(untouched_chain: Chain, world: World) -> None:
    manifest = world.manifest
    states = await read_states(untouched_chain.rpc, manifest, manifest.block_number)
    pools = {pool.name: pool for pool in manifest.pools}
    quote = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
    checked: Counter[str] = Counter()
    for name, state in states.items():
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
