"""A signal while the devnet is being prepared: it ends what is under way, in the main thread and in others."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devnet.interruption import Interrupted, ends_blocking_work, ends_task, run_in_thread

DEADLINE_SECONDS = 30.0


def sleeper(begun: Path) -> list[str]:
    """A command that says when it has begun and then takes longer than any test."""
    return [sys.executable, "-c", f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(600)"]


def signal_when(begun: Path, number: signal.Signals) -> threading.Thread:
    def wait_and_raise() -> None:
        give_up = time.monotonic() + DEADLINE_SECONDS
        while not begun.exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait_and_raise)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_the_main_thread_waits_for_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    thread = signal_when(tmp_path / "begun", number)
    with pytest.raises(Interrupted) as interrupted, ends_blocking_work():
        subprocess.run(sleeper(tmp_path / "begun"))
    thread.join(DEADLINE_SECONDS)
    assert interrupted.value.number == number
    assert signal.getsignal(number) is before


def test_what_other_threads_wait_for_is_killed(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run_in_thread, sleeper(tmp_path / "begun"), b"", 600.0)
        thread = signal_when(tmp_path / "begun", signal.SIGTERM)
        with pytest.raises(Interrupted), ends_blocking_work():
            running.result(DEADLINE_SECONDS)
        thread.join(DEADLINE_SECONDS)
        assert running.result(DEADLINE_SECONDS).returncode == -signal.SIGKILL


def test_a_thread_that_no_signal_reaches_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def look() -> object:
        with ends_blocking_work():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(look).result(DEADLINE_SECONDS) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_task_awaits_is_cancelled(number: signal.Signals) -> None:
    ended = []

    async def wait_for_ever() -> None:
        with ends_task():
            os.kill(os.getpid(), number)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

    with pytest.raises(Interrupted) as interrupted:
        asyncio.run(wait_for_ever())
    assert (interrupted.value.number, ended) == (number, [True])


async def test_a_task_that_somebody_else_cancels_is_just_cancelled() -> None:
    async def wait_for_ever() -> None:
        with ends_task():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)


def test_a_command_in_a_thread_gets_its_input_and_gives_its_output() -> None:
    echo = [sys.executable, "-c", "import sys; sys.stderr.write('!'); sys.stdout.write(sys.stdin.read().upper())"]
    done = run_in_thread(echo, b"hello", DEADLINE_SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"HELLO", b"!")


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_in_thread(sleeper(tmp_path / "begun"), b"", 0.01)
