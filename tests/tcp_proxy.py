"""A TCP proxy that can be cut, as a cable can."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit


class TcpProxy:
    """Listens on a port of its own and passes everything on to the host of a URL. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def websocket(self) -> str:
        return f"ws://127.0.0.1:{self._port}/"

    async def cut(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._open):
            writer.transport.abort()

    async def restore(self) -> None:
        """Take connections again, on the same port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection(*self._target)
        self._open |= {writer, onward}
        try:
            await asyncio.wait(
                [asyncio.ensure_future(_pass(reader, onward)), asyncio.ensure_future(_pass(onward_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for end in (writer, onward):
                end.transport.abort()
                self._open.discard(end)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
