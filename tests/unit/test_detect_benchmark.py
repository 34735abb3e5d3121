"""The benchmark `detect`, without its clock: what it tells its peer, what it decodes, what its blocks change."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest

from benchmarks import detect, market_loading
from benchmarks.detect_peer import _make_ready, _told, newer_python
from benchmarks.family_pools import STATES
from benchmarks.market_generator import first_block, generate
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.changes import changed
from node.pipeline.events import PriceMoved, ReservesSet


def test_a_block_of_its_swaps_changes_three_hundred_pools_and_follows_the_last() -> None:
    market = generate(pools=400, tokens=60)
    state, memory = detect._pipeline(market)
    changes = detect._swaps(state, market, Random(1))
    assert len({change.pool_id for change in changes}) == detect.SWAPS
    assert {type(change) for change in changes} == {PriceMoved, ReservesSet}
    for change in changes:
        before = state.market.state_of(change.pool_id)
        assert before is not None
        assert changed(before, change) != before
    block = detect._next(first_block(), 1, changes)
    assert (block.parent_hash, block.number) == (first_block().hash, first_block().number + 1)
    assert all(row.median > 0 for row in memory)


def test_its_pools_are_told_with_everything_that_an_amount_depends_on() -> None:
    pools = generate(pools=20, tokens=10).pools
    deep = next((spec, pool) for spec, pool in pools if isinstance(pool, ConcentratedPool))
    told = _told(*deep)
    assert set(told) >= {"fee", "spacing", "price", "tick", "liquidity", "bitmap", "ticks"}
    assert len(told["ticks"]) == len(deep[1].ticks.net)
    assert set(_told(*pools[0])) == {"address", "tokens", "reserves"}
    with pytest.raises(TypeError, match="degenbot has no V4Pool"):
        _told(pools[0][0], STATES[0][1])


def test_every_router_it_measures_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "REPEATS", 1)
    assert len(detect._decoding(generate(pools=20, tokens=10))) == 6
    assert len(detect._other_quotes()) == len(STATES)


def test_the_snapshot_that_it_times_holds_the_whole_market(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_loading, "REPEATS", 1)
    rows = market_loading.snapshot_rows(generate(pools=20, tokens=10))
    assert [row.unit for row in rows] == ["ms", "ms", "B"]
    assert all(row.median > 0 for row in rows)


def test_an_interpreter_that_runs_is_found_on_the_path_or_of_pyenv_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert newer_python() is None
    shim, kept = tmp_path / "python3.12", tmp_path / "versions" / "3.13.0" / "bin" / "python3.13"
    kept.parent.mkdir(parents=True)
    for place, code in ((shim, 127), (kept, 0)):
        place.write_text(f"#!/bin/sh\nexit {code}\n")
        place.chmod(0o755)
    assert newer_python() == kept


def test_the_newer_lines_database_is_in_the_mode_that_it_cannot_set(tmp_path: Path) -> None:
    _make_ready(tmp_path)
    (mode,) = sqlite3.connect(tmp_path / ".config/degenbot/degenbot.db").execute("PRAGMA journal_mode").fetchone()
    assert mode == "wal"
