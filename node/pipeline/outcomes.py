"""Why an execution that was sent is not in its block: read from the block itself."""

from __future__ import annotations

from node.pipeline.events import BlockArrived
from node.pipeline.plans import Opportunity
from node.pipeline.reasons import Reason


def miss_reason(opportunity: Opportunity, block: BlockArrived) -> Reason:
    """The reason for a miss in the target block; LATE for any other block.

    A pool on the route that changed more often than our victims can have changed it was taken by somebody else.
    """
    if block.number != opportunity.target_block:
        return Reason.LATE
    included = set(block.included)
    present = sum(victim.hash in included for victim in opportunity.victims)
    changes: dict[bytes, int] = {}
    for change in block.pool_changes:
        changes[change.pool_id] = changes.get(change.pool_id, 0) + 1
    if any(changes.get(step.pool_id, 0) > present for step in opportunity.steps):
        return Reason.OUTBID
    return Reason.BUILDER_LOST if present == len(opportunity.victims) else Reason.VICTIM_NOT_INCLUDED
