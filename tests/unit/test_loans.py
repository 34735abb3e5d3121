"""The loans that the node follows: moved by logs, undone with blocks, doubted and read anew."""

from __future__ import annotations

import pytest

from node.engine.loan_logs import OF_FEED, OF_POOL, LoanLogs
from node.engine.pool_topics import LogJson
from node.pipeline.events import AlertKind, BlockArrived, LoansRead, RaiseAlert, ResyncLoans
from node.pipeline.lending import aave_book
from node.pipeline.lending.aave_book import UNREADABLE, AaveBook, LoanLog
from node.pipeline.lending.aave_v3 import Position
from node.pipeline.lending.errors import LogMalformed, StateContradicted, UnknownReserve
from node.pipeline.lending.ray_math import RAY
from node.pipeline.loans import Loans
from protocol.ethereum.keccak import keccak256
from protocol.units import BlockNumber, Gas, Hash32, UnixNanoseconds, UnixSeconds, Wei
from tests.lending_factories import (
    ALICE,
    BOB,
    DEBT_OF,
    DOLLAR,
    E8,
    ETHER,
    ETHER_FEED,
    POOL,
    TIME,
    answered,
    book,
    loan_log,
    supplied,
)


def _hash(number: int, fork: str = "") -> Hash32:
    return Hash32(keccak256(f"{number}{fork}".encode()))


def _block(number: int, *logs: LoanLog, fork: str = "", parent: str = "") -> BlockArrived:
    """A block whose parent is the one of the number before it."""
    return BlockArrived(
        BlockNumber(number),
        _hash(number, fork),
        _hash(number - 1, parent),
        UnixSeconds(TIME + 2 * number),
        Wei(1),
        Gas(1),
        Gas(1),
        (),
        (),
        UnixNanoseconds(number),
        tuple(logs),
    )


@pytest.fixture
def loans() -> Loans:
    """Alice's loan, read after block 1."""
    followed = Loans(4)
    followed.arrive(_block(1))
    assert followed.read(LoansRead(BlockNumber(1), book())) == []
    return followed


def _price(followed: Loans) -> int:
    assert followed.book is not None
    return followed.book.oracle.prices[ETHER]


def test_blocks_move_the_book_and_a_reorg_takes_the_old_one_again(loans: Loans) -> None:
    before = loans.book
    loans.arrive(_block(2, answered(3_000 * E8), supplied(ALICE, 10**18)))
    assert _price(loans) == 3_000 * E8
    assert loans.book is not None
    assert loans.book.positions[ALICE].supplies[ETHER] == 11 * 10**18

    assert loans.retract(_hash(2)) == []
    assert loans.book == before
    loans.arrive(_block(2, answered(3_100 * E8), fork="b"))
    assert _price(loans) == 3_100 * E8


def test_what_was_read_at_an_earlier_block_gets_the_later_blocks_replayed(loans: Loans) -> None:
    loans.arrive(_block(2, answered(3_000 * E8)))
    loans.arrive(_block(3, supplied(ALICE, 5)))
    assert loans.read(LoansRead(BlockNumber(1), book())) == []
    assert _price(loans) == 3_000 * E8
    assert loans.retract(_hash(3)) == []
    assert loans.retract(_hash(2)) == []
    assert _price(loans) == 3_200 * E8


def test_what_was_read_before_the_ring_is_read_again(loans: Loans) -> None:
    for number in range(2, 9):
        loans.arrive(_block(number))
    (effect,) = loans.read(LoansRead(BlockNumber(1), book()))
    assert effect == ResyncLoans((), "read at block 1, before the ring")


def test_a_borrower_who_is_not_followed_is_asked_for_and_then_followed_from_that_block_on(loans: Loans) -> None:
    borrowed = loan_log(POOL, "Borrow", DOLLAR, BOB, BOB, 5, 2, RAY, 0)
    (effect,) = loans.arrive(_block(2, borrowed))
    assert effect == ResyncLoans((BOB,), "they borrow and are not followed")
    loans.arrive(_block(3, supplied(BOB, 7)))

    bob = Position({ETHER: 10}, {DOLLAR: 5}, frozenset({ETHER}))
    assert loans.read(LoansRead(BlockNumber(2), None, {BOB: bob})) == []
    assert loans.book is not None
    assert loans.book.positions[BOB].supplies == {ETHER: 17}
    assert loans.retract(_hash(3)) == []
    assert loans.book.positions[BOB].supplies == {ETHER: 10}
    # Before the block at which he was read nobody knows what he had.
    (alert, resync) = loans.retract(_hash(2))
    assert isinstance(alert, RaiseAlert)
    assert alert.kind is AlertKind.LOANS_UNKNOWN
    assert isinstance(resync, ResyncLoans)
    assert resync.users == ()


@pytest.mark.parametrize(
    "log",
    [
        answered(0),
        answered(-5),
        loan_log(DEBT_OF[DOLLAR], "Burn", ALICE, ALICE, 10**18, 0, RAY),
        loan_log(POOL, "ReserveDataUpdated", "0x" + "77" * 20, 0, 0, 0, RAY, RAY),
        loan_log("0x" + "cc" * 20, "ReservePaused", ETHER, True),
        loan_log(POOL, UNREADABLE, "a Mint of two words"),
    ],
    ids=["no price", "a price below zero", "a debt below zero", "an unknown reserve", "other settings", "malformed"],
)
def test_what_contradicts_the_book_makes_it_unknown_and_be_read_anew(loans: Loans, log: LoanLog) -> None:
    alert, resync = loans.arrive(_block(2, log))
    assert loans.book is None
    assert isinstance(alert, RaiseAlert)
    assert alert.kind is AlertKind.LOANS_UNKNOWN
    assert "block 2" in alert.detail
    assert isinstance(resync, ResyncLoans)
    # What comes meanwhile is kept for the replay.
    assert loans.arrive(_block(3, answered(2_900 * E8))) == []
    loans.read(LoansRead(BlockNumber(2), book()))
    assert _price(loans) == 2_900 * E8


def test_a_block_that_does_not_follow_and_a_reorg_past_the_ring_make_it_unknown(loans: Loans) -> None:
    alert, _ = loans.arrive(_block(5, parent="other"))
    assert isinstance(alert, RaiseAlert)
    assert "block 5 does not follow" in alert.detail
    loans.read(LoansRead(BlockNumber(5), book()))
    alert, _ = loans.retract(_hash(9))
    assert isinstance(alert, RaiseAlert)
    assert "cannot be undone" in alert.detail
    assert loans.book is None
    assert loans.retract(_hash(9)) == []


def test_a_replay_that_contradicts_itself_is_read_anew(loans: Loans) -> None:
    loans.arrive(_block(2, loan_log(DEBT_OF[DOLLAR], "Burn", BOB, BOB, 10, 0, RAY)))
    bob = Position({}, {DOLLAR: 5})
    alert, _ = loans.read(LoansRead(BlockNumber(1), None, {BOB: bob}))
    assert isinstance(alert, RaiseAlert)
    assert loans.book is None
    alert, _ = loans.read(LoansRead(BlockNumber(1), book({BOB: bob})))
    assert isinstance(alert, RaiseAlert)
    assert loans.read(LoansRead(BlockNumber(2), None, {BOB: bob})) == []
    assert loans.book is None


def test_flags_and_e_modes_are_those_of_their_user() -> None:
    logs = [
        loan_log(POOL, "ReserveUsedAsCollateralDisabled", ETHER, ALICE),
        loan_log(POOL, "ReserveUsedAsCollateralEnabled", DOLLAR, ALICE),
        loan_log(POOL, "ReserveUsedAsCollateralEnabled", DOLLAR, BOB),
        loan_log(POOL, "UserEModeSet", ALICE, 3),
    ]
    after, strangers = book().after(logs, TIME)
    assert (after.positions[ALICE].collateral, after.positions[ALICE].e_mode) == (frozenset({DOLLAR}), 3)
    assert (BOB in after.positions, strangers) == (False, ())


def _ill(one: AaveBook) -> list[str]:
    return [find.user for find in one.liquidatable(TIME)[0]]


def test_what_is_refused_is_no_find_and_who_is_refused_counts_as_not_judged() -> None:
    ill = book(ether_price=2_300 * E8)
    assert _ill(ill) == [ALICE]
    paused = book(ether_price=2_300 * E8, refused={ETHER: "its reserve is paused or not active"})
    assert _ill(paused) == []
    stable = book(ether_price=2_300 * E8, refused={ALICE: "a debt at a stable rate"})
    assert stable.liquidatable(TIME) == ([], 1)


def test_a_pending_answer_makes_ill_without_changing_the_book() -> None:
    sound = book()
    assert _ill(sound) == []
    assert _ill(sound.answered(ETHER_FEED, 2_300 * E8)) == [ALICE]
    assert _ill(sound) == []
    with pytest.raises(StateContradicted, match="an answer of 0"):
        sound.answered(ETHER_FEED, 0)


def test_a_log_that_is_not_laid_out_as_its_event_is_told_not_dropped() -> None:
    logs = LoanLogs()
    topic = next(iter(OF_FEED))
    feed, words = "0x" + "EF" * 20, [topic, (3_000 * E8).to_bytes(32, "big"), bytes(32)]
    good = LogJson(feed, ["0x" + word.hex() for word in words], "0x" + "00" * 32, "0x", "0x0")
    short = LogJson(feed, ["0x" + topic.hex()], "0x" + "00" * 32, "0x", "0x1")
    other = LogJson(POOL, good.topics, good.data, "0x", "0x2")
    assert logs.read([good]) == ()
    assert logs.watch({feed.lower(): OF_FEED, POOL: OF_POOL})
    assert not logs.watch({feed.lower(): OF_FEED, POOL: OF_POOL})
    first, second = logs.read([good, short, other])
    assert (first.source, first.event.values[0]) == (feed.lower(), 3_000 * E8)
    assert second.event.name == UNREADABLE
    assert logs.counts == {"malformed": 1, "changes": 2}
    with pytest.raises(LogMalformed, match="AnswerUpdated"):
        book().after([second], TIME)


def test_a_position_of_an_asset_without_a_price_is_not_judged() -> None:
    unknown = Position({"0x" + "77" * 20: 1}, {DOLLAR: 1}, frozenset())
    assert book({ALICE: unknown}).liquidatable(TIME) == ([], 1)
    assert issubclass(UnknownReserve, Exception)


def test_at_the_bound_who_owes_nothing_makes_room_and_who_finds_none_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aave_book, "MAX_POSITIONS", 2)
    owing, sound = Position({}, {DOLLAR: 5}), Position({ETHER: 5})
    carol, dave = "0x" + "ca" * 20, "0x" + "da" * 20
    both = book({ALICE: owing, BOB: sound})
    one = both.with_positions({carol: owing})
    assert (set(one.positions), one.passed_over) == ({ALICE, carol}, 0)
    full = one.with_positions({dave: owing, carol: sound})
    assert (set(full.positions), full.passed_over) == ({ALICE, dave}, 0)
    fuller = full.with_positions({BOB: owing})
    assert (set(fuller.positions), fuller.passed_over) == ({ALICE, dave}, 1)
