"""Handshakes under way with whoever connects to us: nobody knows yet who they are, so a crowd is told by its address.

A handshake takes part of a second, but a socket that says nothing may take all that it is given. So no part of the
network holds more than some, and where all are taken the oldest of the most crowded part gives way: a crowd shuts out
itself. Whoever connects from elsewhere has at least as long as the crowd needs to come in anew, which is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import count
from typing import Any, Final, NamedTuple

from node.sentry.networks import is_own_machine, neighbours_of

_close_socket: Final[ContextVar[Callable[[], None] | None]] = ContextVar("close_socket", default=None)
"""Of the handshake in whose task we are."""


async def upgrade(inbound: Callable[..., Awaitable[Any]], raw_conn: Any, address: Any) -> Any:
    """Take a stranger's socket through libp2p's handshake, so that whoever is asked about it can end it.

    The socket is closed, and its task not cancelled: a handshake that has just come to its end then ends as any
    connection does, and libp2p clears up after it.
    """
    _close_socket.set(raw_conn.stream.stream.socket.close)
    return await inbound(raw_conn, address)


class _Handshake(NamedTuple):
    neighbours: str
    end: Callable[[], None] | None


class Handshakes:
    """See the module: at most `total`, and `each` of one part of the network that is not the machine itself."""

    def __init__(self, total: int, each: int) -> None:
        self.evicted = 0
        self._total, self._each = total, each
        self._held: dict[int, _Handshake] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, address: str) -> Callable[[], None] | None:
        """Count the handshake of this task, and return what ends the count; None: there is no place for it."""
        neighbours = neighbours_of(address)
        crowds = Counter(held.neighbours for held in self._held.values())
        if crowds[neighbours] >= self._each and not is_own_machine(address):
            if not self._end_oldest_of(neighbours):
                return None
        elif len(self._held) >= self._total and not self._end_oldest_of(max(crowds, key=crowds.__getitem__)):
            return None
        number = next(self._numbers)
        self._held[number] = _Handshake(neighbours, _close_socket.get())

        def leave() -> None:
            self._held.pop(number, None)

        return leave

    def _end_oldest_of(self, neighbours: str) -> bool:
        for number, held in self._held.items():
            if held.neighbours == neighbours and held.end is not None:
                del self._held[number]
                self.evicted += 1
                held.end()
                return True
        return False
