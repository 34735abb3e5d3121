"""How fast a process grows: the slope of its memory over time, with an interval that holds it in 95 of 100 cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

BATCHES: Final = 12
_T_OF_10: Final = 2.228
"""Student's t for 95 %, two-sided, and BATCHES - 2 degrees of freedom."""


class Growth(NamedTuple):
    """Bytes an hour: the slope, and the ends of its 95 % interval."""

    slope: float
    low: float
    high: float

    def __str__(self) -> str:
        slope, low, high = (each / 1e6 for each in self)
        return f"{slope:+.2f} MB/h, 95 % interval {low:+.2f} to {high:+.2f}"


def private_bytes(pid: int) -> int:
    """Return the memory that a process shares with nobody. Raises OSError."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1_024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


def growth(samples: Sequence[tuple[float, int]]) -> Growth:
    """Return the growth of samples (seconds, bytes), by least squares over the means of BATCHES stretches of time.

    Samples that follow each other are alike: single ones would make the interval too narrow.
    """
    if len(samples) < 2 * BATCHES:
        raise ValueError(f"{len(samples)} samples are too few for {BATCHES} batches")
    times, sizes = (np.array(column, dtype=float) for column in zip(*samples, strict=True))
    x = np.array([part.mean() for part in np.array_split(times, BATCHES)]) / 3_600
    y = np.array([part.mean() for part in np.array_split(sizes, BATCHES)])
    spread = ((x - x.mean()) ** 2).sum()
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - slope * (x - x.mean())
    half = _T_OF_10 * float(np.sqrt((rest**2).sum() / (BATCHES - 2) / spread))
    return Growth(slope, slope - half, slope + half)
