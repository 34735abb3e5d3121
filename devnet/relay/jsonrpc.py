"""JSON-RPC 2.0 as the relay speaks it: bytes in, bytes out. Whatever comes in, an answer goes out.

JsonRpcError        a call is answered with an error object: `code`, `message`, `data`
├── InvalidRequest  -32600, not a request object
├── MethodNotFound  -32601
├── InvalidParams   -32602
└── LimitExceeded   -32005, a bound of the server (EIP-1474)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from devnet.errors import ChainFailed, DevnetError, RpcError

_log = logging.getLogger(__name__)


class JsonRpcError(DevnetError):
    """A call is answered with an error object."""

    code = -32000

    def __init__(self, message: str, code: int | None = None, data: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        if code is not None:
            self.code = code


class InvalidRequest(JsonRpcError):
    """Not a JSON-RPC request object."""

    code = -32600


class MethodNotFound(JsonRpcError):
    """No such method on this endpoint."""

    code = -32601


class InvalidParams(JsonRpcError):
    """The parameters are not what the method takes."""

    code = -32602


class LimitExceeded(JsonRpcError):
    """A bound of the server is reached (EIP-1474)."""

    code = -32005


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `identifier` is None for a notification, which gets no answer."""

    method: str
    params: list[Any]
    identifier: int | float | str | None
    is_notification: bool


Handler = Callable[[Call], Awaitable[Any]]


def is_ordered(method: str) -> bool:
    """Whether calls of that method keep their order within a batch or a WebSocket."""
    return method.startswith(("eth_send", "eth_subscribe", "eth_unsubscribe"))


def error_body(error: JsonRpcError, identifier: object = None) -> bytes:
    """Return the answer that carries `error`."""
    return orjson.dumps(_error_object(identifier, error.code, error.message, error.data))


def parse(item: Any) -> Call:
    """Read one request object. Raises `InvalidRequest` or `InvalidParams`."""
    if not isinstance(item, dict) or not isinstance(item.get("method"), str):
        raise InvalidRequest("invalid request: an object with a method is expected")
    identifier = item.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, int | float | str | None):
        raise InvalidRequest("invalid request: an id is a number, a string or null")
    params = item.get("params")
    if params is not None and not isinstance(params, list):
        raise InvalidParams("non-array args: parameters are a list here")
    return Call(item["method"], params or [], identifier, "id" not in item)


async def answer(body: bytes, handle: Handler, *, batch_limit: int, is_ordered: Callable[[str], bool]) -> bytes | None:
    """Answer a request or a batch; None if there is nothing to answer.

    Calls of a batch run side by side, except that `is_ordered` methods run one after the other, in their order.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return error_body(JsonRpcError("parse error: not JSON", -32700))
    if not isinstance(request, list):
        single = await _answer_one(request, handle)
        return None if single is None else orjson.dumps(single)
    if not request:
        return error_body(InvalidRequest("empty batch"))
    if len(request) > batch_limit:
        return error_body(InvalidRequest(f"batch too large: {len(request)} calls, the limit is {batch_limit}"))
    answers = [item for item in await _answer_batch(request, handle, is_ordered) if item is not None]
    return orjson.dumps(answers) if answers else None


async def _answer_batch(
    items: list[Any], handle: Handler, is_ordered: Callable[[str], bool]
) -> list[dict[str, Any] | None]:
    answers: list[dict[str, Any] | None] = []
    together: list[Any] = []

    async def flush() -> None:
        answers.extend(await asyncio.gather(*(_answer_one(item, handle) for item in together)))
        together.clear()

    for item in items:
        if isinstance(item, dict) and is_ordered(str(item.get("method"))):
            await flush()
            answers.append(await _answer_one(item, handle))
        else:
            together.append(item)
    await flush()
    return answers


async def _answer_one(item: Any, handle: Handler) -> dict[str, Any] | None:
    identifier = item.get("id") if isinstance(item, dict) else None
    if isinstance(identifier, bool) or not isinstance(identifier, int | float | str):
        identifier = None
    try:
        call = parse(item)
        result = await handle(call)
    except (JsonRpcError, RpcError) as error:
        return _error_object(identifier, error.code, error.message, error.data)
    except ChainFailed as error:
        return _error_object(identifier, -32603, f"the chain does not answer: {error}", None)
    except DevnetError as error:
        return _error_object(identifier, JsonRpcError.code, str(error), None)
    except Exception:
        # A fault of ours must not end the connection of the caller; the log has the traceback, the caller has not.
        _log.exception("a call failed")
        return _error_object(identifier, -32603, "internal error", None)
    return None if call.is_notification else {"jsonrpc": "2.0", "id": call.identifier, "result": result}


def _error_object(identifier: object, code: int, message: str, data: object) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": identifier, "error": error}
