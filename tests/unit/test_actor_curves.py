"""The pools' formulas, against real mainnet quotes where they are at hand and against each other."""

from __future__ import annotations

import pytest

from devnet.actors import curves
from devnet.actors.curves import CannotQuote
from tests.actors_scene import ETHER, Q96


def test_constant_product_is_uniswaps_rounding() -> None:
    # UniswapV2Library's own test vectors (v2-periphery, UniswapV2Router01.spec.ts): getAmountOut(2, 100, 100) = 1.
    assert curves.constant_product_out(2, 100, 100, 3000) == 1
    assert curves.constant_product_in(1, 100, 100, 3000) == 2


def test_what_is_bought_costs_what_was_quoted() -> None:
    reserves = 10**24, 3 * 10**12
    wanted = 10**9
    paid = curves.constant_product_in(wanted, *reserves, 3000)
    assert curves.constant_product_out(paid, *reserves, 3000) >= wanted
    assert curves.constant_product_out(paid - 1, *reserves, 3000) < wanted


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_concentrated_pool_is_a_constant_product_of_its_virtual_reserves(zero_for_one: bool) -> None:
    liquidity, price = 10**24, 57 * Q96
    first, second = curves.virtual_reserves(price, liquidity)
    into, out = (first, second) if zero_for_one else (second, first)
    amount = into // 500
    given, after = curves.concentrated_step(price, liquidity, amount, zero_for_one, 500)
    assert abs(given - curves.constant_product_out(amount, into, out, 500)) <= 1 + given // 10**9
    assert (after < price) == zero_for_one


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_concentrated_purchase_costs_at_least_what_its_sale_needs(zero_for_one: bool) -> None:
    liquidity, price, wanted = 10**24, 3 * Q96, 10**20
    paid = curves.concentrated_in(price, liquidity, wanted, zero_for_one, 3000)
    assert curves.concentrated_step(price, liquidity, paid, zero_for_one, 3000)[0] >= wanted
    assert curves.concentrated_step(price, liquidity, paid - 10, zero_for_one, 3000)[0] <= wanted


def test_equal_weights_are_a_constant_product() -> None:
    balances = 4 * 10**24, 10**21
    half = ETHER // 2
    given = curves.weighted_out(10**22, balances, (half, half), 3000)
    assert abs(given - curves.constant_product_out(10**22, *balances, 3000)) < given // 10**8
    assert curves.weighted_out(
        curves.weighted_in(given, balances, (half, half), 3000), balances, (half, half), 3000
    ) >= (given - given // 10**8)


def test_a_balanced_stable_pool_trades_near_one_to_one_and_never_better() -> None:
    balances = (10**24, 10**24, 10**24)
    given = curves.stable_out(10**21, 0, 1, balances, 500_000, 400)
    assert 10**21 * 9994 // 10_000 < given < 10**21 * 9996 // 10_000


def test_an_unbalanced_stable_pool_pays_more_for_what_it_lacks() -> None:
    balances = (10**23, 10**24)
    assert (
        curves.stable_out(10**21, 0, 1, balances, 100_000, 0)
        > 10**21
        > (curves.stable_out(10**21, 1, 0, balances, 100_000, 0))
    )


def test_what_a_pool_cannot_give_is_not_quoted() -> None:
    half = ETHER // 2
    for quote in (
        lambda: curves.constant_product_out(0, 5, 5, 3000),
        lambda: curves.constant_product_out(5, 0, 5, 3000),
        lambda: curves.constant_product_in(5, 5, 5, 3000),
        lambda: curves.concentrated_step(Q96, 0, 5, True, 500),
        lambda: curves.concentrated_in(Q96, 10**6, 10**6, True, 500),
        lambda: curves.concentrated_in(Q96, 10**6, 10**6, False, 500),
        lambda: curves.weighted_out(5, (0, 5), (half, half), 3000),
        lambda: curves.weighted_in(5, (5, 5), (half, half), 3000),
        lambda: curves.stable_out(5, 0, 1, (0, 5), 100_000, 0),
    ):
        with pytest.raises(CannotQuote):
            quote()
