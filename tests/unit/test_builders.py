"""The lottery for blocks and the builders' refusals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from devnet.relay.builders import DEFAULT_BUILDERS, BuilderConfig, refuses, winner


def builder(name: str, **changes: Any) -> BuilderConfig:
    settings: dict[str, Any] = {"share": 1, "delay_ms": 0, "refusal_rate": 0, "coinbase": "0x" + "c0" * 20}
    return BuilderConfig(name=name, **(settings | changes))


def test_a_block_has_the_same_winner_each_time() -> None:
    first = [winner(7, number, DEFAULT_BUILDERS).name for number in range(100)]
    assert first == [winner(7, number, DEFAULT_BUILDERS).name for number in range(100)]
    assert first != [winner(8, number, DEFAULT_BUILDERS).name for number in range(100)]


def test_builders_win_by_their_share() -> None:
    builders = (builder("alice", share=3), builder("bob", share=1))
    wins = Counter(winner(0, number, builders).name for number in range(2000))
    assert 1400 < wins["alice"] < 1600


def test_a_lottery_without_builders_is_an_error() -> None:
    with pytest.raises(ValueError, match="no builder"):
        winner(0, 1, ())


def test_a_builder_refuses_at_its_rate_and_the_same_bundles_each_time() -> None:
    picky = builder("picky", refusal_rate=0.25)
    bundles = [number.to_bytes(32, "big") for number in range(2000)]
    refused = [hash_ for hash_ in bundles if refuses(0, picky, hash_)]
    assert 400 < len(refused) < 600
    assert all(refuses(0, picky, hash_) for hash_ in refused)


def test_rates_of_nothing_and_everything_are_exact() -> None:
    bundles = [number.to_bytes(32, "big") for number in range(200)]
    assert not any(refuses(0, builder("alice", refusal_rate=0), hash_) for hash_ in bundles)
    assert all(refuses(0, builder("alice", refusal_rate=1), hash_) for hash_ in bundles)


def test_a_builder_closes_its_delay_before_the_end_of_the_slot() -> None:
    slow = builder("slow", delay_ms=250)
    assert slow.closes_at(100.0, slot_seconds=2.0) == 99.75
    assert slow.closes_at(100.0, slot_seconds=0.5) == 99.9  # not before a short slot has well begun


@pytest.mark.parametrize(
    "wrong",
    [{"share": 0}, {"delay_ms": -1}, {"refusal_rate": 1.1}, {"refusal_rate": -0.1}, {"name": ""}, {"name": "a/b"}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="builder"):
        builder(**({"name": "alice"} | wrong))


def test_the_default_builders_differ_in_every_respect() -> None:
    assert len({one.coinbase for one in DEFAULT_BUILDERS}) == 3
    assert len({one.delay_ms for one in DEFAULT_BUILDERS}) == 3
    assert len({one.refusal_rate for one in DEFAULT_BUILDERS}) == 3
