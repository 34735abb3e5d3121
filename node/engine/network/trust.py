"""How much is handed to whom at once: learned from what leaders did with what they were given. Pure.

A limit rises with each order that was executed and paid for, to PAID_TIMES what that was worth and at most to its
double: who pays for dust has shown nothing. It falls by an eighth with each that was accepted and not executed: one
failure says little, as whoever executes is outbid more often than not, or misses its victim. A leader
can copy what is revealed to it and trade from an address that nobody links with it; so nobody is given more than the
loss of it would be worth finding that out: who never pays is given eight times the first limit in all, whatever is
restarted (`trust_file`).

What was revealed to a leader, and what of it was promised and lost, is counted in wei: a leader that copies and still
executes some shows there, next to others.

What a leader was shown and did not accept, somebody else may take, as finds that nobody was shown are taken, too
(`shown`). Where that happens CHANCE_TIMES as often as to those, each further one is held against it like a broken
promise. Those that it accepted and paid for count as shown and not taken: a leader that has some of our finds itself,
and says so, takes these whether it is shown them or not, and is compared over the same kind of finds as the control.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from protocol.units import Address, BlockNumber, Hash32, Wei

FIRST_LIMIT: Final = Wei(10**18 // 4)
LEAST_LIMIT: Final = Wei(10**15)
MOST_LIMIT: Final = Wei(100 * 10**18)
PAID_TIMES: Final = 4
_PART_LOST: Final = 8
MAX_OPEN: Final = 1_024
MAX_KNOWN: Final = 4_096
"""Leaders outside the registry that lost something for us: who leaves and comes back does not begin anew."""
LEAST_SHOWN: Final = 8
"""Of what a leader was shown, and of the control group, before one is held against the other."""
CHANCE_TIMES: Final = 2
OF_LATE: Final = 256
"""When so many are counted, both counts are halved: what was long ago weighs less."""
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
    """Of these, what it accepted and did not execute, and what was taken after it was shown, beyond chance."""
    refused: int = 0
    """Finds that it was shown and did not take, of late …"""
    taken: int = 0
    """… and of these, those that somebody else took in their block."""
    executed: int = 0
    """Finds that it accepted, executed and paid for, of late: shown, and not taken."""


class Control(msgspec.Struct):
    """Finds that nobody was shown, of late, and of these those that somebody else took in their block."""

    seen: int = 0
    taken: int = 0


class OpenOrder(NamedTuple):
    """An accepted order that is neither paid nor over. `value`: the find's gross profit."""

    leader: Address
    target: BlockNumber
    value: Wei


class Trust:
    """See the module. `limits` forgets who has left the registry without having lost anything for us."""

    def __init__(
        self,
        known: Mapping[Address, Known] | None = None,
        opened: Mapping[Hash32, OpenOrder] | None = None,
        control: Control | None = None,
    ) -> None:
        self.control = control or Control()
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
        """The limits of these; others are forgotten, but for the last MAX_KNOWN that broke something or whose
        limit is below the first one, as it is of who accepts nothing and takes what it is shown.
        """
        present = {leader: self._known.get(leader, Known()) for leader in operators}
        gone = [
            leader
            for leader, known in self._known.items()
            if leader not in present and (known.broken or known.limit < FIRST_LIMIT)
        ]
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

    def seen(self, leader: Address | None, value: Wei, *, is_taken: bool) -> None:
        """The block is over of a find that a leader was shown and did not take, or (None) that nobody was shown."""
        control = self.control
        if leader is None:
            control.seen, control.taken = _of_late(control.seen + 1, control.taken + is_taken)
            return
        known = self._known.setdefault(leader, Known())
        known.refused, known.taken = known.refused + 1, known.taken + is_taken
        _forget(known)
        if is_taken and self.is_beyond_chance(known):
            known.lost = Wei(known.lost + value)
            known.limit = Wei(max(LEAST_LIMIT, known.limit - known.limit // _PART_LOST))

    def is_beyond_chance(self, known: Known) -> bool:
        """Whether what a leader was shown is taken without us far more often than what nobody was shown."""
        control, shown = self.control, known.refused + known.executed
        if min(shown, control.seen) < LEAST_SHOWN:
            return False
        # One more of each kind in the control group than there was: of few, none taken says little.
        return known.taken * (control.seen + 2) >= CHANCE_TIMES * (control.taken + 1) * shown

    def paid(self, leader: Address, order_hash: Hash32) -> None:
        """An order of ours was executed and its finder paid."""
        order = self._open.pop(order_hash, None)
        known = self._known.setdefault(leader, Known())
        known.paid += 1
        known.executed += 1
        _forget(known)
        if order is not None:
            shown = min(PAID_TIMES * order.value, 2 * known.limit, MOST_LIMIT)
            known.limit = Wei(max(known.limit, shown))

    def begin(self, head: BlockNumber) -> None:
        """Count what was accepted and not executed while there was time."""
        for order_hash, order in list(self._open.items()):
            if head >= order.target + SETTLED_AFTER:
                del self._open[order_hash]
                known = self._known.setdefault(order.leader, Known())
                known.broken += 1
                known.lost = Wei(known.lost + order.value)
                known.limit = Wei(max(LEAST_LIMIT, known.limit - known.limit // _PART_LOST))


def _forget(known: Known) -> None:
    if known.refused + known.executed >= OF_LATE:
        known.refused, known.taken, known.executed = known.refused // 2, known.taken // 2, known.executed // 2


def _of_late(seen: int, taken: int) -> tuple[int, int]:
    return (seen // 2, taken // 2) if seen >= OF_LATE else (seen, taken)
