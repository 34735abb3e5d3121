"""A JSON-RPC client over HTTP: one deadline a call, batches, errors as `RpcError`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
import orjson

from devnet.errors import ChainFailed, RpcError


class RpcClient:
    """Speaks JSON-RPC to one URL over kept-alive connections. Use as an async context manager."""

    def __init__(self, url: str, *, deadline_seconds: float = 30.0, headers: dict[str, str] | None = None) -> None:
        self.url = url
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
        if self._session is None:
            raise RuntimeError("RpcClient is used outside its context")
        try:
            async with self._session.post(self.url, data=orjson.dumps(body)) as response:
                return orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ChainFailed(f"{self.url} did not answer: {error or type(error).__name__}") from error
        except orjson.JSONDecodeError as error:
            raise ChainFailed(f"{self.url} answered with something that is not JSON") from error


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise ChainFailed(f"{method}: the answer is not a JSON-RPC object")
    if (error := answer.get("error")) is not None:
        raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
    return answer.get("result")
