"""One WebSocket connection: calls in, answers and subscriptions out, through one bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import ClientConnectionResetError, WSMsgType, web

from devnet.relay import jsonrpc
from devnet.relay.config import ServerLimits
from devnet.relay.faults import PUBLIC
from devnet.relay.jsonrpc import Call
from devnet.relay.subscriptions import Listener, Subscriptions

HALF: Final = "/half"
"""Where a WebSocket sees half of the public mempool."""
Dispatch = Callable[[Call, Listener | None], Awaitable[Any]]
"""Answers a public call; the listener is the WebSocket it came on, None over HTTP."""
Misbehave = Callable[[str], Awaitable[tuple[int, bytes] | None]]


class WebSocketSession:
    """Serves one connection until either side ends it, or it is too slow."""

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        request: web.Request,
        limits: ServerLimits,
        subscriptions: Subscriptions,
        dispatch: Dispatch,
        misbehave: Misbehave,
    ) -> None:
        self._websocket = websocket
        self._request = request
        self._limits = limits
        self._subscriptions = subscriptions
        self._dispatch = dispatch
        self._misbehave = misbehave
        self._listener = Listener(limits.messages_waiting, self._cut, sees_half=request.path == HALF)
        self._places = asyncio.Semaphore(limits.calls_per_websocket)
        self._order = asyncio.Lock()
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read calls until the connection ends."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._websocket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._places.acquire()
                    data = message.data.encode() if isinstance(message.data, str) else message.data
                    call = asyncio.create_task(self._serve(data))
                    self._calls.add(call)
                    call.add_done_callback(self._served)
        finally:
            self._subscriptions.forget(self._listener)
            tasks = (writer, *self._calls)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _served(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._places.release()

    async def _serve(self, data: bytes) -> None:
        wrong = await self._misbehave(PUBLIC)
        if wrong is not None:
            self._listener.send(wrong[1])
            return
        answer = await jsonrpc.answer(
            data, self._handle, batch_limit=self._limits.batch_calls, is_ordered=jsonrpc.is_ordered
        )
        if answer is not None:
            self._listener.send(answer)

    async def _handle(self, call: Call) -> Any:
        if not jsonrpc.is_ordered(call.method):
            return await self._dispatch(call, self._listener)
        async with self._order:  # fair: in the order of the messages
            return await self._dispatch(call, self._listener)

    async def _write(self) -> None:
        while True:
            message = await self._listener.outbox.get()
            try:
                await self._websocket.send_frame(message, WSMsgType.TEXT)
            except ClientConnectionResetError:  # the other side has gone: the reading end ends the session
                return

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
