"""A node's own wrong clock: told where most of the stake that speaks agrees, and by nobody alone."""

from __future__ import annotations

import pytest

from node.link import SentryStatus, clock_words, encode_frame
from node.sentry.clock_watch import LATELY_MS, ClockDoubt, ClockWatch
from protocol.gossip import MAX_OPERATORS
from protocol.messages import CLOCK_TOLERANCE_MS
from protocol.units import Hash32, PeerIdHash, StakeUnits, UnixMilliseconds
from tests.protocol_factories import NOW, hash_of

NAMES = ("bob", "carol", "dave", "erin")
STAKES = {PeerIdHash(hash_of(name)): StakeUnits(10) for name in NAMES}


def watch(*ahead: int, at: int = 0) -> ClockWatch:
    """What so many peers say: by how much our clock is ahead of each."""
    made = ClockWatch()
    for peer, by in zip(STAKES, ahead, strict=False):
        made.heard(peer, UnixMilliseconds(NOW - by), UnixMilliseconds(NOW + at))
    return made


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        ((5_000, 5_100, 4_900, 5_050), ClockDoubt(5_050, 4, 4)),
        ((-9_000, -9_100), ClockDoubt(-9_000, 2, 2)),
        ((5_000, 6_000, 7_000, 3), ClockDoubt(6_000, 3, 4)),
        ((2_001, 2_001), ClockDoubt(2_001, 2, 2)),
        ((2_000, 2_000, 2_000, 2_000), None),
        ((5_000,), None),
        ((5_000, 5_000, 3, 3), None),
        ((5_000, -5_000, 5_000, -5_000), None),
        ((5_000, -5_000), None),
        ((3, -3, 12, 40), None),
    ],
)
def test_most_of_those_that_speak_must_agree_on_the_direction(
    ahead: tuple[int, ...], expected: ClockDoubt | None
) -> None:
    assert watch(*ahead).doubt(STAKES, UnixMilliseconds(NOW)) == expected


def test_stake_counts_and_not_how_many_names_it_has() -> None:
    peers = list(STAKES)
    large = STAKES | {peers[3]: StakeUnits(31)}
    assert watch(5_000, 5_000, 5_000, 0).doubt(large, UnixMilliseconds(NOW)) is None
    assert watch(5_000, 5_000, 5_000, 0).doubt(STAKES, UnixMilliseconds(NOW)) == ClockDoubt(5_000, 3, 4)


def test_who_was_not_heard_lately_or_has_no_stake_any_more_says_nothing_and_is_forgotten() -> None:
    told = watch(5_000, 5_000, 5_000)
    assert told.doubt(STAKES, UnixMilliseconds(NOW + LATELY_MS)) is not None
    gone = dict(list(STAKES.items())[:1])
    assert told.doubt(gone, UnixMilliseconds(NOW)) is None
    assert len(told._heard) == 1
    for moment in (NOW + LATELY_MS + 1, NOW - LATELY_MS - 1):  # the second: our clock was put back
        told = watch(5_000, 5_000)
        assert told.doubt(STAKES, UnixMilliseconds(moment)) is None
        assert told._heard == {}


def hear(told: ClockWatch, ahead: int, at: int) -> None:
    """Have two peers say what came so late, or so early, at this time of ours."""
    for peer in list(STAKES)[:2]:
        told.heard(peer, UnixMilliseconds(NOW + at - ahead), UnixMilliseconds(NOW + at))


def test_what_waited_while_we_stood_still_is_no_doubt_of_our_clock() -> None:
    told = ClockWatch()
    hear(told, 3, 0)
    hear(told, 9_000, 29_000)
    hear(told, 7_000, LATELY_MS // 2 + 1)
    assert told.doubt(STAKES, UnixMilliseconds(NOW + LATELY_MS // 2 + 1)) is None


def test_a_clock_that_went_wrong_is_doubted_when_what_was_heard_before_is_old() -> None:
    told = ClockWatch()
    for second in range(0, LATELY_MS + 2_000, 1_000):
        hear(told, 3 if not second else 9_000, second)
    assert told.doubt(STAKES, UnixMilliseconds(NOW + LATELY_MS + 1_000)) == ClockDoubt(9_000, 2, 2)


def test_a_clock_that_was_put_back_is_judged_by_what_is_heard_since() -> None:
    told = ClockWatch()
    hear(told, -9_000, 5_000)
    hear(told, 3, 0)
    assert told.doubt(STAKES, UnixMilliseconds(NOW)) is None


@pytest.mark.parametrize("made_at", [0, 2**64 - 1])
def test_whatever_time_peers_tell_the_status_goes_to_the_engine(made_at: int) -> None:
    told = ClockWatch()
    for peer in STAKES:
        told.heard(peer, UnixMilliseconds(made_at), NOW)
    doubt = told.doubt(STAKES, NOW)
    assert doubt is not None
    status = SentryStatus(at=NOW, peers=[], counts={}, clock_ahead_ms=doubt.ahead_ms, clock_peers=doubt.peers)
    assert encode_frame(status)


def test_what_is_remembered_is_bounded() -> None:
    told = ClockWatch()
    for number in range(MAX_OPERATORS + 5):
        told.heard(PeerIdHash(Hash32(number.to_bytes(32, "big"))), UnixMilliseconds(NOW), UnixMilliseconds(NOW))
    assert len(told._heard) == MAX_OPERATORS


def test_it_is_said_in_words() -> None:
    plain = SentryStatus(at=UnixMilliseconds(1), peers=[], counts={})
    assert clock_words(plain) is None
    for ahead, words in ((5_040, "5.0 s ahead of"), (-61_000, "61.0 s behind")):
        said = clock_words(
            SentryStatus(at=UnixMilliseconds(1), peers=[], counts={}, clock_ahead_ms=ahead, clock_peers=3)
        )
        assert said is not None
        assert f"{words} those of 3 peers" in said


def test_the_tolerance_is_the_protocols() -> None:
    assert CLOCK_TOLERANCE_MS == 2_000
