"""What the relay's tests need: signed transactions of named accounts, and a chain side with a plain builder."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.relay.builders import BuilderConfig
from devnet.relay.config import RelayConfig
from devnet.relay.flashbots_signature import HEADER, sign_body
from devnet.rpc import RpcClient
from protocol.ethereum.transactions import DynamicFeeFields, SignedTransaction, decode_transaction, sign_dynamic_fee

GWEI = 10**9
ETHER = 10**18
NOWHERE = "0x" + "11" * 20
ONLY_BUILDER = BuilderConfig(name="solo", share=1, delay_ms=0, refusal_rate=0, coinbase="0x" + "c0" * 20)


def transfer(
    name: str,
    nonce: int,
    *,
    tip: int = GWEI,
    fee_cap: int = 100 * GWEI,
    value: int = 1,
    gas_limit: int = 21_000,
    to: str | None = NOWHERE,
    data: bytes = b"",
    chain_id: int = CHAIN_ID,
) -> SignedTransaction:
    """Return a signed transfer from the named account."""
    fields = DynamicFeeFields(
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=fee_cap,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
    )
    return decode_transaction(sign_dynamic_fee(fields, account(name).key), max_bytes=200_000)


def hex_of(data: bytes) -> str:
    """Return hex with 0x."""
    return "0x" + data.hex()


def blocks_on_demand(**changes: Any) -> RelayConfig:
    """Return settings under which blocks come only when asked for (`devnet_mine`), from one builder."""
    settings: dict[str, Any] = {"block_time_seconds": 3600.0, "builders": (ONLY_BUILDER,)}
    return RelayConfig(**(settings | changes))


async def fund(anvil_url: str, *names: str, ether: int = 1000) -> None:
    """Give the named accounts ETH, behind the relay's back and before it starts."""
    async with RpcClient(anvil_url) as rpc:
        await rpc.batch([("anvil_setBalance", [account(name).address, hex(ether * ETHER)]) for name in names])
        await rpc.call("evm_mine")


class Socket:
    """A WebSocket client that keeps answers and announcements apart."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket
        self.announced: deque[tuple[str, Any]] = deque()
        self._channels: dict[str, str] = {}
        self._id = 0

    async def call(self, method: str, *params: Any) -> Any:
        """Return the whole answer of a call."""
        self._id += 1
        await self.websocket.send_json({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        while (message := await self._receive()).get("id") != self._id:
            self._keep(message)
        return message

    async def subscribe(self, *params: Any) -> str:
        """Subscribe; announcements come under the name of the first parameter."""
        identifier = str((await self.call("eth_subscribe", *params))["result"])
        self._channels[identifier] = params[0]
        return identifier

    async def next(self) -> tuple[str, Any]:
        """Return the next announcement: its channel and its content."""
        while not self.announced:
            self._keep(await self._receive())
        return self.announced.popleft()

    def _keep(self, message: dict[str, Any]) -> None:
        params = message["params"]
        self.announced.append((self._channels[params["subscription"]], params["result"]))

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.websocket.receive_json(timeout=10)
        return message


@contextlib.asynccontextmanager
async def open_socket(url: str) -> AsyncIterator[Socket]:
    """Open a WebSocket to a relay."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as websocket:
        yield Socket(websocket)


async def post_signed(
    url: str, method: str, params: list[Any], *, signer: str = "searcher", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Send a signed request to a builder's relay; return the whole answer."""
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    signed = {HEADER: sign_body(body, account(signer).key), **(headers or {})}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=signed) as response:
        answer: dict[str, Any] = orjson.loads(await response.read())
        return answer
