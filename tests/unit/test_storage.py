"""Files are whole or not there; one writer at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devnet.errors import StateCorrupt, StorageFailed
from devnet.storage import exclusive_lock, keep_newest, read_checked, write_atomically, write_checked


def refuse(code: int) -> object:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_checked(tmp_path / "deep" / "file", b"data")
    assert read_checked(tmp_path / "deep" / "file") == b"data"


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "no room"), (errno.EACCES, "check its owner")],
)
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    code: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", refuse(code))
    with pytest.raises(StorageFailed, match=advice):
        write_atomically(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("kept", [0, 3])
def test_a_file_cut_short_is_noticed(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_checked(path, b"whole")
    path.write_bytes(b"whole"[:kept])
    with pytest.raises(StateCorrupt, match="cut short or altered"):
        read_checked(path)


def test_a_file_without_its_checksum_was_not_finished(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    with pytest.raises(StateCorrupt, match="not written to its end"):
        read_checked(tmp_path / "file")


def test_a_file_that_was_never_written_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checked(tmp_path / "file")


def test_two_holders_of_a_lock_take_turns(tmp_path: Path) -> None:
    inside, trace = threading.Event(), []

    def second() -> None:
        inside.wait(10)
        with exclusive_lock(tmp_path / "lock", "second"):
            trace.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive_lock(tmp_path / "lock", "first"):
        inside.set()
        trace.append("first")
    thread.join(10)
    assert trace == ["first", "second"]


def test_a_lock_that_is_never_released_is_given_up_and_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    refused = pytest.raises(StorageFailed, match=r"second: another process has held .*lock")
    with exclusive_lock(path, "first"), refused, exclusive_lock(path, "second", deadline_seconds=0.0):
        pytest.fail("two processes hold one lock")


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = f"""
import os
from pathlib import Path
from devnet.storage import exclusive_lock
with exclusive_lock(Path({str(path)!r}), "holder"):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", holder], check=False).returncode == 9
    assert path.exists()
    with exclusive_lock(path, "heir", deadline_seconds=0.0):
        pass


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for age in range(4):
        path = tmp_path / f"{age}.json"
        write_checked(path, b"data")
        os.utime(path, (1_000 - age, 1_000 - age))
    folder = tmp_path / "4.json"
    folder.mkdir()
    (folder / "inside").touch()
    os.utime(folder, (1, 1))
    keep_newest(tmp_path, "*.json", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.json", "0.json.sha256", "1.json", "1.json.sha256"]
