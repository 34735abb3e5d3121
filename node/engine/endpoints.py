"""The nodes of the chain that we read from, the most trusted first; a call that one fails goes to the next.

A node is *benched* while there is a reason not to trust it; the reason is shown in its status. Benched nodes are asked
only where no other is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, TypeVar

from node.clock import Clock
from node.config import RpcConfig
from node.engine.rpc import CALL_SECONDS, Call, HttpTransport, Rpc, RpcError, RpcUnreachable, public_names

_Result = TypeVar("_Result")


class Endpoint:
    """One node: `rpc` for calls, `websocket` for subscriptions. `benched` says why it is not trusted, or is empty."""

    def __init__(self, rpc: Rpc, websocket: str) -> None:
        self.rpc, self.websocket = rpc, websocket
        self.benched = ""

    @property
    def name(self) -> str:
        """What may be shown of its URL."""
        return self.rpc.name

    @property
    def status(self) -> str:
        """`ok`, or why it is benched."""
        return self.benched or "ok"


class Endpoints:
    """All nodes, in the order of preference. `failovers` counts calls that went to another one."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.all = tuple(endpoints)
        self.failovers = 0

    @classmethod
    def open(cls, configured: Sequence[RpcConfig], clock: Clock, patience: float = 0.0) -> Endpoints:
        """Return the configured nodes; connections are opened when they are needed. `patience`: see `Rpc`."""
        names = public_names([one.http for one in configured])
        pairs = zip(names, configured, strict=True)
        return cls(
            [Endpoint(Rpc(name, HttpTransport(one.http), clock, patience), one.websocket) for name, one in pairs]
        )

    async def close(self) -> None:
        """Let all connections go."""
        for endpoint in self.all:
            await endpoint.rpc.close()

    @property
    def status(self) -> dict[str, str]:
        """By name: `ok`, or what is wrong."""
        return {endpoint.name: endpoint.status for endpoint in self.all}

    def ranked(self) -> list[Endpoint]:
        """The trusted ones in the order of preference, then the benched ones."""
        return sorted(self.all, key=lambda endpoint: bool(endpoint.benched))

    async def call(self, method: str, *params: Any, shape: Any = Any, seconds: float = CALL_SECONDS) -> Any:
        """Return the result of one call, from whoever answers. Raises the first one's RpcError if all fail."""
        return await self._first(lambda rpc: rpc.call(method, *params, shape=shape, seconds=seconds))

    async def batch(self, calls: Sequence[Call], *, seconds: float = CALL_SECONDS) -> list[Any]:
        """As `Rpc.batch`, from whoever answers. Raises the first one's RpcError if all fail."""
        return await self._first(lambda rpc: rpc.batch(calls, seconds=seconds))

    async def _first(self, ask: Callable[[Rpc], Awaitable[_Result]]) -> _Result:
        failure: RpcError | None = None
        for endpoint in self.ranked():
            try:
                return await ask(endpoint.rpc)
            except RpcError as error:
                failure = failure or error
                self.failovers += 1
        raise failure or RpcUnreachable("the chain", "any call", "no node is configured")


def backoff_seconds(failures: int, random: Random, *, first: float = 0.25, most: float = 30.0) -> float:
    """How long to wait after so many failures in a row: doubling, at most `most`, with up to half of it by chance."""
    ceiling = min(most, first * 2.0 ** min(failures - 1, 30))
    jitter: float = random.random()
    return ceiling * (0.5 + jitter / 2)
