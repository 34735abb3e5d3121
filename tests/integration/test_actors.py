"""The actors on a real Anvil, through the real relay: their formulas, their flow, their searchers, their end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from devnet.accounts import account
from devnet.actors.app import ActorsOptions, ActorsRefused, wire
from devnet.actors.gateway import Gateway
from devnet.actors.market import STABLE_FAMILY, V2_FAMILIES, V3_FAMILY, WETH, Market
from devnet.actors.parameters import load_parameters
from devnet.actors.reading import Holdings, StateReader
from devnet.actors.value import main as print_value
from devnet.actors.value import measure
from devnet.actors.view import View
from devnet.actors.wallet import PATIENCE_BLOCKS
from devnet.errors import ChainFailed
from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from tests.chain import Chain
from tests.devnet_run import PARTICIPANTS, Recorded, devnet, playing, reach, record_lockstep, session, until
from tests.relay_factories import ONLY_BUILDER

pytestmark = pytest.mark.anvil

BLOCKS = 20
SEED = 5
QUICK_SECONDS = 0.25


@pytest.fixture(scope="session")
async def recorded(packages: Packages, world: World, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Twenty blocks in lockstep."""
    return await record_lockstep(packages, world, tmp_path_factory.mktemp("first"), SEED, BLOCKS)


async def read_view(chain: Chain, market: Market, number: int) -> View:
    everybody = [Holdings("whale-0", account("whale-0").address, tuple(market.tokens))]
    reader = StateReader(
        chain.rpc, market, everybody, providers=["liquidity_provider-0"], borrowers=["borrower-0"], maximum_positions=2
    )
    await reader.start()
    prices = {token.symbol: token.usd_price_e8 for token in market.manifest.tokens}
    return await reader.read(number, 0, 0, prices)


async def test_one_request_reads_the_view_that_single_calls_give(untouched_chain: Chain, world: World) -> None:
    market = Market(world.manifest)
    view = await read_view(untouched_chain, market, world.manifest.block_number)
    whale = account("whale-0").address
    for symbol in market.tokens:
        assert view.balances["whale-0", symbol] == await untouched_chain.balance(market.address(symbol), whale)
    assert view.ether["whale-0"] == int(await untouched_chain.rpc.call("eth_getBalance", whale, "latest"), 16)
    assert view.feeds[WETH].answer_e8 == market.tokens[WETH].usd_price_e8
    loan = view.loans["borrower-0"]
    assert loan.health > 10**18
    assert sum(market.usd(symbol, owed, view.prices_e8) for symbol, owed in loan.debts.items()) > 0


async def test_the_actors_formulas_give_what_the_contracts_give(untouched_chain: Chain, world: World) -> None:
    market = Market(world.manifest)
    view = await read_view(untouched_chain, market, world.manifest.block_number)
    checked: Counter[str] = Counter()
    for pool in market.pools.values():
        token_in, token_out = pool.tokens[0], pool.tokens[1]
        amount = market.units_of_usd(token_in, 1000 * market.usd("USDC", 10**6, view.prices_e8), view.prices_e8)
        ours = market.amount_out(pool, view.pools[pool.name], token_in, token_out, amount)
        path = [market.address(token_in), market.address(token_out)]
        if pool.family in V2_FAMILIES:
            router = market.contract("sushi_router" if pool.family == "sushi_v2" else "uniswap_v2_router")
            signature = "getAmountsOut(uint256,address[])"
            theirs = (await untouched_chain.read(router, signature, ["uint256[]"], amount, path))[0][1]
            assert ours == theirs, pool.name
        elif pool.family == V3_FAMILY:
            signature = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
            quoter, order = market.contract("uniswap_v3_quoter"), (*path, amount, pool.fee_pips, 0)
            theirs = (await untouched_chain.read(quoter, signature, ["uint256"], order))[0]
            assert ours == theirs, pool.name
        else:
            single = (bytes.fromhex(pool.pool_id[2:]), 0, *path, amount, b"")
            funds = (account("whale-0").address, False, account("whale-0").address, False)
            signature = "querySwap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool))"
            queries = market.contract("balancer_queries")
            theirs = (await untouched_chain.read(queries, signature, ["uint256"], single, funds))[0]
            assert theirs * 9999 // 10_000 <= ours <= theirs + (pool.family == STABLE_FAMILY), pool.name
        checked[pool.family] += 1
    assert len(checked) == 5


async def test_nearly_everything_that_is_sent_succeeds(recorded: Recorded) -> None:
    outcomes = Counter(entry["outcome"] for entry in recorded.journal if "hash" in entry)
    sent = sum(outcomes.values())
    assert sent > BLOCKS * 25
    assert outcomes["mined"] >= 0.9 * sent, outcomes


async def test_every_kind_of_actor_acts(recorded: Recorded) -> None:
    done = {entry["actor"] for entry in recorded.journal if entry.get("outcome") in ("mined", "landed")}
    kinds = {"traders", "whales", "informed", "providers", "borrowers", "oracle", "rival", "sandwicher"}
    assert done == kinds
    actions = {entry["action"] for entry in recorded.journal if entry.get("outcome") == "mined"}
    for action in (
        "uniswap_v2_exact_in",
        "uniswap_v2_exact_out",
        "uniswap_v2_exact_in_multi_hop",
        "sushi_v2_exact_in",
        "uniswap_v3_exact_in",
        "uniswap_v3_exact_out",
        "uniswap_v3_exact_in_multi_hop",
        "balancer_v2_exact_in",
        "add_v2",
        "remove_v2",
        "mint_v3",
        "burn_v3",
        "submit",
    ):
        assert action in actions, action


async def test_what_the_journal_calls_mined_is_mined(recorded: Recorded) -> None:
    for entry in recorded.journal:
        if entry.get("outcome") in ("mined", "reverted"):
            receipt = recorded.receipts[entry["hash"]]
            assert int(receipt["blockNumber"], 16) == entry["block"]
            assert int(receipt["status"], 16) == (entry["outcome"] == "mined")


async def test_the_attackers_log_is_what_the_blocks_hold(recorded: Recorded) -> None:
    blocks = {int(block["number"], 16): block["transactions"] for block in recorded.blocks}
    known = {int(block["number"], 16): block["hash"] for block in recorded.blocks}
    assert recorded.sandwiches
    assert {truth["variant"] for truth in recorded.sandwiches} == {"classic", "flash", "v3"}
    for truth in recorded.sandwiches:
        transactions = blocks[truth["block"]]
        assert truth["block_hash"] == known[truth["block"]]
        wanted = [truth["front"], *truth["victims"], truth["back"]]
        assert [t["hash"] for t in transactions[truth["index"] :][: len(wanted)]] == wanted
        assert all(recorded.receipts[hash_]["status"] == "0x1" for hash_ in wanted)
        assert int(truth["profit"]) > 0
        senders = [t["from"].lower() for t in transactions[truth["index"] :][: len(wanted)]]
        assert senders[0] == senders[-1] == truth["attacker"]
        assert truth["attacker"] not in senders[1:-1]


async def test_the_rival_lands_bundles_that_pay_itself_and_the_builder(recorded: Recorded, world: World) -> None:
    market, executor = Market(world.manifest), world.manifest.contracts["rival_executor"]
    landed = [entry for entry in recorded.journal if entry["actor"] == "rival" and entry.get("outcome") == "landed"]
    assert {entry["action"] for entry in landed} == {"backrun", "cycle"}
    topic = "0x" + executor[2:].lower().rjust(64, "0")
    for entry in landed:
        moved = [
            (int(log["data"], 16), log["topics"])
            for log in recorded.receipts[entry["own"][0]]["logs"]
            if log["address"].lower() == market.address(WETH) and len(log["topics"]) == 3
        ]
        gained = sum(amount for amount, topics in moved if topics[2] == topic)
        spent = sum(amount for amount, topics in moved if topics[1] == topic)
        assert gained > spent


async def test_one_seed_gives_equal_blocks_and_another_seed_others(
    recorded: Recorded, packages: Packages, world: World, tmp_path: Path
) -> None:
    for name in ("again", "other"):
        (tmp_path / name).mkdir()
    again = await record_lockstep(packages, world, tmp_path / "again", SEED, BLOCKS)
    assert again.blocks == recorded.blocks
    other = await record_lockstep(packages, world, tmp_path / "other", SEED + 1, 3)
    assert other.hashes[0] != recorded.hashes[0]


async def test_real_time_play_survives_a_chain_that_answers_with_garbage(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    config = RelayConfig(block_time_seconds=QUICK_SECONDS)
    first = world.manifest.block_number
    async with (
        devnet(packages, world, tmp_path, config) as relay,
        session(relay, world, tmp_path, config, SEED) as actors,
        RpcClient(relay.public_url) as rpc,
        RpcClient(relay.admin_url) as admin,
        playing(actors) as task,
    ):
        await reach(rpc, first + 5, task)
        await admin.call("devnet_setFault", {"endpoint": "public", "kind": "garbage", "count": 2})
        before = actors.counts["blocks"]
        await until(lambda: actors.counts["failures"] > 0 and actors.counts["blocks"] >= before + 4, task)
        report = await measure(rpc, Market(world.manifest), 5, int(await rpc.call("eth_blockNumber"), 16), {})
    assert report.blocks == 5
    assert report.arbitrage["others"].transactions > 0, "play went on after the garbage"
    assert any("others" in line for line in report.lines())


@pytest.mark.timeout(500)
async def test_a_reorg_takes_nothing_from_the_flow_and_the_searchers_land_again(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    config = RelayConfig(block_time_seconds=QUICK_SECONDS, builders=(ONLY_BUILDER,))

    def blocks(actor: str, outcome: str) -> list[int]:
        journal = tmp_path / "actors.jsonl"  # the first entry opens it
        entries = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        return [e["block"] for e in entries if e["actor"] == actor and e.get("outcome") == outcome]

    async with (
        devnet(packages, world, tmp_path, config) as relay,
        session(relay, world, tmp_path, config, SEED) as actors,
        RpcClient(relay.public_url) as rpc,
        RpcClient(relay.admin_url) as admin,
        playing(actors) as task,
    ):
        await reach(rpc, world.manifest.block_number + 4, task)
        await until(lambda: len(blocks("rival", "landed")) > 0, task)
        head, landed = int(await rpc.call("eth_blockNumber"), 16), max(blocks("rival", "landed"))
        await admin.call("devnet_reorg", head - landed + 1)
        await until(lambda: max(blocks("rival", "landed")) > head, task)
        await until(lambda: max(blocks("traders", "mined")) > head + PATIENCE_BLOCKS + 2, task)
    assert blocks("traders", "lost") == []


async def test_the_tool_prints_what_each_actor_made(packages: Packages, world: World, tmp_path: Path) -> None:
    config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS, seed=SEED)
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(world.manifest))
    async with (
        devnet(packages, world, tmp_path, config) as relay,
        session(relay, world, tmp_path, config, SEED) as actors,
        RpcClient(relay.public_url) as rpc,
    ):
        async with playing(actors) as task:
            await reach(rpc, world.manifest.block_number + 7, task)
        options = ["--manifest", str(tmp_path / "manifest.json"), "--url", relay.public_url, "--logs", str(tmp_path)]
        result = await asyncio.to_thread(CliRunner().invoke, print_value, [*options, "--blocks", "5"])
    assert result.exit_code == 0, result.output
    table = {line.split()[0]: line.split() for line in result.output.splitlines()}
    assert float(table["traders"][1]) > 20
    assert float(table["traders"][2]) > 0
    assert float(table["rival"][4]) > 0
    assert "others" not in table
    assert {"sandwiches:", "liquidations:"} < set(table)


async def test_another_chain_than_the_worlds_is_refused(untouched_chain: Chain, world: World, tmp_path: Path) -> None:
    foreign = msgspec.structs.replace(world.manifest, chain_id=1)
    options = ActorsOptions(
        url=untouched_chain.rpc.url,
        websocket_url="ws://unused",
        builders={},
        seed=0,
        lockstep=False,
        block_seconds=2.0,
        log_folder=tmp_path,
    )
    async with AsyncExitStack() as parts, Gateway(options.url, {}, lockstep=False) as gateway:
        with pytest.raises(ActorsRefused, match="is chain 31337, the world is of chain 1"):
            await wire(foreign, load_parameters(), options, untouched_chain.rpc, gateway, parts)


async def test_lockstep_against_a_devnet_in_real_time_is_refused(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    config = RelayConfig(block_time_seconds=3600.0)
    async with (
        devnet(packages, world, tmp_path, config) as relay,
        session(relay, world, tmp_path, replace(config, lockstep=True), SEED) as actors,
    ):
        with pytest.raises(ChainFailed, match="runs in real time"):
            await actors.run()


async def test_the_process_plays_and_ends_cleanly_on_sigterm(packages: Packages, world: World, tmp_path: Path) -> None:
    config = RelayConfig(block_time_seconds=QUICK_SECONDS)
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(world.manifest))
    async with devnet(packages, world, tmp_path, config) as relay:
        builders = ",".join(f"{b.name}={relay.builder_url(b.name)}" for b in config.builders)
        arguments = ["--manifest", str(tmp_path / "manifest.json"), "--url", relay.public_url, "--ws", relay.ws_url]
        arguments += ["--builders", builders, "--seed", "3", "--logs", str(tmp_path)]
        arguments += ["--block-seconds", str(QUICK_SECONDS)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "devnet.actors", *arguments, stderr=asyncio.subprocess.PIPE
        )
        try:
            await until(lambda: (tmp_path / "actors.jsonl").exists() or process.returncode is not None)
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 10)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert b"stopped" in errors
