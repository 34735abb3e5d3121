"""The listening side of the links: one socket file with permissions 0600, one handler per greeted connection."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from node.clock import Clock
from node.link import Hello, Refusal
from node.link_errors import LinkClosed, LinkError, SocketUnusable
from node.link_queues import DEFAULT_LIMITS, QueueLimits
from node.link_sockets import CLOSE_SECONDS, Link
from protocol.errors import RemoteProtocolError

GREETING_SECONDS: Final = 2.0
MAX_CONNECTIONS: Final = 16

_LOG: Final = logging.getLogger("hftnode.link")


class LinkServer:
    """Listens at `path` as the process named `process`; runs `handle` for each connection, closes it when that returns.

    A peer that sends wrong bytes, another version or an unknown message gets a `Refusal` that says so, and is counted
    in `refused`. At most `max_connections` at once. A lock file beside the socket keeps a second server away; the
    system releases it when its holder dies, so that a socket file left behind is no obstacle.
    """

    def __init__(
        self,
        path: Path,
        process: str,
        handle: Callable[[Link], Awaitable[None]],
        clock: Clock,
        limits: Mapping[str, QueueLimits] = DEFAULT_LIMITS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.path = path
        self.refused = 0
        self._process = process
        self._handle = handle
        self._clock = clock
        self._limits = limits
        self._max_connections = max_connections
        self._connections: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None
        self._lock: int = -1

    async def start(self) -> None:
        """Begin to listen. Raises SocketUnusable."""
        self._lock = _lock(self.path)
        try:
            self._server = await asyncio.start_unix_server(self._connected, sock=_bind(self.path))
        except BaseException:
            os.close(self._lock)
            raise

    async def close(self) -> None:
        """Stop listening, cancel the handlers, close their connections, remove the socket."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        _remove(self.path)
        os.close(self._lock)

    async def __aenter__(self) -> LinkServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(Link((reader, writer), self._clock, self._limits)))
        self._connections[connection] = None
        connection.add_done_callback(lambda task: self._connections.pop(task, None))

    async def _serve(self, link: Link) -> None:
        try:
            await self._greet(link)
            await self._handle(link)
        except RemoteProtocolError as error:
            await self._refuse(link, error)
        except LinkError as error:
            _LOG.info("link with %s ended: %s", link.peer or "an unknown process", error)
        except Exception:
            _LOG.exception("the handler of the link with %s failed", link.peer or "an unknown process")
        finally:
            await link.close()

    async def _greet(self, link: Link) -> None:
        """Hear the Hello first: who is refused before it has spoken might not hear why."""
        try:
            await link.await_hello(GREETING_SECONDS)
        except TimeoutError:
            raise LinkClosed(f"no Hello within {GREETING_SECONDS} s") from None
        if len(self._connections) > self._max_connections:
            self.refused += 1
            await link.say_now(
                Refusal(reason=f"{self._process} has {self._max_connections} connections"), CLOSE_SECONDS
            )
            raise LinkClosed("refused: too many connections")
        await link.say_now(Hello(process=self._process), GREETING_SECONDS)
        link.start_sending()

    async def _refuse(self, link: Link, error: RemoteProtocolError) -> None:
        self.refused += 1
        _LOG.warning("refused %s: %s", link.peer or "an unknown process", error)
        await link.say_now(Refusal(reason=str(error)), CLOSE_SECONDS)


def _lock(path: Path) -> int:
    """Return the descriptor that holds the lock beside `path`."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SocketUnusable(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SocketUnusable(f"{path}: another process listens there") from None
    return descriptor


def _bind(path: Path) -> socket.socket:
    """Return a bound socket that only this user can connect to, not yet listening: until then nobody gets in."""
    _remove(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        raise SocketUnusable(f"{path}: {error.strerror or error}") from None
    return listener


def _remove(path: Path) -> None:
    """Remove the socket file of a server that is gone; SocketUnusable if something else stands there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketUnusable(f"{path}: exists and is not a socket")
    path.unlink()
