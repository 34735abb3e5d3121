"""Dollars become the same raw amounts everywhere, and pools start at the prices of the catalogue."""

from __future__ import annotations

from decimal import Decimal

import pytest

from devnet.protocols.amounts import (
    DEVIATION_UNIT,
    MAX_TICK,
    Position,
    deviation,
    positions,
    raw_amount,
    reserves,
    sqrt_price_x96,
)
from devnet.protocols.catalogue import POOLS, POSITIONS, TICK_SPACING, PoolSpec, token

CONCENTRATED = [spec for spec in POOLS if spec.positions]


def test_dollars_buy_the_whole_units_they_pay_for() -> None:
    assert raw_amount(token("WETH"), 3_200 * 10**8) == 10**18
    assert raw_amount(token("WBTC"), 95_000 * 10**8 - 1) == 10**8 - 1
    assert raw_amount(token("GUSD"), 1_999_999) == 1


@pytest.mark.parametrize("spec", POOLS, ids=lambda spec: spec.name)
def test_a_deviation_keeps_within_its_bound(spec: PoolSpec) -> None:
    assert -spec.deviation <= deviation(spec) <= spec.deviation


def test_deviations_differ_from_pool_to_pool() -> None:
    assert len({deviation(spec) for spec in POOLS}) > 20


@pytest.mark.parametrize("spec", [spec for spec in POOLS if not spec.positions], ids=lambda spec: spec.name)
def test_reserves_are_worth_the_pools_size_in_the_shares_of_its_weights(spec: PoolSpec) -> None:
    shares = spec.weights or (10**18 // len(spec.symbols),) * len(spec.symbols)
    for symbol, amount, share in zip(spec.symbols, reserves(spec), shares, strict=True):
        worth = Decimal(amount) * token(symbol).usd_price_e8 / 10**8 / 10 ** token(symbol).decimals
        assert abs(worth / (Decimal(spec.usd) * share / 10**18) - 1) <= Decimal(spec.deviation + 1) / DEVIATION_UNIT


@pytest.mark.parametrize("spec", CONCENTRATED, ids=lambda spec: spec.name)
@pytest.mark.parametrize("first_is_token0", [True, False])
def test_a_concentrated_pool_starts_at_the_catalogues_price(spec: PoolSpec, first_is_token0: bool) -> None:
    first, second = (token(symbol) for symbol in spec.symbols)
    fair = Decimal(first.usd_price_e8) / second.usd_price_e8 * Decimal(10) ** (second.decimals - first.decimals)
    price = (Decimal(sqrt_price_x96(spec, first_is_token0)) / 2**96) ** 2
    found = price if first_is_token0 else 1 / price
    assert abs(found / fair - 1) <= Decimal(spec.deviation + 1) / DEVIATION_UNIT


@pytest.mark.parametrize("spec", CONCENTRATED, ids=lambda spec: spec.name)
@pytest.mark.parametrize("first_is_token0", [True, False])
def test_positions_lie_on_the_tick_grid_and_are_worth_the_pools_size(spec: PoolSpec, first_is_token0: bool) -> None:
    spacing, found = TICK_SPACING[spec.fee_pips], positions(spec, first_is_token0, POSITIONS[spec.positions])
    token0, token1 = (token(s) for s in (spec.symbols if first_is_token0 else reversed(spec.symbols)))
    worth = Decimal(0)
    for position in found:
        assert position.tick_lower % spacing == position.tick_upper % spacing == 0
        assert -MAX_TICK <= position.tick_lower < position.tick_upper <= MAX_TICK
        worth += Decimal(position.amount0) * token0.usd_price_e8 / 10**8 / 10**token0.decimals
        worth += Decimal(position.amount1) * token1.usd_price_e8 / 10**8 / 10**token1.decimals
    assert abs(worth / spec.usd - 1) < Decimal("0.001")


def test_a_position_beside_the_price_holds_one_token_only() -> None:
    spec = next(spec for spec in CONCENTRATED if spec.positions == "wide")
    above, below = positions(spec, True, ((-1_000, 6_000, 50), (6_000, -1_000, 50)))
    assert above.amount1 == below.amount0 == 1  # rounded up from nothing
    assert isinstance(above, Position)


@pytest.mark.parametrize("shape", POSITIONS)
def test_the_shares_of_a_shape_add_up(shape: str) -> None:
    assert sum(percent for _, _, percent in POSITIONS[shape]) == 100
