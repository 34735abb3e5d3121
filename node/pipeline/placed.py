"""A find that is on its way, and what bundles of such finds pay per gas."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.bundle import Costs
from node.pipeline.events import CancelBundle
from node.pipeline.finds import Find, moved_besides
from node.pipeline.plans import Bid, BundlePlan
from node.pipeline.prices import ReferencePrice
from protocol.units import Address, Hash32, Wei


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A find that is on its way, with its own bid and what was reserved for it.

    `teaches`: whether its outcome says something about the bid; not if it only stands by for a better one of ours.
    `day`: whose limits count the reservation, of one that is outstanding.
    """

    find: Find
    bid: Bid
    costs: Costs
    price: ReferencePrice
    sender: Address
    teaches: bool = True
    day: int = -1

    @property
    def id(self) -> Hash32:
        """The opportunity's id."""
        return self.find.opportunity.id

    @property
    def behind(self) -> tuple[Hash32, ...]:
        """Better ones that it was computed behind, and so has to be executed after."""
        return self.find.opportunity.behind


class Trial(msgspec.Struct, frozen=True):
    """Another's order that waits for its own simulation and has no place yet; what it would be worth as ours alone."""

    placed: Placed
    whole: Wei
    plan: BundlePlan


class Changes(msgspec.Struct, frozen=True):
    """What follows from a change of the schedule: plans to send, the most urgent first, bundles to cancel, and the
    finds that are not on their way any more.
    """

    plans: list[BundlePlan]
    cancels: list[CancelBundle]
    gone: list[Placed]


class Price(msgspec.Struct, frozen=True, gc=False):
    """What a bundle pays for its gas, the victims' included."""

    wei: int
    gas: int

    def for_gas(self, gas: int) -> int:
        return self.wei * gas // self.gas


def lower(one: Price, other: Price | None) -> Price:
    return one if other is None or one.wei * other.gas < other.wei * one.gas else other


def disturbs(new: Placed, own: Sequence[Placed]) -> bool:
    """Whether a victim that only the new find stands behind moves a pool of one that is there: victims come first."""
    return any(set(moved_besides(new.find, placed.find)) & set(placed.find.pools) for placed in own)


def joint_price(own: Sequence[Placed]) -> Price:
    """Of all finds on a key in one bundle; victims that several stand behind are in it once."""
    victims = {tuple([one.hash for one in placed.find.opportunity.victims]): placed.find.victims_gas for placed in own}
    gas = sum([placed.find.opportunity.gas for placed in own]) + sum(victims.values())
    return Price(sum([placed.costs.bid for placed in own]), gas)


def lowered(placed: Placed, most: int) -> Bid:
    """The find's bid, lowered to so many wei."""
    bid, gas = placed.bid, placed.find.opportunity.gas
    return Bid(Wei(min(bid.priority_fee_per_gas, most // gas)), Wei(min(bid.coinbase_wei, most)), bid.share_bucket)
