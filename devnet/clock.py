"""The devnet's one clock: seconds since the epoch as the chain tells them. It can be warped, never set back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def _standing_still() -> float:
    return 0.0


class DevnetClock:
    """Devnet time. It runs with `source` (monotonic seconds), and jumps ahead by `warp` and `advance_to`.

    A stepped clock (lockstep) stands still between blocks, so that every deadline falls on the same block each run.
    """

    def __init__(self, origin: float, source: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._offset = origin - source()
        self._jumped = asyncio.Event()
        self.warped_seconds = 0.0

    @classmethod
    def stepped(cls, origin: float) -> DevnetClock:
        """Return a clock that moves only by `warp` and `advance_to`."""
        return cls(origin, _standing_still)

    @property
    def is_stepped(self) -> bool:
        """Whether time stands still between jumps."""
        return self._source is _standing_still

    def now(self) -> float:
        """Return devnet time in seconds since the epoch."""
        return self._source() + self._offset

    def warp(self, seconds: float) -> float:
        """Jump ahead and return the new time; sleepers whose time has come wake. Raises ValueError on a jump back."""
        if not 0 <= seconds < float("inf"):
            raise ValueError("devnet time can only be warped ahead, by a finite number of seconds")
        self.warped_seconds += seconds
        self._jump(seconds)
        return self.now()

    def advance_to(self, timestamp: float) -> None:
        """Jump ahead to a block's timestamp; a time that has passed already changes nothing."""
        self._jump(max(0.0, timestamp - self.now()))

    async def sleep_until(self, timestamp: float) -> None:
        """Return once devnet time has reached `timestamp`; a warp cuts the wait short."""
        while (left := timestamp - self.now()) > 0:
            jumped = self._jumped
            try:
                await asyncio.wait_for(jumped.wait(), None if self.is_stepped else left)
            except TimeoutError:
                continue

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of devnet time."""
        await self.sleep_until(self.now() + seconds)

    def _jump(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self._offset += seconds
        # A fresh event for those who come later; those who wait now hold the old one.
        woken, self._jumped = self._jumped, asyncio.Event()
        woken.set()
