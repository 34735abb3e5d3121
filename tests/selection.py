"""A plug-in of pytest: `--long`, and the profiles by which Hypothesis draws its examples.

No profile has a deadline: how long an example takes says something about the machine, not about the code.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("default", deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
# Whether a planted fault is found is all that is asked: to find the smallest example of it may take minutes.
settings.register_profile("found", settings.get_profile("ci"), phases=(Phase.explicit, Phase.reuse, Phase.generate))
settings.register_profile("long", settings.get_profile("default"), max_examples=5000)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`."""
    parser.addoption("--long", action="store_true", help="also run the soaks and the wide fuzzing (mark: long)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked long, and say how many were left out."""
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
