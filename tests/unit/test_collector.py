"""The engine's setting of the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from node.engine import collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_loaded_is_looked_at_no_more_and_the_young_in_small_portions() -> None:
    collector.settle()
    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold()[0] < 700


def test_what_has_grown_old_is_collected_where_asked_for_and_only_if_it_is_much() -> None:
    collector.settle()
    assert not collector.tidy()
    for _ in range(collector.TIDY_ABOVE + 1_000):
        ring: list[object] = []
        ring.append(ring)
    kept = [[number] for number in range(2 * collector.TIDY_ABOVE)]
    for _ in range(2):
        gc.collect(1)
    assert collector.tidy()
    assert len(kept) == 2 * collector.TIDY_ABOVE
