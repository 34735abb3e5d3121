"""The actors' connections against servers that misbehave: what is refused, counted, kept within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from devnet.accounts import account
from devnet.actors import announcements as module
from devnet.actors.announcements import Announcements, HeadAnnounced, StageAnnounced
from devnet.actors.gateway import Gateway
from devnet.errors import ChainFailed, RpcError

HEAD = {"number": "0x7", "timestamp": "0x10", "baseFeePerGas": "0x3b9aca00"}


@asynccontextmanager
async def server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    running = TestServer(app)
    async with running:
        yield running


@asynccontextmanager
async def announcing(*messages: str | dict[str, Any], refuse: bool = False) -> AsyncIterator[str]:
    """A WebSocket that accepts subscriptions as `pending` and `other`, says `messages`, and ends."""

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for name in ("pending", "other"):
            asked = orjson.loads((await socket.receive()).data)
            answer = {"error": {"code": -32602, "message": "no"}} if refuse else {"result": name}
            await socket.send_str(orjson.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).decode())
            if refuse:
                return socket
        for message in messages:
            await socket.send_str(message if isinstance(message, str) else orjson.dumps(message).decode())
        return socket

    async with server(handler) as running:
        yield str(running.make_url("/"))


def told(subscription: str, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": subscription, "result": result}}


async def listen(url: str, *, lockstep: bool = False) -> tuple[list[Any], Announcements, str]:
    """Listen to the end; return what was announced and what the end was."""
    found: list[Any] = []
    async with Announcements(url, lockstep=lockstep) as announcements:
        try:
            async for announcement in announcements:
                found.append(announcement)  # noqa: PERF401 - it ends with an error
        except ChainFailed as error:
            return found, announcements, str(error)
    raise AssertionError("announcements end with an error only")


async def test_heads_and_pending_transactions_come_in_their_order() -> None:
    bodies = [told("pending", {"hash": f"0x{number}"}) for number in range(3)]
    async with announcing(bodies[0], told("other", HEAD), *bodies[1:], told("stranger", {})) as url:
        found, announcements, end = await listen(url)
    assert found == [HeadAnnounced(7, 16, 10**9)]
    assert [body["hash"] for body in announcements.pending] == ["0x0", "0x1", "0x2"]
    assert "ended the connection" in end


async def test_stages_come_in_lockstep() -> None:
    async with announcing(told("other", {"block": 5, "stage": 1})) as url:
        found, _, _ = await listen(url, lockstep=True)
    assert found == [StageAnnounced(5, 1)]


async def test_mined_and_old_transactions_are_forgotten_and_too_many_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PENDING_BOUND", 4)
    async with announcing(*(told("pending", {"hash": f"0x{number}"}) for number in range(6))) as url:
        _, announcements, _ = await listen(url)
    assert announcements.counts["pending_dropped"] == 2
    announcements.settle(1, ["0x2"])
    assert [body["hash"] for body in announcements.pending] == ["0x3", "0x4", "0x5"]
    announcements.settle(8, [])
    assert announcements.pending == []
    assert announcements.counts["pending_expired"] == 3


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("not json", "not JSON"),
        ("[]", "not a JSON-RPC object"),
        (told("other", {"number": "seven"}), "malformed head"),
        (told("other", {}), "malformed head"),
        (told("pending", {}), "malformed pending"),
    ],
)
async def test_garbage_ends_the_connection_with_a_name(message: str | dict[str, Any], fault: str) -> None:
    async with announcing(message) as url:
        assert fault in (await listen(url))[2]


async def test_a_refused_subscription_and_a_refused_connection_are_named() -> None:
    async with announcing(refuse=True) as url:
        with pytest.raises(ChainFailed, match="refused to subscribe to newPendingTransactions"):
            await listen(url)
    with pytest.raises(ChainFailed, match="does not take subscriptions"):
        await listen("ws://127.0.0.1:1/")


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[tuple[str, list[web.Request]]]:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request)
        return web.Response(body=body)

    async with server(handler) as running:
        yield str(running.make_url("/")), seen


@pytest.mark.parametrize(
    ("body", "error", "fault"),
    [
        (b'{"error":{"code":-32000,"message":"nonce too low"}}', RpcError, "nonce too low"),
        (b'{"error":"bundle refused"}', RpcError, "bundle refused"),
        (b"<html>", ChainFailed, "not JSON"),
        (b"7", ChainFailed, "not a JSON-RPC object"),
    ],
)
async def test_what_the_node_refuses_is_an_error_with_its_words(
    body: bytes, error: type[Exception], fault: str
) -> None:
    async with answering(body) as (url, _), Gateway(url, {}, lockstep=False) as gateway:
        with pytest.raises(error, match=fault):
            await gateway.send(b"\x02", "actors")


async def test_every_builder_is_asked_and_each_refusal_is_kept() -> None:
    signer = account("rival-flashbots-identity")
    async with answering(b'{"result":{}}') as (good, seen), answering(b'{"error":"no"}') as (bad, _):
        builders = {"kind": good, "grumpy": bad, "gone": "http://127.0.0.1:1/"}
        async with Gateway(good, builders, lockstep=False) as gateway:
            refusals = await gateway.send_bundle([b"\x02"], 5, "rival", signer)
    assert refusals["grumpy"] == "no"
    assert "did not answer" in refusals["gone"]
    assert set(refusals) == {"grumpy", "gone"}
    assert seen[0].headers["X-Flashbots-Signature"].startswith(signer.address)
    assert "X-Devnet-Sequence" not in seen[0].headers
    assert (gateway.counts["bundles_offered"], gateway.counts["bundles_refused"]) == (1, 2)


async def test_in_lockstep_each_request_says_who_and_which() -> None:
    async with (
        answering(b'{"result":"0x"}') as (url, seen),
        Gateway(url, {"one": url, "two": url}, lockstep=True) as gateway,
    ):
        for _ in range(2):
            await gateway.send(b"\x02", "actors")
        await gateway.send_bundle([b"\x02"], 5, "rival", account("rival-flashbots-identity"))
    tickets = [(r.headers["X-Devnet-Participant"], int(r.headers["X-Devnet-Sequence"])) for r in seen]
    assert tickets == [("actors", 1), ("actors", 2), ("rival", 1), ("rival", 2)]


async def test_a_slow_node_is_given_up() -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with server(handler) as running:
        url = str(running.make_url("/"))
        async with Gateway(url, {}, lockstep=False, deadline_seconds=0.05) as gateway:
            with pytest.raises(ChainFailed, match="did not answer"):
                await gateway.send(b"\x02", "actors")
        never.set()
