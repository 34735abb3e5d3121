"""JSON-RPC over HTTP to one node of the chain: a deadline a call, a cap on answers, every shape checked.

RpcError(NodeError)     which node (by its public name), which method, what was wrong
├── RpcUnreachable      no connection, or it broke
├── RpcTimeout          no whole answer within the deadline
├── RpcGarbage          an answer that is not what the method answers; names the field
└── RpcRefused          the node said no: `code` and its message; HTTP errors have their status as the code

A URL may hold a key (user and password, path, query): errors and status show `public_name(url)` only.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
import orjson

from governance.log_ranges import CallRefused
from node.clock import Clock, within
from node.engine.rpc_types import decoder
from node.errors import NodeError

CALL_SECONDS: Final = 5.0
ANSWER_BYTES: Final = 32 * 1024 * 1024
BATCH_CALLS: Final = 500
"""Calls in one request at most: nodes refuse batches of more than 1,000, some of more than 500."""
_CHUNK_BYTES: Final = 256 * 1024
_MESSAGE_CHARACTERS: Final = 200
_HTTP_OK: Final = 200
_REVERTED: Final = 3


class RpcError(NodeError):
    """A call failed."""

    def __init__(self, where: str, method: str, what: str) -> None:
        super().__init__(f"{where}: {method}: {what}")
        self.where, self.method, self.what = where, method, what


class RpcUnreachable(RpcError):
    """No connection, or it broke."""


class RpcTimeout(RpcError):
    """No whole answer within the deadline."""


class RpcGarbage(RpcError):
    """An answer that is not what the method answers."""


class RpcRefused(RpcError, CallRefused):
    """The node said no. `data`: what came with it, for a revert often its bytes in hex."""

    def __init__(self, where: str, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(where, method, f"refused with {code}: {message[:_MESSAGE_CHARACTERS]}")
        self.code, self.data = code, data

    @property
    def is_revert(self) -> bool:
        """Whether the chain's code said no, and not the node or what stands before it (load, a block it lacks).

        Code 3 is go-ethereum's; others send the revert's bytes with a code of their own.
        """
        data = self.data
        return self.code == _REVERTED or (isinstance(data, str) and data.removeprefix("Reverted ").startswith("0x"))


class TransportFailed(Exception):
    """No connection, it broke, or the answer is too long; the text says which."""


class Transport(Protocol):
    """Carries one request body to one node and its answer back."""

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Return HTTP status and body of the answer. Raises TransportFailed."""

    async def close(self) -> None:
        """Let the connections go."""


class HttpTransport:
    """Kept-alive connections to one URL, with `headers` on each request beside those of JSON.

    Answers of more than `answer_bytes` are not read to their end.
    """

    def __init__(self, url: str, *, answer_bytes: int = ANSWER_BYTES, headers: Mapping[str, str] | None = None) -> None:
        self._url, self._answer_bytes = url, answer_bytes
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Return HTTP status and body of the answer. Raises TransportFailed."""
        if self._session is None:
            # The deadline is the caller's, on the injected clock.
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=None))
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                return response.status, await self._bounded(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only the kind: the texts of some of these quote the URL.
            raise TransportFailed(f"no connection ({type(error).__name__})") from None

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        text = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            text += chunk
            if len(text) > self._answer_bytes:
                response.close()
                raise TransportFailed(f"an answer of more than {self._answer_bytes} bytes")
        return bytes(text)


class Call(msgspec.Struct, frozen=True):
    """One call: `shape` is the type that the result must have (see `rpc_types`); raw text where it is msgspec.Raw."""

    method: str
    params: tuple[Any, ...] = ()
    shape: Any = Any


class _Fault(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Fault | None = None


_ONE: Final = msgspec.json.Decoder(_Answer)
_MANY: Final = msgspec.json.Decoder(list[_Answer])


class Rpc:
    """One node of the chain. `name` is what may be shown of its URL; no deadline is shorter than `patience` seconds."""

    def __init__(self, name: str, transport: Transport, clock: Clock, patience: float = 0.0) -> None:
        self.name = name
        self._transport, self._clock, self._patience = transport, clock, patience
        self._ids = itertools.count(1)

    async def close(self) -> None:
        """Let the connections go."""
        await self._transport.close()

    async def call(self, method: str, *params: Any, shape: Any = Any, seconds: float = CALL_SECONDS) -> Any:
        """Return the result of one call, of the type `shape`. Raises RpcError."""
        call = Call(method, params, shape)
        identifier = next(self._ids)
        answer: _Answer = await self._ask(_ONE, orjson.dumps(_request(identifier, call)), method, seconds)
        if answer.id != identifier and answer.error is None:
            raise RpcGarbage(self.name, method, f"the answer is to {answer.id}, the question was {identifier}")
        return self._result(call, answer)

    async def batch(self, calls: Sequence[Call], *, seconds: float = CALL_SECONDS) -> list[Any]:
        """Return the results of many calls, in their order; a refused one's RpcRefused stands in its place.

        Sent as one request for each BATCH_CALLS of them. Raises RpcError where a whole request fails.
        """
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_CALLS):
            results += await self._batch(calls[start : start + BATCH_CALLS], seconds)
        return results

    async def _batch(self, calls: Sequence[Call], seconds: float) -> list[Any]:
        numbered = {next(self._ids): call for call in calls}
        body = orjson.dumps([_request(identifier, call) for identifier, call in numbered.items()])
        names = f"batch of {len(calls)} ({calls[0].method})"
        answers: list[_Answer] = await self._ask(_MANY, body, names, seconds)
        by_id = {answer.id: answer for answer in answers}
        if len(answers) != len(calls) or by_id.keys() != numbered.keys():
            raise RpcGarbage(self.name, names, f"{len(answers)} answers that do not match the questions")
        results: list[Any] = []
        for identifier, call in numbered.items():
            try:
                results.append(self._result(call, by_id[identifier]))
            except RpcRefused as refused:
                results.append(refused)
        return results

    async def _ask(self, decode: msgspec.json.Decoder[Any], body: bytes, method: str, seconds: float) -> Any:
        seconds = max(seconds, self._patience)
        try:
            status, text = await within(self._clock, seconds, self._transport.post(body))
        except TimeoutError:
            raise RpcTimeout(self.name, method, f"no answer within {seconds:g} s") from None
        except TransportFailed as failure:
            raise RpcUnreachable(self.name, method, str(failure)) from None
        try:
            return decode.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._raise_for_refusal(method, text)
            if status != _HTTP_OK:
                raise RpcRefused(self.name, method, status, "an HTTP error") from None
            raise RpcGarbage(self.name, method, f"not JSON-RPC: {_short(error)}") from None

    def _raise_for_refusal(self, method: str, text: bytes) -> None:
        """Raise RpcRefused where a batch as a whole was answered with one error."""
        try:
            alone: _Answer = _ONE.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if alone.error is not None:
            raise RpcRefused(self.name, method, alone.error.code, alone.error.message)

    def _result(self, call: Call, answer: _Answer) -> Any:
        if answer.error is not None:
            raise RpcRefused(self.name, call.method, answer.error.code, answer.error.message, answer.error.data)
        if call.shape is msgspec.Raw:
            return answer.result
        try:
            return decoder(call.shape).decode(answer.result)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RpcGarbage(self.name, call.method, _short(error)) from None


def public_name(url: str) -> str:
    """Return what may be shown of a URL: scheme, host and port; a path is told by an ellipsis, as it may be a key."""
    parts = urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    hidden = "/…" if parts.path not in ("", "/") or parts.query else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{hidden}"


def public_names(urls: Sequence[str]) -> list[str]:
    """Return `public_name` of each, told apart by a number where two are equal."""
    names: list[str] = []
    for url in urls:
        name, number = public_name(url), 2
        unique = name
        while unique in names:
            unique, number = f"{name} ({number})", number + 1
        names.append(unique)
    return names


def _request(identifier: int, call: Call) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "method": call.method, "params": call.params}


def _short(error: Exception) -> str:
    return str(error)[:_MESSAGE_CHARACTERS]
