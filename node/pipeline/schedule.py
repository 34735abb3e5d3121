"""What is on its way to the next block: the finds taken, on which hot key, and the bundles that follow from them.

A hot key has one next nonce, and a builder refuses a bundle that does not begin with it. So the finds on one key go
together into one bundle with rising nonces, and besides each goes alone with the first nonce, in case the bundle loses
one of its parts to somebody else. A single bundle bids less per gas than the joint one, so that the builder takes the
joint one where it can; it is sent again only where its last bid became too high.
"""

from __future__ import annotations

from collections.abc import Mapping

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

_BELOW_PERCENT = 99
"""A single bundle's price per gas is at most so much of the joint one's …"""
_ROOM_PERCENT = 85
"""… and where it has to be lowered, it is lowered to so much, so that the next find does not lower it again."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A find that is on its way, with its own bid and what was reserved for it."""

    find: Find
    bid: Bid
    costs: Costs
    price: ReferencePrice
    sender: Address

    @property
    def id(self) -> Hash32:
        """The opportunity's id."""
        return self.find.opportunity.id


class Schedule:
    """The finds taken for one target block; `start` begins the next."""

    def __init__(self, builder: BundleBuilder) -> None:
        self.target_block = BlockNumber(0)
        self.base_fee = Wei(0)
        self._builder = builder
        self._placed: list[Placed] = []
        self._executions: dict[tuple[Hash32, int], Execution] = {}
        self._singles: dict[Hash32, tuple[int, Bid]] = {}

    def __len__(self) -> int:
        return len(self._placed)

    def start(self, target_block: BlockNumber, base_fee: Wei) -> None:
        """Forget the last block's finds."""
        self.target_block, self.base_fee = target_block, base_fee
        self._placed.clear()
        self._executions.clear()
        self._singles.clear()

    def in_conflict_with(self, find: Find) -> list[Placed]:
        """What would have to leave for this find."""
        return [placed for placed in self._placed if conflict(find, placed.find)]

    def sender_for(self, cost: Wei, leaving: list[Placed], treasury: Mapping[Address, TreasuryRead]) -> Address | None:
        """The hot key with the fewest finds on it that can pay for one more; None if there is none."""
        staying = [placed for placed in self._placed if placed not in leaving]
        best: tuple[int, Address] | None = None
        for sender, read in treasury.items():
            own = [placed for placed in staying if placed.sender == sender]
            committed = sum(placed.costs.hot_key_most for placed in own)
            if committed + cost <= read.balance and (best is None or len(own) < best[0]):
                best = len(own), sender
        return None if best is None else best[1]

    def place(
        self, new: Placed, leaving: list[Placed], treasury: Mapping[Address, TreasuryRead]
    ) -> tuple[list[BundlePlan], list[CancelBundle]]:
        """Take a find instead of those that leave: the plans that follow, the new find's own first."""
        self._placed = [placed for placed in self._placed if placed not in leaving] + [new]
        for placed in leaving:
            self._singles.pop(placed.id, None)
        touched = dict.fromkeys([new.sender, *(placed.sender for placed in leaving)])
        plans = [plan for sender in touched for plan in self._plans_of(sender, treasury[sender].nonce, new)]
        cancels = [cancel for placed in leaving for cancel in self._cancels(placed, keep=new)]
        return plans, cancels

    def renew(self, sender: Address, nonce: int) -> list[BundlePlan]:
        """The plans of a hot key whose next nonce turned out to be another."""
        return self._plans_of(sender, nonce, None)

    def withdraw(
        self, opportunity_id: Hash32, treasury: Mapping[Address, TreasuryRead]
    ) -> tuple[Placed | None, list[BundlePlan], list[CancelBundle]]:
        """Take a find off: it, the plans of what is left on its key, and what to cancel."""
        found = [placed for placed in self._placed if placed.id == opportunity_id]
        if not found:
            return None, [], []
        self._placed.remove(found[0])
        self._singles.pop(opportunity_id, None)
        sender = found[0].sender
        return found[0], self._plans_of(sender, treasury[sender].nonce, None), self._cancels(found[0], keep=None)

    def _plans_of(self, sender: Address, nonce: int, first: Placed | None) -> list[BundlePlan]:
        """The new find alone, all jointly, then those whose own bundle has to change."""
        own = [placed for placed in self._placed if placed.sender == sender]
        if len(own) == 1:
            return self._single(own[0], nonce, own[0].costs.bid)
        if not own:
            return []
        joint = [self._execution(placed, placed.bid, nonce + place) for place, placed in enumerate(own)]
        gas = sum(placed.find.opportunity.gas for placed in own)
        price = sum(placed.costs.bid for placed in own) // gas
        own.sort(key=lambda placed: placed is not first)
        singles = [self._single(placed, nonce, price * placed.find.opportunity.gas) for placed in own]
        plan = self._builder.plan(joint, _joint_key(sender, self.target_block))
        return [*singles[0], plan, *(single for plans in singles[1:] for single in plans)]

    def _single(self, placed: Placed, nonce: int, joint_bid: int) -> list[BundlePlan]:
        """The find's own bundle, if it has to be sent; `joint_bid`: what it would bid at the joint bundle's price."""
        sent = self._singles.get(placed.id)
        most = joint_bid if joint_bid == placed.costs.bid else joint_bid * _BELOW_PERCENT // 100
        bid = placed.bid if sent is None or sent[0] != nonce else sent[1]
        if bid_wei(bid, placed.find.opportunity.gas) > most:
            bid = _lowered(placed, joint_bid * _ROOM_PERCENT // 100)
        if sent == (nonce, bid):
            return []
        self._singles[placed.id] = (nonce, bid)
        return [self._builder.plan([self._execution(placed, bid, nonce)], _single_key(placed))]

    def _execution(self, placed: Placed, bid: Bid, nonce: int) -> Execution:
        if bid is not placed.bid:
            costs = costs_of(placed.find, bid, self.base_fee)
            return self._builder.execution(placed.find, bid, costs, placed.price, self.base_fee, placed.sender, nonce)
        known = self._executions.get((placed.id, nonce))
        if known is None or known.bid is not bid:
            find, costs = placed.find, placed.costs
            known = self._builder.execution(find, bid, costs, placed.price, self.base_fee, placed.sender, nonce)
            self._executions[placed.id, nonce] = known
        return known

    def _cancels(self, gone: Placed, keep: Placed | None) -> list[CancelBundle]:
        """The find's own bundle, unless the new one replaces it, and the joint one if nothing is joint any more."""
        keys = [] if keep is not None and _single_key(keep) == _single_key(gone) else [_single_key(gone)]
        if sum(placed.sender == gone.sender for placed in self._placed) < 2:
            keys.append(_joint_key(gone.sender, self.target_block))
        return [CancelBundle(key, self.target_block, Reason.CONFLICTS_WITH_BETTER) for key in keys]


def _lowered(placed: Placed, most: int) -> Bid:
    """The find's bid, lowered to so many wei."""
    bid, gas = placed.bid, placed.find.opportunity.gas
    return Bid(Wei(min(bid.priority_fee_per_gas, most // gas)), Wei(min(bid.coinbase_wei, most)), bid.share_bucket)


def _single_key(placed: Placed) -> Hash32:
    return Hash32(keccak256(b"single" + placed.sender + placed.id))


def _joint_key(sender: Address, target_block: BlockNumber) -> Hash32:
    return Hash32(keccak256(b"joint" + sender + target_block.to_bytes(8, "big")))
