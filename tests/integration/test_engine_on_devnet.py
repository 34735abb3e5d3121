"""An engine on a real devnet: what lands brings what was predicted and what the chain has; misses have reasons."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.demo.operators import PreparedNode
from devnet.packages import Packages
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from node.config import LenderConfig
from node.pipeline.plans import LenderKind
from node.pipeline.reasons import Reason
from node.records import (
    BundleSigned,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    OpportunityDropped,
    OpportunityFound,
    RelayAnswered,
)
from protocol.kinds import OpportunityKind
from protocol.units import BlockNumber, Hash32, address_to_hex
from tests.chain import Chain
from tests.devnet_run import devnet, playing, session
from tests.engine_run import Told, eventually, in_shadow, prepared, process_of, running, told, total, with_lenders

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(180)]

SEED = 11


@dataclass(frozen=True)
class Play:
    """A devnet with actors at play, and a node to be started on it."""

    relay: Relay
    world: World
    node: PreparedNode
    chain: Chain
    actors: asyncio.Task[None]

    async def holdings(self) -> dict[str, int]:
        """By profit token's address: what all Safes of the operator have; by `ether`: what its hot keys have."""
        found = {"ether": 0}
        for vault in self.node.operator.vaults:
            key = account(vault.hot_key).address
            found["ether"] += int(await self.chain.rpc.call("eth_getBalance", key, "latest"), 16)
            for token in self.node.config.tokens.profit:
                name = address_to_hex(token.address)
                found[name] = found.get(name, 0) + await self.chain.balance(name, vault.safe)
        return found


@asynccontextmanager
async def play(
    packages: Packages, world: World, folder: Path, seed: int = SEED, block_seconds: float = 1.0
) -> AsyncIterator[Play]:
    config = RelayConfig(block_time_seconds=block_seconds, seed=seed)
    async with (
        devnet(packages, world, folder, config) as relay,
        session(relay, world, folder, config, seed) as actors,
        RpcClient(relay.public_url) as rpc,
        playing(actors) as acting,
    ):
        node = prepared(relay, world, config, folder / "node")
        yield Play(relay, world, node, Chain(rpc), acting)


def landed(node: PreparedNode) -> int:
    return len(told(node.config).of(ExecutionLandedRecord))


def is_judged(node: PreparedNode) -> bool:
    """Every find that was sent has its outcome."""
    records = told(node.config)
    return bundled(records) <= set(outcomes(records))


def bundled(records: Told) -> set[Hash32]:
    return {one.opportunity_id for bundle in records.of(BundleSigned) for one in bundle.executions}


def outcomes(records: Told) -> dict[Hash32, ExecutionLandedRecord | ExecutionMissedRecord]:
    found: dict[Hash32, ExecutionLandedRecord | ExecutionMissedRecord] = {}
    told_of: list[ExecutionLandedRecord | ExecutionMissedRecord] = [
        *records.of(ExecutionLandedRecord),
        *records.of(ExecutionMissedRecord),
    ]
    for record in told_of:
        assert record.opportunity_id not in found, "told twice"
        found[record.opportunity_id] = record
    return found


async def test_bundles_land_and_every_wei_and_every_miss_is_accounted_for(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with play(packages, world, tmp_path) as scene:
        before = await scene.holdings()
        async with running(process_of(scene.node)) as engine:
            await eventually(lambda: landed(scene.node) >= 12, engine, scene.actors)
        async with running(process_of(in_shadow(scene.node))) as engine:  # judges what the first left open
            await eventually(lambda: is_judged(scene.node), engine, scene.actors)
        records, after = told(scene.node.config), await scene.holdings()
        await _predictions_hold(scene, records)
    assert records.sequences == tuple(range(1, len(records.sequences) + 1))
    found = {record.opportunity_id: record for record in records.of(OpportunityFound)}
    executed = outcomes(records)
    assert set(bundled(records)) <= set(executed)
    _profit_is_in_the_safes(records, found, before, after)
    for outcome in executed.values():
        if isinstance(outcome, ExecutionMissedRecord):
            assert (outcome.lost_to is not None) or outcome.reason not in (Reason.OUTBID, Reason.CONFLICTS_WITH_BETTER)


def _profit_is_in_the_safes(
    records: Told, found: dict[Hash32, OpportunityFound], before: dict[str, int], after: dict[str, int]
) -> None:
    """Safes have grown by the profits told, hot keys have paid the gas told, to the wei."""
    gained: dict[str, int] = {}
    for record in records.of(ExecutionLandedRecord):
        token = address_to_hex(found[record.opportunity_id].profit_token)
        gained[token] = gained.get(token, 0) + int(record.profit)
    grown = {name: after[name] - before[name] for name in before if name != "ether" and after[name] != before[name]}
    assert grown == {token: amount for token, amount in gained.items() if amount}
    spent = total(record.gas_wei for record in records.of(ExecutionLandedRecord))
    spent += total(record.spent_wei for record in records.of(ExecutionMissedRecord))
    assert before["ether"] - after["ether"] == spent


async def _predictions_hold(scene: Play, records: Told) -> None:
    """Where nobody else touched the route's pools in the block, profit is what was predicted, to the wei."""
    alone = await _undisturbed(scene, records)
    odd = [one for one in alone if not one.is_as_predicted]
    assert len(alone) >= 4
    assert len(odd) <= 0.05 * len(alone), f"{len(odd)} of {len(alone)}: {odd}"


@dataclass(frozen=True)
class Undisturbed:
    """An execution that landed on the market it was computed for."""

    find: OpportunityFound
    landed: ExecutionLandedRecord
    predicted_profit: str

    @property
    def is_as_predicted(self) -> bool:
        return self.landed.profit == self.predicted_profit


async def _undisturbed(scene: Play, records: Told) -> list[Undisturbed]:
    """Of each execution whose pools nobody else touched: what it brought, and what was predicted."""
    predicted = {one.transaction_hash: one for bundle in records.of(BundleSigned) for one in bundle.executions}
    found = {record.opportunity_id: record for record in records.of(OpportunityFound)}
    landed_as = {record.opportunity_id: record.transaction_hash for record in records.of(ExecutionLandedRecord)}
    alone: list[Undisturbed] = []
    for record in records.of(ExecutionLandedRecord):
        execution, find = predicted[record.transaction_hash], found[record.opportunity_id]
        assert int(record.profit) >= int(execution.minimum_profit)
        ahead = {landed_as.get(name) for name in execution.behind}
        if not await _was_disturbed(scene, record, find, ahead):
            alone.append(Undisturbed(find, record, execution.predicted_profit))
    return alone


async def _was_disturbed(
    scene: Play, record: ExecutionLandedRecord, find: OpportunityFound, ahead: set[Hash32 | None]
) -> bool:
    """Whether it met another market than it was computed for: moved by others, or not by the finds of ours `ahead`.

    A victim that came through other pools before brings what these gave it: what moved them has moved its amounts too.
    A loan's debt and collateral depend on the block's time, which is predicted to be a second after the last.
    """
    manifest, market = scene.world.manifest, {"0x" + leg.pool_id.hex() for leg in find.legs}
    known = {(pool.pool_id or pool.address).lower() for pool in manifest.pools}
    if find.opportunity_kind == OpportunityKind.LIQUIDATION.name.lower():
        if await _time_of(scene, record.block) != await _time_of(scene, BlockNumber(record.block - 1)) + 1:
            return True
        lenders = (manifest.contracts["aave_pool"], manifest.contracts["morpho"])
        market |= {name.lower() for name in (*lenders, *manifest.aggregators.values())}
    others: list[set[str]] = []
    for receipt in await scene.chain.rpc.call("eth_getBlockReceipts", hex(record.block)):
        transaction_hash = Hash32(bytes.fromhex(receipt["transactionHash"][2:]))
        names = {name for log in receipt["logs"] for name in (log["address"], *log["topics"][1:2])}
        if transaction_hash == record.transaction_hash:
            break
        if transaction_hash in ahead:
            ahead = ahead - {transaction_hash}
        elif transaction_hash in find.victims:
            market |= names & known
        else:
            others.append(names)
    return bool(ahead or any(market & names for names in others))


async def _time_of(scene: Play, block: BlockNumber) -> int:
    header = await scene.chain.rpc.call("eth_getBlockByNumber", hex(block), False)
    return int(header["timestamp"], 16)


async def test_with_uniswap_v3_as_the_only_lender_its_pools_lend_what_lands_in_the_safe(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with play(packages, world, tmp_path) as scene:
        node = with_lenders(scene.node, LenderConfig(kind=LenderKind.UNISWAP_V3))
        before = await scene.holdings()
        async with running(process_of(node)) as engine:
            await eventually(lambda: landed(node) >= 3, engine, scene.actors)
        async with running(process_of(in_shadow(node))) as engine:  # judges what the first left open
            await eventually(lambda: is_judged(node), engine, scene.actors)
        records, after = told(node.config), await scene.holdings()
        alone = await _undisturbed(scene, records)
        assert any(one.is_as_predicted for one in alone), "the loan's fee is not in what was predicted"
    found = {record.opportunity_id: record for record in records.of(OpportunityFound)}
    assert {record.lender for record in found.values()} == {LenderKind.UNISWAP_V3.value}
    assert all(int(record.flash_fee) > 0 for record in found.values())
    _profit_is_in_the_safes(records, found, before, after)


async def test_a_relay_that_refuses_hangs_and_lies_costs_no_bundle(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with play(packages, world, tmp_path) as scene:
        names = list(scene.node.config.relays)
        faults = [(names[0].name, "refuse"), (names[1].name, "hang")]
        for endpoint, kind in faults:
            await RpcClientTo(scene.relay.admin_url).call(
                "devnet_setFault", {"endpoint": endpoint, "kind": kind, "seconds": 600}
            )
        async with running(process_of(scene.node)) as engine:
            await eventually(lambda: len(told(scene.node.config).of(RelayAnswered)) >= 6, engine, scene.actors)
            records = told(scene.node.config)
    errors: dict[str, set[str]] = {relay.name: set() for relay in names}
    for answer in records.of(RelayAnswered):
        errors[answer.relay].add(answer.error.partition(":")[0])
    assert errors[faults[0][0]] == {"refused"}
    assert errors[faults[1][0]] <= {"unreachable"}
    assert any("" in kinds for kinds in errors.values())


class RpcClientTo:
    """One call at a time, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def call(self, method: str, *params: object) -> object:
        async with RpcClient(self._url) as rpc:
            return await rpc.call(method, *params)


async def test_in_shadow_mode_nothing_is_signed_and_everything_is_told(
    packages: Packages, world: World, tmp_path: Path
) -> None:

    async with play(packages, world, tmp_path) as scene:
        shadow = in_shadow(scene.node)
        before = await scene.holdings()
        async with running(process_of(shadow)) as engine:
            await eventually(lambda: len(shadowed(told(shadow.config))) >= 2, engine, scene.actors)
            await eventually(has_let_go(), engine, scene.actors)
        records, after = told(shadow.config), await scene.holdings()
    assert records.of(BundleSigned) == []
    assert before == after


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def has_let_go() -> Callable[[], bool]:
    """Whether the engine has collected what grew old in this process, refers to itself, and is held by nobody."""
    ring = Ring()
    held = weakref.ref(ring)
    for _ in range(2):
        gc.collect(1)
    return lambda: held() is None


def shadowed(records: Told) -> list[OpportunityDropped]:
    return [record for record in records.of(OpportunityDropped) if record.reason is Reason.SHADOW]
