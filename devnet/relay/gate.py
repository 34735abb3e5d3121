"""Keeps readers from seeing a block before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

Answer = TypeVar("Answer")


class HeadGate:
    """Readers ask the chain freely while no block is in the making, and wait while one is.

    A read that a block overtook may have seen it early, so its answer is thrown away and it is asked again; the
    second time the next block waits for it, for as long as the read's own deadline. (A sequence lock.)
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._open = asyncio.Event()
        self._open.set()
        self._windows = 0
        self.repeated = 0

    @asynccontextmanager
    async def window(self) -> AsyncIterator[None]:
        """Shut readers out: inside, the chain may be in between."""
        async with self._lock:
            self._windows += 1
            self._open.clear()
            try:
                yield
            finally:
                self._open.set()

    async def read(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer of `ask`, which saw only published blocks."""
        await self._open.wait()
        seen = self._windows
        answer = await self._attempt(ask)
        if seen == self._windows:
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.repeated += 1
        async with self._lock:
            return await ask()

    @staticmethod
    async def _attempt(ask: Callable[[], Awaitable[Answer]]) -> Answer | Exception:
        # A failure in an overtaken read counts as little as its answer: a block it named may have been rolled back.
        try:
            return await ask()
        except Exception as error:
            return error
