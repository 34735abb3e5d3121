"""What is kept of messages that were judged: as many as the caps say, for two minutes."""

from __future__ import annotations

from node.sentry.seen_ids import SeenIds


def test_both_kinds_have_a_cap_and_neither_pushes_out_the_other() -> None:
    ids = SeenIds(accepted=2, refused=3)
    ids.add(b"accepted")
    for number in range(1_500):
        ids.refuse(number.to_bytes(8, "big"))
    assert (len(ids), ids.evicted) == (4, 1_497)
    assert ids.has(b"accepted")
    assert [ids.has(number.to_bytes(8, "big")) for number in (1_496, 1_497, 1_499)] == [False, True, True]
    for number in range(3):
        ids.add(number.to_bytes(8, "big"))
    assert not ids.has(b"accepted")
    assert len(ids) == 5


def test_an_id_leaves_when_its_time_is_over_and_that_is_no_eviction() -> None:
    at = [0.0]
    ids = SeenIds(seconds=120, now=lambda: at[0])
    ids.add(b"old")
    at[0] = 100.0
    ids.add(b"young")
    at[0] = 121.0
    ids.add(b"new")
    assert [ids.has(each) for each in (b"old", b"young", b"new")] == [False, True, True]
    assert ids.evicted == 0


def test_one_that_comes_again_is_young_again() -> None:
    ids = SeenIds(accepted=2)
    for each in (b"a", b"b", b"a", b"c"):
        ids.add(each)
    assert [ids.has(each) for each in (b"a", b"b", b"c")] == [True, False, True]
