"""Liquidations in the pipeline: found, sized and sent, also right behind the price answer that makes them possible."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from benchmarks.market_generator import GWEI, HEAD, GeneratedMarket
from node.engine.call_data import VaultCallData
from node.pipeline.detectors.liquidation import LOOKS_PER_FEED
from node.pipeline.events import Effect, LoansRead, PendingGone, RecordDrop, RecordOpportunity
from node.pipeline.lenders import flash_loan
from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_book import AaveBook, LoanLog
from node.pipeline.lending.aave_v3 import Market, Position
from node.pipeline.lending.margins import MOST_NEAR, Margins
from node.pipeline.lending.oracle_view import OracleView
from node.pipeline.overlay import Overlay
from node.pipeline.plans import LiquidationStep, Opportunity, SwapStep
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from node.pipeline.way_back import Ways
from protocol.ethereum.abi import encode_call
from protocol.ethereum.transactions import SignedTransaction
from protocol.kinds import OpportunityKind
from protocol.units import Address, BlockNumber, Hash32, address_from_hex, address_to_hex
from tests import lending_factories
from tests.lending_factories import E8, ETHER_FEED, POOL, loan_log
from tests.pipeline_scene import ALICE as SENDER
from tests.pipeline_scene import block, pipeline, plans, seen, settings, signed, small_market

MARKET: GeneratedMarket = small_market()
ETHER, DOLLAR, OTHER = (address_to_hex(token) for token in MARKET.tokens[:3])
BORROWER = "0x" + "0b" * 20
# In the scene a whole dollar (six decimals) is worth 3 * 10**14 wei, so that ether is worth 3,333 dollars.
ORACLE, OTHER_ORACLE = (signed(b"", address_from_hex(ETHER_FEED), name).sender for name in ("oracle", "another oracle"))
FAIR, LOW = 3_333 * E8, 3_000 * E8


def _book(price: int = FAIR, debt: str = DOLLAR, collateral: int = 10**18, user: str = BORROWER) -> AaveBook:
    """A loan that becomes ill below 3,272 dollars (with one ether)."""
    owed = collateral * 2_700 * 10**6 // 10**18 if debt != ETHER else collateral
    position = Position({ETHER: collateral}, {debt: owed}, frozenset({ETHER}))
    oracles = dict.fromkeys((ETHER_FEED, lending_factories.DOLLAR_FEED), frozenset({ORACLE}))
    base = lending_factories.book({user: position}, price, assets=(ETHER, DOLLAR), oracles=oracles)
    reserves = {**base.market.reserves, OTHER: lending_factories.reserve(6, 7_900, 10_450)}
    view = OracleView(base.oracle.assets, {**base.oracle.prices, OTHER: E8}, oracles)
    return msgspec.structs.replace(base, market=Market(reserves), oracle=view)


def _scene(book: AaveBook, **changes: Any) -> PipelineState:
    state = pipeline(MARKET, settings(MARKET, **changes))
    assert step(state, LoansRead(HEAD, book)) == ()
    return state


def _found(effects: Sequence[Effect]) -> list[Opportunity]:
    told = [effect.opportunity for effect in effects if isinstance(effect, RecordOpportunity)]
    return [one for one in told if one.kind is OpportunityKind.LIQUIDATION]


def _answer(
    price: int, nonce: int = 0, feed: str = ETHER_FEED, max_fee: int = 30 * GWEI, by: str = "oracle"
) -> SignedTransaction:
    return signed(encode_call("submit(uint256,int256)", 9, price), address_from_hex(feed), by, nonce, max_fee)


def _redone(state: PipelineState, book: AaveBook, found: Opportunity) -> int:
    """The proceeds of a route, leg by leg, by the lender's own formula and the pools' own maths."""
    ways, amount = Ways(state.market, Overlay(state.market)), found.loan.amount
    head = state.blocks.head
    assert head is not None
    for leg in found.steps:
        assert leg.amount_in == amount
        if isinstance(leg, LiquidationStep):
            ends = address_to_hex(leg.token_out), address_to_hex(leg.token_in)
            user = address_to_hex(leg.borrower)
            position, prices = book.positions[user], book.oracle.prices
            moved = aave_v3.liquidation(book.market, position, prices, *ends, head.timestamp + 1, amount)
            assert moved is not None
            assert moved.debt_repaid == amount
            amount = moved.collateral_received
        else:
            amounts = ways.amounts((_edge(state, leg),), amount)
            assert amounts is not None
            amount = amounts[-1]
        assert leg.amount_out == amount
        assert leg.minimum_out <= amount
    return amount


def _edge(state: PipelineState, leg: SwapStep) -> int:
    pool = state.market.number_of(leg.pool_id)
    assert pool is not None
    return next(
        number
        for number in range(state.market.first_edge[pool], state.market.first_edge[pool + 1])
        if (state.market.edges[number].index_in, state.market.edges[number].index_out) == (leg.index_in, leg.index_out)
    )


def test_an_answer_that_makes_a_loan_ill_is_backrun_to_the_wei() -> None:
    state = _scene(_book())
    answer = _answer(LOW)
    effects = step(state, seen(answer))
    (found,) = _found(effects)
    assert [victim.hash for victim in found.victims] == [answer.hash]
    (plan,) = plans(effects)
    assert (plan.victims, plan.target_block) == ((answer,), HEAD + 1)
    proceeds = _redone(state, _book(LOW), found)
    assert proceeds - found.loan.amount - found.loan.fee == found.gross_profit > 0
    assert found.loan == flash_loan(found.loan.lender, found.loan.amount)
    assert state.loans.book == _book()


def test_what_is_ill_by_the_confirmed_prices_is_taken_at_the_start_of_a_block() -> None:
    state = _scene(_book())
    effects = step(state, msgspec.structs.replace(block(), loan_logs=(_fall(),)))
    (found,) = _found(effects)
    assert found.victims == ()
    # Below 0.95 the close factor lets all be repaid, and the market is deep enough for it.
    (liquidation,) = [leg for leg in found.steps if isinstance(leg, LiquidationStep)]
    assert liquidation.amount_in == 2_700 * 10**6
    assert address_to_hex(liquidation.address) == POOL


def _fall() -> LoanLog:
    return loan_log(ETHER_FEED, "AnswerUpdated", LOW, 9, 0)


def test_a_debt_that_is_no_profit_token_is_reached_by_a_swap_first() -> None:
    state = _scene(_book(debt=OTHER), profit_tokens=settings(MARKET).profit_tokens[:1])
    effects = step(state, msgspec.structs.replace(block(), loan_logs=(_fall(),)))
    (found,) = _found(effects)
    assert isinstance(found.steps[0], SwapStep)
    assert found.steps[0].token_in == found.profit_token == MARKET.profit_tokens[0]
    assert isinstance(found.steps[-1], LiquidationStep)
    assert _redone(state, _book(LOW, debt=OTHER), found) == found.loan.amount + found.loan.fee + found.gross_profit


def test_a_loan_too_large_for_the_market_is_taken_in_part() -> None:
    whole = 3_000 * 10**18
    state = _scene(_book(collateral=whole))
    effects = step(state, msgspec.structs.replace(block(), loan_logs=(_fall(),)))
    (found,) = _found(effects)
    (liquidation,) = [leg for leg in found.steps if isinstance(leg, LiquidationStep)]
    assert 0 < liquidation.amount_in < whole * 2_700 * 10**6 // 10**18
    assert _redone(state, _book(LOW, collateral=whole), found) - found.loan.amount > 0


def test_a_sound_loan_and_a_refused_one_give_nothing() -> None:
    state = _scene(_book())
    assert _found(step(state, seen(_answer(FAIR)))) == []
    assert state.dropped[Reason.NOT_PROFITABLE] == 1
    refused = msgspec.structs.replace(_book(), refused={ETHER: "its reserve is paused or not active"})
    state = _scene(refused)
    assert _found(step(state, seen(_answer(LOW)))) == []


def test_a_loan_of_the_asset_that_secures_it_is_left_alone() -> None:
    state = _scene(_book(debt=ETHER))
    assert _found(step(state, msgspec.structs.replace(block(), loan_logs=(_fall(),)))) == []


def test_of_a_loan_secured_by_what_it_owes_the_other_collateral_is_taken() -> None:
    both = Position({ETHER: 10**18, DOLLAR: 300 * 10**6}, {DOLLAR: 3_000 * 10**6}, frozenset({ETHER, DOLLAR}))
    state = _scene(msgspec.structs.replace(_book(), positions={BORROWER: both}))
    (found,) = _found(step(state, msgspec.structs.replace(block(), loan_logs=(_fall(),))))
    (liquidation,) = [leg for leg in found.steps if isinstance(leg, LiquidationStep)]
    assert address_to_hex(liquidation.token_out) == ETHER


def test_an_answer_waits_for_its_senders_earlier_ones_and_carries_them_along() -> None:
    state = _scene(_book())
    second = _answer(LOW, nonce=5)
    assert _found(step(state, seen(second, account_nonce=4))) == []
    assert state.dropped[Reason.VICTIM_NONCE_GAP] == 1
    first = _answer(FAIR, nonce=4)
    step(state, seen(first, account_nonce=4))
    effects = step(state, msgspec.structs.replace(block(), now=state.now))
    (found,) = _found(effects)
    assert [victim.hash for victim in found.victims] == [first.hash, second.hash]


def test_an_answer_whose_predecessor_is_mined_stands_alone() -> None:
    state = _scene(_book())
    first, second = _answer(FAIR, nonce=4), _answer(LOW, nonce=5)
    for one in (first, second):
        step(state, seen(one, account_nonce=4))
    effects = step(state, msgspec.structs.replace(block(included=[first.hash]), now=state.now))
    (found,) = _found(effects)
    assert [victim.hash for victim in found.victims] == [second.hash]


def test_an_answer_that_cannot_pay_the_base_fee_or_is_no_price_is_left_alone() -> None:
    state = _scene(_book())
    assert step(state, seen(_answer(LOW, max_fee=GWEI // 2))) == ()
    assert state.dropped[Reason.VICTIM_FEE_TOO_LOW] == 1
    assert step(state, seen(_answer(-1, nonce=1))) == ()
    other = signed(encode_call("requestNewRound()"), address_from_hex(ETHER_FEED), "oracle", 2)
    assert step(state, seen(other)) == ()
    assert state.dropped[Reason.NOT_A_SWAP] == 2


def test_an_answer_is_believed_of_the_feeds_only_oracle_alone() -> None:
    state = _scene(_book())
    assert step(state, seen(_answer(LOW, by="mallory"))) == ()
    assert state.dropped == {Reason.ANSWER_OF_STRANGER: 1}
    assert list(state.answers) == []
    two = {ETHER_FEED: frozenset({ORACLE, "0x" + "77" * 20})}
    for oracles in ({}, two):
        view = msgspec.structs.replace(_book().oracle, oracles=oracles)
        state = _scene(msgspec.structs.replace(_book(), oracle=view))
        assert step(state, seen(_answer(LOW))) == ()
        assert state.dropped == {Reason.ANSWER_OF_STRANGER: 1}


def test_an_oracle_that_a_block_lets_in_or_out_is_known_from_then_on() -> None:
    state = _scene(_book())
    out = loan_log(ETHER_FEED, "OraclePermissionsUpdated", ORACLE, False)
    into = loan_log(ETHER_FEED, "OraclePermissionsUpdated", OTHER_ORACLE, True)
    step(state, msgspec.structs.replace(block(), loan_logs=(out, into)))
    assert _found(step(state, seen(_answer(LOW)))) == []
    assert _found(step(state, seen(_answer(LOW, by="another oracle"))))


def test_between_two_blocks_only_so_many_answers_of_one_feed_are_weighed() -> None:
    state = _scene(_book())
    for nonce in range(LOOKS_PER_FEED + 3):
        step(state, seen(_answer(FAIR - nonce, nonce)))
    assert state.dropped[Reason.OVER_ANSWER_BUDGET] == 3
    assert state.dropped[Reason.NOT_PROFITABLE] == LOOKS_PER_FEED
    step(state, block())
    assert state.dropped[Reason.OVER_ANSWER_BUDGET] == 6


def test_an_answer_that_is_gone_takes_its_liquidation_along() -> None:
    state = _scene(_book())
    answer = _answer(LOW)
    (found,) = _found(step(state, seen(answer)))
    effects = step(state, PendingGone(Hash32(answer.hash), "replaced"))
    assert [effect.opportunity.id for effect in effects if isinstance(effect, RecordDrop)] == [found.id]
    assert _found(step(state, block())) == []


def test_an_included_answer_is_looked_for_no_more() -> None:
    state = _scene(_book())
    answer = _answer(LOW)
    step(state, seen(answer))
    (found,) = _found(step(state, msgspec.structs.replace(block(included=[answer.hash]), loan_logs=(_fall(),))))
    assert found.victims == ()


def test_of_two_finds_of_one_borrower_one_is_taken() -> None:
    state = _scene(_book())
    step(state, msgspec.structs.replace(block(), loan_logs=(_fall(),)))
    head = state.blocks.head
    assert head is not None
    lower = _answer(LOW - 100 * E8)
    step(state, seen(lower))
    placed = [one for one in state.outstanding.values() if one.find.borrower is not None]
    assert len({one.find.borrower for one in placed}) == 1
    assert len(state.schedule) >= 1


def test_without_a_book_nothing_is_looked_for() -> None:
    state = pipeline(MARKET)
    assert step(state, seen(_answer(LOW))) == ()
    assert _found(step(state, block())) == []
    assert state.loans.read(LoansRead(BlockNumber(HEAD), None, {BORROWER: Position()})) == []


@pytest.mark.parametrize("source", [MARKET.tokens[0], MARKET.tokens[5]])
def test_no_other_way_gives_more(source: Address) -> None:
    state = pipeline(MARKET)
    ways = Ways(state.market, Overlay(state.market))
    amount = 10**15
    for target in MARKET.tokens[:4]:
        best = ways.best(source, target, amount)
        if source == target:
            assert best == ()
            continue
        assert best is not None
        amounts = ways.amounts(best, amount)
        assert amounts is not None
        edges = state.market.edges
        start, goal = state.market.token_number(source), state.market.token_number(target)
        direct = [(number,) for number, edge in enumerate(edges) if (edge.token_in, edge.token_out) == (start, goal)]
        for way in direct:
            other = ways.amounts(way, amount)
            assert other is None or other[-1] <= amounts[-1]
        avoided = ways.best(source, target, amount, ways.pools(best))
        assert avoided is None or not set(ways.pools(avoided)) & set(ways.pools(best))


def test_the_call_data_names_the_borrower_and_the_collateral() -> None:
    effects = step(_scene(_book()), seen(_answer(LOW)))
    (found,), (plan,) = _found(effects), plans(effects)
    data = VaultCallData({SENDER: SENDER})(
        sender=SENDER,
        steps=found.steps,
        loan=found.loan,
        profit_token=found.profit_token,
        minimum_profit=1,
        bid=plan.executions[0].bid,
        deadline_block=found.target_block,
    )
    (liquidation,) = [leg for leg in found.steps if isinstance(leg, LiquidationStep)]
    assert b"\x08" + liquidation.token_out + liquidation.borrower in data


@pytest.mark.parametrize("seed", range(12))
def test_by_other_prices_nobody_is_ill_whom_the_margins_do_not_name(seed: int) -> None:
    chosen = Random(seed)
    positions = {f"0x{number:040x}": _position(chosen) for number in range(60)}
    book = msgspec.structs.replace(_book(), positions=positions)
    at = lending_factories.TIME + chosen.randrange(10**7)
    margins = Margins(book, at)
    assert {find.user for find in book.liquidatable(at)[0]} <= set(margins.near_now())
    for _ in range(20):
        price = chosen.choice([1, LOW, FAIR * 1_000, chosen.randrange(1, 3 * FAIR), 2**255 - 1])
        feed = chosen.choice([ETHER_FEED, lending_factories.DOLLAR_FEED])
        other = book.answered(feed, price)
        assert {find.user for find in other.liquidatable(at)[0]} <= set(margins.near(other.oracle.prices))


def _position(chosen: Random) -> Position:
    """Of every size, mostly not far from the threshold of one or two assets."""
    assets = [ETHER, DOLLAR, OTHER]
    supplies = {asset: chosen.randrange(1, 10 ** chosen.randrange(1, 24)) for asset in chosen.sample(assets, 2)}
    debts = {asset: chosen.randrange(1, 10 ** chosen.randrange(1, 22)) for asset in chosen.sample(assets, 2)}
    if chosen.random() < 0.7:
        worth = chosen.randrange(1, 10**24)
        supplies, debts = {ETHER: worth}, {DOLLAR: worth * chosen.randrange(2_600, 2_800) * 10**6 // 10**18}
    return Position(supplies, {asset: owed for asset, owed in debts.items() if owed}, frozenset(supplies))


def test_of_an_answer_that_makes_everybody_ill_the_greatest_loans_alone_are_weighed() -> None:
    owed = {f"0x{number:040x}": 10**6 * (number + 1) for number in range(4 * MOST_NEAR)}
    positions = {user: Position({ETHER: 10**18}, {DOLLAR: amount}, frozenset({ETHER})) for user, amount in owed.items()}
    book = msgspec.structs.replace(_book(), positions=positions)
    margins = Margins(book, lending_factories.TIME)
    assert margins.near(book.oracle.prices) == margins.near_now() == []
    near = margins.near(book.answered(ETHER_FEED, 1).oracle.prices)
    assert near == sorted(owed, key=lambda user: -owed[user])[:MOST_NEAR]
