"""The sentry as a process of its own, with an engine on the other side of its socket."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from node.link import (
    AnyLinkMessage,
    AskPeer,
    GossipHeard,
    PeerAnswered,
    Ping,
    Pong,
    PublishGossip,
    RegistrySnapshot,
    ShutDown,
    StakedOperator,
)
from node.registry_snapshot import snapshot_of
from node.sentry import app as app_module
from node.sentry.app import SentryApp, Wiring
from node.sentry.host import hash_of_peer, load_identity
from node.sentry.peers import PeerBook
from protocol import codec
from tests.protocol_factories import ADDRESSES, DEVNET, hash_of
from tests.sentry_processes import REQUEST, TOLD, Sentry, all_hear_all, free_port, registry_message, seed_of, sentry
from tests.sentry_scene import envelope_of, identity, in_trio, peer_of, settings_of

REJOIN_SECONDS = 5.0
"""What a restarted or parted node may need until it hears all others and all others hear it."""


JOIN_SECONDS = 90.0
"""What processes may need to start at all on a busy machine."""


def loopback() -> str:
    return f"/ip4/127.0.0.1/tcp/{free_port()}"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Sentry]]:
    async with AsyncExitStack() as stack:
        alice = await stack.enter_async_context(sentry(tmp_path, "alice", loopback(), []))
        bob = await stack.enter_async_context(sentry(tmp_path, "bob", loopback(), [alice.address]))
        for one in (alice, bob):
            await one.engine.sees(1)
        yield [alice, bob]


def is_heard(data: bytes) -> Callable[[AnyLinkMessage], bool]:
    return lambda message: isinstance(message, GossipHeard) and message.envelope == data


async def test_engines_speak_through_their_sentries(pair: list[Sentry]) -> None:
    alice, bob = (one.engine for one in pair)
    data = envelope_of("alice")
    await alice.tell(PublishGossip(envelope=data))
    heard = await bob.hears(is_heard(data))
    assert isinstance(heard, GossipHeard)
    assert heard.peer == str(peer_of("alice"))

    asked = AskPeer(number=7, peer_id_hash=hash_of_peer(peer_of("bob")), question=REQUEST, deadline_ms=2_000)
    await alice.tell(asked)
    answered = await alice.hears(lambda message: isinstance(message, PeerAnswered) and message.number == 7)
    assert answered == PeerAnswered(number=7, answer=TOLD, why="")
    await alice.tell(AskPeer(number=8, peer_id_hash=hash_of("nobody"), question=REQUEST, deadline_ms=100))
    answered = await alice.hears(lambda message: isinstance(message, PeerAnswered) and message.number == 8)
    assert answered == PeerAnswered(number=8, answer=b"", why="not connected")
    await alice.tell(AskPeer(number=9, peer_id_hash=hash_of_peer(peer_of("bob")), question=b"?", deadline_ms=100))
    refused = await alice.hears(lambda message: isinstance(message, PeerAnswered) and message.number == 9)
    assert isinstance(refused, PeerAnswered)
    assert "no kind" in refused.why

    await alice.tell(Ping(nonce=3))
    assert await alice.hears(lambda message: message == Pong(nonce=3))
    await bob.tell(ShutDown(reason="the test is over"))
    assert pair[1].process is not None
    assert await asyncio.wait_for(pair[1].process.wait(), 20) == 0
    assert await pair[0].end() == 0


async def test_gossip_outlives_a_broken_link_and_a_killed_peer(pair: list[Sentry]) -> None:
    alice, bob = pair
    assert bob.engine.link is not None
    await bob.engine.link.close()
    data = await alice.say()
    await bob.engine.hears(is_heard(data))
    assert bob.engine.links >= 2
    await restart(bob)
    await all_hear_all(pair, REJOIN_SECONDS)


async def restart(one: Sentry) -> None:
    """Kill the process, start it again, and return when it is linked."""
    links = one.engine.links
    await one.end(signal.SIGKILL)
    await one.start()
    await one.engine.until(lambda: one.engine.links > links and one.is_linked, JOIN_SECONDS)


async def revived(one: Sentry) -> None:
    """Start a process that was killed, and return when it says that it is ready."""
    await one.start()
    await one.ready(JOIN_SECONDS)


async def killed_at_random(folder: Path, names: tuple[str, ...], rounds: int, seed: int) -> None:
    """Kill one or two processes at a time: the rest hear each other meanwhile, and all find each other, each time.

    Time counts from when those that were started again are ready. Each is configured with the one that began before it
    and no other: where all the rest are, they learn from each other before the first is killed.
    """
    drawn = random.Random(seed)
    async with AsyncExitStack() as stack:
        sentries: list[Sentry] = []
        for name in names:
            known = [one.address for one in sentries[-1:]]
            sentries.append(await stack.enter_async_context(sentry(folder, name, loopback(), known, names)))
        await all_hear_all(sentries, JOIN_SECONDS)
        for one in sentries:
            await one.engine.sees(len(names) - 1)
        for _ in range(rounds):
            victims = drawn.sample(sentries, drawn.choice([1, 2]))
            rest = [one for one in sentries if one not in victims]
            assert len(rest) > 1
            links = [one.engine.links for one in rest]
            await asyncio.gather(*(victim.end(signal.SIGKILL) for victim in victims))
            await all_hear_all(rest, REJOIN_SECONDS)
            assert not any(victim.is_alive for victim in victims)
            await asyncio.gather(*(revived(victim) for victim in victims))
            await all_hear_all(sentries, REJOIN_SECONDS)
            assert all(one.is_alive for one in rest)
            assert [one.engine.links for one in rest] == links


@pytest.mark.timeout(300)
async def test_who_came_back_is_known_to_be_there_when_those_between_are_killed_at_once(tmp_path: Path) -> None:
    """The draws of this seed: bob is killed, comes back, and then both that bring his messages to dave are gone."""
    await killed_at_random(tmp_path, ("alice", "bob", "carol", "dave"), 2, 2372771939)


@pytest.mark.timeout(300)
async def test_nodes_killed_at_random_find_each_other_again(tmp_path: Path, drawn_seed: int) -> None:
    await killed_at_random(tmp_path, ("alice", "bob", "carol", "dave"), 2, drawn_seed)


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_nodes_killed_at_random_for_minutes_find_each_other_again(tmp_path: Path, drawn_seed: int) -> None:
    await killed_at_random(tmp_path, ("alice", "bob", "carol", "dave", "erin", "frank"), 40, drawn_seed)


def in_memory(tmp_path: Path) -> SentryApp:
    return SentryApp(Wiring(settings_of(), DEVNET, identity("alice"), PeerBook(), tmp_path / "nobody"))


@in_trio
async def test_what_the_engine_does_not_take_is_counted(tmp_path: Path) -> None:
    app = in_memory(tmp_path)
    for number in range(app_module.OUTGOING + 5):
        app._tell(Pong(nonce=number))
    assert app.dropped == 5
    app._questions = dict.fromkeys(range(app_module.MAX_QUESTIONS), app._to_engine)  # type: ignore[arg-type]
    assert await app._answer(peer_of("bob"), codec.decode_direct(REQUEST)) is None
    assert app.dropped == 6


def test_a_snapshot_keeps_whom_the_protocol_can_name() -> None:
    whole = registry_message("alice", "bob")
    broken = StakedOperator(account=b"short", hot_keys=[], peer_id_hash=b"", stake="1")
    found = snapshot_of(RegistrySnapshot(block=5, time=1, operators=[*whole.operators, broken]))
    assert set(found.operators) == {ADDRESSES["alice"], ADDRESSES["bob"]}
    assert (found.block, found.total_stake) == (5, 2 * 10**20)


def test_the_identity_of_the_file_is_that_of_the_scene(tmp_path: Path) -> None:
    (tmp_path / "identity").write_bytes(seed_of("alice"))
    assert load_identity(tmp_path / "identity").public_key == identity("alice").public_key
    assert os.access(tmp_path / "identity", os.R_OK)
