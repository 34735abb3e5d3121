"""js-libp2p speaks with our sentries as its specification says: heard when staked, refused when not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from devnet.home import Home
from protocol import codec, signing
from protocol.gossip import orders_protocol, topic
from protocol.kinds import PayloadKind
from protocol.messages import SealingKeyRequest
from protocol.units import BlockNumber
from tests.network.foreign_peer import ForeignPeer, Refused, foreign_peer, laid_out
from tests.protocol_factories import DEVNET, KEYS, hash_of, sealing_key
from tests.sentry_scene import (
    Node,
    envelope_of,
    in_trio,
    peer_of,
    registry,
    running,
    settings_of,
    until,
)

TOPICS = [topic(DEVNET, kind) for kind in PayloadKind]
BEATS = topic(DEVNET, PayloadKind.HEARTBEAT)


@pytest.fixture
def command(home: Home, tmp_path: Path) -> list[str]:
    return laid_out(home, tmp_path)


@asynccontextmanager
async def started(*nodes: Node) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.sentry.run)
        yield
        nursery.cancel_scope.cancel()


def seed(name: str) -> bytes:
    return hash_of(f"libp2p key of {name}")


async def speaks_both_ways(alice: Node, carol: ForeignPeer) -> None:
    """Each hears what the other says, exactly once, and the mesh holds them both."""
    await until(lambda: peer_of("carol") in alice.sentry.router.mesh[BEATS])
    said = envelope_of("carol")
    await carol.order("publish", topic=BEATS, data=said.hex())
    await until(lambda: len(alice.heard) == 1)
    assert codec.encode_envelope(alice.heard[0], DEVNET.separator) == said
    await alice.say(3)
    await until(lambda: len(carol.heard()) == 3)
    assert {one["from"] for one in carol.told("heard")} == {str(alice.sentry.id)}
    mesh = await carol.order("mesh", topic=BEATS)
    assert mesh["mesh"] == [str(alice.sentry.id)]
    assert "/meshsub/1.1.0" in mesh["protocols"]


@in_trio
async def test_a_foreign_peer_with_stake_that_dials_us_is_heard_and_answered(command: list[str]) -> None:
    async with running("alice") as (alice,), foreign_peer(command, seed("carol"), TOPICS) as carol:
        await carol.order("dial", address=alice.sentry.addresses[0])
        await speaks_both_ways(alice, carol)
        told = signing.sign_sealing_key(DEVNET, sealing_key(), KEYS["alice"])
        alice.reply = lambda question: told
        question = SealingKeyRequest(target_block=BlockNumber(21_000_000))
        words = {"address": alice.sentry.addresses[0], "protocol": orders_protocol(DEVNET)}
        answer = await carol.order("ask", data=codec.encode_direct(question).hex(), **words)
        assert codec.decode_direct(bytes.fromhex(answer["data"])) == told
        assert alice.asked == [question]


@in_trio
async def test_a_foreign_peer_with_stake_that_we_dial_is_heard(command: list[str]) -> None:
    async with foreign_peer(command, seed("carol"), TOPICS) as carol:
        alice = Node("alice", settings_of([carol.address]))
        async with started(alice):
            await speaks_both_ways(alice, carol)


@in_trio
async def test_a_foreign_peer_relays_for_others(command: list[str]) -> None:
    """alice and bob know each other by carol only: they are strangers to each other's books."""
    async with foreign_peer(command, seed("carol"), TOPICS) as carol:
        alice, bob = (Node(name, settings_of([carol.address])) for name in ("alice", "bob"))
        async with started(alice, bob):
            await until(lambda: all(peer_of("carol") in node.sentry.router.mesh[BEATS] for node in (alice, bob)))
            assert bob.sentry.id not in alice.sentry.connected
            await alice.say()
            await until(lambda: len(bob.heard) == 1)
            assert bob.sentry.book.score(str(peer_of("carol")), bob.sentry._now()) > 0


@in_trio
async def test_a_foreign_peer_is_refused_both_ways_for_want_of_stake_alone(command: list[str]) -> None:
    async with foreign_peer(command, seed("carol"), TOPICS) as carol:
        alice = Node("alice", settings_of([carol.address]))
        alice.sentry.follow(registry(("alice", "bob")))
        async with started(alice):
            await dial_in_vain(carol, alice)
            assert alice.sentry.admission.refused["peer"] >= 1
            await carol.order("publish", topic=BEATS, data=envelope_of("carol").hex())
            assert (alice.sentry.connected, alice.heard) == ([], [])
            alice.sentry.follow(registry())
            await speaks_both_ways(alice, carol)


async def dial_in_vain(carol: ForeignPeer, alice: Node) -> None:
    """The dial fails, or ends with the connection cut off."""
    try:
        await carol.order("dial", address=alice.sentry.addresses[0])
    except Refused:
        return
    await until(lambda: len(carol.told("disconnected")) == len(carol.told("connected")))
