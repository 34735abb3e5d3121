"""What a node of the chain announces over WebSocket: heads, pending transactions, on a devnet the stages of lockstep.

One connection carries all channels, so that their order is the node's. It is opened again whenever it ends, after a
pause that doubles and has a part by chance, so that nodes do not come back all at once.

SubscriptionLost    the connection was refused, ended, stayed silent while it was set up, or brought garbage
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from random import Random
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias

import aiohttp
import msgspec
import orjson

from node.clock import Clock, within
from node.engine.endpoints import backoff_seconds
from node.errors import NodeError

_log = logging.getLogger(__name__)

SETUP_SECONDS: Final = 5.0
_HEARTBEAT_SECONDS: Final = 10.0
_MESSAGE_BYTES: Final = 8 * 1024 * 1024


class SubscriptionLost(NodeError):
    """The connection is of no use any more; the text says why, and names the node by what may be shown of its URL."""


class Channel(StrEnum):
    """What can be listened to; the value is the first parameter of `eth_subscribe`."""

    HEADS = "newHeads"
    PENDING = "newPendingTransactions"
    STAGES = "devnet_stages"


_PARAMETERS: Final[dict[Channel, tuple[Any, ...]]] = {Channel.PENDING: (True,)}
"""Pending transactions with their bodies."""

Handler: TypeAlias = Callable[[Channel, msgspec.Raw], Awaitable[None] | None]
"""Takes one announcement; where it returns something to await, the next one waits for it."""


class Socket(Protocol):
    """An open WebSocket."""

    async def send(self, text: bytes) -> None:
        """Send a message. Raises SubscriptionLost."""

    async def receive(self) -> bytes:
        """Return the next message. Raises SubscriptionLost."""

    async def close(self) -> None:
        """Close it."""


Dial: TypeAlias = Callable[[str, str], Awaitable[Socket]]
"""Opens a WebSocket: (name to be shown, URL). Raises SubscriptionLost."""


class _Params(msgspec.Struct):
    subscription: str
    result: msgspec.Raw


class _Message(msgspec.Struct):
    id: int | None = None
    params: _Params | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Message)


class Subscription:
    """The channels of one node. `state` is empty while all is well, else says what is missing.

    A node that does not announce pending transactions with their bodies is followed for its heads.

    `counts`: `messages`, `connections`, `lost` connections.
    """

    def __init__(
        self, name: str, url: str, channels: Sequence[Channel], clock: Clock, random: Random, dial: Dial
    ) -> None:
        self.state = "not connected yet"
        self.counts: Counter[str] = Counter()
        self._name, self._url, self._channels = name, url, tuple(channels)
        self._clock, self._random, self._dial = clock, random, dial
        self._by_id: dict[str, Channel] = {}
        self._lacks = ""

    async def follow(self, handle: Handler, connected: Callable[[], None] = lambda: None) -> NoReturn:
        """Hand every announcement on, over as many connections as it takes, until cancelled.

        `connected` is called after each time the channels were opened: what was announced before is missed.
        """
        failures = 0
        while True:
            before = self.counts["messages"]
            try:
                await self.follow_once(handle, connected)
            except SubscriptionLost as lost:
                failures = 1 if self.counts["messages"] > before else failures + 1
                self.counts["lost"] += 1
                self.state = str(lost)
                pause = backoff_seconds(failures, self._random)
                _log.warning("%s; again in %.1f s", lost, pause)
                await self._clock.sleep(pause)

    async def follow_once(self, handle: Handler, connected: Callable[[], None] = lambda: None) -> NoReturn:
        """Hand every announcement of one connection on. Raises SubscriptionLost when it ends."""
        try:
            socket = await within(self._clock, SETUP_SECONDS, self._dial(self._name, self._url))
        except TimeoutError:
            raise SubscriptionLost(f"{self._name}: no WebSocket within {SETUP_SECONDS:g} s") from None
        try:
            early = await self._open_channels(socket)
            self.state = self._lacks
            self.counts["connections"] += 1
            connected()
            for message in early:
                await self._take(message, handle)
            while True:
                await self._take(self._parse(await socket.receive()), handle)
        finally:
            await socket.close()

    async def _open_channels(self, socket: Socket) -> list[_Message]:
        """Subscribe; return what was announced meanwhile."""
        self._by_id.clear()
        self._lacks = ""
        early: list[_Message] = []
        for identifier, channel in enumerate(self._channels):
            params = [channel.value, *_PARAMETERS.get(channel, ())]
            await socket.send(
                orjson.dumps({"jsonrpc": "2.0", "id": identifier, "method": "eth_subscribe", "params": params})
            )
            try:
                answer = await within(self._clock, SETUP_SECONDS, self._answer(socket, identifier, early))
            except TimeoutError:
                raise SubscriptionLost(f"{self._name}: no answer to a subscription to {channel}") from None
            if not isinstance(answer, str) and channel is Channel.PENDING:
                self._lacks = f"{self._name}: announces no pending transactions with their bodies"
                continue
            if not isinstance(answer, str):
                raise SubscriptionLost(f"{self._name}: does not take a subscription to {channel}")
            self._by_id[answer] = channel
        return early

    async def _answer(self, socket: Socket, identifier: int, early: list[_Message]) -> Any:
        while True:
            message = self._parse(await socket.receive())
            if message.params is not None:
                early.append(message)
            elif message.error is not None:
                return None
            elif message.id == identifier:
                return msgspec.json.decode(message.result)

    async def _take(self, message: _Message, handle: Handler) -> None:
        params = message.params
        channel = None if params is None else self._by_id.get(params.subscription)
        if params is None or channel is None:
            return
        self.counts["messages"] += 1
        waiting = handle(channel, params.result)
        if waiting is not None:
            await waiting

    def _parse(self, text: bytes) -> _Message:
        try:
            return _DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SubscriptionLost(f"{self._name}: not JSON-RPC: {str(error)[:100]}") from None


class _WebSocket:
    def __init__(
        self, name: str, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse[Literal[False]]
    ) -> None:
        self._name, self._session, self._socket = name, session, socket

    async def send(self, text: bytes) -> None:
        try:
            await self._socket.send_frame(text, aiohttp.WSMsgType.TEXT)
        except (aiohttp.ClientError, OSError) as error:
            raise SubscriptionLost(f"{self._name}: the connection broke ({type(error).__name__})") from None

    async def receive(self) -> bytes:
        message = await self._socket.receive()
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise SubscriptionLost(f"{self._name}: the connection ended ({message.type.name.lower()})")
        text: bytes = message.data
        return text

    async def close(self) -> None:
        await self._session.close()


async def _refuse_redirect(*_: object) -> None:
    raise aiohttp.ClientError("a redirect")


def dial_websocket(*, heartbeat: bool = True) -> Dial:
    """Return a way to open WebSockets; without `heartbeat` the other side may stay silent for as long as it likes."""

    async def dial(name: str, url: str) -> Socket:
        watch = aiohttp.TraceConfig()
        watch.on_request_redirect.append(_refuse_redirect)
        session = aiohttp.ClientSession(trace_configs=[watch])
        try:
            socket = await session.ws_connect(
                url,
                max_msg_size=_MESSAGE_BYTES,
                heartbeat=_HEARTBEAT_SECONDS if heartbeat else None,
                decode_text=False,
                autoping=True,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            await session.close()
            raise SubscriptionLost(f"{name}: no WebSocket ({type(error).__name__})") from None
        except asyncio.CancelledError:
            await session.close()
            raise
        return _WebSocket(name, session, socket)

    return dial
