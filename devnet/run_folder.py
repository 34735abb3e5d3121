"""The devnet under way, as files: a lock that dies with its owner, and a record of endpoints for the other commands."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from devnet.errors import LockHeld, StateCorrupt
from devnet.storage import storage_errors, write_atomically


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `status`, `accounts` and `down` need to know of the devnet under way."""

    pid: int
    chain_id: int
    seed: int
    block_time_seconds: float
    lockstep: bool
    rpc_url: str
    ws_url: str
    admin_url: str
    builder_urls: dict[str, str]
    manifest_path: str
    log_folder: str


class RunFolder:
    """`<home>/run`: at most one devnet at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._record = path / "devnet.json"
        self._lock = path / "lock"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one devnet. A lock left by a dead process does not count: the kernel drops it.

        Raises `LockHeld` with the owner's process id, `StorageFailed` where the folder cannot be written.
        """
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise LockHeld(
                f"a devnet already runs in {self.path} (process {owner}): `hftnode devnet down` ends it, "
                "or set HFTNODE_HOME to another folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())

    def write(self, record: RunRecord) -> None:
        """Publish the endpoints."""
        write_atomically(self._record, msgspec.json.encode(record))

    def clear(self) -> None:
        """Take the endpoints back."""
        self._record.unlink(missing_ok=True)

    def read(self) -> RunRecord | None:
        """Return the endpoints of a devnet that is alive, else None. Raises `StateCorrupt` on an unreadable record."""
        try:
            data = self._record.read_bytes()
        except FileNotFoundError:
            return None
        try:
            record = msgspec.json.decode(data, type=RunRecord)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise StateCorrupt(f"{self._record} is not a devnet's record ({error}): delete it") from error
        return record if self.is_held() else None

    def is_held(self) -> bool:
        """Tell whether a live process holds the lock; a pid alone could have been given to another program."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
