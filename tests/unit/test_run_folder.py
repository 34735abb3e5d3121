"""The devnet under way, as files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.errors import LockHeld, StateCorrupt, StorageFailed
from devnet.run_folder import RunFolder, RunRecord


def a_record() -> RunRecord:
    return RunRecord(
        pid=os.getpid(),
        chain_id=31337,
        seed=1,
        block_time_seconds=2.0,
        lockstep=False,
        rpc_url="http://127.0.0.1:1/",
        ws_url="ws://127.0.0.1:1/",
        admin_url="http://127.0.0.1:1/admin",
        builder_urls={"alpha": "http://127.0.0.1:1/builder/alpha"},
        manifest_path="manifest.json",
        log_folder="logs",
    )


def test_the_record_is_there_while_the_lock_is_held_and_gone_after(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.read() is None
    with folder.locked():
        folder.write(a_record())
        assert RunFolder(tmp_path / "run").read() == a_record()
    assert folder.read() is None
    folder.clear()
    folder.clear()


def test_a_second_devnet_in_the_same_home_is_told_who_runs(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(LockHeld, match=rf"process {os.getpid()}\).*hftnode devnet down"),
        RunFolder(tmp_path).locked(),
    ):
        raise AssertionError("the lock was given twice")


def test_a_lock_left_by_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    holder = (
        "import os, sys, pathlib; from devnet.run_folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked(): os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", holder, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert (tmp_path / "lock").read_text()
    folder = RunFolder(tmp_path)
    folder.write(a_record())
    assert folder.read() is None, "a record whose owner is dead does not count"
    with folder.locked():
        assert folder.is_held()


def test_a_garbled_record_says_which_file_to_delete(tmp_path: Path) -> None:
    (tmp_path / "devnet.json").write_bytes(b'{"pid": "four"}')
    with pytest.raises(StateCorrupt, match=r"devnet\.json.*delete it"):
        RunFolder(tmp_path).read()


def test_an_unwritable_home_is_a_clear_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(StorageFailed, match="cannot use"), RunFolder(blocker / "run").locked():
        raise AssertionError("a lock was given on a folder that cannot be")
