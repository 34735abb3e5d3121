"""From the chain's blocks, a ledger and the actors' journal to the report."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.accounts import account
from devnet.actors.parameters import load_parameters
from devnet.demo.app import style_of
from devnet.demo.chain_watch import ChainWatch, Holdings, Mined, SeenBlock, coinbase_payment
from devnet.demo.hindsight_flow import topic
from devnet.demo.hindsight_reading import TRADED, universe
from devnet.demo.ledger_reading import LandedExecution, LedgerSummary, LedgerUnreadable, latency_us, read_ledger
from devnet.demo.node_process import NodeProcess, left_running, start_command
from devnet.demo.operators import EVERYTHING as ALL_PROTOCOLS
from devnet.demo.operators import OF_FIVE, STYLES, prepare_node
from devnet.demo.summary import (
    Available,
    Earned,
    NodeOutcome,
    Outcome,
    available_wei,
    beyond_hindsight,
    earned,
    exactness,
    ledger_differences,
    make_report,
    net_usd,
    rival_bids,
)
from devnet.errors import ChainFailed
from devnet.manifest import Manifest, Operator, OperatorVault, Pool, Token
from devnet.protocols.network import NAMES
from devnet.protocols.vaults import PINNED
from devnet.rpc import RpcClient
from devnet.run_folder import RunRecord
from node.config_file import load_config
from node.desk.ledger.ledger import open_ledger
from node.keyfile import read_keystore, read_password
from node.link import LedgerEntry
from node.pipeline.pools import PoolFamily
from node.pipeline.reasons import Reason
from node.records import AnyRecord, PaymentMade, encode_record
from protocol.units import ZERO_ADDRESS, BlockNumber, Hash32, UnixMilliseconds
from tests import record_factories as records
from tests.actors_scene import address, make_manifest

ETHER = 10**18
GWEI = 10**9
BASE_FEE = 10 * GWEI
EXECUTOR = address("arb_executor")
NORTH = Operator(
    name="north",
    owners=("north-owner-0",),
    vaults=(OperatorVault(safe=address("safe"), hot_key="north-key-0"),),
    account="north-account",
    peer="north-peer",
)
KEY = account("north-key-0").address
WITHDRAWAL = topic("Withdrawal(address,uint256)")


def manifest() -> Manifest:
    base = make_manifest()
    more = tuple(
        Token(symbol=symbol, address=address(symbol), decimals=decimals, kind="plain", usd_price_e8=usd * 10**8)
        for symbol, decimals, usd in (("USDT", 6, 1), ("WBTC", 8, 95_000))
    )
    names = (
        "arb_executor",
        "vault_module",
        "multicall3",
        "uniswap_v2_factory",
        "sushi_factory",
        "uniswap_v4_pool_manager",
        "curve_stable_pool",
        "uniswap_v3_factory",
        "uniswap_v3_router02",
        "morpho",
        *NAMES.values(),
    )
    contracts = {**base.contracts, **{name: address(name) for name in names}}
    return msgspec.structs.replace(base, tokens=(*base.tokens, *more), contracts=contracts, operators=(NORTH,))


def mined(number: int, sender: str, *logs: Any, succeeded: bool = True) -> Mined:
    return Mined("0x" + records.transaction_hash(number).hex(), sender, succeeded, 200_000, BASE_FEE + GWEI, logs)


def paid(wei: int, source: str = EXECUTOR) -> dict[str, Any]:
    padded = "0x" + source[2:].rjust(64, "0")
    return {"address": address("WETH"), "topics": [WITHDRAWAL, padded], "data": hex(wei)}


def opportunity_of(number: int) -> bytes:
    return b"opportunity of" + bytes(records.transaction_hash(number))


def landed(
    number: int,
    *,
    block: int = 101,
    pools: tuple[bytes, ...] = (b"\xaa",),
    victims: tuple[bytes, ...] = (),
    behind: tuple[bytes, ...] = (),
) -> LandedExecution:
    return LandedExecution(
        opportunity_of(number), bytes(records.transaction_hash(number)), block, 5, 5, pools, victims, behind
    )


def moved(pool: str) -> dict[str, Any]:
    return {"address": "0x" + pool, "topics": ["0x00"], "data": "0x"}


def watch(*transactions: Mined) -> ChainWatch:
    found = ChainWatch(RpcClient("http://unused"), manifest(), [NORTH])
    found.first = 101
    found.before = {"north": Holdings(dict.fromkeys(PINNED, 100), 5 * ETHER)}
    found.blocks.append(SeenBlock(101, BASE_FEE, transactions))
    return found


def after(ether: int) -> Holdings:
    return Holdings({**dict.fromkeys(PINNED, 100), "WETH": 100 + 9 * 10**17}, ether)


def test_gas_bids_and_gains_are_those_of_the_operators_keys_and_safes() -> None:
    theirs = mined(2, address("somebody"), paid(7 * ETHER))
    ours = mined(1, KEY, paid(10**16), paid(3, address("somebody")), moved("aa"))
    reverted = mined(3, KEY, succeeded=False)
    gas = 2 * 200_000 * (BASE_FEE + GWEI)
    found = earned(watch(theirs, ours, reverted), NORTH, after(5 * ETHER - gas))
    assert found == Earned({**dict.fromkeys(PINNED, 0), "WETH": 9 * 10**17}, -gas, gas, 10**16 + 2 * 200_000 * GWEI, 1)
    assert net_usd(manifest(), found) == pytest.approx(0.9 * 3_200 - gas / ETHER * 3_200, abs=0.01)
    assert coinbase_payment(manifest(), ours) == 10**16


def test_ether_that_goes_into_a_pool_of_ether_is_no_bid() -> None:
    pool = "0x" + "bb" * 32
    held = Pool(
        name="uniswap_v4:WETH/USDC:500",
        family="uniswap_v4",
        address=address("manager"),
        tokens=("WETH", "USDC"),
        fee_pips=500,
        pool_id=pool,
        native_ether=True,
    )
    there = msgspec.structs.replace(manifest(), pools=(*manifest().pools, held))
    swap = topic("Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)")

    def swapped(amount0: int, swapper: str = EXECUTOR) -> dict[str, Any]:
        word = f"0x{amount0 % (1 << 256):064x}" + "00" * 160
        return {"address": address("manager"), "topics": [swap, pool, "0x" + swapper[2:].rjust(64, "0")], "data": word}

    into = mined(1, KEY, swapped(-5 * ETHER), paid(5 * ETHER), paid(10**16))
    out_of = mined(2, KEY, swapped(5 * ETHER), paid(10**16))
    others = mined(3, KEY, swapped(-5 * ETHER, address("somebody")), paid(10**16))
    assert [coinbase_payment(there, one) for one in (into, out_of, others)] == [10**16] * 3


def told(profit: int) -> dict[str, Any]:
    """What the vault module says of an execution in WETH."""
    topics = [
        topic("Executed(address,address,uint256,uint256)"),
        "0x" + "00" * 32,
        address("WETH").replace("0x", "0x" + "00" * 12),
    ]
    return {"address": address("vault_module"), "topics": topics, "data": "0x" + f"{5:064x}{profit:064x}"}


@pytest.mark.parametrize(
    ("lender", "event"),
    [
        ("aave_pool", "LiquidationCall(address,address,address,uint256,uint256,address,bool)"),
        ("morpho", "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)"),
    ],
)
def test_what_liquidations_netted_is_known_apart(lender: str, event: str) -> None:
    liquidation = {"address": address(lender), "topics": [topic(event)], "data": "0x"}
    cost = 200_000 * (BASE_FEE + GWEI)
    both = watch(mined(1, KEY, liquidation, told(ETHER)), mined(2, KEY, told(3 * ETHER)))
    found = earned(both, NORTH, after(5 * ETHER - 2 * cost))
    assert (found.included, found.liquidations, found.liquidations_wei) == (2, 1, ETHER - cost)
    somebodys = watch(mined(1, address("somebody"), liquidation, told(ETHER)))
    assert earned(somebodys, NORTH, after(5 * ETHER)).liquidations == 0


KNOWN = bytes.fromhex(next(iter(universe(manifest()).followed))[2:])


def good_node(found: Earned) -> NodeOutcome:
    booked = LedgerSummary(
        opportunities={"backrun": 1},
        submitted=2,
        missed={"outbid": 1},
        profit={address("WETH"): 9 * 10**17},
        gas_wei=found.gas_wei,
        bid_wei=found.bids_wei,
        tick_to_bundle_ns=[100_000, 300_000],
        landed=[landed(1, pools=(KNOWN,))],
    )
    return NodeOutcome(NORTH, booked, found, 0)


def test_a_ledger_that_says_what_the_chain_says_has_no_differences() -> None:
    gas = 200_000 * (BASE_FEE + GWEI)
    node = good_node(earned(watch(mined(1, KEY)), NORTH, after(5 * ETHER - gas)))
    assert ledger_differences(manifest(), node) == []
    node.ledger.gas_wei += 1
    node.ledger.profit["0x00"] = 1
    node.ledger.profit[address("WETH")] -= 1
    node.ledger.landed.clear()
    lines = ledger_differences(manifest(), node)
    assert [line.split(":")[1].split()[0] for line in lines] == ["WETH", "gas", "hot", "executions"]


@pytest.mark.parametrize(
    ("before", "victims", "expected"),
    [
        ((), (), (1, 1)),
        ((moved("bb"),), (), (1, 1)),
        ((moved("aa"),), (), (0, 0)),
        ((moved("aa"),), (2,), (1, 1)),
        (({"address": "0xcc", "topics": ["0x00", "0xaa"], "data": "0x"},), (), (0, 0)),
    ],
)
def test_only_executions_whose_pools_nothing_else_moved_are_held_against_their_prediction(
    before: tuple[Any, ...], victims: tuple[int, ...], expected: tuple[int, int]
) -> None:
    ours = landed(1, victims=tuple(bytes(records.transaction_hash(victim)) for victim in victims))
    node = NodeOutcome(NORTH, LedgerSummary(landed=[ours, landed(9, block=99)]), Earned({}, 0, 0, 0, 1), 0)
    seen = watch(mined(2, address("somebody"), *before), mined(1, KEY, moved("aa")))
    assert exactness(seen, [node]) == (*expected, 0)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((2, 1), (2, 2, 0)),  # the better one, then what was computed behind it
        ((1, 2), (0, 0, 1)),  # the better one came later: the other met another market, and moved its pool
        ((1,), (0, 0, 1)),  # the better one is in no block
        ((2, 3, 1), (1, 1, 0)),  # somebody else came between
    ],
)
def test_what_was_computed_behind_a_find_of_ours_is_held_against_its_prediction_where_that_came_before_it(
    order: tuple[int, ...], expected: tuple[int, int, int]
) -> None:
    better, left = landed(2), landed(1, behind=(opportunity_of(2),))
    ours = [one for one in (better, left) if one.transaction_hash in {records.transaction_hash(n) for n in order}]
    node = NodeOutcome(NORTH, LedgerSummary(landed=ours), Earned({}, 0, 0, 0, 1), 0)
    seen = watch(*(mined(number, KEY, moved("aa")) for number in order))
    assert exactness(seen, [node]) == expected


def test_a_pool_that_hindsight_does_not_look_at_is_named_unless_a_loan_was_liquidated_through_it() -> None:
    several = [landed(number, pools=pools) for number, pools in ((1, (KNOWN,)), (2, (KNOWN, b"\xbb")), (3, (b"\xcc",)))]
    node = NodeOutcome(NORTH, LedgerSummary(landed=several), Earned({}, 0, 0, 0, 3), 0)
    event = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"
    liquidation = {"address": address("aave_pool"), "topics": [topic(event)], "data": "0x"}
    seen = watch(mined(1, KEY), mined(2, KEY), mined(3, KEY, liquidation))
    assert beyond_hindsight(seen, [node]) == ["0xbb"]


def test_hindsight_looks_at_v4_where_the_nodes_trade_there() -> None:
    pool = Pool(
        name="uniswap_v4:WETH/USDC:500",
        family="uniswap_v4",
        address=address("manager"),
        tokens=("WETH", "USDC"),
        fee_pips=500,
        pool_id="0x" + "bb" * 32,
        tick_spacing=10,
        native_ether=True,
    )
    node = NodeOutcome(NORTH, LedgerSummary(landed=[landed(1, pools=(b"\xbb" * 32,))]), Earned({}, 0, 0, 0, 1), 0)
    seen = watch(mined(1, KEY))
    seen.manifest = msgspec.structs.replace(manifest(), pools=(*manifest().pools, pool))
    assert beyond_hindsight(seen, [node]) == []
    seen.families = TRADED - {"uniswap_v4"}
    assert beyond_hindsight(seen, [node]) == [pool.pool_id]


def test_a_report_adds_up_and_says_what_was_captured() -> None:
    gas = 200_000 * (BASE_FEE + GWEI)
    seen = watch(mined(1, KEY))
    node = good_node(earned(seen, NORTH, after(5 * ETHER - gas)))
    report = make_report(
        Outcome(
            seed=3,
            manifest=manifest(),
            watch=seen,
            nodes=[node],
            pending_transactions=12,
            available=Available(ETHER, 1_500, 2 * ETHER),
            errors=[],
            left_running=[],
        )
    )
    assert (report.blocks, report.bundles.submitted, report.bundles.included) == (1, 2, 1)
    assert (report.available_usd, report.available_with_open_bids_usd, report.best_single_bid) == (3_200, 6_400, 0.15)
    assert report.capture == pytest.approx(0.8978, abs=1e-4)
    assert report.tick_to_bundle_us.max == 300
    assert [expectation.name for expectation in report.expectations if not expectation.met] == ["bundles included"]
    nothing = make_report(
        Outcome(
            seed=3,
            manifest=manifest(),
            watch=seen,
            nodes=[],
            pending_transactions=0,
            available=Available(0, 0, 0),
            errors=["x"],
            left_running=["y"],
        )
    )
    assert nothing.capture == 0
    assert nothing.tick_to_bundle_us.max == 0


def test_what_the_others_offered_is_in_their_journal() -> None:
    journal = [
        {"actor": "traders", "block": 5},
        {"actor": "rival", "block": 5, "builder": "swift", "refused": "because"},
        {
            "actor": "rival",
            "block": 5,
            "pools": ["a", "b"],
            "expected_profit": "1000000",
            "bid_basis_points": 7_000,
        },
        {"actor": "sandwicher", "block": 6, "pool": "c", "token_in": "USDC", "expected_profit": "3200000"},
    ]
    bids = rival_bids(manifest(), journal, load_parameters())
    assert [(bid.pools, bid.wei) for bid in bids[5]] == [(("a", "b"), 700_000)]
    share = load_parameters().sandwicher.bid
    assert [(bid.pools, bid.wei) for bid in bids[6]] == [(("c",), int(ETHER // 1000 * share))]


def test_blocks_without_order_flow_make_nothing_available() -> None:
    seen = watch(mined(1, KEY))
    seen.states = {}
    empty = ChainWatch(seen.rpc, msgspec.structs.replace(manifest(), pools=()), [NORTH])
    empty.blocks.extend(seen.blocks)
    assert available_wei(empty, [], load_parameters(), lambda: False) == Available(0, 0, 0)
    assert available_wei(empty, [], load_parameters(), lambda: True) is None


# The ledger


async def write(path: Path, *told: AnyRecord) -> None:
    ledger = await open_ledger(path)
    for number, record in enumerate(told, 1):
        kind, body = encode_record(record)
        await ledger.append([LedgerEntry(sequence=number, at=UnixMilliseconds(0), kind=kind, body=body)])
    await ledger.close()


async def test_a_ledger_is_summed_up_as_the_desk_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await write(
        path,
        *(records.found(1), records.signed(1), records.landed(1)),
        *(records.found(2), records.signed(2), records.missed(2)),
        *(records.found(3), records.signed(3)),
        *(records.found(9), records.signed(9)),
        records.dropped(4, Reason.NOT_PROFITABLE),
    )
    summary = read_ledger(path, 101, 105)
    assert summary.opportunities == {"backrun": 5}
    assert (summary.submitted, summary.unexplained) == (3, 1), "what is aimed at a later block is not judged"
    assert sum(summary.missed.values()) == 1
    (landed,) = summary.landed
    assert landed.transaction_hash == records.transaction_hash(1)
    assert len(landed.pools) == 2
    assert landed.victims
    assert summary.profit
    assert summary.gas_wei > 0
    assert len(summary.tick_to_bundle_ns) == 4
    assert summary.latency_us[0] <= summary.latency_us[2]


def payment(block: int) -> PaymentMade:
    return PaymentMade(
        what="check_in",
        transaction_hash=Hash32(block.to_bytes(32)),
        sender=records.HOT_KEY,
        token=ZERO_ADDRESS,
        amount="0",
        block=BlockNumber(block),
        block_hash=Hash32(bytes(32)),
        gas_wei="1000",
        bid_wei="0",
        subject=Hash32(bytes(32)),
    )


async def test_what_a_node_did_before_the_first_block_that_counts_is_left_out(tmp_path: Path) -> None:
    """A node that is ready sooner than the others is at work already while they warm up."""
    path = tmp_path / "ledger.sqlite"
    told = [record for number in (1, 2) for record in (records.found(number), records.signed(number))]
    await write(path, *told, records.landed(1), records.landed(2), payment(101), payment(102))
    whole, counted = read_ledger(path, 101, 105), read_ledger(path, 102, 105)
    assert [one.block for one in whole.landed] == [101, 102]
    assert [one.block for one in counted.landed] == [102]
    assert (counted.submitted, counted.opportunities) == (1, {"backrun": 1})
    (token,) = counted.profit
    assert whole.profit[token] == 2 * counted.profit[token]
    assert whole.gas_wei == 2 * counted.gas_wei
    assert len(counted.tick_to_bundle_ns) == 1


def test_what_is_no_ledger_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable, match="cannot be read as a ledger"):
        read_ledger(tmp_path / "nothing.sqlite", 1, 1)
    sqlite3.connect(tmp_path / "other.sqlite").close()
    with pytest.raises(LedgerUnreadable, match="no such table"):
        read_ledger(tmp_path / "other.sqlite", 1, 1)


def test_latency_of_nothing_is_zero() -> None:
    assert latency_us([]) == (0, 0, 0)
    assert latency_us([n * 1000 for n in range(1, 101)]) == (51, 100, 100)


# The nodes

RECORD = RunRecord(
    pid=1,
    chain_id=31_337,
    seed=1,
    block_time_seconds=2.0,
    lockstep=True,
    rpc_url="http://127.0.0.1:1/",
    ws_url="ws://127.0.0.1:1/",
    admin_url="http://127.0.0.1:1/admin",
    builder_urls={"swift": "http://127.0.0.1:1/builder/swift"},
    manifest_path="unused",
    log_folder="unused",
)


@pytest.mark.parametrize("name", sorted(STYLES))
def test_the_files_of_a_node_are_those_that_a_node_reads(name: str, tmp_path: Path) -> None:
    operator = msgspec.structs.replace(NORTH, name=name)
    node = prepare_node(operator, STYLES[name], RECORD, manifest(), tmp_path / name)
    assert load_config(node.config_path, {}) == node.config
    secret = read_keystore(node.config.execution.vaults[0].keystore, read_password(node.password_path))
    assert secret == account("north-key-0").secret
    assert node.config.lockstep is not None
    assert node.config.lockstep.participant == node.name == name


def test_operators_differ_and_leave_no_pair_of_protocols_to_nobody() -> None:
    families = [set(style.families) for style in [*STYLES.values()][:3]]
    for one in families[0] | families[1]:
        for other in families[0] | families[1] | families[2]:
            assert any({one, other} <= found for found in families), (one, other)
    assert len({(style.families, style.profit) for style in [*STYLES.values()][:3]}) == 3
    assert all(style.profit[0] == "WETH" for style in STYLES.values())


def test_of_five_the_one_without_ether_follows_what_no_other_does_and_every_pair_is_somebodys() -> None:
    followed = {name: set(style_of(name, 5).families) for name in OF_FIVE}
    assert set(followed) == set(STYLES)
    everything = set(ALL_PROTOCOLS.families)
    assert followed["west"] == everything
    others = set().union(*(families for name, families in followed.items() if name != "west"))
    assert everything - others == {PoolFamily.BALANCER_V2_WEIGHTED}
    assert style_of("east", 3) is STYLES["east"]
    assert style_of("north", 1) is ALL_PROTOCOLS


async def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    prepared = prepare_node(NORTH, STYLES["north"], RECORD, manifest(), tmp_path / "north")
    node = NodeProcess(prepared, ["/nowhere/hftnode"], "mark")
    with pytest.raises(ChainFailed, match="cannot be started with /nowhere/hftnode"):
        await node.start()
    with pytest.raises(ChainFailed, match="ended with code None"):
        node.is_ready()
    await node.wait()
    await node.stop()
    assert node.errors() == []


async def test_a_node_that_does_not_end_kindly_is_ended_and_its_serious_lines_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.demo.node_process.STOP_SECONDS", 0.2)
    prepared = prepare_node(NORTH, STYLES["north"], RECORD, manifest(), tmp_path / "north")
    lines = "2026-01-01T00:00:00.000Z ERROR engine x: broken\\nup"
    script = f"import signal, time; signal.signal(15, signal.SIG_IGN); print('{lines}', flush=True); time.sleep(60)"
    node = NodeProcess(prepared, [sys.executable, "-c", script], "mark of this test")
    await node.start()
    log = prepared.config_path.parent / "start.log"
    while b"up" not in log.read_bytes():
        assert not node.is_ready()
    assert any("signal.SIG_IGN" in line for line in left_running("mark of this test"))
    await node.stop()
    first, second = node.errors()
    assert first == "north: 2026-01-01T00:00:00.000Z ERROR engine x: broken"
    assert "ended with code -9" in second
    log.unlink()
    assert "(no log at" in node.errors()[0]


def test_hftnode_is_called_as_it_was_installed() -> None:
    assert start_command()[1:] == ("start",)
