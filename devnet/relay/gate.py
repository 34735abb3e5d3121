"""Keeps readers from seeing a block before it is published.

ReadTooSlow    a read takes longer than the blocks leave it, and longer than one of them may be held up for it
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from devnet.errors import DevnetError

Answer = TypeVar("Answer")


class ReadTooSlow(DevnetError):
    """A read takes longer than the blocks leave it, and longer than one of them may be held up for it."""


class HeadGate:
    """Readers ask the chain freely while no block is in the making, and wait while one is.

    A read that a block overtook may have seen it early, so its answer is thrown away and it is asked again; the
    second time the next block waits for it, for `hold_seconds` at most. (A sequence lock.)
    """

    def __init__(self, hold_seconds: float = 2.0) -> None:
        self._hold = hold_seconds
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
        """Return the answer of `ask`, which saw only published blocks. Raises `ReadTooSlow`."""
        await self._open.wait()
        seen = self._windows
        answer = await self._attempt(ask)
        if seen == self._windows:
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.repeated += 1
        async with self._lock:
            try:
                async with asyncio.timeout(self._hold) as held:
                    return await ask()
            except TimeoutError as error:
                if not held.expired():
                    raise
                raise ReadTooSlow(
                    f"the read takes longer than a block, and no block waits for it longer than {self._hold:g} s: "
                    "ask for less"
                ) from error

    @staticmethod
    async def _attempt(ask: Callable[[], Awaitable[Answer]]) -> Answer | Exception:
        # A failure in an overtaken read counts as little as its answer: a block it named may have been rolled back.
        try:
            return await ask()
        except Exception as error:
            return error
