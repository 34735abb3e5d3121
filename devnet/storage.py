"""Files that are either whole or not there, and the lock that keeps two writers apart.

StorageFailed    the disk is full, the folder not writable, or a lock was not released in time
StateCorrupt     a stored file does not match its checksum
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devnet.errors import StateCorrupt, StorageFailed

_POLL_SECONDS = 0.05


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` about `path` into a `StorageFailed` that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise  # that something is not there is for the caller to judge
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFailed(
                f"no room left to write {path}: free some space or set HFTNODE_HOME elsewhere"
            ) from error
        reason = error.strerror or type(error).__name__
        raise StorageFailed(f"cannot use {path}: {reason}; check its owner or set HFTNODE_HOME elsewhere") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, also after a power cut, sees the old file or the new one.

    Raises `StorageFailed`; then the old file is untouched and no temporary file stays behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Delete all but the `count` newest entries of `folder` that match, with what belongs to them (`<name>.sha256`).

    What cannot be deleted stays: this only bounds what old versions leave behind.
    """
    entries = sorted(folder.glob(pattern), key=_modified, reverse=True)
    for path in entries[count:]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
                _checksum_path(path).unlink(missing_ok=True)


def checksum(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def write_checked(path: Path, data: bytes) -> None:
    """Write `data` and, after it, its checksum beside it (`<name>.sha256`): a file without one is half-written."""
    write_atomically(path, data)
    write_atomically(_checksum_path(path), checksum(data).encode() + b"\n")


def read_checked(path: Path) -> bytes:
    """Read what `write_checked` wrote.

    Raises `FileNotFoundError`, `StateCorrupt` if it is altered, `StorageFailed` if it cannot be read.
    """
    with storage_errors(path):
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        data = path.read_bytes()
        if not _checksum_path(path).exists():
            raise StateCorrupt(f"{path} has no checksum: it was not written to its end")
        want = _checksum_path(path).read_text("ascii", errors="replace").strip()
    if checksum(data) != want:
        raise StateCorrupt(f"{path} does not match its checksum: it was cut short or altered")
    return data


@contextmanager
def exclusive_lock(path: Path, purpose: str, *, deadline_seconds: float = 600.0) -> Iterator[None]:
    """Hold the lock file `path` against other processes for the time of the block.

    The kernel releases it when its holder dies, so the file of a dead process (an old lock) holds nobody up.
    Raises `StorageFailed` if another process keeps it past the deadline.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _await_lock(handle, path, purpose, deadline_seconds)
        yield
    finally:
        os.close(handle)


def _await_lock(handle: int, path: Path, purpose: str, deadline_seconds: float) -> None:
    give_up = time.monotonic() + deadline_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= give_up:
                message = f"{purpose}: another process has held {path} for {deadline_seconds:.0f} s; end it or wait"
                raise StorageFailed(message) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # gone meanwhile


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
