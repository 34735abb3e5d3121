"""Two operators on a real chain: nobody lends to one, so that what it finds the other one executes out of its vault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from devnet.app import pass_blocks, record_of
from devnet.demo.app import bus_of
from devnet.demo.network_contracts import networks
from devnet.demo.operators import OF_FIVE, PreparedNode, prepare_node
from devnet.demo.reach import BEFORE_EPOCH, blocks_before_epoch
from devnet.packages import Packages
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from node.config import LenderConfig
from node.engine.network.part import FINDER_PAID
from node.pipeline.plans import LenderKind
from node.records import BundleSigned, ExecutionMissedRecord, OpportunityFound, OrderTold, PaymentMade
from protocol.ethereum.abi import encode_call
from protocol.units import address_to_hex
from tests.devnet_run import PARTICIPANTS, background, devnet, playing, reach, session
from tests.engine_run import Told, process_of, running, told, with_lenders

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(400)]

FINDER, LEADER = "west", "centre"
SOURCES = {FINDER: (), LEADER: (LenderConfig(kind=LenderKind.VAULT),)}
"""Nobody lends to the finder, which sees pools that the leader does not; that one has its Safes, as far as their owners
let executions draw.
"""
LEFT_OUT = BEFORE_EPOCH - 3
BLOCKS = 24
SEED = 7


@dataclass(frozen=True)
class Outcome:
    """What both have on their spools, and what came into the finder's Safe, by token."""

    finder: Told
    leader: Told
    came_in: dict[bytes, int]


def nodes_of(relay: Relay, world: World, config: RelayConfig, folder: Path) -> list[PreparedNode]:
    operators = [one for one in world.manifest.operators if one.name in SOURCES]
    record = record_of(relay, config, world, folder)
    known = networks(operators, world.manifest, folder)
    return [
        with_lenders(
            prepare_node(one, OF_FIVE[one.name], record, world.manifest, folder / one.name, known[one.name]),
            *SOURCES[one.name],
        )
        for one in operators
    ]


async def held(rpc: RpcClient, node: PreparedNode, block: int) -> dict[bytes, int]:
    safe = node.config.execution.vaults[0].safe
    call = "0x" + encode_call("balanceOf(address)", address_to_hex(safe)).hex()
    tokens: Sequence[bytes] = [token.address for token in node.config.tokens.profit]
    return {
        token: int(await rpc.call("eth_call", {"to": "0x" + token.hex(), "data": call}, hex(block)), 16)
        for token in tokens
    }


async def test_a_find_without_capital_is_executed_out_of_the_leaders_vault_and_the_finder_is_paid(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    outcome = await _played(packages, world, tmp_path)

    given = [one for one in outcome.finder.of(OrderTold) if one.role == "finder"]
    assert {one.lack for one in given} == {"inventory"}
    accepted = {one.order_hash for one in given if one.answer == "accept"}
    assert accepted, Counter((one.answer, one.detail) for one in given)
    assert not outcome.finder.of(BundleSigned), "it has nothing to execute with"

    funded = {one.opportunity_id: one for one in outcome.leader.of(OpportunityFound)}
    assert {one.lender for one in funded.values()} == {"vault"}
    assert {int(one.flash_fee) for one in funded.values()} == {0}
    paid = [one for one in outcome.finder.of(PaymentMade) if one.what == FINDER_PAID]
    assert paid, [one.reason for one in outcome.leader.of(ExecutionMissedRecord)]
    assert {one.subject for one in paid} <= accepted <= set(funded)
    for token in {one.token for one in paid}:
        assert outcome.came_in[token] == sum(int(one.amount) for one in paid if one.token == token) > 0


async def _played(packages: Packages, world: World, folder: Path) -> Outcome:
    manifest = world.manifest
    last = manifest.block_number + blocks_before_epoch(manifest) + LEFT_OUT + BLOCKS
    config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS + len(SOURCES), seed=SEED)

    async def before(anvil_url: str) -> None:
        await pass_blocks(anvil_url, blocks_before_epoch(manifest) + LEFT_OUT, 2)

    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(devnet(packages, world, folder, config, before))
        actors = await stack.enter_async_context(session(relay, world, folder, config, SEED))
        rpc = await stack.enter_async_context(RpcClient(relay.public_url))
        nodes = nodes_of(relay, world, config, folder)
        finder, leader = (next(node for node in nodes if node.name == name) for name in (FINDER, LEADER))
        had = await held(rpc, finder, last - BLOCKS)
        tasks = [await stack.enter_async_context(running(process_of(node))) for node in nodes]
        tasks += [await stack.enter_async_context(background(bus_of(relay, manifest, nodes).run()))]
        tasks += [await stack.enter_async_context(playing(actors))]
        await reach(rpc, last + 1, *tasks)
        of_finder = told(finder.config)
        payments = [one.block for one in of_finder.of(PaymentMade) if one.what == FINDER_PAID]
        has = await held(rpc, finder, max(payments, default=last))
        return Outcome(of_finder, told(leader.config), {token: has[token] - had[token] for token in had})
