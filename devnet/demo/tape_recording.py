"""The neutral run before a comparison: the actors alone on the chain, until their tape is written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from devnet.app import Running
from devnet.errors import ChainFailed

_LOOK_SECONDS: Final = 0.1
BLOCK_DEADLINE_SECONDS: Final = 60.0
"""Nobody but the actors is waited for: a block that takes longer never comes."""


async def record_tape(running: Running, path: Path, stop: asyncio.Event) -> bool:
    """Let blocks be made until the tape is at `path`; False if a signal came before.

    Raises `ChainFailed` when a part dies, or when no block comes any more.
    """
    if running.actors is None:
        raise ChainFailed("there are no actors to record")
    loop = asyncio.get_running_loop()
    parts = {
        "relay": asyncio.create_task(running.relay.run()),
        "anvil": asyncio.create_task(running.anvil.wait()),
        "actors": asyncio.create_task(running.actors.run()),
        "stop": asyncio.create_task(stop.wait()),
    }
    try:
        reached, give_up = running.relay.clock.now(), loop.time() + BLOCK_DEADLINE_SECONDS
        while not await asyncio.to_thread(path.exists):
            await asyncio.wait(parts.values(), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if parts["stop"].done():
                return False
            for name, task in parts.items():
                if task.done():
                    task.result()
                    raise running.anvil.failure() if name == "anvil" else ChainFailed(f"{name} ended by itself")
            if (now := running.relay.clock.now()) > reached:  # in lockstep it stands still between blocks
                reached, give_up = now, loop.time() + BLOCK_DEADLINE_SECONDS
            elif loop.time() > give_up:
                raise ChainFailed(f"the actors alone made no block in {BLOCK_DEADLINE_SECONDS:g} s")
        return True
    finally:
        for task in parts.values():
            task.cancel()
        await asyncio.gather(*parts.values(), return_exceptions=True)
