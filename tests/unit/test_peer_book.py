"""Peers: scores that need deliveries, bans that expire, a book that outlives a restart and has a bound."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.sentry import peers
from node.sentry.peers import BAN_MS, HALF_LIFE_MS, MAX_BAN_MS, MAX_CREDIT, MAX_PEERS, POINTS, Fault, PeerBook
from protocol.units import UnixMilliseconds

START = 1_790_000_000_000


def at(ms: int) -> UnixMilliseconds:
    return UnixMilliseconds(START + ms)


def test_a_score_rises_with_deliveries_up_to_a_bound() -> None:
    book = PeerBook()
    assert book.score("alice", at(0)) == 0
    book.delivered("alice", at(0))
    assert book.score("alice", at(0)) == 1_000
    for _ in range(5 * MAX_CREDIT):
        book.delivered("alice", at(0))
    assert book.score("alice", at(0)) == MAX_CREDIT * 1_000


def test_who_delivers_nothing_more_does_not_keep_a_good_score() -> None:
    book = PeerBook()
    for _ in range(100):
        book.delivered("alice", at(0))
    scores = [book.score("alice", at(n * HALF_LIFE_MS)) for n in range(5)]
    assert scores[0] == 100_000
    assert all(2 * later - 20 <= earlier <= 2 * later + 20 for earlier, later in pairwise(scores))
    assert book.score("alice", at(100 * HALF_LIFE_MS)) == 0


@given(st.lists(st.integers(0, HALF_LIFE_MS), max_size=40))
def test_looking_often_changes_no_score_by_much(pauses: list[int]) -> None:
    often, once = PeerBook(), PeerBook()
    for book in (often, once):
        for _ in range(1_000):
            book.delivered("alice", at(0))
    now = 0
    for pause in pauses:
        now += pause
        often.score("alice", at(now))
    assert abs(often.score("alice", at(now)) - once.score("alice", at(now))) <= 3_000


def test_faults_add_up_to_a_ban_that_expires_and_gets_longer() -> None:
    book, now = PeerBook(), 0
    for length in (BAN_MS, 2 * BAN_MS, 4 * BAN_MS):
        answers = [book.blame("eve", Fault.REJECTED_MESSAGE, at(now)) for _ in range(4)]
        assert answers == [False, False, False, True]
        assert book.is_banned("eve", at(now + length - 1))
        assert not book.is_banned("eve", at(now + length))
        now += length
    for _ in range(12):
        book.blame("eve", Fault.MALFORMED_RPC, at(now))
        now += MAX_BAN_MS
        assert not book.is_banned("eve", at(now))


def test_a_ban_is_not_made_longer_by_what_comes_during_it() -> None:
    book = PeerBook()
    assert book.blame("eve", Fault.MALFORMED_RPC, at(0))
    assert book.blame("eve", Fault.MALFORMED_RPC, at(1))
    assert not book.is_banned("eve", at(BAN_MS))
    assert not book.is_banned("nobody", at(0))


def test_a_fault_now_and_then_is_forgotten() -> None:
    book = PeerBook()
    assert not any(book.blame("bob", Fault.REJECTED_MESSAGE, at(n * 2 * HALF_LIFE_MS)) for n in range(50))
    assert book.score("bob", at(100 * HALF_LIFE_MS)) < 0
    assert set(POINTS) == set(Fault)


def test_the_book_is_bounded_and_the_least_worth_leaves_but_bans_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_PEERS", 10)
    book = PeerBook()
    book.blame("eve", Fault.MALFORMED_RPC, at(0))
    for _ in range(5):
        book.delivered("alice", at(0))
    for number in range(100):
        book.delivered(f"stranger {number}", at(1))
    assert (len(book), book.evicted) == (10, 92)
    assert book.is_banned("eve", at(2))
    assert book.score("alice", at(2)) == 5_000
    assert MAX_PEERS == 1_024


def test_scores_bans_and_addresses_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    book = PeerBook(path)
    book.delivered("alice", at(0))
    book.told("alice", ["/ip4/127.0.0.1/tcp/1"] * 9 + ["/" * 9_999], at(0))
    book.reached("bob", "/ip4/127.0.0.1/tcp/2", at(0))
    book.told("bob", ["/ip4/127.0.0.1/tcp/3"], at(0))
    book.blame("eve", Fault.MALFORMED_RPC, at(0))
    book.save()
    again = PeerBook(path)
    assert again.score("alice", at(0)) == 1_000
    assert again.is_banned("eve", at(1))
    assert again.addresses() == {
        "alice": ["/ip4/127.0.0.1/tcp/1"] * 4,
        "bob": ["/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/3"],
    }


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b"\xff"])
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "peers.json"
    path.write_bytes(content)
    assert len(PeerBook(path)) == 0


def test_a_book_without_a_file_is_not_written() -> None:
    PeerBook().save()


def test_a_book_that_cannot_be_read_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "book").mkdir()
    assert len(PeerBook(tmp_path / "book")) == 0
    assert "cannot be read" in caplog.text
