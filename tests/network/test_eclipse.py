"""An eclipse: hostile peers with stake come first and behave. Whom a node wants or dials reaches it all the same."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from libp2p.peer.id import ID

from node.sentry import host as host_module
from node.sentry.connection_limits import Limits
from node.sentry.host import hash_of_peer
from node.sentry.places import Places
from protocol import codec
from protocol.kinds import PayloadKind
from tests.protocol_factories import DEVNET
from tests.sentry_processes import free_port
from tests.sentry_scene import Node, envelope_of, in_trio, peer_of, settings_of, stock_peer, until, with_stake

CROWD = [f"sybil {number}" for number in range(96)]
TABLE = Limits(connections=16)
COME = 16
SNAPSHOT = with_stake([*CROWD, "alice", "bob", "carol"])


def place() -> str:
    return f"/ip4/127.0.0.1/tcp/{free_port()}"


def node(name: str, listen: str, *known: str, limits: Limits = TABLE) -> Node:
    made = Node(name, settings_of(known, listen=(listen,), limits=limits))
    made.sentry.follow(SNAPSHOT)
    return made


@contextlib.asynccontextmanager
async def surrounded(alice: Node, size: int = COME) -> AsyncIterator[None]:
    """Run alice with all of her places taken that strangers can take."""
    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
        await nursery.start(alice.sentry.run)
        for name in CROWD[:size]:
            with contextlib.suppress(Exception):  # some are refused
                await stack.enter_async_context(stock_peer(name, alice))
        places = alice.sentry.admission.places
        strangers = len(places) - places.outbound  # alice may dial one that was lost again
        assert strangers <= size * 3 // 4 <= len(hostile(alice))
        yield
        nursery.cancel_scope.cancel()


def hostile(alice: Node) -> set[ID]:
    return {peer_of(name) for name in CROWD} & set(alice.sentry.connected)


async def hear_each_other(alice: Node, other: Node, seconds: float = 20.0) -> None:
    """Return when each has heard a message of the other, said again and again."""
    said: dict[str, list[bytes]] = {"": []}

    def has_heard(hearer: Node, speaker: str) -> bool:
        heard = {codec.encode_envelope(one, DEVNET.separator) for one in hearer.heard}
        return bool(heard.intersection(said.get(speaker, ())))

    with trio.fail_after(seconds):
        while not (has_heard(alice, other.name) and has_heard(other, alice.name)):
            for speaker in (alice, other):
                data = envelope_of(speaker.name)
                said.setdefault(speaker.name, []).append(data)
                await speaker.sentry.publish(PayloadKind.HEARTBEAT, data)
            await trio.sleep(0.2)


@pytest.mark.parametrize("limits", [TABLE, Limits()], ids=["16 places", "96 places"])
@in_trio
async def test_whom_the_configuration_names_gets_a_place_that_the_crowd_has_taken(limits: Limits) -> None:
    home = place()
    alice = node("alice", place(), f"{home}/p2p/{peer_of('carol')}", limits=limits)
    async with surrounded(alice, limits.connections), trio.open_nursery() as nursery:
        crowd = hostile(alice)
        carol = node("carol", home)
        await nursery.start(carol.sentry.run)
        await hear_each_other(alice, carol)
        assert hostile(alice) <= crowd
        nursery.cancel_scope.cancel()


@in_trio
async def test_who_is_known_by_a_record_alone_is_dialled_into_a_place_that_is_kept() -> None:
    home = place()
    alice = node("alice", place(), f"{home}/p2p/{peer_of('carol')}")
    async with surrounded(alice), trio.open_nursery() as nursery:
        carol = node("carol", home)
        bob = node("bob", place(), f"{home}/p2p/{peer_of('carol')}")
        bob.sentry.dialler._admits = lambda peer: peer == peer_of("carol")  # alice has to come to him
        for one in (carol, bob):
            await nursery.start(one.sentry.run)
        await until(lambda: bob.sentry.id in alice.sentry.connected, 20.0)
        await hear_each_other(alice, bob)
        nursery.cancel_scope.cancel()


@in_trio
async def test_whom_the_engine_asks_gets_a_place() -> None:
    """A leader to come that has the least stake, and stands in nobody's configuration; it comes by itself."""
    alice = node("alice", place())
    async with surrounded(alice), trio.open_nursery() as nursery:
        bob = node("bob", place(), *alice.sentry.addresses)
        await nursery.start(bob.sentry.run)
        await until(lambda: alice.sentry.admission.refused["connections"] > COME // 4, 20.0)
        assert bob.sentry.id not in alice.sentry.connected
        alice.sentry.need(hash_of_peer(bob.sentry.id))
        await hear_each_other(alice, bob)
        nursery.cancel_scope.cancel()


@in_trio
async def test_whom_the_engine_asks_is_dialled_at_once_by_its_record_alone_though_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = place()
    alice = node("alice", place(), f"{home}/p2p/{peer_of('carol')}")
    monkeypatch.setattr(alice.sentry.dialler, "_has_room", lambda: False)
    async with trio.open_nursery() as nursery:
        carol = node("carol", home)
        bob = node("bob", place(), f"{home}/p2p/{peer_of('carol')}")
        bob.sentry.dialler._admits = lambda peer: peer == peer_of("carol")  # alice has to come to him
        for one in (alice, carol, bob):
            await nursery.start(one.sentry.run)
        await until(lambda: bob.sentry.id in alice.sentry.records.addresses(), 20.0)
        await trio.sleep(1.5)
        assert bob.sentry.id not in alice.sentry.connected
        alice.sentry.need(hash_of_peer(bob.sentry.id))
        await until(lambda: bob.sentry.id in alice.sentry.connected, 5.0)
        nursery.cancel_scope.cancel()


@in_trio
async def test_without_places_the_crowd_shuts_everybody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: places are taken in the order of arrival alone, as they were before."""

    def first_come(self: Places, _: Any) -> bool:
        return len(self) < TABLE.connections

    monkeypatch.setattr(Places, "make_room", first_come)
    home = place()
    alice = node("alice", place(), f"{home}/p2p/{peer_of('carol')}")
    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
        await nursery.start(alice.sentry.run)
        for name in CROWD[:COME]:
            await stack.enter_async_context(stock_peer(name, alice))
        carol = node("carol", home, *alice.sentry.addresses)
        await nursery.start(carol.sentry.run)
        with pytest.raises(trio.TooSlowError):
            await hear_each_other(alice, carol, 5.0)
        nursery.cancel_scope.cancel()


@in_trio
async def test_who_was_dialled_gives_way_to_somebody_else_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "CHANGE_SECONDS", 0.2)
    alice = node("alice", place())
    async with trio.open_nursery() as nursery:
        await nursery.start(alice.sentry.run)
        dialled = [node("carol", place()), node("bob", place())]
        for one in dialled:
            await nursery.start(one.sentry.run)
        monkeypatch.setattr(alice.sentry.admission.places, "_kept", 1)
        monkeypatch.setattr(alice.sentry.admission.places, "_total", 1)
        for one in dialled:
            alice.sentry.book.reached(str(one.sentry.id), one.sentry.addresses[0], alice.sentry._now())
        seen: set[ID] = set()

        def both() -> bool:
            seen.update(alice.sentry.connected)
            return len(seen) == 2

        await until(both, 20.0)
        nursery.cancel_scope.cancel()
