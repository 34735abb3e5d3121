"""Uniswap V2 style pairs: quotes, the pair's own checks, fees by pool and direction."""

from __future__ import annotations

import pytest

from node.pipeline.amm import constant_product
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    InsufficientOutput,
    InvariantViolated,
    PoolRevert,
)
from node.pipeline.amm.units import UINT112_MAX

POOL = ConstantProductPool(5 * 10**18, 10**19)


def test_an_exact_input_buys_what_the_pairs_own_test_says() -> None:
    assert constant_product.quote_exact_in(POOL, True, 10**18) == 1662497915624478906


def test_an_exact_output_costs_one_unit_more_than_the_division() -> None:
    assert constant_product.quote_exact_out(POOL, True, 1662497915624478906) == 10**18


def test_each_direction_has_its_own_fee() -> None:
    pool = ConstantProductPool(10**18, 10**18, fee0=0, fee1=500, fee_scale=1000)

    assert constant_product.quote_exact_in(pool, True, 10**18) == 10**18 // 2
    assert constant_product.quote_exact_in(pool, False, 10**18) == 10**18 // 3
    assert constant_product.quote_exact_out(pool, False, 10**18 // 3) == 10**18 - 1


@pytest.mark.parametrize(
    ("amount", "reserve_in", "reserve_out", "error"),
    [
        (0, 1, 1, InsufficientInput),
        (1, 0, 1, InsufficientLiquidity),
        (1, 1, 0, InsufficientLiquidity),
        (1 << 250, 1, 1 << 112, ArithmeticRevert),
        (1 << 247, 1, 1, ArithmeticRevert),
    ],
)
def test_an_input_that_the_library_refuses_is_refused(
    amount: int, reserve_in: int, reserve_out: int, error: type[PoolRevert]
) -> None:
    with pytest.raises(error):
        constant_product.amount_out_rounding_down(amount, reserve_in, reserve_out, 3, 1000)


@pytest.mark.parametrize(
    ("amount", "reserve_in", "reserve_out", "error"),
    [
        (0, 1, 1, InsufficientOutput),
        (1, 0, 1, InsufficientLiquidity),
        (1, 1, 0, InsufficientLiquidity),
        (7, 7, 7, InsufficientLiquidity),
        (8, 7, 7, InsufficientLiquidity),
        (1 << 200, 1 << 200, 1 << 201, ArithmeticRevert),
    ],
)
def test_an_output_that_the_library_refuses_is_refused(
    amount: int, reserve_in: int, reserve_out: int, error: type[PoolRevert]
) -> None:
    with pytest.raises(error):
        constant_product.amount_in_rounding_up(amount, reserve_in, reserve_out, 3, 1000)


def test_a_swap_moves_the_reserves_and_keeps_the_fee() -> None:
    after, amount_out = constant_product.swap_exact_in(POOL, True, 10**18)

    assert after == ConstantProductPool(6 * 10**18, 10**19 - amount_out)


def test_a_swap_the_other_way_moves_the_reserves_the_other_way() -> None:
    after, amount_out = constant_product.swap_exact_in(POOL, False, 10**18)

    assert after == ConstantProductPool(5 * 10**18 - amount_out, 11 * 10**18)


@pytest.mark.parametrize(
    ("amounts", "error", "code"),
    [
        ((1, 0, 0, 0), InsufficientOutput, "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"),
        ((1, 0, 0, 10**19), InsufficientLiquidity, "UniswapV2: INSUFFICIENT_LIQUIDITY"),
        ((1, 0, 5 * 10**18, 0), InsufficientLiquidity, "UniswapV2: INSUFFICIENT_LIQUIDITY"),
        ((0, 0, 0, 1), InsufficientInput, "UniswapV2: INSUFFICIENT_INPUT_AMOUNT"),
        ((10**18, 0, 0, 1662497915624478907), InvariantViolated, "UniswapV2: K"),
        ((UINT112_MAX, 0, 0, 1), ArithmeticRevert, "UniswapV2: OVERFLOW"),
        ((0, UINT112_MAX, 1, 0), ArithmeticRevert, "UniswapV2: OVERFLOW"),
    ],
)
def test_the_pair_refuses_with_its_own_words(
    amounts: tuple[int, int, int, int], error: type[PoolRevert], code: str
) -> None:
    with pytest.raises(error) as refusal:
        constant_product.swap(POOL, *amounts)

    assert refusal.value.code == code


def test_a_flash_swap_that_pays_both_sides_is_accepted() -> None:
    after = constant_product.swap(POOL, 10**18, 10**18, 10**17, 10**17)

    assert (after.reserve0, after.reserve1) == (59 * 10**17, 109 * 10**17)


def test_a_revert_tells_its_code_and_its_detail() -> None:
    assert str(PoolRevert("K", "too much")) == "K: too much"
    assert str(PoolRevert("K")) == "K"
    assert str(PoolRevert("", "too much")) == "too much"
