"""Curve's meta, lending and crypto pools."""

from __future__ import annotations

import msgspec
import pytest

from node.pipeline.amm import curve_crypto, curve_crypto_ng, curve_lending, curve_meta, curve_stableswap
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    NotConverged,
    OutsideDomain,
    PoolStateInvalid,
    TokenInvalid,
)

BASE = CurvePool((10**24, 10**12, 10**12), (10**18, 10**30, 10**30), 2000, 4_000_000, 5 * 10**9, 1, True)
SUPPLY = 3 * 10**24
META = CurveMetaPool(
    CurvePool((10**23, 10**23), (10**18, 10**18), 20_000, 4_000_000, 5 * 10**9), BASE, SUPPLY, 101 * 10**16, 1000
)


def test_the_kept_virtual_price_counts_for_ten_minutes() -> None:
    own = curve_stableswap.virtual_price(BASE, SUPPLY)

    assert own == 10**18
    assert curve_meta.base_virtual_price(META, 1600) == 101 * 10**16
    assert curve_meta.base_virtual_price(META, 1601) == own


def test_an_exchange_renews_an_expired_price_and_pays_the_quote() -> None:
    kept, paid = curve_meta.exchange(META, 0, 1, 10**20, 1600)
    renewed, paid_later = curve_meta.exchange(META, 0, 1, 10**20, 1700)

    assert (kept.cache_updated, renewed.cache_updated) == (1000, 1700)
    assert renewed.cached_virtual_price == 10**18
    assert paid == curve_meta.get_dy(META, 0, 1, 10**20, 1600) < paid_later
    assert kept.pool.balances[0] == 10**23 + 10**20


@pytest.mark.parametrize(("index_in", "index_out"), [(0, 1), (0, 2), (1, 0), (3, 0), (1, 2), (3, 1)])
def test_underlying_coins_trade_near_one_for_one_and_as_quoted(index_in: int, index_out: int) -> None:
    units = (10**18, 10**18, 10**6, 10**6)
    amount = 100 * units[index_in]
    quoted = curve_meta.get_dy_underlying(META, index_in, index_out, amount, 5000)
    after, paid = curve_meta.exchange_underlying(META, index_in, index_out, amount, 5000)

    assert 99 * units[index_out] < paid < 100 * units[index_out]
    assert abs(quoted - paid) <= units[index_out] // 10
    assert after.base.balances != BASE.balances or index_in == index_out == 0


def test_a_deposit_of_a_base_coin_raises_the_supply_by_what_it_minted() -> None:
    after, _ = curve_meta.exchange_underlying(META, 1, 0, 10**20, 5000)
    minted = curve_stableswap.add_liquidity(BASE, [10**20, 0, 0], SUPPLY)[1]
    withdrawn, _ = curve_meta.exchange_underlying(META, 0, 1, 10**20, 5000)

    assert after.base_supply - SUPPLY == minted == after.pool.balances[1] - 10**23
    assert withdrawn.base_supply < SUPPLY


@pytest.mark.parametrize(("index_in", "index_out"), [(0, 0), (-1, 1), (0, 4)])
def test_coins_that_a_meta_pool_does_not_have_are_refused(index_in: int, index_out: int) -> None:
    with pytest.raises(TokenInvalid):
        curve_meta.get_dy_underlying(META, index_in, index_out, 1, 0)
    with pytest.raises(TokenInvalid):
        curve_meta.exchange_underlying(META, index_in, index_out, 1, 0)


def test_a_meta_pool_of_one_coin_contradicts_itself() -> None:
    alone = msgspec.structs.replace(META, pool=msgspec.structs.replace(META.pool, rates=(10**18,)))

    with pytest.raises(PoolStateInvalid):
        curve_meta.get_dy(alone, 0, 1, 1, 0)


def test_the_first_deposit_mints_the_invariant_and_needs_every_coin() -> None:
    empty = msgspec.structs.replace(BASE, balances=(0, 0, 0))

    after, minted = curve_stableswap.add_liquidity(empty, [10**18, 10**6, 10**6], 0)

    assert minted == 3 * 10**18
    assert after.balances == (10**18, 10**6, 10**6)
    for amounts in ([10**18, 0, 10**6], [1, 1]):
        with pytest.raises(InsufficientInput):
            curve_stableswap.add_liquidity(empty, amounts, 0)
    with pytest.raises(InsufficientInput):
        curve_stableswap.add_liquidity(BASE, [0, 0, 0], SUPPLY)


def test_amplification_moves_in_a_straight_line_either_way() -> None:
    assert curve_stableswap.ramped_amplification(100, 200, 0, 10, 5) == 150
    assert curve_stableswap.ramped_amplification(200, 100, 0, 10, 5) == 150
    assert curve_stableswap.ramped_amplification(200, 100, 0, 10, 10) == 100


RATE = curve_lending.compound_rate(1, 2 * 10**26, 10**9, 1000)
LENDING = CurveLendingPool(
    CurvePool(
        (5 * 10**15, 10**24),
        (RATE, curve_lending.vault_rate(1, 10**18)),
        900,
        4_000_000,
        5 * 10**9,
        1,
        True,
        ProductRule.EACH_PLUS_ONE,
    ),
    (1, 1),
)
AAVE = CurveLendingPool(
    CurvePool((10**24, 10**12), (10**18, 10**30), 20_000, 4_000_000, 5 * 10**9, 100, True, ProductRule.EACH_PLUS_ONE),
    (1, 10**12),
    2 * 10**10,
)


def test_a_lent_coin_is_worth_more_with_every_block() -> None:
    assert RATE == 2 * 10**26 + 2 * 10**20
    assert curve_lending.compound_rate(1, 2 * 10**26, 10**9, 2000) > RATE


def test_shares_and_lent_coins_are_paid_at_the_same_price() -> None:
    # 0.0000005 shares are worth about 100 coins.
    shares = curve_lending.get_dy(LENDING, 0, 1, 5 * 10**11)
    coins = curve_lending.get_dy_underlying(LENDING, 0, 1, 100 * 10**18)

    assert abs(shares - coins) < 10**16
    assert 99 * 10**18 < coins < 100 * 10**18


@pytest.mark.parametrize("lending", [LENDING, AAVE])
def test_an_exchange_of_shares_pays_the_quote_within_a_unit(lending: CurveLendingPool) -> None:
    after, paid = curve_lending.exchange(lending, 1, 0, lending.pool.balances[1] // 1000)

    assert abs(paid - curve_lending.get_dy(lending, 1, 0, lending.pool.balances[1] // 1000)) <= 1
    assert after.pool.balances[0] < lending.pool.balances[0] - paid + 1
    assert abs(after.pool.balances[1] * 1000 - lending.pool.balances[1] * 1001) <= 1000


def test_the_fee_of_an_aave_pool_grows_while_it_is_out_of_balance() -> None:
    crooked = msgspec.structs.replace(AAVE, pool=msgspec.structs.replace(AAVE.pool, balances=(10**24, 10**11)))
    flat = msgspec.structs.replace(crooked, offpeg_fee_multiplier=10**10)

    assert curve_lending.get_dy(crooked, 0, 1, 10**20) < curve_lending.get_dy(flat, 0, 1, 10**20)


def test_a_lending_pool_refuses_coins_that_it_has_not() -> None:
    for index_in, index_out in ((0, 0), (0, 2), (2, 0), (-1, 0)):
        with pytest.raises(TokenInvalid):
            curve_lending.get_dy(LENDING, index_in, index_out, 1)
    with pytest.raises(PoolStateInvalid):
        curve_lending.get_dy(msgspec.structs.replace(LENDING, precisions=(1,)), 0, 1, 1)


THREE = CryptoPool(
    (10**12, 10**9, 10**21),
    (10**12, 10**10, 1),
    (10**5 * 10**18, 10**3 * 10**18),
    3 * 10**24,
    1_707_629 * 10_000 // 100,
    11_809_167_828_997,
    3_000_000,
    30_000_000,
    500_000_000_000_000,
)
TWO = CryptoPool(
    (10**24, 10**21), (1, 1), (10**21,), 2 * 10**24, 400_000, 145 * 10**12, 26_000_000, 45_000_000, 230 * 10**12
)


@pytest.mark.parametrize(("pool", "out"), [(THREE, 10**19), (TWO, 10**16)])
def test_a_crypto_pool_in_balance_trades_near_its_own_price(pool: CryptoPool, out: int) -> None:
    last = len(pool.balances) - 1
    amount_in = pool.balances[0] // 100 if pool is THREE else pool.balances[0] // 10**5

    received = curve_crypto.get_dy(pool, 0, last, amount_in)
    returned = curve_crypto.get_dy(pool, last, 0, out)

    assert out * 98 // 100 < received < out
    assert amount_in * 98 // 100 < returned < amount_in


def test_a_crypto_pool_out_of_balance_takes_a_greater_fee() -> None:
    level, crooked = [10**24] * 3, [10**24, 10**24, 10**22]

    assert curve_crypto.swap_fee(THREE, level) == THREE.mid_fee
    assert THREE.mid_fee < curve_crypto.swap_fee(THREE, crooked) <= THREE.out_fee
    assert curve_crypto.swap_fee(TWO, level[:2]) == TWO.mid_fee
    assert curve_crypto.reduction_coefficient(level, 0) == 10**18


def test_a_crypto_pool_refuses_what_its_contract_refuses() -> None:
    for index_in, index_out in ((0, 0), (0, 3), (-1, 0)):
        with pytest.raises(TokenInvalid):
            curve_crypto.get_dy(THREE, index_in, index_out, 1)
    with pytest.raises(InsufficientInput):
        curve_crypto.get_dy(THREE, 0, 1, 0)
    with pytest.raises(OutsideDomain):
        curve_crypto.get_dy(THREE, 0, 1, 10**20)
    for change in ({"amplification": 1}, {"gamma": 1}, {"d": 1}, {"d": 10**30}):
        with pytest.raises(OutsideDomain):
            curve_crypto.get_dy(msgspec.structs.replace(THREE, **change), 0, 1, 10**6)
    with pytest.raises(PoolStateInvalid):
        curve_crypto.get_dy(msgspec.structs.replace(THREE, price_scale=(1,)), 0, 1, 1)


def test_a_balance_that_is_never_reached_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_crypto, "MAX_ROUNDS", 0)

    with pytest.raises(NotConverged):
        curve_crypto.get_dy(THREE, 0, 1, 10**6)


def test_a_slope_that_turns_negative_halves_the_guess() -> None:
    far = curve_crypto.newton_y(THREE.amplification, THREE.gamma, [10**25, 10**24, 10**24], 3 * 10**24, 2, 10_000)

    assert 0 < far < 10**24


def test_a_pool_that_solves_in_closed_form_pays_what_newton_would_within_a_unit() -> None:
    for index_in, index_out, amount in ((0, 1, 10**9), (1, 2, 10**7), (2, 0, 10**19), (0, 2, 10**10)):
        closed = curve_crypto_ng.get_dy(THREE, index_in, index_out, amount)

        assert abs(closed - curve_crypto.get_dy(THREE, index_in, index_out, amount)) <= closed // 10**9 + 1


def test_a_closed_form_refuses_what_its_contract_refuses() -> None:
    with pytest.raises(PoolStateInvalid):
        curve_crypto_ng.get_dy(TWO, 0, 1, 1)
    with pytest.raises(TokenInvalid):
        curve_crypto_ng.get_dy(THREE, 0, 0, 1)
    for change in ({"amplification": 1}, {"gamma": 1}, {"d": 1}, {"d": 10**30}):
        with pytest.raises(OutsideDomain):
            curve_crypto_ng.get_dy(msgspec.structs.replace(THREE, **change), 0, 1, 10**6)


@pytest.mark.parametrize(
    ("coefficients", "refused"),
    [((1, 0, 1, 1), True), ((1, 1 << 200, 1 << 255, 1), True), ((1, 1, 0, 0), False)],
)
def test_a_cubic_without_a_root_is_left_to_newton_or_refused(
    coefficients: tuple[int, ...], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (THREE.amplification, THREE.gamma, [10**24] * 3, THREE.d, 0)
    newton = curve_crypto.newton_y(*arguments, 10_000)
    monkeypatch.setattr(curve_crypto_ng, "_polynomial", lambda *_: coefficients)
    if refused:
        with pytest.raises((ArithmeticRevert, OutsideDomain)):
            curve_crypto_ng.closed_form_y(*arguments)
    else:
        assert curve_crypto_ng.closed_form_y(*arguments) == newton


def test_cube_roots_keep_eighteen_decimals_at_every_size() -> None:
    assert curve_crypto_ng.cube_root(0) == 0
    assert curve_crypto_ng.cube_root(27 * 10**18) == 3 * 10**18
    assert curve_crypto_ng.cube_root(8 * 10**45) // 10**15 == 2 * 10**12
    assert curve_crypto_ng.cube_root(10**72) // 10**26 == 10**10


def test_a_meta_pool_without_a_supply_below_it_has_no_price() -> None:
    with pytest.raises(ArithmeticRevert):
        curve_meta.base_virtual_price(msgspec.structs.replace(META, base_supply=0), 10**6)


def test_where_the_closed_form_has_no_root_newtons_method_takes_the_gammas_that_its_own_contract_takes() -> None:
    """Arguments and answer of the contract's own get_y (CurveCryptoMathOptimized3)."""
    xp = [331061347884887743548882944, 144336977568333967277424640, 4787596714013565380460544]
    arguments = (89349621, 35555300002297708, xp, 412081463700706020259004416, 1)
    assert curve_crypto_ng.closed_form_y(*arguments) == 241842255890689555280270187
    with pytest.raises(OutsideDomain):
        curve_crypto.newton_y(*arguments, curve_crypto_ng.A_MULTIPLIER)
