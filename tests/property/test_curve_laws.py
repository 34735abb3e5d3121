"""Laws of Curve's meta, lending and crypto pools that hold for every pool and every amount."""

from __future__ import annotations

from hypothesis import assume, given, reject
from hypothesis import strategies as st

from node.pipeline.amm import curve_crypto, curve_crypto_ng, curve_lending, curve_meta, curve_stableswap
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from node.pipeline.amm.errors import PoolRevert

balances = st.integers(10**24, 10**25)
shares = st.integers(1, 1000)
fees = st.integers(0, 10**8)


@st.composite
def plain_pools(draw: st.DrawFn, count: int) -> CurvePool:
    return CurvePool(
        tuple(draw(balances) for _ in range(count)),
        (10**18,) * count,
        draw(st.integers(10, 5000)) * 100,
        draw(fees),
        draw(st.sampled_from([0, 5 * 10**9])),
    )


@st.composite
def meta_pools(draw: st.DrawFn) -> CurveMetaPool:
    base = draw(plain_pools(3))
    try:
        supply = curve_stableswap.invariant_of(base, curve_stableswap.lifted(base))
    except PoolRevert:  # a pool so crooked that the contract finds no invariant
        reject()
    return CurveMetaPool(draw(plain_pools(2)), base, supply, draw(st.integers(10**18, 12 * 10**17)), 0)


@given(meta_pools(), st.integers(0, 1), shares, st.booleans())
def test_a_trade_there_and_back_through_a_meta_pool_never_profits(
    meta: CurveMetaPool, index_in: int, share: int, expired: bool
) -> None:
    now = 1000 if expired else 0
    amount_in = meta.pool.balances[index_in] * share // 1000
    after, amount_out = curve_meta.exchange(meta, index_in, 1 - index_in, amount_in, now)

    assert curve_meta.exchange(after, 1 - index_in, index_in, amount_out, now)[1] <= amount_in


@given(meta_pools(), st.permutations(range(4)), st.integers(1, 50))
def test_underlying_coins_there_and_back_never_profit(meta: CurveMetaPool, places: list[int], share: int) -> None:
    index_in, index_out = places[0], places[1]
    source = meta.pool.balances[0] if index_in == 0 else meta.base.balances[index_in - 1]
    amount_in = source * share // 1000
    try:
        after, amount_out = curve_meta.exchange_underlying(meta, index_in, index_out, amount_in, 1000)
        back = curve_meta.exchange_underlying(after, index_out, index_in, amount_out, 1000)[1]
    except PoolRevert:
        return
    # Without a fee of the pools each step still rounds against the trader, but for a unit where a supply is divided.
    assert back <= amount_in + 4


@given(meta_pools(), shares, shares)
def test_a_greater_input_never_buys_less_of_a_meta_pool(meta: CurveMetaPool, share: int, more: int) -> None:
    unit = meta.pool.balances[0] // 1000
    less = curve_meta.get_dy(meta, 0, 1, share * unit, 0)

    # The iterations stop within a unit of the curve.
    assert curve_meta.get_dy(meta, 0, 1, (share + more) * unit, 0) >= less - 2


@st.composite
def lending_pools(draw: st.DrawFn) -> CurveLendingPool:
    rates = tuple(draw(st.integers(10**18, 3 * 10**18)) for _ in range(2))
    multiplier = draw(st.sampled_from([0, 2 * 10**10]))
    pool = CurvePool(
        (draw(balances), draw(balances)), rates, draw(st.integers(10, 2000)), draw(fees), 0, 1, True, ProductRule.EACH
    )
    return CurveLendingPool(pool, (1, 1), multiplier)


@given(lending_pools(), st.integers(0, 1), shares)
def test_a_trade_there_and_back_through_a_lending_pool_never_profits_by_more_than_its_rounding(
    lending: CurveLendingPool, index_in: int, share: int
) -> None:
    amount_in = lending.pool.balances[index_in] * share // 1000
    after, amount_out = curve_lending.exchange(lending, index_in, 1 - index_in, amount_in)

    # These pools give the last unit away, and D stops within a unit, which far out of balance is many of one coin.
    assert curve_lending.exchange(after, 1 - index_in, index_in, amount_out)[1] <= amount_in + 1000


@st.composite
def crypto_pools(draw: st.DrawFn) -> CryptoPool:
    count = draw(st.sampled_from([2, 3]))
    prices = tuple(draw(st.integers(10**16, 10**22)) for _ in range(count - 1))
    third = draw(st.integers(10**22, 10**25))
    held = [third * draw(st.integers(50, 150)) // 100 for _ in range(count)]
    lowered = [amount * 10**18 // price for amount, price in zip(held, (10**18, *prices), strict=True)]
    return CryptoPool(
        tuple(lowered),
        (1,) * count,
        prices,
        sum(held),
        draw(st.integers(1, 100)) * count**count * 10_000,
        draw(st.integers(10**11, 10**16)),
        draw(fees),
        10**8,
        draw(st.integers(10**10, 10**16)),
    )


@given(crypto_pools(), st.permutations(range(2)), st.integers(1, 100), st.integers(1, 100))
def test_a_greater_input_never_moves_a_crypto_pool_less(
    pool: CryptoPool, places: list[int], share: int, more: int
) -> None:
    unit = pool.balances[places[0]] // 1000
    assume(unit > 0)
    try:
        left = [_left(pool, places, amount * unit) for amount in (share, share + more)]
    except PoolRevert:
        return
    # The iteration stops within 10**-14 of the balance.
    assert left[1] <= left[0] + max(200, 3 * pool.d // 10**14)


@given(
    st.integers(20, 28),
    st.lists(st.integers(30, 300), min_size=3, max_size=3),
    st.integers(0, 2),
    st.integers(27 * 100, 27 * 10**6),
    st.integers(10**10, 10**16),
)
def test_the_closed_form_finds_the_balance_that_newton_finds(
    size: int, parts: list[int], index: int, amplification: int, gamma: int
) -> None:
    d = 3 * 10**size
    held = [10**size * part // 100 for part in parts]
    try:
        found = curve_crypto.newton_y(amplification, gamma, held, d, index, curve_crypto_ng.A_MULTIPLIER)
    except PoolRevert:
        return

    assert abs(curve_crypto_ng.closed_form_y(amplification, gamma, held, d, index) - found) <= 100 + d // 10**14


@given(st.integers(0, 1 << 255))
def test_a_cube_root_is_one(x: int) -> None:
    root = curve_crypto_ng.cube_root(x)

    assert abs(root**3 - x * 10**36) <= 3 * root**2 * max(root // 10**17, 2) + 10**36


def _left(pool: CryptoPool, places: list[int], amount_in: int) -> int:
    prices = (10**18, *pool.price_scale)
    held = [
        (balance + (amount_in if place == places[0] else 0)) * price // 10**18
        for place, (balance, price) in enumerate(zip(pool.balances, prices, strict=True))
    ]
    return curve_crypto.newton_y(pool.amplification, pool.gamma, held, pool.d, places[1], pool.a_multiplier)
