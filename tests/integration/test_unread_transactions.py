"""A transaction that no decoder reads, to a contract that nobody knows: simulated, backrun, and the backrun lands."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.home import Home
from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.solidity import Build, compile_build
from devnet.world import World
from node.engine import pending_simulator, simulator
from node.records import BundleSigned, ExecutionLandedRecord, OpportunityFound
from protocol.ethereum.abi import encode_call
from tests.conftest import quiet
from tests.devnet_run import devnet
from tests.engine_run import Told, eventually, prepared, process_of, running, told
from tests.public_sender import PublicSender, next_block

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(180)]

WHALE = account("whale-0")
MOST = (1 << 256) - 1
SELL = 60 * 10**18


def build() -> Build:
    """The aggregator's."""
    return Build(
        title="the aggregator of the tests",
        compiler="solc",
        sources={"Aggregator.sol": Path(__file__).with_name("Aggregator.sol").read_text("utf-8")},
        contracts=("Aggregator",),
        evm_version="cancun",
        optimizer_runs=200,
    )


def call_data(pair: str, amount: int, *, zero_for_one: bool) -> bytes:
    """What the aggregator takes, and no decoder: the pair's address inverted."""
    hop = int(pair, 16) ^ ((1 << 160) - 1) | (0 if zero_for_one else 1 << 248)
    return b"\xc0\xff\xee\x01" + amount.to_bytes(32, "big") + hop.to_bytes(32, "big")


def landed_behind(records: Told, sent: bytes) -> list[ExecutionLandedRecord]:
    """What landed behind a transaction."""
    behind = {find.opportunity_id for find in records.of(OpportunityFound) if sent in find.victims}
    return [record for record in records.of(ExecutionLandedRecord) if record.opportunity_id in behind]


async def test_a_swap_that_no_decoder_reads_is_simulated_and_its_backrun_lands_in_its_block(
    packages: Packages, home: Home, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (simulator, pending_simulator):  # how busy the machine is must not decide
        monkeypatch.setattr(part, "ANSWER_SECONDS", 20.0)
    config, manifest = RelayConfig(block_time_seconds=6.0, seed=1), world.manifest
    weth, usdc = manifest.token("WETH").address, manifest.token("USDC").address
    pools = [pool for pool in manifest.pools if pool.family == "uniswap_v2" and {*pool.tokens} == {"WETH", "USDC"}]
    code = compile_build(packages, home, build(), quiet)["Aggregator"].creation
    async with devnet(packages, world, tmp_path, config) as relay, RpcClient(relay.public_url) as rpc:
        trader, node = PublicSender(rpc, manifest.chain_id, WHALE), prepared(relay, world, config, tmp_path / "node")
        aggregator = (await trader.mined(await trader.send(None, code)))["contractAddress"]
        await trader.mined(await trader.send(weth, encode_call("approve(address,uint256)", aggregator, MOST)))
        swap = call_data(pools[0].address, SELL, zero_for_one=int(weth, 16) < int(usdc, 16))
        async with running(process_of(node)) as engine:
            await eventually((node.config.data_folder / "pools.msgpack").exists, engine)
            for _ in range(3):  # with which pools and loans are read
                await next_block(rpc)
            sent = await trader.send(aggregator, swap)
            await eventually(lambda: bool(landed_behind(told(node.config), sent)), engine)
        records, receipt = told(node.config), await trader.mined(sent)
    (landed,) = landed_behind(records, sent)
    assert landed.block == int(receipt["blockNumber"], 16)
    predicted = {one.transaction_hash: one for bundle in records.of(BundleSigned) for one in bundle.executions}
    assert landed.profit == predicted[landed.transaction_hash].predicted_profit
