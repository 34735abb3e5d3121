"""Aave V3's and Morpho Blue's positions: from logs, by our own prices, exact."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from node.pipeline.lending import aave_v3, logs, morpho_blue
from node.pipeline.lending.aave_v3 import EMode, Market, Position, Reserve, ReserveSettings
from node.pipeline.lending.errors import LogMalformed, StateContradicted, UnknownReserve
from node.pipeline.lending.liquidations import liquidatable
from node.pipeline.lending.logs import Event
from node.pipeline.lending.morpho_blue import MorphoMarket, MorphoPosition
from node.pipeline.lending.oracle_view import OracleView, pending_answer
from node.pipeline.lending.ray_math import (
    RAY,
    SECONDS_PER_YEAR,
    WAD,
    compounded_interest,
    linear_interest,
    percent_div,
    percent_mul,
    ray_div,
    ray_mul,
    wad_div,
)
from protocol.ethereum.abi import encode, encode_call
from protocol.ethereum.keccak import keccak256

ETHER, DOLLAR = "0x" + "11" * 20, "0x" + "22" * 20
ALICE, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20
NOW = 1_700_000_000
MARKET = Market(
    {
        ETHER: Reserve(ReserveSettings(18, 8250, 10_500, 1000, 1), RAY, RAY, 0, 0, NOW),
        DOLLAR: Reserve(ReserveSettings(6, 7800, 10_450, 0, 0), RAY, RAY, 0, 5 * 10**25, NOW),
    },
    {1: EMode(9300, 10_100), 2: EMode(9000, 10_200, 7 * 10**8)},
)
PRICES = {ETHER: 2000 * 10**8, DOLLAR: 10**8}
POSITION = Position({ETHER: 10 * 10**18}, {DOLLAR: 10_000 * 10**6}, frozenset({ETHER}))


def log(signature: str, indexed: list[tuple[str, Any]], types: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    topics = [keccak256(signature.encode()), *(encode((kind,), (value,)) for kind, value in indexed)]
    return topics, encode(types, values)


# Arithmetic


def test_rays_and_percentages_round_half_up() -> None:
    assert (ray_mul(1, RAY // 2), ray_mul(1, RAY // 2 - 1)) == (1, 0)
    assert (ray_div(1, 2 * RAY), ray_div(1, 3 * RAY)) == (1, 0)
    assert wad_div(1, 2 * WAD) == 1
    assert (percent_mul(1, 5000), percent_mul(1, 4999)) == (1, 0)
    assert percent_div(105, 10_500) == 100
    for question in (ray_div, wad_div, percent_div):
        with pytest.raises(StateContradicted):
            question(1, 0)


def test_interest_compounds_a_little_above_the_straight_line() -> None:
    rate = 5 * 10**25

    assert linear_interest(rate, SECONDS_PER_YEAR) == RAY + rate
    assert compounded_interest(rate, 0) == RAY
    assert compounded_interest(rate, 1) == RAY + rate // SECONDS_PER_YEAR
    grown = compounded_interest(rate, SECONDS_PER_YEAR)
    assert abs(grown - int(1.0512709 * 10**27)) < 10**22


# Aave


def test_health_is_the_weighted_collateral_over_the_debt() -> None:
    account = aave_v3.account(MARKET, POSITION, PRICES, NOW)

    assert (account.collateral, account.debt, account.threshold) == (20_000 * 10**8, 10_000 * 10**8, 8250)
    assert account.health_factor == 165 * 10**16
    later = aave_v3.account(MARKET, POSITION, PRICES, NOW + SECONDS_PER_YEAR)
    assert later.health_factor < account.health_factor
    free = msgspec.structs.replace(POSITION, debts={})
    assert aave_v3.account(MARKET, free, PRICES, NOW).health_factor == aave_v3.NO_DEBT


def test_supplies_that_are_no_collateral_do_not_count() -> None:
    none = msgspec.structs.replace(POSITION, collateral=frozenset())

    assert aave_v3.account(MARKET, none, PRICES, NOW).health_factor == 0


def test_an_e_mode_has_thresholds_and_maybe_a_price_of_its_own() -> None:
    in_mode = msgspec.structs.replace(POSITION, e_mode=1)
    assert aave_v3.account(MARKET, in_mode, PRICES, NOW).threshold == 9300

    settings = ReserveSettings(18, 8250, 10_500, 0, 2)
    priced = Market({**MARKET.reserves, ETHER: Reserve(settings, RAY, RAY, 0, 0, NOW)}, MARKET.e_modes)
    in_other = msgspec.structs.replace(POSITION, e_mode=2)
    assert aave_v3.account(priced, in_other, PRICES, NOW).collateral == 70 * 10**8
    liquidation = aave_v3.liquidation(priced, in_other, PRICES, ETHER, DOLLAR, NOW)
    assert liquidation is not None
    assert liquidation.debt_repaid == 10_000 * 10**6


def test_a_position_barely_ill_loses_half_of_its_debt_and_one_far_gone_all() -> None:
    barely = aave_v3.liquidation(MARKET, POSITION, PRICES | {ETHER: 1200 * 10**8}, ETHER, DOLLAR, NOW)
    far_gone = aave_v3.liquidation(MARKET, POSITION, PRICES | {ETHER: 1100 * 10**8}, ETHER, DOLLAR, NOW)

    assert barely is not None
    assert far_gone is not None
    assert barely.debt_repaid == 5000 * 10**6
    whole = 5000 * 105 * 10**18 // (1200 * 100)
    assert barely.collateral_received + barely.protocol_fee in (whole, whole - 1)
    assert abs(barely.protocol_fee * 10 - (whole - percent_div(whole, 10_500))) <= 10
    assert far_gone.debt_repaid < 10_000 * 10**6 + 1
    assert aave_v3.liquidation(MARKET, POSITION, PRICES, ETHER, DOLLAR, NOW) is None


def test_no_more_is_seized_than_there_is_and_no_more_repaid_than_was_offered() -> None:
    poor = aave_v3.liquidation(MARKET, POSITION, PRICES | {ETHER: 100 * 10**8}, ETHER, DOLLAR, NOW)
    offered = aave_v3.liquidation(MARKET, POSITION, PRICES | {ETHER: 1100 * 10**8}, ETHER, DOLLAR, NOW, 10**6)

    assert poor is not None
    assert offered is not None
    assert poor.collateral_received + poor.protocol_fee == 10 * 10**18
    assert poor.debt_repaid == percent_div(1000 * 10**6, 10_500)
    assert offered.debt_repaid == 10**6
    assert aave_v3.liquidation(MARKET, POSITION, PRICES | {ETHER: 1}, DOLLAR, DOLLAR, NOW) is None


def test_what_was_never_told_is_said_so() -> None:
    with pytest.raises(UnknownReserve):
        aave_v3.account(MARKET, Position({ALICE: 1}), PRICES, NOW)
    with pytest.raises(UnknownReserve):
        aave_v3.account(MARKET, POSITION, {ETHER: 1}, NOW)
    with pytest.raises(StateContradicted):
        aave_v3.account(MARKET, POSITION, PRICES, NOW - 1)


def test_a_mint_and_a_burn_tell_what_moved_beside_the_interest() -> None:
    index = 2 * RAY

    def changes(name: str, *values: Any) -> list[tuple[str, int]]:
        return aave_v3.scaled_changes(Event(name, values))

    assert changes("Mint", BOB, ALICE, 110, 10, index) == [(ALICE, 50)]
    assert changes("Mint", ALICE, ALICE, 4, 10, index) == [(ALICE, -3)]
    assert changes("Mint", BOB, ALICE, 10, 10, index) == []
    assert changes("Burn", ALICE, BOB, 90, 10, index) == [(ALICE, -50)]
    assert changes("BalanceTransfer", ALICE, BOB, 7, index) == [(ALICE, -7), (BOB, 7)]
    assert changes("BalanceTransfer", ALICE, ALICE, 7, index) == []


def test_scaled_balances_and_flags_follow_the_events() -> None:
    position = aave_v3.with_scaled_change(Position(), ETHER, 5, is_debt=False)
    position = aave_v3.with_scaled_change(position, DOLLAR, 7, is_debt=True)
    position = aave_v3.position_after_flag(position, Event("ReserveUsedAsCollateralEnabled", (ETHER, ALICE)))
    position = aave_v3.position_after_flag(position, Event("UserEModeSet", (ALICE, 1)))

    assert position == Position({ETHER: 5}, {DOLLAR: 7}, frozenset({ETHER}), 1)
    emptied = aave_v3.with_scaled_change(position, ETHER, -5, is_debt=False)
    assert emptied.supplies == {}
    off = aave_v3.position_after_flag(position, Event("ReserveUsedAsCollateralDisabled", (ETHER, ALICE)))
    assert off.collateral == frozenset()
    with pytest.raises(StateContradicted):
        aave_v3.with_scaled_change(position, DOLLAR, -8, is_debt=True)


def test_a_reserve_follows_its_update() -> None:
    signature = "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)"
    topics, data = log(signature, [("address", DOLLAR)], ("uint256",) * 5, (1, 2, 3, 4, 5))
    event = logs.decode_log(aave_v3.POOL_EVENTS, topics, data)

    assert event is not None
    assert event.values[0] == DOLLAR
    after = aave_v3.reserve_after(MARKET.reserves[DOLLAR], event, NOW + 5)
    assert (after.liquidity_rate, after.borrow_rate, after.liquidity_index, after.borrow_index) == (1, 3, 4, 5)
    assert after.updated == NOW + 5


def test_logs_of_others_are_none_of_ours_and_broken_ones_are_told() -> None:
    signature = "Mint(address,address,uint256,uint256,uint256)"
    topics, data = log(signature, [("address", ALICE), ("address", BOB)], ("uint256",) * 3, (1, 2, 3))
    kinds = aave_v3.TOKEN_EVENTS

    assert logs.decode_log(kinds, topics, data) == Event("Mint", (ALICE, BOB, 1, 2, 3))
    assert logs.decode_log(kinds, [bytes(32)], b"") is None
    assert logs.decode_log(kinds, [], b"") is None
    for broken in ((topics[:2], data), (topics, data[:-1]), ([*topics[:2], b"short"], data)):
        with pytest.raises(LogMalformed):
            logs.decode_log(kinds, *broken)
    dirty = [topics[0], b"\xff" * 32, topics[2]]
    with pytest.raises(LogMalformed):
        logs.decode_log(kinds, dirty, data)


# Liquidations


def test_the_best_pair_of_each_ill_position_is_found_and_the_healthy_are_not() -> None:
    two_debts = msgspec.structs.replace(POSITION, debts={DOLLAR: 9_000 * 10**6, ETHER: 10**17})
    positions = {ALICE: POSITION, BOB: two_debts, "0xcc": Position({ETHER: 1}), "0xdd": Position({}, {"0xee": 1})}

    healthy, unknown = liquidatable(MARKET, positions, PRICES, NOW)
    assert (healthy, unknown) == ([], 1)
    finds, _ = liquidatable(MARKET, positions, PRICES | {ETHER: 1100 * 10**8}, NOW)
    assert [find.user for find in finds] == [ALICE, BOB]
    first = finds[0]
    assert (first.collateral_asset, first.debt_asset) == (ETHER, DOLLAR)
    assert first.moved == aave_v3.liquidation(MARKET, POSITION, PRICES | {ETHER: 1100 * 10**8}, ETHER, DOLLAR, NOW)
    received = first.moved.collateral_received * 1100 * 10**8 // 10**18
    assert first.surplus == received - first.moved.debt_repaid * 10**2
    assert 0 < finds[1].surplus < first.surplus


@pytest.mark.parametrize(("debt_of_ether", "best"), [(10**17, DOLLAR), (10**19, ETHER)])
def test_of_several_debts_the_one_is_repaid_that_leaves_most(debt_of_ether: int, best: str) -> None:
    third, prices = "0x" + "33" * 20, PRICES | {"0x" + "33" * 20: 10**8}
    market = msgspec.structs.replace(MARKET, reserves={**MARKET.reserves, third: MARKET.reserves[DOLLAR]})
    owing = Position({third: 11_000 * 10**6}, {DOLLAR: 9_000 * 10**6, ETHER: debt_of_ether}, frozenset({third}))

    (find,), _ = liquidatable(market, {ALICE: owing}, prices, NOW)
    other = next(debt for debt in (DOLLAR, ETHER) if debt != best)
    missed = aave_v3.liquidation(market, owing, prices, third, other, NOW)
    assert (find.collateral_asset, find.debt_asset) == (third, best)
    assert missed is not None
    worth = missed.debt_repaid * prices[other] // 10 ** market.reserve(other).settings.decimals
    assert find.surplus > missed.collateral_received * 10**2 - worth


def test_a_position_below_one_without_collateral_is_no_find() -> None:
    bare = msgspec.structs.replace(POSITION, collateral=frozenset())

    assert liquidatable(MARKET, {ALICE: bare}, PRICES, NOW) == ([], 0)


# Oracles


def test_an_answer_prices_the_assets_of_its_aggregator_alone() -> None:
    view = OracleView({BOB: (ETHER,)}, PRICES)

    assert view.after(BOB, Event("AnswerUpdated", (5, 1, NOW))).prices == {**PRICES, ETHER: 5}
    assert view.after(ALICE, Event("AnswerUpdated", (5, 1, NOW))) is view
    with pytest.raises(StateContradicted):
        view.with_answer(BOB, 0)


def test_the_answer_of_a_pending_call_is_read_and_other_calls_are_not() -> None:
    assert pending_answer(encode_call("submit(uint256,int256)", 7, 5)) == 5
    assert pending_answer(encode_call("submit(uint256)", 7)) is None
    assert pending_answer(b"") is None


# Morpho

LLTV = 86 * 10**16
PRICE = 2000 * 10**24  # a loan token of 6 decimals for a collateral of 18
BLUE = MorphoMarket(LLTV, 10**12, 10**18, 10**11, 10**17, 0, NOW)
OWED = MorphoPosition(10**16, 6 * 10**18)  # 10,000 loan tokens


def test_a_morpho_position_is_healthy_up_to_its_lltv() -> None:
    assert morpho_blue.max_borrow(BLUE, OWED, PRICE) == 12_000 * 10**6 * 86 // 100
    health = morpho_blue.health_factor(BLUE, OWED, PRICE)
    assert health is not None
    assert abs(health - 1032 * 10**15) < 10**12
    assert morpho_blue.health_factor(BLUE, MorphoPosition(0, 1), PRICE) is None
    assert morpho_blue.liquidation(BLUE, OWED, PRICE) is None


def test_interest_accrues_to_both_sides_and_the_fee_in_shares() -> None:
    rate = WAD // (20 * SECONDS_PER_YEAR)
    taxed = msgspec.structs.replace(BLUE, fee=10**17)
    after, fee = (morpho_blue.accrued(market, rate, NOW + SECONDS_PER_YEAR) for market in (BLUE, taxed))

    interest = after.borrow_assets - BLUE.borrow_assets
    assert abs(interest - int(0.05127 * 10**11)) < 10**6
    assert after.supply_assets - BLUE.supply_assets == interest
    assert (after.supply_shares, after.updated) == (BLUE.supply_shares, NOW + SECONDS_PER_YEAR)
    assert fee.supply_shares > BLUE.supply_shares
    with pytest.raises(StateContradicted):
        morpho_blue.accrued(BLUE, rate, NOW - 1)


def test_a_liquidator_is_paid_by_how_low_the_lltv_is() -> None:
    assert morpho_blue.incentive_factor(98 * 10**16) < morpho_blue.incentive_factor(LLTV)
    assert morpho_blue.incentive_factor(LLTV) == WAD * WAD // (WAD - 42 * 10**15)
    assert morpho_blue.incentive_factor(10**17) == 115 * 10**16


def test_a_liquidation_ends_the_debt_or_takes_all_of_the_collateral() -> None:
    ill = morpho_blue.liquidation(BLUE, OWED, PRICE * 95 // 100)
    broke = morpho_blue.liquidation(BLUE, OWED, PRICE // 2)

    assert ill is not None
    assert broke is not None
    assert ill.repaid_shares == OWED.borrow_shares
    assert abs(ill.repaid_assets - 10_000 * 10**6) <= 1 + 10**6
    assert ill.seized < OWED.collateral
    assert broke.seized == OWED.collateral
    assert broke.repaid_shares < OWED.borrow_shares
    assert morpho_blue.liquidation(BLUE, msgspec.structs.replace(OWED, collateral=0), PRICE // 2) is None


def test_what_ends_a_debt_is_rounded_up_and_what_is_seized_for_it_down() -> None:
    """Morpho.liquidate by shares: toAssetsUp is paid, toAssetsDown counts for the collateral."""
    shares, price = OWED.borrow_shares, PRICE * 95 // 100
    market = msgspec.structs.replace(BLUE, borrow_assets=BLUE.borrow_assets + 7)
    exact, rest = divmod(shares * (market.borrow_assets + 1), market.borrow_shares + 10**6)
    assert rest, "else there is nothing to round"

    ended = morpho_blue.liquidation(market, OWED, price)
    assert ended == morpho_blue.liquidation_of(market, OWED, price, shares)
    assert ended is not None
    assert ended.repaid_assets == exact + 1
    assert ended.seized == exact * morpho_blue.incentive_factor(LLTV) // WAD * 10**36 // price


MARKET_ID = b"\x07" * 32


def test_a_market_and_a_position_follow_their_events() -> None:
    borrow = log(
        "Borrow(bytes32,address,address,address,uint256,uint256)",
        [("bytes32", MARKET_ID), ("address", ALICE), ("address", BOB)],
        ("address", "uint256", "uint256"),
        (BOB, 5, 50),
    )
    event = logs.decode_log(morpho_blue.EVENTS, *borrow)
    assert event is not None
    assert event.values == (MARKET_ID, BOB, ALICE, BOB, 5, 50)
    assert morpho_blue.owner_of(event) == ALICE

    market, position = BLUE, MorphoPosition()
    told = [
        Event("Supply", (MARKET_ID, ALICE, ALICE, 100, 1000)),
        Event("Withdraw", (MARKET_ID, ALICE, ALICE, ALICE, 40, 400)),
        Event("AccrueInterest", (MARKET_ID, 1, 7, 3)),
        Event("SetFee", (MARKET_ID, 9)),
        Event("SupplyCollateral", (MARKET_ID, ALICE, ALICE, 90)),
        event,
        Event("Repay", (MARKET_ID, ALICE, ALICE, 2, 20)),
        Event("WithdrawCollateral", (MARKET_ID, ALICE, ALICE, ALICE, 30)),
        Event("Liquidate", (MARKET_ID, BOB, ALICE, 1, 10, 60, 2, 20)),
    ]
    for one in told:
        market = morpho_blue.market_after(market, one, NOW + 1)
        position = morpho_blue.position_after(position, one)
    assert position == MorphoPosition(0, 0)
    assert market == MorphoMarket(LLTV, 10**12 + 65, 10**18 + 603, 10**11 + 7, 10**17, 9, NOW + 1)
    assert morpho_blue.owner_of(told[0]) is None


def test_events_that_cannot_be_are_told() -> None:
    with pytest.raises(StateContradicted):
        morpho_blue.position_after(MorphoPosition(), Event("Repay", (MARKET_ID, ALICE, ALICE, 2, 20)))
    with pytest.raises(StateContradicted):
        morpho_blue.market_after(MorphoMarket(LLTV), Event("Withdraw", (MARKET_ID, ALICE, ALICE, ALICE, 1, 1)), NOW)
    one_more = morpho_blue.market_after(
        msgspec.structs.replace(BLUE, borrow_assets=5), Event("Repay", (MARKET_ID, ALICE, ALICE, 6, 20)), NOW
    )
    assert one_more.borrow_assets == 0
