"""Links over Unix domain sockets: connect with a deadline and back-off, greet, send, receive. `link_server` listens.

Waiting runs on the injected clock. A receiver that is slow stops the sender's socket; the sender's queues then do what
their policy says (`link_queues`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from node.clock import Clock, within
from node.link import AnyLinkMessage, FrameDecoder, Hello, Refusal, encode_frame, require_version
from node.link_errors import LinkClosed, LinkRefused, LinkUnavailable
from node.link_queues import DEFAULT_LIMITS, Outbox, QueueLimits
from protocol.errors import MalformedMessage

READ_BYTES: Final = 64 * 1024
SEND_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
FIRST_BACKOFF_SECONDS: Final = 0.05
MAX_BACKOFF_SECONDS: Final = 1.0


class Link:
    """One greeted connection: `peer` is the other process's name. Close it, or use it as an async context manager."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        clock: Clock,
        limits: Mapping[str, QueueLimits] = DEFAULT_LIMITS,
    ) -> None:
        self.peer = ""
        self.outbox = Outbox(clock, limits)
        self._reader, self._writer = streams
        self._clock = clock
        self._decoder = FrameDecoder()
        self._sending: asyncio.Task[None] | None = None

    async def send(self, message: AnyLinkMessage, deadline_seconds: float = SEND_SECONDS) -> None:
        """Queue a message. Raises LinkBusy if its queue blocks and stays full, LinkClosed if the other side is gone."""
        await self.outbox.put(message, deadline_seconds)

    async def receive(self) -> AnyLinkMessage:
        """Return the next message; wait for it. Raises LinkClosed, LinkRefused; RemoteProtocolError for wrong bytes."""
        while (message := self._decoder.next_message()) is None:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError as error:
                raise LinkClosed(f"{self.peer or 'the other side'}: {error.strerror}") from None
            if not data:
                self._decoder.end()
                raise LinkClosed(f"{self.peer or 'the other side'} has closed")
            self._decoder.feed(data)
        if isinstance(message, Refusal):
            raise LinkRefused(message.reason)
        return message

    async def await_hello(self, deadline_seconds: float) -> None:
        """Wait for the other side's Hello. Raises what `receive` does, WrongVersion, and TimeoutError."""
        message = await within(self._clock, deadline_seconds, self.receive())
        if not isinstance(message, Hello):
            raise MalformedMessage(f"begins with {type(message).__name__} instead of Hello", "frame")
        require_version(message)
        self.peer = message.process

    async def say_now(self, message: AnyLinkMessage, deadline_seconds: float) -> None:
        """Write a message past the queues, before the link is in use or as its last word."""
        with contextlib.suppress(OSError):  # a dead peer shows at the next receive
            await within(self._clock, deadline_seconds, self._write(encode_frame(message)))

    def start_sending(self) -> None:
        """Begin to send what is queued."""
        if not self._writer.is_closing():
            self._writer.transport.set_write_buffer_limits(high=READ_BYTES)
        self._sending = asyncio.create_task(self._send_queued())

    async def close(self) -> None:
        """Send what is queued for at most CLOSE_SECONDS, then close. What is left over stays counted in `outbox`."""
        self.outbox.close()
        try:
            await within(self._clock, CLOSE_SECONDS, self._flush())
        except TimeoutError:  # the other side does not read
            self._writer.transport.abort()

    async def __aenter__(self) -> Link:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _flush(self) -> None:
        if self._sending is not None:
            await self._sending
        self._writer.close()
        with contextlib.suppress(OSError):  # it had died before: closed all the same
            await self._writer.wait_closed()

    async def _write(self, frames: bytes) -> None:
        """Raises OSError. A transport that uvloop has closed raises RuntimeError, which would end the process."""
        if self._writer.is_closing():
            raise ConnectionResetError(f"{self.peer or 'the other side'} has closed")
        self._writer.write(frames)
        await self._writer.drain()

    async def _send_queued(self) -> None:
        try:
            while frames := await self.outbox.take():
                await self._write(frames)
        except OSError:
            self.outbox.close()


async def connect(
    path: Path,
    process: str,
    clock: Clock,
    deadline_seconds: float,
    limits: Mapping[str, QueueLimits] = DEFAULT_LIMITS,
) -> Link:
    """Return a greeted link to whoever listens at `path`, as the process named `process`.

    Tries again with doubling pauses while nobody answers. Raises LinkUnavailable at the deadline, LinkRefused if the
    other side said no, RemoteProtocolError if it answered garbage or speaks another version.
    """
    deadline = clock.monotonic() + deadline_seconds
    pause = FIRST_BACKOFF_SECONDS
    while True:
        try:
            return await _connect_once(path, process, clock, max(0.0, deadline - clock.monotonic()), limits)
        except (OSError, LinkClosed) as error:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise LinkUnavailable(f"{path.name}: nobody answered within {deadline_seconds} s ({error})") from None
        await clock.sleep(min(pause, left))
        pause = min(2 * pause, MAX_BACKOFF_SECONDS)


async def _connect_once(
    path: Path, process: str, clock: Clock, seconds: float, limits: Mapping[str, QueueLimits]
) -> Link:
    link = Link(await within(clock, seconds, asyncio.open_unix_connection(path)), clock, limits)
    try:
        await link.say_now(Hello(process=process), seconds)
        await link.await_hello(seconds)
    except BaseException:
        await link.close()
        raise
    link.start_sending()
    return link
