"""Everything that went into the pipeline and came out, a line of JSON each, in order: to compare two runs to the byte.

Bytes are `0x` and hex, transactions their raw bytes, structs objects whose `type` is the class. In lockstep the same
seed gives the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

import msgspec

from node.pipeline.events import Effect, Event
from protocol.ethereum.transactions import SignedTransaction


class EventLog:
    """Appends to a file until it is closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="ascii")

    def write(self, event: Event, effects: Sequence[Effect]) -> None:
        """One step of the pipeline."""
        line = {"event": plain(event), "effects": [plain(effect) for effect in effects]}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Write out what is left."""
        self._file.close()


def plain(value: Any) -> Any:
    """A value as JSON can hold it, of any size of integer."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, SignedTransaction):
        return "0x" + value.raw.hex()
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(plain(one) for one in value)
    return [plain(one) for one in value]
