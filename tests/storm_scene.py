"""What a test of a storm asks of it: that it was one, and that it found nobody open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def was_a_storm(report: Sequence[dict[str, int]]) -> None:
    """Fail if the hostile peers did nothing, or if a stranger was let in.

    `report`: what became of what each did, by name, the hostile operator's first.
    """
    operator, *strangers = report
    assert operator["too many"] > 0
    assert operator["replayed"] > 0
    together = sum(map(Counter, strangers), Counter[str]())
    assert together["was refused"] > 0
    assert together["garbage"] + together["half done"] > 0
    assert together["was let in"] == 0
