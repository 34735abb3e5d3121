"""Times and shares as these commands show them. Times are the chain's, never this machine's."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Final

from governance.standing import Head

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def moment(seconds: int) -> str:
    """Return a time in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def span(seconds: int) -> str:
    """Return a span of time in its two largest units."""
    parts = []
    for size, unit in _UNITS:
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    parts += [f"{seconds} s"] if seconds or not parts else []
    return " ".join(parts[:2])


def until(when: int, head: Head, block_seconds: float) -> str:
    """Return a time as people wait for it: the moment, how long from the head, and about how many blocks."""
    left = when - head.timestamp
    if left <= 0:
        return f"{moment(when)}, {span(-left)} ago"
    return f"{moment(when)}, in {span(left)} (about {max(1, round(left / block_seconds))} blocks)"


def share(part: int, whole: int) -> str:
    """Return which part of the whole something is, in percent."""
    return f"{float(Fraction(100 * part, whole)):.4g} %" if whole else "nothing of nothing"
