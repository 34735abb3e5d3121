"""What is on its way to the next block: the finds taken, on which hot key, and the bundles that follow from them.

A hot key has one next nonce, and a builder refuses a bundle that does not begin with it. So each find gets a key of its
own as long as there are keys. Finds that share one go together into one bundle with rising nonces, and besides each
goes alone with the first nonce, in case the bundle loses one of its parts to somebody else. A single bundle bids less
per gas than the joint one, so that the builder takes the joint one where it can. Finds behind one transaction share a
key always: a block has it once, so that two bundles with it exclude each other.

A find that conflicts with better ones is not given up. What is left of it behind them goes out at a lower price than
theirs, on another key. Where nothing is left, it stands by as a bundle of its own, on a free key or with the
nonce of what it conflicts with, at a lower price than that. The builder takes it where the better one fails; if both
run, the minimum profit of each still holds. A bundle is sent again only where its last bid became too high. What a
bundle pays per gas counts over all its gas, the victims' included: that is how builders rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from node.pipeline.bids import bid_wei
from node.pipeline.bundle import BundleBuilder, costs_of
from node.pipeline.events import CancelBundle, TreasuryRead
from node.pipeline.finds import Find, conflict, share_victim
from node.pipeline.placed import Changes, Placed, Price, disturbs, joint_price, lower, lowered
from node.pipeline.plans import Bid, BundlePlan, Execution
from node.pipeline.reasons import Reason
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, Hash32, Wei

STANDING_BY_PER_KEY = 2
_BELOW_PERCENT = 90
"""A bundle that has to come after others bids at most so much of their price per gas …"""
_ROOM_PERCENT = 80
"""… and where it has to be lowered, it is lowered to so much, so that the next find does not lower it again."""


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
        self._clean_jointly: dict[Address, frozenset[Hash32]] = {}
        self._failed_alone: dict[Hash32, Reason] = {}

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
        self._clean_jointly.clear()
        self._failed_alone.clear()

    def in_conflict_with(self, find: Find) -> list[Placed]:
        """What would have to make way for this find.

        What shares a victim with it has to be in one bundle, and so on one key: what does on further keys conflicts.
        """
        if not self._placed:
            return []
        keys = self._keys_of_company(find)
        return [
            placed
            for placed in self._placed
            if conflict(find, placed.find) or (placed.sender in keys[1:] and share_victim(find, placed.find))
        ]

    def with_what_they_follow(self, several: Sequence[Placed]) -> list[Placed]:
        """These and all that they were computed behind, in the order in which they were taken."""
        names = {placed.id for placed in several}
        for placed in reversed(self._placed):  # what a find is behind was taken before it
            if placed.id in names:
                names.update(placed.behind)
        return [placed for placed in self._placed if placed.id in names]

    def ahead_of(self, plan: BundlePlan, treasury: Mapping[Address, TreasuryRead]) -> tuple[Execution, ...]:
        """Our executions on other keys that come before this bundle, as what is in it was computed behind them: in
        their order, each as it goes alone.
        """
        names = {name for one in plan.opportunities for name in one.behind}
        if not names:
            return ()
        own = {one.sender for one in plan.executions}
        several = self.with_what_they_follow([placed for placed in self._placed if placed.id in names])
        return tuple(
            [
                self._execution(placed, self._bid_alone(placed), treasury[placed.sender].nonce)
                for placed in several
                if placed.sender not in own
            ]
        )

    def goes_with_better(self, placed: Placed) -> bool:
        """Whether it was computed behind a find that is in one bundle with it, on its own key."""
        return any(one.id in placed.behind and one.sender == placed.sender for one in self._placed)

    def failed_alone(self, opportunity_id: Hash32, reason: Reason) -> None:
        """A find's own bundle, as it is now, failed in its simulation: what it goes with decides."""
        self._failed_alone[opportunity_id] = reason

    def sent_jointly(self, plan: BundlePlan) -> None:
        """A key's joint bundle was clean, and is what the relays have of it."""
        self._clean_jointly[plan.executions[0].sender] = frozenset([one.opportunity.id for one in plan.executions])

    def stranded(self, waiting: Iterable[BundlePlan]) -> tuple[Placed, Reason] | None:
        """A find that no bundle takes to the relays, and why it failed alone: it is in no clean joint one either, and
        nothing of its key waits for a simulation.
        """
        if not self._failed_alone:
            return None
        busy = {one.sender for plan in waiting for one in plan.executions}
        for placed in (*self._placed, *self._standing_by):
            reason = self._failed_alone.get(placed.id)
            is_sent = placed.id in self._clean_jointly.get(placed.sender, ())
            if reason is not None and not is_sent and placed.sender not in busy:
                return placed, reason
        return None

    def _bid_alone(self, placed: Placed) -> Bid:
        sent = self._singles.get(placed.id)
        return placed.bid if sent is None else sent[1]

    def _keys_of_company(self, find: Find, leaving: Sequence[Placed] = ()) -> list[Address]:
        """The hot keys whose finds share a victim with this one and do not conflict with it, the most worth first."""
        worth: dict[Address, int] = {}
        for placed in self._placed:
            if placed not in leaving and share_victim(find, placed.find) and not conflict(find, placed.find):
                worth[placed.sender] = worth.get(placed.sender, 0) + placed.find.surplus
        return sorted(worth, key=lambda sender: -worth[sender])

    def is_standing_by(self, opportunity_id: Hash32) -> bool:
        """Whether the find is on its way for the case that a better one fails."""
        return any(placed.id == opportunity_id for placed in self._standing_by)

    def sender_for(
        self, find: Find, cost: Wei, leaving: Sequence[Placed], treasury: Mapping[Address, TreasuryRead]
    ) -> Address | None:
        """The hot key with the fewest and least finds that can pay for one more; None if there is none. Where a find
        shares a victim with others, it is theirs.
        """
        company = self._keys_of_company(find, leaving)
        staying = [placed for placed in self._placed if placed not in leaving]
        best: tuple[int, int, Address] | None = None
        for sender, read in treasury.items():
            if company and sender != company[0]:
                continue
            own = [placed for placed in staying if placed.sender == sender]
            load = len(own), sum([placed.find.surplus for placed in own])
            if self._committed(sender, own) + cost <= read.balance and (best is None or load < best[:2]):
                best = *load, sender
        return None if best is None else best[2]

    def sender_beside(
        self, find: Find, cost: Wei, rival: Placed, treasury: Mapping[Address, TreasuryRead]
    ) -> Address | None:
        """The hot key for a find that stands by: a free one, else that of the find which it conflicts with."""
        free = self.sender_for(find, cost, (), treasury)
        if free is not None and not any(placed.sender == free for placed in self._placed) and self._has_room(free):
            return free
        own, read = [placed for placed in self._placed if placed.sender == rival.sender], treasury.get(rival.sender)
        affordable = read is not None and self._committed(rival.sender, own) + cost <= read.balance
        return rival.sender if affordable and self._has_room(rival.sender) else None

    def with_key_behind(
        self, new: Placed, better: Sequence[Placed], treasury: Mapping[Address, TreasuryRead]
    ) -> Placed | None:
        """The find on a hot key from which it comes after what it was computed behind; None if there is none.

        With a victim in common that is the better one's own key, in one bundle, if the other victims do not disturb
        that one. Else a key without any of them, on which what it goes with pays less per gas than they do.
        """
        shared = {placed.sender for placed in self._placed if share_victim(new.find, placed.find)}
        taken = {placed.sender for placed in better}
        for sender in sorted(treasury, key=self._load):
            own = [placed for placed in self._placed if placed.sender == sender]
            if shared - {sender} or (sender in taken and (not shared or disturbs(new, own))):
                continue
            placed = msgspec.structs.replace(new, sender=sender)
            affordable = self._committed(sender, own) + new.costs.hot_key_most <= treasury[sender].balance
            if affordable and self._comes_after([*own, placed], placed):
                return placed
        return None

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

    def alone(self, new: Placed, nonce: int) -> BundlePlan:
        """The find's own bundle before it is placed. Raises InvalidField where its route cannot be encoded."""
        return self._builder.plan([self._execution(new, new.bid, nonce)], new.id)

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

    def withdraw_all(self) -> Changes:
        """Take everything off; nothing takes its place."""
        gone = [*self._placed, *self._standing_by]
        cancels = [self._cancel(placed.id) for placed in gone]
        cancels += [self._cancel(_joint_key(sender, self.target_block)) for sender in sorted(self._joint)]
        self.start(self.target_block, self.base_fee)
        return Changes([], cancels, gone)

    # Who is where

    def _load(self, sender: Address) -> tuple[int, int]:
        own = [placed.find.surplus for placed in self._placed if placed.sender == sender]
        return len(own), sum(own)

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
            self._failed_alone.pop(placed.id, None)

    # The bundles

    def _plans_of(self, sender: Address, nonce: int, first: Placed | None) -> list[BundlePlan]:
        """The new find alone, all jointly, then those whose own bundle has to change, then what stands by."""
        own = [placed for placed in self._placed if placed.sender == sender]
        plans: list[BundlePlan] = []
        if len(own) == 1:
            plans = self._single(own[0], nonce, self._price_before(own[0]))
        elif own:
            together = self._together(own)
            price = joint_price(together)
            own.sort(key=lambda placed: placed is not first)
            singles = [self._single(placed, nonce, lower(price, self._price_before(placed))) for placed in own]
            joint = self._joint_plan(sender, together, nonce)
            plans = [*singles[0], *joint, *(single for several in singles[1:] for single in several)]
        for placed in self._standing_by:
            if placed.sender == sender:
                plans += self._single(placed, nonce, self._price_ahead_of(placed))
        return plans

    def _together(self, own: Sequence[Placed]) -> list[Placed]:
        """What goes jointly: not a find with which the bundle would come before what that was computed behind."""
        together = list(own)
        while early := [one for one in together if one.behind and not self._comes_after(together, one)]:
            together.remove(early[0])
        return together

    def _comes_after(self, several: Sequence[Placed], follower: Placed) -> bool:
        """Whether these in one bundle pay less per gas than what the follower was computed behind on other keys."""
        others = [one for one in self._placed if one.id in follower.behind and one.sender != follower.sender]
        ahead, joint = self._lowest_price(others), joint_price(several)
        return ahead is None or joint.wei * 100 <= ahead.for_gas(joint.gas) * _BELOW_PERCENT

    def _joint_plan(self, sender: Address, together: Sequence[Placed], nonce: int) -> list[BundlePlan]:
        if len(together) < 2:
            return []
        joint = [self._execution(placed, placed.bid, nonce + place) for place, placed in enumerate(together)]
        self._joint.add(sender)
        return [self._builder.plan(joint, _joint_key(sender, self.target_block))]

    def _price_ahead_of(self, standing_by: Placed) -> Price | None:
        """The lowest price among the bundles that should be taken before: on its key, and against it."""
        key, find = standing_by.sender, standing_by.find
        return self._lowest_price([one for one in self._placed if one.sender == key or conflict(one.find, find)])

    def _price_before(self, placed: Placed) -> Price | None:
        """The lowest price of what a find was computed behind."""
        return self._lowest_price([one for one in self._placed if one.id in placed.behind]) if placed.behind else None

    def _lowest_price(self, several: Sequence[Placed]) -> Price | None:
        lowest: Price | None = None
        for placed in several:
            bid = bid_wei(self._bid_alone(placed), placed.find.opportunity.gas)
            lowest = lower(Price(bid, placed.find.gas_in_bundle), lowest)
        return lowest

    def _single(self, placed: Placed, nonce: int, behind: Price | None) -> list[BundlePlan]:
        """The find's own bundle, if it has to be sent; `behind`: the price that it has to stay below."""
        sent = self._singles.get(placed.id)
        bid = placed.bid
        if behind is not None:
            if sent is not None and sent[0] == nonce:
                bid = sent[1]
            ahead = behind.for_gas(placed.find.gas_in_bundle)
            if bid_wei(bid, placed.find.opportunity.gas) > ahead * _BELOW_PERCENT // 100:
                bid = lowered(placed, ahead * _ROOM_PERCENT // 100)
        if sent == (nonce, bid):
            return []
        self._singles[placed.id] = (nonce, bid)
        self._failed_alone.pop(placed.id, None)
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
        if sender not in self._joint:
            return []
        if len(self._together([placed for placed in self._placed if placed.sender == sender])) > 1:
            return []
        self._joint.discard(sender)
        self._clean_jointly.pop(sender, None)
        return [self._cancel(_joint_key(sender, self.target_block))]

    def _cancel(self, key: Hash32) -> CancelBundle:
        return CancelBundle(key, self.target_block, Reason.CONFLICTS_WITH_BETTER)


def _joint_key(sender: Address, target_block: BlockNumber) -> Hash32:
    return Hash32(keccak256(b"joint" + sender + target_block.to_bytes(8, "big")))
