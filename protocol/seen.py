"""What was accepted before: envelopes by their signature, and each operator's sequence numbers."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container
from typing import Final

from protocol.messages import CLOCK_TOLERANCE_MS, MAX_LIFETIME_MS
from protocol.units import Address, SequenceNumber, SignatureBytes, UnixMilliseconds

KEPT_MS: Final = MAX_LIFETIME_MS + 2 * CLOCK_TOLERANCE_MS
"""No envelope is current for longer."""
SEQUENCES_KEPT: Final = 64


class Seen:
    """Signatures of accepted envelopes, for as long as one can be current, at most `cap`: the oldest leave, counted."""

    def __init__(self, cap: int) -> None:
        self.evicted = 0
        self._cap = cap
        self._at: dict[SignatureBytes, UnixMilliseconds] = {}

    def __contains__(self, signature: SignatureBytes) -> bool:
        return signature in self._at

    def __len__(self) -> int:
        return len(self._at)

    def add(self, signature: SignatureBytes, now: UnixMilliseconds) -> None:
        """Remember a signature."""
        self._at[signature] = now
        while self._at:
            oldest = next(iter(self._at))
            expired = self._at[oldest] + KEPT_MS < now
            if not expired and len(self._at) <= self._cap:
                return
            self.evicted += not expired
            del self._at[oldest]


class Sequences:
    """Which sequence numbers of an operator are new: above all forgotten ones, and none of the last SEQUENCES_KEPT.

    Numbers rise where they are made; on different ways one may overtake another, so a late one is taken once. One that
    is below every number still remembered is old, whether it came before or not.
    """

    def __init__(self) -> None:
        self._kept: dict[Address, list[SequenceNumber]] = {}
        self._floors: dict[Address, SequenceNumber] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def is_new(self, operator: Address, sequence: SequenceNumber) -> bool:
        """Tell whether the operator's number was not there before."""
        if sequence <= self._floors.get(operator, -1):
            return False
        kept = self._kept.get(operator, [])
        place = bisect_left(kept, sequence)
        return place == len(kept) or kept[place] != sequence

    def add(self, operator: Address, sequence: SequenceNumber) -> None:
        """Remember a number that is new."""
        kept = self._kept.setdefault(operator, [])
        insort(kept, sequence)
        if len(kept) > SEQUENCES_KEPT:
            self._floors[operator] = kept.pop(0)

    def make_room(self, operators: Container[Address], cap: int) -> None:
        """If more than `cap` are remembered, forget whoever is not among `operators`.

        Not before: who leaves and comes back within a minute must not have its old numbers taken again.
        """
        if len(self._kept) > cap:
            self._kept = {operator: kept for operator, kept in self._kept.items() if operator in operators}
            self._floors = {operator: floor for operator, floor in self._floors.items() if operator in operators}
