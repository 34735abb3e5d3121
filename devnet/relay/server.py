"""The server: JSON-RPC over HTTP and WebSocket, the builders' endpoints and /admin, all on one port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Token
from typing import Any, Final

import aiohttp
from aiohttp import web

from devnet.clock import DevnetClock
from devnet.errors import DevnetError, PortTaken
from devnet.relay import jsonrpc
from devnet.relay.builder_endpoints import BuilderEndpoints
from devnet.relay.config import RelayConfig
from devnet.relay.faults import PUBLIC, Fault, FaultKind, Faults
from devnet.relay.intake import Ticket, current_ticket
from devnet.relay.jsonrpc import InvalidRequest, JsonRpcError, LimitExceeded
from devnet.relay.subscriptions import Subscriptions
from devnet.relay.websocket import HALF, Dispatch, WebSocketSession

PARTICIPANT_HEADER: Final = "X-Devnet-Participant"
SEQUENCE_HEADER: Final = "X-Devnet-Sequence"
HEARTBEAT_SECONDS: Final = 30.0
"""Who does not answer a ping within half of it is cut off."""
GARBAGE: Final = b'<html>502 Bad Gateway</html>{"jsonrpc":'


class Server:
    """Listens, bounds what comes in, and misbehaves as the faults in force say."""

    def __init__(
        self,
        *,
        config: RelayConfig,
        public: Dispatch,
        admin: jsonrpc.Handler,
        builders: BuilderEndpoints,
        subscriptions: Subscriptions,
        faults: Faults,
        clock: DevnetClock,
        counts: Counter[str],
    ) -> None:
        self._config = config
        self._limits = config.server
        self._public = public
        self._admin = admin
        self._builders = builders
        self._builder_names = frozenset(builder.name for builder in config.builders)
        self._subscriptions = subscriptions
        self._faults = faults
        self._clock = clock
        self._counts = counts
        self._runner: web.AppRunner | None = None
        self._in_flight = 0
        self._websockets: set[web.WebSocketResponse] = set()
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises `PortTaken`, or `DevnetError` for a host that is not ours."""
        app = web.Application(client_max_size=self._limits.body_bytes)
        app.router.add_get("/", self._get)
        app.router.add_get(HALF, self._get)
        app.router.add_post("/", self._post_public)
        app.router.add_post("/admin", self._post_admin)
        app.router.add_post("/builder/{name}", self._post_builder)
        app.on_shutdown.append(self._close_websockets)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=self._limits.stop_seconds)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._config.host, self._config.port).start()
        except OSError as error:
            await self.stop()
            where = f"{self._config.host}:{self._config.port}"
            if error.errno == errno.EADDRINUSE:
                message = f"another program listens on {where}: choose another port or end that program"
                raise PortTaken(message) from error
            raise DevnetError(f"cannot listen on {where}: {error.strerror or error}") from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection and stop listening. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _close_websockets(self, _app: web.Application) -> None:
        closing = [
            websocket.close(code=aiohttp.WSCloseCode.GOING_AWAY, message=b"the devnet stops")
            for websocket in tuple(self._websockets)
        ]
        with contextlib.suppress(TimeoutError):  # who does not answer the farewell is cut off by the runner
            await asyncio.wait_for(asyncio.gather(*closing), self._limits.stop_seconds)

    async def _post_public(self, request: web.Request) -> web.StreamResponse:
        async def handle(call: jsonrpc.Call) -> object:
            return await self._public(call, None)

        return await self._bounded(request, PUBLIC, self._json_answer(handle))

    async def _post_admin(self, request: web.Request) -> web.StreamResponse:
        return await self._bounded(request, None, self._json_answer(self._admin))

    async def _post_builder(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self._builder_names:
            known = ", ".join(sorted(self._builder_names))
            return _response(404, jsonrpc.error_body(InvalidRequest(f"no builder {name}; there are {known}")))

        async def respond(body: bytes) -> web.Response:
            answer = await self._builders.handle(name, request.headers, body)
            return _response(answer.status, answer.body)

        return await self._bounded(request, name, respond)

    def _json_answer(self, handle: jsonrpc.Handler) -> Callable[[bytes], Awaitable[web.Response]]:
        async def respond(body: bytes) -> web.Response:
            answer = await jsonrpc.answer(
                body, handle, batch_limit=self._limits.batch_calls, is_ordered=jsonrpc.is_ordered
            )
            return web.Response(status=204) if answer is None else _response(200, answer)

        return respond

    async def _bounded(
        self, request: web.Request, endpoint: str | None, respond: Callable[[bytes], Awaitable[web.Response]]
    ) -> web.Response:
        if self._in_flight >= self._limits.calls_at_once:
            self._counts["requests_over_limit"] += 1
            return _response(503, jsonrpc.error_body(LimitExceeded("too many requests at once")))
        self._in_flight += 1
        token: Token[Ticket | None] | None = None
        try:
            body = await request.read()
            token = current_ticket.set(_ticket(request.headers))
            wrong = await self.misbehave(endpoint) if endpoint is not None else None
            return await respond(body) if wrong is None else _response(*wrong)
        except web.HTTPRequestEntityTooLarge:
            self._counts["requests_oversize"] += 1
            message = f"request body too large: the limit is {self._limits.body_bytes} bytes"
            return _response(413, jsonrpc.error_body(InvalidRequest(message)))
        except JsonRpcError as error:
            return _response(200, jsonrpc.error_body(error))
        finally:
            self._in_flight -= 1
            if token is not None:
                current_ticket.reset(token)

    async def misbehave(self, endpoint: str) -> tuple[int, bytes] | None:
        """Do what the faults on an endpoint say; the status and body to answer with, or None to go on."""
        now = self._clock.now()
        if (fault := self._faults.strike(endpoint, FaultKind.HANG, now)) is not None:
            await self._hang(fault)
            return 504, jsonrpc.error_body(JsonRpcError("no answer: the endpoint hung"))
        if self._faults.strike(endpoint, FaultKind.REFUSE, now) is not None:
            return 503, jsonrpc.error_body(JsonRpcError("the endpoint refuses to serve"))
        if self._faults.strike(endpoint, FaultKind.GARBAGE, now) is not None:
            return 200, GARBAGE
        return None

    async def _hang(self, fault: Fault) -> None:
        ends: set[asyncio.Task[Any]] = {asyncio.create_task(fault.cleared.wait())}
        if fault.until is not None:
            ends.add(asyncio.create_task(self._clock.sleep_until(fault.until)))
        try:
            await asyncio.wait(ends, timeout=self._limits.hang_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(
            # Who is in lockstep serves one message to its end before it reads the next: its stage has a deadline.
            heartbeat=None if self._config.lockstep else HEARTBEAT_SECONDS,
            compress=False,
            max_msg_size=self._limits.body_bytes,
            timeout=self._limits.stop_seconds,
        )
        if not websocket.can_prepare(request).ok:
            message = "this is the JSON-RPC of a devnet: POST a request, or open a WebSocket"
            return _response(200, jsonrpc.error_body(InvalidRequest(message)))
        if len(self._websockets) >= self._limits.websockets:
            self._counts["websockets_over_limit"] += 1
            return _response(503, jsonrpc.error_body(LimitExceeded("too many WebSocket connections")))
        self._websockets.add(websocket)
        try:
            await websocket.prepare(request)
            session = WebSocketSession(
                websocket, request, self._limits, self._subscriptions, self._public, self.misbehave
            )
            await session.run()
        finally:
            self._websockets.discard(websocket)
        return websocket


def _response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def _ticket(headers: Mapping[str, str]) -> Ticket | None:
    """Read the lockstep headers; None without them. Raises `InvalidRequest`."""
    participant, sequence = headers.get(PARTICIPANT_HEADER), headers.get(SEQUENCE_HEADER)
    if participant is None and sequence is None:
        return None
    if not participant or sequence is None or not sequence.isascii() or not sequence.isdigit() or len(sequence) > 15:
        raise InvalidRequest(f"{PARTICIPANT_HEADER} is a name and {SEQUENCE_HEADER} a number")
    return Ticket(participant, int(sequence))
