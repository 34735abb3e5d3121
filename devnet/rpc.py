"""A JSON-RPC client over HTTP: one deadline a call, batches, errors as `RpcError`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
import msgspec
import orjson

from devnet.errors import AnswerTooLarge, ChainFailed, RpcError


class _Unread(msgspec.Struct):
    """An answer whose result is left as it came."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class RpcClient:
    """Speaks JSON-RPC to one URL over kept-alive connections. Use as an async context manager.

    An answer of more than `answer_bytes` (None: no bound) is not read to its end.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float = 30.0,
        headers: dict[str, str] | None = None,
        answer_bytes: int | None = None,
    ) -> None:
        self.url = url
        self._answer_bytes = answer_bytes
        self._deadline = aiohttp.ClientTimeout(total=deadline_seconds)
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._deadline, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call. Raises `RpcError` on an error object, `ChainFailed` when none came."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        return _result(method, await self._post(body))

    async def call_unread(self, method: str, *params: Any) -> bytes:
        """Return the result of one call as JSON text: for who only passes it on. Raises as `call` does."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            answer = msgspec.json.decode(await self._text(body), type=_Unread)
        except msgspec.DecodeError as error:
            raise ChainFailed(f"{self.url} answered with something that is not JSON-RPC") from error
        if answer.error is not None:
            _result(method, {"error": answer.error})
        return bytes(answer.result)

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | RpcError]:
        """Send many calls in one request; the answers in the order of the calls, an `RpcError` as a value."""
        if not calls:
            return []
        first = next(self._ids)
        body = [
            {"jsonrpc": "2.0", "id": first + i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
        self._ids = itertools.count(first + len(calls))
        answers = await self._post(body)
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise ChainFailed(f"{self.url} answered a batch of {len(calls)} with something else")
        by_id = {answer.get("id"): answer for answer in answers}
        results: list[Any | RpcError] = []
        for i, (method, _) in enumerate(calls):
            try:
                results.append(_result(method, by_id.get(first + i)))
            except RpcError as error:
                results.append(error)
        return results

    async def _post(self, body: object) -> Any:
        try:
            return orjson.loads(await self._text(body))
        except orjson.JSONDecodeError as error:
            raise ChainFailed(f"{self.url} answered with something that is not JSON") from error

    async def _text(self, body: object) -> bytes:
        if self._session is None:
            raise RuntimeError("RpcClient is used outside its context")
        try:
            async with self._session.post(self.url, data=orjson.dumps(body)) as response:
                if self._answer_bytes is None:
                    return await response.read()
                return await _bounded(response, self._answer_bytes)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ChainFailed(f"{self.url} did not answer: {error or type(error).__name__}") from error


async def _bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    text = bytearray()
    async for chunk in response.content.iter_chunked(262_144):
        text += chunk
        if len(text) > most:
            response.close()  # the rest is not worth reading for the sake of the connection
            raise AnswerTooLarge(f"the answer is larger than {most} bytes: ask for less, for example fewer blocks")
    return bytes(text)


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise ChainFailed(f"{method}: the answer is not a JSON-RPC object")
    if (error := answer.get("error")) is not None:
        raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
    return answer.get("result")
