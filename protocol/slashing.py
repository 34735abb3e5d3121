"""What an operator may sign, and what proves that one signed what it must not. Pure: head and time are given.

A slashable statement answers a slot: an Accept answers (target block, primary key) with an order hash, an Attestation
answers (alert id, block hash) with a verdict. Two answers of one operator to one slot are an offence. Hence the rules,
which the signer's store keeps on disk (`SigningHistory.refusal`):

1. No second answer to a slot. The same answer may be signed again.
2. Nothing for a block at or below the floor. The floor stands above everything that was signed and is not remembered.
3. Nothing for a block more than HORIZON above the head. So who lost its memory at head h has signed nothing beyond
   h + HORIZON, and is safe with that as its floor (`distrust`).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from protocol.errors import BadSignature
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence, SignedStatement, contradict, evidence_of
from protocol.kinds import EvidenceKind
from protocol.layout import WORD_BYTES
from protocol.messages import SignedAccept
from protocol.signing import Domain, verify
from protocol.statements import Accept, Attestation
from protocol.units import Address, BlockNumber, Hash32, UnixSeconds

HORIZON: Final = 64
BLOCKS_REMEMBERED: Final = 1_024
MAX_SLOTS: Final = 65_536
MAX_EVIDENCE_AGE_SECONDS: Final = 14 * 24 * 3_600

Slashable: TypeAlias = Accept | Attestation


class Refusal(Enum):
    """Why a slashable statement is not signed."""

    SECOND_ANSWER = "another answer to this slot was signed before, or may have been"
    BELOW_FLOOR = "its block is one of which it is not known what was signed"
    BEYOND_HORIZON = "its block is too far ahead of the head"
    FULL = "too many slots are remembered"


class Slot(NamedTuple):
    """What can be answered once: kind of offence, and the two words that name the slot."""

    kind: EvidenceKind
    first: bytes
    second: Hash32

    @property
    def key(self) -> Hash32:
        """The slot in the court's words: keccak of the two."""
        return Hash32(keccak256(self.first + self.second))


class Answer(NamedTuple):
    """What was said to a slot, as a word; None if two answers are known. `block` is what floor and horizon look at."""

    said: bytes | None
    block: BlockNumber


class SigningHistory:
    """What one hot key signed and is remembered: at most MAX_SLOTS slots, of the last BLOCKS_REMEMBERED blocks."""

    def __init__(self) -> None:
        self.floor = BlockNumber(0)
        self.answers: dict[Slot, Answer] = {}

    @property
    def highest(self) -> BlockNumber:
        """The highest block that was signed for, or the floor."""
        return max([self.floor, *(answer.block for answer in self.answers.values())])

    def refusal(self, statement: Slashable, head: BlockNumber) -> Refusal | None:
        """Return why `statement` must not be signed while `head` is the chain's, or None."""
        slot, answer = answer_of(statement)
        before = self.answers.get(slot)
        if before is not None:
            return None if before.said == answer.said else Refusal.SECOND_ANSWER
        if answer.block <= self.floor:
            return Refusal.BELOW_FLOOR
        if answer.block > head + HORIZON:
            return Refusal.BEYOND_HORIZON
        return Refusal.FULL if len(self.answers) >= MAX_SLOTS else None

    def add(self, slot: Slot, answer: Answer) -> None:
        """Remember an answer; another one than is known makes the slot unanswerable."""
        before = self.answers.get(slot)
        if before is None:
            self.answers[slot] = answer
        elif before.said != answer.said:
            self.answers[slot] = Answer(None, max(before.block, answer.block))

    def forget(self, head: BlockNumber) -> None:
        """Forget slots of blocks long past, and raise the floor above them."""
        self.raise_floor(BlockNumber(head - BLOCKS_REMEMBERED))

    def distrust(self, head: BlockNumber) -> None:
        """Refuse everything up to HORIZON above `head`, of which something may have been signed unknown to us."""
        self.raise_floor(BlockNumber(head + HORIZON))

    def raise_floor(self, floor: BlockNumber) -> None:
        """Raise the floor; what it covers need not be remembered any longer. It never falls."""
        if floor > self.floor:
            self.floor = floor
            self.answers = {slot: answer for slot, answer in self.answers.items() if answer.block > floor}


def answer_of(statement: Slashable) -> tuple[Slot, Answer]:
    """Return the slot that a statement answers, and the answer."""
    if isinstance(statement, Accept):
        block = statement.target_block
        slot = Slot(EvidenceKind.DOUBLE_ACCEPT, block.to_bytes(WORD_BYTES, "big"), statement.primary_key)
        return slot, Answer(statement.order_hash, block)
    slot = Slot(EvidenceKind.CONTRADICTING_ATTESTATION, statement.alert_id, statement.block_hash)
    return slot, Answer(statement.verdict.to_bytes(WORD_BYTES, "big"), statement.block_number)


def offence_id(evidence: Evidence) -> Hash32:
    """Return keccak(operator, kind, slot): the court punishes it once."""
    slot, _ = answer_of(evidence.statement_a)
    operator = evidence.operator.rjust(WORD_BYTES, b"\0")
    return Hash32(keccak256(operator + evidence.kind.to_bytes(WORD_BYTES, "big") + slot.key))


def proves(domain: Domain, evidence: Evidence, hot_keys: tuple[Address, ...], now: UnixSeconds) -> bool:
    """Tell whether the court would believe evidence: each statement signed by one of `hot_keys`, and young enough.

    `hot_keys` are the operator's that were in force at the statements' blocks and times.
    """
    pairs = ((evidence.statement_a, evidence.signature_a), (evidence.statement_b, evidence.signature_b))
    return all(
        0 <= now - statement.timestamp <= MAX_EVIDENCE_AGE_SECONDS
        and any(_signed_by(domain, statement, signature, key) for key in hot_keys)
        for statement, signature in pairs
    )


class Watch:
    """Remembers the first answer of each operator to each slot, at most `cap`, the oldest leaving; finds the second.

    Give it statements whose signature was verified: it does not look.
    """

    def __init__(self, cap: int) -> None:
        self.evicted = 0
        self._cap = cap
        self._first: dict[tuple[Address, Slot], SignedStatement] = {}

    def __len__(self) -> int:
        return len(self._first)

    def see(self, operator: Address, signed: SignedStatement) -> Evidence | None:
        """Return the evidence that this statement makes with an earlier one, if it does."""
        key = operator, answer_of(_statement(signed))[0]
        first = self._first.setdefault(key, signed)
        if contradict(_statement(first), _statement(signed)):
            return evidence_of(operator, first, signed)
        if len(self._first) > self._cap:
            del self._first[next(iter(self._first))]
            self.evicted += 1
        return None

    def forget(self, before: BlockNumber) -> None:
        """Forget what was first answered about blocks below this one.

        In the order in which it came: what answers for a block ahead keeps what came behind it, for as many blocks.
        """
        while self._first:
            oldest = next(iter(self._first))
            if answer_of(_statement(self._first[oldest]))[1].block >= before:
                return
            del self._first[oldest]


def _statement(signed: SignedStatement) -> Slashable:
    return signed.accept if isinstance(signed, SignedAccept) else signed.attestation


def _signed_by(domain: Domain, statement: Slashable, signature: bytes, key: Address) -> bool:
    try:
        verify(domain, statement, signature, key)
    except BadSignature:
        return False
    return True
