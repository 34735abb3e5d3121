"""A transaction that no decoder reads, to a contract that nobody knows: simulated, backrun, and the backrun lands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from devnet.accounts import account
from devnet.home import Home
from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.solidity import Build, compile_build
from devnet.world import World
from node.records import BundleSigned, ExecutionLandedRecord, OpportunityFound
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from tests.conftest import quiet
from tests.devnet_run import devnet
from tests.engine_run import eventually, prepared, process_of, running, told

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(180)]

WHALE = account("whale-0")
MOST = (1 << 256) - 1
TIP = 10**9
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


class Trader:
    """Sends the whale's transactions into the public mempool."""

    def __init__(self, rpc: RpcClient, chain_id: int) -> None:
        self._rpc, self._chain_id = rpc, chain_id

    async def send(self, to: str | None, data: bytes) -> bytes:
        """Send one; return its hash."""
        fields = DynamicFeeFields(
            chain_id=self._chain_id,
            nonce=int(await self._rpc.call("eth_getTransactionCount", WHALE.address, "latest"), 16),
            max_priority_fee_per_gas=TIP,
            max_fee_per_gas=100 * TIP,
            gas_limit=1_000_000,
            to=to,
            value=0,
            data=data,
        )
        raw = sign_dynamic_fee(fields, WHALE.key)
        await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        return keccak256(raw)

    async def mined(self, sent: bytes) -> dict[str, Any]:
        """The receipt of one that must succeed."""
        async with asyncio.timeout(60):
            while (receipt := await self._rpc.call("eth_getTransactionReceipt", "0x" + sent.hex())) is None:
                await asyncio.sleep(0.2)
        assert receipt["status"] == "0x1"
        found: dict[str, Any] = receipt
        return found


async def test_a_swap_that_no_decoder_reads_is_simulated_and_its_backrun_lands_in_its_block(
    packages: Packages, home: Home, world: World, tmp_path: Path
) -> None:
    config, manifest = RelayConfig(block_time_seconds=1.0, seed=1), world.manifest
    weth, usdc = manifest.token("WETH").address, manifest.token("USDC").address
    pools = [pool for pool in manifest.pools if pool.family == "uniswap_v2" and {*pool.tokens} == {"WETH", "USDC"}]
    code = compile_build(packages, home, build(), quiet)["Aggregator"].creation
    async with devnet(packages, world, tmp_path, config) as relay, RpcClient(relay.public_url) as rpc:
        trader, node = Trader(rpc, manifest.chain_id), prepared(relay, world, config, tmp_path / "node")
        aggregator = (await trader.mined(await trader.send(None, code)))["contractAddress"]
        await trader.mined(await trader.send(weth, encode_call("approve(address,uint256)", aggregator, MOST)))
        swap = call_data(pools[0].address, SELL, zero_for_one=int(weth, 16) < int(usdc, 16))
        async with running(process_of(node)) as engine:
            await eventually((node.config.data_folder / "pools.msgpack").exists, engine)
            await asyncio.sleep(2.5)  # a block or two with which the pools are read
            sent = await trader.send(aggregator, swap)
            await eventually(lambda: bool(told(node.config).of(ExecutionLandedRecord)), engine)
        records, receipt = told(node.config), await trader.mined(sent)
    behind = {find.opportunity_id for find in records.of(OpportunityFound) if sent in find.victims}
    (landed,) = [record for record in records.of(ExecutionLandedRecord) if record.opportunity_id in behind]
    assert landed.block == int(receipt["blockNumber"], 16)
    predicted = {one.transaction_hash: one for bundle in records.of(BundleSigned) for one in bundle.executions}
    assert landed.profit == predicted[landed.transaction_hash].predicted_profit
