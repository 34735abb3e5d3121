"""What a profit token is worth: by what pools really hold, not by what one of them says."""

from __future__ import annotations

from collections import defaultdict

import pytest

from node.engine.call_data import TRADED
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.ticks import TickTable
from node.pipeline.amm.weighted import WeightedPool, weighted_pool
from node.pipeline.market import Market
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.prices import LEAST_COINS, MAX_ERROR, ReferencePrice, reference_price, virtual_reserves
from protocol.units import Address, BlockNumber

COIN, DOLLAR = Address(b"\x01" * 20), Address(b"\x02" * 20)
ETHER, USD = 10**18, 10**6
WEI_A_UNIT = ETHER // (3_000 * USD)
"""The honest price: 3,000 dollars of six decimals for an ether."""
FAMILIES = {
    ConstantProductPool: PoolFamily.UNISWAP_V2,
    ConcentratedPool: PoolFamily.UNISWAP_V3,
    WeightedPool: PoolFamily.BALANCER_V2_WEIGHTED,
}


def pair(ether: int, dollars_an_ether: int = 3_000) -> ConstantProductPool:
    return ConstantProductPool(ether * ETHER, ether * dollars_an_ether * USD)


def weighted(coins: int, dollars: int, weight: int = ETHER // 2) -> WeightedPool:
    return weighted_pool([coins, dollars], [weight, ETHER - weight], [18, 6], 3 * 10**15)


def one_tick(tick: int, liquidity: int, *, part: int = 2) -> ConcentratedPool:
    """Liquidity between two ticks next to each other, the price `1/part` of the way up."""
    words: dict[int, int] = defaultdict(int)
    for one in (tick, tick + 1):
        words[one >> 8] |= 1 << (one & 255)
    ticks = TickTable(1, {tick: liquidity, tick + 1: liquidity}, {tick: liquidity, tick + 1: -liquidity}, dict(words))
    low, high = sqrt_ratio_at_tick(tick), sqrt_ratio_at_tick(tick + 1)
    return ConcentratedPool(100, low + (high - low) // part if part else low, tick, liquidity, ticks)


def price_of(*states: PoolState) -> ReferencePrice | None:
    market = Market([COIN, DOLLAR], 100, 1_000, TRADED)
    market.trust(COIN, trusted=True)
    market.trust(DOLLAR, trusted=True)
    for number, state in enumerate(states):
        family, name = FAMILIES[type(state)], bytes([number + 1])
        pool_id = name * (32 if family is PoolFamily.BALANCER_V2_WEIGHTED else 20)
        spacing = 1 if family is PoolFamily.UNISWAP_V3 else 0
        market.discover(PoolSpec(pool_id, family, Address(name * 20), (COIN, DOLLAR), 3000, spacing))
        market.set_state(number, state)
    return reference_price(market, DOLLAR, COIN, BlockNumber(1))


def wei_a_unit(*states: PoolState) -> int | None:
    price = price_of(*states)
    return None if price is None else price.wei_down(1)


def test_what_a_weighted_pool_holds_is_not_multiplied_by_its_weights() -> None:
    coins, others = virtual_reserves(weighted(80 * ETHER, 60_000 * USD, 8 * ETHER // 10), 0, 1)
    assert coins <= 80 * ETHER
    assert others <= 60_000 * USD
    assert coins // others == WEI_A_UNIT


def test_a_weighted_pool_of_dust_sets_no_price() -> None:
    assert wei_a_unit(pair(600), weighted(10**13, 10)) == wei_a_unit(pair(600)) == WEI_A_UNIT


@pytest.mark.parametrize("part", [0, 2])
def test_a_position_of_one_tick_counts_by_what_it_holds(part: int) -> None:
    # A dollar an ether, with more liquidity than the pair has, but a few hundredths of an ether in all.
    false = one_tick(-276_325, 10**15, part=part)
    assert virtual_reserves(false, 0, 1)[0] > 900 * ETHER
    assert wei_a_unit(pair(600), false) == WEI_A_UNIT


def test_a_pool_that_was_pushed_does_not_set_the_price_of_several() -> None:
    reserve0, reserve1 = 100 * ETHER, 100 * 3_000 * USD
    for push in (10, 1_000):
        pushed = ConstantProductPool(reserve0 * push, reserve1 // push)
        price = price_of(pair(200), pair(200, 3_010), pushed)
        assert price is not None
        assert (price.wei_down(3_000 * USD), price.error) == (ETHER, 33)


def test_there_is_no_price_where_too_much_is_held_at_others() -> None:
    assert price_of(pair(100), pair(100, 4_000)) is None
    near = price_of(pair(100), pair(100, 3_300))
    assert near is not None
    assert 0 < near.error <= MAX_ERROR


def test_there_is_no_price_by_dust_alone() -> None:
    assert price_of(ConstantProductPool(LEAST_COINS - 1, 3_000 * USD)) is None
    assert price_of(ConstantProductPool(2 * LEAST_COINS, 6_000 * USD)) is not None
    assert price_of(one_tick(-276_325, 10**24, part=0)) is None
    assert price_of() is None
