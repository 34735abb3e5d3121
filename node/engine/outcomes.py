"""What became of the bundles that were sent, read from their target block itself: never from what a relay says.

Asked before the block is taken in, with one `eth_getBlockReceipts`, so that reservations are free and bids have learned
when the pipeline plans on the block. Of a find that was lost it says to whom (`winners`), and what the builder got for
it. Each outcome is told once. Where a block leaves the chain, what it decided is decided anew by the block that takes
its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.headers import Header, HeaderInvalid, header_from_json
from node.engine.receipts import Receipt, block_receipts, builders_income
from node.engine.rpc import RpcError
from node.engine.signer import SignedBundle
from node.engine.vault_logs import profit_told
from node.engine.winners import Wanted, Winner, winner_of
from node.pipeline.events import ExecutionLanded, ExecutionMissed
from node.pipeline.reasons import Reason
from node.records import (
    AnyRecord,
    BundleSigned,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    OpportunityFound,
    OutcomeRetracted,
    RelayAnswered,
)
from protocol.units import Address, BlockNumber, Gas, Hash32, Wei

MAX_OUTSTANDING: Final = 4_096
"""Finds whose outcome is not known yet; the oldest is given up, which is counted."""
MAX_BUNDLES: Final = 8_192
REMEMBERED_BLOCKS: Final = 64
"""Whose outcomes can be decided anew."""
OLD_BLOCKS: Final = 4
"""Blocks before the head that are judged with one head; the others with the next."""


class Sent(msgspec.Struct):
    """One find that was sent, in all its variants: alone, with others, with another bid.

    `attempts`: by hash of our transaction what it pays to the coinbase. `told`: what was said of it before its block
    left the chain. `included`: one of ours is in the block that was judged, whether it succeeded or reverted.
    """

    opportunity_id: Hash32
    target_block: BlockNumber
    profit_token: Address
    victims: frozenset[Hash32]
    pools: frozenset[bytes]
    attempts: dict[Hash32, Wei]
    bundles: set[Hash32]
    answers: dict[str, str]
    told: Reason | None = None
    included: bool = False

    @property
    def view(self) -> Wanted:
        """What winners are looked for by."""
        return Wanted(self.victims, self.pools, frozenset(self.attempts))


_LOG: Final = logging.getLogger("hftnode.engine.outcomes")

Outcome = tuple[ExecutionLanded | ExecutionMissed | None, AnyRecord]
"""What the pipeline learns, and what the desk does; None where only the desk has to know."""


class Outcomes:
    """The finds that were sent and not yet judged. `entry_point`: the vault module, whose word on profit counts."""

    def __init__(
        self,
        endpoints: Endpoints,
        entry_point: Address,
        senders: Collection[Address],
        routers: Collection[Address],
    ) -> None:
        self.overflowed = 0
        self.unread = 0
        """How often an older block could not be read."""
        self._endpoints, self._entry_point = endpoints, entry_point
        self._senders, self._routers = set(senders), frozenset(routers)
        self._judging = asyncio.Lock()
        """A block may be judged again while the next one is: what is told once must not be told twice."""
        self._sent: dict[Hash32, Sent] = {}
        self._judged: dict[Hash32, list[Sent]] = {}
        self._by_bundle: dict[Hash32, tuple[Hash32, ...]] = {}
        self._to_tell: list[OutcomeRetracted] = []

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, opportunity_id: Hash32) -> bool:
        return opportunity_id in self._sent

    def also_ours(self, sender: Address) -> None:
        """Another hot key of ours sends too."""
        self._senders.add(sender)

    def expect(self, bundle: SignedBundle) -> None:
        """A bundle is about to be sent."""
        for execution, own in zip(bundle.plan.executions, bundle.own, strict=True):
            opportunity = execution.opportunity
            sent = self._sent.get(opportunity.id)
            if sent is None:
                sent = self._sent[opportunity.id] = Sent(
                    opportunity.id,
                    opportunity.target_block,
                    opportunity.profit_token,
                    frozenset([Hash32(victim.hash) for victim in opportunity.victims]),
                    frozenset([step.pool_id for step in opportunity.steps]),
                    {},
                    set(),
                    {},
                )
            sent.attempts[own] = execution.bid.coinbase_wei
            sent.bundles.add(bundle.hash)
        self._remember(bundle.hash, [opportunity.id for opportunity in bundle.plan.opportunities])

    def resume(self, found: OpportunityFound, bundles: Iterable[BundleSigned], *, included: bool = False) -> None:
        """An earlier process sent this find in these bundles and did not live to tell what became of it.

        `included`: it had, of a block that has left the chain since.
        """
        signed = list(bundles)
        ours = [(one, bundle) for bundle in signed for one in bundle.executions]
        mine = [(one, bundle) for one, bundle in ours if one.opportunity_id == found.opportunity_id]
        self._sent[found.opportunity_id] = Sent(
            found.opportunity_id,
            found.target_block,
            found.profit_token,
            frozenset(found.victims),
            frozenset(leg.pool_id for leg in found.legs),
            {one.transaction_hash: Wei(int(one.coinbase_wei)) for one, _ in mine},
            {bundle.bundle_hash for _, bundle in mine},
            {},
            included=included,
        )
        for bundle in signed:
            self._remember(bundle.bundle_hash, [one.opportunity_id for one in bundle.executions])

    def answered(self, answers: Iterable[RelayAnswered]) -> None:
        """What relays said to a bundle: good for a reason where nothing landed."""
        for answer in answers:
            for opportunity_id in self._by_bundle.get(answer.bundle_hash, ()):
                sent = self._sent.get(opportunity_id)
                if sent is not None and sent.answers.get(answer.relay) != "":
                    sent.answers[answer.relay] = answer.error

    async def judge(self, header: Header, *, again: bool = False) -> list[Outcome]:
        """The outcomes of all finds for this block, and of older ones as far as their blocks can be read.

        Raises RpcError where this block cannot be read: then its finds are still to judge. `again`: of a block that
        could not be read; another may stand in its place by now.
        """
        async with self._judging:
            if not again:
                self._replace_by(header)
            return await self._judge(header)

    async def _judge(self, header: Header) -> list[Outcome]:
        targets = sorted({sent.target_block for sent in self._sent.values() if sent.target_block <= header.number})
        outcomes = await self._judge_block(header) if header.number in targets else []
        outcomes = [*((None, told) for told in self._to_tell), *outcomes]
        self._to_tell.clear()
        for target in [target for target in targets if target < header.number][:OLD_BLOCKS]:
            try:
                outcomes += await self._judge_block(await self._header_of(target))
            except RpcError as error:
                self.unread += 1
                _LOG.warning("what became of bundles for block %d cannot be read yet: %s", target, error)
        return outcomes

    def retract(self, block_hash: Hash32) -> OutcomeRetracted | None:
        """A block left the chain: what it decided is open again. What to tell; None if nothing of ours was in it."""
        judged = self._judged.pop(block_hash, [])
        for sent in judged:
            self._sent[sent.opportunity_id] = sent
        return OutcomeRetracted(block_hash=block_hash) if any(sent.included for sent in judged) else None

    def _replace_by(self, header: Header) -> None:
        """Retract what was judged of this height by another block, if nobody said that it left the chain: it was judged
        and then not told.
        """
        for block_hash, judged in list(self._judged.items()):
            if block_hash != header.hash and any(sent.target_block == header.number for sent in judged):
                told = self.retract(block_hash)
                self._to_tell += [] if told is None else [told]

    def _remember(self, bundle: Hash32, opportunities: Iterable[Hash32]) -> None:
        self._by_bundle[bundle] = tuple(opportunities)
        _bounded(self._by_bundle, MAX_BUNDLES)
        self.overflowed += _bounded(self._sent, MAX_OUTSTANDING)

    async def _header_of(self, number: BlockNumber) -> Header:
        raw = await self._endpoints.call("eth_getBlockByNumber", hex(number), False, shape=msgspec.Raw)
        try:
            return header_from_json(raw)
        except HeaderInvalid as error:
            raise RpcError("the chain", "eth_getBlockByNumber", str(error)) from None

    async def _judge_block(self, header: Header) -> list[Outcome]:
        receipts = await block_receipts(self._endpoints, header.hash)
        due = [sent for sent in self._sent.values() if sent.target_block == header.number]
        in_order = tuple(receipts.values())
        winners = {one.opportunity_id: winner_of(one.view, in_order, self._routers, self._senders) for one in due}
        lost = [winner for winner in winners.values() if winner is not None and winner.origin not in self._senders]
        income = await builders_income(self._endpoints, [part for one in lost for part in one.parts], header)
        outcomes: list[Outcome] = []
        for sent in due:
            ours = [own for own in sent.attempts if own in receipts]
            own = next((own for own in ours if receipts[own].status), ours[0] if ours else None)
            if own is not None:
                outcomes.append(self._included(sent, receipts[own], header))
            elif sent.told is None or sent.included:
                outcomes.append(self._missed(sent, winners[sent.opportunity_id], income, header, receipts))
            self._settle(sent)
        if due:
            self._judged[header.hash] = due
            _bounded(self._judged, REMEMBERED_BLOCKS)
        return outcomes

    def _settle(self, sent: Sent) -> None:
        self._sent.pop(sent.opportunity_id, None)
        for bundle in sent.bundles:
            self._by_bundle.pop(bundle, None)

    def _included(self, sent: Sent, receipt: Receipt, header: Header) -> Outcome:
        spent = receipt.spent_wei
        if not receipt.status:
            sent.told, sent.included = Reason.REVERTED, True
            record = _missed_record(sent, Reason.REVERTED, receipt.hash, spent, header.hash)
            return ExecutionMissed(sent.opportunity_id, Reason.REVERTED, spent), record
        profit = profit_told(receipt.logs, sent.profit_token, self._entry_point)
        gas_used = Gas(int(receipt.gas_used))
        sent.included = True
        landed = ExecutionLanded(sent.opportunity_id, header.number, profit, gas_used, spent)
        return landed, ExecutionLandedRecord(
            opportunity_id=sent.opportunity_id,
            transaction_hash=receipt.hash,
            block=header.number,
            block_hash=header.hash,
            profit=str(profit),
            gas_used=gas_used,
            gas_wei=str(spent),
            bid_wei=str(receipt.tip_wei(header.base_fee) + sent.attempts[receipt.hash]),
        )

    def _missed(
        self,
        sent: Sent,
        winner: Winner | None,
        income: Mapping[Hash32, Wei],
        header: Header,
        receipts: Mapping[Hash32, Receipt],
    ) -> Outcome:
        reason = self._reason(sent, winner, receipts)
        sent.told, sent.included = reason, False
        if reason not in (Reason.OUTBID, Reason.TAKEN_BY_OPERATOR, Reason.CONFLICTS_WITH_BETTER):
            winner = None
        lost_to = None if winner is None else winner.hash
        if winner is None or reason is not Reason.OUTBID:
            event = ExecutionMissed(sent.opportunity_id, reason, Wei(0))
        else:
            event = ExecutionMissed(sent.opportunity_id, reason, Wei(0), winner.income(income), winner.gas)
        return event, _missed_record(sent, reason, lost_to, Wei(0))

    def _reason(self, sent: Sent, winner: Winner | None, receipts: Mapping[Hash32, Receipt]) -> Reason:
        if sent.included:  # in a block that is not on the chain any more
            return Reason.REORGED
        if any(victim not in receipts for victim in sent.victims):
            return Reason.VICTIM_NOT_INCLUDED
        if winner is not None:
            if winner.origin in self._senders:
                return Reason.CONFLICTS_WITH_BETTER
            return Reason.TAKEN_BY_OPERATOR if winner.destination == self._entry_point else Reason.OUTBID
        if sent.answers and all(sent.answers.values()):
            unreachable = all(error.startswith("unreachable") for error in sent.answers.values())
            return Reason.RELAY_UNREACHABLE if unreachable else Reason.RELAY_REFUSED
        return Reason.BUILDER_LOST


def _missed_record(
    sent: Sent, reason: Reason, lost_to: Hash32 | None, spent: Wei, block_hash: Hash32 | None = None
) -> ExecutionMissedRecord:
    return ExecutionMissedRecord(
        opportunity_id=sent.opportunity_id,
        block=sent.target_block,
        reason=reason,
        lost_to=lost_to,
        spent_wei=str(spent),
        block_hash=block_hash,
    )


def _bounded(kept: dict[Hash32, Any], most: int) -> int:
    """Drop the oldest above the bound; return how many."""
    surplus = max(0, len(kept) - most)
    for name in list(kept)[:surplus]:
        del kept[name]
    return surplus
