"""Taking part in a devnet's lockstep (docs/devnet.md): blocks wait for us, and our requests have an order.

EngineFault    the devnet does not let us take part, or has dropped us
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from node.clock import Clock
from node.config import LockstepConfig
from node.engine.errors import EngineFault
from node.engine.rpc import HttpTransport, Rpc, RpcError
from node.engine.rpc_types import HashHex
from protocol.units import UnixNanoseconds

STAGE: Final = 1
"""Searchers act after the order flow."""
PATIENCE_SECONDS: Final = 60.0
"""What answers in lockstep may take: there only the order counts, and a deadline is a dependence on the machine."""


class ChainTime:
    """The chain's time in Unix nanoseconds, for who goes by it; 0 until it is known where to read it."""

    def __init__(self) -> None:
        self.read: Callable[[], UnixNanoseconds] = lambda: UnixNanoseconds(0)
        """Set where the feed is wired."""

    def __call__(self) -> UnixNanoseconds:
        return self.read()


class Lockstep:
    """One participant. What it sends waits for its stage, and is numbered in the order in which it was to be sent."""

    def __init__(self, config: LockstepConfig, admin: Rpc, public_url: str, clock: Clock) -> None:
        self._name, self._admin = config.participant, admin
        self._public_url, self._clock = public_url, clock
        self._sequence = 0
        self._open = asyncio.Event()

    async def turn(self) -> None:
        """Return when our stage is open; who asked first goes first."""
        await self._open.wait()

    def headers(self) -> dict[str, str]:
        """Return the headers of our next request."""
        self._sequence += 1
        return {"X-Devnet-Participant": self._name, "X-Devnet-Sequence": str(self._sequence)}

    async def send_public(self, raw: bytes) -> None:
        """Send a transaction to the public mempool in our stage. Raises RpcError."""
        await self.turn()
        transport = HttpTransport(self._public_url, headers=self.headers())
        public = Rpc("the devnet", transport, self._clock, PATIENCE_SECONDS)
        try:
            await public.call("eth_sendRawTransaction", "0x" + raw.hex(), shape=HashHex)
        finally:
            await public.close()

    async def join(self) -> None:
        """Take part from the next block on. Raises EngineFault."""
        await self._say("devnet_join", self._name, STAGE)

    async def play(self, block: int, stage: int, act: Callable[[], Awaitable[None]]) -> None:
        """Do all that we do in a stage, if it is ours, then let the others go on. Raises EngineFault."""
        if stage != STAGE:
            return
        self._open.set()
        await act()
        self._open.clear()
        await self._say("devnet_barrier", self._name, block, stage)

    async def leave(self) -> None:
        """Let the others go on without us. Raises EngineFault."""
        await self._say("devnet_leave", self._name)

    async def _say(self, method: str, *params: Any) -> None:
        try:
            await self._admin.call(method, *params, seconds=PATIENCE_SECONDS)
        except RpcError as error:
            raise EngineFault(f"lockstep: {error}") from None
