"""The engine's memory of what it told the desk: entries on disk from before they count until the desk has them.

Files `NNNNNNNNNNNNNNNNNNNN.spool`, named by the sequence number of their first entry; in them, one after the other,
4 bytes CRC-32, 4 bytes length (both big-endian) and that many bytes of a `LedgerEntry` frame's body. Each entry is one
`write`: it survives the death of the process, not that of the machine. A torn end, left by a death in mid-write, is cut
off and counted; so is everything behind a damaged entry in its file. The newest files stay, also when the desk has all
of them: they keep the number, and what `resume` needs. One process at a time, which its folder's owner sees to.

The file `desk` is there once a desk has answered: it holds that desk's last number at that time, behind which ours
begin. Without it the folder is new, or was lost and begun anew, and its numbers may be another entry's at the desk: so
what waits is written once more behind the desk's number, `N.renumbered`, which counts as soon as `desk` says so.

SpoolFailed    the folder or a file cannot be written, or as much waits as is allowed
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from node.durable import replace_file
from node.engine.errors import SpoolFailed
from node.link import LedgerEntry, decode_body, encode_frame
from node.records import AnyRecord, encode_record
from protocol.errors import RemoteProtocolError
from protocol.units import UnixMilliseconds

SEGMENT_BYTES: Final = 4 * 1024 * 1024
KEPT_SEGMENTS: Final = 2
MAX_BYTES: Final = 256 * 1024 * 1024
"""What may wait for the desk; a desk that is away longer stops the execution, not the watching."""
_HEAD: Final = struct.Struct(">II")
_LENGTH_BYTES: Final = 4
_DESK: Final = "desk"


class Spool:
    """Entries that the desk has not acknowledged, oldest first, in memory and on disk."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.damaged = 0
        """Torn ends and damaged entries found on opening."""
        self._folder, self._max_bytes, self._segment_bytes = folder, max_bytes, segment_bytes
        self._waiting: deque[tuple[LedgerEntry, int]] = deque()
        self._bytes = 0
        self._segments: list[int] = []
        self._next = 1
        self._is_answered = False
        self._descriptor = -1
        self._written = 0

    def open(self) -> None:
        """Read what an earlier process left. Raises SpoolFailed."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._finish_renumbering()
            self._segments = self._segments_there()
            for first in self._segments:
                self._next = max(self._next, first)
                self._load(self._path(first))
            if not self._segments:
                self._segments.append(self._next)
            self._attach()
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __len__(self) -> int:
        return len(self._waiting)

    def after(self, sequence: int, at_most: int) -> list[LedgerEntry]:
        """The oldest entries behind a sequence number that are not acknowledged."""
        if not self._waiting:
            return []
        skipped = min(max(0, sequence + 1 - self._waiting[0][0].sequence), len(self._waiting))
        while skipped and self._waiting[skipped - 1][0].sequence > sequence:  # numbers are missing in between
            skipped -= 1
        return [entry for entry, _ in islice(self._waiting, skipped, skipped + at_most)]

    def has_after(self, sequence: int) -> bool:
        """Whether there is an entry behind a sequence number."""
        return bool(self._waiting) and self._waiting[-1][0].sequence > sequence

    def append(self, record: AnyRecord, at: UnixMilliseconds) -> LedgerEntry:
        """Put a record on disk and return its entry. Raises SpoolFailed: then it is not there."""
        kind, body = encode_record(record)
        entry = LedgerEntry(sequence=self._next, at=at, kind=kind, body=body)
        raw = _raw_of(entry)
        if self._bytes + len(raw) > self._max_bytes:
            raise SpoolFailed(
                f"{self._folder}: {self._bytes} bytes wait for the desk, no more than {self._max_bytes} may"
            )
        try:
            if self._written >= self._segment_bytes:
                self._rotate()
            self._write(raw)
        except OSError as error:
            raise self._failed(error) from None
        self._next += 1
        self._waiting.append((entry, len(raw)))
        self._bytes += len(raw)
        return entry

    def greet(self, sequence: int) -> int:
        """Take in the desk's last number, its first word; return how many entries got another number by it.

        Raises SpoolFailed.
        """
        renumbered = 0
        if not self._is_answered:
            try:
                renumbered = self._begin_behind(sequence)
            except OSError as error:
                raise self._failed(error) from None
        self.acknowledge(sequence)
        return renumbered

    def acknowledge(self, sequence: int) -> None:
        """Forget the entries up to and with `sequence`, and the files that hold nothing else. Raises SpoolFailed."""
        while self._waiting and self._waiting[0][0].sequence <= sequence:
            self._bytes -= self._waiting.popleft()[1]
        try:
            while len(self._segments) > KEPT_SEGMENTS and self._segments[1] <= sequence + 1:
                self._path(self._segments[0]).unlink(missing_ok=True)
                self._segments.pop(0)
            if sequence >= self._next:  # a folder that was lost or set back: the desk knows better
                self._next = sequence + 1
                self._rotate()
        except OSError as error:
            raise self._failed(error) from None

    def _write(self, raw: bytes) -> None:
        written = os.write(self._descriptor, raw)
        if written != len(raw):  # a full disk takes a part: take it back
            os.ftruncate(self._descriptor, self._written)
            raise OSError(0, "only a part of an entry could be written")
        self._written += written

    def _begin_behind(self, sequence: int) -> int:
        """Number what waits behind the desk's number; a death in between leaves all as it was, or all done."""
        renumbered = len(self._waiting) if sequence else 0
        if renumbered:
            again = [
                msgspec.structs.replace(entry, sequence=sequence + place)
                for place, (entry, _) in enumerate(self._waiting, start=1)
            ]
            replace_file(self._renumbered(sequence), b"".join(map(_raw_of, again)))
        replace_file(self._folder / _DESK, str(sequence).encode("ascii"))
        self.close()
        self._waiting.clear()
        self._bytes = 0
        self.open()
        return renumbered

    def _finish_renumbering(self) -> None:
        """Take over what the desk's first word made of the numbers, and remove the files from before it."""
        path = self._folder / _DESK
        self._is_answered = path.exists()
        if not self._is_answered:
            return
        text = path.read_text(encoding="ascii", errors="replace")
        base = int(text) if text.isdecimal() else 0
        self._next = max(self._next, base + 1)
        renumbered = self._renumbered(base)
        is_begun = renumbered.exists()  # all other files are from before it, whatever their numbers
        for segment in self._segments_there():
            if is_begun or segment <= base:
                self._path(segment).unlink()
        if is_begun:  # last: as long as it has its own name, a death in between is taken up here
            renumbered.rename(self._path(base + 1))

    def _segments_there(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.spool") if path.stem.isdecimal())

    def _renumbered(self, base: int) -> Path:
        return self._folder / f"{base + 1:020d}.renumbered"

    def _rotate(self) -> None:
        self.close()
        self._segments.append(self._next)
        self._attach()

    def _attach(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path(self._segments[-1]), flags, 0o600)
        self._written = os.fstat(self._descriptor).st_size

    def _load(self, path: Path) -> None:
        raw = path.read_bytes()
        place = 0
        while place < len(raw):
            entry, end = _entry_at(raw, place)
            if entry is None:
                self.damaged += 1
                os.truncate(path, place)
                return
            self._waiting.append((entry, end - place))
            self._bytes += end - place
            self._next = max(self._next, entry.sequence + 1)
            place = end

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020d}.spool"

    def _failed(self, error: OSError) -> SpoolFailed:
        return SpoolFailed(f"the spool {self._folder} cannot be used: {error.strerror or error}")


def _raw_of(entry: LedgerEntry) -> bytes:
    framed = encode_frame(entry)[_LENGTH_BYTES:]
    return _HEAD.pack(zlib.crc32(framed), len(framed)) + framed


def _entry_at(raw: bytes, place: int) -> tuple[LedgerEntry | None, int]:
    """The entry that begins at `place` and where it ends; None if there is no whole, undamaged one."""
    if place + _HEAD.size > len(raw):
        return None, place
    checksum, length = _HEAD.unpack_from(raw, place)
    body = raw[place + _HEAD.size : place + _HEAD.size + length]
    if len(body) != length or zlib.crc32(body) != checksum:
        return None, place
    try:
        message = decode_body(body)
    except RemoteProtocolError:
        return None, place
    return (message if isinstance(message, LedgerEntry) else None), place + _HEAD.size + length
