"""Waiting for the chain, with a deadline on the machine's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from devnet.errors import RpcError

_LOOK_SECONDS: Final = 0.1
_Answer = TypeVar("_Answer")


class Patience:
    """Lets reads be refused `most` times in a row: a chain that is under load answers a later one."""

    def __init__(self, most: int) -> None:
        self._most, self._in_a_row = most, 0

    async def ask(self, read: Callable[[], Awaitable[_Answer]]) -> _Answer | None:
        """Return what is read; None for a refusal. Raises RpcError for the one that is too many."""
        try:
            answer = await read()
        except RpcError:
            self._in_a_row += 1
            if self._in_a_row > self._most:
                raise
            return None
        self._in_a_row = 0
        return answer


async def wait_until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Look again and again until `holds()`; return whether it did before the time was up."""
    give_up = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
