"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio


class ManualClock:
    """Its time moves by `advance` only, which wakes who has slept long enough."""

    def __init__(self) -> None:
        self._now = 0.0
        self._somebody_sleeps = asyncio.Event()
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self._now + seconds, seconds, woken)
        self._sleepers.append(sleeper)
        self._somebody_sleeps.set()
        try:
            await woken
        finally:
            self._sleepers.remove(sleeper)

    async def until_asleep(self, seconds: float) -> None:
        """Return when somebody sleeps for exactly `seconds`."""
        while not any(abs(asked - seconds) < 1e-9 for _, asked, _ in self._sleepers):
            self._somebody_sleeps.clear()
            await self._somebody_sleeps.wait()

    async def advance(self, seconds: float) -> None:
        """Move time on and wake who is due."""
        self._now += seconds
        for due, _, woken in self._sleepers:
            if due <= self._now + 1e-9 and not woken.done():
                woken.set_result(None)
        await asyncio.sleep(0)
