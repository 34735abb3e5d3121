"""A TCP proxy that can be cut, as a cable can, and that can be a bad line: slow, narrow, lossy, or corrupting."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

CHUNK_BYTES: Final = 65_536
QUEUED_CHUNKS: Final = 256


@dataclass(frozen=True)
class BadLine:
    """What a line does to each piece that passes: delay it, take its time, lose it, flip a bit of it.

    TCP hides what a cable loses or corrupts; who loses a piece of a stream here is a broken router in the middle.
    """

    delay_seconds: float = 0.0
    bytes_per_second: float = 0.0
    """0: as many as there are."""
    lost: float = 0.0
    corrupted: float = 0.0


GOOD_LINE: Final = BadLine()


class TcpProxy:
    """Listens on a port of its own and passes everything on to the host of a URL. Use as an async context manager.

    `line` may be changed at any time; what it does by chance follows from `seed`. `mangled` counts what it did.
    """

    def __init__(self, url: str, host: str = "127.0.0.1", seed: int = 0) -> None:
        parts = urlsplit(url)
        self.line = GOOD_LINE
        self.mangled = 0
        self._target = (parts.hostname or "", parts.port or 0)
        self._host = host
        self._drawn = random.Random(seed)  # noqa: S311  # nosec B311  bad lines, not secrets
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    @property
    def port(self) -> int:
        return self._port

    @property
    def http(self) -> str:
        return f"http://{self._host}:{self._port}/"

    @property
    def websocket(self) -> str:
        return f"ws://{self._host}:{self._port}/"

    async def cut(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._open):
            writer.transport.abort()

    async def restore(self) -> None:
        """Take connections again, on the same port."""
        self._server = await asyncio.start_server(self._connected, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward = await asyncio.open_connection(*self._target)
        except OSError:  # nobody listens there: as the client would see it without us
            writer.transport.abort()
            return
        self._open |= {writer, onward}
        ways = [
            asyncio.ensure_future(self._pass(reader, onward)),
            asyncio.ensure_future(self._pass(onward_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, onward):
                end.transport.abort()
                self._open.discard(end)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS)
        writing = asyncio.ensure_future(self._write(pieces, writer))
        clock = asyncio.get_running_loop().time
        try:
            while data := await reader.read(CHUNK_BYTES):
                await pieces.put((clock() + self.line.delay_seconds, self._mangle(data)))
            await pieces.put((clock() + self.line.delay_seconds, b""))
            await writing
        except OSError:
            return
        finally:
            writing.cancel()

    async def _write(self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await pieces.get()
            if due > clock():
                await asyncio.sleep(due - clock())
            if not data:
                return
            if self.line.bytes_per_second:
                await asyncio.sleep(len(data) / self.line.bytes_per_second)
            writer.write(data)
            await writer.drain()

    def _mangle(self, data: bytes) -> bytes:
        """Return what the line makes of a piece; a lost one has no bytes left but one, for none would be its end."""
        if self._drawn.random() < self.line.lost:
            self.mangled += 1
            return data[-1:]
        if self._drawn.random() < self.line.corrupted:
            self.mangled += 1
            place = self._drawn.randrange(len(data))
            return data[:place] + bytes([data[place] ^ 1 << self._drawn.randrange(8)]) + data[place + 1 :]
        return data
