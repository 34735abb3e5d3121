"""Waiting for the chain, with a deadline on the machine's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

_LOOK_SECONDS: Final = 0.1


async def wait_until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Look again and again until `holds()`; return whether it did before the time was up."""
    give_up = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
