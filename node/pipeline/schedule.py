"""What is on its way to the next block: the finds taken, on which hot key, and the bundles that follow from them.

A hot key has one next nonce, and a builder refuses a bundle that does not begin with it. So each find gets a key of its
own as long as there are keys. Finds that share one go together into one bundle with rising nonces, and besides each
goes alone with the first nonce, in case the bundle loses one of its parts to somebody else. A single bundle bids less
per gas than the joint one, so that the builder takes the joint one where it can.

A find that conflicts with better ones is not given up: it stands by as a bundle of its own, on a free key or with the
nonce of what it conflicts with, at a lower price than that. The builder takes it where the better one fails; if both
run, the minimum profit of each still holds. A bundle is sent again only where its last bid became too high. What a
bundle pays per gas counts over all its gas, the victims' included: that is how builders rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from node.pipeline.bids import bid_wei
from node.pipeline.bundle import BundleBuilder, Costs, costs_of
from node.pipeline.events import CancelBundle, TreasuryRead
from node.pipeline.finds import Find, conflict
from node.pipeline.plans import Bid, BundlePlan, Execution
from node.pipeline.prices import ReferencePrice
from node.pipeline.reasons import Reason
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, Hash32, Wei

STANDING_BY_PER_KEY = 2
_BELOW_PERCENT = 90
"""A bundle that has to come after others bids at most so much of their price per gas …"""
_ROOM_PERCENT = 80
"""… and where it has to be lowered, it is lowered to so much, so that the next find does not lower it again."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A find that is on its way, with its own bid and what was reserved for it.

    `teaches`: whether its outcome says something about the bid; not if it only stands by for a better one of ours.
    """

    find: Find
    bid: Bid
    costs: Costs
    price: ReferencePrice
    sender: Address
    teaches: bool = True

    @property
    def id(self) -> Hash32:
        """The opportunity's id."""
        return self.find.opportunity.id


class Changes(msgspec.Struct, frozen=True):
    """What follows from a change of the schedule: plans to send, the most urgent first, bundles to cancel, and the
    finds that are not on their way any more.
    """

    plans: list[BundlePlan]
    cancels: list[CancelBundle]
    gone: list[Placed]


class _Price(msgspec.Struct, frozen=True, gc=False):
    """What a bundle pays for its gas, the victims' included."""

    wei: int
    gas: int

    def for_gas(self, gas: int) -> int:
        return self.wei * gas // self.gas


class Schedule:
    """The finds taken for one target block, and those that stand by; `start` begins the next."""

    def __init__(self, builder: BundleBuilder) -> None:
        self.target_block = BlockNumber(0)
        self.base_fee = Wei(0)
        self._builder = builder
        self._placed: list[Placed] = []
        self._standing_by: list[Placed] = []
        self._executions: dict[Hash32, Execution] = {}
        self._singles: dict[Hash32, tuple[int, Bid]] = {}
        self._joint: set[Address] = set()

    def __len__(self) -> int:
        return len(self._placed)

    def start(self, target_block: BlockNumber, base_fee: Wei) -> None:
        """Forget the last block's finds."""
        self.target_block, self.base_fee = target_block, base_fee
        self._placed.clear()
        self._standing_by.clear()
        self._executions.clear()
        self._singles.clear()
        self._joint.clear()

    def in_conflict_with(self, find: Find) -> list[Placed]:
        """What would have to make way for this find."""
        return [placed for placed in self._placed if conflict(find, placed.find)]

    def is_standing_by(self, opportunity_id: Hash32) -> bool:
        """Whether the find is on its way for the case that a better one fails."""
        return any(placed.id == opportunity_id for placed in self._standing_by)

    def sender_for(
        self, cost: Wei, leaving: Sequence[Placed], treasury: Mapping[Address, TreasuryRead]
    ) -> Address | None:
        """The hot key with the fewest and least finds that can pay for one more; None if there is none."""
        staying = [placed for placed in self._placed if placed not in leaving]
        best: tuple[int, int, Address] | None = None
        for sender, read in treasury.items():
            own = [placed for placed in staying if placed.sender == sender]
            load = len(own), sum([placed.find.surplus for placed in own])
            if self._committed(sender, own) + cost <= read.balance and (best is None or load < best[:2]):
                best = *load, sender
        return None if best is None else best[2]

    def sender_beside(self, cost: Wei, rival: Placed, treasury: Mapping[Address, TreasuryRead]) -> Address | None:
        """The hot key for a find that stands by: a free one, else that of the find which it conflicts with."""
        free = self.sender_for(cost, (), treasury)
        if free is not None and not any(placed.sender == free for placed in self._placed) and self._has_room(free):
            return free
        own = [placed for placed in self._placed if placed.sender == rival.sender]
        affordable = self._committed(rival.sender, own) + cost <= treasury[rival.sender].balance
        return rival.sender if affordable and self._has_room(rival.sender) else None

    def place(self, new: Placed, leaving: Sequence[Placed], treasury: Mapping[Address, TreasuryRead]) -> Changes:
        """Take a find; those that make way stand by, as far as there is room. The new find's own plan comes first."""
        self._placed = [placed for placed in self._placed if placed not in leaving] + [new]
        gone = [placed for placed in self._standing_by if placed.id == new.id]
        self._standing_by = [placed for placed in self._standing_by if placed.id != new.id]
        for placed in leaving:
            if placed.id != new.id and self._has_room(placed.sender):
                self._standing_by.append(placed)
            else:
                gone.append(placed)
        self._forget(gone)
        senders = dict.fromkeys([new.sender, *(placed.sender for placed in leaving)])
        plans = [plan for sender in senders for plan in self._plans_of(sender, treasury[sender].nonce, new)]
        cancels = [cancel for sender in senders for cancel in self._joint_cancels(sender)]
        cancels += [self._cancel(placed.id) for placed in gone if placed.id != new.id]
        return Changes(plans, cancels, gone)

    def stand_by(self, new: Placed, treasury: Mapping[Address, TreasuryRead]) -> Changes:
        """Send a find for the case that what it conflicts with fails."""
        self._standing_by.append(new)
        return Changes(self._plans_of(new.sender, treasury[new.sender].nonce, None), [], [])

    def renew(self, sender: Address, nonce: int) -> list[BundlePlan]:
        """The plans of a hot key whose next nonce turned out to be another."""
        return self._plans_of(sender, nonce, None)

    def withdraw(self, opportunity_id: Hash32, treasury: Mapping[Address, TreasuryRead]) -> Changes:
        """Take a find off. What stood by for it alone takes its place."""
        gone = [placed for placed in (*self._placed, *self._standing_by) if placed.id == opportunity_id]
        if not gone:
            return Changes([], [], [])
        self._placed = [placed for placed in self._placed if placed.id != opportunity_id]
        self._standing_by = [placed for placed in self._standing_by if placed.id != opportunity_id]
        self._forget(gone)
        senders = dict.fromkeys([*(placed.sender for placed in gone), *self._promote()])
        plans = [plan for sender in senders for plan in self._plans_of(sender, treasury[sender].nonce, None)]
        cancels = [self._cancel(placed.id) for placed in gone]
        return Changes(plans, [*cancels, *(one for sender in senders for one in self._joint_cancels(sender))], gone)

    # Who is where

    def _committed(self, sender: Address, own: Sequence[Placed]) -> int:
        """Wei that a key may have to pay for what is on its way; what stands by counts too."""
        beside = [placed for placed in self._standing_by if placed.sender == sender]
        return sum([placed.costs.hot_key_most for placed in (*own, *beside)])

    def _has_room(self, sender: Address) -> bool:
        return sum([placed.sender == sender for placed in self._standing_by]) < STANDING_BY_PER_KEY

    def _promote(self) -> list[Address]:
        """Take what stands by and conflicts with nothing any more, the best first; return the hot keys concerned."""
        senders: list[Address] = []
        for placed in sorted(self._standing_by, key=lambda one: (-one.find.surplus, one.id)):
            if not self.in_conflict_with(placed.find):
                self._standing_by.remove(placed)
                self._placed.append(placed)
                senders.append(placed.sender)
        return senders

    def _forget(self, gone: Sequence[Placed]) -> None:
        for placed in gone:
            self._singles.pop(placed.id, None)

    # The bundles

    def _plans_of(self, sender: Address, nonce: int, first: Placed | None) -> list[BundlePlan]:
        """The new find alone, all jointly, then those whose own bundle has to change, then what stands by."""
        own = [placed for placed in self._placed if placed.sender == sender]
        plans: list[BundlePlan] = []
        if len(own) == 1:
            plans = self._single(own[0], nonce, None)
        elif own:
            joint = [self._execution(placed, placed.bid, nonce + place) for place, placed in enumerate(own)]
            price = _joint_price(own)
            own.sort(key=lambda placed: placed is not first)
            singles = [self._single(placed, nonce, price) for placed in own]
            self._joint.add(sender)
            plan = self._builder.plan(joint, _joint_key(sender, self.target_block))
            plans = [*singles[0], plan, *(single for several in singles[1:] for single in several)]
        for placed in self._standing_by:
            if placed.sender == sender:
                plans += self._single(placed, nonce, self._price_ahead_of(placed))
        return plans

    def _price_ahead_of(self, standing_by: Placed) -> _Price | None:
        """The lowest price among the bundles that should be taken before: on its key, and against it."""
        lowest: _Price | None = None
        for placed in self._placed:
            if placed.sender != standing_by.sender and not conflict(placed.find, standing_by.find):
                continue
            sent = self._singles.get(placed.id)
            bid = bid_wei(placed.bid if sent is None else sent[1], placed.find.opportunity.gas)
            if lowest is None or bid * lowest.gas < lowest.wei * placed.find.gas_in_bundle:
                lowest = _Price(bid, placed.find.gas_in_bundle)
        return lowest

    def _single(self, placed: Placed, nonce: int, behind: _Price | None) -> list[BundlePlan]:
        """The find's own bundle, if it has to be sent; `behind`: the price that it has to stay below."""
        sent = self._singles.get(placed.id)
        bid = placed.bid
        if behind is not None:
            if sent is not None and sent[0] == nonce:
                bid = sent[1]
            ahead = behind.for_gas(placed.find.gas_in_bundle)
            if bid_wei(bid, placed.find.opportunity.gas) > ahead * _BELOW_PERCENT // 100:
                bid = _lowered(placed, ahead * _ROOM_PERCENT // 100)
        if sent == (nonce, bid):
            return []
        self._singles[placed.id] = (nonce, bid)
        return [self._builder.plan([self._execution(placed, bid, nonce)], placed.id)]

    def _execution(self, placed: Placed, bid: Bid, nonce: int) -> Execution:
        if bid is not placed.bid:
            costs = costs_of(placed.find, bid, self.base_fee)
            return self._builder.execution(placed.find, bid, costs, placed.price, self.base_fee, placed.sender, nonce)
        known = self._executions.get(placed.id)
        if known is None or known.bid is not bid:
            find, costs = placed.find, placed.costs
            known = self._builder.execution(find, bid, costs, placed.price, self.base_fee, placed.sender, nonce)
            self._executions[placed.id] = known
        return known if known.nonce == nonce else msgspec.structs.replace(known, nonce=nonce)

    def _joint_cancels(self, sender: Address) -> list[CancelBundle]:
        """The joint bundle of a key, if nothing is joint there any more."""
        if sender not in self._joint or sum([placed.sender == sender for placed in self._placed]) > 1:
            return []
        self._joint.discard(sender)
        return [self._cancel(_joint_key(sender, self.target_block))]

    def _cancel(self, key: Hash32) -> CancelBundle:
        return CancelBundle(key, self.target_block, Reason.CONFLICTS_WITH_BETTER)


def _joint_price(own: Sequence[Placed]) -> _Price:
    """Of all finds on a key in one bundle; victims that several stand behind are in it once."""
    victims = {tuple([one.hash for one in placed.find.opportunity.victims]): placed.find.victims_gas for placed in own}
    gas = sum([placed.find.opportunity.gas for placed in own]) + sum(victims.values())
    return _Price(sum([placed.costs.bid for placed in own]), gas)


def _lowered(placed: Placed, most: int) -> Bid:
    """The find's bid, lowered to so many wei."""
    bid, gas = placed.bid, placed.find.opportunity.gas
    return Bid(Wei(min(bid.priority_fee_per_gas, most // gas)), Wei(min(bid.coinbase_wei, most)), bid.share_bucket)


def _joint_key(sender: Address, target_block: BlockNumber) -> Hash32:
    return Hash32(keccak256(b"joint" + sender + target_block.to_bytes(8, "big")))
