"""The answers to others' orders that wait for their simulation: accepted, given up, or too late."""

from __future__ import annotations

from node.pipeline.events import AnswerOrder, Effect, OrderArrived, OrderVerdict
from node.pipeline.state import PipelineState
from protocol.kinds import DeclineReason
from protocol.units import BlockNumber, Hash32


def accepted(state: PipelineState, opportunity_id: Hash32) -> list[Effect]:
    """The answer to an order that goes out now; nothing for what is no order, or was answered."""
    event = state.orders_waiting.pop(opportunity_id, None)
    if event is None:
        return []
    state.taken_keys.add(event.order.primary_key)
    return [AnswerOrder(event.number, event.order, event.order_hash, OrderVerdict.ACCEPT)]


def given_up(
    state: PipelineState, opportunity_id: Hash32, reason: DeclineReason = DeclineReason.UNPROFITABLE
) -> list[Effect]:
    """The answer to an order that was taken off before it was accepted."""
    event = state.orders_waiting.pop(opportunity_id, None)
    if event is None:
        return []
    return [declined(event, reason)]


def begin_block(state: PipelineState, head: BlockNumber) -> list[Effect]:
    """Orders for a block that is there were not accepted in time."""
    late = [event for event in state.orders_waiting.values() if event.order.target_block <= head]
    state.orders_waiting.clear()
    state.trials.clear()
    state.taken_keys.clear()
    state.orders_tried.clear()
    return [declined(event, DeclineReason.TOO_LATE) for event in late]


def declined(event: OrderArrived, reason: DeclineReason) -> AnswerOrder:
    """No, and why."""
    return AnswerOrder(event.number, event.order, event.order_hash, OrderVerdict.DECLINE, reason)
