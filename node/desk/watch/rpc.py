"""The desk's own way to the chain: single JSON-RPC calls over HTTP, with a deadline and a cap; reads only.

WatchFailed (NodeError)     the node of the chain did not answer, or not so; says which by its public name
└── WatchRefused            it answered with an error
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import orjson

from governance.log_ranges import CallRefused
from node.errors import NodeError

CALL_SECONDS: Final = 5.0
ANSWER_BYTES: Final = 4 * 1024 * 1024
_MESSAGE_CHARACTERS: Final = 200


class WatchFailed(NodeError):
    """The node of the chain did not answer, or not so."""


class WatchRefused(WatchFailed, CallRefused):
    """The node of the chain answered with an error."""


class _Answer(msgspec.Struct):
    result: Any = None
    error: Any = None


class WatchRpc:
    """One node of the chain. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname or ''}{'' if parts.port is None else f':{parts.port}'}"
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WatchRpc:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, headers={"Content-Type": "application/json"})
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call. Raises WatchFailed."""
        if self._session is None:
            raise WatchFailed(f"{self.name}: not open")
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                answer = msgspec.json.decode(await response.content.read(ANSWER_BYTES), type=_Answer)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            # Only the kind: the texts of some of these quote the URL, which may hold a key.
            raise WatchFailed(f"{self.name}: {method}: {type(error).__name__}") from None
        if answer.error is not None:
            raise WatchRefused(f"{self.name}: {method}: refused: {str(answer.error)[:_MESSAGE_CHARACTERS]}")
        return answer.result
