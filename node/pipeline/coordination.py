"""From a find to a plan that goes out: conflicts, bid, risk gate, hot key, simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from node.pipeline import order_answers, orders_out
from node.pipeline.bids import bid_for
from node.pipeline.bundle import Costs, costs_of
from node.pipeline.events import (
    AlertKind,
    BundleSimulated,
    CancelBundle,
    Effect,
    RaiseAlert,
    RecordDrop,
    RecordOpportunity,
    ScreenTokens,
    SignAndSubmit,
    SimulateBundle,
    TreasuryRead,
)
from node.pipeline.finds import Find
from node.pipeline.gas import gas_limit
from node.pipeline.placed import Changes, Placed
from node.pipeline.plans import Bid, BundlePlan, LenderKind, Opportunity
from node.pipeline.prices import ReferencePrice
from node.pipeline.reasons import Reason
from node.pipeline.risk import Question, Rejected
from node.pipeline.state import MAX_OUTSTANDING, PipelineState
from protocol.units import Address, BlockNumber, Hash32, UnixSeconds, Wei

MAX_DISPLACED: Final = 2
"""Of the finds that make way for one, so many are looked for again behind it; the search takes time."""


def take(state: PipelineState, find: Find) -> list[Effect]:
    """Give a find to who can use it, where we lack something; else send it on its way, or record why not."""
    lack = orders_out.lack_of(state, find)
    given = None if lack is None else orders_out.hand_over(state, find, lack)
    return take_alone(state, find) if given is None else given


def take_alone(state: PipelineState, find: Find) -> list[Effect]:
    """Send a find on its way, or record why not."""
    if not find.is_funded:
        return drop(state, find, Reason.NO_FLASH_LENDER)
    leaving = state.schedule.in_conflict_with(find)
    if leaving and find.surplus <= sum(placed.find.surplus for placed in leaving):
        return _beside_better(state, find, leaving)
    bid = _bid_of(state, find)
    costs = costs_of(find, bid, state.schedule.base_fee)
    verdict = state.gate.check(question(state, find, bid, costs, len(leaving)), state.now)
    if isinstance(verdict, Rejected):
        return drop(state, find, verdict.reason)
    sender = state.schedule.sender_for(find, costs.hot_key_most, leaving, keys_for(state, find))
    price = state.search.prices[find.route.rank]
    if sender is None or price is None:
        given = orders_out.hand_over(state, find, orders_out.Lack.TREASURY)
        return drop(state, find, _without_key(state, find)) if given is None else given
    placed = Placed(find, bid, costs, price, sender)
    effects = on_its_way(state, placed, state.schedule.place(placed, leaving, state.treasury))
    return [*effects, *_displaced(state, placed, leaving)]


def _displaced(state: PipelineState, better: Placed, leaving: Sequence[Placed]) -> list[Effect]:
    """Send what is left of the finds that made way, now behind the better one; the most worth first.

    Not of one all of whose victims the better one stands behind too: that is the same find, and more.
    """
    others = [placed for placed in leaving if not _is_part_of(placed.find, better.find)]
    worth_most = sorted(others, key=lambda placed: (-placed.find.surplus, placed.id))[:MAX_DISPLACED]
    return [effect for placed in worth_most for effect in _follow(state, placed.find, [better])]


def _is_part_of(find: Find, other: Find) -> bool:
    theirs = {victim.hash for victim in other.opportunity.victims}
    return bool(find.opportunity.victims) and all(victim.hash in theirs for victim in find.opportunity.victims)


def spendable(state: PipelineState) -> Mapping[Address, TreasuryRead]:
    """The hot keys that may execute for the next block: all but one whose check-in is due."""
    view = state.network
    if view is None or state.schedule.target_block not in view.resting:
        return state.treasury
    return {address: read for address, read in state.treasury.items() if address != view.hot_key}


def keys_for(state: PipelineState, find: Find) -> Mapping[Address, TreasuryRead]:
    """Those of them whose Safe lets a find be executed: in its token, and with what it draws."""
    keys, loan, token = spendable(state), find.opportunity.loan, find.opportunity.profit_token
    drawn = loan.amount if loan.lender.kind is LenderKind.VAULT else 0
    allowed = {address: read for address, read in keys.items() if state.vaults.lets(address, token, drawn)}
    return keys if len(allowed) == len(keys) else allowed


def _without_key(state: PipelineState, find: Find) -> Reason:
    if spendable(state) and not keys_for(state, find):
        return Reason.VAULT_FORBIDS
    return Reason.TREASURY_EMPTY if spendable(state) is state.treasury else Reason.KEY_CHECKS_IN


def _beside_better(state: PipelineState, find: Find, better: list[Placed]) -> list[Effect]:
    """Send what is left of a find behind the better ones; if nothing is, the find for the case that those fail."""
    name = find.opportunity.id
    if any(placed.id == name for placed in better) or state.schedule.is_standing_by(name):
        # The find itself is on its way: counted, but a drop would be told of what may land.
        state.count(Reason.CONFLICTS_WITH_BETTER)
        return []
    return _follow(state, find, better) or _stand_by(state, find, better)


def _follow(state: PipelineState, find: Find, better: list[Placed]) -> list[Effect]:
    """Send what is left of a find once the better ones are executed; nothing if nothing is, or no key has room."""
    head, schedule = state.blocks.head, state.schedule
    if head is None:
        return []
    timestamp = UnixSeconds(head.timestamp + 1)
    better = schedule.with_what_they_follow(better)
    left = state.residuals.behind(find, [placed.find for placed in better], timestamp, state.now)
    price = None if left is None else state.search.prices[left.route.rank]
    if left is None or price is None or not left.is_funded:
        return []
    if any(placed not in better for placed in schedule.in_conflict_with(left)):
        return []
    bid = _bid_of(state, left)
    costs = costs_of(left, bid, schedule.base_fee)
    if isinstance(state.gate.check(question(state, left, bid, costs, 0), state.now), Rejected):
        return []
    wanted = Placed(left, bid, costs, price, better[0].sender, teaches=False)
    placed = None if wanted.id in wanted.behind else schedule.with_key_behind(wanted, better, keys_for(state, left))
    return [] if placed is None else on_its_way(state, placed, schedule.place(placed, (), state.treasury))


def _stand_by(state: PipelineState, find: Find, better: list[Placed]) -> list[Effect]:
    """Send a find for the case that the better ones fail, or record why not."""
    schedule = state.schedule
    bid = _bid_of(state, find)
    costs = costs_of(find, bid, schedule.base_fee)
    verdict = state.gate.check(question(state, find, bid, costs, len(better)), state.now)
    if isinstance(verdict, Rejected):
        return drop(state, find, verdict.reason)
    sender = schedule.sender_beside(find, costs.hot_key_most, better[0], keys_for(state, find))
    price = state.search.prices[find.route.rank]
    if sender is None or price is None:
        return drop(state, find, Reason.CONFLICTS_WITH_BETTER)
    placed = Placed(find, bid, costs, price, sender, teaches=False)
    return on_its_way(state, placed, schedule.stand_by(placed, state.treasury))


def on_its_way(state: PipelineState, placed: Placed, changes: Changes) -> list[Effect]:
    """Reserve and record what the schedule took."""
    effects: list[Effect] = [RecordOpportunity(placed.find.opportunity)]
    for gone in changes.gone:
        _release(state, gone.id)
        if gone.id != placed.id:
            effects += order_answers.given_up(state, gone.id)
            effects += drop(state, gone.find, Reason.CONFLICTS_WITH_BETTER)
    _reserve(state, placed)
    return [*effects, *sent(state, changes.plans), *changes.cancels]


def _bid_of(state: PipelineState, find: Find) -> Bid:
    opportunity, settings = find.opportunity, state.settings
    bucket = state.bids.choose(opportunity.kind, find.surplus)
    return bid_for(
        bucket,
        state.bids.share(bucket, opportunity.id),
        find.surplus,
        opportunity.gas,
        gas_limit(opportunity.gas),
        in_coin=opportunity.profit_token == settings.wrapped_coin,
        cap=settings.limits.max_bid,
    )


def drop(state: PipelineState, find: Find, reason: Reason) -> list[Effect]:
    """Count and record that a find goes no further."""
    state.count(reason)
    return [RecordDrop(find.opportunity, reason)]


def simulated(state: PipelineState, event: BundleSimulated) -> list[Effect]:
    """Send a plan whose simulation was clean; take off the find of one that failed alone, if no joint one has it."""
    effects = _judged(state, event)
    while (stranded := state.schedule.stranded(state.waiting.values())) is not None:
        placed, reason = stranded
        effects += take_off(state, placed.id, reason)
    return effects


def _judged(state: PipelineState, event: BundleSimulated) -> list[Effect]:
    plan = state.waiting.pop(event.plan_id, None)
    if plan is None or plan.target_block != state.schedule.target_block:
        return []
    if not all(execution.opportunity.id in state.outstanding for execution in plan.executions):
        return []  # one of them was given up meanwhile, and its reservation given back
    prices = [state.outstanding[execution.opportunity.id].price for execution in plan.executions]
    reason = shortfall(state, plan, event, prices)
    if reason is None:
        for execution in plan.executions:
            find = state.outstanding[execution.opportunity.id].find
            state.search.refusals.succeeded(find.route.edges, find.pools)
        if len(plan.executions) > 1:
            state.schedule.sent_jointly(plan)
        answers = [answer for one in plan.opportunities for answer in order_answers.accepted(state, one.id)]
        return [*answers, SignAndSubmit(plan)]
    if len(plan.executions) > 1:
        # The finds go out alone as well, each after its own simulation.
        state.count(reason)
        return []
    placed = state.outstanding[plan.executions[0].opportunity.id]
    if state.schedule.goes_with_better(placed):
        # Without that one it is worth nothing, and their bundle is simulated by itself.
        state.schedule.failed_alone(placed.id, reason)
        state.count(reason)
        return []
    blamed = [] if reason is Reason.SIMULATION_UNAVAILABLE else _blame(state, placed, reason)
    return [*take_off(state, placed.id, reason), *blamed]


def shortfall(
    state: PipelineState, plan: BundlePlan, event: BundleSimulated, prices: Sequence[ReferencePrice]
) -> Reason | None:
    """Why a simulation was not clean; None if it was. `prices`: of each execution's profit token."""
    if event.failure is not None:
        return event.failure
    if not _profits_suffice(plan, event):
        return Reason.SIMULATION_DIFFERS
    return None if _pays_its_gas(state, plan, event, prices) else Reason.SIMULATION_TOO_DEAR


def _blame(state: PipelineState, placed: Placed, reason: Reason) -> list[Effect]:
    """Leave alone for a while what fails on its own: not behind a victim, which may fail, nor as another's order."""
    find, opportunity = placed.find, placed.find.opportunity
    if opportunity.victims or opportunity.behind or opportunity.order is not None or find.borrower is not None:
        return []
    blame = state.search.refusals.refused(find.route.edges)
    specs, outs = state.market.specs, state.search.refusals.pools
    effects: list[Effect] = [
        RaiseAlert(AlertKind.POOL_SUSPENDED, f"0x{specs[pool].id.hex()}: {reason.value}, out up to block {outs[pool]}")
        for pool in blame.pools
    ]
    return [*effects, ScreenTokens(blame.tokens, reason.value)] if blame.tokens else effects


def take_off(state: PipelineState, opportunity_id: Hash32, reason: Reason) -> list[Effect]:
    """Withdraw a find that was on its way."""
    return _withdrawn(state, state.schedule.withdraw(opportunity_id, state.treasury), reason)


def is_taken_out(state: PipelineState, opportunity: Opportunity) -> bool:
    """Whether a pool, a token or the lender of a find is out of use."""
    market = state.market
    if not market.takes_out:
        return False
    return market.is_taken_out(None, [opportunity.loan.lender.address]) or any(
        market.is_taken_out(step.family, (step.pool_id, step.address, step.token_in, step.token_out))
        for step in opportunity.steps
    )


def take_all_off(state: PipelineState, reason: Reason) -> list[Effect]:
    """Withdraw all that is on its way to the next block; nothing is sent in its place."""
    return _withdrawn(state, state.schedule.withdraw_all(), reason)


def withdraw_all(state: PipelineState, reason: Reason) -> list[Effect]:
    """Withdraw all that is on its way to the next block. It stays reserved until it is judged or sent anew: a relay may
    have passed it on.
    """
    return [msgspec.structs.replace(cancel, reason=reason) for cancel in state.schedule.withdraw_all().cancels]


def _withdrawn(state: PipelineState, changes: Changes, reason: Reason) -> list[Effect]:
    effects: list[Effect] = []
    for gone in changes.gone:
        _release(state, gone.id)
        effects += [*order_answers.given_up(state, gone.id), *drop(state, gone.find, reason)]
    effects += [CancelBundle(cancel.replaces, cancel.target_block, reason) for cancel in changes.cancels]
    return [*effects, *sent(state, changes.plans)]


def question(state: PipelineState, find: Find, bid: Bid, costs: Costs, leaving: int) -> Question:
    """What the gate judges of a find."""
    head = state.blocks.head
    pools = [pool for pool in (*find.pools, *find.victim_pools) if pool >= 0]  # an order's may be none of ours
    trusted = not [pool for pool in pools if not state.market.is_eligible(pool)]
    quarantined = not trusted and any(state.market.is_quarantined(pool) for pool in pools)
    return Question(
        opportunity=find.opportunity,
        gas_wei=costs.gas,
        bid_wei=costs.bid_most,
        hot_key_wei=costs.hot_key_most,
        net_profit_wei=Wei(find.surplus - costs.bid),
        next_block=BlockNumber(0 if head is None else head.number + 1),
        head_age_ns=0 if head is None else state.now - head.now,
        in_flight=len(state.schedule) - leaving,
        quarantined=quarantined,
        suspended=not trusted and any(state.market.is_suspended(pool) for pool in pools),
        trusted=trusted,
        taken_out=is_taken_out(state, find.opportunity),
    )


def sent(state: PipelineState, plans: list[BundlePlan]) -> list[Effect]:
    """To the relays, or to the simulator first. At the bound of waiting plans the oldest leaves, counted."""
    if not state.settings.simulate:
        return [SignAndSubmit(plan) for plan in plans]
    for plan in plans:
        for name in [name for name, older in state.waiting.items() if older.replaces == plan.replaces]:
            del state.waiting[name]  # its simulation may end after the newer one's, and it would replace that
        state.waiting[plan.id] = plan
        if len(state.waiting) > state.settings.bounds.plans_waiting:
            del state.waiting[next(iter(state.waiting))]
            state.count(Reason.OUTBOX_FULL)
    return [SimulateBundle(plan, state.schedule.ahead_of(plan, state.treasury)) for plan in plans]


def _profits_suffice(plan: BundlePlan, event: BundleSimulated) -> bool:
    return len(event.profits) == len(plan.executions) and all(
        profit >= execution.minimum_profit for profit, execution in zip(event.profits, plan.executions, strict=True)
    )


def _pays_its_gas(
    state: PipelineState, plan: BundlePlan, event: BundleSimulated, prices: Sequence[ReferencePrice]
) -> bool:
    """Whether each execution is worth the gas that it used, which may be more than was expected of its shape."""
    least = state.settings.limits.minimum_net_profit
    return len(event.own_gas) == len(plan.executions) and all(
        price.wei_down(profit) - gas * one.max_fee_per_gas >= least
        for profit, gas, one, price in zip(event.profits, event.own_gas, plan.executions, prices, strict=True)
    )


def _reserve(state: PipelineState, placed: Placed) -> None:
    _release(state, placed.id)  # of the same find, sent for a head that a reorganisation took
    opportunity = placed.find.opportunity
    day = state.gate.reserve(opportunity.profit_token, opportunity.loan.amount, placed.costs.hot_key_most)
    state.outstanding[placed.id] = msgspec.structs.replace(placed, day=day)
    if len(state.outstanding) > MAX_OUTSTANDING:
        del state.outstanding[next(iter(state.outstanding))]


def _release(state: PipelineState, opportunity_id: Hash32) -> None:
    held = state.outstanding.pop(opportunity_id, None)
    if held is not None:
        settle(state, held, Wei(0), landed=False)


def settle(state: PipelineState, held: Placed, spent_wei: Wei, *, landed: bool) -> None:
    """Replace what was reserved for an outstanding execution by what really happened."""
    opportunity, reserved = held.find.opportunity, held.costs.hot_key_most
    token, amount = opportunity.profit_token, opportunity.loan.amount
    state.gate.settle(held.day, token, amount, reserved, spent_wei, landed=landed)
