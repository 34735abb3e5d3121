"""How much is handed to whom at once: learned from what leaders did with what they were given. Pure.

A limit doubles with each order that was executed and paid for, and falls by an eighth with each that was accepted and
not executed: one failure says little, as whoever executes is outbid more often than not, or misses its victim. A leader
can copy what is revealed to it and trade from an address that nobody links with it; so nobody is given more than the
loss of it would be worth finding that out: who never pays is given eight times the first limit in all, whatever is
restarted (`trust_file`).

What was revealed to a leader, and what of it was promised and lost, is counted in wei: a leader that copies and still
executes some shows there, next to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from protocol.units import Address, BlockNumber, Hash32, Wei

FIRST_LIMIT: Final = Wei(10**18 // 4)
LEAST_LIMIT: Final = Wei(10**15)
MOST_LIMIT: Final = Wei(100 * 10**18)
_PART_LOST: Final = 8
MAX_OPEN: Final = 1_024
MAX_KNOWN: Final = 4_096
"""Leaders, of them those outside the registry that broke something: who leaves and comes back does not begin anew."""
SETTLED_AFTER: Final = 3
"""Blocks after its target, an accepted order that was not paid for counts as broken."""


class Known(msgspec.Struct):
    """What is known of one leader."""

    limit: Wei = FIRST_LIMIT
    given: int = 0
    accepted: int = 0
    paid: int = 0
    broken: int = 0
    revealed: Wei = Wei(0)
    """Gross profit of the finds that its boxes held, whatever it answered."""
    lost: Wei = Wei(0)
    """Of these, what it accepted and did not execute."""


class OpenOrder(NamedTuple):
    """An accepted order that is neither paid nor over. `value`: the find's gross profit."""

    leader: Address
    target: BlockNumber
    value: Wei


class Trust:
    """See the module. `limits` forgets who has left the registry without having broken anything."""

    def __init__(
        self, known: Mapping[Address, Known] | None = None, opened: Mapping[Hash32, OpenOrder] | None = None
    ) -> None:
        self._known: dict[Address, Known] = dict(known or {})
        self._open: dict[Hash32, OpenOrder] = dict(opened or {})

    @property
    def known(self) -> Mapping[Address, Known]:
        """What is known of each leader."""
        return self._known

    @property
    def opened(self) -> Mapping[Hash32, OpenOrder]:
        """Accepted orders by their hashes."""
        return self._open

    def of(self, leader: Address) -> Known:
        """What is known of a leader."""
        return self._known.get(leader, Known())

    def limits(self, operators: Iterable[Address]) -> dict[Address, Wei]:
        """The limits of these; others are forgotten, but for the last MAX_KNOWN that broke something."""
        present = {leader: self._known.get(leader, Known()) for leader in operators}
        gone = [leader for leader, known in self._known.items() if leader not in present and known.broken]
        self._known = {leader: self._known[leader] for leader in gone[-MAX_KNOWN:]} | present
        return {leader: known.limit for leader, known in present.items()}

    def revealed(self, leader: Address, value: Wei) -> None:
        """A find of this gross profit was sent to a leader, readable to it from now on."""
        known = self._known.setdefault(leader, Known())
        known.revealed = Wei(known.revealed + value)

    def given(self, leader: Address, order_hash: Hash32, target: BlockNumber, value: Wei, *, accepted: bool) -> None:
        """An order was handed over; an accepted one stays open until it is paid or its time is over."""
        known = self._known.setdefault(leader, Known())
        known.given += 1
        if accepted:
            known.accepted += 1
            self._open[order_hash] = OpenOrder(leader, target, value)
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
        for order_hash, order in list(self._open.items()):
            if head >= order.target + SETTLED_AFTER:
                del self._open[order_hash]
                known = self._known.setdefault(order.leader, Known())
                known.broken += 1
                known.lost = Wei(known.lost + order.value)
                known.limit = Wei(max(LEAST_LIMIT, known.limit - known.limit // _PART_LOST))
