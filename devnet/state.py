"""Where a built world is kept: Anvil's state and the manifest, each with its checksum, and a lock for who builds.

StorageFailed    the disk is full, not writable, or another process builds for too long
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from devnet.errors import StateCorrupt
from devnet.manifest import Manifest
from devnet.packages import Progress
from devnet.storage import exclusive_lock, keep_newest, read_checked, write_checked

_BUILD_SECONDS: Final = 600.0
_WORLDS_KEPT: Final = 4
"""Other versions of hftnode may share the home; what older ones left goes."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """A world on the disk, checked."""

    manifest: Manifest
    state_path: Path


class StateStore:
    """The folder of one world."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.state_path = folder / "state.json"
        self.manifest_path = folder / "manifest.json"

    @contextmanager
    def building(self) -> Iterator[None]:
        """Keep other processes from building the same world; the lock of a dead one holds nobody up."""
        with exclusive_lock(self._folder / ".lock", "building the world", deadline_seconds=_BUILD_SECONDS):
            yield

    def load(self, progress: Progress) -> StoredState | None:
        """Return the stored world, or None if there is none or it is damaged, which is said."""
        try:
            manifest = _decode(read_checked(self.manifest_path))
            read_checked(self.state_path)
        except FileNotFoundError:
            return None
        except StateCorrupt as error:
            progress(f"{error}; building it again")
            return None
        return StoredState(manifest, self.state_path)

    def save(self, manifest: Manifest, dump: bytes) -> StoredState:
        """Store a built world: the state first, the manifest last, so that a manifest means that all is there."""
        write_checked(self.state_path, gzip.decompress(dump))
        write_checked(self.manifest_path, msgspec.json.format(msgspec.json.encode(manifest)))
        keep_newest(self._folder.parent, "*", _WORLDS_KEPT)
        return StoredState(manifest, self.state_path)


def _decode(data: bytes) -> Manifest:
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise StateCorrupt(f"the stored manifest is of another version: {error}") from error
