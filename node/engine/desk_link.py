"""The way to the desk: what the spool holds, in order, again after each break, and the status once a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.clock import Clock
from node.engine.spool import Spool
from node.link import EngineStatus, LedgerAcknowledgement, Ping, Pong
from node.link_errors import LinkError
from node.link_sockets import Link, connect
from protocol.errors import RemoteProtocolError

CONNECT_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.5
STATUS_SECONDS: Final = 1.0
BATCH: Final = 256

_LOG: Final = logging.getLogger("hftnode.engine.desk")


class DeskLink:
    """Runs until it is cancelled; a desk that is away costs nothing but memory of what it missed."""

    def __init__(self, path: Path, spool: Spool, status: Callable[[], EngineStatus], clock: Clock) -> None:
        self.connected = False
        self._path, self._spool, self._status, self._clock = path, spool, status, clock
        self._news = asyncio.Event()
        self._greeted = asyncio.Event()
        """Set once the desk has told its last number: nothing is sent before, as the numbers may change by it."""

    def wake(self) -> None:
        """Something was appended to the spool."""
        self._news.set()

    async def run(self) -> None:
        """Connect, hand over, connect again. Raises SpoolFailed."""
        while True:
            try:
                async with await connect(self._path, "engine", self._clock, CONNECT_SECONDS) as link:
                    self.connected = True
                    await self._serve(link)
            except (LinkError, RemoteProtocolError) as error:
                if self.connected:
                    _LOG.warning("the desk is away (%s): its entries wait in the spool", error)
            self.connected = False
            await self._clock.sleep(PAUSE_SECONDS)

    async def _serve(self, link: Link) -> None:
        self._greeted.clear()
        parts = [asyncio.create_task(part) for part in (self._send(link), self._receive(link), self._tell(link))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _send(self, link: Link) -> None:
        await self._greeted.wait()
        sent = 0
        while True:
            self._news.clear()
            for entry in self._spool.after(sent, BATCH):
                await link.send(entry)
                sent = entry.sequence
            if not self._spool.has_after(sent):
                await self._news.wait()

    async def _receive(self, link: Link) -> None:
        while True:
            message = await link.receive()
            if isinstance(message, LedgerAcknowledgement) and self._greeted.is_set():
                self._spool.acknowledge(message.sequence)
            elif isinstance(message, LedgerAcknowledgement):
                self._greet(message.sequence)
            elif isinstance(message, Ping):
                await link.send(Pong(nonce=message.nonce))

    def _greet(self, last: int) -> None:
        renumbered = self._spool.greet(last)
        if renumbered:
            _LOG.warning("the spool was lost: %d entries are numbered anew, behind the desk's %d", renumbered, last)
        self._greeted.set()

    async def _tell(self, link: Link) -> None:
        while True:
            await link.send(self._status())
            await self._clock.sleep(STATUS_SECONDS)
