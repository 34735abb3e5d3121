"""Fixtures of the network tests."""

from __future__ import annotations

import random

import pytest


@pytest.fixture
def drawn_seed(request: pytest.FixtureRequest) -> int:
    """A seed for what a test draws, shown with its failure."""
    seed = random.SystemRandom().randrange(2**32)
    request.node.add_report_section("setup", "seed", str(seed))
    return seed
