"""What is used of the day's limits outlives the engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from benchmarks.market_generator import NOW
from node.engine.day_limits import FILE_NAME, DayLimits, DayLimitsDamaged, with_open
from node.pipeline.events import (
    AlertKind,
    ExecutionLanded,
    ExecutionMissed,
    HotKeyUsed,
    LimitsResumed,
    RaiseAlert,
    RecordDrop,
)
from node.pipeline.reasons import Reason
from node.pipeline.risk import DayUse
from node.pipeline.settings import RiskLimits
from node.pipeline.step import step
from protocol.units import BlockNumber, Gas, Hash32, Wei
from tests.pipeline_scene import ALICE, BOB, pipeline, plans, seen, settings, small_market, swap_of
from tests.record_factories import found

DAY_NS = 86_400 * 10**9
TODAY = NOW // DAY_NS
MARKET = small_market()
LIMIT = Wei(10**21)
"""More than all finds of a test may cost together."""
USED = DayUse(TODAY, Wei(7), {ALICE: 10**30, BOB: 5})


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    limits = DayLimits(tmp_path / "new")
    assert limits.load() is None
    limits.save(USED)
    assert DayLimits(tmp_path / "new").load() == USED
    limits.save(msgspec.structs.replace(USED, spent=Wei(8)))
    assert DayLimits(tmp_path / "new").load() == msgspec.structs.replace(USED, spent=Wei(8))


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    limits = DayLimits(tmp_path)
    limits.save(USED)
    (tmp_path / FILE_NAME).unlink()
    limits.save(USED)
    assert not (tmp_path / FILE_NAME).exists()


async def test_one_is_written_at_a_time_and_what_came_meanwhile_with_the_next(tmp_path: Path) -> None:
    limits, later = DayLimits(tmp_path), msgspec.structs.replace(USED, spent=Wei(8))
    await asyncio.gather(limits.keep(USED), limits.keep(later))
    assert DayLimits(tmp_path).load() == USED
    assert limits.is_news(later)
    await limits.keep(later)
    assert DayLimits(tmp_path).load() == later
    assert not limits.is_news(later)


async def test_what_could_not_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in its place")
    limits = DayLimits(tmp_path / "folder")
    with pytest.raises(OSError, match="folder"):
        await limits.keep(USED)
    (tmp_path / "folder").unlink()
    assert limits.is_news(USED)
    await limits.keep(USED)
    assert DayLimits(tmp_path / "folder").load() == USED


def test_without_a_folder_nothing_is_kept() -> None:
    limits = DayLimits(None)
    limits.save(USED)
    assert limits.load() is None


@pytest.mark.parametrize("damage", [b"", b"{", b'{"day": 1}', b'{"day": 1, "spent_wei": "x", "turnover": {}}'])
def test_a_damaged_file_is_named_and_begins_no_new_day(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    with pytest.raises(DayLimitsDamaged, match=FILE_NAME):
        DayLimits(tmp_path).load()


def test_what_is_open_counts_as_if_it_landed() -> None:
    one = found()
    counted = with_open(USED, [one, one])
    assert counted.turnover[one.profit_token] == USED.turnover.get(one.profit_token, 0) + 2 * int(one.borrowed)
    assert counted.spent == USED.spent


def reasons_after(use: DayUse) -> set[Reason]:
    state = pipeline(MARKET, settings(MARKET, limits=RiskLimits(max_bid=Wei(10**24), max_daily_spend=LIMIT)))
    step(state, LimitsResumed(use))
    effects = [effect for spec, pool in MARKET.pools[:8] for effect in step(state, seen(swap_of(spec, pool, part=0.2)))]
    assert bool(plans(effects)) is (use.day != TODAY or use.spent < LIMIT)
    return {effect.reason for effect in effects if isinstance(effect, RecordDrop)}


def test_a_limit_that_the_day_had_used_up_holds_after_a_restart_and_the_next_day_is_new() -> None:
    assert Reason.DAILY_LIMIT in reasons_after(DayUse(TODAY, LIMIT, {}))
    assert Reason.DAILY_LIMIT not in reasons_after(DayUse(TODAY - 1, LIMIT, {}))


@pytest.mark.parametrize("landed", [True, False])
def test_what_yesterday_reserved_is_not_taken_off_todays_use(*, landed: bool) -> None:
    limits = RiskLimits(max_bid=Wei(10**24), max_head_age_ns=2 * DAY_NS)
    state = pipeline(MARKET, settings(MARKET, limits=limits))
    swaps = [swap_of(spec, pool, part=0.2, trader=spec.id.hex()) for spec, pool in MARKET.pools]
    for swap in swaps[:8]:
        step(state, seen(swap))
    yesterdays = list(state.outstanding)
    assert yesterdays
    for swap in swaps[8:]:
        step(state, seen(swap, after_ns=DAY_NS))
    use = state.gate.used
    assert use.day == TODAY + 1
    assert use.spent > 0
    kept = [name for name in yesterdays if name in state.outstanding]
    assert kept
    for name in kept:
        if landed:
            step(state, ExecutionLanded(name, BlockNumber(1), 5, Gas(200_000), Wei(9)))
        else:
            step(state, ExecutionMissed(name, Reason.OUTBID, Wei(9)))
    assert state.gate.used == msgspec.structs.replace(use, spent=Wei(use.spent + 9 * len(kept)))


def test_what_an_earlier_process_sent_and_landed_is_counted() -> None:
    state = pipeline(MARKET)
    before = state.gate.used.spent
    step(state, ExecutionLanded(Hash32(b"\1" * 32), BlockNumber(1), 5, Gas(1), Wei(9)))
    assert state.gate.used.spent == before + 9


def test_what_an_earlier_process_sent_and_reverted_is_counted_and_counts_for_the_breaker() -> None:
    limits = RiskLimits(max_bid=Wei(10**24), breaker_failures=1)
    state = pipeline(MARKET, settings(MARKET, limits=limits))
    before = state.gate.used.spent
    effects = [
        effect
        for name in (b"\1", b"\2")
        for effect in step(state, ExecutionMissed(Hash32(name * 32), Reason.REVERTED, Wei(9)))
    ]
    assert state.gate.used.spent == before + 18
    assert [effect.kind for effect in effects if isinstance(effect, RaiseAlert)] == [AlertKind.BREAKER_OPENED]


def test_what_a_hot_key_paid_beside_all_outcomes_is_counted_and_a_revert_counts_for_the_breaker() -> None:
    state = pipeline(MARKET, settings(MARKET, limits=RiskLimits(max_bid=Wei(10**24), breaker_failures=0)))
    before = state.gate.used.spent
    assert step(state, HotKeyUsed(ALICE, Wei(9), reverted=False, strange="")) == (), "membership's"
    stray, breaker = step(state, HotKeyUsed(ALICE, Wei(9), reverted=True, strange="a stray"))
    assert state.gate.used.spent == before + 18
    assert stray == RaiseAlert(AlertKind.STRAY_TRANSACTION, "a stray")
    assert isinstance(breaker, RaiseAlert)
    assert breaker.kind is AlertKind.BREAKER_OPENED
