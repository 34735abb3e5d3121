"""The relay's server against bad input, at its bounds, and with faults in force."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.errors import ChainFailed, ConfigInvalid, PortTaken, RpcError
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig, ServerLimits
from devnet.rpc import RpcClient
from tests.relay_factories import ETHER, NOWHERE, blocks_on_demand, fund, hex_of, open_socket, transfer

pytestmark = pytest.mark.anvil

LIMITS = ServerLimits(
    body_bytes=20_000,
    batch_calls=5,
    websockets=2,
    subscriptions_per_websocket=2,
    messages_waiting=50,
    hang_seconds=30.0,
    stop_seconds=0.5,
)


@pytest.fixture
async def relay(anvil: Anvil) -> AsyncIterator[Relay]:
    """A relay with tight limits; alice is rich."""
    await fund(anvil.url, "alice")
    async with Relay(blocks_on_demand(server=LIMITS), anvil.url) as relay:
        yield relay


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, Any]:
    async with http.post(url, data=body) as response:
        text = await response.read()
        return response.status, orjson.loads(text) if text else None


async def fault_struck(admin: RpcClient) -> None:
    """Return once a fault has done its work on somebody."""
    while not (await admin.call("devnet_stats"))["faults_used"]:
        pass  # the call itself lets the others run


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"\xff\x00garbage", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":', -32700),
        (b"[]", -32600),
        (b"17", -32600),
        (b"null", -32600),
        (b'{"id":1}', -32600),
        (b'{"id":1,"method":7}', -32600),
        (b'{"id":{},"method":"eth_chainId"}', -32600),
        (b'{"id":true,"method":"eth_chainId"}', -32600),
        (b"[" + b",".join([b'{"id":1,"method":"eth_chainId"}'] * 6) + b"]", -32600),
        (b'{"id":1,"method":"eth_madeUp"}', -32601),
        (b'{"id":1,"method":"eth_chainId","params":{}}', -32602),
        (b'{"id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"id":1,"method":"eth_sendRawTransaction"}', -32602),
        (b'{"id":1,"method":"eth_sendRawTransaction","params":["zz"]}', -32602),
        (b'{"id":1,"method":"eth_getTransactionByHash","params":["0x12"]}', -32602),
        (b'{"id":1,"method":"eth_getTransactionCount","params":[5,"pending"]}', -32602),
        (b'{"id":1,"method":"eth_getLogs","params":[[]]}', -32602),
        (b'{"id":1,"method":"devnet_join","params":["",0]}', -32602),
        (b'{"id":1,"method":"devnet_join","params":["alice",-1]}', -32602),
        (b'{"id":1,"method":"devnet_barrier","params":["alice",1,0]}', -32000),
    ],
)
async def test_garbage_gets_a_json_rpc_error_and_nothing_breaks(
    relay: Relay, http: aiohttp.ClientSession, body: bytes, code: int
) -> None:
    _, answer = await post(http, relay.public_url, body)
    assert answer["error"]["code"] == code
    assert "Traceback" not in answer["error"]["message"]
    _, answer = await post(http, relay.public_url, b'{"jsonrpc":"2.0","id":"x","method":"eth_chainId"}')
    assert answer == {"jsonrpc": "2.0", "id": "x", "result": "0x7a69"}


async def test_a_batch_is_answered_call_by_call(relay: Relay, http: aiohttp.ClientSession) -> None:
    calls = [
        {"id": 1, "method": "eth_chainId"},
        5,
        {"method": "eth_chainId"},
        {"id": 2, "method": "eth_gasPrice", "params": []},
    ]
    _, answer = await post(http, relay.public_url, orjson.dumps(calls))
    assert [(item["id"], "result" in item) for item in answer] == [(1, True), (None, False), (2, True)]
    assert await post(http, relay.public_url, b'{"method":"eth_chainId"}') == (204, None)


async def test_an_oversize_body_is_refused_on_every_endpoint(relay: Relay, http: aiohttp.ClientSession) -> None:
    for url in (relay.public_url, relay.admin_url, relay.builder_url("solo")):
        status, answer = await post(http, url, b"x" * 20_001)
        assert (status, answer["error"]["code"]) == (413, -32600)
        assert "20000 bytes" in answer["error"]["message"]


async def test_an_unknown_builder_is_named(relay: Relay, http: aiohttp.ClientSession) -> None:
    status, answer = await post(http, relay.builder_url("nobody"), b"{}")
    assert (status, answer["error"]["message"]) == (404, "no builder nobody; there are solo")


async def test_a_visit_with_a_browser_says_what_this_is(relay: Relay, http: aiohttp.ClientSession) -> None:
    async with http.get(relay.public_url) as response:
        assert "JSON-RPC of a devnet" in await response.text()


async def test_a_taken_port_is_a_clear_error(anvil: Anvil) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"another program listens on 127.0.0.1:{port}"):
            async with Relay(blocks_on_demand(port=port), anvil.url):
                pass


async def test_a_relay_without_its_anvil_or_on_another_chain_does_not_start(anvil: Anvil) -> None:
    with pytest.raises(ChainFailed, match="did not answer"):
        async with Relay(blocks_on_demand(), "http://127.0.0.1:9"):
            pass
    with pytest.raises(ChainFailed, match="is chain 31337, not 1"):
        async with Relay(blocks_on_demand(chain_id=1), anvil.url):
            pass


def test_settings_that_do_not_fit_are_named_all_at_once() -> None:
    with pytest.raises(ConfigInvalid, match=r"whole number of seconds.*at least one builder.*no port 70000"):
        RelayConfig(lockstep=True, block_time_seconds=0.5, builders=(), port=70_000)


async def test_more_requests_at_once_than_the_limit_are_turned_away(anvil: Anvil) -> None:
    config = blocks_on_demand(server=ServerLimits(calls_at_once=1, stop_seconds=0.1))
    async with Relay(config, anvil.url) as relay, RpcClient(relay.public_url) as rpc:
        relay.parts.faults.set("public", "hang", now=0, block=0, count=1)
        hanging = asyncio.create_task(rpc.call("eth_chainId"))
        while not relay.parts.faults.used:
            await asyncio.sleep(0)
        with pytest.raises(RpcError, match="too many requests at once"):
            await rpc.call("eth_chainId")
        relay.parts.faults.clear()
        with pytest.raises(RpcError, match="the endpoint hung"):
            await hanging
        assert await rpc.call("eth_chainId") == "0x7a69"


async def test_websockets_and_their_subscriptions_are_bounded(relay: Relay, http: aiohttp.ClientSession) -> None:
    async with open_socket(relay.ws_url) as first, open_socket(relay.ws_url):
        await first.subscribe("newHeads")
        await first.subscribe("logs")
        assert (await first.call("eth_subscribe", "newHeads"))["error"]["code"] == -32005
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(relay.ws_url)


async def test_subscriptions_are_read_strictly_and_can_be_ended(relay: Relay) -> None:
    async with open_socket(relay.ws_url) as socket:
        for params in (
            [],
            [5],
            ["weather"],
            ["newHeads", {}],
            ["newPendingTransactions", "yes"],
            ["logs", {"address": "0x12"}],
            ["logs", {"topics": [1, 2, 3, 4, 5]}],
            ["logs", {}, {}],
            ["logs", 5],
        ):
            assert (await socket.call("eth_subscribe", *params))["error"]["code"] == -32602
        identifier = await socket.subscribe("newHeads")
        assert (await socket.call("eth_unsubscribe", identifier))["result"] is True
        assert (await socket.call("eth_unsubscribe", identifier))["result"] is False
        await socket.websocket.send_bytes(b"\xffgarbage")
        assert (await socket.websocket.receive_json(timeout=5))["error"]["code"] == -32700


async def test_a_slow_listener_is_disconnected_and_counted(relay: Relay, admin: RpcClient) -> None:
    async with aiohttp.ClientSession() as session:
        websocket = await session.ws_connect(relay.ws_url)
        await websocket.send_json({"id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        await websocket.receive_json()
        for number in range(51):  # one more than may wait; nothing is written while this does not yield
            relay.parts.subscriptions.announce_head({"number": hex(number)}, [])
        stats = await admin.call("devnet_stats")
        assert stats["websocket"]["listeners_dropped"] == 1
        relay.parts.subscriptions.announce_head({"number": "0xff"}, [])
        while (message := await websocket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            assert orjson.loads(message.data)["params"]["result"]["number"] != "0xff"
        await websocket.close()


async def test_stopping_says_goodbye_to_listeners_and_frees_the_port(anvil: Anvil) -> None:
    async with Relay(blocks_on_demand(), anvil.url) as relay, aiohttp.ClientSession() as session:
        websocket = await session.ws_connect(relay.ws_url)
        port = relay.parts.server.port
        farewell = asyncio.create_task(websocket.receive(timeout=10))
        await relay.parts.server.stop()
        assert (await farewell).type is aiohttp.WSMsgType.CLOSE
    async with Relay(blocks_on_demand(port=port), anvil.url):
        pass


async def test_a_fault_that_refuses_makes_every_call_fail(admin: RpcClient, rpc: RpcClient) -> None:
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "refuse", "count": 1})
    with pytest.raises(RpcError, match="refuses to serve"):
        await rpc.call("eth_chainId")
    assert await rpc.call("eth_chainId") == "0x7a69"
    assert (await admin.call("devnet_stats"))["faults_used"] == {"public.refuse": 1}


async def test_a_fault_of_garbage_answers_with_what_is_not_json(relay: Relay, admin: RpcClient, rpc: RpcClient) -> None:
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "garbage", "count": 2})
    with pytest.raises(ChainFailed, match="not JSON"):
        await rpc.call("eth_chainId")
    async with open_socket(relay.ws_url) as socket:
        await socket.websocket.send_json({"id": 1, "method": "eth_chainId"})
        assert not (await socket.websocket.receive_str(timeout=5)).startswith("{")
    assert await rpc.call("eth_chainId") == "0x7a69"


async def test_a_hang_with_a_duration_ends_with_devnet_time(admin: RpcClient, rpc: RpcClient) -> None:
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "hang", "seconds": 1000})
    hanging = asyncio.create_task(rpc.call("eth_chainId"))
    await fault_struck(admin)
    await admin.call("devnet_warp", 1000)
    with pytest.raises(RpcError, match="the endpoint hung"):
        await hanging
    assert await admin.call("devnet_faults") == []


async def test_a_hang_that_is_cleared_ends_for_its_victims_too(admin: RpcClient, rpc: RpcClient) -> None:
    fault = await admin.call("devnet_setFault", {"endpoint": "public", "kind": "hang", "count": 1})
    hanging = asyncio.create_task(rpc.call("eth_chainId"))
    await fault_struck(admin)
    assert await admin.call("devnet_faults") == []  # used up: the next call is served
    assert not hanging.done()
    assert await admin.call("devnet_clearFaults", fault["id"]) == 1
    with pytest.raises(RpcError, match="the endpoint hung"):
        await hanging


async def test_a_lying_endpoint_tells_a_wrong_head_or_wrong_balances(admin: RpcClient, rpc: RpcClient) -> None:
    head = int(await rpc.call("eth_blockNumber"), 16)
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "lie", "lie": "head", "count": 1})
    assert int(await rpc.call("eth_blockNumber"), 16) == head + 3
    assert int(await rpc.call("eth_blockNumber"), 16) == head
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "lie", "lie": "balance", "count": 1})
    assert int(await rpc.call("eth_getBalance", account("alice").address, "latest"), 16) == 2001 * ETHER
    assert int(await rpc.call("eth_getBalance", account("alice").address, "latest"), 16) == 1000 * ETHER


async def test_a_stale_endpoint_stays_at_its_head_and_announces_none(
    relay: Relay, admin: RpcClient, rpc: RpcClient
) -> None:
    head = int(await rpc.call("eth_blockNumber"), 16)
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "stale_head"})
    async with open_socket(relay.ws_url) as socket:
        await socket.subscribe("newHeads")
        sent = await rpc.call("eth_sendRawTransaction", hex_of(transfer("alice", 0).raw))
        await admin.call("devnet_mine")
        assert int(await rpc.call("eth_blockNumber"), 16) == head
        assert int((await rpc.call("eth_getBlockByNumber", "latest", False))["number"], 16) == head
        assert await rpc.call("eth_getTransactionCount", account("alice").address, "latest") == "0x0"
        assert await rpc.call("eth_getTransactionReceipt", sent) is None
        assert await rpc.call("eth_getTransactionByHash", sent) is None
        assert await rpc.call("eth_getBlockByNumber", hex(head + 1), False) is None
        assert await rpc.call("eth_getBlockByNumber", hex(head), False) is not None
        for method, params in (
            ("eth_getLogs", [{"fromBlock": hex(head), "toBlock": hex(head + 1)}]),
            ("eth_getBalance", [NOWHERE, hex(head + 1)]),
        ):
            with pytest.raises(RpcError, match="header not found"):
                await rpc.call(method, *params)
        await admin.call("devnet_clearFaults")
        await admin.call("devnet_mine")
        assert int((await socket.next())[1]["number"], 16) == head + 2
    assert (await rpc.call("eth_getTransactionReceipt", sent))["status"] == "0x1"


async def test_a_reorg_on_demand_follows_the_next_block(admin: RpcClient, rpc: RpcClient) -> None:
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "reorg", "depth": 1})
    await rpc.call("eth_sendRawTransaction", hex_of(transfer("alice", 0).raw))
    await admin.call("devnet_mine")
    stats = await admin.call("devnet_stats")
    assert (stats["reorgs"], stats["transactions_returned"], stats["mempool"]) == (1, 1, 0)
    await admin.call("devnet_setFault", {"endpoint": "public", "kind": "reorg", "depth": 60})
    await admin.call("devnet_mine")
    assert (await admin.call("devnet_stats"))["reorgs_refused"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        5,
        {"endpoint": "public"},
        {"endpoint": "nowhere", "kind": "hang"},
        {"endpoint": "public", "kind": "hang", "count": 0},
        {"endpoint": "public", "kind": "hang", "seconds": -1},
        {"endpoint": "public", "kind": "hang", "colour": "red"},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_on_the_wire(admin: RpcClient, fault: Any) -> None:
    with pytest.raises(RpcError) as caught:
        await admin.call("devnet_setFault", fault)
    assert caught.value.code == -32602
