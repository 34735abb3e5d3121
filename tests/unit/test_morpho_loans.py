"""Morpho's loans in the pipeline: followed by logs, undone with blocks, liquidated also behind a pending answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from benchmarks.market_generator import GWEI, HEAD, GeneratedMarket
from node.engine.call_data import VaultCallData
from node.pipeline.events import BlockRetracted, Effect, LoansRead, RatesRead, RecordOpportunity, ResyncLoans
from node.pipeline.lending import morpho_blue
from node.pipeline.lending.aave_book import UNREADABLE, LoanLog
from node.pipeline.lending.errors import LendingError, StateContradicted, UnknownReserve
from node.pipeline.lending.logs import Event
from node.pipeline.lending.morpho_blue import WAD, MorphoMarket, MorphoPosition
from node.pipeline.lending.morpho_book import LATE_SECONDS, FeedOracle, MarketParams, MorphoBook
from node.pipeline.plans import LiquidationStep, LiquidationVenue, Opportunity
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.abi import encode_call
from protocol.ethereum.transactions import SignedTransaction
from protocol.kinds import OpportunityKind
from protocol.units import BlockNumber, UnixNanoseconds, address_from_hex, address_to_hex
from tests.pipeline_scene import ALICE as SENDER
from tests.pipeline_scene import block, pipeline, plans, seen, settings, signed, small_market

MARKET: GeneratedMarket = small_market()
ETHER, DOLLAR = (address_to_hex(token) for token in MARKET.profit_tokens)
OTHER = address_to_hex(next(token for token in MARKET.tokens if token not in MARKET.profit_tokens))
MORPHO, ORACLE, MODEL = ("0x" + byte * 20 for byte in ("aa", "0c", "1d"))
FEED, OF_DOLLAR = "0x" + "ef" * 20, "0x" + "df" * 20
NAME, SECOND = b"\x01" * 32, b"\x02" * 32
USER, STRANGER = "0x" + "b0" * 20, "0x" + "0c" * 20
E8 = 10**8
# In the scene a whole dollar (six decimals) is worth 3 * 10**14 wei, so that ether is worth 3,333 dollars.
FAIR, LOW = 3_333 * E8, 3_000 * E8
RATE = WAD // (365 * 24 * 3600)
"""A hundred percent a year."""


def book(
    answer: int = FAIR, *, loan: str = DOLLAR, owed: int = 2_750 * 10**6, refused: dict[bytes, str] | None = None
) -> MorphoBook:
    """One market at 86 percent: a loan that becomes ill below 3,198 dollars."""
    time = block(HEAD).timestamp
    shares = owed * 10**6
    market = MorphoMarket(86 * WAD // 100, 10 * owed, 10 * owed * 10**6, owed, shares, 0, time)
    return MorphoBook(
        MORPHO,
        {NAME: MarketParams(loan, ETHER, ORACLE, MODEL, market.lltv)},
        {NAME: market},
        {(NAME, USER): MorphoPosition(shares, WAD)},
        {ORACLE: FeedOracle(10**24, (FEED,), (OF_DOLLAR,))},
        {FEED: answer, OF_DOLLAR: E8},
        {NAME: RATE},
        refused or {},
        {FEED: frozenset([submitted(LOW).sender])},
    )


def told(name: str, *values: Any, source: str = MORPHO) -> LoanLog:
    return LoanLog(source, Event(name, values))


def scene(one: MorphoBook, **changes: Any) -> PipelineState:
    state = pipeline(MARKET, settings(MARKET, **changes))
    assert step(state, LoansRead(HEAD, one)) == ()
    return state


def at() -> int:
    return block(HEAD).timestamp + 1


def found(effects: Sequence[Effect]) -> list[Opportunity]:
    all_told = [effect.opportunity for effect in effects if isinstance(effect, RecordOpportunity)]
    return [one for one in all_told if one.kind is OpportunityKind.LIQUIDATION]


def submitted(price: int, feed: str = FEED) -> SignedTransaction:
    return signed(encode_call("submit(uint256,int256)", 9, price), address_from_hex(feed), "oracle", max_fee=30 * GWEI)


# The book


def test_logs_tell_every_position_also_of_who_was_never_there() -> None:
    logs = (
        told("AccrueInterest", NAME, 0, 1_000, 0),
        told("SupplyCollateral", NAME, STRANGER, STRANGER, 5 * WAD),
        told("Borrow", NAME, STRANGER, STRANGER, STRANGER, 10**6, 10**12),
    )
    after, strangers = book().after(logs, at())
    assert strangers == ()
    assert after.positions[NAME, STRANGER] == MorphoPosition(10**12, 5 * WAD)
    assert after.markets[NAME].borrow_assets == 2_750 * 10**6 + 1_000 + 10**6
    assert after.markets[NAME].updated == at()
    assert book().after((), at()) == (book(), ())


@pytest.mark.parametrize(
    "log",
    [
        told("Borrow", SECOND, USER, USER, USER, 1, 1),
        told("CreateMarket", NAME, (DOLLAR, ETHER, ORACLE, MODEL, WAD)),
        told("Repay", NAME, USER, USER, 1, 10**30),
        told(UNREADABLE, "no words"),
    ],
)
def test_what_does_not_fit_contradicts_the_book(log: LoanLog) -> None:
    with pytest.raises(LendingError):
        book().after((log,), at())


def test_an_answer_moves_the_price_by_the_oracles_own_rounding() -> None:
    one = book().after((told("AnswerUpdated", LOW, 7, 1, source=FEED),), at())[0]
    assert one.price(NAME) == 10**24 * LOW // E8 == book().answered(FEED, LOW).price(NAME)
    assert book().answered(STRANGER, 1) == book()
    with pytest.raises(StateContradicted):
        book().answered(FEED, 0)
    with pytest.raises(UnknownReserve):
        FeedOracle(1, (STRANGER,), ()).price(one.answers)


def test_a_price_or_a_rate_that_is_not_known_leaves_positions_unjudged() -> None:
    assert book(LOW).liquidatable(at())[1] == 0
    for field in ("oracles", "rates"):
        assert msgspec.structs.replace(book(LOW), **{field: {}}).liquidatable(at()) == ([], 1)
    assert book(LOW, refused={NAME: "its oracle"}).liquidatable(at()) == ([], 1)


def test_interest_alone_makes_a_loan_ill() -> None:
    assert book().liquidatable(at())[0] == []
    (ill,), _ = book().liquidatable(at() + 30 * 24 * 3600)
    assert (ill.user, ill.market, ill.debt_asset, ill.collateral_asset) == (USER, NAME, DOLLAR, ETHER)
    assert ill.health_factor < WAD


def test_what_is_taken_is_paid_for_whatever_interest_comes_in_the_next_blocks() -> None:
    one = book(LOW)
    (ill,), _ = one.liquidatable(at())
    for amount in (ill.moved.debt_repaid, ill.moved.debt_repaid // 3, 10**6):
        taken = one.taken(ill, amount, at())
        assert taken is not None
        late = one.accrued(NAME, at() + LATE_SECONDS)
        assert morpho_blue.assets_of(late, taken.shares) <= amount
        market, price = one.accrued(NAME, at()), one.price(NAME)
        moved = morpho_blue.liquidation_of(market, one.positions[NAME, USER], price, taken.shares)
        assert moved is not None
        assert (moved.seized, amount - moved.repaid_assets) == (taken.collateral_received, taken.spare)
        assert taken.spare < amount // 10**5
    assert one.taken(ill, 0, at()) is None


def test_a_liquidation_by_shares_is_that_of_the_whole_debt() -> None:
    one = book(LOW)
    market, position, price = one.accrued(NAME, at()), one.positions[NAME, USER], one.price(NAME)
    whole = morpho_blue.liquidation(market, position, price)
    assert whole is not None
    assert morpho_blue.liquidation_of(market, position, price, whole.repaid_shares) == whole
    assert morpho_blue.liquidation_of(market, position, price, whole.repaid_shares + 1) is None
    assert morpho_blue.liquidation_of(market, position, price * 2, 1) is None


# In the pipeline


def test_an_answer_that_makes_a_loan_ill_is_backrun_by_shares() -> None:
    state = scene(book())
    answer = submitted(LOW)
    effects = step(state, seen(answer))
    (one,) = found(effects)
    assert one.victims == (answer,)
    (liquidation,) = [leg for leg in one.steps if isinstance(leg, LiquidationStep)]
    assert (liquidation.family, liquidation.token_in) == (LiquidationVenue.MORPHO_BLUE, address_from_hex(DOLLAR))
    assert one.profit_token == address_from_hex(DOLLAR)
    assert liquidation.terms is not None
    ill = book(LOW).liquidatable(at())[0][0]
    taken = book(LOW).taken(ill, liquidation.amount_in, at())
    assert taken is not None
    assert (liquidation.terms.repaid_shares, liquidation.amount_out) == (taken.shares, taken.collateral_received)
    proceeds = one.steps[-1].amount_out + taken.spare
    assert proceeds - one.loan.amount - one.loan.fee == one.gross_profit > 0
    (plan,) = plans(effects)
    assert plan.victims == (answer,)
    assert state.morpho.book == book()


def test_what_is_ill_by_the_confirmed_prices_is_taken_at_the_start_of_a_block() -> None:
    state = scene(book())
    fall = told("AnswerUpdated", LOW, 7, 1, source=FEED)
    (one,) = found(step(state, msgspec.structs.replace(block(), morpho_logs=(fall,))))
    assert one.victims == ()


def test_a_debt_in_no_profit_token_is_left_alone() -> None:
    """What is spare of it would not be given back."""
    state = scene(book(loan=OTHER))
    assert found(step(state, seen(submitted(LOW)))) == []


def test_the_answer_of_another_feed_is_not_looked_behind() -> None:
    state = scene(book(LOW))
    assert found(step(state, seen(submitted(LOW, STRANGER)))) == []


def test_the_call_data_name_the_market_and_the_shares() -> None:
    (plan,) = plans(step(scene(book()), seen(submitted(LOW))))
    (execution,) = plan.executions
    opportunity = execution.opportunity
    data = VaultCallData({SENDER: SENDER})(
        sender=SENDER,
        steps=opportunity.steps,
        loan=opportunity.loan,
        profit_token=opportunity.profit_token,
        minimum_profit=1,
        bid=execution.bid,
        deadline_block=plan.target_block,
    )
    (terms,) = [leg.terms for leg in opportunity.steps if isinstance(leg, LiquidationStep)]
    assert terms is not None
    named = bytes.fromhex(USER[2:] + ORACLE[2:] + MODEL[2:])
    numbers = book().params[NAME].lltv.to_bytes(8, "big") + terms.repaid_shares.to_bytes(16, "big")
    assert named + numbers in data


def test_a_block_that_left_the_chain_takes_back_what_it_did() -> None:
    state = scene(book())
    step(state, msgspec.structs.replace(block(), morpho_logs=(told("SupplyCollateral", NAME, USER, USER, 1),)))
    assert state.morpho.book is not None
    assert state.morpho.book.positions[NAME, USER].collateral == WAD + 1
    step(state, BlockRetracted(block().hash, UnixNanoseconds(3)))
    assert state.morpho.book == book()


def test_what_contradicts_the_book_makes_it_unknown_and_asks_for_morphos() -> None:
    state = scene(book())
    effects = step(state, msgspec.structs.replace(block(), morpho_logs=(told("Supply", SECOND, USER, USER, 1, 1),)))
    assert [effect.is_morpho for effect in effects if isinstance(effect, ResyncLoans)] == [True]
    assert state.morpho.book is None
    assert found(step(state, seen(submitted(LOW)))) == []


def test_what_was_read_at_an_earlier_block_gets_the_later_logs_replayed() -> None:
    state = pipeline(MARKET, settings(MARKET))
    step(state, msgspec.structs.replace(block(), morpho_logs=(told("SupplyCollateral", NAME, USER, USER, 1),)))
    assert step(state, LoansRead(HEAD, book())) == ()
    assert state.morpho.book is not None
    assert state.morpho.book.positions[NAME, USER].collateral == WAD + 1
    (effect,) = step(state, LoansRead(BlockNumber(HEAD - 100), book()))
    assert isinstance(effect, ResyncLoans)
    assert effect.is_morpho


def test_rates_are_those_of_the_head_alone() -> None:
    state = scene(book())
    step(state, RatesRead(BlockNumber(HEAD - 1), {NAME: 5}))
    assert state.morpho.book == book()
    step(state, RatesRead(HEAD, {NAME: 5}))
    assert state.morpho.book is not None
    assert state.morpho.book.rates == {NAME: 5}
    assert state.morpho.book.owing() == [NAME]
