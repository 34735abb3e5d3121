"""Runs the lockstep machine: carries out its effects one after the other, and watches its deadline in real time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from devnet.relay.lockstep import Admit, Build, Dropped, Effect, Lockstep, Place, StageOpened
from devnet.relay.subscriptions import Subscriptions

_log = logging.getLogger(__name__)

Arrival = Callable[[], Awaitable[None]]
Position = tuple[int, int]
"""Block in the making, and its open stage; -1 before the first."""


class LockstepDriver:
    """The async shell around `Lockstep`. `run` must be running for anything to happen."""

    def __init__(self, machine: Lockstep, subscriptions: Subscriptions, deadline_seconds: float) -> None:
        self.machine = machine
        self._subscriptions = subscriptions
        self._deadline = deadline_seconds
        # Bounded by the machine: a participant causes at most one step a barrier, and must await the next.
        self._effects: asyncio.Queue[Effect] = asyncio.Queue()
        self._build = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        self.position: Position = (machine.block, -1)

    async def run(self) -> None:
        """Carry out effects until cancelled."""
        try:
            while True:
                await self._carry_out(await self._effects.get())
        finally:
            self._stop_timer()

    def join(self, name: str, stage: int, at_least: int) -> None:
        """See `Lockstep.join`."""
        self._put(self.machine.join(name, stage, at_least))

    def leave(self, name: str) -> None:
        """See `Lockstep.leave`."""
        self._put(self.machine.leave(name))

    def barrier(self, name: str, block: int, stage: int) -> None:
        """See `Lockstep.barrier`."""
        self._put(self.machine.barrier(name, block, stage))

    def hold(self, name: str, place: Place, arrival: Arrival) -> None:
        """See `Lockstep.hold`; `arrival` is called when the stage closes."""
        self.machine.hold(name, place, arrival)

    async def await_stage(self, block: int, stage: int, timeout_seconds: float) -> Position:
        """Return the position once it is at or past this one, or when the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.position < (block, stage):
                    await self._moved.wait()
        return self.position

    async def build_wanted(self) -> None:
        """Return when a block is to be built."""
        await self._build.wait()

    def built(self) -> None:
        """Go on after the block is published."""
        self._build.clear()
        self._put(self.machine.built())

    def _put(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._effects.put_nowait(effect)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Admit(arrivals):
                for arrival in arrivals:
                    await arrival()
            case StageOpened(block, stage):
                self.position = (block, stage)
                woken, self._moved = self._moved, asyncio.Event()
                woken.set()
                self._subscriptions.announce_stage(block, stage)
                self._restart_timer()
            case Build():
                self._stop_timer()
                self._build.set()
            case Dropped(_, reason):
                _log.warning("%s", reason)

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._deadline, self._expire, self.position)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, position: Position) -> None:
        if position == (self.machine.block, self.machine.stage):
            self._put(self.machine.deadline(self._deadline))
