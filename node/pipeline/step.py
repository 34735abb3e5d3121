"""The story: an event goes in, the state changes, effects come out. The same code runs live, in a replay, in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.pipeline import events, handlers, orders_in, victims
from node.pipeline.events import Effect, Event
from node.pipeline.state import PipelineState

_HANDLERS: Final[dict[type, Callable[[PipelineState, Any], list[Effect]]]] = {
    events.PoolDiscovered: handlers.pool_discovered,
    events.PoolSynced: handlers.pool_synced,
    events.PoolQuarantined: handlers.pool_quarantined,
    events.TokenScreened: handlers.token_screened,
    events.BlockArrived: handlers.block_arrived,
    events.BlockRetracted: handlers.block_retracted,
    events.PendingTransactionSeen: handlers.pending_seen,
    events.PendingGone: handlers.pending_gone,
    events.PendingSimulated: victims.simulated,
    events.BundleSimulated: handlers.bundle_simulated,
    events.ExecutionLanded: handlers.execution_landed,
    events.ExecutionMissed: handlers.execution_missed,
    events.HotKeyUsed: handlers.hot_key_used,
    events.TreasuryRead: handlers.treasury_read,
    events.SenderReplaced: handlers.sender_replaced,
    events.LenderRead: handlers.lender_read,
    events.VaultRead: handlers.vault_read,
    events.LoansRead: handlers.loans_read,
    events.RatesRead: handlers.rates_read,
    events.LimitsResumed: handlers.limits_resumed,
    events.KillSwitchSet: handlers.kill_switch_set,
    events.NetworkRead: handlers.network_read,
    events.OrderAnswered: handlers.order_answered,
    events.OrderArrived: orders_in.arrived,
    events.TimePassed: handlers.time_passed,
}


def step(state: PipelineState, event: Event) -> tuple[Effect, ...]:
    """Fold `event` into `state` and return what follows, in the order in which it should be done."""
    return tuple(_HANDLERS[type(event)](state, event))
