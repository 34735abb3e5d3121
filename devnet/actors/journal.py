"""What the actors did, as JSON lines in files of bounded size: `actors.jsonl` and the ground truth `sandwiches.jsonl`.

StorageFailed    the folder or disk cannot be written
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from devnet.errors import StorageFailed

DEFAULT_BYTES: Final = 32 * 1024 * 1024
KEPT: Final = 2
"""Older files kept beside the one that is written; the oldest is deleted."""


ACTORS: Final = "actors.jsonl"
SANDWICHES: Final = "sandwiches.jsonl"


def forget_journals(folder: Path) -> None:
    """Delete what an earlier run wrote: its chain is gone, and its block numbers come again. Raises `StorageFailed`."""
    for name in (ACTORS, SANDWICHES):
        for path in (folder / name, *folder.glob(f"{name}.*")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StorageFailed(f"{path} cannot be deleted: {error.strerror or error}") from error


class Journal:
    """Appends JSON lines to `path`; at `maximum_bytes` the file becomes `path.1`, that one `path.2`, and so on."""

    def __init__(self, path: Path, maximum_bytes: int = DEFAULT_BYTES) -> None:
        self.path, self._maximum = path, maximum_bytes
        self.counts: Counter[str] = Counter()
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one line. Raises `StorageFailed`."""
        line = orjson.dumps(entry) + b"\n"
        try:
            if self._file is not None and self._size + len(line) > self._maximum:
                self._rotate()
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("ab")
                self._size = self._file.tell()
            self._size += self._file.write(line)
        except OSError as error:
            raise StorageFailed(f"{self.path} cannot be written: {error.strerror or error}") from error
        self.counts["lines"] += 1

    def flush(self) -> None:
        """Hand what was written to the operating system. Raises `StorageFailed`."""
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise StorageFailed(f"{self.path} cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Flush and close; a later `write` opens the file again. Raises `StorageFailed`."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rotate(self) -> None:
        self.close()
        for age in range(KEPT, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{age}")
            newer = self.path if age == 1 else self.path.with_name(f"{self.path.name}.{age - 1}")
            if newer.exists():
                newer.replace(older)
        self.counts["rotations"] += 1
