"""Our resource manager: every bound holds, every place comes back, and in doubt the answer is no."""

from __future__ import annotations

import gc
from collections import Counter
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.rcmgr import Direction

from node.sentry import handshakes
from node.sentry.connection_limits import ConnectionLimits, Judgement, Limits
from protocol.buckets import BucketRules
from protocol.units import UnixMilliseconds

MANY = BucketRules(rate=10**6, burst=10**6)
OPEN = Limits(arrivals=MANY, arrivals_per_network=MANY)


class Desk(ConnectionLimits):
    """A manager that lets everybody in but eve, with a clock that the test moves."""

    def __init__(self, **changes: Any) -> None:
        self.time = 0
        self.kept: list[Any] = []
        changes = {"kept_for_dialled": 0} | changes
        judgement = Judgement(lambda peer: peer != "eve")
        super().__init__(judgement, lambda: UnixMilliseconds(self.time), OPEN._replace(**changes))

    def enter(self, peer: str | None, address: str = "1.1.1.1") -> Any:
        self.kept.append(self.open_connection(peer, address))
        return self.kept[-1]

    def knock(self, address: str, closed: Counter[str]) -> Any:
        """Begin a handshake in a task of its own, as the swarm does; who has to give way is counted."""

        def close() -> None:
            closed[address] += 1

        def begin() -> Any:
            handshakes._close_socket.set(close)
            return self.enter(None, address)

        return copy_context().run(begin)


def test_the_gate_is_at_the_handshake_by_who_it_is() -> None:
    desk = Desk()
    assert desk.enter(None) is not None
    assert desk.enter("alice") is not None
    assert desk.enter("eve") is None
    assert desk.refused == {"peer": 1}


@pytest.mark.parametrize(
    ("bound", "count", "names", "reason"),
    [
        ("connections", 3, "abcdef", "connections"),
        ("connections_per_peer", 2, "aaaa", "connections of one peer"),
        ("connections_per_address", 4, "abcdef", "connections of one address"),
    ],
)
def test_connections_are_bounded(bound: str, count: int, names: str, reason: str) -> None:
    desk = Desk(**{bound: count})
    scopes = [desk.enter(name) for name in names]
    assert sum(scope is not None for scope in scopes) == count
    assert set(desk.refused) == {reason}
    scopes[0].close()
    scopes[0].close()
    assert desk.enter(names[0]) is not None
    assert desk.enter(names[0]) is None


def test_a_place_comes_back_when_nobody_holds_it_any_more() -> None:
    """23: libp2p forgets the scope of a dial that is cancelled while its connection is being entered."""
    desk = Desk(connections_per_peer=1)
    for _ in range(3):
        scope = desk.open_connection("alice", "1.1.1.1")
        assert scope is not None
        del scope
        gc.collect()
    assert desk.held["connections"] == 0


def test_handshakes_are_bounded_and_go_on_when_all_places_are_taken() -> None:
    """Whether somebody is worth a place, only the handshake tells: before it a full table refuses nobody."""
    desk = Desk(handshakes=2, connections=1)
    first, second = desk.enter(None), desk.enter(None)
    assert desk.enter(None) is None
    first.close()
    assert desk.enter("alice") is not None
    assert desk.enter(None) is not None
    assert desk.enter("bob") is None
    assert desk.refused == {"handshakes": 1, "connections": 1}
    assert second is not None


def test_a_crowd_at_the_door_gives_way_and_shuts_out_nobody_from_elsewhere() -> None:
    """Sockets that say nothing, of one address, of one /48, and of as many /24s as are needed to hold every place."""
    crowds = (
        ["1.1.1.1"] * 60,
        [f"2a00:db8::{number:x}" for number in range(60)],
        [f"::ffff:1.1.1.{number}" for number in range(60)],
        [f"1.1.{number % 20}.1" for number in range(120)],
    )
    for crowd in crowds:
        desk, closed = Desk(handshakes=32, handshakes_per_network=4), Counter[str]()
        for address in crowd:
            assert desk.knock(address, closed) is not None
        assert desk.held["handshakes"] == (32 if len(crowd) == 120 else 4)
        assert desk.handshakes.evicted == closed.total() == len(crowd) - desk.held["handshakes"]
        assert desk.knock("9.9.9.9", closed) is not None
        for address in crowd:
            desk.knock(address, closed)
        assert closed["9.9.9.9"] == 0


def test_who_connects_from_the_crowded_address_of_this_machine_takes_the_place_of_the_oldest() -> None:
    desk, closed = Desk(handshakes=8, handshakes_per_network=4), Counter[str]()
    first = desk.knock("127.0.0.1", closed)
    scopes = [desk.knock("127.0.0.1", closed) for _ in range(9)]
    assert (closed["127.0.0.1"], desk.held["handshakes"]) == (2, 8)
    assert desk.knock("127.0.0.2", closed) is not None
    assert closed == {"127.0.0.1": 3}
    first.close()  # it had gone already
    assert desk.held["handshakes"] == 8
    for scope in scopes:
        scope.close()
    assert desk.held["handshakes"] == 1


def test_our_own_dials_take_no_place_of_a_handshake() -> None:
    desk = Desk(handshakes=1)
    dials = [desk.open_connection(None, "9.9.9.9", "outbound") for _ in range(3)]
    assert desk.enter(None) is not None
    assert desk.held["handshakes"] == 4
    for dial in dials:
        assert dial is not None
        dial.close()
    assert desk.held["handshakes"] == 1


def test_who_is_wanted_takes_the_place_of_who_is_not() -> None:
    dropped: list[str] = []
    judgement = Judgement(lambda _: True, lambda peer: peer == "wanted", drop=dropped.append)
    desk = ConnectionLimits(judgement, lambda: UnixMilliseconds(0), OPEN._replace(connections=2))
    kept = [desk.open_connection(name, f"1.1.{place}.1") for place, name in enumerate(("alice", "bob", "carol"))]
    assert [scope is not None for scope in kept] == [True, True, False]
    assert desk.open_connection("wanted", "1.1.9.1") is not None
    assert dropped == ["alice"]


def test_new_connections_a_second_are_bounded_for_all_and_for_each_address() -> None:
    desk = Desk(arrivals=BucketRules(1, 5), arrivals_per_network=BucketRules(1, 2), handshakes=100)
    assert [desk.enter(None, "1.1.1.1") is not None for _ in range(3)] == [True, True, False]
    assert [desk.enter(None, f"2.2.{n}.2") is not None for n in range(5)] == [True] * 3 + [False] * 2
    assert desk.refused == {"arrivals of one network": 1, "arrivals": 2}
    assert desk.open_connection(None, "1.1.1.1", "outbound") is not None
    desk.time += 1_000
    assert desk.enter(None, "1.1.1.1") is not None


def test_one_address_has_so_many_connections_also_before_the_handshake() -> None:
    desk = Desk(connections_per_address=1)
    assert desk.enter("alice") is not None
    assert desk.enter(None) is None


def test_the_machine_itself_has_no_bound_of_one_address_but_all_others() -> None:
    desk = Desk(connections_per_address=1, connections=3, handshakes=1, arrivals_per_network=BucketRules(1, 1))
    assert all(desk.enter(name, "127.0.0.1") for name in "abc")
    assert desk.enter("d", "127.0.0.1") is None
    assert desk.enter(None, "127.0.0.1") is not None
    assert desk.enter(None, "127.0.0.1") is None
    assert desk.refused == {"connections": 1, "handshakes": 1}


def test_streams_are_bounded_for_each_peer_by_who_opens_them() -> None:
    desk = Desk(streams_per_peer=2)
    for direction in (Direction.INBOUND, Direction.OUTBOUND):
        assert [desk.acquire_stream("alice", direction) for _ in range(3)] == [True, True, False]
        assert desk.acquire_stream("bob", direction)
    assert desk.refused == {"streams of one peer": 2}
    desk.release_stream("alice", Direction.INBOUND)
    desk.release_stream("nobody", Direction.INBOUND)
    assert desk.acquire_stream("alice", Direction.INBOUND)
    assert not desk.acquire_stream("alice", Direction.OUTBOUND)
    assert desk.held["streams"] == 6
    assert desk.limits.max_streams >= 2 * desk.limits.streams_per_peer * desk.limits.connections


def test_peers_that_hold_every_stream_leave_some_to_each_other_all_to_who_is_wanted_and_ours_to_us() -> None:
    judgement = Judgement(lambda _: True, lambda peer: peer == "wanted")
    desk = ConnectionLimits(judgement, lambda: UnixMilliseconds(0))
    limits = desk.limits
    took = [desk.acquire_stream(f"idle {number % 64}", Direction.INBOUND) for number in range(64 * 32)]
    assert sum(took) == 64 * limits.streams_kept + limits.streams_shared
    assert desk.refused == {"streams": 64 * 32 - sum(took)}
    for peer, direction, places in (
        ("honest", Direction.INBOUND, limits.streams_kept),
        ("wanted", Direction.INBOUND, limits.streams_per_peer),
        ("wanted", Direction.OUTBOUND, limits.streams_per_peer),
        ("idle 1", Direction.OUTBOUND, limits.streams_per_peer),
    ):
        assert sum(desk.acquire_stream(peer, direction) for _ in range(40)) == places
    for number in range(64 * 32):
        desk.release_stream(f"idle {number % 64}", Direction.INBOUND)
    assert sum(desk.acquire_stream("late", Direction.INBOUND) for _ in range(40)) == limits.streams_per_peer
    for peer in ("honest", "wanted", "late", "idle 1"):
        for direction in Direction:
            for _ in range(40):
                desk.release_stream(peer, direction)
    assert (desk.held["streams"], desk._streams_shared) == (0, 0)


def test_an_exception_is_a_no() -> None:
    def fails(peer: str) -> bool:
        raise KeyError(peer)

    desk = ConnectionLimits(Judgement(fails), lambda: UnixMilliseconds(0), OPEN)
    assert desk.open_connection("alice") is None
    desk = ConnectionLimits(
        Judgement(lambda _: True, fails), lambda: UnixMilliseconds(0), OPEN._replace(streams_shared=0)
    )
    assert [desk.acquire_stream("alice", Direction.INBOUND) for _ in range(5)] == [True] * 4 + [False]
    assert desk.refused == {"error": 1}


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "eve"]), st.sampled_from(["x", "y"]), st.booleans())))
def test_every_place_comes_back_and_no_map_grows(steps: list[tuple[str | None, str, bool]]) -> None:
    desk = Desk(connections=5, handshakes=3)
    scopes: list[Any] = []
    for peer, address, leave in steps:
        if leave and scopes:
            scopes.pop().close()
        elif (scope := desk.enter(peer, address)) is not None:
            scopes.append(scope)
        assert desk.held["connections"] <= 5
        assert desk.held["handshakes"] <= 3
    for scope in scopes:
        scope.close()
    assert desk.held == {"handshakes": 0, "connections": 0, "addresses": 0, "peers": 0, "streams": 0}
