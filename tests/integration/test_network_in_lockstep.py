"""Engines that are a network in lockstep: orders go from one to another, and one seed gives one story, to the byte."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from devnet.accounts import account
from devnet.app import pass_blocks, record_of
from devnet.demo.app import bus_of
from devnet.demo.network_contracts import networks
from devnet.demo.operators import OF_FIVE, PreparedNode, prepare_node
from devnet.demo.reach import BEFORE_EPOCH, blocks_before_epoch
from devnet.gossip_bus import GossipBus
from devnet.packages import Packages
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from node.records import NetworkAlertTold, OrderTold
from tests.devnet_run import PARTICIPANTS, background, devnet, playing, reach, session
from tests.engine_run import process_of, running, told

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(400)]

NAMES = ("north", "west", "centre")
"""West has no ether for gas: what it finds it can only hand over, and it sees pools that the others do not."""
LEFT_OUT = BEFORE_EPOCH - 3
"""So much nearer to the first epoch with leaders than a demo begins; somebody still has to roll it."""
BLOCKS = 12
SEED = 7


@dataclass(frozen=True)
class Story:
    """What a run left behind: what was said, by block; the last block's hash; each node's records."""

    digests: Mapping[int, str]
    counts: Mapping[str, int]
    last_block: str
    events: Mapping[str, list[bytes]]
    orders: Mapping[str, list[OrderTold]]
    alerts: Mapping[str, list[NetworkAlertTold]]


def nodes_of(relay: Relay, world: World, config: RelayConfig, folder: Path) -> list[PreparedNode]:
    operators = [one for one in world.manifest.operators if one.name in NAMES]
    record = record_of(relay, config, world, folder)
    known = networks(operators, world.manifest, folder)
    nodes = []
    for one in operators:
        node = prepare_node(one, OF_FIVE[one.name], record, world.manifest, folder / one.name, known[one.name])
        logged = msgspec.structs.replace(node.config, event_log=folder / f"{one.name}.jsonl")
        nodes.append(replace(node, config=logged))
    return nodes


async def played(packages: Packages, world: World, folder: Path) -> Story:
    folder.mkdir()
    manifest = world.manifest
    last = manifest.block_number + blocks_before_epoch(manifest) + LEFT_OUT + BLOCKS
    config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS + len(NAMES), seed=SEED)
    keys = [account(vault.hot_key).address for one in manifest.operators if one.name == "west" for vault in one.vaults]

    async def before(anvil_url: str) -> None:
        await pass_blocks(anvil_url, blocks_before_epoch(manifest) + LEFT_OUT, 2)
        async with RpcClient(anvil_url) as chain:
            await chain.batch([("anvil_setBalance", [key, "0x0"]) for key in keys])

    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(devnet(packages, world, folder, config, before))
        actors = await stack.enter_async_context(session(relay, world, folder, config, SEED))
        rpc = await stack.enter_async_context(RpcClient(relay.public_url))
        nodes = nodes_of(relay, world, config, folder)
        bus: GossipBus = bus_of(relay, manifest, nodes)
        tasks = [await stack.enter_async_context(running(process_of(node))) for node in nodes]
        tasks += [await stack.enter_async_context(background(bus.run()))]
        tasks += [await stack.enter_async_context(playing(actors))]
        await reach(rpc, last + 1, *tasks)
        block = await rpc.call("eth_getBlockByNumber", hex(last), False)
        orders = {node.name: told(node.config).of(OrderTold) for node in nodes}
        alerts = {node.name: told(node.config).of(NetworkAlertTold) for node in nodes}
    events = {name: (folder / f"{name}.jsonl").read_bytes().splitlines() for name in NAMES}
    digests = {number: digest for number, digest in bus.digests.items() if number <= last}
    return Story(digests, bus.counts, block["hash"], events, orders, alerts)


async def test_one_seed_gives_one_story_of_a_network_to_the_byte(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    first = await played(packages, world, tmp_path / "first")
    second = await played(packages, world, tmp_path / "second")

    assert len(first.digests) >= BLOCKS - 1
    assert first.digests == second.digests, "what was said differs"
    assert first.last_block == second.last_block
    for name in NAMES:
        shared = min(len(first.events[name]), len(second.events[name])) - 50  # where each was stopped is chance
        assert shared > 300
        different = [place for place in range(shared) if first.events[name][place] != second.events[name][place]]
        assert not different, f"{name}, line {different[0]}"

    accepted = [order for order in first.orders["west"] if order.answer == "accept"]
    assert accepted, first.orders["west"]
    assert {order.role for order in first.orders["west"]} == {"finder"}
    for name, alerts in first.alerts.items():
        flags = [one for one in alerts if one.alert_kind == "contract_flagged"]  # the world has a token with a fee
        assert {one.verdict for one in flags} == {"confirmed"}, name
        assert len({one.operator for one in flags}) == len(NAMES), f"{name} hears all, and comes to the same"
    assert first.counts["heartbeat"] >= 6 * BLOCKS
    assert first.counts["answered"] > len(accepted), "keys were told, orders answered"
