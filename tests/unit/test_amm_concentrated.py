"""Concentrated liquidity: tick maths, the tick table, swaps, mints and burns."""

from __future__ import annotations

import pytest

from node.pipeline.amm import concentrated, sqrt_price_math, tick_bitmap
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import (
    AmmError,
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    LiquidityInvalid,
    PoolRevert,
    PoolStateInvalid,
    PriceLimitInvalid,
    SqrtPriceInvalid,
    TickInvalid,
)
from node.pipeline.amm.swap_math import compute_swap_step
from node.pipeline.amm.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from node.pipeline.amm.ticks import (
    add_liquidity_delta,
    empty_tick_table,
    max_liquidity_per_tick,
    table_with_position,
    tick_table,
)
from node.pipeline.amm.units import Q96, UINT128_MAX

LIQUIDITY = 2 * 10**18


@pytest.fixture
def pool() -> ConcentratedPool:
    """A pool at price one, with liquidity all over and twice as much near the price."""
    empty = concentrated.initialized_pool(3000, 60, Q96)
    wide, _, _ = concentrated.modify_position(empty, -887220, 887220, LIQUIDITY)
    return concentrated.modify_position(wide, -600, 600, LIQUIDITY)[0]


def test_the_ends_of_the_tick_range_are_those_of_the_contract() -> None:
    assert sqrt_ratio_at_tick(MIN_TICK) == MIN_SQRT_RATIO
    assert sqrt_ratio_at_tick(MAX_TICK) == MAX_SQRT_RATIO
    assert sqrt_ratio_at_tick(0) == Q96
    assert tick_at_sqrt_ratio(MIN_SQRT_RATIO) == MIN_TICK
    assert tick_at_sqrt_ratio(MAX_SQRT_RATIO - 1) == MAX_TICK - 1


@pytest.mark.parametrize("tick", [MIN_TICK - 1, MAX_TICK + 1])
def test_a_tick_outside_the_range_is_refused(tick: int) -> None:
    with pytest.raises(TickInvalid) as refusal:
        sqrt_ratio_at_tick(tick)

    assert refusal.value.code == "T"


@pytest.mark.parametrize("price", [0, MIN_SQRT_RATIO - 1, MAX_SQRT_RATIO])
def test_a_price_outside_the_range_has_no_tick(price: int) -> None:
    with pytest.raises(SqrtPriceInvalid) as refusal:
        tick_at_sqrt_ratio(price)

    assert refusal.value.code == "R"


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (lambda: sqrt_price_math.amount0_delta_rounding_up(0, Q96, 1), SqrtPriceInvalid),
        (lambda: sqrt_price_math.amount0_delta_rounding_down(Q96, 0, 1), SqrtPriceInvalid),
        (lambda: sqrt_price_math.sqrt_price_after_input(0, 1, 1, True), SqrtPriceInvalid),
        (lambda: sqrt_price_math.sqrt_price_after_output(Q96, 0, 1, True), InsufficientLiquidity),
        (lambda: sqrt_price_math.sqrt_price_after_output(Q96, 10, 10, True), InsufficientLiquidity),
        (lambda: sqrt_price_math.sqrt_price_after_output(Q96, 10, 10, False), InsufficientLiquidity),
        (lambda: sqrt_price_math.sqrt_price_after_output(Q96, UINT128_MAX, UINT128_MAX - 1, False), ArithmeticRevert),
        (lambda: sqrt_price_math.sqrt_price_after_input(Q96, 1, 1 << 200, False), ArithmeticRevert),
        (lambda: sqrt_price_math.sqrt_price_after_input(1, 1, (1 << 256) - 1, True), ArithmeticRevert),
    ],
)
def test_a_price_that_the_contract_refuses_to_move_is_refused(question: object, error: type[PoolRevert]) -> None:
    assert callable(question)
    with pytest.raises(error):
        question()


def test_nothing_in_or_out_leaves_the_price() -> None:
    assert sqrt_price_math.sqrt_price_after_input(Q96, 1, 0, True) == Q96
    assert sqrt_price_math.sqrt_price_after_output(Q96, 1, 0, False) == Q96
    assert sqrt_price_math.sqrt_price_after_output(Q96, 1, 0, True) == Q96


def test_an_input_whose_product_leaves_the_word_moves_the_price_by_the_rougher_formula() -> None:
    assert sqrt_price_math.sqrt_price_after_input(Q96, 1, (1 << 255) - 1, True) == 1


def test_amounts_between_two_prices_do_not_depend_on_their_order() -> None:
    low, high = Q96, Q96 * 2
    for amount in (
        sqrt_price_math.amount0_delta_rounding_up,
        sqrt_price_math.amount0_delta_rounding_down,
        sqrt_price_math.amount1_delta_rounding_up,
        sqrt_price_math.amount1_delta_rounding_down,
    ):
        assert amount(low, high, LIQUIDITY) == amount(high, low, LIQUIDITY)


@pytest.mark.parametrize(
    ("target", "remaining"), [(Q96 // 2, -(10**15)), (Q96 // 2, -(10**30)), (Q96 * 2, -(10**15)), (Q96 * 2, -(10**30))]
)
def test_a_step_for_an_exact_output_never_gives_more_than_was_asked_for(target: int, remaining: int) -> None:
    reached, amount_in, amount_out, fee = compute_swap_step(Q96, target, LIQUIDITY, remaining, 3000)

    assert amount_out <= -remaining
    assert (reached == target) == (amount_out < -remaining)
    assert fee == -(-amount_in * 3000 // 997000)


def test_a_tick_off_the_spacing_has_no_place_in_the_bitmap() -> None:
    with pytest.raises(TickInvalid):
        tick_bitmap.flip_tick({}, 61, 60)


def test_a_tick_flipped_twice_leaves_no_trace() -> None:
    assert tick_bitmap.flip_tick(tick_bitmap.flip_tick({}, -60, 60), -60, 60) == {}


def test_a_table_from_the_chain_ignores_ticks_without_liquidity() -> None:
    table = tick_table(60, {60: (5, -5), 0: (0, 0), -60: (5, 5)})

    assert dict(table.gross) == {-60: 5, 60: 5}
    assert table == table_with_position(empty_tick_table(60), -60, 60, 5)


@pytest.mark.parametrize(
    ("spacing", "liquidity"),
    [
        (0, {}),
        (32_768, {}),
        (60, {61: (1, 1)}),
        (1, {MAX_TICK + 1: (1, 1)}),
        (60, {60: (1, 2)}),
        (60, {60: (2, 1)}),
        (60, {60: (UINT128_MAX + 1, 0)}),
    ],
)
def test_a_table_that_cannot_be_true_is_refused(spacing: int, liquidity: dict[int, tuple[int, int]]) -> None:
    with pytest.raises(PoolStateInvalid):
        tick_table(spacing, liquidity)


@pytest.mark.parametrize(
    ("lower", "upper", "delta", "error", "code"),
    [
        (60, 60, 1, TickInvalid, "TLU"),
        (MIN_TICK - 8, 60, 1, TickInvalid, "TLM"),
        (60, MAX_TICK + 8, 1, TickInvalid, "TUM"),
        (61, 120, 1, TickInvalid, ""),
        (60, 120, -1, LiquidityInvalid, "LS"),
        (60, 120, max_liquidity_per_tick(60) + 1, LiquidityInvalid, "LO"),
        (60, 120, UINT128_MAX + 1, LiquidityInvalid, "LA"),
    ],
)
def test_a_position_that_the_pool_refuses_is_refused(
    lower: int, upper: int, delta: int, error: type[PoolRevert], code: str
) -> None:
    with pytest.raises(error) as refusal:
        table_with_position(empty_tick_table(60), lower, upper, delta)

    assert refusal.value.code == code


def test_the_greatest_liquidity_per_tick_is_that_of_the_contracts_own_test() -> None:
    assert max_liquidity_per_tick(10) == 1917569901783203986719870431555990
    assert max_liquidity_per_tick(60) == 11505743598341114571880798222544994
    assert max_liquidity_per_tick(200) == 38350317471085141830651933667504588


def test_liquidity_neither_falls_below_zero_nor_leaves_its_word() -> None:
    assert add_liquidity_delta(1, -1) == 0
    for liquidity, delta, code in ((0, -1, "LS"), (UINT128_MAX, 1, "LA")):
        with pytest.raises(LiquidityInvalid) as refusal:
            add_liquidity_delta(liquidity, delta)
        assert refusal.value.code == code


def test_a_position_that_is_all_burnt_leaves_no_tick(pool: ConcentratedPool) -> None:
    burnt, amount0, amount1 = concentrated.modify_position(pool, -600, 600, -LIQUIDITY)

    assert set(burnt.ticks.gross) == {-887220, 887220}
    assert burnt.liquidity == LIQUIDITY
    assert amount0 < 0 > amount1


def test_a_position_that_grows_flips_no_tick_again(pool: ConcentratedPool) -> None:
    grown, _, _ = concentrated.modify_position(pool, -600, 600, LIQUIDITY)

    assert grown.ticks.bitmap == pool.ticks.bitmap
    assert grown.ticks.gross[600] == 2 * LIQUIDITY
    assert grown.ticks.net[600] == -2 * LIQUIDITY


def test_a_mint_of_nothing_changes_nothing(pool: ConcentratedPool) -> None:
    assert concentrated.modify_position(pool, -600, 600, 0) == (pool, 0, 0)


@pytest.mark.parametrize(("lower", "upper", "pays"), [(60, 120, (True, False)), (-120, -60, (False, True))])
def test_a_position_beside_the_price_needs_one_token_only(
    pool: ConcentratedPool, lower: int, upper: int, pays: tuple[bool, bool]
) -> None:
    minted, amount0, amount1 = concentrated.modify_position(pool, lower, upper, 10**18)
    assert (amount0 > 0, amount1 > 0) == pays
    assert minted.liquidity == pool.liquidity

    burnt, back0, back1 = concentrated.modify_position(minted, lower, upper, -(10**18))
    assert burnt == pool
    assert (amount0 + back0, amount1 + back1) == (int(pays[0]), int(pays[1]))


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_swap_crosses_ticks_and_leaves_liquidity_behind(pool: ConcentratedPool, zero_for_one: bool) -> None:
    swapped = concentrated.swap(pool, zero_for_one, 10**18).after

    assert swapped.liquidity == LIQUIDITY
    assert (swapped.tick < -600) if zero_for_one else (swapped.tick >= 600)
    assert swapped.tick == tick_at_sqrt_ratio(swapped.sqrt_price_x96)


def test_a_swap_down_to_an_initialised_tick_leaves_it_to_the_right(pool: ConcentratedPool) -> None:
    swapped = concentrated.swap(pool, True, 10**24, sqrt_ratio_at_tick(-600)).after

    assert (swapped.tick, swapped.sqrt_price_x96) == (-601, sqrt_ratio_at_tick(-600))
    assert swapped.liquidity == LIQUIDITY
    # Back up over the same tick, though the price stands on it already.
    assert concentrated.swap(swapped, False, 10**15).after.liquidity == 2 * LIQUIDITY


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_swap_crosses_an_empty_range_for_nothing(zero_for_one: bool) -> None:
    pool = concentrated.initialized_pool(3000, 60, Q96)
    for lower, upper in ((-1200, -600), (600, 1200)):
        pool, _, _ = concentrated.modify_position(pool, lower, upper, LIQUIDITY)
    assert pool.liquidity == 0
    alone = concentrated.initialized_pool(3000, 60, sqrt_ratio_at_tick(-600 if zero_for_one else 600))
    position = (-1200, -600) if zero_for_one else (600, 1200)
    alone, _, _ = concentrated.modify_position(alone, *position, LIQUIDITY)

    swapped = concentrated.swap(pool, zero_for_one, 10**15)
    there = concentrated.swap(alone, zero_for_one, 10**15)

    assert (swapped.amount0, swapped.amount1) == (there.amount0, there.amount1)
    assert swapped.after.sqrt_price_x96 == there.after.sqrt_price_x96
    assert swapped.after.liquidity == LIQUIDITY
    with pytest.raises(InsufficientLiquidity):
        concentrated.quote_exact_out(pool, zero_for_one, 10**30)


def test_a_price_limit_fills_partly(pool: ConcentratedPool) -> None:
    taken, got = concentrated.quote_exact_in(pool, True, 10**24, Q96 - Q96 // 1000)
    cost, given = concentrated.quote_exact_out(pool, True, 10**24, Q96 - Q96 // 1000)

    assert 0 < taken < 10**24
    assert (cost, given) == (taken, got)


def test_an_output_beyond_the_liquidity_is_refused_without_a_limit(pool: ConcentratedPool) -> None:
    with pytest.raises(InsufficientLiquidity):
        concentrated.quote_exact_out(pool, True, 10**30)


def test_the_end_of_the_price_range_stops_a_swap(pool: ConcentratedPool) -> None:
    for zero_for_one, end in ((True, MIN_SQRT_RATIO + 1), (False, MAX_SQRT_RATIO - 1)):
        swap = concentrated.swap(pool, zero_for_one, 10**60)
        assert swap.after.sqrt_price_x96 == end
        assert swap.after.liquidity == 0


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_the_protocols_share_leaves_amounts_alone_and_lowers_the_fee_growth(
    pool: ConcentratedPool, zero_for_one: bool
) -> None:
    shared = ConcentratedPool(
        pool.fee_pips,
        pool.sqrt_price_x96,
        pool.tick,
        pool.liquidity,
        pool.ticks,
        fee_protocol0=4 if zero_for_one else 0,
        fee_protocol1=0 if zero_for_one else 4,
    )
    plain, taxed = (concentrated.swap(p, zero_for_one, 10**15) for p in (pool, shared))

    assert (plain.amount0, plain.amount1) == (taxed.amount0, taxed.amount1)
    assert taxed.protocol_fee == 3 * 10**12 // 4
    assert plain.protocol_fee == 0
    growth = "fee_growth_global0_x128" if zero_for_one else "fee_growth_global1_x128"
    assert 0 < getattr(taxed.after, growth) < getattr(plain.after, growth)


def test_fee_growth_wraps_around_its_word(pool: ConcentratedPool) -> None:
    full = ConcentratedPool(
        pool.fee_pips, pool.sqrt_price_x96, pool.tick, pool.liquidity, pool.ticks, (1 << 256) - 1, (1 << 256) - 1
    )
    gain = concentrated.swap(pool, True, 10**15).after.fee_growth_global0_x128

    assert concentrated.swap(full, True, 10**15).after.fee_growth_global0_x128 == gain - 1


@pytest.mark.parametrize("ask", [concentrated.quote_exact_in, concentrated.quote_exact_out, concentrated.swap])
def test_nothing_is_not_swapped(pool: ConcentratedPool, ask: object) -> None:
    assert callable(ask)
    with pytest.raises(InsufficientInput) as refusal:
        ask(pool, True, 0)

    assert refusal.value.code == "AS"


def test_a_negative_amount_is_neither_an_input_nor_an_output(pool: ConcentratedPool) -> None:
    for ask in (concentrated.quote_exact_in, concentrated.quote_exact_out):
        with pytest.raises(InsufficientInput):
            ask(pool, True, -1)


@pytest.mark.parametrize("amount", [1 << 255, -(1 << 255) - 1])
def test_an_amount_beyond_its_word_reverts(pool: ConcentratedPool, amount: int) -> None:
    with pytest.raises(ArithmeticRevert):
        concentrated.swap(pool, True, amount)


@pytest.mark.parametrize(
    ("zero_for_one", "limit"), [(True, Q96), (True, MIN_SQRT_RATIO), (False, Q96), (False, MAX_SQRT_RATIO)]
)
def test_a_price_limit_on_the_wrong_side_is_refused(pool: ConcentratedPool, zero_for_one: bool, limit: int) -> None:
    with pytest.raises(PriceLimitInvalid) as refusal:
        concentrated.swap(pool, zero_for_one, 1, limit)

    assert refusal.value.code == "SPL"


def test_a_fee_of_everything_is_no_pool() -> None:
    with pytest.raises(PoolStateInvalid):
        concentrated.initialized_pool(1_000_000, 60, Q96)


def test_liquidity_that_contradicts_the_ticks_is_noticed_when_crossed(pool: ConcentratedPool) -> None:
    lying = ConcentratedPool(pool.fee_pips, pool.sqrt_price_x96, pool.tick, 1, pool.ticks)

    with pytest.raises(AmmError):
        concentrated.swap(lying, True, 10**24)
