"""The network in lockstep: what operators say to each other is exchanged at one place of each block, in rounds.

In lockstep there are no sentries. The devnet stands at the engine's end of their pipe (devnet/gossip_bus.py): the
transport is another one, what is sent, sealed, signed, judged and decided is the same. A round: every engine does all
that it can, and says that it is quiet; then each hears, in one order, what the others said; the block goes on once all
are quiet and nobody has said anything. Deadlines of a question are the bus's: it is over when nothing else can happen.

EngineFault    no bus came, or it is gone
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from node.clock import Clock, within
from node.engine.errors import EngineFault
from node.engine.lockstep import PATIENCE_SECONDS
from node.engine.network.alerts import Alerts
from node.engine.network.orders import OrderDesk
from node.engine.network.sentry_link import SentryLink
from node.link import AnyLinkMessage, StageQuiet, StageResumed
from node.link_sockets import Link
from protocol.codec import DirectMessage
from protocol.units import BlockNumber, PeerIdHash

LINKED_SECONDS: Final = 240.0
"""The bus comes once all nodes have been started; the slowest has cold caches."""


class SteppedLink(SentryLink):
    """A link on which what is said waits for `exchanged`, and what is heard comes then."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._said: list[AnyLinkMessage] = []
        self._linked = asyncio.Event()
        self._resumed: asyncio.Future[StageResumed] | None = None

    async def handle(self, link: Link) -> None:
        """See `SentryLink.handle`; nothing was said on a link before this one, and nothing will be after it."""
        self._linked.set()
        try:
            await super().handle(link)
        finally:
            if self._resumed is not None and not self._resumed.done():
                self._resumed.set_exception(EngineFault("lockstep: the devnet's gossip has ended"))

    async def linked(self) -> None:
        """Return when the bus is there. Raises EngineFault."""
        try:
            await within(self._clock, LINKED_SECONDS, self._linked.wait())
        except TimeoutError:
            raise EngineFault(f"lockstep: nobody came to carry gossip within {LINKED_SECONDS:g} s") from None

    async def ask(self, peer: PeerIdHash, question: DirectMessage, seconds: float) -> DirectMessage | None:
        """See `SentryLink.ask`; the bus answers every question, `seconds` count nothing."""
        return await super().ask(peer, question, max(seconds, PATIENCE_SECONDS))

    async def exchanged(self, block: BlockNumber) -> bool:
        """Say what there is to say; return, once all have said theirs and it was heard, whether it was nothing.

        Raises EngineFault.
        """
        said, self._said = self._said, []
        self._resumed = asyncio.get_running_loop().create_future()
        for message in (*said, StageQuiet(block=block)):
            if not await super()._tell(message):
                raise EngineFault("lockstep: the devnet's gossip is away")
        return (await self._resumed).is_over

    async def _take(self, message: AnyLinkMessage) -> None:
        if isinstance(message, StageResumed) and self._resumed is not None:
            self._resumed.set_result(message)
        else:
            await super()._take(message)

    async def _tell(self, message: AnyLinkMessage) -> bool:
        self._said.append(message)
        return True


class Exchange:
    """An engine's part in the rounds of a block."""

    def __init__(self, link: SteppedLink, orders: OrderDesk, alerts: Alerts) -> None:
        self.link = link
        self._orders, self._alerts = orders, alerts

    async def play(self, block: BlockNumber, settled: Callable[[], Awaitable[None]]) -> None:
        """Take turns with the others until nobody has anything to say. `settled` returns when the pipeline is idle.

        Raises EngineFault.
        """
        while True:
            await self._quiet(settled)
            if await self.link.exchanged(block):
                return

    async def _quiet(self, settled: Callable[[], Awaitable[None]]) -> None:
        """Return when all that is under way waits for others: none of it waits for anything but us and them."""
        while True:
            await settled()
            if not self._is_busy():
                return
            await asyncio.sleep(0)

    def _is_busy(self) -> bool:
        return self._orders.busy + self._alerts.busy + self.link.busy > 0
