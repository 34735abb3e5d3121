"""The builders' endpoints as the outside sees them: the Flashbots API, and the fault that leaks what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import orjson

from devnet.clock import DevnetClock
from devnet.relay.context import HttpAnswer
from devnet.relay.faults import FaultKind, Faults
from devnet.relay.intake import Intake

_LEAKED_TRANSACTIONS: Final = 100


class Flashbots(Protocol):
    """The builders' API proper."""

    async def handle(self, builder: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Answer a request to the relay of `builder`."""


class BuilderEndpoints:
    """Serves POST /builder/<name>."""

    def __init__(
        self,
        flashbots: Flashbots,
        *,
        intake: Intake,
        faults: Faults,
        clock: DevnetClock,
    ) -> None:
        self._flashbots = flashbots
        self._intake = intake
        self._faults = faults
        self._clock = clock

    async def handle(self, builder: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Answer a request to the relay of `builder`."""
        answer = await self._flashbots.handle(builder, headers, body)
        if answer.status == 200 and self._faults.look(builder, FaultKind.LEAK, self._clock.now()) is not None:
            self._leak(builder, body, answer)
        return answer

    def _leak(self, builder: str, body: bytes, answer: HttpAnswer) -> None:
        method, bundle = _peek(body)
        if method != "eth_sendBundle" or not isinstance(orjson.loads(answer.body).get("result"), dict):
            return
        self._faults.strike(builder, FaultKind.LEAK, self._clock.now())
        for raw in bundle.get("txs", [])[:_LEAKED_TRANSACTIONS]:
            self._intake.leak(bytes.fromhex(raw[2:]))


def _peek(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return method and first parameter of a request, empty where it has none: judging it is the API's part."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", {}
    if not isinstance(request, dict):
        return "", {}
    params = request.get("params")
    first = params[0] if isinstance(params, list) and params else None
    return str(request.get("method")), first if isinstance(first, dict) else {}
