"""A sentry's host: it comes back, finds the others again, answers questions, and leaves nothing open."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from libp2p.custom_types import TProtocol
from multiaddr import Multiaddr

from node.errors import NodeError
from node.sentry import host as host_module
from node.sentry import streams
from node.sentry.bounded_yamux import MAX_STREAMS, BoundedYamux
from node.sentry.host import SentryHost, load_identity
from node.sentry.peers import Fault, PeerBook
from node.sentry.streams import NoAnswer, read_message, write_message
from protocol import codec, signing
from protocol.buckets import BucketRules
from protocol.gossip import orders_protocol
from protocol.kinds import PayloadKind
from protocol.messages import Have, SealedOrder, SealingKeyRequest
from protocol.units import BlockNumber
from tests.protocol_factories import DEVNET, KEYS, handover, hash_of, sealing_key
from tests.sentry_scene import (
    Node,
    envelope_of,
    in_trio,
    peer_of,
    registry,
    running,
    settings_of,
    stock_peer,
    until,
    until_joined,
)

REQUEST = SealingKeyRequest(target_block=BlockNumber(21_000_000))
TOLD = signing.sign_sealing_key(DEVNET, sealing_key(), KEYS["bob"])
ORDER = SealedOrder(target_block=BlockNumber(21_000_000), ephemeral_key=hash_of("key"), box=b"box")
HAVE = Have(order_hash=hash_of("order"))


def port_of(sentry: SentryHost) -> int:
    return int(Multiaddr(sentry.addresses[0]).value_for_protocol("tcp"))


@in_trio
async def test_15_a_host_that_ended_accepts_nothing_and_one_that_returns_finds_the_others() -> None:
    async with running("alice", "bob", "carol") as nodes:
        await until_joined(nodes)
        async with trio.open_nursery() as nursery:
            port = port_of(nodes[0].sentry)
            again = Node("eve", settings_of())
            assert again.sentry.connected == []
            await nodes[0].sentry.host.get_network().close_peer(nodes[1].sentry.id)
            with trio.fail_after(5):
                await until_joined(nodes)
            nursery.cancel_scope.cancel()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):  # noqa: PT011 refused
        pass


@in_trio
async def test_a_node_that_restarts_finds_the_others_by_its_book(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    async with running("alice") as (alice,):
        for number in range(3):
            bootstrap = alice.sentry.addresses if number == 0 else []
            async with trio.open_nursery() as nursery:
                bob = Node("bob", settings_of(bootstrap), PeerBook(path))
                await nursery.start(bob.sentry.run)
                await until(lambda: bob.sees(alice) and alice.sees(bob), 5.0)  # noqa: B023 awaited at once
                await until(lambda: bool(bob.sentry.book.addresses()), 5.0)  # noqa: B023
                said = envelope_of("alice")  # what the former run heard may be told to this one, too
                await alice.sentry.publish(PayloadKind.HEARTBEAT, said)
                await until(lambda: codec.decode_envelope(said, DEVNET.separator) in bob.heard)  # noqa: B023
                nursery.cancel_scope.cancel()
            await until(lambda: bob.sentry.id not in alice.sentry.connected)  # noqa: B023
            assert path.exists()


@in_trio
async def test_24_every_address_of_a_peer_is_dialled_and_the_one_that_answers_is_kept() -> None:
    async with running("alice") as (alice,):
        dead = [f"/ip4/127.0.0.{last}/tcp/1/p2p/{alice.sentry.id}" for last in (1, 2, 3)]
        bob = Node("bob", settings_of([*dead, *alice.sentry.addresses]))
        async with trio.open_nursery() as nursery:
            await nursery.start(bob.sentry.run)
            await until(lambda: bob.sees(alice), 5.0)
            live = alice.sentry.addresses[0].split("/p2p/")[0]
            assert bob.sentry.book.addresses()[str(alice.sentry.id)][0] == live
            nursery.cancel_scope.cancel()


@in_trio
async def test_32_libp2p_dials_nobody_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("alice") as (alice,):
        network: Any = alice.sentry.host.get_network()
        dialled: list[Any] = []

        async def dial(peer: Any, *_: Any, **__: Any) -> list[Any]:
            dialled.append(peer)
            return []

        monkeypatch.setattr(network, "dial_peer", dial)
        alice.sentry.host.get_peerstore().add_addrs(peer_of("carol"), [Multiaddr("/ip4/8.8.8.8/tcp/4711")], 600)
        await network.auto_connector.maybe_connect()
        await trio.sleep(0.2)
        assert dialled == []


@in_trio
async def test_a_book_that_somebody_edited_is_read_as_far_as_it_can_be() -> None:
    book = PeerBook()
    for peer, address in (("no peer", "/ip4/127.0.0.1/tcp/1"), (str(peer_of("bob")), "no address")):
        book.reached(peer, address, Node("alice", settings_of()).sentry._now())
    assert Node("alice", settings_of(), book).sentry.dialler.wanted() == []


@in_trio
async def test_who_is_banned_is_not_dialled_and_not_let_in() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        for peer, node in ((bob, alice), (alice, bob)):
            node.sentry.pubsub.blame(peer.sentry.id, Fault.MALFORMED_RPC)
        await until(lambda: not alice.sentry.connected and not bob.sentry.connected)
        assert alice.sentry.dialler.wanted() == bob.sentry.dialler.wanted() == []


@in_trio
async def test_21_every_connection_has_the_muxer_with_bounds() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        for node in nodes:
            connections = node.sentry.host.get_network().get_connections()
            assert {type(connection.muxed_conn) for connection in connections} == {BoundedYamux}


@in_trio
async def test_a_question_gets_its_answer() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        bob.reply = lambda question: TOLD if isinstance(question, SealingKeyRequest) else HAVE
        assert await alice.sentry.streams.ask(bob.sentry.id, REQUEST) == TOLD
        assert await alice.sentry.streams.ask(bob.sentry.id, ORDER) == HAVE
        assert bob.asked == [REQUEST, ORDER]
        assert bob.sentry.streams.counts == {"ANSWERED": 2}


@in_trio
async def test_too_many_questions_at_once_are_not_asked_and_cost_no_connection() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        bob.reply = lambda _: TOLD
        connections = alice.sentry.host.get_network().get_connections(bob.sentry.id)
        outcomes: Counter[str] = Counter()

        async def ask() -> None:
            try:
                outcomes[type(await alice.sentry.streams.ask(bob.sentry.id, REQUEST)).__name__] += 1
            except NoAnswer as error:
                outcomes[str(error)] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(2 * MAX_STREAMS):
                nursery.start_soon(ask)
        asked = streams.MAX_ASKED_AT_ONCE
        refused = f"{asked} questions to it are under way"
        assert outcomes == {"SignedSealingKey": asked, refused: 2 * MAX_STREAMS - asked}
        assert alice.sentry.host.get_network().get_connections(bob.sentry.id) == connections
        assert await alice.sentry.streams.ask(bob.sentry.id, REQUEST) == TOLD, "there is room again"


@in_trio
async def test_answers_that_come_late_keep_no_streams() -> None:
    """libp2p keeps a stream whose data nobody has read: after 32 of them nothing can be asked any more."""
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        given_up = trio.Event()

        async def late(stream: Any) -> None:
            await read_message(stream)
            await given_up.wait()
            with contextlib.suppress(Exception):  # it was reset
                await write_message(stream, codec.encode_direct(TOLD))
            await stream.close()

        bob.sentry.host.set_stream_handler(TProtocol(orders_protocol(DEVNET)), late)
        muxer = alice.sentry.host.get_network().get_connections(bob.sentry.id)[0].muxed_conn
        assert isinstance(muxer, BoundedYamux)
        await until(lambda: muxer._count(ours=True) == 1)  # gossip alone: what identified the peer has ended
        before = muxer._count(ours=True)

        async def ask() -> None:
            with pytest.raises(NoAnswer, match="TooSlow"):
                await alice.sentry.streams.ask(bob.sentry.id, REQUEST, seconds=0.5)

        async with trio.open_nursery() as nursery:
            for _ in range(streams.MAX_ASKED_AT_ONCE):
                nursery.start_soon(ask)
        given_up.set()
        assert await alice.sentry.streams.ask(bob.sentry.id, REQUEST) == TOLD
        assert muxer._count(ours=True) == before


@in_trio
async def test_no_answer_and_a_wrong_answer_are_told_apart() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        with pytest.raises(NoAnswer):
            await alice.sentry.streams.ask(bob.sentry.id, REQUEST, seconds=0.5)
        assert alice.sentry.book.score(str(bob.sentry.id), alice.sentry._now()) >= 0
        bob.reply = lambda question: HAVE
        with pytest.raises(NoAnswer, match="Have is no answer"):
            await alice.sentry.streams.ask(bob.sentry.id, REQUEST)
        assert alice.sentry.book.score(str(bob.sentry.id), alice.sentry._now()) < 0
        with pytest.raises(NoAnswer):
            await alice.sentry.streams.ask(peer_of("eve"), REQUEST, seconds=0.5)


@pytest.mark.parametrize(
    ("wire", "count"),
    [
        (b"\0\0\0\0", "MALFORMED"),
        (b"\xff\xff\xff\xff", "MALFORMED"),
        (b"\0\0\0\5hello", "MALFORMED"),
        (b"\0\0\2\0" + bytes(512), "MALFORMED"),
        ((lambda data: len(data).to_bytes(4, "big") + data)(codec.encode_direct(handover())), "MALFORMED"),
    ],
)
def test_what_is_no_question_is_blamed(wire: bytes, count: str) -> None:
    @in_trio
    async def scene() -> None:
        async with running("alice") as (alice,), stock_peer("carol", alice) as host:
            stream = await host.new_stream(alice.sentry.id, [orders_protocol(DEVNET)])
            await stream.write(wire)
            await until(lambda: alice.sentry.streams.counts[count] == 1)
            assert alice.sentry.book.score(str(peer_of("carol")), alice.sentry._now()) < 0

    scene()


@in_trio
async def test_a_crowd_of_sockets_that_say_nothing_and_come_again_shuts_nobody_out() -> None:
    async with running("alice") as (alice,), trio.open_nursery() as nursery:
        port = int(Multiaddr(alice.sentry.addresses[0]).value_for_protocol("tcp"))
        for _ in range(80):
            nursery.start_soon(_hold_a_socket, port)
        await until(lambda: alice.sentry.admission.handshakes.evicted > 0)
        bob = Node("bob", settings_of(alice.sentry.addresses))
        await nursery.start(bob.sentry.run)
        await until(lambda: bob.sees(alice) and alice.sees(bob), 5.0)
        assert alice.sentry.admission.refused["handshakes"] == 0
        assert alice.sentry.admission.held["handshakes"] <= alice.sentry.admission.limits.handshakes
        nursery.cancel_scope.cancel()


async def _hold_a_socket(port: int) -> None:
    """Connect from an address that is not the honest peer's, say nothing, and come again when that ends."""
    while True:
        with contextlib.suppress(OSError):
            async with await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.0.2") as stream:
                await stream.receive_some()
                while await stream.receive_some():
                    pass
        await trio.sleep(0.05)


@in_trio
async def test_a_disk_that_takes_nothing_costs_the_book_and_not_the_sentry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_module, "SAVE_SECONDS", 0.02)
    folder = tmp_path / "not there yet"
    book = PeerBook(folder / "peers.json")
    async with trio.open_nursery() as nursery:
        alice = Node("alice", settings_of(), book)
        await nursery.start(alice.sentry.run)
        await until(lambda: book.unsaved > 3)
        folder.mkdir()
        await until(lambda: "written again" in caplog.text)
        shutil.rmtree(folder)
        nursery.cancel_scope.cancel()  # the last word is a save, too
    assert caplog.text.count("cannot be written") == 2
    assert caplog.text.count("written again") == 1


def test_a_slow_questioner_and_a_quick_one_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAM_SECONDS", 0.2)
    monkeypatch.setattr(streams, "QUESTIONS_PER_PEER", BucketRules(rate=1, burst=2))

    @in_trio
    async def scene() -> None:
        async with running("alice") as (alice,), stock_peer("carol", alice) as host:
            for _ in range(3):
                stream = await host.new_stream(alice.sentry.id, [orders_protocol(DEVNET)])
                await stream.write(b"\0")
            await until(lambda: alice.sentry.streams.counts == {"BROKEN": 2, "FLOOD": 1})

    scene()


@in_trio
async def test_an_answer_that_is_none_is_blamed() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:

        async def lie(stream: Any) -> None:
            await read_message(stream)
            await write_message(stream, b"rubbish")

        host.set_stream_handler(orders_protocol(DEVNET), lie)
        with pytest.raises(NoAnswer):
            await alice.sentry.streams.ask(peer_of("carol"), REQUEST)
        assert alice.sentry.book.score(str(peer_of("carol")), alice.sentry._now()) < 0


def test_an_identity_is_drawn_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    first, again = load_identity(path), load_identity(path)
    assert first.public_key.to_bytes() == again.public_key.to_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(NodeError):
        load_identity(path)


@in_trio
async def test_a_peer_without_known_addresses_is_let_be_and_the_book_is_saved(tmp_path: Path) -> None:
    book = PeerBook(tmp_path / "peers.json")
    node = Node("alice", settings_of(["/ip4/127.0.0.1/tcp/1/p2p/" + str(peer_of("bob"))]), book)
    node.sentry._remember(peer_of("carol"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_module, "SAVE_SECONDS", 0.01)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.sentry.run)
            await until(lambda: (tmp_path / "peers.json").exists())
            await until(lambda: peer_of("bob") in node.sentry.dialler._dials)
            node.sentry.follow(registry(("alice",)))
            nursery.cancel_scope.cancel()
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "peers.json.new").stat()
        raise AssertionError("a half-written book was left")


@in_trio
async def test_a_connection_that_comes_while_others_of_its_peer_are_closed_is_not_lost_sight_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running("alice", "bob") as (alice, bob), trio.open_nursery() as nursery:
        await until_joined([alice, bob])
        network: Any = alice.sentry.host.get_network()
        (first,) = network.get_connections(bob.sentry.id)
        may_close, close = trio.Event(), first.muxed_conn.close

        async def slowly() -> None:
            await may_close.wait()
            await close()

        monkeypatch.setattr(first.muxed_conn, "close", slowly)
        nursery.start_soon(network.close_peer, bob.sentry.id)
        there: Any = bob.sentry.host.get_network()
        with trio.fail_after(5):
            await there.dial_addr(Multiaddr(alice.sentry.addresses[0]), alice.sentry.id)
            await until(lambda: len(network.get_connections(bob.sentry.id)) == 2)
            may_close.set()
            await until(lambda: first not in network.get_connections(bob.sentry.id))
        await trio.sleep(0.3)  # libp2p's own would have forgotten it by then
        assert len(network.get_connections(bob.sentry.id)) == alice.sentry.admission.places.of_peer(str(bob.sentry.id))
        await network.close_peer(bob.sentry.id)
        nursery.cancel_scope.cancel()


@in_trio
async def test_who_was_told_to_leave_and_came_by_a_connection_under_way_is_cut_off_at_the_next_round() -> None:
    async with running("alice", "bob") as (alice, bob):
        await until_joined([alice, bob])
        network: Any = alice.sentry.host.get_network()
        (held,) = network.get_connections(bob.sentry.id)
        places = alice.sentry.admission.places
        places._leaving.add(str(bob.sentry.id))
        await until(lambda: held.is_closed, 5.0)
        await until(lambda: not places.is_leaving(str(bob.sentry.id)), 5.0)
        await until_joined([alice, bob])
