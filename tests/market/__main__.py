"""`python -m tests.market SECONDS [SEED [FAMILY…]]`: the fuzz for so long, with a line a minute; 1 where it differs."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from devnet.home import Home
from devnet.packages import ensure_packages
from devnet.world import ensure_world
from tests.market.fuzz import Differs, Fuzz, Report
from tests.market.scene import open_scene

_SECONDS_BETWEEN_LINES = 60.0


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


async def fuzz(seconds: float, seed: int, only: Sequence[str] = ()) -> int:
    """Run it over all families, or those that are named; return the exit code."""
    home = Home.from_environment()
    packages = ensure_packages(home, _say)
    world = await ensure_world(home, packages, _say)
    begun = told = time.monotonic()

    def is_enough(report: Report) -> bool:
        nonlocal told
        now = time.monotonic()
        if now - told >= _SECONDS_BETWEEN_LINES:
            told = now
            _say(str(report))
        return now - begun >= seconds

    with tempfile.TemporaryDirectory(prefix="hftnode-fuzz-") as folder:
        async with open_scene(home, packages, world, Path(folder) / "anvil.log") as (scene, url):
            run = Fuzz(scene, url, seed, only)
            try:
                await run.load()
                await run.run(is_enough)
            except Differs as error:
                _say(f"{run.report}")
                _say(f"DIFFERS: {error}")
                return 1
            finally:
                await run.close()
            _say(f"nothing differs in {time.monotonic() - begun:.0f} s: {run.report}")
            return 0


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    _say(f"seed {chosen}")
    sys.exit(asyncio.run(fuzz(float(sys.argv[1]), chosen, sys.argv[3:])))
