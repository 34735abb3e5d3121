"""The bounded queues of a link's sending side: what happens when one is full has a name, and every drop is counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.clock import Clock, within
from node.link import MAX_FRAME_BYTES, AnyLinkMessage, EngineStatus, LedgerEntry, MarketTick, encode_frame
from node.link_errors import LinkBusy, LinkClosed

FRAMES_PER_TURN: Final = 32


class Overflow(Enum):
    """What happens to a message for a full queue."""

    DROP_OLDEST = "drop oldest"  # the new one goes in, the oldest are dropped and counted
    BLOCK = "block"  # the sender waits for room until its deadline


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The bounds of one queue, in frames and in bytes, and what happens there."""

    frames: int
    bytes: int
    overflow: Overflow


TICKS: Final = QueueLimits(frames=1024, bytes=MAX_FRAME_BYTES, overflow=Overflow.DROP_OLDEST)
LEDGER: Final = QueueLimits(frames=4096, bytes=8 * MAX_FRAME_BYTES, overflow=Overflow.BLOCK)
CONTROL: Final = QueueLimits(frames=256, bytes=2 * MAX_FRAME_BYTES, overflow=Overflow.BLOCK)
DEFAULT_LIMITS: Final = {"control": CONTROL, "ledger": LEDGER, "ticks": TICKS}


class FrameQueue:
    """Frames in the order in which they were put, within `limits`.

    `dropped` counts the frames that fell out, `refused` those that were not taken before their deadline.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self.limits = limits
        self.dropped = 0
        self.refused = 0
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._room = asyncio.Event()
        self._order = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._frames)

    async def put(self, frame: bytes, clock: Clock, deadline_seconds: float) -> None:
        """Append a frame. Raises LinkBusy if the queue blocks and stays full until the deadline, and LinkClosed."""
        if self.limits.overflow is Overflow.DROP_OLDEST:
            while not self._has_room(frame):
                self._pop()
                self.dropped += 1
            self._append(frame)
        elif self._has_room(frame) and not self._order.locked():
            self._append(frame)
        else:
            try:
                await within(clock, deadline_seconds, self._append_when_room(frame))
            except TimeoutError:
                self.refused += 1
                raise LinkBusy(f"the queue stayed full for {deadline_seconds} s") from None

    def take(self, at_most: int) -> list[bytes]:
        """Take the oldest frames out."""
        taken = [self._pop() for _ in range(min(at_most, len(self._frames)))]
        self._room.set()
        return taken

    def close(self) -> None:
        """Take nothing more; whoever waits for room gets LinkClosed."""
        self._closed = True
        self._room.set()

    async def _append_when_room(self, frame: bytes) -> None:
        async with self._order:
            while not self._closed and not self._has_room(frame):
                self._room.clear()
                await self._room.wait()
            self._append(frame)

    def _append(self, frame: bytes) -> None:
        if self._closed:
            raise LinkClosed("this link is closed")
        self._frames.append(frame)
        self._bytes += len(frame)

    def _has_room(self, frame: bytes) -> bool:
        """Tell whether `frame` fits now; an empty queue takes any frame."""
        fits = len(self._frames) < self.limits.frames and self._bytes + len(frame) <= self.limits.bytes
        return fits or not self._frames

    def _pop(self) -> bytes:
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame


class Outbox:
    """One link's queues: control before ledger before ticks, each at most FRAMES_PER_TURN a turn: none starves."""

    def __init__(self, clock: Clock, limits: Mapping[str, QueueLimits] = DEFAULT_LIMITS) -> None:
        self._clock = clock
        self._queues = {name: FrameQueue(limits[name]) for name in DEFAULT_LIMITS}
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages each queue has dropped."""
        return {name: queue.dropped for name, queue in self._queues.items()}

    @property
    def refused(self) -> Mapping[str, int]:
        """How many messages each queue did not take before their deadline."""
        return {name: queue.refused for name, queue in self._queues.items()}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    async def put(self, message: AnyLinkMessage, deadline_seconds: float) -> None:
        """Queue a message by its kind. Raises LinkBusy or LinkClosed, and what `encode_frame` raises."""
        await self._queues[_queue_of(message)].put(encode_frame(message), self._clock, deadline_seconds)
        self._ready.set()

    async def take(self) -> bytes:
        """Return the next frames, joined; wait while there are none. Empty when closed and nothing is left."""
        while not len(self) and not self._closed:
            self._ready.clear()
            await self._ready.wait()
        return b"".join(frame for queue in self._queues.values() for frame in queue.take(FRAMES_PER_TURN))

    def close(self) -> None:
        """Take nothing more; what is queued can still be taken out."""
        self._closed = True
        for queue in self._queues.values():
            queue.close()
        self._ready.set()


def _queue_of(message: AnyLinkMessage) -> str:
    if isinstance(message, (MarketTick, EngineStatus)):
        return "ticks"
    return "ledger" if isinstance(message, LedgerEntry) else "control"
