"""A price falls and loans become ill: the node liquidates right behind the pending answer, as it had predicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from node.engine import simulator
from node.records import BundleSigned, ExecutionLandedRecord, OpportunityFound
from protocol.ethereum.abi import encode_call
from tests.chain import Chain
from tests.devnet_run import devnet
from tests.engine_run import eventually, prepared, process_of, running, told
from tests.public_sender import PublicSender, next_block

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(180)]

FALL_PERCENT = 5
AT = ("aave_v3_liquidation", "morpho_blue_liquidation")


async def test_a_pending_price_is_liquidated_behind_and_brings_what_was_predicted(
    packages: Packages, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "ANSWER_SECONDS", 20.0)  # how busy the machine is must not decide
    config, manifest = RelayConfig(block_time_seconds=6.0, seed=1), world.manifest
    feed = manifest.aggregators["WETH"]
    async with devnet(packages, world, tmp_path, config) as relay, RpcClient(relay.public_url) as rpc:
        chain, node = Chain(rpc), prepared(relay, world, config, tmp_path / "node")
        oracle = PublicSender(rpc, manifest.chain_id, account("oracle-0"))
        (answer,) = await chain.read(feed, "latestAnswer()", ["int256"])
        (number,) = await chain.read(feed, "latestRound()", ["uint256"])
        submission = encode_call("submit(uint256,int256)", number + 1, answer * (100 - FALL_PERCENT) // 100)

        def landed() -> list[tuple[OpportunityFound, ExecutionLandedRecord]]:
            records = told(node.config)
            found = {one.opportunity_id: one for one in records.of(OpportunityFound)}
            pairs = [(found[one.opportunity_id], one) for one in records.of(ExecutionLandedRecord)]
            return [pair for pair in pairs if pair[0].opportunity_kind == "liquidation"]

        async with running(process_of(node)) as engine:
            await eventually((node.config.data_folder / "pools.msgpack").exists, engine)
            for _ in range(3):  # with which pools and loans are read
                await next_block(rpc)
            sent = await oracle.send(feed, submission)
            receipt = await oracle.mined(sent)
            await eventually(lambda: {*AT} <= {leg.family for find, _ in landed() for leg in find.legs}, engine)
        records, liquidations = told(node.config), landed()
    predicted = {one.transaction_hash: one for bundle in records.of(BundleSigned) for one in bundle.executions}
    assert all(int(outcome.profit) > 0 for _, outcome in liquidations)
    behind = [(find, outcome) for find, outcome in liquidations if sent in find.victims]
    assert {outcome.block for _, outcome in behind} == {int(receipt["blockNumber"], 16)}
    off = [int(one.profit) - int(predicted[one.transaction_hash].predicted_profit) for _, one in behind]
    assert 0 in off
    assert max(map(abs, off)) * 10**6 < min(int(one.profit) for _, one in behind), "interest of some seconds"
