"""The anti-slashing store: what this hot key has signed is on disk before a signature leaves (protocol/slashing.py).

Whether the file tells everything is asked when it is opened, and answered with no if in doubt. Then nothing slashable
is signed up to HORIZON blocks above the head, a time in which a twin would be heard:

    missing    there was no file, or what was there broke off
    moved      it is on another machine or disk, or is a copy
    touched    something else than a node wrote to it since its last record
    set back   it lacks records that the lease file counts: a copy is in its place, be it on the very inode and at once
    stale      its last record is older than HORIZON blocks: the node was off, or it was restored with the disk

A restored file is found out as moved, touched, stale or set back. What cannot be: a whole disk put back by less than
HORIZON blocks; file and lease file put back together within TOUCHED_AFTER_NS onto the inode that the file had. One
process holds the lease of a key on a machine; on two machines the twin rule is what is left: who hears envelopes of its
own operator from another boot signs nothing slashable until it is started again.

SlashableRefused      the rules forbid this signature
LeaseTaken            another process on this machine holds the key's lease
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from node.engine.signing_journal import NO_WORD, Found, Journal, JournalFailed, Owner, Record, RecordKind, read
from node.errors import NodeError
from protocol import signing
from protocol.ethereum.keys import SigningKey
from protocol.interchange import export_history, import_history
from protocol.kinds import EvidenceKind
from protocol.messages import CLOCK_TOLERANCE_MS, SignedAccept, SignedAttestation
from protocol.slashing import HORIZON, Answer, SigningHistory, Slashable, Slot, answer_of
from protocol.statements import Accept, Attestation
from protocol.units import (
    BlockNumber,
    Hash32,
    SequenceNumber,
    UnixNanoseconds,
    boot_id_of,
    milliseconds_of,
)

TOUCHED_AFTER_NS: Final = 5_000_000_000
HEAD_EVERY: Final = 8
REWRITE_AFTER: Final = 16_384
_COUNT_BYTES: Final = 8
_COUNT: Final = struct.Struct(">QI")
"""What the lease file holds: how many records were ever written, and a check over that."""
_DAMAGED: Final = 2**64 - 1
"""More than any journal has."""

_RECORD_KINDS: Final = {
    EvidenceKind.DOUBLE_ACCEPT: RecordKind.ACCEPT,
    EvidenceKind.CONTRADICTING_ATTESTATION: RecordKind.ATTESTATION,
}
_EVIDENCE_KINDS: Final = {record: evidence for evidence, record in _RECORD_KINDS.items()}


class SlashableRefused(NodeError):
    """The rules forbid this signature; the text says which."""


class LeaseTaken(NodeError):
    """Another process on this machine holds the lease of this key."""


class AntiSlashingStore:
    """See the module. Open it with the head of a chain that is in sync; use it as a context manager, or close it.

    `doubt` says why it was not believed, if it was not. Every call waits for the disk, some milliseconds.
    """

    def __init__(self, path: Path, owner: Owner, head: BlockNumber, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.history = SigningHistory()
        self._owner = owner
        self._now_ns = now_ns
        self._head = self._recorded_head = head
        self._twin_heard = False
        self._lease = _take_lease(path)
        try:
            found = read(path, owner)
            counted, held = _counted(self._lease), _written(found)
            self.doubt = _doubt(found, head) or ("set back" if counted > held else "")
            for record in found.records if found else ():
                self._replay(record)
            if self.doubt:
                self.history.distrust(max([head, *_heads(found)]))
            self._written = held if counted == _DAMAGED else max(counted, held)
            records = self._records()
            self._journal = Journal(path, owner, records)
            self._count(len(records))
        except OSError as error:
            os.close(self._lease)
            raise JournalFailed(f"{path} cannot be read: {error.strerror}") from None
        except BaseException:
            os.close(self._lease)
            raise

    def allow(self, statement: Slashable) -> None:
        """Return when `statement` may be signed and that is on disk. Raises SlashableRefused, JournalFailed."""
        if self._twin_heard:
            raise SlashableRefused("another node signs with this operator's key: stop one, then start this one again")
        refusal = self.history.refusal(statement, self._head)
        if refusal is not None:
            raise SlashableRefused(refusal.value)
        slot, answer = answer_of(statement)
        if slot not in self.history.answers:
            self._append(self._answer_record(slot, answer), durable=True)
            self.history.add(slot, answer)

    def follow(self, head: BlockNumber) -> None:
        """Go on at this head. Raises JournalFailed."""
        self._head = head
        if head >= self._recorded_head + HEAD_EVERY:
            self._recorded_head = head
            self._append(self._record(RecordKind.HEAD, head), durable=False)
            self.history.forget(head)
            if self._journal.length > REWRITE_AFTER + len(self.history.answers):
                self._rewrite()

    def hear(self, heard: SequenceNumber, first: SequenceNumber) -> None:
        """Take note of an envelope of our own operator, by its sequence number; `first` is this boot's first one.

        One of another boot that was made after ours began, by more than clocks may differ, is a twin's.
        """
        is_later = milliseconds_of(heard) > milliseconds_of(first) + CLOCK_TOLERANCE_MS
        if is_later and boot_id_of(heard) != boot_id_of(first) and not self._twin_heard:
            self._twin_heard = True
            self.history.distrust(self._head)
            self._append(self._record(RecordKind.FLOOR, self.history.floor), durable=True)

    def take_in(self, text: str, domain: signing.Domain) -> None:
        """Merge an exported history of this key. Raises what `import_history` does, and JournalFailed."""
        import_history(text, domain, self._owner.hot_key, self.history)
        self._rewrite()

    def export(self, domain: signing.Domain) -> str:
        """Return the history for another store. Whoever goes on there must not go on here."""
        return export_history(self.history, domain, self._owner.hot_key)

    def close(self) -> None:
        """Note the head, then let go of file and lease."""
        try:
            if self._journal.is_open:
                self._append(self._record(RecordKind.HEAD, self._head), durable=True)
        finally:
            self._journal.close()
            os.close(self._lease)

    def __enter__(self) -> AntiSlashingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _replay(self, record: Record) -> None:
        if record.kind is RecordKind.FLOOR:
            self.history.raise_floor(record.block)
        elif record.kind is not RecordKind.HEAD:
            slot = Slot(_EVIDENCE_KINDS[record.kind], record.first, Hash32(record.second))
            said = None if record.said == NO_WORD else record.said
            if record.block > self.history.floor:
                self.history.add(slot, Answer(said, record.block))

    def _append(self, record: Record, *, durable: bool) -> None:
        self._journal.append(record, durable=durable)
        self._count(1)

    def _rewrite(self) -> None:
        records = self._records()
        self._journal.rewrite(records)
        self._count(len(records))

    def _count(self, written: int) -> None:
        """Count records that are in the journal: after them, so that a death in between lets the lease have less.

        Not synced: only a power cut can lose it, and nobody puts a file back within TOUCHED_AFTER_NS of that.
        """
        self._written += written
        check = zlib.crc32(self._written.to_bytes(_COUNT_BYTES, "big"))
        try:
            os.pwrite(self._lease, _COUNT.pack(self._written, check), 0)
        except OSError as error:
            self._journal.close()
            raise JournalFailed(f"the lease of {self._journal.path} cannot be written: {error.strerror}") from None

    def _records(self) -> list[Record]:
        """All that is to be kept. The first tells how many records there were before these."""
        answers = [self._answer_record(slot, answer) for slot, answer in self.history.answers.items()]
        floor, head = self._record(RecordKind.FLOOR, self.history.floor), self._record(RecordKind.HEAD, self._head)
        return [floor._replace(first=self._written.to_bytes(len(NO_WORD), "big")), *answers, head]

    def _answer_record(self, slot: Slot, answer: Answer) -> Record:
        record = self._record(_RECORD_KINDS[slot.kind], answer.block)
        return record._replace(first=slot.first, second=slot.second, said=answer.said or NO_WORD)

    def _record(self, kind: RecordKind, block: BlockNumber) -> Record:
        return Record(kind, block, UnixNanoseconds(self._now_ns()))


def begin_journal(path: Path, owner: Owner, head: BlockNumber, now_ns: Callable[[], int] = time.time_ns) -> None:
    """Write the journal of a key that was drawn just now and has signed nothing: its store is believed from the start.

    For any other key this would be a lie that costs stake. Raises JournalFailed.
    """
    Journal(path, owner, [Record(RecordKind.HEAD, head, UnixNanoseconds(now_ns()))]).close()


class SlashableSigner:
    """Signs accepts and attestations, each only after the store has it on disk."""

    def __init__(self, domain: signing.Domain, key: SigningKey, store: AntiSlashingStore) -> None:
        self._domain, self._key, self._store = domain, key, store

    def accept(self, accept: Accept) -> SignedAccept:
        """Sign the promise to take one order. Raises SlashableRefused, JournalFailed."""
        self._store.allow(accept)
        return signing.sign_accept(self._domain, accept, self._key)

    def attest(self, attestation: Attestation) -> SignedAttestation:
        """Sign a verdict on an alert. Raises SlashableRefused, JournalFailed."""
        self._store.allow(attestation)
        return signing.sign_attestation(self._domain, attestation, self._key)


def _doubt(found: Found | None, head: BlockNumber) -> str:
    """Return why a file does not tell everything that was signed, or nothing."""
    if found is None or not found.is_whole or not found.records:
        return "missing"
    if not found.is_in_place:
        return "moved"
    if found.changed_at > found.records[-1].at + TOUCHED_AFTER_NS:
        return "touched"
    return "stale" if max([BlockNumber(0), *_heads(found)]) + HORIZON < head else ""


def _heads(found: Found | None) -> list[BlockNumber]:
    return [record.block for record in found.records if record.kind is RecordKind.HEAD] if found else []


def _written(found: Found | None) -> int:
    """Return how many records had ever been written when the last one of a file was."""
    if found is None or not found.records:
        return 0
    first = found.records[0]
    before = int.from_bytes(first.first, "big") if first.kind is RecordKind.FLOOR else 0
    return before + len(found.records)


def _counted(lease: int) -> int:
    """Return how many records the lease file counts; none where it is new, or from before it counted."""
    raw = os.pread(lease, _COUNT.size, 0)
    if not raw:
        return 0
    if len(raw) < _COUNT.size:
        return _DAMAGED
    count, check = _COUNT.unpack(raw)
    return int(count) if check == zlib.crc32(raw[:_COUNT_BYTES]) else _DAMAGED


def _take_lease(path: Path) -> int:
    """Return the handle of the lock that says: this process signs with this key. Raises LeaseTaken, JournalFailed."""
    try:
        lease = os.open(path.with_name(path.name + ".lease"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalFailed(f"the lease of {path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lease)
        raise LeaseTaken(f"another process signs with this key: {path}") from None
    return lease
