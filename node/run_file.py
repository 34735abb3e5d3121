"""What a running node tells others about itself: `run/node.json`, and the lock that says whether it is true.

The supervisor holds the lock for as long as it lives, and the system lets it go however it dies: a file that a killed
node left behind is known to be one. Raises RunFolderUnusable (SetupError).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from node.errors import SetupError
from protocol.units import UnixMilliseconds

_FILE: Final = "node.json"
_LOCK: Final = "node.lock"


class RunFolderUnusable(SetupError):
    """Another node runs there, or the folder cannot be written."""


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the node; `state` is `starting`, `ready`, `restarting`, `stopped` or `given up`."""

    state: str
    pid: int | None = None
    since: UnixMilliseconds = UnixMilliseconds(0)
    """Of the state."""
    restarts: int = 0
    facts: dict[str, str] = {}
    """What it told when it was ready, such as `http`."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a node."""

    name: str
    mode: str
    pid: int
    started_at: UnixMilliseconds
    processes: dict[str, ProcessRecord]
    """In the order in which they start."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the folder as the one node that runs there. Raises RunFolderUnusable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunFolderUnusable(f"{folder}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunFolderUnusable(f"{folder.parent}: a node runs there already; `hftnode status` shows it") from None
        yield
    finally:
        os.close(descriptor)


def write_run(folder: Path, record: RunRecord) -> None:
    """Replace the record, whole. Raises RunFolderUnusable."""
    try:
        new = folder / f"{_FILE}.new"
        new.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        new.replace(folder / _FILE)
    except OSError as error:
        raise RunFolderUnusable(f"{folder}: {error.strerror}") from None


def clear_run(folder: Path) -> None:
    """Remove the record of a node that has ended."""
    (folder / _FILE).unlink(missing_ok=True)


def read_run(folder: Path) -> RunRecord | None:
    """Return what the node of this folder tells of itself; None if none runs."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # somebody holds it: a node runs
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((folder / _FILE).read_bytes(), type=RunRecord)
    finally:
        os.close(descriptor)
    return None
