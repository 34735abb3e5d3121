"""A stranger's swap walks no further than the gas of its transaction could pay for, and any other as it always did."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from node.pipeline.amm import concentrated
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.tick_bitmap import next_initialized_tick_within_one_word
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.decoders import RoutedSwap
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pending import PendingSwap
from node.pipeline.pools import PoolFamily, PoolSpec, swap_exact_in, swap_exact_out
from node.pipeline.reach import ENDLESS, LEAST_GAS_PER_STOP, OutOfGas, Reach, stops_for
from node.pipeline.reasons import Reason
from node.pipeline.victims import REEVALUATED_GAS, looked_at_anew
from protocol.units import Address, UnixSeconds
from tests.pipeline_scene import pipeline, small_market, swap_of

ONE, TWO, POOL = Address(b"\x01" * 20), Address(b"\x02" * 20), Address(b"\x09" * 20)


def thin(spacing: int = 1) -> ConcentratedPool:
    """Next to nothing around a price of one."""
    pool = concentrated.initialized_pool(100, spacing, 1 << 96)
    return concentrated.modify_position(pool, -spacing, spacing, 10**6)[0]


def as_v4(pool: ConcentratedPool) -> V4Pool:
    return V4Pool(pool.fee_pips, pool.sqrt_price_x96, pool.tick, pool.liquidity, pool.ticks, 0, 0)


def stops_of(pool: ConcentratedPool, zero_for_one: bool, to: int) -> int:
    """Rounds of the contract's loop from the pool's tick to another."""
    tick, rounds = pool.tick, 0
    while tick > to if zero_for_one else tick < to:
        stop, _ = next_initialized_tick_within_one_word(pool.ticks.bitmap, tick, pool.ticks.spacing, zero_for_one)
        tick, rounds = (stop - 1 if zero_for_one else stop), rounds + 1
    return rounds


@pytest.mark.parametrize("zero_for_one", [True, False])
@pytest.mark.parametrize("is_v4", [True, False])
def test_a_walk_ends_where_its_gas_does_and_never_before(zero_for_one: bool, is_v4: bool) -> None:
    plain = thin()
    pool = as_v4(plain) if is_v4 else plain
    for stops in (1, 2, 40, 1000):
        with pytest.raises(OutOfGas):
            Reach(stops).walk(pool, zero_for_one, 10**18, exact_in=True)
        with pytest.raises(OutOfGas):
            Reach(stops).walk(pool, zero_for_one, 10**18, exact_in=False)
        # The last price that so many stops could come to is still reached.
        edge = (-stops * 256 if zero_for_one else (stops + 1) * 256) + (1 if zero_for_one else -1)
        limit = sqrt_ratio_at_tick(edge)
        assert stops_of(plain, zero_for_one, edge) > stops
        reach = Reach(stops)
        after, _, _ = reach.walk(pool, zero_for_one, 10**18, exact_in=True, limit=limit)
        assert after.sqrt_price_x96 == limit
        assert 0 <= reach.stops <= 1


def random_pool(dice: Random, spacing: int) -> ConcentratedPool:
    pool = concentrated.initialized_pool(500, spacing, sqrt_ratio_at_tick(dice.randint(-5000, 5000)))
    for _ in range(6):
        lower = dice.randint(-9000, 8000) // spacing * spacing
        upper = lower + dice.randint(1, 40) * spacing
        pool = concentrated.modify_position(pool, lower, upper, dice.randint(1, 10**20))[0]
    return pool


def test_with_gas_enough_a_walk_is_the_swap_that_it_was() -> None:
    dice, compared = Random(7), 0
    for _ in range(300):
        plain = random_pool(dice, dice.choice([1, 10, 60]))
        pool: ConcentratedPool | V4Pool = plain if dice.random() < 0.5 else as_v4(plain)
        amount, index_in = dice.randint(1, 10 ** dice.randint(1, 20)), dice.randint(0, 1)
        for exact_in in (True, False):
            swapped = swap_exact_in if exact_in else swap_exact_out
            for stops in (ENDLESS, 400):
                try:
                    state, moved = swapped(pool, index_in, 1 - index_in, amount)
                except AmmError:
                    continue
                try:
                    walked = Reach(stops).walk(pool, index_in == 0, amount, exact_in=exact_in)
                except OutOfGas:
                    assert stops_of(plain, index_in == 0, state.tick) > stops  # type: ignore[union-attr]
                    continue
                assert walked == (state, moved.amount_in, moved.amount_out)
                compared += 1
    assert compared > 600


def test_swaps_back_and_forth_over_a_thin_pool_run_out_of_gas_together() -> None:
    market = Market([ONE], 100, 1000)
    market.discover(PoolSpec(POOL, PoolFamily.UNISWAP_V3, POOL, (ONE, TWO), 100, 1))
    market.trust(ONE, True)
    market.trust(TWO, True)
    market.set_state(0, thin())
    pairs = [(ONE, TWO) if place % 2 == 0 else (TWO, ONE) for place in range(16)]
    swaps = [
        (RoutedSwap((), sold, bought, True, 10**18, 0, 0, 0), (place % 2,))
        for place, (sold, bought) in enumerate(pairs)
    ]
    assert Overlay(market).apply(swaps, UnixSeconds(1)) is None
    for gas in (300_000, 30_000_000):
        overlay = Overlay(market)
        assert overlay.apply(swaps, UnixSeconds(1), stops_for(gas)) is Reason.VICTIM_WOULD_REVERT
        assert overlay.states == {}
    assert Overlay(market).apply(swaps, UnixSeconds(1), 16 * 7000) is None


def test_a_pending_swap_is_laid_over_for_the_gas_that_it_has() -> None:
    market = small_market()
    state = pipeline(market)
    pool, before = next(one for one in market.pools if one[0].family is PoolFamily.UNISWAP_V3)
    transaction = swap_of(pool, before)
    number = state.market.number_of(pool.id)
    assert number is not None
    state.market.set_state(number, thin())
    edge = state.market.first_edge[number]
    swap = RoutedSwap((), pool.tokens[0], pool.tokens[1], True, 10**18, 0, 0, 0)
    pending = PendingSwap(transaction, ((swap, (edge,)),), (number,), 0, 0, None)  # type: ignore[arg-type]
    for gas, reason in ((100_000, Reason.VICTIM_WOULD_REVERT), (7000 * LEAST_GAS_PER_STOP, None)):
        one = msgspec.structs.replace(pending, transaction=msgspec.structs.replace(transaction, gas_limit=gas))
        assert Overlay(state.market).lay_over(one, UnixSeconds(1)) is reason


@pytest.mark.parametrize("big", [0, 7])
def test_of_more_gas_than_is_looked_at_anew_those_of_the_most_are_left_and_counted(big: int) -> None:
    market = small_market()
    state = pipeline(market)
    pool, before = next(one for one in market.pools if one[0].family is PoolFamily.UNISWAP_V2)
    for nonce in range(10):
        gas = REEVALUATED_GAS // 4 if nonce < big else 300_000
        transaction = msgspec.structs.replace(swap_of(pool, before, nonce=nonce), gas_limit=gas)
        state.book.add(PendingSwap(transaction, (), (0,), 0, 0, None))  # type: ignore[arg-type]
    nonces = [pending.transaction.nonce for pending in looked_at_anew(state)]
    assert nonces == ([0, 1, 2, 7, 8, 9] if big else list(range(10)))
    assert state.dropped.get(Reason.OVER_LOOKS_BUDGET, 0) == (4 if big else 0)
