"""Places among a sentry's connections: who gets one when there are none left, and who gives way."""

from __future__ import annotations

from collections import Counter
from itertools import count

from node.sentry.places import MAX_LEAVING, SCORE_STEP, Held, Places

TOTAL, KEPT = 96, 24
NUMBERS = count(1)


class Scene:
    """Places, with what decides about them set by the test; who is told to leave has left at once unless `is_slow`."""

    def __init__(self, total: int = TOTAL, kept: int = KEPT, *, is_slow: bool = False) -> None:
        self.wanted: set[str] = set()
        self.scores: Counter[str] = Counter()
        self.dropped: list[str] = []
        self.is_slow = is_slow
        self.places = Places(total, kept, self.wanted.__contains__, self.scores.__getitem__, self.drop)
        self.held: dict[str, list[Held]] = {}

    def drop(self, peer: str) -> None:
        self.dropped.append(peer)
        if not self.is_slow:
            self.leave(peer)

    def leave(self, peer: str) -> None:
        for held in self.held.pop(peer):
            self.places.give_back(held)

    def comes(self, peer: str, address: str = "", *, is_outbound: bool = False) -> bool:
        held = Held(peer, address or f"10.{next(NUMBERS)}.0.1", is_outbound)
        if not self.places.make_room(held):
            return False
        self.places.take(held)
        self.held.setdefault(peer, []).append(held)
        return True

    def crowd(self, size: int, addresses: int) -> int:
        return sum(self.comes(f"hostile {number}", f"203.0.{number % addresses}.9") for number in range(size))


def test_a_crowd_that_comes_first_does_not_fill_what_is_kept_for_whom_we_dial() -> None:
    scene = Scene()
    assert scene.crowd(96, 96) == TOTAL - KEPT
    assert scene.places.wants_outbound
    assert all(scene.comes(f"dialled {number}", is_outbound=True) for number in range(KEPT))
    assert scene.places.outbound == KEPT
    assert not scene.comes("one more", is_outbound=True)
    assert len(scene.places) == TOTAL
    assert scene.dropped == []


def test_whom_we_want_gets_a_place_whoever_is_there_and_keeps_it() -> None:
    scene = Scene()
    scene.crowd(96, 96)
    for number in range(KEPT):
        scene.comes(f"dialled {number}", is_outbound=True)
    scene.wanted |= {f"wanted {number}" for number in range(TOTAL)}
    scene.scores.update({f"hostile {number}": 50 * SCORE_STEP for number in range(96)})
    assert all(scene.comes(name) for name in sorted(scene.wanted))
    assert len(scene.dropped) == scene.places.evicted == TOTAL
    scene.wanted.add("one too many")
    assert not scene.comes("one too many")
    assert len(scene.places) == TOTAL
    assert scene.wanted - {"one too many"} == set(scene.held)


def test_twelve_addresses_do_not_shut_out_those_that_come_from_elsewhere() -> None:
    scene = Scene()
    assert scene.crowd(96, 12) == TOTAL - KEPT
    honest = [f"honest {number}" for number in range(8)]
    assert all(scene.comes(name) for name in honest)
    assert {name for name in scene.dropped if name.startswith("honest")} == set()
    again = scene.crowd(96, 12)
    assert set(honest) <= set(scene.held)
    assert again == 0


def test_who_delivers_takes_the_place_of_who_does_not_and_equals_are_not_exchanged() -> None:
    scene = Scene()
    scene.crowd(96, 96)
    assert not scene.comes("a stranger")
    scene.scores["a giver"] = SCORE_STEP - 1
    assert not scene.comes("a giver")
    scene.scores["a giver"] = SCORE_STEP
    assert scene.comes("a giver")
    assert len(scene.dropped) == 1
    scene.scores["a culprit"] = -SCORE_STEP
    assert not scene.comes("a culprit")
    scene.scores["hostile 7"] = -SCORE_STEP
    assert scene.comes("another stranger")
    assert scene.dropped[1:] == ["hostile 7"]


def test_a_second_connection_of_a_peer_is_worth_nobodys_place() -> None:
    scene = Scene(total=4, kept=1)
    scene.wanted.add("wanted")
    assert scene.comes("wanted")
    assert scene.crowd(4, 4) == 3
    assert len(scene.places) == 4
    assert not scene.comes("wanted")
    assert scene.dropped == []


def test_of_those_that_were_told_to_leave_only_so_many_are_awaited() -> None:
    scene = Scene(is_slow=True)
    scene.crowd(96, 96)
    for number in range(KEPT):
        scene.comes(f"dialled {number}", is_outbound=True)
    scene.wanted |= {f"wanted {number}" for number in range(TOTAL)}
    came = [name for name in sorted(scene.wanted) if scene.comes(name)]
    assert len(came) == len(set(scene.dropped)) == MAX_LEAVING
    assert len(scene.places) == TOTAL + MAX_LEAVING
    scene.leave(scene.dropped[0])
    assert scene.comes("wanted 95")


def test_of_those_that_we_dialled_one_is_changed_only_when_their_places_are_taken() -> None:
    scene = Scene(total=8, kept=3)
    scene.scores["dialled 0"] = SCORE_STEP
    scene.wanted.add("dialled 1")
    for number in range(3):
        assert scene.places.change_one() is False
        scene.comes(f"dialled {number}", is_outbound=True)
    assert scene.places.change_one()
    assert scene.dropped == ["dialled 2"]
    assert scene.places.wants_outbound


def test_nothing_is_remembered_of_who_left() -> None:
    scene = Scene(total=4, kept=1)
    scene.wanted.add("wanted")
    scene.crowd(4, 4)
    scene.comes("wanted", "not an address")
    scene.comes("dialled", "2001:db8::1", is_outbound=True)
    assert (scene.places.peers, scene.places.addresses) == (4, 4)
    for name in list(scene.held):
        scene.leave(name)
    places = scene.places
    assert (len(places), places.peers, places.addresses, places.outbound) == (0, 0, 0, 0)
    assert not any((places._peers, places._addresses, places._networks, places._leaving))


def test_who_was_told_to_leave_gets_no_place_until_it_has_left() -> None:
    scene = Scene(total=4, kept=1, is_slow=True)
    scene.comes("evicted", "203.0.113.1")
    scene.comes("evicted", "203.0.113.1")
    scene.comes("stays", "203.0.114.1")
    scene.wanted |= {"wanted 0", "wanted 1"}
    scene.comes("wanted 0")
    assert scene.comes("wanted 1")
    assert scene.dropped == ["evicted"]
    scene.places.give_back(scene.held["evicted"].pop())
    assert len(scene.places) == 4
    assert scene.places.is_leaving("evicted")
    assert not scene.comes("evicted", "203.0.113.1")
    assert not scene.comes("evicted", is_outbound=True)
    scene.wanted.add("evicted")
    assert not scene.comes("evicted", "203.0.113.1")
    scene.leave("evicted")
    assert not scene.places.is_leaving("evicted")
    assert scene.comes("evicted", "203.0.113.1")
