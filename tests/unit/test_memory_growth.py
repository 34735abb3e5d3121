"""The slope of memory, and its interval."""

from __future__ import annotations

import mmap
import os
import random

import pytest

from devnet.memory_growth import growth, private_bytes


def test_a_line_has_its_slope_and_no_doubt() -> None:
    found = growth([(second, 10**8 + 1_000 * second) for second in range(120)])
    assert [round(each) for each in found] == [3_600_000] * 3
    assert str(found) == "+3.60 MB/h, 95 % interval +3.60 to +3.60"


def test_the_interval_holds_the_truth_in_about_95_of_100_noisy_cases() -> None:
    drawn = random.Random(1)
    held = 0
    for _ in range(400):
        noise = [drawn.gauss(0, 50_000) for _ in range(120)]
        found = growth([(second, round(10**8 + 1_000 * second + noise[second])) for second in range(120)])
        held += found.low <= 3_600_000 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        growth([(0.0, 1)] * 5)


def test_the_memory_of_this_process_is_seen() -> None:
    before = private_bytes(os.getpid())
    with mmap.mmap(-1, 50_000_000, flags=mmap.MAP_PRIVATE) as held:  # from the system, whatever the allocator has left
        for place in range(0, len(held), mmap.PAGESIZE):
            held[place] = 1
        assert private_bytes(os.getpid()) - before > 40_000_000
