"""What an earlier process left open: bundles that it had signed and whose outcome it did not live to tell.

All that it needs is on the spool, which keeps the last files also when the desk has them: nothing is signed that is not
there before, and an outcome counts once it is there. So an execution is open if its `BundleSigned` is there and its
outcome is not; the chain then says what became of it, and it is told once. A find that is there alone was never sent:
it gets its reason now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.engine.outcomes import Outcomes
from node.link import LedgerEntry
from node.records import (
    BundleSigned,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    OpportunityDropped,
    OpportunityFound,
    OutcomeRetracted,
    RelayAnswered,
    decode_record,
)
from protocol.units import Hash32


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """The finds that an earlier process had sent without telling their outcome, and those that it never sent."""

    sent: list[OpportunityFound]
    unsent: list[OpportunityFound]


def resume(outcomes: Outcomes, entries: Iterable[LedgerEntry]) -> LeftOpen:
    """Let `outcomes` expect what the entries, oldest first, leave open; return that."""
    found: dict[Hash32, OpportunityFound] = {}
    bundles: dict[Hash32, dict[Hash32, BundleSigned]] = {}
    landed_in: dict[Hash32, set[Hash32]] = {}
    closed: set[Hash32] = set()
    dropped: set[Hash32] = set()
    answers: list[RelayAnswered] = []
    for record in map(decode_record, (entry.body for entry in entries)):
        if isinstance(record, OpportunityFound):
            found[record.opportunity_id] = record
            dropped.discard(record.opportunity_id)
        elif isinstance(record, OpportunityDropped):
            dropped.add(record.found.opportunity_id)
        elif isinstance(record, BundleSigned):
            for execution in record.executions:
                bundles.setdefault(execution.opportunity_id, {})[record.bundle_hash] = record
        elif isinstance(record, RelayAnswered):
            answers.append(record)
        elif isinstance(record, ExecutionLandedRecord):
            closed.add(record.opportunity_id)
            landed_in.setdefault(record.block_hash, set()).add(record.opportunity_id)
        elif isinstance(record, ExecutionMissedRecord):
            closed.add(record.opportunity_id)
        elif isinstance(record, OutcomeRetracted):
            closed -= landed_in.pop(record.block_hash, set())
    still_open = [name for name in bundles if name in found and name not in closed]
    for name in still_open:
        outcomes.resume(found[name], bundles[name].values())
    outcomes.answered(answers)
    unsent = [record for name, record in found.items() if name not in bundles and name not in dropped]
    return LeftOpen([found[name] for name in still_open], unsent)
