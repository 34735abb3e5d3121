"""Finds that were told and not sent yet. Each is sent, or dropped for a reason, or too late once its block is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.pipeline.plans import Opportunity
from node.pipeline.reasons import Reason
from protocol.units import BlockNumber, Hash32

MAX_UNSENT: Final = 4_096
"""Beyond, the oldest is forgotten, which is counted."""


class Unsent:
    """The finds, and why each was not sent as far as that is known."""

    def __init__(self) -> None:
        self._finds: dict[Hash32, tuple[Opportunity, Reason]] = {}

    def found(self, opportunity: Opportunity) -> int:
        """A find is on its way; return how many are forgotten for it."""
        self._finds[opportunity.id] = (opportunity, Reason.LATE)
        if len(self._finds) > MAX_UNSENT:
            del self._finds[next(iter(self._finds))]
            return 1
        return 0

    def refused(self, opportunities: Iterable[Opportunity], reason: Reason) -> None:
        """A bundle with these went no further; another one with them still may."""
        for opportunity in opportunities:
            if opportunity.id in self._finds:
                self._finds[opportunity.id] = (opportunity, reason)

    def settled(self, opportunities: Iterable[Opportunity]) -> None:
        """These were sent, or dropped for a reason that was told."""
        for opportunity in opportunities:
            self._finds.pop(opportunity.id, None)

    def overdue(self, block: BlockNumber) -> list[tuple[Opportunity, Reason]]:
        """Hand over those for a block that is there, or for an earlier one, in the order in which they were found."""
        due = [entry for entry in self._finds.values() if entry[0].target_block <= block]
        self.settled(opportunity for opportunity, _ in due)
        return due
