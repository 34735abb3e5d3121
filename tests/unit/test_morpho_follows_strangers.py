"""Strangers' markets of Morpho's followed by logs: what they tell costs nobody else anything."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from benchmarks.market_generator import HEAD
from node.engine.headers import header_from_json
from node.engine.morpho_reading import READ_AGAIN_BLOCKS
from node.pipeline.events import LoansRead
from node.pipeline.lending import morpho_book
from node.pipeline.lending.aave_book import UNREADABLE, LoanLog
from node.pipeline.lending.errors import UnknownReserve
from node.pipeline.lending.logs import Event
from node.pipeline.lending.morpho_blue import WAD, MorphoMarket, MorphoPosition
from node.pipeline.lending.morpho_book import FeedOracle, MarketParams, MorphoBook
from node.pipeline.lending.oracle_view import MOST_SUBMITTERS
from node.pipeline.loans import MorphoLoans
from tests.fake_blocks import header_json
from tests.morpho_scene import (
    BAD_ORACLE,
    COLLATERAL,
    HEADER,
    LOAN,
    MODEL,
    MORPHO,
    OTHERS,
    OTHERS_FEED,
    OTHERS_ORACLE,
    Chain,
    reader,
    taken,
)
from tests.pipeline_scene import block
from tests.unit.test_morpho_loans import (
    DOLLAR,
    ETHER,
    LOW,
    NAME,
    STRANGER,
    USER,
    at,
    book,
    told,
)


def with_a_strangers(one: MorphoBook, **changes: Any) -> MorphoBook:
    """A second market, with a feed of its own."""
    params = MarketParams(DOLLAR, ETHER, OTHERS_ORACLE, MODEL, 86 * WAD // 100)
    return msgspec.structs.replace(
        one,
        params={**one.params, OTHERS: changes.get("params", params)},
        markets={**one.markets, OTHERS: one.markets[NAME]},
        oracles={**one.oracles, OTHERS_ORACLE: FeedOracle(10**24, (OTHERS_FEED,), ())},
        answers={**one.answers, OTHERS_FEED: 10**8},
        rates={**one.rates, OTHERS: 0},
    )


@pytest.mark.parametrize(
    "log",
    [
        told("AnswerUpdated", 0, 1, 1, source=OTHERS_FEED),
        told("AnswerUpdated", -1, 1, 1, source=OTHERS_FEED),
        told(UNREADABLE, "no words", source=OTHERS_FEED),
    ],
)
def test_a_feed_that_answers_no_price_unprices_its_own_markets_until_it_answers_well(log: LoanLog) -> None:
    one, _ = with_a_strangers(book(LOW)).after((log,), at())
    with pytest.raises(UnknownReserve, match="has no answer"):
        one.price(OTHERS)
    assert [ill.market for ill in one.liquidatable(at())[0]] == [NAME]
    assert (OTHERS_FEED in one.feeds, one.unpriced) == (True, 1)
    healed, _ = one.after((told("AnswerUpdated", 5, 2, 1, source=OTHERS_FEED),), at())
    assert (healed.price(OTHERS), healed.unpriced) == (5 * 10**24, 0)


def test_whom_a_feed_lets_answer_is_no_answer() -> None:
    feed, (oracle,) = next(iter(book().submitters.items()))
    let_in = told("OraclePermissionsUpdated", STRANGER, True, source=feed)
    put_out = told("OraclePermissionsUpdated", oracle, False, source=feed)
    both, _ = book().after((let_in,), at())
    assert both.answers == book().answers
    assert not both.believes(feed, oracle)
    alone, _ = both.after((put_out,), at())
    assert alone.believes(feed, STRANGER)


def test_of_a_feed_that_lets_more_answer_than_a_feed_can_no_more_are_kept() -> None:
    feed = next(iter(book().submitters))
    crowd = [told("OraclePermissionsUpdated", f"0x{number:040x}", True, source=feed) for number in range(100)]
    one, _ = book().after(crowd, at())
    assert len(one.submitters[feed]) == MOST_SUBMITTERS


def test_a_block_in_which_a_feed_lets_somebody_answer_is_taken_in() -> None:
    loans = MorphoLoans(4)
    loans.arrive(block(HEAD))
    loans.read(LoansRead(HEAD, book()), book())
    log = told("OraclePermissionsUpdated", STRANGER, True, source=next(iter(book().submitters)))
    assert loans.arrive(msgspec.structs.replace(block(), morpho_logs=(log,))) == []
    assert loans.book is not None


def test_a_new_market_is_followed_from_its_creation_and_not_liquidated_before_its_oracle_is_read() -> None:
    params = (DOLLAR, ETHER, OTHERS_ORACLE, MODEL, 86 * WAD // 100)
    logs = (
        told("CreateMarket", OTHERS, params),
        told("Supply", OTHERS, USER, USER, 10**9, 10**15),
        told("SupplyCollateral", OTHERS, USER, USER, 1),
        told("Borrow", OTHERS, USER, USER, USER, 10**9, 10**15),
    )
    one, _ = book().after(logs, at())
    assert one.params[OTHERS] == MarketParams(*params)
    assert one.markets[OTHERS] == MorphoMarket(params[-1], 10**9, 10**15, 10**9, 10**15, 0, at())
    assert one.positions[OTHERS, USER] == MorphoPosition(10**15, 1)
    assert one.refused == {OTHERS: "it was created after the oracles were read"}
    assert one.liquidatable(at()) == ([], 1)


async def test_a_book_with_a_market_that_was_not_read_is_due_some_blocks_later() -> None:
    one = reader(Chain())
    told_first = await taken(one)
    created = LoanLog(MORPHO, Event("CreateMarket", (OTHERS, (LOAN, COLLATERAL, BAD_ORACLE, MODEL, 1))))
    after, _ = told_first.after((created,), 1)
    later = header_from_json(orjson.dumps(header_json(7 + READ_AGAIN_BLOCKS)))
    assert (one.is_due(told_first, later), one.is_due(after, HEADER), one.is_due(after, later)) == (False, False, True)
    assert (await one.rates(after, HEADER)).rates == {}


def test_a_position_that_is_empty_again_is_forgotten() -> None:
    enters = told("SupplyCollateral", NAME, STRANGER, STRANGER, 5)
    leaves = told("WithdrawCollateral", NAME, STRANGER, STRANGER, STRANGER, 5)
    one, _ = book().after((enters,), at())
    assert (NAME, STRANGER) in one.positions
    assert one.after((leaves,), at())[0].positions == book().positions


def test_who_comes_when_the_book_is_full_is_counted_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(morpho_book, "MAX_POSITIONS", 1)
    enters = told("SupplyCollateral", NAME, STRANGER, STRANGER, 5)
    one, _ = book(LOW).after((enters,), at())
    assert (one.positions, one.positions_beyond) == (book(LOW).positions, 1)
    assert [ill.user for ill in one.liquidatable(at())[0]] == [USER]
    leaves = told("WithdrawCollateral", NAME, STRANGER, STRANGER, STRANGER, 5)
    assert one.after((leaves,), at())[0].positions_beyond == 2
