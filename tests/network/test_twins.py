"""A standby or a restored copy runs with the same identity: whoever runs hears of it, and nobody honest is blamed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.sentry_scene import (
    Node,
    envelope_of,
    gossip_message,
    in_trio,
    meshsub,
    peer_of,
    rpc,
    running,
    settings_of,
    stock_peer,
    until,
    until_joined,
)

ALICE = peer_of("alice")


@asynccontextmanager
async def twin_of_alice(by: Node) -> AsyncIterator[Node]:
    """Run a second node with alice's identity, connected to one peer."""
    async with trio.open_nursery() as nursery:
        twin = Node("alice", settings_of(by.sentry.addresses))
        await nursery.start(twin.sentry.run)
        await until(lambda: by.sentry.id in twin.sentry.pubsub.peer_queues)
        try:
            yield twin
        finally:
            nursery.cancel_scope.cancel()


def blames_nobody(*nodes: Node) -> bool:
    counts = [node.sentry.pubsub.counts for node in nodes]
    return not any(count["BAD_GOSSIP_SIGNATURE"] for count in counts)


@in_trio
async def test_a_node_hears_what_its_twin_says_at_the_same_peer() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        async with twin_of_alice(bob) as twin:
            await until(lambda: len(bob.sentry.host.get_network().get_connections(ALICE)) == 2)
            await twin.say()
            await until(lambda: len(alice.heard) == 1)
            assert alice.heard == bob.heard
            await alice.say()
            await until(lambda: len(bob.heard) == 2)
            assert blames_nobody(alice, bob, twin)


@in_trio
async def test_twins_at_different_peers_hear_each_other_through_the_mesh() -> None:
    async with running("alice", "bob") as (alice, bob), trio.open_nursery() as nursery:
        carol = Node("carol", settings_of(bob.sentry.addresses))
        await nursery.start(carol.sentry.run)
        await until(lambda: bob.sees(alice, carol) and carol.sees(bob))
        async with twin_of_alice(carol) as twin:
            await until(lambda: carol.sees(twin))
            await twin.say()
            await until(lambda: len(alice.heard) == 1)
            await alice.say()
            await until(lambda: len(twin.heard) == 1)
            assert len(bob.heard) == len(carol.heard) == 2
            assert blames_nobody(alice, bob, carol, twin)
        nursery.cancel_scope.cancel()


@in_trio
async def test_who_still_has_what_our_former_run_said_is_not_blamed_and_we_do_not_relay_it() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        async with stock_peer("carol", alice) as host:
            stream = await meshsub(host, alice)
            await stream.write(rpc(*(gossip_message("alice", envelope_of("alice"), number) for number in range(5))))
            await until(lambda: len(alice.heard) == 5)
            assert alice.sentry.pubsub.counts["OURS_FROM_ELSEWHERE"] == 5
            assert peer_of("carol") in alice.sentry.connected
            await alice.say()
            await until(lambda: len(bob.heard) == 1)
            await alice.say()
            await until(lambda: len(bob.heard) == 2)
            assert blames_nobody(alice, bob)


@in_trio
async def test_what_only_pretends_to_be_ours_is_blamed_on_who_sends_it() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        forged = [gossip_message("alice", envelope_of("alice"), number) for number in range(4)]
        for message in forged:
            message.signature = gossip_message("carol", message.data).signature
        await stream.write(rpc(*forged))
        await until(lambda: peer_of("carol") not in alice.sentry.connected)
        assert alice.sentry.pubsub.counts["BAD_GOSSIP_SIGNATURE"] == 4
        assert alice.heard == []


@in_trio
async def test_who_connects_with_our_own_identity_is_not_let_in() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        with contextlib.suppress(Exception):  # what libp2p raises depends on where it notices
            async with stock_peer("alice", alice) as host:
                await until(lambda: not host.get_network().connections)
        assert alice.sentry.admission.refused["peer"] >= 1
        assert ALICE not in alice.sentry.connected
