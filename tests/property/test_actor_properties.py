"""Properties of the actors' mathematics and plans, for any numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from devnet.actors import curves
from devnet.actors.cast import assemble
from devnet.actors.curves import CannotQuote
from devnet.actors.cycles import CycleFinder
from devnet.actors.parameters import load_parameters
from devnet.actors.pending import PendingReader
from devnet.actors.randomness import Dice
from devnet.actors.rival import Rival
from devnet.actors.sandwicher import Sandwicher
from devnet.actors.view import ConstantProductState
from devnet.manifest import Pool
from tests.actors_scene import (
    RIVALS,
    SANDWICHERS,
    SUSHI_USDC,
    V2_USDC,
    V3_USDC,
    address,
    announced,
    make_market,
    make_view,
    pending_swap,
    reserves,
    v2_swap,
)

MARKET = make_market()
PARAMETERS = load_parameters()
FLOW = assemble(MARKET, PARAMETERS, 2.0).flow
amounts = st.integers(min_value=1, max_value=10**27)
reserve = st.integers(min_value=1, max_value=10**30)
fees = st.sampled_from([100, 500, 3000, 10_000])
off = st.integers(min_value=80, max_value=125)


@given(amounts, reserve, reserve, fees)
def test_a_constant_product_never_gives_more_than_it_may(amount: int, first: int, second: int, fee: int) -> None:
    out = curves.constant_product_out(amount, first, second, fee)
    assert out < second
    assert (first + amount) * (second - out) >= first * second


@given(reserve, reserve, st.integers(min_value=1, max_value=10**6), fees)
def test_what_is_paid_for_an_exact_amount_is_enough(first: int, second: int, part: int, fee: int) -> None:
    wanted = max(1, second * part // (10**6 + 1))
    try:
        paid = curves.constant_product_in(wanted, first, second, fee)
    except CannotQuote:
        assert wanted >= second
        return
    assert curves.constant_product_out(paid, first, second, fee) >= wanted


@given(
    st.integers(min_value=2**80, max_value=2**110),
    st.integers(min_value=10**9, max_value=10**27),
    st.integers(min_value=1, max_value=10**24),
    st.booleans(),
    fees,
)
def test_a_concentrated_swap_there_and_back_brings_no_profit(
    price: int, liquidity: int, amount: int, zero_for_one: bool, fee: int
) -> None:
    out, after = curves.concentrated_step(price, liquidity, amount, zero_for_one, fee)
    if out:
        back, _ = curves.concentrated_step(after, liquidity, out, not zero_for_one, fee)
        assert back <= amount


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0, max_value=2**64), st.integers(min_value=0, max_value=10**9), off, off)
def test_all_plans_repeat_are_affordable_and_have_limits(seed: int, block: int, first: int, second: int) -> None:
    view = make_view(number=block)
    dollars, ether = reserves(V2_USDC, 5_000_000)
    pools = {**view.pools, V2_USDC.name: ConstantProductState((dollars * first // 100, ether * second // 100))}
    view = make_view(number=block, pools=pools)
    for actor in FLOW:
        intents = actor.plan(view, Dice(seed, actor.name, block))
        assert intents == actor.plan(view, Dice(seed, actor.name, block))
        spent: Counter[tuple[str, str]] = Counter()
        for intent in intents:
            assert 0 <= intent.moment < 10**6
            assert 0 < intent.tip < 10**12
            assert intent.gas_limit < 16_000_000
            if "exact" in intent.action:
                assert int(str(intent.detail["limit"])) > 0
                assert 0 < Decimal(str(intent.detail["tolerance"])) <= Decimal("0.5")
            for symbol, amount in intent.spends:
                spent[intent.account, symbol] += amount
        assert all(amount <= view.balances[key] for key, amount in spent.items())


@settings(max_examples=40, deadline=None)
@given(off, off)
def test_every_opportunity_found_is_real(first: int, second: int) -> None:
    view = make_view()
    pools = dict(view.pools)
    for pool, usd, percent in ((V2_USDC, 5_000_000, first), (SUSHI_USDC, 3_000_000, second)):
        dollars, ether = reserves(pool, usd)
        pools[pool.name] = ConstantProductState((dollars * percent // 100, ether * 100 // percent))
    for opportunity in CycleFinder(MARKET).find(pools, 10**22)[:20]:
        back = MARKET.path_out(pools, [hop.pool for hop in opportunity.hops], "WETH", opportunity.amount_in)
        assert back - opportunity.amount_in >= opportunity.profit * 99 // 100 - 10**12
        assert opportunity.amount_in <= 10**22


@settings(max_examples=30, deadline=None)
@given(
    st.integers(min_value=0, max_value=2**32),
    st.lists(
        st.tuples(
            st.sampled_from([V2_USDC, SUSHI_USDC, V3_USDC]),
            st.integers(min_value=10**15, max_value=10**20),
            st.integers(min_value=900, max_value=1000),
            st.sampled_from(["trader-0", "trader-1", "trader-2"]),
        ),
        max_size=6,
    ),
)
def test_no_victim_of_a_sandwich_gets_less_than_its_least(seed: int, wanted: list[tuple[Pool, int, int, str]]) -> None:
    view, swaps = make_view(), []
    for pool, amount, per_thousand, sender in wanted:
        out = MARKET.amount_out(pool, view.pools[pool.name], "WETH", "USDC", amount)
        swaps.append(pending_swap((pool,), "WETH", amount, out * per_thousand // 1000, sender=sender))
    known = {swap.transaction.hash: swap for swap in swaps}
    for bundle in Sandwicher(MARKET, PARAMETERS.sandwicher, SANDWICHERS).plan(view, swaps, Dice(seed)):
        victims = bundle.detail["victims"]
        assert isinstance(victims, list)
        pool = known[victims[0]].path[0]
        state, _ = MARKET.swapped(pool, view.pools[pool.name], "WETH", int(str(bundle.detail["front_in"])))
        for name in victims:
            state, out = MARKET.swapped(pool, state, "WETH", known[name].amount_in)
            assert out >= known[name].minimum_out
    Rival(MARKET, PARAMETERS.rival, RIVALS).plan(view, swaps, Dice(seed))


@given(st.binary(max_size=200), st.sampled_from(["uniswap_v2_router", "sushi_router", "uniswap_v3_router"]), st.data())
def test_any_call_data_is_read_or_ignored(tail: bytes, router: str, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from(["38ed1739", "7ff36ab5", "414bf389", "c04b8d59", ""]))
    call = replace(v2_swap("trader-0", 1, 1, ["WETH"]), to=address(router), data=bytes.fromhex(prefix) + tail)
    for swap in PendingReader(MARKET).swaps([announced(call)]):
        assert swap.amount_in > 0
        assert len(swap.path) >= 1
