"""How much is handed to whom at once: learned from what leaders did with what they were given. Pure.

A limit doubles with each order that was executed and paid for, and falls by an eighth with each that was accepted and
not executed: one failure says little, as whoever executes is outbid more often than not, or misses its victim. A leader
can copy what is revealed to it and trade from an address that nobody links with it; so nobody is given more than the
loss of it would be worth finding that out: who never pays is given eight times the first limit in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from protocol.units import Address, BlockNumber, Hash32, Wei

FIRST_LIMIT: Final = Wei(10**18 // 4)
LEAST_LIMIT: Final = Wei(10**15)
MOST_LIMIT: Final = Wei(100 * 10**18)
_PART_LOST: Final = 8
MAX_OPEN: Final = 1_024
SETTLED_AFTER: Final = 3
"""Blocks after its target, an accepted order that was not paid for counts as broken."""


class Known(msgspec.Struct):
    """What is known of one leader."""

    limit: Wei = FIRST_LIMIT
    given: int = 0
    accepted: int = 0
    paid: int = 0
    broken: int = 0


class Trust:
    """See the module. Grows with the registry only: `limits` forgets who has left."""

    def __init__(self) -> None:
        self._known: dict[Address, Known] = {}
        self._open: dict[Hash32, tuple[Address, BlockNumber]] = {}

    def of(self, leader: Address) -> Known:
        """What is known of a leader."""
        return self._known.get(leader, Known())

    def limits(self, operators: Iterable[Address]) -> dict[Address, Wei]:
        """The limits of these; the others are forgotten."""
        present = list(operators)
        self._known = {leader: self._known.get(leader, Known()) for leader in present}
        return {leader: known.limit for leader, known in self._known.items()}

    def given(self, leader: Address, order_hash: Hash32, target: BlockNumber, *, accepted: bool) -> None:
        """An order was handed over; an accepted one stays open until it is paid or its time is over."""
        known = self._known.setdefault(leader, Known())
        known.given += 1
        if accepted:
            known.accepted += 1
            self._open[order_hash] = leader, target
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]

    def paid(self, leader: Address, order_hash: Hash32) -> None:
        """An order of ours was executed and its finder paid."""
        self._open.pop(order_hash, None)
        known = self._known.setdefault(leader, Known())
        known.paid += 1
        known.limit = Wei(min(MOST_LIMIT, known.limit * 2))

    def begin(self, head: BlockNumber) -> None:
        """Count what was accepted and not executed while there was time."""
        for order_hash, (leader, target) in list(self._open.items()):
            if head >= target + SETTLED_AFTER:
                del self._open[order_hash]
                known = self._known.setdefault(leader, Known())
                known.broken += 1
                known.limit = Wei(max(LEAST_LIMIT, known.limit - known.limit // _PART_LOST))
