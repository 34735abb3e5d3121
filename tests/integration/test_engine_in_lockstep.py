"""An engine in lockstep: the same seed gives the same events and effects, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from node.records import ExecutionLandedRecord
from tests.devnet_run import PARTICIPANTS, devnet, playing, reach, session
from tests.engine_run import prepared, process_of, running, told

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(240)]

BLOCKS = 12


async def played(packages: Packages, world: World, folder: Path, seed: int) -> tuple[list[bytes], int]:
    """The lines of the event log up to a block, and how many executions landed."""
    folder.mkdir()
    config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS + 1, seed=seed)
    async with (
        devnet(packages, world, folder, config) as relay,
        session(relay, world, folder, config, seed) as actors,
        RpcClient(relay.public_url) as rpc,
    ):
        node = prepared(relay, world, config, folder / "node")
        logged = msgspec.structs.replace(node.config, event_log=folder / "events.jsonl")
        async with running(process_of(replace(node, config=logged))) as engine, playing(actors) as acting:
            await reach(rpc, world.manifest.block_number + BLOCKS, engine, acting)
            landings = len(told(logged).of(ExecutionLandedRecord))
    return (folder / "events.jsonl").read_bytes().splitlines(), landings


async def test_one_seed_gives_one_event_log_to_the_byte(packages: Packages, world: World, tmp_path: Path) -> None:
    first, landings = await played(packages, world, tmp_path / "first", 7)
    second, _ = await played(packages, world, tmp_path / "second", 7)
    shared = min(len(first), len(second)) - 50  # where each was stopped is chance
    assert shared > 500
    different = next((place for place in range(shared) if first[place] != second[place]), None)
    assert different is None, f"line {different}:\n{first[different or 0][:600]!r}\n{second[different or 0][:600]!r}"
    assert landings > 0
