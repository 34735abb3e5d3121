"""Balancer V2: fixed point, weighted and stable pools."""

from __future__ import annotations

import pytest

from node.pipeline.amm import balancer_fixed_point as fixed_point
from node.pipeline.amm import balancer_log_exp as log_exp
from node.pipeline.amm import balancer_stable, weighted
from node.pipeline.amm.balancer_fixed_point import FOUR, ONE, TWO, PowVersion
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from node.pipeline.amm.errors import (
    AmmError,
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    NotConverged,
    OutsideDomain,
    PoolRevert,
    PoolStateInvalid,
    TokenInvalid,
    TradeTooLarge,
)
from node.pipeline.amm.units import UINT112_MAX, UINT256_MAX
from node.pipeline.amm.weighted import WeightedPool, weighted_pool

WEIGHTED = weighted_pool([10**24, 10**12], [8 * 10**17, 2 * 10**17], [18, 6], 3 * 10**15)
STABLE = BalancerStablePool((10**24, 2**111, 11 * 10**11), (ONE, ONE, ONE * 10**12), 200_000, 4 * 10**14, bpt_index=1)


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (lambda: fixed_point.add(UINT256_MAX, 1), "BAL#000"),
        (lambda: fixed_point.sub(0, 1), "BAL#001"),
        (lambda: fixed_point.mul_down(1 << 128, 1 << 128), "BAL#003"),
        (lambda: fixed_point.mul_up(1 << 128, 1 << 128), "BAL#003"),
        (lambda: fixed_point.div_down(1, 0), "BAL#004"),
        (lambda: fixed_point.div_up(0, 0), "BAL#004"),
        (lambda: fixed_point.div_down(1 << 200, 1), "BAL#005"),
        (lambda: fixed_point.div_up(1 << 200, 1), "BAL#005"),
        (lambda: log_exp.power(1 << 255, ONE), "BAL#006"),
        (lambda: log_exp.power(TWO, log_exp.MILD_EXPONENT_BOUND), "BAL#007"),
        (lambda: log_exp.power(TWO, 200 * ONE), "BAL#008"),
        (lambda: log_exp.power(ONE // 2, 200 * ONE), "BAL#008"),
        (lambda: log_exp.exponential(131 * ONE), "BAL#009"),
        (lambda: log_exp.exponential(-42 * ONE), "BAL#009"),
        (lambda: log_exp.natural_logarithm(0), "BAL#100"),
        (lambda: log_exp.logarithm(0, TWO), "BAL#100"),
        (lambda: log_exp.logarithm(TWO, ONE), ""),
        (lambda: weighted.invariant_rounding_down([ONE], [0], PowVersion.V1), "BAL#311"),
        (lambda: balancer_stable.invariant_rounding_down(200_000, [1, 0]), "BAL#004"),
        (lambda: balancer_stable.invariant_rounding_down(200_000, [1 << 200, 1]), "BAL#003"),
        (lambda: balancer_stable.balance_rounding_up(200_000, [1, 1], 0, 0), "BAL#004"),
    ],
)
def test_the_contracts_refusals_carry_its_codes(question: object, code: str) -> None:
    assert callable(question)
    with pytest.raises(PoolRevert) as refusal:
        question()

    assert refusal.value.code == code


def test_the_logarithm_domain_is_an_error_of_its_own() -> None:
    with pytest.raises(OutsideDomain):
        log_exp.natural_logarithm(-1)
    with pytest.raises(ArithmeticRevert):
        log_exp.logarithm(TWO, ONE)


def test_zero_to_the_power_of_zero_is_one() -> None:
    assert log_exp.power(0, 0) == ONE
    assert log_exp.power(0, ONE) == 0


def test_the_logarithm_changes_sign_below_one() -> None:
    assert log_exp.natural_logarithm(ONE // 2) == -log_exp.natural_logarithm(TWO)
    assert log_exp.natural_logarithm(95 * ONE // 100) == -51293294387550533
    assert log_exp.logarithm(8 * ONE, TWO) == 3 * ONE + 1
    assert log_exp.logarithm(ONE // 2, TWO) == -ONE
    assert log_exp.logarithm(ONE // 4, ONE // 2) > 0


def test_powers_span_the_table_of_the_contract() -> None:
    assert log_exp.exponential(0) == ONE
    assert log_exp.exponential(ONE) == 2718281828459045235
    for exponent in (-41, -1, 1, 63, 64, 127, 128, 130):
        result = log_exp.exponential(exponent * ONE)
        back = log_exp.natural_logarithm(result)
        assert abs(back - exponent * ONE) < (ONE if exponent == -41 else 10**6)


@pytest.mark.parametrize("exponent", [ONE, TWO, FOUR])
def test_a_later_pool_multiplies_small_exponents_out(exponent: int) -> None:
    base = 7 * ONE // 10
    exact = base ** (exponent // ONE) // ONE ** (exponent // ONE - 1)

    assert fixed_point.pow_down(base, exponent, PowVersion.V2) == exact
    assert fixed_point.pow_up(base, exponent, PowVersion.V2) == exact
    assert fixed_point.pow_down(base, exponent, PowVersion.V1) < exact
    assert fixed_point.pow_up(base, exponent, PowVersion.V1) > exact


def test_a_power_too_small_for_its_error_rounds_down_to_zero() -> None:
    assert fixed_point.pow_down(1, 987 * 10**15, PowVersion.V2) == 0


def test_scaling_lifts_every_token_to_18_decimals() -> None:
    assert weighted.scaling_factor(18) == ONE
    assert weighted.scaling_factor(6) == ONE * 10**12
    with pytest.raises(PoolStateInvalid):
        weighted.scaling_factor(19)


@pytest.mark.parametrize(
    ("balances", "weights", "decimals", "fee"),
    [
        ([1], [ONE], [18], 0),
        ([1, 1], [ONE // 2], [18, 18], 0),
        ([1, 1], [ONE, 0], [18, 18], 0),
        ([1, 1], [ONE, ONE], [18, 18], 0),
        ([1, -1], [ONE // 2, ONE // 2], [18, 18], 0),
        ([1, 1], [ONE // 2, ONE // 2], [18, 18], ONE),
    ],
)
def test_a_weighted_pool_that_cannot_be_is_refused(
    balances: list[int], weights: list[int], decimals: list[int], fee: int
) -> None:
    with pytest.raises(PoolStateInvalid):
        weighted_pool(balances, weights, decimals, fee)


def test_a_weighted_swap_moves_the_whole_input_into_the_pool() -> None:
    after, amount_out = weighted.swap_exact_in(WEIGHTED, 0, 1, 10**21)
    assert after.balances == (10**24 + 10**21, 10**12 - amount_out)

    after, amount_in = weighted.swap_exact_out(WEIGHTED, 1, 0, 10**21)
    assert after.balances == (10**24 - 10**21, 10**12 + amount_in)


@pytest.mark.parametrize(
    ("question", "error", "code"),
    [
        (lambda: weighted.quote_exact_in(WEIGHTED, 1, 0, 10**12 // 2), TradeTooLarge, "BAL#304"),
        (lambda: weighted.quote_exact_out(WEIGHTED, 0, 1, 10**12 // 2), TradeTooLarge, "BAL#305"),
        (lambda: weighted.quote_exact_in(WEIGHTED, 0, 0, 1), TokenInvalid, "BAL#509"),
        (lambda: weighted.quote_exact_in(WEIGHTED, 0, 2, 1), TokenInvalid, "BAL#521"),
        (lambda: weighted.quote_exact_out(WEIGHTED, -1, 0, 1), TokenInvalid, "BAL#521"),
        (lambda: weighted.quote_exact_in(WEIGHTED, 0, 1, 0), InsufficientInput, "BAL#510"),
    ],
)
def test_what_a_weighted_pool_refuses_is_refused(question: object, error: type[PoolRevert], code: str) -> None:
    assert callable(question)
    with pytest.raises(error) as refusal:
        question()

    assert refusal.value.code == code


def test_a_balance_beyond_the_vaults_word_is_refused() -> None:
    full = WeightedPool((UINT112_MAX, 10**12), WEIGHTED.weights, WEIGHTED.scaling_factors, WEIGHTED.swap_fee)

    with pytest.raises(ArithmeticRevert):
        weighted.swap_exact_in(full, 0, 1, 10**24)


def test_the_vault_cannot_pay_more_than_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighted, "quote_exact_in", lambda *_: 10**13)

    with pytest.raises(InsufficientLiquidity):
        weighted.swap_exact_in(WEIGHTED, 0, 1, 10**18)


@pytest.mark.parametrize("version", list(InvariantVersion))
def test_a_stable_swap_trades_near_one_for_one_whatever_the_decimals(version: InvariantVersion) -> None:
    pool = BalancerStablePool(
        STABLE.balances, STABLE.scaling_factors, STABLE.amplification, STABLE.swap_fee, 1, version
    )

    amount_out = balancer_stable.quote_exact_in(pool, 0, 2, 10**21)
    assert 999_000_000 < amount_out < 1_001_000_000
    amount_in = balancer_stable.quote_exact_out(pool, 0, 2, amount_out)
    assert 0 <= 10**21 - amount_in < 10**15


def test_the_weighted_invariant_is_the_weighted_mean_of_equal_balances() -> None:
    half = ONE // 2

    invariant = weighted.invariant_rounding_down([half, half], [7 * ONE, 7 * ONE], PowVersion.V2)

    assert 0 < 7 * ONE - invariant < 10**6


def test_an_empty_stable_pool_has_no_invariant() -> None:
    assert balancer_stable.invariant_rounding_down(200_000, [0, 0]) == 0
    assert balancer_stable.invariant_by_product(200_000, [0, 0], rounding_up=True) == 0


@pytest.mark.parametrize(
    ("index_in", "index_out", "amount", "error"),
    [(0, 0, 1, TokenInvalid), (0, 3, 1, TokenInvalid), (0, 1, 1, TokenInvalid), (0, 2, 0, InsufficientInput)],
)
def test_what_a_stable_pool_refuses_is_refused(
    index_in: int, index_out: int, amount: int, error: type[AmmError]
) -> None:
    for ask in (balancer_stable.quote_exact_in, balancer_stable.quote_exact_out):
        with pytest.raises(error):
            ask(STABLE, index_in, index_out, amount)


def test_a_stable_pool_whose_pieces_do_not_fit_is_refused() -> None:
    with pytest.raises(PoolStateInvalid):
        balancer_stable.quote_exact_in(BalancerStablePool((1, 1), (ONE,), 200_000, 0), 0, 1, 1)


def test_iterations_without_an_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer_stable, "MAX_ROUNDS", 1)
    balances = [10**24, 10**18]

    with pytest.raises(NotConverged, match="BAL#321"):
        balancer_stable.invariant_rounding_down(200_000, balances)
    with pytest.raises(NotConverged, match="BAL#321"):
        balancer_stable.invariant_by_product(200_000, balances, rounding_up=True)
    with pytest.raises(NotConverged, match="BAL#322"):
        balancer_stable.balance_rounding_up(200_000, balances, 10**24, 1)


def test_a_stable_pool_quotes_nothing_that_the_vault_could_not_keep() -> None:
    pool = BalancerStablePool((UINT112_MAX - 10**6, UINT112_MAX), (ONE, ONE), 500_000, 4 * 10**14)
    assert balancer_stable.quote_exact_in(pool, 0, 1, 10**6) > 0
    with pytest.raises(ArithmeticRevert, match="BAL#526"):
        balancer_stable.quote_exact_in(pool, 0, 1, 10**6 + 1)
    with pytest.raises(ArithmeticRevert, match="BAL#526"):
        balancer_stable.quote_exact_out(pool, 0, 1, 10**20)


def test_a_weighted_pool_quotes_nothing_that_the_vault_could_not_keep() -> None:
    pool = WeightedPool((UINT112_MAX - 10**30, 10**33), (6 * 10**17, 4 * 10**17), (ONE, ONE), 25 * 10**14)
    assert weighted.quote_exact_in(pool, 0, 1, 10**30) > 0
    with pytest.raises(ArithmeticRevert, match="BAL#526"):
        weighted.quote_exact_in(pool, 0, 1, 10**30 + 1)
    with pytest.raises(ArithmeticRevert, match="BAL#526"):
        weighted.quote_exact_out(pool, 0, 1, 10**31)
