"""What comes in from the engine: entries, written in batches and then acknowledged, and its status.

One queue and one writer for all connections, so that a reconnecting engine never meets its own half-written batch. The
queue is bounded: when the disk is slow or full the engine's socket stands still, and its spool holds what follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from node.clock import Clock
from node.desk.ledger.errors import LedgerUnwritable
from node.desk.ledger.ledger import Ledger
from node.link import EngineStatus, LedgerAcknowledgement, LedgerEntry, Ping, Pong
from node.link_errors import LinkError
from node.link_sockets import Link

MAX_WAITING: Final = 1_024
MAX_BATCH: Final = 256
RETRY_SECONDS: Final = 2.0

_LOG: Final = logging.getLogger("hftnode.desk")


class Intake:
    """See the module. `engine` is the last status; `trouble` why the ledger takes nothing, if so."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.engine: EngineStatus | None = None
        self.engine_told_at: float | None = None
        """On the clock."""
        self.trouble = ""
        self._ledger = ledger
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[LedgerEntry, Link] | None] = asyncio.Queue(MAX_WAITING)
        self._stopping = asyncio.Event()

    @property
    def last_sequence(self) -> int:
        """The last entry on disk."""
        return self._ledger.last_sequence

    async def handle(self, link: Link) -> None:
        """Serve one connection until it ends. Tells first what is on disk, so that the engine resends only the rest.

        Raises LinkError, RemoteProtocolError.
        """
        await link.send(LedgerAcknowledgement(sequence=self.last_sequence))
        while True:
            match await link.receive():
                case LedgerEntry() as entry:
                    await self._waiting.put((entry, link))
                case EngineStatus() as status:
                    self.engine, self.engine_told_at = status, self._clock.monotonic()
                case Ping(nonce=nonce):
                    await link.send(Pong(nonce=nonce))
                case other:
                    _LOG.warning("%s sent a %s, which is not for the desk", link.peer, type(other).__name__)

    async def write(self) -> None:
        """Write what comes in until `stop`. Raises LedgerUnusable when the file is damaged."""
        while (first := await self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                following = self._waiting.get_nowait()
                if following is None:
                    self._stopping.set()
                    break
                batch.append(following)
            if not await self._append([entry for entry, _ in batch]) or self._stopping.is_set():
                return
            for link in dict.fromkeys(link for _, link in batch):
                with contextlib.suppress(LinkError):  # it asks again when it is back
                    await link.send(LedgerAcknowledgement(sequence=self.last_sequence))

    def stop(self) -> None:
        """Let `write` end after the batch that is under way; what is not acknowledged comes again."""
        self._stopping.set()
        with contextlib.suppress(asyncio.QueueFull):  # then the writer is not waiting, and looks at the flag
            self._waiting.put_nowait(None)

    async def _append(self, entries: list[LedgerEntry]) -> bool:
        """Append a batch, again and again while the disk is full; False if asked to stop before."""
        while True:
            try:
                await self._ledger.append(entries)
            except LedgerUnwritable as error:
                if not self.trouble:
                    _LOG.error("%s", error)  # once, not each time it is tried again
                self.trouble = str(error)
            else:
                self.trouble = ""
                return True
            if not await self._pause():
                return False

    async def _pause(self) -> bool:
        """Wait before the next try; False if asked to stop meanwhile."""
        waits = {asyncio.ensure_future(self._clock.sleep(RETRY_SECONDS)), asyncio.ensure_future(self._stopping.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return not self._stopping.is_set()
