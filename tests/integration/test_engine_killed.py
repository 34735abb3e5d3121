"""kill -9 of an engine process at work: its spool goes on where it stopped, nothing is lost and nothing told twice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.demo.operators import PreparedNode
from devnet.packages import Packages
from devnet.world import World
from node.records import BundleSigned, ExecutionLandedRecord
from tests.engine_run import eventually, in_shadow, told, total
from tests.integration.test_engine_on_devnet import Play, bundled, is_judged, landed, outcomes, play

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

KILLS = 3
BLOCK_SECONDS = 3.0
"""A machine that runs other tests beside this one does not simulate in time what blocks of a second bring."""


@asynccontextmanager
async def engine_process(node: PreparedNode, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m node.engine`, as the supervisor starts it; killed hard in the end if it has not ended."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "node.engine", "--config", str(node.config_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(node.password_path.read_bytes())
        await process.stdin.drain()
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line.startswith(b"ready"), line
        yield process
    except (AssertionError, TimeoutError) as error:
        error.add_note(f"the engine's log ends: {log.read_text()[-4_000:]}")
        raise
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_engine_that_is_killed_again_and_again_loses_nothing_and_tells_nothing_twice(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    log = tmp_path / "engine.log"
    async with play(packages, world, tmp_path, block_seconds=BLOCK_SECONDS) as scene:
        before = await scene.holdings()
        for kill in range(1, KILLS + 1):
            signed = len(told(scene.node.config).of(BundleSigned))
            async with engine_process(scene.node, log) as process:
                await eventually(lambda: landed(scene.node) > 0, scene.actors)  # else there is nothing to lose
                await eventually(
                    lambda wanted=signed: len(told(scene.node.config).of(BundleSigned)) >= wanted + 6,  # type: ignore[misc]
                    scene.actors,
                )
                process.kill()  # most likely with bundles on their way
                await process.wait()
            assert process.returncode == -9, f"kill {kill}"
        async with engine_process(in_shadow(scene.node), log) as process:
            await eventually(lambda: is_judged(scene.node), scene.actors)
            assert process.stdin is not None
            process.stdin.close()  # the supervisor is gone: it ends by itself
            async with asyncio.timeout(20):
                assert await process.wait() == 0
        records, after = told(scene.node.config), await scene.holdings()
        nonces = await _transactions_on_the_chain(scene)
    assert records.sequences == tuple(range(1, len(records.sequences) + 1))
    executed = outcomes(records)  # fails where one is told twice
    assert bundled(records) <= set(executed)
    landings = records.of(ExecutionLandedRecord)
    assert landed(scene.node) == len(landings) == nonces > 0
    assert before["ether"] - after["ether"] == total(landing.gas_wei for landing in landings)
    secret = scene.node.password_path.read_text().strip()
    assert secret not in log.read_text()


async def _transactions_on_the_chain(scene: Play) -> int:
    """How many transactions the operator's hot keys have sent in all."""
    keys = [account(vault.hot_key).address for vault in scene.node.operator.vaults]
    return sum([int(await scene.chain.rpc.call("eth_getTransactionCount", key, "latest"), 16) for key in keys])
