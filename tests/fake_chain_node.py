"""A node of the chain in memory: answers JSON-RPC as it is told to, also badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from node.clock import Clock, SystemClock
from node.engine.endpoints import Endpoint, Endpoints
from node.engine.rpc import Rpc, TransportFailed
from tests.fake_blocks import Json

Method = Callable[..., Any]
TRANSACTIONS = [{"hash": "0x" + "77" * 32, "from": "0x" + "88" * 20, "nonce": "0x3", "to": None}]


class Refuse(Exception):
    """Raised by a method: the node answers with this error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class FakeNode:
    """A transport. `methods` answer by name; `misbehaviour` takes every request in their place while it is set."""

    def __init__(self, **methods: Method) -> None:
        self.methods: dict[str, Method] = dict(methods)
        self.misbehaviour: Callable[[], tuple[int, bytes]] | None = None
        self.hangs = False
        self.asked: list[str] = []
        self.closed = False

    async def post(self, body: bytes) -> tuple[int, bytes]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.misbehaviour is not None:
            return self.misbehaviour()
        await asyncio.sleep(0)
        request = orjson.loads(body)
        if isinstance(request, list):
            return 200, orjson.dumps([self._answer(one) for one in request])
        return 200, orjson.dumps(self._answer(request))

    async def close(self) -> None:
        self.closed = True

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method, params = request["method"], request["params"]
        self.asked.append(method)
        envelope = {"jsonrpc": "2.0", "id": request["id"]}
        if method not in self.methods:
            return {**envelope, "error": {"code": -32601, "message": f"the method {method} does not exist"}}
        try:
            return {**envelope, "result": self.methods[method](*params)}
        except Refuse as refused:
            error = {"code": refused.code, "message": str(refused)}
            return {**envelope, "error": error if refused.data is None else {**error, "data": refused.data}}


def unplugged() -> tuple[int, bytes]:
    """Nobody is there."""
    raise TransportFailed("no connection (ClientConnectorError)")


def says(body: bytes, status: int = 200) -> Callable[[], tuple[int, bytes]]:
    """Answer everything with this."""
    return lambda: (status, body)


def rpc_to(node: FakeNode, clock: Clock | None = None, name: str = "http://alice:8545") -> Rpc:
    """A client of it."""
    return Rpc(name, node, clock or SystemClock())


def endpoints_to(nodes: Sequence[FakeNode], clock: Clock | None = None) -> Endpoints:
    """Several of them, named alice, bob, carol."""
    names = ("alice", "bob", "carol")
    return Endpoints(
        [
            Endpoint(rpc_to(node, clock, f"http://{name}:8545"), f"ws://{name}:8545")
            for name, node in zip(names, nodes, strict=False)
        ]
    )


def node_with(*bodies: Json, logs: Any = (), latest: Json | None = None) -> FakeNode:
    """A node that has these blocks; each has the same logs, and its head is the last of them or `latest`."""
    by_hash = {body["hash"]: body for body in bodies}

    def block(block_hash: str, whole: bool) -> Any:
        body = by_hash.get(block_hash)
        return None if body is None else {**body, "transactions": TRANSACTIONS if whole else []}

    return FakeNode(
        eth_getBlockByHash=block,
        eth_getLogs=lambda _filter: list(logs),
        eth_chainId=lambda: "0x1",
        eth_blockNumber=lambda: (latest or bodies[-1])["number"],
        eth_getBlockByNumber=lambda _tag, _whole: latest or bodies[-1],
    )
