"""What each process of a demo takes of the processor, by the kernel's own account; nothing where there is no /proc."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from devnet.demo.node_process import marked

DEVNET: Final = "devnet"
"""The demo's own process: the relay, and the watch."""
NODE_PARTS: Final = ("engine", "sentry", "desk")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Places in /proc/<pid>/stat, counted behind the name."""

Seconds = Mapping[tuple[int, str], float]
"""By process and what it is."""


def taken(mark: str) -> Seconds:
    """Return the processor seconds that each living process of a demo has taken so far, and our own."""
    found = {}
    for pid, words in {**marked(mark), os.getpid(): ()}.items():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
            found[pid, name_of(words) if words else DEVNET] = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
    return found


def cores(before: Seconds, after: Seconds, elapsed: float) -> dict[str, float]:
    """Return what was taken in between, in processors, by what took it; who came or went meanwhile counts as it can."""
    sums: defaultdict[str, float] = defaultdict(float)
    for (pid, name), seconds in after.items():
        sums[name] += seconds - before.get((pid, name), 0.0)
    return {name: round(seconds / elapsed, 3) for name, seconds in sorted(sums.items())} if elapsed > 0 else {}


def name_of(words: Sequence[str]) -> str:
    """Name a process by its command: `north engine`, `anvil`, `actors`."""
    for part in NODE_PARTS:
        if f"node.{part}" in words:
            return f"{_operator(words)} {part}"
    if "devnet.actors" in words:
        return "actors"
    if words[0].endswith("anvil"):
        return "anvil"
    return f"{_operator(words)} supervisor" if "start" in words and "--config" in words else "others"


def _operator(words: Sequence[str]) -> str:
    """The folder of its configuration is called as the operator."""
    place = words.index("--config") + 1 if "--config" in words else len(words)
    return Path(words[place]).parent.name if place < len(words) else "a node's"
