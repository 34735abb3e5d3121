"""Quotes by a ladder of whole ranges are the very integers of the pool's own loop."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.pipeline.amm import ladder
from node.pipeline.amm.concentrated import ConcentratedPool, initialized_pool, modify_position, quote_exact_in, swap
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.ladder import MAX_LADDERS, Quotes
from node.pipeline.amm.tick_bitmap import next_initialized_tick_within_one_word
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick

SPACING = 10
FEES = (0, 100, 500, 3_000, 999_999)
POSITIONS = st.lists(
    st.tuples(st.integers(-300, 300), st.integers(1, 200), st.integers(1, 10**24)), min_size=1, max_size=6
)


def loop(pool: ConcentratedPool, zero_for_one: bool, amount_in: int) -> tuple[int, int]:
    """(taken, given) by the pool's own loop, which a swap always runs."""
    done = swap(pool, zero_for_one, amount_in)
    return (done.amount0, -done.amount1) if zero_for_one else (done.amount1, -done.amount0)


def pool_with(positions: list[tuple[int, int, int]], fee: int, tick: int) -> ConcentratedPool:
    pool = initialized_pool(fee, SPACING, sqrt_ratio_at_tick(tick) + 12_345)
    for lower, width, liquidity in positions:
        pool, _, _ = modify_position(pool, lower * SPACING, (lower + width) * SPACING, liquidity)
    return pool


@given(POSITIONS, st.sampled_from(FEES), st.integers(-2_500, 2_500), st.booleans(), st.data())
def test_every_amount_buys_what_the_loop_gives(
    positions: list[tuple[int, int, int]], fee: int, tick: int, zero_for_one: bool, data: st.DataObject
) -> None:
    pool = pool_with(positions, fee, tick)
    for _ in range(4):
        amounts = data.draw(st.lists(st.integers(1, 10**27), min_size=1, max_size=4))
        for amount in amounts:
            try:
                expected = loop(pool, zero_for_one, amount)
            except AmmError as error:
                with pytest.raises(type(error)):
                    quote_exact_in(pool, zero_for_one, amount)
            else:
                assert quote_exact_in(pool, zero_for_one, amount) == expected
        # the next state shares the table, and with it the ladders
        try:
            pool = swap(pool, data.draw(st.booleans()), data.draw(st.integers(1, 10**24))).after
        except AmmError:
            return


@given(POSITIONS, st.sampled_from(FEES), st.integers(-2_500, 2_500), st.booleans())
def test_at_the_border_of_each_range_not_a_unit_is_off(
    positions: list[tuple[int, int, int]], fee: int, tick: int, zero_for_one: bool
) -> None:
    pool = pool_with(positions, fee, tick)
    start, spent = pool, 0
    for _ in range(6):  # what each stop costs, by the loop itself
        done = swap(pool, zero_for_one, 10**60, next_stop(pool, zero_for_one))
        spent += done.amount0 if zero_for_one else done.amount1
        for amount in (spent - 1, spent, spent + 1):
            if amount > 0:
                assert quote_exact_in(start, zero_for_one, amount) == loop(start, zero_for_one, amount)
        pool = done.after


def next_stop(pool: ConcentratedPool, zero_for_one: bool) -> int:
    """The price at which the pool's own loop ends its next step."""
    stop, _ = next_initialized_tick_within_one_word(pool.ticks.bitmap, pool.tick, SPACING, zero_for_one)
    return sqrt_ratio_at_tick(stop)


def test_a_table_keeps_few_ladders_and_none_is_part_of_the_state() -> None:
    pool = pool_with([(-300, 600, 10**22)], 500, 0)
    same = pool_with([(-300, 600, 10**22)], 500, 0)
    for fee in range(2 * MAX_LADDERS):  # a pool whose fee moves has a ladder for each
        other = msgspec.structs.replace(pool, fee_pips=fee)
        assert quote_exact_in(other, True, 10**21) == loop(other, True, 10**21)
        assert len(pool.ticks.ladders) == min(fee + 1, MAX_LADDERS)
    quote_exact_in(pool, True, 10**21)
    assert pool == same
    assert repr(pool) == repr(same)


def test_beyond_so_many_stops_the_loop_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "MAX_STOPS", 2)
    pool = pool_with([(-300, 600, 10**22)], 500, 0)
    quotes = Quotes(pool.ticks, pool.tick, pool.sqrt_price_x96, pool.liquidity, pool.fee_pips, zero_for_one=True)
    assert quotes.amount_out(10**30) is None
    assert quotes.amount_out(10**15) == loop(pool, True, 10**15)[1]
    taken, given_out = loop(pool, True, 10**30)
    assert taken < 10**30, "the pool ends"
    assert quote_exact_in(pool, True, 10**30) == (taken, given_out)


def test_where_there_is_no_liquidity_the_loop_is_asked() -> None:
    pool = initialized_pool(500, SPACING, sqrt_ratio_at_tick(0))
    assert pool.quotes_up.amount_out(1) is None
    assert quote_exact_in(pool, False, 1) == (0, 0)
