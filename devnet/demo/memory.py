"""How fast each process of a demo's nodes grows once it is warm; nothing where there is no /proc.

The first half of a demo fills what is kept for minutes, and the first WARM_BLOCKS blocks what is kept of so many. After
both memory is read every two seconds, and the slope told in MB an hour with its 95 % interval: of some minutes that is
wide, and says so.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from devnet.demo.node_process import marked
from devnet.demo.processor import NODE_PARTS, name_of
from devnet.memory_growth import BATCHES, growth

SAMPLE_SECONDS: Final = 2.0
WARM_BLOCKS: Final = 64
"""An engine keeps the last so many, to undo them and to judge them anew: until they have come, it grows."""
MAX_SAMPLES: Final = 43_200
"""Of one process: a day's."""
_MEGABYTE: Final = 1e6
_OWN: Final = re.compile(rb"^RssAnon:\s+(\d+) kB$", re.MULTILINE)

Sample = tuple[float, int]
"""Seconds, bytes."""


class MemoryGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """One process: what it holds for itself at the end in MB; the slope in MB an hour and its 95 % interval's ends."""

    megabytes: float
    slope: float
    low: float
    high: float


class MemoryWatch:
    """Reads the memory of the living processes with a mark; `read` returns it by process number and name."""

    def __init__(
        self,
        mark: str,
        now: Callable[[], float] = time.monotonic,
        read: Callable[[str], Mapping[tuple[int, str], int]] | None = None,
    ) -> None:
        self._mark, self._now, self._read = mark, now, read or own_bytes
        self._samples: defaultdict[tuple[int, str], list[Sample]] = defaultdict(list)
        self._due = float("-inf")
        self._warm_at = float("inf")

    def look(self, blocks: int) -> None:
        """Read once more, if it is time for it. `blocks`: how many have come."""
        now = self._now()
        if blocks >= WARM_BLOCKS:
            self._warm_at = min(self._warm_at, now)
        if now < self._due:
            return
        self._due = now + SAMPLE_SECONDS
        for process, size in self._read(self._mark).items():
            if len(self._samples[process]) < MAX_SAMPLES:
                self._samples[process].append((now, size))

    def growths(self) -> dict[str, MemoryGrowth]:
        """Return the growth by process, of those that were there long enough to tell; of one restarted the last."""
        found = {}
        for (_, name), samples in sorted(self._samples.items(), key=lambda item: item[1][0]):
            warm = [sample for sample in samples[len(samples) // 2 :] if sample[0] >= self._warm_at]
            if len(warm) >= 2 * BATCHES:
                found[name] = _told(warm)
        return dict(sorted(found.items()))


def own_bytes(mark: str) -> dict[tuple[int, str], int]:
    """Return what each process of a demo's nodes holds in memory of its own, by its number and name."""
    found = {}
    for pid, words in marked(mark).items():
        name = name_of(words) if words else ""
        if name.rpartition(" ")[2] not in NODE_PARTS:
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            told = _OWN.search(Path(f"/proc/{pid}/status").read_bytes())
            if told is not None:
                found[pid, name] = 1_024 * int(told[1])
    return found


def _told(samples: Sequence[Sample]) -> MemoryGrowth:
    slope, low, high = (round(each / _MEGABYTE, 1) for each in growth(samples))
    return MemoryGrowth(megabytes=round(samples[-1][1] / _MEGABYTE, 1), slope=slope, low=low, high=high)
