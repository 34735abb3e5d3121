"""Uniswap V4's pools: fees of both kinds, hooks, refusals."""

from __future__ import annotations

import msgspec
import pytest

from node.pipeline.amm import concentrated, uniswap_v4
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    LiquidityInvalid,
    OutsideDomain,
    PoolStateInvalid,
    PriceLimitInvalid,
    TickInvalid,
)
from node.pipeline.amm.tick_math import MIN_SQRT_RATIO, sqrt_ratio_at_tick
from node.pipeline.amm.ticks import empty_tick_table, max_liquidity_per_tick_v4, tick_table
from node.pipeline.amm.uniswap_v4 import V4Pool, modify_liquidity
from protocol.units import Address

ONE = 10**18
TICKS = tick_table(60, {-600: (ONE, ONE), 600: (ONE, -ONE)})
POOL = V4Pool(3000, 1 << 96, 0, ONE, TICKS)


def hook(flags: int) -> Address:
    return Address(((0xABCD << 14) | flags).to_bytes(20, "big"))


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_pool_without_a_protocol_fee_pays_what_a_v3_pool_pays(zero_for_one: bool) -> None:
    v3 = ConcentratedPool(3000, 1 << 96, 0, ONE, TICKS)

    for amount in (1, 10**6, 10**15, 10**20):
        taken, out = concentrated.quote_exact_in(v3, zero_for_one, amount)
        assert uniswap_v4.quote_exact_in(POOL, zero_for_one, amount) == (taken, out)
    assert (
        uniswap_v4.quote_exact_out(POOL, zero_for_one, 10**15)
        == (concentrated.quote_exact_out(v3, zero_for_one, 10**15)[0])
    )


def test_the_protocol_takes_its_fee_first_and_in_its_direction_alone() -> None:
    taxed = msgspec.structs.replace(POOL, protocol_fee0=1000)

    assert uniswap_v4.swap_fee(3000, 1000) == 3997
    done = uniswap_v4.swap(taxed, True, 10**15, exact_in=True)
    assert done.protocol_fee == 10**12
    assert done.amount_out < uniswap_v4.quote_exact_in(POOL, True, 10**15)[1]
    assert uniswap_v4.quote_exact_in(taxed, False, 10**15) == uniswap_v4.quote_exact_in(POOL, False, 10**15)
    free = msgspec.structs.replace(taxed, lp_fee=0)
    done = uniswap_v4.swap(free, True, 10**15, exact_in=True)
    assert done.protocol_fee == 10**12


def test_protocol_fees_are_packed_in_twelve_bits_each() -> None:
    assert uniswap_v4.protocol_fees(8194) == (2, 2)
    assert uniswap_v4.protocol_fees(1000 << 12) == (0, 1000)


def test_a_pool_is_named_by_the_hash_of_its_key() -> None:
    keys = {
        uniswap_v4.pool_id(Address(bytes(20)), Address(b"\x01" * 20), fee, spacing, Address(bytes(20)))
        for fee, spacing in ((500, 10), (500, 60), (3000, 60))
    }

    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize(
    ("flags", "alters"),
    [(0, False), (1 << 6, False), (0b11 << 12, False), (1 << 7, True), (1 << 3, True), (1 << 2, True), (0b11, False)],
)
def test_hooks_that_may_change_what_a_swap_pays_are_recognised(flags: int, alters: bool) -> None:
    assert uniswap_v4.alters_amounts(hook(flags)) is alters


def test_a_swap_stops_at_its_limit_and_goes_on_from_there() -> None:
    limit = sqrt_ratio_at_tick(-60)
    done = uniswap_v4.swap(POOL, True, ONE, exact_in=True, sqrt_price_limit_x96=limit)

    assert done.after.sqrt_price_x96 == limit
    assert done.after.tick == -60
    assert done.amount_in < ONE
    assert uniswap_v4.swap(done.after, False, 10**12, exact_in=True).amount_out > 0


def test_beyond_the_last_liquidity_nothing_is_given() -> None:
    emptied = uniswap_v4.swap(POOL, True, ONE, exact_in=True)

    assert emptied.after.liquidity == 0
    assert emptied.after.sqrt_price_x96 == MIN_SQRT_RATIO + 1
    with pytest.raises(InsufficientLiquidity):
        uniswap_v4.quote_exact_out(POOL, True, ONE)


def test_a_position_counts_where_the_price_lies_in_it() -> None:
    inside = uniswap_v4.modify_liquidity(POOL, -60, 60, 5)
    below = uniswap_v4.modify_liquidity(POOL, -120, -60, 5)

    assert (inside.liquidity, below.liquidity) == (ONE + 5, ONE)
    assert uniswap_v4.modify_liquidity(inside, -60, 60, -5) == POOL
    with pytest.raises(TickInvalid):
        uniswap_v4.modify_liquidity(POOL, 60, -60, 5)


def test_what_the_pool_manager_refuses_is_refused() -> None:
    with pytest.raises(InsufficientInput):
        uniswap_v4.quote_exact_in(POOL, True, 0)
    for limit in (1 << 96, MIN_SQRT_RATIO):
        with pytest.raises(PriceLimitInvalid):
            uniswap_v4.swap(POOL, True, 1, exact_in=True, sqrt_price_limit_x96=limit)
    with pytest.raises(PriceLimitInvalid):
        uniswap_v4.swap(POOL, False, 1, exact_in=True, sqrt_price_limit_x96=1 << 96)
    greedy = msgspec.structs.replace(POOL, lp_fee=1_000_000)
    with pytest.raises(OutsideDomain):
        uniswap_v4.quote_exact_out(greedy, True, 1)
    assert uniswap_v4.quote_exact_in(greedy, True, 10**15) == (10**15, 0)
    with pytest.raises(PoolStateInvalid):
        uniswap_v4.quote_exact_in(msgspec.structs.replace(POOL, lp_fee=1_000_001), True, 1)


def test_more_than_the_manager_counts_of_a_token_reverts() -> None:
    lowest, highest = -887_220, 887_220
    wide = tick_table(60, {lowest: (1 << 100, 1 << 100), highest: (1 << 100, -(1 << 100))})
    dear = V4Pool(0, sqrt_ratio_at_tick(lowest + 60), lowest + 60, 1 << 100, wide)
    assert uniswap_v4.quote_exact_in(dear, True, 1 << 127)[0] == 1 << 127
    with pytest.raises(ArithmeticRevert, match="SafeCastOverflow"):
        uniswap_v4.quote_exact_in(dear, True, (1 << 127) + 1)
    cheap = V4Pool(0, sqrt_ratio_at_tick(highest - 60), highest - 60, 1 << 100, wide)
    assert uniswap_v4.quote_exact_out(cheap, True, (1 << 127) - 1) > 0
    with pytest.raises(ArithmeticRevert, match="SafeCastOverflow"):
        uniswap_v4.quote_exact_out(cheap, True, 1 << 127)


@pytest.mark.parametrize(
    ("spacing", "most"),
    [
        (1, 191757530477355301479181766273477),
        (10, 1917559095893846719543856547154045),
        (60, 11505354575363080317263139282924270),
        (200, 38345995821606768476828330790147420),
        (32_767, 6076470837873901133274546561281575204),
    ],
)
def test_a_tick_carries_what_all_ticks_of_v4_leave_to_each(spacing: int, most: int) -> None:
    """V4's own TickMath and Pool: one tick more than V3 counts where the spacing does not divide the lowest."""
    assert max_liquidity_per_tick_v4(spacing) == most
    pool = V4Pool(500, 1 << 96, 0, 0, empty_tick_table(spacing))
    full = modify_liquidity(pool, -spacing, spacing, most)
    assert full.liquidity == most
    with pytest.raises(LiquidityInvalid, match="LO"):
        modify_liquidity(pool, -spacing, spacing, most + 1)
