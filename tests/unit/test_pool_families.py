"""Every family through the one interface: what is quoted is what a swap gives, and the rows say the same in floats."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.family_pools import ETHER, STATES
from node.pipeline import kernels
from node.pipeline.amm.balancer_fixed_point import ONE as ONE18
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.amm.errors import AmmError, InsufficientInput, PoolStateInvalid, StateUnpredictable, TokenInvalid
from node.pipeline.amm.weighted import weighted_pool
from node.pipeline.changes import changed
from node.pipeline.events import (
    BalancesChanged,
    CoinsChanged,
    CoinsExchanged,
    LiquidityChanged,
    PriceMoved,
    ReservesSet,
)
from node.pipeline.pools import (
    PoolFamily,
    PoolSpec,
    PoolState,
    edge_key,
    held_amounts,
    quote_exact_in,
    quote_exact_out,
    swap_exact_in,
    swap_exact_out,
)
from node.pipeline.prices import virtual_reserves
from node.pipeline.rows import TickStore, rows_of
from node.pipeline.rows_curves import NO_ROW
from protocol.units import Address

NAMED = [pytest.param(state, id=f"{family}-{number}") for number, (family, state) in enumerate(STATES)]
ONE, TWO = Address(b"\x01" * 20), Address(b"\x02" * 20)


def _pairs(state: PoolState) -> list[tuple[int, int]]:
    """The ordered pairs that can be traded, each with its place among the rows."""
    own = getattr(state, "bpt_index", None)
    count = len(held_amounts(state))
    return [pair for pair in itertools.permutations(range(count), 2) if own not in pair]


@pytest.mark.parametrize("state", NAMED)
def test_the_rows_say_what_the_exact_maths_say(state: PoolState) -> None:
    ticks = TickStore()
    rows = rows_of(0, state, ticks)
    places = list(itertools.permutations(range(len(held_amounts(state))), 2))
    assert len(rows) == len(places)
    for one, other in _pairs(state):
        row = np.array(rows[places.index((one, other))])
        depth = _depth(state, one)
        # A crypto pool's row is a product laid through two quotes; the others' are their own curve.
        near, far = (0.02, 0.05) if isinstance(state, CryptoPool) else (2e-5, 2e-5)
        for part, precision in ((10_000, near), (100, near), (20, far)):
            amount = depth // part
            exact = quote_exact_in(state, one, other, amount)
            estimate, margin = kernels.edge_out(float(amount), row, *ticks.arrays)
            assert estimate == pytest.approx(exact, rel=precision, abs=3), (one, other, part)
            step = max(depth // 10**7, 10)
            if exact > 10**9 and not isinstance(state, CryptoPool):
                further, _ = kernels.edge_out(float(amount + step), row, *ticks.arrays)
                assert (further - estimate) / step == pytest.approx(margin, rel=1e-3)
        assert row[kernels.RATE] == pytest.approx(kernels.edge_out(1e-9 * depth, row, *ticks.arrays)[1], rel=1e-3)


def _depth(state: PoolState, index: int) -> int:
    held = held_amounts(state)[index]
    return held if held > 10**9 else 10**24


@pytest.mark.parametrize("state", NAMED)
def test_the_least_input_for_an_output_is_the_least(state: PoolState) -> None:
    for one, other in _pairs(state):
        wanted = quote_exact_in(state, one, other, _depth(state, one) // 1_000)
        amount_in = quote_exact_out(state, one, other, wanted)
        # Balancer's stable invariant is right to some hundred units, and each way is rounded against the trader.
        assert quote_exact_in(state, one, other, amount_in) >= wanted - _slack(state)
        assert amount_in <= _depth(state, one) // 1_000 + _slack(state) * 10**12


def _slack(state: PoolState) -> int:
    return 1_000 if type(state).__name__ in ("BalancerStablePool", "V3Pool") else 0


@pytest.mark.parametrize("state", NAMED)
def test_a_swap_gives_what_was_quoted_and_the_way_back_loses(state: PoolState) -> None:
    for one, other in _pairs(state):
        amount = _depth(state, one) // 1_000
        quoted = quote_exact_in(state, one, other, amount)
        try:
            after, moved = swap_exact_in(state, one, other, amount)
        except StateUnpredictable:
            assert type(state).__name__ in ("CryptoPool", "CamelotStablePool")
            continue
        assert (moved.amount_in, moved.amount_out) == (amount, quoted)
        assert swap_exact_in(after, other, one, quoted)[1].amount_out <= amount


@pytest.mark.parametrize("state", NAMED)
def test_nothing_a_coin_for_itself_and_a_coin_that_is_not_there_are_refused(state: PoolState) -> None:
    with pytest.raises(AmmError):
        quote_exact_in(state, 0, 1, 0)
    with pytest.raises(AmmError):
        swap_exact_in(state, 0, 1, -1)
    with pytest.raises(AmmError):
        quote_exact_out(state, 0, 1, 0)
    if type(state).__name__ != "ConstantProductPool":
        with pytest.raises(TokenInvalid):
            quote_exact_in(state, 1, 1, 10**6)
        with pytest.raises(TokenInvalid):
            quote_exact_out(state, 0, 9, 10**6)


def test_an_exact_output_moves_the_pool_as_far_as_its_input_does() -> None:
    for state in (
        state for _, state in STATES if type(state).__name__ in ("V4Pool", "BalancerStablePool", "CurvePool")
    ):
        one, other = _pairs(state)[0]
        wanted = quote_exact_in(state, one, other, _depth(state, one) // 1_000)
        after, moved = swap_exact_out(state, one, other, wanted)
        assert moved.amount_out == wanted
        assert after != state


def test_an_output_that_no_input_buys_is_refused() -> None:
    for state in (state for _, state in STATES if isinstance(state, CurvePool)):
        with pytest.raises(AmmError):
            quote_exact_out(state, 0, 1, state.balances[1] * 2)
    v4 = STATES[0][1]
    with pytest.raises(AmmError):
        swap_exact_out(v4, 0, 1, 10**40)
    with pytest.raises(AmmError, match="takes"):
        quote_exact_in(v4, 0, 1, 10**40)
    with pytest.raises(AmmError, match="takes"):
        swap_exact_in(v4, 0, 1, 10**40)


def test_what_is_no_state_has_no_maths() -> None:
    for ask in (quote_exact_in, swap_exact_in):
        with pytest.raises(TypeError, match="no maths for object"):
            ask(object(), 0, 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", NAMED)
def test_the_price_of_every_family_is_its_rate(state: PoolState) -> None:
    rows = rows_of(0, state, TickStore())
    places = list(itertools.permutations(range(len(held_amounts(state))), 2))
    for one, other in _pairs(state):
        row = rows[places.index((one, other))]
        held_in, held_out = virtual_reserves(state, one, other)
        if held_in > 10**9:
            assert held_out / held_in == pytest.approx(row[kernels.RATE] / row[kernels.KEPT], rel=0.02)


def test_a_pool_without_a_curve_has_rows_that_nobody_trades() -> None:
    empty = CurvePool((0, 10**12), (10**18, 10**30), 200, 4_000_000)
    assert rows_of(0, empty, TickStore()) == [NO_ROW, NO_ROW]
    assert virtual_reserves(empty, 0, 1) == (0, 0)


@pytest.mark.parametrize("swap_fee", [ONE18 - 1, ONE18 // 2])
def test_no_fee_and_no_dust_of_a_pool_ends_what_screens_it(swap_fee: int) -> None:
    dust = weighted_pool([1, 1], [5 * 10**17, 5 * 10**17], [18, 18], swap_fee)
    stable = BalancerStablePool((1, 1), (ONE18, 10**36), 1_000, swap_fee, None, InvariantVersion.ROUNDING_UP)
    for state in (dust, stable):
        assert len(rows_of(0, state, TickStore())) == 2


def _spec(family: PoolFamily, pool_id: bytes) -> PoolSpec:
    return PoolSpec(pool_id, family, Address(pool_id[:20]), (ONE, TWO), 3000)


def test_every_family_has_a_key_of_its_own_by_which_decoders_name_it() -> None:
    keys = {edge_key(_spec(family, bytes([number + 1]) * 32), ONE, TWO) for number, family in enumerate(PoolFamily)}
    assert len(keys) == len(PoolFamily)
    curve, v4 = _spec(PoolFamily.CURVE_META, b"\x09" * 20), _spec(PoolFamily.UNISWAP_V4, b"\x08" * 32)
    assert edge_key(curve, ONE, TWO) == b"cv" + b"\x09" * 20 + ONE + TWO
    assert edge_key(v4, TWO, ONE) == b"u4" + b"\x08" * 32 + TWO + ONE


# What logs make of them


def _state(name: str, place: int = 0) -> PoolState:
    return [state for _, state in STATES if type(state).__name__ == name][place]


def test_a_curve_pool_follows_its_exchanges_by_its_own_maths_and_checks_them() -> None:
    pool = _state("CurvePool")
    after, moved = swap_exact_in(pool, 0, 2, 10**21)
    told = CoinsExchanged(b"p", 0, 2, 10**21, moved.amount_out)
    assert changed(pool, told) == after
    with pytest.raises(PoolStateInvalid, match="by our state"):
        changed(pool, CoinsExchanged(b"p", 0, 2, 10**21, moved.amount_out + 1))


def test_of_a_curve_deposits_fees_the_admins_share_leaves_the_balances() -> None:
    pool = _state("CurvePool")
    after = changed(pool, CoinsChanged(b"p", (10**20, 0, -(10**9)), (10**15, 4, 10**5)))
    balances = held_amounts(pool)
    assert held_amounts(after) == (
        balances[0] + 10**20 - 10**15 // 2,
        balances[1] - 2,
        balances[2] - 10**9 - 10**5 // 2,
    )
    for wrong in (CoinsChanged(b"p", (1, 2), (0, 0, 0)), CoinsChanged(b"p", (1, 2, 3), (0,))):
        with pytest.raises(PoolStateInvalid):
            changed(pool, wrong)


def test_v4_moves_by_its_managers_logs() -> None:
    pool = _state("V4Pool")
    moved, _ = swap_exact_in(pool, 0, 1, 10**21)
    told = PriceMoved(b"p", moved.sqrt_price_x96, moved.liquidity, moved.tick)  # type: ignore[union-attr]
    assert changed(pool, told) == moved
    grown = changed(pool, LiquidityChanged(b"p", -200_500, -199_500, 10**18))
    assert held_amounts(grown)[0] > held_amounts(pool)[0]


def test_solidly_and_camelot_take_their_reserves_from_sync() -> None:
    for name in ("SolidlyPool", "CamelotStablePool"):
        assert held_amounts(changed(_state(name), ReservesSet(b"p", 7, 9))) == (7, 9)


def test_a_vault_grows_by_deposits_and_a_wrapper_does_not() -> None:
    vault = _state("ShareVault")
    assert held_amounts(changed(vault, BalancesChanged(b"p", (5, 7)))) == tuple(
        held + more for held, more in zip(held_amounts(vault), (5, 7), strict=True)
    )
    for wrong in (BalancesChanged(b"p", (-(10**40), 0)), BalancesChanged(b"p", (1, 2, 3))):
        with pytest.raises(PoolStateInvalid):
            changed(vault, wrong)
    with pytest.raises(PoolStateInvalid, match="BalancesChanged for ShareVault"):
        changed(_state("ShareVault", 1), BalancesChanged(b"p", (1, 1)))


def test_a_stable_pools_balances_change_as_a_weighted_pools_do() -> None:
    pool = _state("BalancerStablePool")
    after = changed(pool, BalancesChanged(b"p", (ETHER, 0, -ETHER)))
    assert held_amounts(after)[0] == held_amounts(pool)[0] + ETHER
    with pytest.raises(PoolStateInvalid, match="balances"):
        changed(pool, BalancesChanged(b"p", (-(10**30), 0, 0)))


def test_nothing_put_in_is_told_as_such() -> None:
    with pytest.raises(InsufficientInput):
        quote_exact_in(_state("ShareVault"), 0, 1, 0)
