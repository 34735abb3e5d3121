"""Where peers are, told by their own signed records: who knows one other finds all, and what attackers gain by it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from libp2p.peer.envelope import consume_envelope
from multiaddr import Multiaddr

from node.sentry.dialling import DIALS_AT_ONCE, Rank
from node.sentry.host import hash_of_peer
from node.sentry.peer_records import QUESTIONS, RecordBook
from node.sentry.peers import MAX_ADDRESSES
from node.sentry.streams import read_message, write_message
from protocol import errors
from protocol.codec import DirectMessage, decode_direct, encode_direct
from protocol.gossip import orders_protocol
from protocol.messages import CLOCK_TOLERANCE_MS, MAX_RECORD_BYTES, MAX_RECORDS, PeerRecords, PeerRecordsRequest
from protocol.units import Hash32, UnixMilliseconds
from tests.peer_record_samples import MADE_AT, PLACES, address, refused_records, sealed
from tests.protocol_factories import DEVNET, NOW
from tests.sentry_processes import free_port
from tests.sentry_scene import (
    Node,
    identity,
    in_trio,
    peer_of,
    running,
    settings_of,
    stock_peer,
    until,
    until_joined,
    with_stake,
)

HOME = address("8.8.8.8", 4711)
LOCAL = address("127.0.0.1", 4711)
NOBODY = address("127.0.0.1", 1)
CAROL = peer_of("carol")
START = PeerRecordsRequest(after=Hash32(bytes(32)))


def book(*staked: str, private: bool = False) -> RecordBook:
    hashes = {hash_of_peer(peer_of(name)) for name in staked}
    return RecordBook(hashes.__contains__, may_be_private=private)


def ordered(*names: str) -> list[str]:
    return sorted(names, key=lambda name: hash_of_peer(peer_of(name)))


def told(*records: bytes) -> PeerRecords:
    return PeerRecords(records=records)


@in_trio
async def test_two_that_each_know_only_a_third_find_each_other_and_do_again_when_it_is_gone() -> None:
    async with trio.open_nursery() as nursery, running("carol") as (carol,):
        known = carol.sentry.addresses
        nodes = [Node(name, settings_of(known)) for name in ("alice", "bob")]
        for node in nodes:
            await nursery.start(node.sentry.run)
        with trio.fail_after(5):
            await until_joined([*nodes, carol])
        alice, bob = nodes
        await carol.sentry.host.close()
        await alice.sentry.host.get_network().close_peer(bob.sentry.id)
        with trio.fail_after(5):
            await until_joined(nodes)
        nursery.cancel_scope.cancel()


@in_trio
async def test_a_peer_that_moved_is_found_where_it_is_now() -> None:
    """Only carol is told of bob's new place, by bob; alice hears of it by his newer record."""
    async with running("carol", "alice") as (carol, alice):
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                bob = Node("bob", settings_of(carol.sentry.addresses))
                alice.sentry.book._records.pop(str(bob.sentry.id), None)
                await nursery.start(bob.sentry.run)
                bob.sentry.dialler._admits = lambda peer: peer == CAROL  # alice has to come to him
                await until(lambda: bob.sees(alice, carol) and alice.sees(bob), 5.0)  # noqa: B023 awaited at once
                nursery.cancel_scope.cancel()
            await until(lambda: bob.sentry.id not in alice.sentry.connected)  # noqa: B023


def test_what_a_peer_signed_of_itself_is_taken_from_whomever_and_the_newest_counts() -> None:
    records = book("alice", "bob")
    for sequence, expected in ((MADE_AT, True), (MADE_AT, False), (MADE_AT - 1, False), (MADE_AT + 1, True)):
        place = address("8.8.8.8", 1 + sequence % 1_000)
        new = records.take(CAROL, START, told(sealed("bob", place, sequence=sequence)), NOW)
        assert new == ([peer_of("bob")] if expected else [])
    assert records.addresses() == {peer_of("bob"): (Multiaddr(place),)}
    assert records.counts == {"records taken": 2}
    answer = records.answer(CAROL, START, NOW)
    assert answer == told(sealed("bob", place, sequence=MADE_AT + 1))


@pytest.mark.parametrize(
    ("name", "data"),
    [one for one in refused_records() if 0 < len(one[1]) <= MAX_RECORD_BYTES],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forged_record_is_not_taken_and_who_brings_it_is_to_blame(name: str, data: bytes) -> None:
    records = book("alice", "bob")
    with pytest.raises(errors.RemoteProtocolError):
        records.take(CAROL, START, told(data), NOW)
    assert len(records) == 0


def test_records_of_strangers_and_such_that_lead_nowhere_cost_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.sentry.peer_records.verify_record", lambda *_: pytest.fail("was verified"))
    records = book("alice")
    local = [address(*place) for place in PLACES[2:]]
    for data in (sealed("eve", HOME), sealed("alice", *local), sealed("alice", address("0.0.0.0", 1))):
        assert records.take(CAROL, START, told(data), NOW) == []
    assert records.counts == {"records without stake": 1, "records that lead nowhere": 2}
    assert len(records) == 0


def test_addresses_of_our_own_networks_are_dialled_only_where_that_is_allowed() -> None:
    mixed = [*(address(*place) for place in PLACES), address("0.0.0.0", 4711)][-8:]
    for private, ips in ((False, ["2606:4700::1111"]), (True, ["2606:4700::1111", "10.0.0.1", "127.0.0.1"])):
        records = book("alice", private=private)
        records.take(CAROL, START, told(sealed("alice", *mixed)), NOW)
        found = [str(one).split("/")[2] for one in records.addresses()[peer_of("alice")]]
        assert (found[: len(ips)] if private else found) == ips
        assert len(found) <= MAX_ADDRESSES
        assert "224.0.0.1" not in found
        assert "0.0.0.0" not in found


def test_the_ring_is_told_in_pieces_until_all_is_told_and_nothing_twice() -> None:
    names = ordered(*(f"peer {number}" for number in range(80)))
    giver, taker = book(*names), book(*names)
    for place in range(0, 80, 20):
        giver.take(CAROL, START, told(*(sealed(name, HOME) for name in names[place : place + 20])), NOW)
    assert taker.due([CAROL]) == [CAROL]
    seen = []
    for _ in range(3):
        request = taker.question(CAROL, hash_of_peer(CAROL))
        answer = giver.answer(CAROL, request, NOW)
        assert answer is not None
        assert len(answer.records) == MAX_RECORDS
        seen += taker.take(CAROL, request, answer, NOW)
    assert len(seen) == len(set(seen)) == len(taker) == 80


def test_who_signs_the_same_addresses_anew_is_not_elsewhere() -> None:
    records = book("bob")
    for later, is_elsewhere in ((0, True), (1, False), (90_000, False)):
        data = sealed("bob", HOME, sequence=MADE_AT + later)
        assert records.take(CAROL, START, told(data), NOW) == ([peer_of("bob")] if is_elsewhere else [])
    assert records.answer(CAROL, START, NOW) == told(data)


def test_a_record_of_the_future_does_not_stand_before_those_that_come_until_then() -> None:
    records = book("bob")
    for ahead in (2**63, CLOCK_TOLERANCE_MS + 1):
        assert records.take(CAROL, START, told(sealed("bob", NOBODY, HOME, sequence=NOW + ahead)), NOW) == []
    assert records.counts == {"records of the future": 2}
    assert records.take(CAROL, START, told(sealed("bob", HOME, sequence=NOW + CLOCK_TOLERANCE_MS)), NOW)


def test_records_out_of_order_or_twice_are_blamed() -> None:
    first, second = ordered("alice", "bob")
    for pair in ((second, first), (first, first)):
        with pytest.raises(errors.NonCanonical, match="order of the ring"):
            book("alice", "bob").take(CAROL, START, told(*(sealed(name, HOME) for name in pair)), NOW)


def test_who_asks_too_often_gets_no_answer() -> None:
    records = book("alice")
    answers = [records.answer(CAROL, START, NOW) for _ in range(QUESTIONS.burst + 3)]
    assert answers.count(None) == records.counts["records asked too often"] == 3
    assert records.answer(CAROL, START, UnixMilliseconds(NOW + 1_000)) is not None


def test_who_leaves_the_registry_is_forgotten_and_is_told_of_no_more() -> None:
    staked = {hash_of_peer(peer_of(name)) for name in ("alice", "bob")}
    records = RecordBook(staked.__contains__, may_be_private=False)
    records.take(CAROL, START, told(*(sealed(name, HOME) for name in ordered("alice", "bob"))), NOW)
    staked.remove(hash_of_peer(peer_of("bob")))
    records.forget_others()
    assert set(records.addresses()) == {peer_of("alice")}
    assert records.answer(CAROL, START, NOW) == told(sealed("alice", HOME))


def test_who_listens_everywhere_tells_the_addresses_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {4: ["10.1.2.3", "8.8.4.4"], 6: ["2606:4700::5"]}
    monkeypatch.setattr("node.sentry.peer_records.get_network_addrs", ours.__getitem__)
    pair = identity("alice")
    teller, hearer = book("alice"), book("alice")
    listens = ["/ip4/0.0.0.0/tcp/4711", "/ip6/::/tcp/4712"]
    teller.tell_own(pair.public_key.to_bytes(), listens, UnixMilliseconds(MADE_AT), pair.private_key.sign)
    answer = teller.answer(CAROL, START, NOW)
    assert answer is not None
    hearer.take(CAROL, START, answer, NOW)
    (found,) = hearer.addresses().values()
    assert [str(one) for one in found] == ["/ip4/8.8.4.4/tcp/4711", "/ip6/2606:4700::5/tcp/4712"]


def test_who_listens_nowhere_that_others_may_dial_tells_nothing_of_itself() -> None:
    pair = identity("alice")
    for place, count in (("/ip4/127.0.0.1/tcp/1", 0), ("/ip4/8.8.8.8/tcp/1", 1)):
        records = book("alice")
        records.tell_own(pair.public_key.to_bytes(), [place], MADE_AT, pair.private_key.sign)  # type: ignore[arg-type]
        assert len(records) == count
        assert records.addresses() == {}


async def serve(stream: Any, answer: Callable[[DirectMessage], PeerRecords | None]) -> None:
    """Answer one question."""
    said = answer(decode_direct(await read_message(stream)))
    if said is not None:
        await write_message(stream, encode_direct(said))
    await stream.close()


@in_trio
async def test_a_flood_of_records_of_staked_peers_that_are_nowhere_delays_nobody() -> None:
    """Mallory (carol's key) names 300 staked peers where nobody answers; whom alice is configured with is dialled."""
    crowd = ordered(*(f"sybil {number}" for number in range(300)))
    hostile = book(*crowd, private=True)
    for at in range(0, len(crowd), MAX_RECORDS):
        hostile.take(CAROL, START, told(*(sealed(name, NOBODY) for name in crowd[at : at + MAX_RECORDS])), NOW)
    place = f"/ip4/127.0.0.1/tcp/{free_port()}"
    alice = Node("alice", settings_of([f"{place}/p2p/{peer_of('bob')}"]))
    alice.sentry.follow(with_stake([*crowd, "alice", "bob", "carol"]))
    async with trio.open_nursery() as nursery:
        await nursery.start(alice.sentry.run)
        async with stock_peer("carol", alice) as mallory:
            answer = partial(hostile.answer, CAROL, now=NOW)
            mallory.set_stream_handler(orders_protocol(DEVNET), partial(serve, answer=answer))
            await until(lambda: len(alice.sentry.records) == 301, 30.0)  # and its own
            for _ in range(20):
                await trio.sleep(0.1)
                busy = list(alice.sentry.dialler._under_way.values())
                assert busy.count(Rank.RECORDED) <= DIALS_AT_ONCE[Rank.RECORDED]
            bob = Node("bob", settings_of(listen=(place,)))
            bob.sentry.follow(alice.sentry.gossip.snapshot)
            await nursery.start(bob.sentry.run)
            await until(lambda: bob.sees(alice), 5.0)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["forged", "not a record", "unasked"])
@in_trio
async def test_who_sends_records_that_are_none_is_cut_off(kind: str) -> None:
    forged = sealed("bob", LOCAL)[:-64] + sealed("alice", LOCAL)[-64:]
    said = {"forged": told(forged), "not a record": told(b"record"), "unasked": told(sealed("bob", LOCAL))}[kind]
    async with running("alice") as (alice,), stock_peer("carol", alice) as mallory:
        if kind == "unasked":
            for _ in range(4):
                stream = await mallory.new_stream(alice.sentry.id, [orders_protocol(DEVNET)])
                await write_message(stream, encode_direct(said))
        else:
            mallory.set_stream_handler(orders_protocol(DEVNET), partial(serve, answer=lambda _: said))
        await until(lambda: alice.sentry.book.is_banned(str(CAROL), alice.sentry._now()), 20.0)
        await until(lambda: CAROL not in alice.sentry.connected)
        assert peer_of("bob") not in alice.sentry.records.addresses()


@in_trio
async def test_a_stranger_that_speaks_libp2p_asks_and_gets_what_it_can_verify() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        await until(lambda: len(nodes[0].sentry.records) == 2)
        async with stock_peer("carol", nodes[0]) as host:
            stream = await host.new_stream(nodes[0].sentry.id, [orders_protocol(DEVNET)])
            await write_message(stream, encode_direct(START))
            answer = decode_direct(await read_message(stream))
            assert isinstance(answer, PeerRecords)
            found = [consume_envelope(data, "libp2p-peer-record")[1] for data in answer.records]
            assert [record.peer_id for record in found] == sorted((node.sentry.id for node in nodes), key=hash_of_peer)
