"""`python -m tests.loading_process MANIFEST FOLDER URL STOP_AFTER`: a feed that loads its market a few pools at a time.

It tells on its output which pools it reads (`read ID told` or, where logs do not tell their states, `read ID untold`),
how many states it wrote down (`kept NUMBER`), and in the end whether all are the chain's (`ready`, `differ NUMBER`).
Once it wrote down at least STOP_AFTER it goes no further, to be killed there.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from devnet.manifest import Manifest
from node.engine import first_load, wanted_pools
from node.engine.headers import Header
from node.engine.market_memory import MarketMemory, is_untold
from node.engine.pool_reading import PoolReader
from node.pipeline.pools import PoolId, PoolSpec, PoolState
from protocol.units import Hash32
from tests.engine_scene import engine_config
from tests.feed_run import following

POOLS_AT_ONCE = 4


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def load(manifest: Path, folder: Path, url: str, stop_after: int) -> None:
    """Load it, and compare it with the chain."""
    read, keep = PoolReader.read, MarketMemory.keep
    is_loading = True

    async def told_read(self: PoolReader, specs: Sequence[PoolSpec], at: Hash32, words: Any = None) -> Any:
        states = await read(self, specs, at, words)
        if is_loading and words is None:
            for spec in specs:
                state: Any = states[spec.id]
                say(f"read {spec.id.hex()} {'untold' if is_untold(spec, state) else 'told'}")
        return states

    def told_keep(self: MarketMemory, head: Header, states: Mapping[PoolId, PoolState]) -> None:
        keep(self, head, states)
        say(f"kept {len(states)}")
        if is_loading and stop_after and len(states) >= stop_after:
            threading.Event().wait(60)

    wanted_pools.POOLS_AT_ONCE, first_load.SECONDS_BETWEEN_SAVES, first_load.SAVE_PAUSE = POOLS_AT_ONCE, 0, 0  # type: ignore[misc]
    PoolReader.read, MarketMemory.keep = told_read, told_keep  # type: ignore[method-assign]
    config = engine_config(
        msgspec.json.decode(manifest.read_bytes(), type=Manifest), folder, url, url.replace("http://", "ws://")
    )
    async with following(config) as follower:
        is_loading = False
        say("ready")
        say(f"differ {len(await follower.differences())}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(load(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
