"""The builders' endpoints as the outside sees them: faults and lockstep around the Flashbots API.

In lockstep a bundle goes to the builder at once, so that its sender has the answer; its place among others follows
from (participant, sequence), not from when it came.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson

from devnet.clock import DevnetClock
from devnet.relay import jsonrpc
from devnet.relay.context import Bundle, HttpAnswer
from devnet.relay.faults import FaultKind, Faults
from devnet.relay.intake import Intake, Ticket, require_ticket
from devnet.relay.jsonrpc import JsonRpcError
from devnet.relay.lockstep import LockstepError
from devnet.relay.lockstep_driver import LockstepDriver

_TICKETS_KEPT: Final = 16_384
_LEAKED_TRANSACTIONS: Final = 100
_HELD: Final = frozenset(("eth_sendBundle", "eth_cancelBundle"))
"""`eth_sendPrivateTransaction` is held by the mempool's intake."""


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
        lockstep: LockstepDriver | None,
    ) -> None:
        self._flashbots = flashbots
        self._intake = intake
        self._faults = faults
        self._clock = clock
        self._lockstep = lockstep
        self._tickets: OrderedDict[tuple[str, str], Ticket] = OrderedDict()

    async def handle(self, builder: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Answer a request to the relay of `builder`."""
        method, bundle = _peek(body)
        ticket: Ticket | None = None
        if self._lockstep is not None and method in _HELD:
            try:
                ticket = require_ticket()
                self._lockstep.hold(ticket.participant, ticket.next_place(), _nothing)
            except LockstepError as error:
                return HttpAnswer(400, jsonrpc.error_body(JsonRpcError(str(error))))
        answer = await self._flashbots.handle(builder, headers, body)
        if method == "eth_sendBundle" and answer.status == 200:
            self._taken(builder, ticket, bundle, answer)
        return answer

    def in_order(self, builder: str, bundles: Sequence[Bundle]) -> tuple[Bundle, ...]:
        """Return bundles with their arrivals as lockstep orders them; in real time as they are."""
        if self._lockstep is None:
            return tuple(bundles)
        last = Ticket("\U0010ffff", 0)

        def place(bundle: Bundle) -> tuple[str, int, bytes]:
            ticket = self._tickets.get((builder, "0x" + bundle.hash.hex()), last)
            return ticket.participant, ticket.sequence, bundle.hash

        return tuple(replace(bundle, arrival=i) for i, bundle in enumerate(sorted(bundles, key=place)))

    def _taken(self, builder: str, ticket: Ticket | None, bundle: dict[str, Any], answer: HttpAnswer) -> None:
        result = orjson.loads(answer.body).get("result")
        if not isinstance(result, dict):
            return  # refused
        if ticket is not None:
            self._tickets.setdefault((builder, str(result.get("bundleHash"))), ticket)
            if len(self._tickets) > _TICKETS_KEPT:
                self._tickets.popitem(last=False)
        if self._faults.strike(builder, FaultKind.LEAK, self._clock.now()) is not None:
            for raw in bundle.get("txs", [])[:_LEAKED_TRANSACTIONS]:
                self._intake.leak(bytes.fromhex(raw[2:]))


async def _nothing() -> None:
    """What is left to do with a bundle when its stage closes."""


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
