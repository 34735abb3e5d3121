"""The public WebSocket: heads, pending transactions with their bodies, and in lockstep the stages, in one stream.

One connection carries all three, so that what was announced before a stage opened is here before the stage is.

ChainFailed    the connection was refused, ended, or brought garbage
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import aiohttp
import orjson

from devnet.errors import ChainFailed

_PENDING_BOUND: Final = 4096
_PENDING_BLOCKS: Final = 8
_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class HeadAnnounced:
    """A block was published."""

    number: int
    timestamp: int
    base_fee: int


@dataclass(frozen=True, slots=True)
class StageAnnounced:
    """A stage of lockstep opened for the next block."""

    block: int
    stage: int


Announcement: TypeAlias = HeadAnnounced | StageAnnounced


class Announcements:
    """An open connection, and what was announced as pending on it: at most 4096, for at most eight blocks."""

    def __init__(self, url: str, *, lockstep: bool) -> None:
        self._url, self._lockstep = url, lockstep
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._channels: dict[str, str] = {}
        self._pending: OrderedDict[str, tuple[int, Mapping[str, Any]]] = OrderedDict()
        self._block = 0
        self.counts: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(self._url, max_msg_size=_MESSAGE_BYTES, heartbeat=_SECONDS)
            wanted: list[tuple[str, list[Any]]] = [("pending", ["newPendingTransactions", True])]
            wanted.append(("stage", ["devnet_stages"]) if self._lockstep else ("head", ["newHeads"]))
            for identifier, (channel, params) in enumerate(wanted):
                self._channels[await self._subscribe(identifier, params)] = channel
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await self._http.close()
            raise ChainFailed(f"{self._url} does not take subscriptions: {error or type(error).__name__}") from error
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    def __aiter__(self) -> AsyncIterator[Announcement]:
        return self._read()

    @property
    def pending(self) -> list[Mapping[str, Any]]:
        """Transaction objects that were announced and are neither mined nor old, in the order of announcement."""
        return [body for _, body in self._pending.values()]

    def settle(self, block: int, hashes: list[str]) -> None:
        """Forget what a block holds, and what waits for longer than `_PENDING_BLOCKS`."""
        self._block = block
        for transaction in hashes:
            self._pending.pop(transaction, None)
        while self._pending:
            oldest = next(iter(self._pending))
            if block - self._pending[oldest][0] < _PENDING_BLOCKS:
                break
            del self._pending[oldest]
            self.counts["pending_expired"] += 1

    async def _subscribe(self, identifier: int, params: list[Any]) -> str:
        if self._socket is None:
            raise RuntimeError("announcements are used outside their context")
        request = {"jsonrpc": "2.0", "id": identifier, "method": "eth_subscribe", "params": params}
        await self._socket.send_bytes(orjson.dumps(request))
        while True:
            message = await self._socket.receive(_SECONDS)
            answer = self._parse(message)
            if answer.get("id") == identifier:
                if "result" not in answer:
                    raise ChainFailed(f"{self._url} refused to subscribe to {params[0]}: {answer.get('error')}")
                return str(answer["result"])
            self._take(answer)

    async def _read(self) -> AsyncIterator[Announcement]:
        if self._socket is None:
            raise RuntimeError("announcements are used outside their context")
        while True:
            announcement = self._take(self._parse(await self._socket.receive()))
            if announcement is not None:
                yield announcement

    def _parse(self, message: aiohttp.WSMessage) -> dict[str, Any]:
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise ChainFailed(f"{self._url} ended the connection")
        try:
            answer = orjson.loads(message.data)
        except orjson.JSONDecodeError as error:
            raise ChainFailed(f"{self._url} sent something that is not JSON") from error
        if not isinstance(answer, dict):
            raise ChainFailed(f"{self._url} sent something that is not a JSON-RPC object")
        return answer

    def _take(self, answer: dict[str, Any]) -> Announcement | None:
        params = answer.get("params") or {}
        channel, result = self._channels.get(str(params.get("subscription"))), params.get("result")
        try:
            if channel == "pending" and isinstance(result, dict):
                self._keep(result)
            elif channel == "head" and isinstance(result, dict):
                fields = (int(result[name], 16) for name in ("number", "timestamp", "baseFeePerGas"))
                return HeadAnnounced(*fields)
            elif channel == "stage" and isinstance(result, dict):
                return StageAnnounced(int(result["block"]), int(result["stage"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ChainFailed(f"{self._url} announced a malformed {channel}") from error
        return None

    def _keep(self, body: Mapping[str, Any]) -> None:
        self._pending[body["hash"]] = (self._block, body)
        if len(self._pending) > _PENDING_BOUND:
            self._pending.popitem(last=False)
            self.counts["pending_dropped"] += 1
