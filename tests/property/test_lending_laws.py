"""Laws of lenders' positions that hold for every market and every amount."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from node.pipeline.lending import aave_v3, morpho_blue
from node.pipeline.lending.aave_v3 import Market, Position, Reserve, ReserveSettings
from node.pipeline.lending.logs import Event
from node.pipeline.lending.morpho_blue import MorphoMarket, MorphoPosition
from node.pipeline.lending.ray_math import RAY, WAD, compounded_interest, linear_interest, ray_div, ray_mul

amounts = st.integers(0, 1 << 120)
indices = st.integers(RAY, 10 * RAY)
prices = st.integers(1, 10**14)


@given(amounts, indices)
def test_an_amount_scaled_down_and_up_is_within_half_an_index_of_itself(amount: int, index: int) -> None:
    assert abs(ray_mul(ray_div(amount, index), index) - amount) <= index // (2 * RAY) + 1


@given(st.integers(0, RAY), st.integers(0, 10**9))
def test_compounding_never_pays_less_than_the_straight_line(rate: int, seconds: int) -> None:
    assert compounded_interest(rate, seconds) >= linear_interest(rate, seconds)


@given(amounts, amounts, indices)
def test_what_a_mint_and_a_burn_of_the_same_amount_mean_cancels(value: int, increase: int, index: int) -> None:
    mint = Event("Mint", ("0x1", "0x2", value + increase, increase, index))
    burn = Event("Burn", ("0x2", "0x1", value, 0, index))

    assert sum(change for event in (mint, burn) for _, change in aave_v3.scaled_changes(event)) == 0


@st.composite
def accounts(draw: st.DrawFn) -> tuple[Market, Position, dict[str, int]]:
    bonus, fee = draw(st.integers(10_000, 12_000)), draw(st.integers(0, 10_000))
    a = ReserveSettings(draw(st.integers(6, 18)), draw(st.integers(1, 9000)), bonus, fee)
    b = ReserveSettings(draw(st.integers(6, 18)), 8000, 10_500)
    market = Market(
        {"a": Reserve(a, draw(indices), draw(indices), 0, 0, 0), "b": Reserve(b, draw(indices), draw(indices), 0, 0, 0)}
    )
    supplied, owed = draw(st.integers(1, 1 << 90)), draw(st.integers(1, 1 << 90))
    return market, Position({"a": supplied}, {"b": owed}, frozenset({"a"})), {"a": draw(prices), "b": draw(prices)}


@given(accounts())
def test_an_aave_liquidation_takes_no_more_than_there_is(given_: tuple[Market, Position, dict[str, int]]) -> None:
    market, position, known = given_
    moved = aave_v3.liquidation(market, position, known, "a", "b", 0)
    health = aave_v3.account(market, position, known, 0).health_factor
    assert (moved is None) == (health >= WAD)
    if moved is None:
        return

    assert moved.collateral_received + moved.protocol_fee <= ray_mul(
        position.supplies["a"], market.reserves["a"].liquidity_index
    )
    assert moved.debt_repaid <= ray_mul(position.debts["b"], market.reserves["b"].borrow_index) + 1


@given(accounts(), st.integers(2, 100))
def test_a_lower_price_of_the_collateral_never_heals(
    given_: tuple[Market, Position, dict[str, int]], part: int
) -> None:
    market, position, known = given_
    assume(known["a"] >= part)
    lower = known | {"a": known["a"] // part}

    assert (
        aave_v3.account(market, position, lower, 0).collateral <= aave_v3.account(market, position, known, 0).collateral
    )


markets = st.builds(
    MorphoMarket,
    st.integers(10**17, 98 * 10**16),
    st.integers(10**6, 1 << 100),
    st.integers(10**12, 1 << 110),
    st.integers(10**6, 1 << 90),
    st.integers(10**12, 1 << 100),
)
positions = st.builds(MorphoPosition, st.integers(0, 1 << 100), st.integers(0, 1 << 90))


@given(markets, positions, st.integers(10**20, 10**40))
def test_a_morpho_liquidation_is_of_an_ill_position_and_of_what_it_has(
    market: MorphoMarket, position: MorphoPosition, price: int
) -> None:
    health = morpho_blue.health_factor(market, position, price)
    moved = morpho_blue.liquidation(market, position, price)
    if moved is None:
        assert health is None or health >= WAD or not position.collateral
        return

    assert health is not None
    assert health < WAD
    assert 0 <= moved.seized <= position.collateral
    # The lender's view of what is repaid is worth at least what it lets go, but for the incentive.
    worth = moved.seized * price // morpho_blue.ORACLE_SCALE * WAD // morpho_blue.incentive_factor(market.lltv)
    assert moved.repaid_assets + 1 >= worth


@given(markets, st.integers(0, 10**10), st.integers(0, 10**8))
def test_interest_never_shrinks_a_market(market: MorphoMarket, rate: int, seconds: int) -> None:
    after = morpho_blue.accrued(market, rate, seconds)

    assert after.borrow_assets - market.borrow_assets == after.supply_assets - market.supply_assets >= 0
