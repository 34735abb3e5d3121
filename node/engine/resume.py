"""What an earlier process left open: bundles that it had signed and whose outcome it did not live to tell, transactions
whose cost it did not, orders that others executed and paid while it was away.

All that it needs is on the spool, which keeps the last files also when the desk has them: nothing is signed that is not
there before, and an outcome counts once it is there. So an execution is open if its `BundleSigned` is there and its
outcome is not; the chain then says what became of it, and it is told once. A find that is there alone was never sent:
it gets its reason now. What landed or reverted in a block that has left the chain meanwhile is open again
(`retracted_since`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.outcomes import Outcomes
from node.engine.rpc import Call, RpcError
from node.engine.rpc_types import HashHex
from node.link import LedgerEntry
from node.records import (
    AnyRecord,
    BundleSigned,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    OpportunityDropped,
    OpportunityFound,
    OrderTold,
    OutcomeRetracted,
    PaymentMade,
    RelayAnswered,
    TransactionSent,
    decode_record,
)
from protocol.units import BlockNumber, Hash32

MAX_ASKED: Final = 64
"""Blocks, the last ones that told something, that are looked for on the chain."""


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """What an earlier process had not told, and what of the network it had."""

    sent: Sequence[OpportunityFound] = ()
    """Finds that it sent without telling their outcome …"""
    unsent: Sequence[OpportunityFound] = ()
    """… and those that it never sent."""
    transactions: Sequence[TransactionSent] = ()
    payments: Sequence[PaymentMade] = ()
    """Told, in blocks that stand."""
    since: BlockNumber | None = None
    """The first block of which the spool knows; None if of none."""


class _BlockJson(msgspec.Struct, frozen=True):
    hash: HashHex


def records_of(entries: Iterable[LedgerEntry]) -> list[AnyRecord]:
    """Return what is on a spool."""
    return [decode_record(entry.body) for entry in entries]


async def retracted_since(endpoints: Endpoints, records: Sequence[AnyRecord]) -> list[OutcomeRetracted]:
    """Return which of the blocks that the records tell of are not on the chain any more. Raises RpcError."""
    blocks = dict(list(_standing(records).items())[-MAX_ASKED:])
    calls = [Call("eth_getBlockByNumber", (hex(number), False), _BlockJson | None) for number in blocks.values()]
    answers: Sequence[Any] = await endpoints.batch(calls) if calls else ()
    found = []
    for block_hash, answer in zip(blocks, answers, strict=True):
        if isinstance(answer, RpcError):
            raise answer
        if answer is not None and bytes(answer.hash) != block_hash:
            found.append(OutcomeRetracted(block_hash=block_hash))
    return found


def resume(outcomes: Outcomes, records: Iterable[AnyRecord]) -> LeftOpen:
    """Let `outcomes` expect what the records, oldest first, leave open; return that."""
    told = list(records)
    found: dict[Hash32, OpportunityFound] = {}
    bundles: dict[Hash32, dict[Hash32, BundleSigned]] = {}
    included_in: dict[Hash32, set[Hash32]] = {}
    closed: set[Hash32] = set()
    reopened: set[Hash32] = set()
    dropped: set[Hash32] = set()
    answers: list[RelayAnswered] = []
    for record in told:
        if isinstance(record, OpportunityFound):
            found[record.opportunity_id] = record
            dropped.discard(record.opportunity_id)
        elif isinstance(record, OpportunityDropped):
            dropped.add(record.found.opportunity_id)
        elif isinstance(record, BundleSigned):
            for execution in record.executions:
                bundles.setdefault(execution.opportunity_id, {})[record.bundle_hash] = record
        elif isinstance(record, RelayAnswered):
            answers.append(record)
        elif isinstance(record, ExecutionLandedRecord):
            closed.add(record.opportunity_id)
            included_in.setdefault(record.block_hash, set()).add(record.opportunity_id)
        elif isinstance(record, ExecutionMissedRecord):
            closed.add(record.opportunity_id)
            if record.block_hash is not None:
                included_in.setdefault(record.block_hash, set()).add(record.opportunity_id)
        elif isinstance(record, OutcomeRetracted):
            undone = included_in.pop(record.block_hash, set())
            closed -= undone
            reopened |= undone
    still_open = [name for name in bundles if name in found and name not in closed]
    for name in still_open:
        outcomes.resume(found[name], bundles[name].values(), included=name in reopened)
    outcomes.answered(answers)
    unsent = [record for name, record in found.items() if name not in bundles and name not in dropped]
    standing = _standing(told)
    blocks = [block for record in told if (block := _block_of(record)) is not None]
    return LeftOpen(
        sent=[found[name] for name in still_open],
        unsent=unsent,
        transactions=[record for record in told if isinstance(record, TransactionSent)],
        payments=[record for record in told if isinstance(record, PaymentMade) and record.block_hash in standing],
        since=min(blocks, default=None),
    )


def _standing(records: Iterable[AnyRecord]) -> dict[Hash32, BlockNumber]:
    """The blocks in which something landed, reverted or was paid, oldest first, without those that were retracted."""
    blocks: dict[Hash32, BlockNumber] = {}
    for record in records:
        if isinstance(record, ExecutionLandedRecord | ExecutionMissedRecord | PaymentMade):
            if record.block_hash is not None:
                blocks[record.block_hash] = record.block
        elif isinstance(record, OutcomeRetracted):
            blocks.pop(record.block_hash, None)
    return blocks


def _block_of(record: AnyRecord) -> BlockNumber | None:
    if isinstance(record, ExecutionLandedRecord | ExecutionMissedRecord | PaymentMade):
        return record.block
    if isinstance(record, OpportunityFound | OrderTold | BundleSigned):
        return record.target_block
    return None
