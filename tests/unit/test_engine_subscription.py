"""How the engine listens: in order, again after a loss, and not to garbage."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import WSMsgType, web

from node.clock import Clock, SystemClock
from node.engine.subscription import Channel, Socket, Subscription, SubscriptionLost, dial_websocket
from tests.manual_clock import ManualClock
from tests.pointing_server import pointing_server


class FakeSocket:
    """Answers subscriptions with its channel's name in upper case, then plays its script and ends."""

    def __init__(self, *script: bytes, silent: bool = False, answer: Any = None, takes: str = "") -> None:
        self._waiting = list(script)
        self._answers: list[bytes] = []
        self._silent, self._answer, self._takes = silent, answer, takes
        self.closed = False
        self.waits = asyncio.Event()

    async def send(self, text: bytes) -> None:
        request = orjson.loads(text)
        is_taken = self._answer is None or request["params"][0] == self._takes
        result = {"result": request["params"][0].upper()} if is_taken else self._answer
        self._answers.append(orjson.dumps({"jsonrpc": "2.0", "id": request["id"], **result}))

    async def receive(self) -> bytes:
        if self._silent:
            self.waits.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if self._answers:
            # A stray announcement and a stray answer may come first.
            if self._waiting and b"early" in self._waiting[0]:
                return self._waiting.pop(0)
            return self._answers.pop(0)
        if not self._waiting:
            raise SubscriptionLost("alice: the connection ended (closed)")
        return self._waiting.pop(0)

    async def close(self) -> None:
        self.closed = True


def told(channel: str, result: Any) -> bytes:
    return orjson.dumps({"method": "eth_subscription", "params": {"subscription": channel.upper(), "result": result}})


def subscription(*sockets: FakeSocket, clock: Clock | None = None) -> Subscription:
    left = list(sockets)

    async def dial(name: str, url: str) -> Socket:
        if not left:
            raise SubscriptionLost(f"{name}: no WebSocket (ClientConnectorError)")
        return left.pop(0)

    channels = (Channel.HEADS, Channel.PENDING)
    return Subscription("alice", "ws://alice/key", channels, clock or SystemClock(), Random(1), dial)


async def heard_once(subject: Subscription) -> list[tuple[Channel, Any]]:
    heard: list[tuple[Channel, Any]] = []

    def handle(channel: Channel, body: msgspec.Raw) -> None:
        heard.append((channel, msgspec.json.decode(body)))

    with pytest.raises(SubscriptionLost):
        await subject.follow_once(handle)
    return heard


async def test_announcements_come_in_the_order_of_the_one_connection() -> None:
    socket = FakeSocket(told("newHeads", 1), told("newPendingTransactions", 2), told("newHeads", 3))
    assert await heard_once(subscription(socket)) == [(Channel.HEADS, 1), (Channel.PENDING, 2), (Channel.HEADS, 3)]
    assert socket.closed


async def test_what_is_announced_while_channels_are_opened_is_not_lost() -> None:
    socket = FakeSocket(told("newHeads", "early"), told("newHeads", 2))
    assert await heard_once(subscription(socket)) == [(Channel.HEADS, "early"), (Channel.HEADS, 2)]


async def test_an_announcement_of_no_channel_of_ours_is_passed_over() -> None:
    socket = FakeSocket(told("logs", 1), b'{"id":5,"result":1}', told("newHeads", 2))
    assert await heard_once(subscription(socket)) == [(Channel.HEADS, 2)]


@pytest.mark.parametrize(
    "garbage", [b"", b"nonsense", b"[]", b"\xff\xff", b"[" * 4000, b'{"params":{"subscription":1}}']
)
async def test_garbage_ends_the_connection(garbage: bytes) -> None:
    subject = subscription(FakeSocket(told("newHeads", 1), garbage, told("newHeads", 2)))
    with pytest.raises(SubscriptionLost, match="alice: not JSON-RPC"):
        await subject.follow_once(lambda _channel, _body: None)
    assert subject.counts["messages"] == 1


@pytest.mark.parametrize("answer", [{"error": {"code": -32601}}, {"result": 7}, {"result": None}])
async def test_a_refused_subscription_is_told(answer: dict[str, Any]) -> None:
    with pytest.raises(SubscriptionLost, match="does not take a subscription to newHeads"):
        await subscription(FakeSocket(answer=answer)).follow_once(lambda _channel, _body: None)


async def test_a_node_without_bodies_of_pending_transactions_is_followed_for_its_heads() -> None:
    socket = FakeSocket(told("newHeads", 1), answer={"error": {"code": -32602}}, takes="newHeads")
    subject = subscription(socket)
    assert await heard_once(subject) == [(Channel.HEADS, 1)]
    assert subject.state == "alice: announces no pending transactions with their bodies"


async def test_a_node_that_does_not_answer_a_subscription_is_left() -> None:
    clock = ManualClock()
    socket = FakeSocket(silent=True)
    following = asyncio.create_task(subscription(socket, clock=clock).follow_once(lambda _channel, _body: None))
    await socket.waits.wait()
    await clock.until_asleep(5.0)
    await clock.advance(5.0)
    with pytest.raises(SubscriptionLost, match="no answer to a subscription"):
        await following
    assert socket.closed


async def test_a_node_that_does_not_take_the_connection_is_left() -> None:
    clock = ManualClock()

    async def dial(_name: str, _url: str) -> Socket:
        await asyncio.Event().wait()
        raise AssertionError

    subject = Subscription("alice", "ws://alice", (Channel.HEADS,), clock, Random(1), dial)
    following = asyncio.create_task(subject.follow_once(lambda _channel, _body: None))
    await clock.until_asleep(5.0)
    await clock.advance(5.0)
    with pytest.raises(SubscriptionLost, match="no WebSocket within 5 s"):
        await following


async def test_a_lost_connection_is_opened_again_after_a_pause_that_grows() -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    class Recording(SystemClock):
        async def sleep(self, seconds: float) -> None:
            if seconds >= 5.0:
                await asyncio.Event().wait()  # a deadline, not a pause
            pauses.append(seconds)
            if len(pauses) >= 4:
                enough.set()
                await asyncio.Event().wait()

    sockets = FakeSocket(told("newHeads", 1)), FakeSocket(told("newHeads", 2))
    subject = subscription(*sockets, clock=Recording())
    heard: list[Any] = []
    opened: list[int] = []

    async def handle(_channel: Channel, body: msgspec.Raw) -> None:
        heard.append(msgspec.json.decode(body))

    following = asyncio.create_task(subject.follow(handle, lambda: opened.append(1)))
    await asyncio.wait_for(enough.wait(), 5)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert heard == [1, 2]
    assert len(opened) == 2
    assert subject.counts == {"messages": 2, "connections": 2, "lost": 4}
    assert "no WebSocket" in subject.state
    assert pauses[3] > pauses[0]


async def _serve(talk: Any) -> tuple[web.AppRunner, str]:
    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"ws://127.0.0.1:{runner.addresses[0][1]}/"


async def test_over_a_real_websocket_announcements_come_until_it_closes() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        message = await socket.receive()
        assert message.type is WSMsgType.TEXT
        await socket.send_bytes(b'{"id":0,"result":"0x1"}')
        await socket.send_str('{"params":{"subscription":"0x1","result":{"number":"0x1"}}}')
        await socket.close()

    runner, url = await _serve(talk)
    heard: list[bytes] = []
    subject = Subscription("here", url, (Channel.HEADS,), SystemClock(), Random(1), dial_websocket())
    try:
        with pytest.raises(SubscriptionLost, match="here: the connection ended"):
            await subject.follow_once(lambda _channel, body: heard.append(bytes(body)))
    finally:
        await runner.cleanup()
    assert heard == [b'{"number":"0x1"}']


async def test_a_refused_websocket_is_told_without_its_url() -> None:
    subject = Subscription(
        "here", "ws://127.0.0.1:1/key", (Channel.HEADS,), SystemClock(), Random(1), dial_websocket(heartbeat=False)
    )
    with pytest.raises(SubscriptionLost, match=r"here: no WebSocket \(ClientConnector") as caught:
        await subject.follow_once(lambda _channel, _body: None)
    assert "key" not in str(caught.value)


async def test_a_websocket_is_not_looked_for_where_the_node_points() -> None:
    async with pointing_server() as (port, asked):
        with pytest.raises(SubscriptionLost, match=r"here: no WebSocket \(ClientError\)"):
            await dial_websocket()("here", f"ws://127.0.0.1:{port}/")
    assert asked == ["/"]


async def test_sending_over_a_broken_websocket_is_a_loss() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.close()

    runner, url = await _serve(talk)
    socket = await dial_websocket()("here", url)
    try:
        with pytest.raises(SubscriptionLost, match="the connection ended"):
            await socket.receive()
        with pytest.raises(SubscriptionLost, match="the connection broke"):
            await socket.send(b"{}")
    finally:
        await socket.close()
        await runner.cleanup()
