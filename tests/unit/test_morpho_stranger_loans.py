"""Loans at Morpho in markets that strangers make: their crowds and answers hide and starve nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from benchmarks.market_generator import GWEI
from node.engine.status import loan_counts
from node.pipeline.detectors import liquidation
from node.pipeline.detectors.liquidation import FEEDS_FIRST, LOOKED_AT, LOOKS_PER_BLOCK, LOOKS_PER_FEED
from node.pipeline.lending.morpho_blue import WAD, MorphoMarket, MorphoPosition
from node.pipeline.lending.morpho_book import FeedOracle, MarketParams, MorphoBook
from node.pipeline.pending_answers import MAX_ANSWERS
from node.pipeline.plans import LiquidationStep, LiquidationVenue
from node.pipeline.reasons import Reason
from node.pipeline.seizures import Worth
from node.pipeline.step import step
from protocol.ethereum.abi import encode_call
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import address_from_hex
from tests.morpho_scene import MODEL, OTHERS, OTHERS_FEED, OTHERS_ORACLE
from tests.pipeline_scene import block, seen, signed
from tests.unit import test_liquidations as of_aave
from tests.unit.test_morpho_follows_strangers import with_a_strangers
from tests.unit.test_morpho_loans import (
    DOLLAR,
    ETHER,
    FAIR,
    LOW,
    NAME,
    OTHER,
    STRANGER,
    at,
    book,
    found,
    scene,
    submitted,
    told,
)


def crowd(one: MorphoBook, collateral: str, loan: str = DOLLAR, price: int = 30_250 * 10**9) -> MorphoBook:
    """Many ill positions in a stranger's market, whose oracle says that they are worth more than any other."""
    params = MarketParams(loan, collateral, OTHERS_ORACLE, MODEL, 86 * WAD // 100)
    many = with_a_strangers(one, params=params)
    shares = many.markets[OTHERS].borrow_shares * 100
    owed = MorphoMarket(params.lltv, 10 * shares, 10 * shares, shares // 10**6, shares, 0, at())
    positions = {(OTHERS, "0x" + f"{number:02x}" * 20): MorphoPosition(shares // 10, 10**9) for number in range(10)}
    return msgspec.structs.replace(
        many,
        markets={**many.markets, OTHERS: owed},
        positions={**many.positions, **positions},
        answers={**many.answers, OTHERS_FEED: price},
    )


@pytest.mark.parametrize(
    ("collateral", "loan"),
    [
        ("0x" + "99" * 20, DOLLAR),
        ("0x" + "99" * 20, "0x" + "98" * 20),
        (ETHER, "0x" + "98" * 20),
        (ETHER, DOLLAR),
    ],
    ids=[
        "collateral that no pool knows",
        "nothing that a pool knows",
        "a debt in nothing",
        "dust at a price of its own",
    ],
)
def test_a_crowd_of_a_strangers_positions_hides_no_other(collateral: str, loan: str) -> None:
    one = crowd(book(LOW), collateral, loan)
    ill, _ = one.liquidatable(at())
    assert len(ill) == 11
    assert NAME not in {find.market for find in ill[:LOOKED_AT]}
    state = scene(crowd(book(FAIR), collateral, loan))
    fall = told("AnswerUpdated", LOW, 7, 1, source=next(iter(book().submitters)))
    taken_ones = found(step(state, msgspec.structs.replace(block(), morpho_logs=(fall,))))
    assert len(taken_ones) == 1
    counts = loan_counts(state)
    assert counts["not_weighed"] >= 11 - LOOKED_AT
    assert (counts["morpho_markets"], counts["morpho_positions"], counts["morpho_feeds_unpriced"]) == (2, 11, 0)


def of_stranger(price: int, feed: str = OTHERS_FEED, *, nonce: int = 0) -> SignedTransaction:
    """What a stranger tells a feed of their own."""
    data = encode_call("submit(uint256,int256)", 9, price)
    return signed(data, address_from_hex(feed), "mallory", nonce, max_fee=30 * GWEI)


def with_strangers_feeds(feeds: Sequence[str]) -> MorphoBook:
    one = with_a_strangers(book(FAIR))
    of = dict.fromkeys(feeds, frozenset({of_stranger(1).sender}))
    answers = {**one.answers, **dict.fromkeys(feeds, 10**8)}
    return msgspec.structs.replace(one, answers=answers, submitters={**one.submitters, **of})


def test_a_strangers_many_answers_leave_the_looks_of_others() -> None:
    state = scene(with_strangers_feeds([OTHERS_FEED]))
    for number in range(LOOKS_PER_BLOCK):
        step(state, seen(of_stranger(10**8 + number)))
    assert len(found(step(state, seen(submitted(LOW))))) == 1
    assert state.dropped[Reason.OVER_ANSWER_BUDGET] == LOOKS_PER_BLOCK - LOOKS_PER_FEED


def test_a_strangers_many_answers_push_out_none_of_another_feed() -> None:
    state = scene(with_strangers_feeds([OTHERS_FEED]))
    step(state, seen(submitted(LOW)))
    for number in range(MAX_ANSWERS + 1):
        step(state, seen(of_stranger(10**8, nonce=number)))
    assert state.dropped[Reason.PENDING_OVERFLOW] == 2
    assert len(found(step(state, block()))) == 1


def test_strangers_feeds_at_morpho_take_none_of_the_looks_of_aave() -> None:
    feeds = [f"0x{0xFEED00 + number:040x}" for number in range(LOOKS_PER_BLOCK)]
    state = of_aave._scene(of_aave._book())
    state.morpho.book = with_strangers_feeds(feeds)
    for feed in feeds:
        step(state, seen(of_stranger(10**8, feed)))
    assert state.dropped[Reason.NOT_PROFITABLE] == LOOKS_PER_BLOCK
    both = found(step(state, seen(of_aave._answer(of_aave.LOW))))
    venues = [leg.family for one in both for leg in one.steps if isinstance(leg, LiquidationStep)]
    assert sorted(venues) == [LiquidationVenue.AAVE_V3, LiquidationVenue.MORPHO_BLUE]


def test_a_look_knows_what_the_looks_before_it_found_the_collateral_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Worth] = []

    class Counted(Worth):
        def __init__(self, *given: Any) -> None:
            made.append(self)
            super().__init__(*given)

    monkeypatch.setattr(liquidation, "Worth", Counted)
    state = scene(book(FAIR))
    for price in (LOW, LOW - 1):
        step(state, seen(submitted(price)))
    assert len(made) == 1
    pool = state.market.pools_of(address_from_hex(ETHER))[0]
    state.market.quarantine(pool, "its state is not known")
    step(state, block())
    assert len(made) == 2


def with_strangers_loans(feeds: Sequence[str], collateral: str, held: int) -> MorphoBook:
    """In a market of each feed a loan that a stranger took of a stranger."""
    one = with_strangers_feeds(feeds)
    names = [number.to_bytes(32, "big") for number in range(100, 100 + len(feeds))]
    oracles = [f"0x{0xAC1E00 + number:040x}" for number in range(len(feeds))]
    return msgspec.structs.replace(
        one,
        params={
            **one.params,
            **{
                name: MarketParams(DOLLAR, collateral, oracle, MODEL, 86 * WAD // 100)
                for name, oracle in zip(names, oracles, strict=True)
            },
        },
        markets={**one.markets, **dict.fromkeys(names, one.markets[NAME])},
        oracles={
            **one.oracles,
            **{oracle: FeedOracle(10**24, (feed,), ()) for oracle, feed in zip(oracles, feeds, strict=True)},
        },
        rates={**one.rates, **dict.fromkeys(names, 0)},
        positions={**one.positions, **{(name, STRANGER): MorphoPosition(1, held) for name in names}},
    )


@pytest.mark.parametrize(
    ("collateral", "held"),
    [("0x" + "99" * 20, WAD * 10**9), (ETHER, WAD // 10**6), (OTHER, 1)],
    ids=["collateral that no pool knows", "dust of the same", "dust of another"],
)
def test_strangers_feeds_at_morpho_starve_no_feed_behind_whose_loans_collateral_stands(
    collateral: str, held: int
) -> None:
    feeds = [f"0x{0xFEED00 + number:040x}" for number in range(2 * LOOKS_PER_BLOCK)]
    state = scene(with_strangers_loans(feeds, collateral, held))
    for feed in feeds:
        step(state, seen(of_stranger(10**8, feed)))
    looks = state.liquidations._looks[LiquidationVenue.MORPHO_BLUE]
    assert LOOKS_PER_BLOCK <= looks.total() <= LOOKS_PER_BLOCK + FEEDS_FIRST * LOOKS_PER_FEED
    assert [len(found(step(state, seen(submitted(LOW - number))))) for number in range(3)] == [1, 1, 0]
    assert len(found(step(state, block()))) == 1, "a new block, in which the last of them waits"
