"""A child process of the devnet: ends with us, is restarted, gives up with its last words."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from devnet import child_process
from devnet.child_process import ChildProcess
from devnet.errors import ChainFailed


async def until(path: Path, lines: int) -> None:
    async with asyncio.timeout(20):
        while not path.exists() or len(path.read_text().splitlines()) < lines:
            await asyncio.sleep(0.01)


async def test_a_child_that_ends_well_is_not_restarted_and_its_log_is_of_this_run(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of an older run\n")
    child = ChildProcess("child", [sys.executable, "-c", "print('done')"], tmp_path / "log", restart=True)
    await child.run()
    assert (tmp_path / "log").read_text() == "done\n"
    assert child.restarts == 0


async def test_a_crashing_child_is_restarted_and_then_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "RESTART_SECONDS", 0.01)
    child = ChildProcess("child", [sys.executable, "-c", "raise SystemExit('ouch')"], tmp_path / "log", restart=True)
    with pytest.raises(ChainFailed, match=r"child ended with code 1:\n(ouch\n?){4}"):
        await child.run()
    assert child.restarts == child_process.MAX_RESTARTS


async def test_without_restart_the_first_crash_is_the_end(tmp_path: Path) -> None:
    child = ChildProcess("child", [sys.executable, "-c", "raise SystemExit(7)"], tmp_path / "log", restart=False)
    with pytest.raises(ChainFailed, match="code 7"):
        await child.run()
    assert child.restarts == 0


@pytest.mark.parametrize("stubborn", [False, True])
async def test_cancelling_ends_the_child_by_force_if_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    monkeypatch.setattr(child_process, "STOP_SECONDS", 0.2)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    code = f"import signal, os, time; {ignore} print(os.getpid(), flush=True); time.sleep(60)"
    child = ChildProcess("child", [sys.executable, "-c", code], tmp_path / "log", restart=True)
    running = asyncio.create_task(child.run())
    await until(tmp_path / "log", 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = int((tmp_path / "log").read_text())
    assert not Path(f"/proc/{pid}").exists()
