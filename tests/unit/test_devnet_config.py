"""Options of the devnet are refused before anything starts, all faults at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.config import DevnetConfig
from devnet.errors import ConfigInvalid


def test_the_defaults_are_valid() -> None:
    assert DevnetConfig().port == 8545


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        DevnetConfig(
            port=70_000,
            block_time_seconds=float("nan"),
            lockstep=True,
            seed=-1,
            actors=False,
            participants=-1,
            stop_after_blocks=0,
            actor_parameters=Path("/nonexistent/parameters.toml"),
        )
    for word in (
        "port 70000",
        "block time nan s is not within 0.2 to 3600 s",
        "seed -1",
        "-1 participants",
        "stop after",
        "no parameter file",
    ):
        assert word in str(caught.value)


def test_lockstep_needs_somebody_to_wait_for() -> None:
    with pytest.raises(ConfigInvalid, match="at least one participant"):
        DevnetConfig(lockstep=True, actors=False)
    assert DevnetConfig(lockstep=True, actors=False, participants=1).participants == 1


@pytest.mark.parametrize("seconds", [0.1, 3601.0, float("inf")])
def test_a_block_time_out_of_bounds_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigInvalid, match="not within"):
        DevnetConfig(block_time_seconds=seconds)


def test_lockstep_steps_by_whole_seconds() -> None:
    with pytest.raises(ConfigInvalid, match="whole seconds"):
        DevnetConfig(block_time_seconds=0.5, lockstep=True)
