"""Compare two runs of the devnet, block by block and byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import msgspec
import orjson

from devnet.errors import StateCorrupt


class RecordedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a recording. The hash commits to header, state and receipts; the bytes make differences readable."""

    number: int
    hash: str
    timestamp: int
    state_root: str
    transactions: tuple[str, ...]
    """Raw signed bytes, hex, in the block's order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first block in which two recordings differ, and in what."""

    number: int
    what: str


def read_recording(path: Path) -> list[RecordedBlock]:
    """Read a recording. Raises `StateCorrupt` naming file and line."""
    blocks = []
    for line_number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            blocks.append(msgspec.json.decode(line, type=RecordedBlock))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise StateCorrupt(f"{path}, line {line_number}, is not a recorded block: {error}") from error
    if not blocks:
        raise StateCorrupt(f"{path} holds no block")
    return blocks


def first_difference(left: list[RecordedBlock], right: list[RecordedBlock]) -> Difference | None:
    """Return the first difference of two recordings, None when they are equal to the byte."""
    for a, b in zip_longest(left, right):
        if a is None or b is None:
            present = a or b
            return Difference(
                present.number, f"only one recording has this block ({len(left)} and {len(right)} blocks)"
            )
        if a == b:
            continue
        return Difference(a.number, _describe(a, b))
    return None


def _describe(a: RecordedBlock, b: RecordedBlock) -> str:
    if a.number != b.number:
        return f"the numbers differ: {a.number} and {b.number}"
    if a.timestamp != b.timestamp:
        return f"the timestamps differ: {a.timestamp} and {b.timestamp}"
    for index, (x, y) in enumerate(zip_longest(a.transactions, b.transactions)):
        if x != y:
            return (
                f"transaction {index} differs ({len(a.transactions)} and {len(b.transactions)} transactions): "
                f"{_short(x)} and {_short(y)}"
            )
    if a.state_root != b.state_root:
        return f"the same transactions left different states: {a.state_root} and {b.state_root}"
    return f"the headers differ: {a.hash} and {b.hash}"


def _short(raw: str | None) -> str:
    return "none" if raw is None else f"{raw[:20]}…{raw[-8:]}"


def to_line(block: RecordedBlock) -> bytes:
    """Return the block as one line of a recording."""
    return orjson.dumps(msgspec.to_builtins(block), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
