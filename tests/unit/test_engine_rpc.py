"""What the engine makes of a node's answers: right ones, wrong ones, none."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import web

from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints, backoff_seconds
from node.engine.rpc import (
    Call,
    HttpTransport,
    Rpc,
    RpcError,
    RpcGarbage,
    RpcRefused,
    RpcTimeout,
    RpcUnreachable,
    TransportFailed,
    public_name,
    public_names,
)
from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity, decoder
from tests.fake_chain_node import FakeNode, endpoints_to, rpc_to, says, unplugged
from tests.manual_clock import ManualClock


async def test_a_number_comes_as_a_number() -> None:
    rpc = rpc_to(FakeNode(eth_chainId=lambda: "0x7a69"))
    assert await rpc.call("eth_chainId", shape=Quantity) == 31337


async def test_a_result_that_is_left_as_it_came_is_json_text() -> None:
    rpc = rpc_to(FakeNode(eth_getBlockByHash=lambda: {"a": 1}))
    assert bytes(await rpc.call("eth_getBlockByHash", shape=msgspec.Raw)) == b'{"a":1}'


@pytest.mark.parametrize("wrong", ["0x", "5", 5, None, "0xzz", "0x1_0", "0x" + "f" * 65, {"a": 1}, [], "0x-1"])
async def test_a_wrong_number_is_garbage_and_named_by_method_and_node(wrong: Any) -> None:
    rpc = rpc_to(FakeNode(eth_chainId=lambda: wrong))
    with pytest.raises(RpcGarbage, match=r"^http://alice:8545: eth_chainId: "):
        await rpc.call("eth_chainId", shape=Quantity)


@pytest.mark.parametrize(
    ("shape", "wrong"), [(Data, "0x0"), (Data, "0x0g"), (AddressHex, "0x00"), (HashHex, "0x" + "00" * 31)]
)
def test_wrong_bytes_are_refused(shape: type, wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoder(shape).decode(msgspec.json.encode(wrong))


async def test_the_field_that_is_wrong_is_named() -> None:
    class Shape(msgspec.Struct):
        number: Quantity

    rpc = rpc_to(FakeNode(eth_getBlockByHash=lambda: {"number": "x"}))
    with pytest.raises(RpcGarbage, match=r"\$\.number"):
        await rpc.call("eth_getBlockByHash", shape=Shape)


async def test_a_refusal_has_its_code() -> None:
    with pytest.raises(RpcRefused, match="refused with -32601: the method eth_call does not exist") as caught:
        await rpc_to(FakeNode()).call("eth_call")
    assert caught.value.code == -32601


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b"7", b'{"id":"x"}', b"\xff", b"[" * 5000])
async def test_what_is_not_json_rpc_is_garbage(body: bytes) -> None:
    node = FakeNode()
    node.misbehaviour = says(body)
    with pytest.raises(RpcGarbage, match="not JSON-RPC"):
        await rpc_to(node).call("eth_chainId")


async def test_an_answer_to_another_question_is_garbage() -> None:
    node = FakeNode()
    node.misbehaviour = says(b'{"jsonrpc":"2.0","id":99,"result":"0x1"}')
    with pytest.raises(RpcGarbage, match="the answer is to 99, the question was 1"):
        await rpc_to(node).call("eth_chainId")


async def test_an_http_error_is_a_refusal_with_its_status() -> None:
    node = FakeNode()
    node.misbehaviour = says(b"too many requests", 429)
    with pytest.raises(RpcRefused) as caught:
        await rpc_to(node).call("eth_chainId")
    assert caught.value.code == 429


async def test_a_node_that_is_gone_is_unreachable() -> None:
    node = FakeNode()
    node.misbehaviour = unplugged
    with pytest.raises(RpcUnreachable, match="no connection"):
        await rpc_to(node).call("eth_chainId")


async def test_a_node_that_hangs_is_left_at_the_deadline() -> None:
    node, clock = FakeNode(), ManualClock()
    node.hangs = True
    asking = asyncio.create_task(rpc_to(node, clock).call("eth_chainId", seconds=3))
    await clock.until_asleep(3)
    await clock.advance(3)
    with pytest.raises(RpcTimeout, match="no answer within 3 s"):
        await asking


async def test_a_batch_gives_results_in_order_and_refusals_in_their_place() -> None:
    rpc = rpc_to(FakeNode(eth_getBalance=lambda who: hex(int(who, 16) * 2)))
    calls = [Call("eth_getBalance", (hex(n),), Quantity) for n in range(600)] + [Call("eth_nothing")]
    *balances, refused = await rpc.batch(calls)
    assert balances == [2 * n for n in range(600)]
    assert isinstance(refused, RpcRefused)
    assert await rpc.batch([]) == []


@pytest.mark.parametrize(
    "body", [b"[]", b'[{"id":1,"result":1},{"id":1,"result":1}]', b'[{"id":7,"result":1},{"id":8,"result":1}]']
)
async def test_a_batch_that_does_not_match_is_garbage(body: bytes) -> None:
    node = FakeNode()
    node.misbehaviour = says(body)
    with pytest.raises(RpcGarbage, match="do not match"):
        await rpc_to(node).batch([Call("eth_chainId"), Call("eth_chainId")])


async def test_a_batch_that_is_refused_as_a_whole_is_a_refusal() -> None:
    node = FakeNode()
    node.misbehaviour = says(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"batch too large"}}')
    with pytest.raises(RpcRefused, match="batch too large"):
        await rpc_to(node).batch([Call("eth_chainId")])


def test_a_name_shows_nothing_that_may_be_a_key() -> None:
    assert public_name("http://127.0.0.1:8545/") == "http://127.0.0.1:8545"
    assert public_name("https://user:pass@host.example/v3/0123456789abcdef?key=1") == "https://host.example/…"
    assert public_names(["http://a:1", "http://a:1/k", "http://a:1/q"]) == [
        "http://a:1",
        "http://a:1/…",
        "http://a:1/… (2)",
    ]


async def test_a_call_that_one_node_fails_goes_to_the_next() -> None:
    alice, bob = FakeNode(), FakeNode(eth_chainId=lambda: "0x1")
    alice.misbehaviour = unplugged
    endpoints = endpoints_to([alice, bob])
    assert await endpoints.call("eth_chainId", shape=Quantity) == 1
    assert await endpoints.batch([Call("eth_chainId", (), Quantity)]) == [1]
    assert endpoints.failovers == 2


async def test_a_benched_node_is_asked_last() -> None:
    alice, bob = FakeNode(eth_chainId=lambda: "0x1"), FakeNode(eth_chainId=lambda: "0x2")
    endpoints = endpoints_to([alice, bob])
    endpoints.all[0].benched = "on chain 1, not 2"
    assert await endpoints.call("eth_chainId", shape=Quantity) == 2
    assert endpoints.status == {"http://alice:8545": "on chain 1, not 2", "http://bob:8545": "ok"}


async def test_the_first_failure_is_told_when_all_fail() -> None:
    alice, bob = FakeNode(), FakeNode()
    alice.misbehaviour = unplugged
    with pytest.raises(RpcUnreachable, match="alice"):
        await endpoints_to([alice, bob]).call("eth_chainId")
    with pytest.raises(RpcUnreachable, match="no node is configured"):
        await Endpoints([]).call("eth_chainId")


def test_waiting_doubles_up_to_a_bound_and_is_never_all_chance() -> None:
    random = Random(1)
    for failures in range(1, 100):
        ceiling = min(30.0, 0.25 * 2 ** (failures - 1)) if failures < 20 else 30.0
        assert ceiling / 2 <= backoff_seconds(failures, random) <= ceiling


async def _serve(handler: Any) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def test_over_http_an_answer_comes_and_one_that_is_too_long_does_not() -> None:
    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": "0x" + "00" * body["params"][0]})

    runner, url = await _serve(answer)
    transport = HttpTransport(url, answer_bytes=10_000)
    rpc = Rpc("here", transport, SystemClock())
    try:
        assert await rpc.call("zeros", 3, shape=Data) == bytes(3)
        with pytest.raises(RpcUnreachable, match="more than 10000 bytes"):
            await rpc.call("zeros", 20_000, shape=Data)
        assert await rpc.call("zeros", 1, shape=Data) == bytes(1)
    finally:
        await rpc.close()
        await transport.close()
        await runner.cleanup()


async def test_a_patient_rpc_knows_no_shorter_deadline() -> None:
    node, clock = FakeNode(), ManualClock()
    node.hangs = True
    asking = asyncio.create_task(Rpc("here", node, clock, patience=60.0).call("eth_chainId", seconds=3))
    await clock.until_asleep(60)
    await clock.advance(60)
    with pytest.raises(RpcTimeout, match="60 s"):
        await asking


async def test_over_http_a_refused_connection_is_told_without_the_url() -> None:
    config = RpcConfig(http="http://secret:word@127.0.0.1:1/key", websocket="ws://127.0.0.1:1")
    endpoints = Endpoints.open([config], SystemClock())
    with pytest.raises(RpcError) as caught:
        await endpoints.call("eth_chainId")
    assert "secret" not in str(caught.value)
    assert "key" not in str(caught.value)
    await endpoints.close()
    with pytest.raises(TransportFailed):
        await HttpTransport("nonsense").post(b"")
