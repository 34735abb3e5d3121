"""Everything that is kept of a peer has a bound: what is kept of one that is gone is listed here, and nothing else is.

The list with the bounds is in docs/adr/0008-hardening-libp2p.md; a new map of ours or of libp2p's fails the first test.
"""

from __future__ import annotations

import contextlib
import gc

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from multiaddr import Multiaddr

from node.sentry import host as host_module
from node.sentry.peer_store import MAX_ADDRESSES, MAX_FACTS, MAX_PROTOCOLS, MAX_TEXT, BoundedPeerStore
from protocol.gossip import MAX_OPERATORS, topic
from protocol.kinds import PayloadKind
from tests.protocol_factories import DEVNET
from tests.remembered import where_remembered
from tests.sentry_scene import (
    envelope_of,
    gossip_message,
    identity,
    in_trio,
    meshsub,
    peer_of,
    registry,
    rpc,
    running,
    stock_peer,
    until,
)

BEATS = topic(DEVNET, PayloadKind.HEARTBEAT)
BY_STAKE = {
    "gossip.snapshot.by_peer",  # the registry itself
    "_peer_store.peer_data_map",
    "_peer_store.peer_record_map",
    "host._network.auto_connector._recent_disconnects",
}
"""Holds only whom the registry has; forgets whoever leaves it."""
BY_COUNT = {
    "book._records",
    "gossip._forwarders._buckets",
    "streams._buckets._buckets",
    "pubsub._budget._buckets._buckets",
    "dialler._dials",
    "_asked",
    "_clock_watch._heard",
    "pubsub.seen_messages._accepted",
    "pubsub.seen_messages._refused",
}
"""Has a cap of its own, and who leaves when it is reached."""


@in_trio
async def test_what_is_kept_of_a_peer_that_is_gone_is_listed_and_of_a_stranger_is_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_module, "SAVE_SECONDS", 0.2)
    async with running("alice") as (alice,):
        carol, eve = peer_of("carol"), peer_of("eve")
        async with stock_peer("carol", alice) as host:
            for protocol in [name for name in alice.sentry.host.get_mux().handlers if name]:
                with contextlib.suppress(Exception):
                    await host.new_stream(alice.sentry.id, [protocol])
            stream = await meshsub(host, alice)
            subscribe = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=BEATS)
            control = rpc_pb2.ControlMessage(graft=[rpc_pb2.ControlGraft(topicID=BEATS)])
            await stream.write(rpc(subscriptions=[subscribe], control=control))
            data = envelope_of("carol")
            await stream.write(rpc(*(gossip_message("carol", data, number) for number in (1, 2))))
            await until(lambda: alice.sentry.pubsub.counts["DUPLICATE"] == 1)
            assert BY_COUNT - {"dialler._dials", "_asked", "_clock_watch._heard"} <= where_remembered(
                alice.sentry, carol
            )
        with contextlib.suppress(Exception):  # libp2p says in its own way that it was refused
            async with stock_peer("eve", alice) as host:
                await until(lambda: not host.get_network().connections)
        alice.heard.clear()
        with contextlib.suppress(trio.TooSlowError):
            await until(lambda: where_remembered(alice.sentry, carol) <= BY_STAKE | BY_COUNT)
        assert where_remembered(alice.sentry, carol) - BY_STAKE - BY_COUNT == set()
        gc.collect()
        assert where_remembered(alice.sentry, eve) == set()
        alice.sentry.follow(registry(("alice", "bob")))
        await until(lambda: where_remembered(alice.sentry, carol) <= BY_COUNT)
        assert where_remembered(alice.sentry, alice.sentry.id)


@in_trio
async def test_the_search_finds_a_peer_wherever_it_hides() -> None:
    async with running("alice") as (alice,):
        carol = peer_of("carol")
        alice.sentry.follow(registry(("alice", "bob")))
        places = {
            "router.dropped": {carol: 1},
            "pubsub.extra": {"text": {str(carol)}},
            "streams.other": [carol.to_bytes()],
            "host.far": {1: {2: dict.fromkeys([host_module.hash_of_peer(carol)])}},
        }
        for place, value in places.items():
            owner, name = place.split(".")
            setattr(getattr(alice.sentry, owner), name, value)
        found = where_remembered(alice.sentry, carol)
        assert {path.split("[")[0] for path in found} == set(places)
        alice.sentry.router.dropped = 0


def store() -> tuple[BoundedPeerStore, ID]:
    staked = {peer_of("carol")}
    return BoundedPeerStore(lambda peer: peer in staked), peer_of("carol")


def test_a_peer_tells_of_itself_so_much_and_no_more() -> None:
    book, carol = store()
    for number in range(50):
        book.add_addrs(carol, [Multiaddr(f"/ip4/10.0.0.1/tcp/{1 + 100 * number + each}") for each in range(50)], 600)
        book.add_protocols(carol, [f"/{number}/{each}" for each in range(50)] + ["x" * 10_000])
        book.put(carol, f"fact {number}", "y" * 10_000)
    data = book.peer_data_map[carol]
    assert (len(data.addrs), len(data.protocols), len(data.metadata)) == (MAX_ADDRESSES, MAX_PROTOCOLS, MAX_FACTS)
    assert str(data.addrs[-1]) == f"/ip4/10.0.0.1/tcp/{1 + 4900 + MAX_ADDRESSES - 1}"
    assert max(map(len, data.protocols)) <= MAX_TEXT
    assert {len(str(value)) for value in data.metadata.values()} == {MAX_TEXT}


def test_nothing_is_kept_of_whom_nobody_knows_and_we_are_never_pushed_out() -> None:
    book, _ = store()
    eve = peer_of("eve")
    book.add_addrs(eve, [Multiaddr("/ip4/10.0.0.1/tcp/1")], 600)
    book.set_protocols(eve, ["/a"])
    book.put(eve, "agent", "eve")
    assert not book.peer_data_map
    assert book.max_peers == MAX_OPERATORS + 1


@in_trio
async def test_what_nobody_needs_is_not_served() -> None:
    async with running("alice") as (alice,):
        served = {str(name) for name in alice.sentry.host.get_mux().handlers if name}
        assert served == {"/ipfs/id/1.0.0", "/meshsub/1.1.0", "/hft/31337/5fbdb231/1/orders"}
        await trio.lowlevel.checkpoint()
        assert identity("alice").public_key == alice.sentry.host.get_public_key()
