"""The file of the anti-slashing store: a header that says whose and where it is, then records of fixed size.

    header   magic ‖ domainSeparator ‖ hot key ‖ machine ‖ device ‖ inode ‖ CRC-32
    record   kind ‖ block ‖ Unix ns ‖ slot's two words ‖ answer ‖ CRC-32

A record is appended and fsynced; opening rewrites the file whole (a new one, fsynced, renamed over it, the folder
fsynced), so that it always is in the form in which this process found it.

JournalError          what is wrong with the file, and what the operator can do
├── JournalForeign    it belongs to another key or chain, or is no journal
└── JournalFailed     it could not be written: nothing more is signed until the node starts again
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from node.durable import sync_folder
from node.errors import NodeError
from protocol.units import HASH_BYTES, Address, BlockNumber, Hash32, UnixNanoseconds

MAGIC: Final = b"hftnode signed 1"
_HEADER: Final = struct.Struct(f">{len(MAGIC)}s32s20s32sQQ")
_RECORD: Final = struct.Struct(">BQQ32s32s32s")
_CHECK: Final = struct.Struct(">I")
HEADER_BYTES: Final = _HEADER.size + _CHECK.size
RECORD_BYTES: Final = _RECORD.size + _CHECK.size
NO_WORD: Final = bytes(HASH_BYTES)


class JournalError(NodeError):
    """What is wrong with the file, and what the operator can do."""


class JournalForeign(JournalError):
    """It belongs to another key or chain, or is no journal."""


class JournalFailed(JournalError):
    """It could not be written: nothing more is signed until the node starts again."""


class RecordKind(IntEnum):
    """What a record says. A number, once given, keeps its meaning."""

    ACCEPT = 1
    ATTESTATION = 2
    FLOOR = 3
    HEAD = 4


class Record(NamedTuple):
    """One line of the file; words that a kind does not need are zero, and so is the answer of an unanswerable slot."""

    kind: RecordKind
    block: BlockNumber
    at: UnixNanoseconds
    first: bytes = NO_WORD
    second: bytes = NO_WORD
    said: bytes = NO_WORD


class Owner(NamedTuple):
    """Whose journal it is, and on which machine it lives (32 bytes that name the machine)."""

    domain_separator: Hash32
    hot_key: Address
    machine: Hash32


class Found(NamedTuple):
    """What was in a file: its good records, and whether it is whole, where it was, and untouched since its last one."""

    records: tuple[Record, ...]
    is_whole: bool
    is_in_place: bool
    changed_at: UnixNanoseconds


def place_of(path: Path, owner: Owner) -> Path:
    """Return where an owner's journal is: at `path`, or beside it if that one is another key's or network's.

    So a key that was rotated in does not stop at its predecessor's journal, which is left as it is.
    """
    named = named_in(path)
    if named is None or named == (owner.domain_separator, owner.hot_key):
        return path  # where it names nobody, `read` says what is wrong with it
    return path.with_name(f"{path.stem}-{owner.hot_key.hex()}-{owner.domain_separator[:4].hex()}{path.suffix}")


def named_in(path: Path) -> tuple[Hash32, Address] | None:
    """Return for which domain (its separator) and hot key a file is a journal; None if there is none, or it is none."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except FileNotFoundError:
        return None
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC) or not _is_checked(head):
        return None
    _, separator, key, *_ = _HEADER.unpack(head[: _HEADER.size])
    return Hash32(separator), Address(key)


def read(path: Path, owner: Owner) -> Found | None:
    """Return what a file holds, None if there is none. Raises JournalForeign."""
    try:
        data = path.read_bytes()
        status = path.stat()
    except FileNotFoundError:
        return None
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise JournalForeign(f"{path} is no journal of signed statements: move it away")
    head = data[:HEADER_BYTES]
    if len(head) < HEADER_BYTES or not _is_checked(head):
        return Found((), is_whole=False, is_in_place=False, changed_at=UnixNanoseconds(status.st_ctime_ns))
    _, separator, key, machine, device, inode = _HEADER.unpack(head[: _HEADER.size])
    if (separator, key) != (owner.domain_separator, owner.hot_key):
        raise JournalForeign(f"{path} belongs to another key, chain or registry: move it away")
    body = data[HEADER_BYTES:]
    records: list[Record] = []
    for start in range(0, len(body), RECORD_BYTES):
        record = _record_of(body[start : start + RECORD_BYTES])
        if record is None:
            break
        records.append(record)
    return Found(
        records=tuple(records),
        is_whole=len(records) * RECORD_BYTES == len(body),
        is_in_place=(machine, device, inode) == (owner.machine, status.st_dev, status.st_ino),
        changed_at=UnixNanoseconds(status.st_ctime_ns),
    )


class Journal:
    """The open file, made anew with `records`. After a failure to write it is closed: JournalFailed from then on."""

    def __init__(self, path: Path, owner: Owner, records: Iterable[Record]) -> None:
        self.path = path
        self.length = 0
        self._owner = owner
        self._file: int | None = None
        self.rewrite(records)

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put a file with just these records in the place of the present one."""
        aside = self.path.with_name(self.path.name + ".new")
        old, self._file = self._file, None
        lines = [_line(record) for record in records]
        try:
            if old is not None:
                os.close(old)
            file = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write(file, _header(self._owner, os.fstat(file)) + b"".join(lines))
                os.fsync(file)
                aside.replace(self.path)
                sync_folder(self.path.parent)
            except BaseException:
                os.close(file)
                raise
            os.lseek(file, 0, os.SEEK_END)
        except OSError as error:
            raise JournalFailed(f"{self.path} cannot be written: {error.strerror}") from None
        self._file, self.length = file, len(lines)

    def append(self, record: Record, *, durable: bool) -> None:
        """Write a record; if `durable`, return only when it is on disk."""
        if self._file is None:
            raise JournalFailed(f"{self.path} is closed, or could not be written before")
        try:
            _write(self._file, _line(record))
            if durable:
                os.fsync(self._file)
        except OSError as error:
            self.close()
            raise JournalFailed(f"{self.path} cannot be written: {error.strerror}") from None
        self.length += 1

    @property
    def is_open(self) -> bool:
        """Whether records can be appended."""
        return self._file is not None

    def close(self) -> None:
        """Close the file; nothing can be appended any more."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _header(owner: Owner, status: os.stat_result) -> bytes:
    return _checked(_HEADER.pack(MAGIC, *owner, status.st_dev, status.st_ino))


def _line(record: Record) -> bytes:
    return _checked(_RECORD.pack(*record))


def _record_of(line: bytes) -> Record | None:
    if len(line) != RECORD_BYTES or not _is_checked(line):
        return None
    kind, block, at, first, second, said = _RECORD.unpack(line[: _RECORD.size])
    if kind not in RecordKind.__members__.values():
        return None
    return Record(RecordKind(kind), BlockNumber(block), UnixNanoseconds(at), first, second, said)


def _checked(data: bytes) -> bytes:
    return data + _CHECK.pack(zlib.crc32(data))


def _is_checked(data: bytes) -> bool:
    return _checked(data[: -_CHECK.size]) == data


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
