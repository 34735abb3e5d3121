"""A start that is killed in the middle of its first load: the next one reads the rest, and no pool twice."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.world import World
from node.engine import market_snapshot
from protocol.units import ChainId
from tests.chain import Chain

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

SECONDS = 90.0
STOP_AFTER = 20
WHALE = account("whale-0")
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"


@dataclass
class Told:
    """What a load said: pools read, those among them of which logs tell all, and the last numbers that it gave."""

    read: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    kept: int = 0
    differ: int | None = None
    is_ready: bool = False
    log: str = ""


async def load(url: str, manifest: Path, folder: Path, *, stop_after: int = 0) -> Told:
    """Run it to its end, or kill it hard once it wrote down so many pools."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.loading_process", str(manifest), str(folder), url, str(stop_after)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    reading = asyncio.create_task(process.stderr.read())
    said = Told()
    try:
        async with asyncio.timeout(SECONDS):
            while line := (await process.stdout.readline()).decode().split():
                if line[0] == "read":
                    said.read.append(line[1])
                    said.told |= {line[1]} if line[2] == "told" else set()
                elif line[0] == "kept":
                    said.kept = int(line[1])
                    if stop_after and said.kept >= stop_after:
                        break
                elif line[0] == "differ":
                    said.differ = int(line[1])
                else:
                    said.is_ready = True
    finally:
        if process.returncode is None and (stop_after or said.differ is None):
            process.kill()
        await process.wait()
        said.log = (await reading).decode()
    return said


async def test_a_load_that_is_killed_goes_on_from_what_was_written_down(
    chain: Chain, world_anvil: Anvil, world: World, tmp_path: Path
) -> None:
    snapshot, manifest = tmp_path / market_snapshot.FILE_NAME, world.manifest_path
    killed = await load(world_anvil.url, manifest, tmp_path, stop_after=STOP_AFTER)
    assert not killed.is_ready, killed.log
    assert STOP_AFTER <= killed.kept <= len(killed.read) < 50
    partial = snapshot.read_bytes()
    written = market_snapshot.read(snapshot, ChainId(world.manifest.chain_id))
    assert written is not None
    pools = {pool_id.hex() for pool_id in written.states}
    assert pools <= set(killed.read)

    # Meanwhile the chain goes on, at pools that were read too.
    path = [world.manifest.token(symbol).address for symbol in ("WETH", "USDC")]
    router = world.manifest.contracts["uniswap_v2_router"]
    await chain.send(WHALE, path[0], "approve(address,uint256)", router, (1 << 256) - 1)
    for _ in range(3):
        await chain.send(WHALE, router, SWAP, 10**18, 0, path, WHALE.address, 1 << 40)

    rest = await load(world_anvil.url, manifest, tmp_path)
    assert (rest.is_ready, rest.differ) == (True, 0), rest.log
    assert not pools & killed.told & set(rest.read)
    assert {*pools, *rest.read} == await _all_pools(world_anvil, manifest, tmp_path / "fresh")
    assert "pools read" not in rest.log  # it took less than the time between two lines

    for spoilt, why in ((partial[:-9], "was cut short"), (partial[:-9] + b"987654321", "was altered")):
        snapshot.write_bytes(spoilt)
        anew = await load(world_anvil.url, manifest, tmp_path)
        assert "the market is read anew" in anew.log
        assert why in anew.log
        assert (anew.is_ready, anew.differ) == (True, 0)
        assert {*anew.read} == {*pools, *rest.read}


async def _all_pools(anvil: Anvil, manifest: Path, folder: Path) -> set[str]:
    folder.mkdir()
    return set((await load(anvil.url, manifest, folder)).read)
