"""Finds that this node cannot use alone: each becomes an order for the leader of its block, or goes its own way.

What is missing decides (`Lack`). The pipeline makes order and route; signing, sealing and asking are the engine's.
Until the answer comes the find waits; after an accept it is the leader's; after anything else it is executed here, if
that is possible. What its block missed is found anew at the next one, and goes to that block's leader: the backup.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from node.pipeline.events import Effect, HandOver, OrderAnswer, OrderAnswered
from node.pipeline.finds import Find, Given
from node.pipeline.network_view import MAX_GIVEN, NetworkView
from node.pipeline.plans import SwapStep
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from protocol.conflicts import Occasion, leg_key, primary_leg
from protocol.errors import InvalidField, TooLarge
from protocol.ethereum.keccak import keccak256
from protocol.routes import Route, RouteSwap, encode_route
from protocol.statements import Order
from protocol.units import (
    BASIS_POINTS_ONE,
    Address,
    BasisPoints,
    BlockNumber,
    ChainId,
    Hash32,
    LegKey,
    TokenAmount,
    Wei,
)


class Lack(StrEnum):
    """What a node lacks to execute a find itself."""

    REACH = "reach"
    TREASURY = "treasury"
    EXECUTOR = "executor"
    INVENTORY = "inventory"


def lack_of(state: PipelineState, find: Find) -> Lack | None:
    """What this node lacks for a find, if something."""
    view = state.network
    if view is None:
        return None
    if not view.executor_live:
        return Lack.EXECUTOR
    if view.relays_usable < view.relays:
        return Lack.REACH
    return Lack.INVENTORY if _brings_more_elsewhere(state, find) else None


def share_of_funded(state: PipelineState, target: BlockNumber) -> BasisPoints:
    """What we get of a find that the leader of a block funds and executes; 0 where it would not."""
    view = state.network
    return view.finder_bps if view is not None and _taker(view, target) in view.funds_orders else BasisPoints(0)


def most_funded(state: PipelineState, target: BlockNumber) -> Wei:
    """The most that a find may be worth that is given to the leader of a block."""
    view = state.network
    taker = None if view is None else _taker(view, target)
    return Wei(0) if view is None or taker is None else view.value_limits.get(taker, Wei(0))


def _taker(view: NetworkView, target: BlockNumber) -> Address | None:
    """Who is given what we hand over for a block: its leader, where that is another and takes orders now."""
    turn = view.turns.get(target)
    if turn is None or turn.operator == view.account or turn.operator not in view.takes_orders or view.is_paused:
        return None
    return turn.operator


def _brings_more_elsewhere(state: PipelineState, find: Find) -> bool:
    """Whether our part of it, at the size that only another's capital allows, is more than what we make of it alone."""
    if not find.is_funded:
        return True
    beyond, kind = find.route.beyond, find.opportunity.kind
    if beyond is None:
        return False
    bid = state.bids.share(state.bids.usual(kind, find.surplus), find.opportunity.id)
    alone = find.surplus - max(find.surplus, 0) * bid // BASIS_POINTS_ONE
    return state.search.part_of(beyond) > alone


def _at_full_size(state: PipelineState, find: Find) -> Find:
    """A find as who has the capital for all of it would execute it."""
    beyond = find.route.beyond
    if beyond is None:
        return find
    opportunity = msgspec.structs.replace(
        find.opportunity,
        steps=state.search.steps_of(beyond),
        loan=beyond.loan,
        profit_token=state.settings.profit_tokens[beyond.rank].address,
        gross_profit=beyond.gain,
        gross_profit_wei=beyond.gain_wei,
        gas=beyond.gas,
    )
    pools = tuple([state.market.edges[edge].pool for edge in beyond.edges])
    return msgspec.structs.replace(find, opportunity=opportunity, route=beyond, pools=pools)


def hand_over(state: PipelineState, own: Find, lack: Lack) -> list[Effect] | None:
    """Give a find to the leader of its block; None where it cannot be given, and must go its own way.

    Who has capital of its own is given it at its full size: what we have ourselves is no matter then. Where that is
    worth more than this leader may be given, or takes too many bytes, it is given what we could do.
    """
    view = state.network
    if own.opportunity.id in state.given:
        return []
    if view is None or own.opportunity.order is not None:
        return None
    taker = _taker(view, own.opportunity.target_block)
    if taker is None:
        return None
    shown: tuple[Find, LegKey, bytes] | None = None
    why: Reason | None = None
    for find in _sizes(state, own, lack, funds=taker in view.funds_orders):
        if not all(isinstance(step, SwapStep) for step in find.opportunity.steps):
            continue  # an order's route is swaps alone
        if find.surplus > view.value_limits.get(taker, Wei(0)):
            why = Reason.ABOVE_VALUE_LIMIT
            continue
        primary = _primary_key(state, find)
        if primary in state.given_keys or len(state.given_keys) >= MAX_GIVEN:
            return None
        try:
            shown = find, primary, encode_route(_route_of(find))
            break
        except (InvalidField, TooLarge):  # how much is pending before it is up to strangers
            why = Reason.ORDER_TOO_LARGE
    if shown is None:
        if why is not None:
            state.count(why)
        return None
    find, primary, route = shown
    state.given[own.opportunity.id] = Given(own)
    state.given_keys.add(primary)
    occasion = _occasion(find)
    is_backup = occasion in state.given_before
    state.given_now.add(occasion)
    order = _order_of(find, view, taker, primary, route)
    return [HandOver(find.opportunity, order, route, lack.value, is_backup)]


def _sizes(state: PipelineState, own: Find, lack: Lack, *, funds: bool) -> list[Find]:
    """A find as a leader could be given it, the best first; none that would be shown for nothing."""
    full = [_at_full_size(state, own)] if funds else []
    is_enough = own.is_funded and lack is not Lack.INVENTORY
    return [*full, own] if is_enough and own not in full else full


def _order_of(find: Find, view: NetworkView, leader: Address, primary: LegKey, route: bytes) -> Order:
    floor = find.opportunity.gross_profit * view.finder_floor_bps // BASIS_POINTS_ONE
    return Order(
        finder=view.account,
        executor=leader,
        target_block=find.opportunity.target_block,
        finder_bps=view.finder_bps,
        min_finder_wei=TokenAmount(max(1, floor)),
        profit_token=find.opportunity.profit_token,
        pay_to=view.pay_to,
        primary_key=primary,
        route_commit=Hash32(keccak256(route)),
    )


def answered(state: PipelineState, event: OrderAnswered) -> Find | None:
    """Take the leader's answer in; return the find where it is ours again."""
    given = state.given.get(event.opportunity_id)
    if given is None or given.accepted:
        return None
    if event.answer is OrderAnswer.ACCEPT:
        state.given[event.opportunity_id] = Given(given.find, accepted=True)
        return None
    del state.given[event.opportunity_id]  # its leg stays given: nobody else is asked for it in this block
    return given.find


def begin_block(state: PipelineState) -> None:
    """What was given for the last block is over; what it was stays known for one more, to tell a backup."""
    state.given.clear()
    state.given_keys.clear()
    state.given_before, state.given_now = state.given_now, set()


def _occasion(find: Find) -> Hash32:
    """The same opportunity, whatever its block: its pools behind its victims."""
    steps = b"".join([step.pool_id + step.token_in for step in find.opportunity.steps])
    return Hash32(keccak256(steps + b"".join([victim.hash for victim in find.opportunity.victims])))


def _primary_key(state: PipelineState, find: Find) -> LegKey:
    opportunity = find.opportunity
    trigger = Hash32(opportunity.victims[0].hash) if opportunity.victims else None
    legs = [swap.leg for swap in _route_of(find).swaps]
    trigger_pool = state.market.specs[find.victim_pools[0]].id if find.victim_pools else None
    occasion = Occasion(ChainId(state.settings.chain_id), opportunity.target_block, trigger)
    return leg_key(occasion, primary_leg(legs, trigger_pool))


def _route_of(find: Find) -> Route:
    opportunity = find.opportunity
    return Route(
        transactions=tuple([victim.raw for victim in opportunity.victims]),
        swaps=tuple(
            [
                RouteSwap(
                    family=step.family.value,
                    pool_id=step.pool_id,
                    pool=step.address,
                    token_in=step.token_in,
                    token_out=step.token_out,
                    index_in=step.index_in,
                    index_out=step.index_out,
                    fee_pips=step.fee_pips,
                    amount_in=TokenAmount(step.amount_in),
                    amount_out=TokenAmount(step.amount_out),
                )
                for step in opportunity.steps
                if isinstance(step, SwapStep)
            ]
        ),
    )
