"""A minute of the differential fuzz; with `--long` an hour of it. Prints what it did, and its seed."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from devnet.home import Home
from devnet.packages import Packages
from devnet.world import World
from tests.market.fuzz import Fuzz, Report, for_seconds
from tests.market.scene import open_scene

pytestmark = pytest.mark.anvil

SEED_IN_CI = 6


async def _run(seconds: float, home: Home, packages: Packages, world: World, folder: Path) -> Report:
    seed = SEED_IN_CI if os.environ.get("CI") else random.SystemRandom().randrange(1 << 32)
    async with open_scene(home, packages, world, folder / "anvil.log") as (scene, url):
        fuzz = Fuzz(scene, url, seed)
        try:
            await fuzz.load()
            return await fuzz.run(for_seconds(seconds))
        finally:
            await fuzz.close()


@pytest.mark.timeout(240)
async def test_for_a_minute_our_state_and_quotes_are_those_of_the_contracts_after_every_step(
    home: Home, packages: Packages, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await _run(60.0, home, packages, world, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\nfuzz: {report}\n")
    assert report.reorgs
    assert report.audits
    assert set(report.by_family) == set(report.families)


@pytest.mark.long
@pytest.mark.timeout(4200)
async def test_for_an_hour_our_state_and_quotes_are_those_of_the_contracts_after_every_step(
    home: Home, packages: Packages, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await _run(3600.0, home, packages, world, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\nfuzz: {report}\n")
    assert set(report.by_family) == set(report.families)
