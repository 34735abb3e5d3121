"""Keeps a process that holds a key from being written to disk by the system."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_FILTER: Final = Path("/proc/self/coredump_filter")


def empty_core_dumps() -> None:
    """Let no core of this process and its children be written, and none that is piped to a collector hold memory.

    For what runs for long: unlike `forbid_core_dumps` it lets its user look at what /proc tells of it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel without it: the limit is what there is
            _FILTER.write_text("0", encoding="ascii")


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process for good, and debuggers: for a command that opens a key and ends.

    The limit alone does not hold where the kernel pipes cores to a collector; on Linux the process also says that it
    is not to be dumped, which keeps other processes of the same user from reading its memory, too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc: the limit is what there is
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
