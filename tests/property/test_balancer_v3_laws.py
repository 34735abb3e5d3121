"""Laws of Balancer V3's pools and of vaults with shares that hold for every state and every amount."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from node.pipeline.amm import balancer_v3, erc4626
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.balancer_v3_stable import V3StableMaths
from node.pipeline.amm.balancer_v3_surge import SurgeHook
from node.pipeline.amm.balancer_v3_weighted import weighted_maths
from node.pipeline.amm.erc4626 import ShareVault

ONE = 10**18
raw_balances = st.integers(10**21, 10**25)
shares_of_balance = st.integers(1, 250)


@st.composite
def pools(draw: st.DrawFn) -> V3Pool:
    raw = draw(raw_balances), draw(raw_balances)
    rates = draw(st.integers(ONE, 2 * ONE)), draw(st.integers(ONE, 2 * ONE))
    fee, aggregate = draw(st.integers(10**12, 10**17)), draw(st.integers(0, ONE // 2))
    if draw(st.booleans()):
        weight = draw(st.integers(5, 95)) * 10**16
        return balancer_v3.v3_pool(raw, (1, 1), rates, fee, 10**24, weighted_maths((weight, ONE - weight)), aggregate)
    hook = draw(st.sampled_from([None, SurgeHook(3 * 10**17, 95 * 10**16)]))
    level = raw[0], raw[0] * draw(st.integers(50, 200)) // 100
    maths = V3StableMaths(draw(st.integers(1000, 5_000_000)))
    return balancer_v3.v3_pool(level, (1, 1), rates, fee, 10**24, maths, aggregate, hook)


@given(pools(), st.integers(0, 1), shares_of_balance)
def test_a_trade_there_and_back_never_profits(pool: V3Pool, index_in: int, share: int) -> None:
    amount_in = pool.raw[index_in] * share // 1000
    after, amount_out = balancer_v3.swap_exact_in(pool, index_in, 1 - index_in, amount_in)
    assume(amount_out * 4 <= after.raw[1 - index_in])

    assert balancer_v3.quote_exact_in(after, 1 - index_in, index_in, amount_out) <= amount_in


@given(pools(), st.integers(0, 1), shares_of_balance)
def test_what_is_asked_for_an_output_buys_at_least_that_output(pool: V3Pool, index_in: int, share: int) -> None:
    amount_out = pool.raw[1 - index_in] * share // 1000
    amount_in = balancer_v3.quote_exact_out(pool, index_in, 1 - index_in, amount_out)
    assume(amount_in * 10 <= pool.raw[index_in] * 3)
    assume(pool.fee_hook is None)  # a surge is estimated before the fee, which differs between the two ways

    # pow rounds up by 10**-14 of itself either way, which is kept from the trader.
    bought = balancer_v3.quote_exact_in(pool, index_in, 1 - index_in, amount_in)
    assert abs(bought - amount_out) <= pool.raw[1 - index_in] // 10**11


@given(pools(), st.integers(0, 1), shares_of_balance)
def test_pool_tokens_of_one_token_are_never_worth_more_than_it(pool: V3Pool, index: int, share: int) -> None:
    assume(pool.fee_hook is None)
    minted = pool.supply * share // 2000
    paid = balancer_v3.add_single_exact_out(pool, index, minted)

    assert balancer_v3.remove_single_exact_in(pool, index, minted) <= paid


@given(pools(), shares_of_balance)
def test_a_proportional_deposit_pays_back_no_more_than_it_cost(pool: V3Pool, share: int) -> None:
    minted = pool.supply * share // 1000
    cost = balancer_v3.add_proportional(pool, minted)

    assert all(back <= paid for back, paid in zip(balancer_v3.remove_proportional(pool, minted), cost, strict=True))


vaults = st.builds(
    ShareVault,
    st.integers(0, 1 << 100),
    st.integers(0, 1 << 100),
    st.just(1),
    st.sampled_from([1, 10**6]),
)


@given(vaults, st.integers(0, 1 << 100))
def test_a_deposit_redeemed_at_once_never_profits(vault: ShareVault, assets: int) -> None:
    after, shares = erc4626.deposit(vault, assets)

    assert erc4626.redeem(after, shares)[1] <= assets


@given(vaults, st.integers(0, 1 << 100))
def test_previews_of_one_way_round_against_the_caller(vault: ShareVault, amount: int) -> None:
    assert erc4626.preview_mint(vault, erc4626.preview_deposit(vault, amount)) <= amount
    assert erc4626.preview_withdraw(vault, erc4626.preview_redeem(vault, amount)) <= amount
    assert erc4626.preview_redeem(vault, erc4626.preview_withdraw(vault, amount)) >= amount
    assert erc4626.preview_deposit(vault, erc4626.preview_mint(vault, amount)) >= amount
