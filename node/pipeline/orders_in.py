"""Orders that others send us for a block of ours: judged by their profit for us, beside our own finds.

An order becomes a find whose route is given; it takes the place of what it conflicts with only where it brings more.
What it brings is its finder's word until its own simulation was clean: before that it has no place, moves no bid and
keeps nobody else's order of its leg out; after that it is accepted: the accept binds, by our stake. A simulation costs
us and not the finder: so many of one finder are looked at in a block, and fewer of one who is wrong all the time.
Its transaction is the registered key's.
One for the block after the next waits for that block's turn to come: its finder has seen a head that we have not.
Who else has the find bids by all that it is worth. So do we, and from the bucket above, up to most of what is our part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from node.pipeline import coordination
from node.pipeline.amm.units import TokenAmount
from node.pipeline.bids import SHARES, bid_for
from node.pipeline.bundle import costs_of
from node.pipeline.events import (
    AnswerOrder,
    BundleSimulated,
    Effect,
    OrderArrived,
    OrderVerdict,
    SignAndSubmit,
    SimulateBundle,
)
from node.pipeline.finds import Find
from node.pipeline.gas import gas_limit
from node.pipeline.lenders import flash_loan
from node.pipeline.market import Market
from node.pipeline.network_view import MAX_FAILED, MAX_FAILING, MAX_FIRST, MAX_TAKEN, MAX_TAKEN_OF_ONE, NetworkView
from node.pipeline.order_answers import accepted, declined, given_up
from node.pipeline.placed import Placed, Trial
from node.pipeline.plans import Bid, NetworkOrder, Opportunity, SwapStep
from node.pipeline.pools import NAMED_BY_MORE, PAIRS, PoolFamily, PoolSpec
from node.pipeline.reasons import Reason
from node.pipeline.risk import Rejected
from node.pipeline.search import Route as SearchRoute
from node.pipeline.state import PipelineState
from node.pipeline.unread import MOST_GAS
from protocol.conflicts import Occasion, leg_key
from protocol.errors import LocalProtocolError, ProtocolError
from protocol.ethereum.transactions import SignedTransaction, decode_transaction
from protocol.kinds import DeclineReason, OpportunityKind
from protocol.routes import Route, RouteSwap, decode_route
from protocol.units import BASIS_POINTS_ONE, Address, ChainId, Gas, Hash32, Wei

ORDER_GAS = 190_000
"""What opening and settling add to an execution."""
MOST_BID = 9_000
"""Of what an order brings us, in basis points."""
EARLY_NS = 200_000_000
"""For so long an order may have waited for the head before its block: its finder hears nothing after 250 ms."""
_LEG_SLACK = 10
"""Basis points that a leg may give less than the finder computed."""


def arrived(state: PipelineState, event: OrderArrived) -> list[Effect]:
    """Place an order that is worth it; the answer follows its simulation. Anything else is answered at once."""
    view = state.network
    if view is not None and _is_early(state, view, event):
        state.orders_early.append(event)
        return []
    refusal = _refusal(state, view, event)
    if refusal is not None or view is None:
        return [declined(event, refusal or DeclineReason.NOT_LEADER)]
    try:
        route = decode_route(event.route)
        victims = tuple([decode_transaction(raw) for raw in route.transactions])
    except ProtocolError:
        return [declined(event, DeclineReason.INVALID)]
    if sum(victim.gas_limit for victim in victims) > MOST_GAS:
        return [declined(event, DeclineReason.BUSY)]
    if not _names_its_leg(state, event, route, victims):
        return [declined(event, DeclineReason.INVALID)]
    found = _find_of(state, view, event, route, victims)
    if isinstance(found, DeclineReason):
        return [declined(event, found)]
    find, whole = found
    if _is_known(state, find):
        return [AnswerOrder(event.number, event.order, event.order_hash, OrderVerdict.HAVE)]
    return _place(state, view, event, find, whole)


def head_came(state: PipelineState) -> list[Effect]:
    """Take up what waited for this head; what waited too long is not executed any more, and nobody waits for it."""
    early, state.orders_early = state.orders_early, []
    effects: list[Effect] = []
    for event in early:
        is_over = state.now - event.now > EARLY_NS
        effects += [declined(event, DeclineReason.TOO_LATE)] if is_over else arrived(state, event)
    return effects


def _is_early(state: PipelineState, view: NetworkView, event: OrderArrived) -> bool:
    """Whether the order is for a block of ours whose head is still to come to us, and there is room for it."""
    head, block = state.blocks.head, event.order.target_block
    turn = view.turns.get(block)
    is_ours = turn is not None and turn.operator == view.account
    waiting = Counter(one.order.finder for one in state.orders_early)
    return head is not None and block == head.number + 2 and is_ours and _has_room(state, waiting, event)


def _has_room(state: PipelineState, taken: Counter[Address], event: OrderArrived) -> bool:
    """Whether one more order may be taken beside those that were, and one more of this finder.

    Each finder's first has room of its own: a few that send junk keep nobody out.
    """
    finder = event.order.finder
    if not taken[finder]:
        return len(taken) < MAX_FIRST
    most = 1 if state.orders_failed.get(finder, 0) >= MAX_FAILED else MAX_TAKEN_OF_ONE
    return taken.total() - len(taken) < MAX_TAKEN and taken[finder] < most


def _refusal(state: PipelineState, view: NetworkView | None, event: OrderArrived) -> DeclineReason | None:
    order, head = event.order, state.blocks.head
    if view is None or head is None:
        return DeclineReason.NOT_LEADER
    if view.is_paused or state.gate.kill_switch or not view.executor_live:
        return DeclineReason.PAUSED
    if order.target_block <= head.number:
        return DeclineReason.TOO_LATE
    turn = view.turns.get(order.target_block)
    if order.target_block != head.number + 1 or turn is None or turn.operator != view.account:
        return DeclineReason.NOT_LEADER
    if order.executor != view.account:
        return DeclineReason.INVALID
    if order.primary_key in state.taken_keys or event.order_hash in state.orders_waiting:
        return DeclineReason.CONFLICT
    return None if _has_room(state, state.orders_tried, event) else DeclineReason.BUSY


def _names_its_leg(
    state: PipelineState, event: OrderArrived, route: Route, victims: tuple[SignedTransaction, ...]
) -> bool:
    """Whether the order's primary key is one of its route's legs, behind its trigger."""
    trigger = Hash32(victims[0].hash) if victims else None
    occasion = Occasion(ChainId(state.settings.chain_id), event.order.target_block, trigger)
    return event.order.primary_key in {leg_key(occasion, swap.leg) for swap in route.swaps}


def _find_of(
    state: PipelineState, view: NetworkView, event: OrderArrived, route: Route, victims: tuple[SignedTransaction, ...]
) -> tuple[Find, Wei] | DeclineReason:
    """The order as a find of ours, and what it would be worth if it were ours alone."""
    order, settings = event.order, state.settings
    ranks = [place for place, token in enumerate(settings.profit_tokens) if token.address == order.profit_token]
    price = state.search.prices[ranks[0]] if ranks else None
    steps = _steps(route, state.market, settings.traded)
    if price is None or not ranks or steps is None or not _is_cycle(steps, order.profit_token):
        return DeclineReason.INVALID
    specs = [_spec_of(step) for step in steps]
    amount = steps[0].amount_in
    if not state.vaults.lets(view.hot_key, order.profit_token, 0):
        return DeclineReason.UNPROFITABLE  # whose it is to be executed by may not use the token
    draws = state.vaults.drawable(view.hot_key, order.profit_token)
    lender = state.lenders.lender_for(order.profit_token, amount, specs, drawable=draws)
    if lender is None:
        return DeclineReason.UNPROFITABLE
    loan = flash_loan(lender, amount)
    net = steps[-1].amount_out - amount - loan.fee
    ours = TokenAmount(net - _dues(view, event, net, settings.wrapped_coin))
    if ours <= 0:
        return DeclineReason.UNPROFITABLE
    gas = Gas(state.search.gas.expected(lender.kind, [step.family for step in steps]) + ORDER_GAS)
    ours_wei = price.wei_down(ours)
    opportunity = Opportunity(
        id=event.order_hash,
        kind=OpportunityKind.BACKRUN if victims else OpportunityKind.CYCLIC_ARBITRAGE,
        target_block=order.target_block,
        steps=steps,
        loan=loan,
        profit_token=order.profit_token,
        gross_profit=ours,
        gross_profit_wei=ours_wei,
        gas=gas,
        victims=victims,
        seen_at=event.now,
        order=NetworkOrder(order, event.order_hash, event.signature, view.turns[order.target_block].entry),
    )
    amounts = (amount, *[step.amount_out for step in steps])
    surplus = Wei(ours_wei - gas * state.search.base_fee)
    found = SearchRoute((), ranks[0], amounts, loan, ours, ours_wei, gas, surplus)
    pools = tuple([_pool_number(state, step) for step in steps])
    whole = Wei(price.wei_down(TokenAmount(net)) - (gas - ORDER_GAS) * state.search.base_fee)
    return Find(opportunity, found, pools, tuple([pools for _ in victims])), whole


def _dues(view: NetworkView, event: OrderArrived, net: int, coin: bytes) -> int:
    """What the ledger will pull: the finder's part, rounded up, and the fee, which takes nothing of it."""
    order = event.order
    paid = max(-(-net * order.finder_bps // BASIS_POINTS_ONE), order.min_finder_wei)
    fee = min(net * view.fee_bps // BASIS_POINTS_ONE, max(0, net - paid)) if order.profit_token == coin else 0
    return paid + fee


def _steps(route: Route, market: Market, traded: Collection[PoolFamily]) -> tuple[SwapStep, ...] | None:
    """The route's swaps in our own types; None with a pool that our executor has no venue for, or that we know as
    another than the route says.

    What a route does not say of a pool that is not named by tokens and fee, we know or do not take the order.
    """
    steps = []
    for swap in route.swaps:
        try:
            family = PoolFamily(swap.family)
        except ValueError:
            return None
        number = market.number_of(swap.pool_id)
        spec = None if number is None else market.specs[number]
        if family not in traded or (spec is None and family in NAMED_BY_MORE):
            return None
        if spec is not None and number is not None:
            ends_of = dict(enumerate(market.routed[number]))
            if not (spec.can_be_called and _is_of(swap, family, spec, ends_of)):
                return None
        least = swap.amount_out - swap.amount_out * _LEG_SLACK // BASIS_POINTS_ONE
        ends = (swap.token_in, swap.token_out, swap.index_in, swap.index_out)
        amounts = (TokenAmount(swap.amount_in), TokenAmount(swap.amount_out), TokenAmount(least))
        more = () if spec is None else (spec.tick_spacing, spec.holds_ether)
        steps.append(SwapStep(swap.pool_id, family, swap.pool, *ends, swap.fee_pips, *amounts, *more))
    return tuple(steps)


def _is_of(swap: RouteSwap, family: PoolFamily, spec: PoolSpec, ends: Mapping[int, Address]) -> bool:
    """Whether a swap says of its pool what we know, by its tokens as routes have them (`ends`); a pair's fee is the
    configuration's and not the pool's name.
    """
    return (
        (family, swap.pool) == (spec.family, spec.address)
        and (ends.get(swap.index_in), ends.get(swap.index_out)) == (swap.token_in, swap.token_out)
        and (family in PAIRS or swap.fee_pips == spec.fee_pips)
    )


def _is_cycle(steps: tuple[SwapStep, ...], token: bytes) -> bool:
    """Whether each swap takes what the one before gives, from the profit token back to it."""
    held, amount = token, steps[0].amount_in
    for step in steps:
        if step.token_in != held or step.amount_in != amount or amount <= 0:
            return False
        held, amount = step.token_out, step.amount_out
    return held == token


def _spec_of(step: SwapStep) -> PoolSpec:
    tokens = (step.token_in, step.token_out) if step.index_in < step.index_out else (step.token_out, step.token_in)
    return PoolSpec(step.pool_id, step.family, step.address, tokens, step.fee_pips)


def _pool_number(state: PipelineState, step: SwapStep) -> int:
    """The pool's number in our market; of one that we do not follow a negative one of its own."""
    known = state.market.number_of(step.pool_id)
    return -1 - int.from_bytes(step.pool_id[-7:], "big") if known is None else known


def _is_known(state: PipelineState, find: Find) -> bool:
    """Whether the same route behind the same victims is on its way as our own find."""
    pools, victims = find.pools, [victim.hash for victim in find.opportunity.victims]
    return any(
        placed.find.opportunity.order is None
        and placed.find.pools == pools
        and [victim.hash for victim in placed.find.opportunity.victims] == victims
        for placed in state.outstanding.values()
        if placed.find.opportunity.target_block == find.opportunity.target_block
    )


def _bid_of(state: PipelineState, find: Find, whole: Wei) -> Bid:
    """The price per gas of who has the find alone and bids from the bucket above; at most `MOST_BID` of our part."""
    opportunity, gas = find.opportunity, find.gas_in_bundle
    bucket = min(state.bids.choose(opportunity.kind, whole) + 1, len(SHARES) - 1)
    amount = whole * state.bids.share(bucket, opportunity.id) * gas // (gas - ORDER_GAS)
    share = min(amount // max(find.surplus, 1), MOST_BID)
    cap = state.settings.limits.max_bid
    limit = gas_limit(opportunity.gas)
    return bid_for(bucket, share, find.surplus, opportunity.gas, limit, in_coin=False, cap=cap)


def simulated(state: PipelineState, event: BundleSimulated) -> list[Effect]:
    """Give an order its place whose own simulation was clean, if it still is worth it; decline any other."""
    trial, view = state.trials.pop(event.plan_id), state.network
    name = trial.placed.id
    if name not in state.orders_waiting or view is None:
        return []
    reason = coordination.shortfall(state, trial.plan, event, [trial.placed.price])
    finder, key = state.orders_waiting[name].order.finder, state.orders_waiting[name].order.primary_key
    _remember(state, finder, reason)
    if reason is not None:
        return [*given_up(state, name), *coordination.drop(state, trial.placed.find, reason)]
    is_taken = key in state.taken_keys  # another of its leg was accepted in the meantime
    judged = DeclineReason.CONFLICT if is_taken else _judged(state, view, trial.placed.find, trial.whole)
    if isinstance(judged, DeclineReason):
        return given_up(state, name, judged)
    placed, leaving = judged
    effects: list[Effect] = []
    for effect in coordination.on_its_way(state, placed, state.schedule.place(placed, leaving, state.treasury)):
        if isinstance(effect, SimulateBundle) and effect.plan.id == trial.plan.id:
            del state.waiting[trial.plan.id]
            effects += [*accepted(state, name), SignAndSubmit(effect.plan)]
        else:
            effects.append(effect)
    return effects


def _remember(state: PipelineState, finder: Address, reason: Reason | None) -> None:
    """Count what was not as its finder said, until something is; what our own simulator failed at says nothing."""
    failed = state.orders_failed.pop(finder, 0)  # who is counted last is forgotten last
    if reason in (Reason.SIMULATION_REVERTED, Reason.SIMULATION_DIFFERS, Reason.SIMULATION_TOO_DEAR):
        failed += 1
    elif reason is None:
        failed = 0
    if failed:
        state.orders_failed[finder] = failed
        if len(state.orders_failed) > MAX_FAILING:
            del state.orders_failed[next(iter(state.orders_failed))]


def victim_gone(state: PipelineState, transaction_hash: Hash32) -> list[Effect]:
    """Decline what stands behind it and has no place yet."""
    effects: list[Effect] = []
    for plan_id, trial in tuple(state.trials.items()):
        if any(victim.hash == transaction_hash for victim in trial.plan.victims):
            del state.trials[plan_id]
            effects += given_up(state, trial.placed.id)
            effects += coordination.drop(state, trial.placed.find, Reason.VICTIM_GONE)
    return effects


def _judged(
    state: PipelineState, view: NetworkView, find: Find, whole: Wei
) -> tuple[Placed, list[Placed]] | DeclineReason:
    """The order with its bid and hot key, and what makes way for it; or why it has no place."""
    schedule = state.schedule
    leaving = schedule.in_conflict_with(find)
    if leaving and find.surplus <= sum(placed.find.surplus for placed in leaving):
        return DeclineReason.CONFLICT
    bid = _bid_of(state, find, whole)
    costs = costs_of(find, bid, schedule.base_fee)
    verdict = state.gate.check(coordination.question(state, find, bid, costs, len(leaving)), state.now)
    if isinstance(verdict, Rejected):
        state.count(verdict.reason)
        return DeclineReason.UNPROFITABLE
    keys = coordination.keys_for(state, find)
    treasury = {view.hot_key: keys[view.hot_key]} if view.hot_key in keys else {}
    sender = schedule.sender_for(find, costs.hot_key_most, leaving, treasury)
    price = state.search.prices[find.route.rank]
    if sender is None or price is None:
        return DeclineReason.BUSY
    return Placed(find, bid, costs, price, sender, teaches=False), leaving


def _place(state: PipelineState, view: NetworkView, event: OrderArrived, find: Find, whole: Wei) -> list[Effect]:
    """Simulate it first, on its own: what an order says that it brings is its finder's word, and displaces nothing."""
    judged = _judged(state, view, find, whole)
    if isinstance(judged, DeclineReason):
        return [declined(event, judged)]
    placed, leaving = judged
    try:
        plan = state.schedule.alone(placed, state.treasury[placed.sender].nonce)
    except LocalProtocolError:  # nothing of the route is ours: what cannot be encoded must not get into the schedule
        return [declined(event, DeclineReason.INVALID)]
    state.orders_tried[event.order.finder] += 1
    state.orders_waiting[placed.id] = msgspec.structs.replace(event, route=b"")
    if state.settings.simulate:
        state.trials[plan.id] = Trial(placed, whole, plan)
        return [SimulateBundle(plan)]
    effects = coordination.on_its_way(state, placed, state.schedule.place(placed, leaving, state.treasury))
    return [*accepted(state, placed.id), *effects]
