"""What each event does to the state, and what follows from it. One function an event; `step` picks."""

from __future__ import annotations

import msgspec

from node.pipeline import coordination, order_answers, orders_in, orders_out, victims
from node.pipeline.detectors.liquidation import is_believed, is_feed
from node.pipeline.events import (
    AlertKind,
    BlockArrived,
    BlockRetracted,
    BundleSimulated,
    Effect,
    ExecutionLanded,
    ExecutionMissed,
    HotKeyUsed,
    KillSwitchSet,
    LenderRead,
    LimitsResumed,
    LoansRead,
    NetworkRead,
    OrderAnswered,
    PendingGone,
    PendingTransactionSeen,
    PoolDiscovered,
    PoolQuarantined,
    PoolSynced,
    RaiseAlert,
    RatesRead,
    ResyncPools,
    SenderReplaced,
    TimePassed,
    TokenScreened,
    TreasuryRead,
    VaultRead,
)
from node.pipeline.finds import Find
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.packing import pack
from node.pipeline.pending import PendingSwap, routed_swaps
from node.pipeline.pending_answers import PendingAnswer, answer_of
from node.pipeline.placed import Placed
from node.pipeline.prices import reference_price
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from protocol.units import BASIS_POINTS_ONE, BlockNumber, UnixSeconds


def pool_discovered(state: PipelineState, event: PoolDiscovered) -> list[Effect]:
    """Take the pool in and ask for its state."""
    return [ResyncPools((event.spec.id,), "discovered")] if state.market.discover(event.spec) else []


def pool_synced(state: PipelineState, event: PoolSynced) -> list[Effect]:
    """Take the state in."""
    return state.blocks.sync(event)


def pool_quarantined(state: PipelineState, event: PoolQuarantined) -> list[Effect]:
    """Take the pool out of all cycles and read it anew."""
    pool = state.market.number_of(event.pool_id)
    if pool is None:
        return []
    state.market.quarantine(pool, event.why)
    alert = RaiseAlert(AlertKind.POOL_QUARANTINED, f"0x{event.pool_id.hex()}: {event.why}")
    return [alert, ResyncPools((event.pool_id,), event.why)]


def token_screened(state: PipelineState, event: TokenScreened) -> list[Effect]:
    """Let the token into cycles, or not."""
    state.market.trust(event.token, event.trusted)
    return []


def block_arrived(state: PipelineState, event: BlockArrived) -> list[Effect]:
    """Fold the block in, then look at the whole market and at everything that is still pending."""
    state.now = event.now
    effects = state.blocks.arrive(event) + state.loans.arrive(event) + state.morpho.arrive(event)
    for transaction_hash in event.included:
        state.book.mined(transaction_hash)
        state.answers.mined(transaction_hash)
        state.unread.pop(transaction_hash)
    oldest = BlockNumber(event.number - state.settings.bounds.pending_blocks)
    expired = state.book.expire(oldest) + state.answers.expire(oldest) + state.unread.expire(oldest)
    if expired:
        state.count(Reason.VICTIM_GONE, expired)
    state.market.reindex()
    _begin_block(state, event)
    effects += order_answers.begin_block(state, event.number)
    state.count(Reason.CYCLE_REFUSED, state.search.refusals.take_passed_over())
    effects += _cap_alert(state)
    effects += victims.begin_block(state)
    target = BlockNumber(event.number + 1)
    finds = state.cyclic.at_block_start(target, event.now)
    for pending in victims.looked_at_anew(state):
        found = state.backruns.behind(pending, target, UnixSeconds(event.timestamp + 1), event.now)
        if not isinstance(found, Reason):
            finds += found
    finds += _liquidations(state, target, UnixSeconds(event.timestamp + 1))
    unique = {find.opportunity.id: find for find in finds}
    taken, left = pack(list(unique.values()))
    for find in (*taken, *left):
        effects += coordination.take(state, find)
    return effects + orders_in.head_came(state)


def block_retracted(state: PipelineState, event: BlockRetracted) -> list[Effect]:
    """Undo the head, and withdraw what was planned on it; the new head plans anew."""
    state.now = event.now
    effects = state.blocks.retract(event.hash) + state.loans.retract(event.hash) + state.morpho.retract(event.hash)
    effects += coordination.withdraw_all(state, Reason.REORGED)
    state.book.outdate()
    if state.blocks.head is not None:
        _begin_block(state, state.blocks.head)
    return effects


def pending_seen(state: PipelineState, event: PendingTransactionSeen) -> list[Effect]:
    """The hot path: read the swaps, look behind them, send what is found."""
    state.now = event.received_at
    transaction, head = event.transaction, state.blocks.head
    kind = state.routers.get(transaction.to or "")
    if kind is None and head is not None and is_feed(state.books(), transaction.to or ""):
        return _answer_seen(state, answer_of(transaction, event.received_at, head.number, event.account_nonce))
    if kind is None or head is None:
        return victims.unread(state, event, Reason.NOT_A_SWAP)
    swaps = routed_swaps(state.market, kind, transaction, state.settings.wrapped_coin)
    if isinstance(swaps, Reason):
        return victims.unread(state, event, swaps)
    if event.account_nonce is not None and event.account_nonce > transaction.nonce:
        state.count(Reason.VICTIM_GONE)
        return []
    pools = tuple(dict.fromkeys([state.market.edges[edge].pool for _, edges in swaps for edge in edges]))
    pending = PendingSwap(transaction, swaps, pools, event.received_at, head.number, event.account_nonce)
    return victims.came(state, pending)


def pending_gone(state: PipelineState, event: PendingGone) -> list[Effect]:
    """Forget it, and withdraw what stands behind it."""
    state.book.remove(event.hash)
    state.answers.remove(event.hash)
    state.unread.pop(event.hash)
    effects = orders_in.victim_gone(state, event.hash)
    for placed in tuple(state.outstanding.values()):
        opportunity = placed.find.opportunity
        if any(victim.hash == event.hash for victim in opportunity.victims):
            effects += coordination.take_off(state, opportunity.id, Reason.VICTIM_GONE)
    return effects


def bundle_simulated(state: PipelineState, event: BundleSimulated) -> list[Effect]:
    """Send, or drop with a reason. Nothing of it counts for the breaker: what a simulation refuses costs nothing."""
    state.now = event.now
    if event.plan_id in state.trials:
        return orders_in.simulated(state, event)
    return coordination.simulated(state, event)


def execution_landed(state: PipelineState, event: ExecutionLanded) -> list[Effect]:
    """Learn from it."""
    placed = state.outstanding.pop(event.opportunity_id, None)
    if placed is None:
        state.gate.spend(event.spent_wei)  # an earlier process sent it
        return []
    opportunity = placed.find.opportunity
    families = [step.family for step in opportunity.steps]
    if opportunity.order is None:  # the ledger's part would be learnt as the route's
        state.search.gas.learn(opportunity.loan.lender.kind, families, event.gas_used)
    if placed.teaches:
        state.bids.won(opportunity.kind, placed.find.surplus, placed.bid.share_bucket)
    state.search.refusals.succeeded(placed.find.route.edges, placed.find.pools)
    coordination.settle(state, placed, event.spent_wei, landed=True)
    return _report(state, failed=False)


def execution_missed(state: PipelineState, event: ExecutionMissed) -> list[Effect]:
    """Learn from it, if somebody bid more; a revert counts for the breaker."""
    state.count(event.reason)
    placed = state.outstanding.pop(event.opportunity_id, None)
    if placed is None:  # an earlier process sent it, or it was withdrawn too late
        state.gate.spend(event.spent_wei)
        return _report(state, failed=True) if event.reason is Reason.REVERTED else []
    if event.reason is Reason.OUTBID and placed.teaches:
        winning_share = _winning_share(event, placed)
        state.bids.lost(placed.find.opportunity.kind, placed.find.surplus, placed.bid.share_bucket, winning_share)
    coordination.settle(state, placed, event.spent_wei, landed=False)
    return _report(state, failed=True) if event.reason is Reason.REVERTED else []


def _winning_share(event: ExecutionMissed, placed: Placed) -> int | None:
    """The winner's price per gas on our bundle's gas, as a share of our surplus in basis points, rounded up."""
    if event.winning_bid_wei is None or not event.winning_gas:
        return None
    needed = event.winning_bid_wei * placed.find.gas_in_bundle * BASIS_POINTS_ONE
    return -(-needed // (event.winning_gas * placed.find.surplus))


def hot_key_used(state: PipelineState, event: HotKeyUsed) -> list[Effect]:
    """Count what it cost for the day, and a revert for the breaker; say what is strange about it."""
    state.gate.spend(event.spent_wei)
    effects = _report(state, failed=True) if event.reverted else []
    return [RaiseAlert(AlertKind.STRAY_TRANSACTION, event.strange), *effects] if event.strange else effects


def treasury_read(state: PipelineState, event: TreasuryRead) -> list[Effect]:
    """Take balance and nonce in, plan anew for another nonce; warn once as the balance falls below the limit."""
    if event.address not in state.settings.senders:
        return []
    before = state.treasury.get(event.address)
    state.treasury[event.address] = event
    effects: list[Effect] = []
    if before is not None and before.nonce != event.nonce:
        effects += coordination.sent(state, state.schedule.renew(event.address, event.nonce))
    low = state.settings.limits.treasury_warning
    if event.balance < low and (before is None or before.balance >= low):
        effects.append(RaiseAlert(AlertKind.TREASURY_LOW, f"0x{event.address.hex()} has {event.balance} wei left"))
    return effects


def sender_replaced(state: PipelineState, event: SenderReplaced) -> list[Effect]:
    """Let another hot key send; what is on its way to the next block is withdrawn, and found anew with that block."""
    settings = state.settings
    effects = coordination.withdraw_all(state, Reason.KEY_REPLACED)
    state.waiting.clear()
    senders = tuple([event.present if sender == event.former else sender for sender in settings.senders])
    state.settings = msgspec.structs.replace(settings, senders=senders)
    state.treasury.pop(event.former, None)
    state.vaults.forget(event.former)
    return effects


def lender_read(state: PipelineState, event: LenderRead) -> list[Effect]:
    """Take in how much a lender has."""
    state.lenders.read(event.lender, event.token, event.available)
    return []


def vault_read(state: PipelineState, event: VaultRead) -> list[Effect]:
    """Take in what a Safe of ours allows."""
    if event.sender in state.settings.senders:
        state.vaults.read(event)
        state.lenders.allow(event.token, state.settings.entry_point, state.vaults.most(event.token))
    return []


def loans_read(state: PipelineState, event: LoansRead) -> list[Effect]:
    """Take the loans in."""
    if isinstance(event.book, MorphoBook):
        return state.morpho.read(event, event.book)
    return state.loans.read(event)


def rates_read(state: PipelineState, event: RatesRead) -> list[Effect]:
    """Take the rates in."""
    return state.morpho.rates_read(event)


def limits_resumed(state: PipelineState, event: LimitsResumed) -> list[Effect]:
    """Count it."""
    state.gate.resume(event.use)
    return []


def kill_switch_set(state: PipelineState, event: KillSwitchSet) -> list[Effect]:
    """Turn it; turned on, everything on its way is withdrawn, and nothing takes its place."""
    gate = state.gate
    if not event.on:
        gate.stopped_by.discard(event.by)
        still = f", but still on by the {' and the '.join(sorted(gate.stopped_by))}" if gate.kill_switch else ""
        return [RaiseAlert(AlertKind.KILL_SWITCH, f"off: {event.why}{still}")]
    gate.stopped_by.add(event.by)
    state.waiting.clear()
    alert = RaiseAlert(AlertKind.KILL_SWITCH, f"on: {event.why}")
    return [alert, *coordination.take_all_off(state, Reason.KILL_SWITCH)]


def network_read(state: PipelineState, event: NetworkRead) -> list[Effect]:
    """Take the network in as it is now; withdraw what goes through a pool that is out of use."""
    view = state.network = event.view
    state.market.take_out(view.removed, view.removed_families)
    state.lenders.take_out(view.removed)
    effects: list[Effect] = []
    for placed in tuple(state.outstanding.values()):
        if coordination.is_taken_out(state, placed.find.opportunity):
            effects += coordination.take_off(state, placed.find.opportunity.id, Reason.TAKEN_OUT_OF_USE)
    return effects


def order_answered(state: PipelineState, event: OrderAnswered) -> list[Effect]:
    """Leave an accepted order to its leader; execute any other find here, if that is possible."""
    state.now = event.now
    find = orders_out.answered(state, event)
    return [] if find is None else coordination.take_alone(state, find)


def time_passed(state: PipelineState, event: TimePassed) -> list[Effect]:
    """Move the clock."""
    state.now = event.now
    return []


def _answer_seen(state: PipelineState, pending: PendingAnswer | None) -> list[Effect]:
    """A pending answer of a price feed: send the liquidations that it makes possible, right behind it."""
    if pending is None:
        state.count(Reason.NOT_A_SWAP)
        return []
    if not is_believed(state.books(), pending):
        state.count(Reason.ANSWER_OF_STRANGER)
        return []
    overflowed = state.answers.overflowed
    state.answers.add(pending)
    state.count(Reason.PENDING_OVERFLOW, state.answers.overflowed - overflowed)
    effects: list[Effect] = []
    for find in _behind_answer(state, pending):
        effects += coordination.take(state, find)
    return effects


def _liquidations(state: PipelineState, target: BlockNumber, at: UnixSeconds) -> list[Find]:
    """What is ill by the confirmed prices, and what the answers that are still pending make ill."""
    finds: list[Find] = []
    for book in state.books():
        finds += state.liquidations.at_block_start(book, target, at, state.now)
    for pending in state.answers:
        finds += _behind_answer(state, pending)
    return finds


def _behind_answer(state: PipelineState, pending: PendingAnswer) -> list[Find]:
    head = state.blocks.head
    if head is None:
        return []
    target, at = BlockNumber(head.number + 1), UnixSeconds(head.timestamp + 1)
    finds: list[Find] = []
    for book in state.books():
        if pending.aggregator not in book.feeds:
            continue
        found = state.liquidations.behind(book, pending, state.answers, target, at, pending.received_at)
        if isinstance(found, Reason):
            state.count(found)
        else:
            finds += found
    return finds


def _begin_block(state: PipelineState, head: BlockArrived) -> None:
    """Prices, base fee and an empty schedule for the block after `head`."""
    base_fee, coin = state.blocks.next_base_fee, state.settings.wrapped_coin
    tokens = [token.address for token in state.settings.profit_tokens]
    state.lenders.refresh(tokens)
    target = BlockNumber(head.number + 1)
    state.search.share_of_funded = orders_out.share_of_funded(state, target)
    state.search.most_funded = orders_out.most_funded(state, target)
    state.search.set_prices([reference_price(state.market, token, coin, head.number) for token in tokens], base_fee)
    state.search.refusals.begin_block(BlockNumber(head.number + 1))
    state.schedule.start(BlockNumber(head.number + 1), base_fee)
    state.waiting.clear()
    orders_out.begin_block(state)


def _cap_alert(state: PipelineState) -> list[Effect]:
    left_out = state.market.index.left_out
    if left_out == state.cycles_capped:
        return []
    state.cycles_capped = left_out
    return [RaiseAlert(AlertKind.CYCLES_CAPPED, f"{left_out} cycles are left out")] if left_out else []


def _report(state: PipelineState, *, failed: bool) -> list[Effect]:
    if state.gate.report(state.now, failed=failed):
        return [RaiseAlert(AlertKind.BREAKER_OPENED, "too many of the last executions reverted")]
    return []
