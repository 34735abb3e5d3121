"""What a signal does while the devnet is still being prepared: it ends whatever is under way, at once.

`ends_task` serves what awaits. A loop that is blocked hears no signal: `ends_blocking_work` serves what blocks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, Final, NoReturn

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_in_threads: Final[set[subprocess.Popen[bytes]]] = set()


class Interrupted(BaseException):
    """The signal `number` came before the devnet was up. Like KeyboardInterrupt it passes by `except Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def ends_task() -> Iterator[None]:
    """Let SIGINT and SIGTERM cancel what the current task awaits within, and raise `Interrupted` instead.

    The handlers stay on the loop: whoever goes on puts others in their place.
    """
    loop, task, came = asyncio.get_running_loop(), asyncio.current_task(), list[int]()
    assert task is not None, "a coroutine calls this"

    def end(number: int) -> None:
        came.append(number)
        task.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, end, number)
    try:
        yield
    except asyncio.CancelledError:
        if came:
            raise Interrupted(came[0]) from None
        raise


@contextlib.contextmanager
def ends_blocking_work() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `Interrupted` wherever the main thread is within; elsewhere no signal arrives.

    What it waits for with `subprocess.run` is killed by that, what threads wait for with `run_in_thread` too. The
    handlers that were there before are put back at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        for process in tuple(_in_threads):
            process.kill()
        raise Interrupted(number)

    before: list[tuple[signal.Signals, Any]] = [(number, signal.signal(number, interrupt)) for number in _ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def run_in_thread(command: Sequence[str], given: bytes, timeout: float) -> subprocess.CompletedProcess[bytes]:
    """Do as `subprocess.run` does with captured output, for a thread; `ends_blocking_work` kills what it waits for.

    Raises OSError and TimeoutExpired; who is killed has a negative return code.
    """
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        _in_threads.add(process)
        try:
            output, errors = process.communicate(given, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            _in_threads.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
