"""The engine's setting of the garbage collector."""

from __future__ import annotations

import gc
import weakref
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
    for _ in range(collector.TIDY_EVERY):
        gc.collect(1)
    assert collector.tidy()
    assert not collector.tidy()
    assert len(kept) == 2 * collector.TIDY_ABOVE


def test_however_little_has_grown_old_it_is_collected_in_the_end() -> None:
    collector.settle()
    ring: list[object] = []
    ring.append(Held(ring))
    held = weakref.ref(ring[0])
    for _ in range(2):
        gc.collect(1)
    ring = []
    for _ in range(collector.TIDY_LATEST - 3):
        gc.collect(1)
    assert not collector.tidy()
    assert held() is not None, "the young are not looked at with the old"
    gc.collect(1)
    assert collector.tidy()
    assert held() is None


class Held:
    """Refers to whoever holds it."""

    def __init__(self, holder: object) -> None:
        self.holder = holder
