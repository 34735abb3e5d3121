"""Curve's plain pools."""

from __future__ import annotations

import pytest

from node.pipeline.amm import curve_stableswap
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from node.pipeline.amm.errors import ArithmeticRevert, NotConverged, PoolRevert, PoolStateInvalid, TokenInvalid

RATES = (10**18, 10**30)
POOL = CurvePool((10**24, 10**12), RATES, 200 * 100, 4_000_000, 5 * 10**9)
FIRST = CurvePool((10**24, 10**12), RATES, 200, 4_000_000, 5 * 10**9, 1, fee_after_rate=True)
SUPPLY = 2 * 10**24


@pytest.mark.parametrize("pool", [POOL, FIRST])
def test_a_pool_in_balance_trades_near_one_for_one_whatever_the_decimals(pool: CurvePool) -> None:
    assert 999_500_000 < curve_stableswap.get_dy(pool, 0, 1, 10**21) < 1_000_000_000
    assert 999_500 * 10**15 < curve_stableswap.get_dy(pool, 1, 0, 10**9) < 10**21


@pytest.mark.parametrize("pool", [POOL, FIRST])
def test_an_exchange_pays_what_the_quote_says_within_the_conversions_unit(pool: CurvePool) -> None:
    after, amount_out = curve_stableswap.exchange(pool, 0, 1, 10**21)

    assert 0 <= curve_stableswap.get_dy(pool, 0, 1, 10**21) - amount_out <= (1 if pool.fee_after_rate else 0)
    assert after.balances[0] == 10**24 + 10**21
    # Half of the fee of 0.04 percent leaves the pool with the output.
    assert 10**12 - after.balances[1] - amount_out == 10**9 * 4 // 20_000 - 1


@pytest.mark.parametrize("rule", list(ProductRule))
def test_all_rules_agree_on_the_invariant_within_rounding(rule: ProductRule) -> None:
    d = curve_stableswap.invariant(20_000, [10**24, 9 * 10**23], 100, rule)

    assert abs(d - curve_stableswap.invariant(20_000, [10**24, 9 * 10**23], 100, ProductRule.EACH)) <= 2
    assert 18 * 10**23 < d < 19 * 10**23


def test_the_balance_beside_the_others_is_found_again_from_the_invariant() -> None:
    balances = [15 * 10**23, 16 * 10**23, 14 * 10**23]
    d = curve_stableswap.invariant(1000 * 100, balances, 100, ProductRule.EACH)

    for place, balance in enumerate(balances):
        assert abs(curve_stableswap.balance_at_invariant(1000 * 100, place, balances, d, 100) - balance) <= 2


def test_an_empty_pool_has_no_invariant() -> None:
    assert curve_stableswap.invariant(20_000, [0, 0], 100, ProductRule.EACH) == 0


def test_pool_tokens_of_a_deposit_are_those_of_the_withdrawal() -> None:
    minted = curve_stableswap.calc_token_amount(POOL, [10**21, 10**9], SUPPLY, deposit=True)
    burnt = curve_stableswap.calc_token_amount(POOL, [10**21, 10**9], SUPPLY, deposit=False)

    assert minted == burnt == 2 * 10**21


def test_one_coin_of_a_withdrawal_pays_the_fee_of_a_trade() -> None:
    fair = curve_stableswap.calc_withdraw_one_coin(
        CurvePool(POOL.balances, RATES, POOL.amplification, 0), 1, 10**21, SUPPLY
    )
    charged = curve_stableswap.calc_withdraw_one_coin(POOL, 1, 10**21, SUPPLY)

    assert 999_000_000 < charged < fair < 10**9


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (lambda: curve_stableswap.get_dy(POOL, 0, 0, 1), TokenInvalid),
        (lambda: curve_stableswap.get_dy(POOL, 0, 2, 1), TokenInvalid),
        (lambda: curve_stableswap.get_dy(POOL, -1, 0, 1), TokenInvalid),
        (lambda: curve_stableswap.get_dy(POOL, 0, 1, 1 << 255), ArithmeticRevert),
        (lambda: curve_stableswap.calc_token_amount(POOL, [0, 10**13], SUPPLY, deposit=False), ArithmeticRevert),
        (lambda: curve_stableswap.calc_withdraw_one_coin(POOL, 2, 1, SUPPLY), TokenInvalid),
        (lambda: curve_stableswap.calc_withdraw_one_coin(POOL, 0, 1, 0), ArithmeticRevert),
        (lambda: curve_stableswap.calc_withdraw_one_coin(POOL, 0, SUPPLY + 1, SUPPLY), ArithmeticRevert),
        (lambda: curve_stableswap.invariant(20_000, [1, 0], 100, ProductRule.EACH), ArithmeticRevert),
    ],
)
def test_what_the_pool_refuses_is_refused(question: object, error: type[PoolRevert]) -> None:
    assert callable(question)
    with pytest.raises(error):
        question()


def test_a_pool_whose_pieces_do_not_fit_is_refused() -> None:
    with pytest.raises(PoolStateInvalid):
        curve_stableswap.get_dy(CurvePool((1, 1), (1,), 100, 0), 0, 1, 1)


def test_iterations_without_an_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_stableswap, "MAX_ROUNDS", 1)

    with pytest.raises(NotConverged):
        curve_stableswap.invariant(20_000, [10**24, 10**20], 100, ProductRule.EACH)
    with pytest.raises(NotConverged):
        curve_stableswap.balance_at_invariant(20_000, 0, [10**24, 10**20], 10**24, 100)
