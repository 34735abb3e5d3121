"""Solidly's pairs and Camelot's stable curve."""

from __future__ import annotations

import pytest

from node.pipeline.amm import camelot, solidly
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.errors import (
    AmmError,
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    InsufficientOutput,
    InvariantViolated,
    NotConverged,
)
from node.pipeline.amm.solidly import ONE, SolidlyPool

VOLATILE = SolidlyPool(10**21, 2 * 10**21, fee=30)
STABLE = SolidlyPool(10**24, 10**12, fee=5, stable=True, unit0=10**18, unit1=10**6)
CAMELOT = CamelotStablePool(10**24, 10**12, fee0=40, fee1=80, unit0=10**18, unit1=10**6)


def test_a_volatile_pair_takes_the_fee_off_first() -> None:
    less_fee = 10**18 - 10**18 * 30 // 10_000

    assert solidly.quote_exact_in(VOLATILE, True, 10**18) == less_fee * 2 * 10**21 // (10**21 + less_fee)
    assert solidly.quote_exact_in(VOLATILE, False, 10**18) == less_fee * 10**21 // (2 * 10**21 + less_fee)


def test_a_stable_pair_in_balance_trades_near_one_for_one_whatever_the_decimals() -> None:
    assert 999_400 < solidly.quote_exact_in(STABLE, True, 10**18) < 999_501
    assert 999_400 * 10**12 < solidly.quote_exact_in(STABLE, False, 10**6) < 999_501 * 10**12


def test_nothing_buys_nothing_and_less_than_nothing_is_refused() -> None:
    assert solidly.quote_exact_in(VOLATILE, True, 0) == 0
    with pytest.raises(InsufficientInput):
        solidly.quote_exact_in(VOLATILE, True, -1)


def test_an_empty_pool_reverts_as_the_division_by_zero_that_it_is() -> None:
    for stable in (False, True):
        with pytest.raises(ArithmeticRevert):
            solidly.quote_exact_in(SolidlyPool(0, 0, 30, stable=stable), True, 0)


@pytest.mark.parametrize("pool", [VOLATILE, STABLE])
@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_swap_lets_the_fee_leave_the_reserves(pool: SolidlyPool, zero_for_one: bool) -> None:
    amount_in = 10**18 if zero_for_one else 10**9
    after, amount_out = solidly.swap_exact_in(pool, zero_for_one, amount_in)

    less_fee = amount_in - amount_in * pool.fee // pool.fee_scale
    moved = (less_fee, -amount_out) if zero_for_one else (-amount_out, less_fee)
    assert (after.reserve0 - pool.reserve0, after.reserve1 - pool.reserve1) == moved


def test_a_swap_for_nothing_is_refused() -> None:
    with pytest.raises(InsufficientOutput):
        solidly.swap_exact_in(STABLE, True, 1)


def test_a_quote_that_would_break_the_curve_is_refused_by_the_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solidly, "quote_exact_in", lambda *_: 10**20)

    with pytest.raises(InvariantViolated):
        solidly.swap_exact_in(VOLATILE, True, 10**18)


def test_the_smallest_input_of_a_volatile_output_is_exact() -> None:
    amount_in = solidly.quote_exact_out_volatile(VOLATILE, True, 10**18)

    assert solidly.quote_exact_in(VOLATILE, True, amount_in) >= 10**18
    assert solidly.quote_exact_in(VOLATILE, True, amount_in - 1) < 10**18


@pytest.mark.parametrize(
    ("amount_out", "error"),
    [(0, InsufficientOutput), (2 * 10**21, InsufficientLiquidity), (3 * 10**21, InsufficientLiquidity)],
)
def test_an_output_that_a_volatile_pair_cannot_give_is_refused(amount_out: int, error: type[AmmError]) -> None:
    with pytest.raises(error):
        solidly.quote_exact_out_volatile(VOLATILE, True, amount_out)


@pytest.mark.parametrize(
    "overflowing",
    [
        lambda: solidly.less_fee_rounding_up(1 << 255, 30, 10_000),
        lambda: solidly.volatile_out_rounding_down(1 << 255, 1, 4),
        lambda: solidly.stable_curve(1 << 100, 1 << 100),
        lambda: solidly.stable_curve(1 << 129, 0),
        lambda: solidly.stable_slope(1 << 120, 1 << 120),
        lambda: solidly.newton_step(1 << 255, ONE, ONE),
        lambda: solidly.newton_step(1, 0, 0),
        lambda: camelot.stable_curve(1 << 110, 1 << 110),
        lambda: solidly.checked_difference(1, 2),
    ],
)
def test_a_word_that_overflows_reverts(overflowing: object) -> None:
    assert callable(overflowing)
    with pytest.raises(ArithmeticRevert):
        overflowing()


def test_the_balance_beside_another_holds_the_invariant() -> None:
    invariant = solidly.stable_curve(3 * 10**24, 2 * 10**24)

    found = solidly.stable_balance(3 * 10**24, invariant, 10**24, ONE, ONE)

    assert solidly.stable_curve(3 * 10**24, found) >= invariant
    assert abs(found - 2 * 10**24) <= 1


def test_an_iteration_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solidly, "MAX_ROUNDS", 1)
    monkeypatch.setattr(camelot, "MAX_ROUNDS", 1)

    with pytest.raises(NotConverged) as refusal:
        solidly.stable_balance(10**18, 10**20, 10**18, ONE, ONE)

    assert refusal.value.code == "!y"
    # Camelot's contract returns the last value instead.
    assert camelot.stable_balance(10**18, 10**20, 10**18) > 10**18


def test_camelot_has_a_fee_for_each_direction() -> None:
    assert 999_500 < camelot.quote_exact_in(CAMELOT, True, 10**18) < 999_601
    assert 999_100 * 10**12 < camelot.quote_exact_in(CAMELOT, False, 10**6) < 999_201 * 10**12


def test_camelot_refuses_nothing_and_an_empty_pool() -> None:
    with pytest.raises(InsufficientInput):
        camelot.quote_exact_in(CAMELOT, True, 0)
    for reserves in ((0, 1), (1, 0)):
        with pytest.raises(InsufficientLiquidity):
            camelot.quote_exact_in(CamelotStablePool(*reserves, 1, 1, ONE, ONE), True, 1)


def test_a_balance_is_approached_one_by_one_where_the_slope_hides_the_distance() -> None:
    # Here an error of the invariant is smaller than the slope, and the next balance still does not reach it.
    x, y = 53919232705712400, 916296555565831159808
    invariant = solidly.stable_curve(x, y) + 1

    found = solidly.stable_balance(x, invariant, y - 3, ONE, ONE)

    assert solidly.stable_curve(x, found) >= invariant > solidly.stable_curve(x, found - 1)
