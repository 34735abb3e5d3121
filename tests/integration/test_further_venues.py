"""An engine that trades on Uniswap V4 and on a pool with Curve's interface: what lands brings what was predicted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.accounts import Account, account
from devnet.anvil import Anvil
from devnet.demo.operators import PreparedNode
from devnet.home import Home
from devnet.packages import Packages
from devnet.protocols.compilations import compile_all
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from node.clock import SystemClock
from node.config import ExecutionConfig, FactoryConfig, RpcConfig, VaultConfig
from node.config_template import write_commented
from node.engine.endpoints import Endpoints
from node.engine.executor_pools import ExecutorPools
from node.pipeline.pools import PoolFamily, PoolSpec
from node.records import BundleSigned, ExecutionLandedRecord, ExecutionMissedRecord, OpportunityFound
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import Hash32, address_from_hex, address_to_hex
from tests.chain import Chain
from tests.conftest import quiet
from tests.devnet_run import devnet
from tests.engine_run import eventually, in_shadow, prepared, process_of, running, told
from tests.engine_scene import listed_pools

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(180)]

WHALE = account("whale-0")
MOST = (1 << 256) - 1
FAR_FUTURE = 1 << 40
TIP = 10**9
GAS = 500_000
FAMILIES = {
    PoolFamily.UNISWAP_V2: "uniswap_v2_factory",
    PoolFamily.UNISWAP_V4: "uniswap_v4_pool_manager",
}


@dataclass(frozen=True)
class Scene:
    """A devnet on which only the whale and the node act."""

    chain: Chain
    world: World
    node: PreparedNode

    def token(self, symbol: str) -> str:
        return self.world.manifest.token(symbol).address

    def contract(self, name: str) -> str:
        return self.world.manifest.contracts[name]

    async def send(self, sender: Account, to: str, signature: str, *arguments: Any) -> None:
        """Send a transaction into the public mempool and wait until a block has it."""
        nonce = int(await self.chain.rpc.call("eth_getTransactionCount", sender.address, "latest"), 16)
        fields = DynamicFeeFields(
            chain_id=self.world.manifest.chain_id,
            nonce=nonce,
            max_priority_fee_per_gas=TIP,
            max_fee_per_gas=100 * TIP,
            gas_limit=GAS,
            to=to,
            value=0,
            data=encode_call(signature, *arguments),
        )
        raw = sign_dynamic_fee(fields, sender.key)
        await self.chain.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        async with asyncio.timeout(60):
            while (receipt := await self._receipt(raw)) is None:
                await asyncio.sleep(0.2)
        assert receipt["status"] == "0x1", f"{signature} reverted"

    async def _receipt(self, raw: bytes) -> Any:
        return await self.chain.rpc.call("eth_getTransactionReceipt", "0x" + keccak256(raw).hex())

    async def held(self) -> dict[str, int]:
        """By profit token: what the operator's Safes have."""
        tokens = [address_to_hex(token.address) for token in self.node.config.tokens.profit]
        return {
            token: sum([await self.chain.balance(token, vault.safe) for vault in self.node.operator.vaults])
            for token in tokens
        }

    def has_landed(self, family: PoolFamily) -> bool:
        """Whether something through a pool of the family did."""
        records = told(self.node.config)
        found = {record.opportunity_id: record for record in records.of(OpportunityFound)}
        landed = [found[record.opportunity_id] for record in records.of(ExecutionLandedRecord)]
        return any(leg.family == family for find in landed for leg in find.legs)

    def is_judged(self) -> bool:
        """Whether everything that was sent has its outcome."""
        records = told(self.node.config)
        sent = {one.opportunity_id for bundle in records.of(BundleSigned) for one in bundle.executions}
        landed = {record.opportunity_id for record in records.of(ExecutionLandedRecord)}
        return sent <= landed | {record.opportunity_id for record in records.of(ExecutionMissedRecord)}

    async def was_alone(self, record: ExecutionLandedRecord, find: OpportunityFound) -> bool:
        """Whether nothing but its victims touched its pools before it in its block."""
        pools = {"0x" + leg.pool_id.hex() for leg in find.legs}
        for receipt in await self.chain.rpc.call("eth_getBlockReceipts", hex(record.block)):
            identity = bytes.fromhex(receipt["transactionHash"][2:])
            if identity == record.transaction_hash:
                return True
            named = {name for log in receipt["logs"] for name in (log["address"], *log["topics"][1:2])}
            if identity not in find.victims and pools & named:
                return False
        raise AssertionError(f"block {record.block} does not have 0x{record.transaction_hash.hex()}")


@asynccontextmanager
async def scene(packages: Packages, world: World, folder: Path) -> AsyncIterator[Scene]:
    config = RelayConfig(block_time_seconds=1.0, seed=1)
    async with devnet(packages, world, folder, config) as relay, RpcClient(relay.public_url) as rpc:
        yield Scene(Chain(rpc), world, with_further_pools(prepared(relay, world, config, folder / "node"), world))


def with_further_pools(node: PreparedNode, world: World) -> PreparedNode:
    """The node on these families alone, so that there is no cycle but through V4 or the listed pools."""
    contracts = world.manifest.contracts
    protocols = msgspec.structs.replace(
        node.config.protocols,
        factories=tuple(
            FactoryConfig(family=family, address=address_from_hex(contracts[name])) for family, name in FAMILIES.items()
        ),
        pools=listed_pools(world.manifest),
    )
    config, path = msgspec.structs.replace(node.config, protocols=protocols), node.config_path.with_name("further.toml")
    write_commented(config, path)
    return replace(node, config=config, config_path=path)


async def test_cycles_through_v4_in_ether_and_through_curves_interface_land_to_the_wei(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with scene(packages, world, tmp_path) as stage:
        weth, usdc = stage.token("WETH"), stage.token("USDC")
        router, curve = stage.contract("uniswap_v2_router"), stage.contract("curve_stable_pool")
        await stage.send(WHALE, weth, "approve(address,uint256)", router, MOST)
        await stage.send(WHALE, usdc, "approve(address,uint256)", curve, MOST)
        before = await stage.held()
        async with running(process_of(stage.node)) as engine:
            await asyncio.wait_for(is_ready(stage, engine), 90)
            swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
            await stage.send(WHALE, router, swap, 30 * 10**18, 0, [weth, usdc], WHALE.address, FAR_FUTURE)
            await eventually(lambda: stage.has_landed(PoolFamily.UNISWAP_V4), engine)
            await stage.send(WHALE, curve, "exchange(int128,int128,uint256,uint256)", 1, 2, 700_000 * 10**6, 0)
            await eventually(lambda: stage.has_landed(PoolFamily.CURVE_PLAIN), engine)
        async with running(process_of(in_shadow(stage.node))) as engine:  # judges what the first left open
            await eventually(stage.is_judged, engine)
        after, records = await stage.held(), told(stage.node.config)
        found = {record.opportunity_id: record for record in records.of(OpportunityFound)}
        landed = [(record, found[record.opportunity_id]) for record in records.of(ExecutionLandedRecord)]
        alone = [pair for pair in landed if await stage.was_alone(*pair)]
    ether = next(pool for pool in world.manifest.pools if pool.native_ether)
    assert ether.pool_id in {"0x" + leg.pool_id.hex() for _, find in landed for leg in find.legs}
    predicted = {one.transaction_hash: one for bundle in records.of(BundleSigned) for one in bundle.executions}
    for record, _ in alone:
        assert record.profit == predicted[record.transaction_hash].predicted_profit
    assert {PoolFamily.UNISWAP_V4, PoolFamily.CURVE_PLAIN} <= {leg.family for _, find in alone for leg in find.legs}
    gained = dict.fromkeys(before, 0)
    for record, find in landed:
        gained[address_to_hex(find.profit_token)] += int(record.profit)
    assert {token: after[token] - before[token] for token in before} == gained


async def is_ready(stage: Scene, engine: asyncio.Task[None]) -> None:
    """Wait until the node has read its market, by what it keeps."""
    while not (stage.node.config.data_folder / "pools.msgpack").exists():
        assert not engine.done()
        await asyncio.sleep(0.2)


async def test_a_pool_that_the_executor_was_not_created_with_is_seen_not_traded(
    chain: Chain, world_anvil: Anvil, world: World, packages: Packages, home: Home
) -> None:
    manifest = world.manifest
    coins = [manifest.token(symbol).address for symbol in ("DAI", "USDC", "USDT")]
    code = compile_all(packages, home, quiet)["DevnetStableSwap"].creation
    foreign = await chain.create(account("operator-0"), code, ("address[3]", "uint256", "uint256"), (coins, 200, 10**6))
    listed = manifest.contracts["curve_stable_pool"]
    tokens = tuple(address_from_hex(coin) for coin in coins)
    specs = [
        PoolSpec(address_from_hex(pool), PoolFamily.CURVE_PLAIN, address_from_hex(pool), tokens, 0)
        for pool in (listed, foreign)
    ]
    vault = VaultConfig(safe=address_from_hex(manifest.operators[0].vaults[0].safe), keystore=Path("/nonexistent"))
    execution = ExecutionConfig(vault_module=address_from_hex(manifest.contracts["vault_module"]), vaults=(vault,))
    endpoints = Endpoints.open([RpcConfig(http=world_anvil.url, websocket=world_anvil.url)], SystemClock())
    head = await chain.rpc.call("eth_getBlockByNumber", "latest", False)
    at = Hash32(bytes.fromhex(head["hash"][2:]))
    try:
        marked = await ExecutorPools(endpoints, execution).marked(specs, at)
        unasked = await ExecutorPools(endpoints, ExecutionConfig(vault_module=execution.vault_module)).marked(specs, at)
    finally:
        await endpoints.close()
    assert [spec.is_unlisted for spec in marked] == [False, True]
    assert unasked == specs
