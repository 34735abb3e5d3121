"""A machine whose clock is wrong, and may jump: Python imports this at its start where this folder is on PYTHONPATH.

The file that DEVNET_CLOCK_OFFSET names holds by how many milliseconds: 8 bytes, signed, the greatest first. Whoever
changes it moves the clock of all processes at once. Deadlines and sleeps go on: they count from no calendar.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "DEVNET_CLOCK_OFFSET"
BYTES: Final = 8
_NS_PER_MS: Final = 1_000_000
_NS_PER_SECOND: Final = 1_000_000_000


def install(path: Path) -> None:
    """Let `time` tell the wrong time in this process from now on."""
    right_ns = time.time_ns
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), BYTES, access=mmap.ACCESS_READ)

    def wrong_ns() -> int:
        return right_ns() + int.from_bytes(offset[:BYTES], "big", signed=True) * _NS_PER_MS

    time.time_ns = wrong_ns
    time.time = lambda: wrong_ns() / _NS_PER_SECOND


if VARIABLE in os.environ:
    install(Path(os.environ[VARIABLE]))
