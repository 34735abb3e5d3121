"""Keeps a process that holds a key from being written to disk by the system: no core dump, no debugger."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process for good.

    The limit alone does not hold where the kernel pipes cores to a collector; on Linux the process also says that it
    is not to be dumped, which keeps other processes of the same user from reading its memory, too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc: the limit is what there is
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
