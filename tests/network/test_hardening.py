"""Each mend of libp2p, by its number: what ends, floods or deceives it as it comes does not here."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerstore import create_signed_peer_record
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from multiaddr import Multiaddr

from node.sentry import hardening
from node.sentry.hardening import (
    MAX_READ_STREAMS,
    MAX_RPC_BYTES,
    MESHSUB,
    HardenedGossipSub,
    MalformedRpc,
    next_rpc,
)
from node.sentry.outbound import MAX_MESSAGES_PER_RPC, MAX_RETRANSMISSIONS
from node.sentry.peers import BAN_POINTS, Fault
from node.sentry.rpc_budget import MAX_IDS_PER_RPC, RPC_TOKENS, RPCS_AT_ONCE, TOKENS_OF_RECORD, tokens_of
from node.sentry.seen_ids import SeenIds
from protocol.ethereum.keys import SigningKey
from protocol.gossip import StakeSnapshot, topic
from protocol.kinds import PayloadKind
from protocol.units import BlockNumber, address_from_hex
from tests.protocol_factories import ADDRESSES, DEVNET, hash_of
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
    until_joined,
)

BEATS = topic(DEVNET, PayloadKind.HEARTBEAT)


async def still_gossips(nodes: list[Any]) -> None:
    before = [len(node.heard) for node in nodes]
    for node in nodes:
        await node.say()
    await until(lambda: all(len(node.heard) > count for node, count in zip(nodes, before, strict=True)))


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (b"\x05\xff\xff\xff\xff\xff", Fault.MALFORMED_RPC),
        (b"\x02\x12\x7f", Fault.MALFORMED_RPC),
        (bytes(65_536), Fault.MALFORMED_RPC),
        (rpc(control=rpc_pb2.ControlMessage(prune=[rpc_pb2.ControlPrune()] * 100_000)), Fault.OVERSIZE_RPC),
        (b"\xff\xff\xff\xff\xff\xff\x01", Fault.OVERSIZE_RPC),
        (b"\x81\x80\x40", Fault.OVERSIZE_RPC),
        (rpc(*[rpc_pb2.Message()] * (MAX_MESSAGES_PER_RPC + 1)), Fault.OVERSIZE_RPC),
    ],
)
def test_1_and_14_who_sends_what_is_no_rpc_is_cut_off_and_the_rest_goes_on(wire: bytes, fault: Fault) -> None:
    @in_trio
    async def scene() -> None:
        async with running("alice", "bob") as nodes:
            await until_joined(nodes)
            async with stock_peer("carol", nodes[0]) as hostile:
                stream = await meshsub(hostile, nodes[0])
                await stream.write(wire)
                await until(lambda: peer_of("carol") not in nodes[0].sentry.connected)
            assert nodes[0].sentry.pubsub.counts[fault.name] == 1
            assert nodes[0].sentry.book.is_banned(str(peer_of("carol")), nodes[0].sentry._now())
            await still_gossips(nodes)

    scene()


@in_trio
async def test_2_a_hashed_sender_with_a_bad_key_is_a_wrong_signature() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        async with stock_peer("carol", nodes[0]) as hostile:
            stream = await meshsub(hostile, nodes[0])
            message = gossip_message("carol", envelope_of("carol"))
            message.from_id = b"\x12\x20" + bytes(32)
            message.key = b"\x08\xff\xff rubbish"
            await stream.write(rpc(message))
            await until(lambda: nodes[0].sentry.pubsub.counts["BAD_GOSSIP_SIGNATURE"] == 1)
        await still_gossips(nodes)


@in_trio
async def test_3_an_exception_while_judging_drops_one_message() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        pubsub, judge = nodes[0].sentry.pubsub, nodes[0].sentry.pubsub._judge
        pubsub._judge = lambda *given: next(iter(()))
        await nodes[1].say()
        await until(lambda: pubsub.counts["CONTAINED"] > 0)  # it may be asked for again, as nothing heard it
        pubsub._judge = judge
        await still_gossips(nodes)


@in_trio
async def test_4_copies_that_come_together_are_heard_once() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        streams = [await meshsub(host, alice) for _ in range(4)]
        message = gossip_message("carol", envelope_of("carol"))
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(stream.write, rpc(message, message, message))
        await until(lambda: alice.sentry.pubsub.counts["SEEN"] == 11)
        assert len(alice.heard) == 1


@in_trio
async def test_5_and_6_a_burst_arrives_whole() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        await nodes[1].say(200)
        await until(lambda: len(nodes[0].heard) == 200)
        assert nodes[1].sentry.router.dropped == 0


@in_trio
async def test_6_what_does_not_fit_into_a_queue_is_counted() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        queue = nodes[1].sentry.pubsub.peer_queues[nodes[0].sentry.id]
        queue._queue.max_size = 0
        await nodes[1].say(3)
        assert nodes[1].sentry.router.dropped == 3


def test_7_and_8_the_heart_beats_every_second_and_only_meshsub_1_1_is_spoken() -> None:
    router = HardenedGossipSub()
    assert (router.heartbeat_interval, router.get_protocols()) == (1.0, [MESHSUB])
    assert not router.spam_protection_enabled


@in_trio
async def test_9_what_could_not_be_judged_yet_can_be_accepted_later() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        alice.sentry.gossip.follow(registry(("alice", "bob")))
        message = gossip_message("carol", envelope_of("carol"))
        await stream.write(rpc(message))
        await until(lambda: alice.sentry.pubsub.counts["UNKNOWN_OPERATOR"] == 1)
        alice.sentry.follow(registry())
        await stream.write(rpc(message))
        await until(lambda: len(alice.heard) == 1)


@in_trio
async def test_10_who_has_no_stake_is_not_let_in_and_who_loses_it_is_cut_off() -> None:
    async with running("alice", "bob") as nodes:
        await until_joined(nodes)
        with contextlib.suppress(Exception):  # what libp2p raises depends on where it notices
            async with stock_peer("eve", nodes[0]) as host:
                await until(lambda: not host.get_network().connections)
        assert nodes[0].sentry.admission.refused["peer"] >= 1
        assert peer_of("eve") not in nodes[0].sentry.connected
        nodes[0].sentry.follow(registry(("alice", "carol")))
        await until(lambda: nodes[1].sentry.id not in nodes[0].sentry.connected)


@in_trio
async def test_11_one_envelope_under_two_numbers_is_heard_once() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream, data = await meshsub(host, alice), envelope_of("carol")
        await stream.write(rpc(*(gossip_message("carol", data, number) for number in range(5))))
        await until(lambda: alice.sentry.pubsub.counts["DUPLICATE"] == 4)
        assert len(alice.heard) == 1


@in_trio
async def test_31_who_publishes_one_envelope_again_and_again_is_cut_off() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream, data = await meshsub(host, alice), envelope_of("carol")
        await stream.write(rpc(*(gossip_message("carol", data, number) for number in range(101))))
        await until(lambda: peer_of("carol") not in alice.sentry.connected)
        assert alice.sentry.pubsub.counts["DUPLICATE"] == 100
        assert len(alice.heard) == 1


@in_trio
async def test_31_who_relays_what_another_publishes_again_and_again_is_not_blamed_and_no_more_is_kept() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        alice.sentry.pubsub.seen_messages = SeenIds(accepted=2, refused=16)
        stream, data = await meshsub(host, alice), envelope_of("bob")
        for start in range(0, 300, 100):
            await stream.write(rpc(*(gossip_message("bob", data, number) for number in range(start, start + 100))))
        await until(lambda: alice.sentry.pubsub.counts["DUPLICATE"] == 299)
        seen = alice.sentry.pubsub.seen_messages
        assert (len(seen), seen.evicted) == (17, 299 - 16)
        await stream.write(rpc(gossip_message("bob", data, 0)))
        await until(lambda: alice.sentry.pubsub.counts["SEEN"] == 1)  # what was accepted is not pushed out by it
        assert alice.sentry.book.score(str(peer_of("carol")), alice.sentry._now()) > 0


@in_trio
async def test_31_a_number_of_another_length_is_no_message() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        message = gossip_message("carol", envelope_of("carol"))
        message.seqno = bytes(100_000)
        message.ClearField("signature")
        message.ClearField("key")
        signed = PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString()
        message.signature = identity("carol").private_key.sign(signed)
        await stream.write(rpc(message))
        await until(lambda: alice.sentry.pubsub.counts["BAD_GOSSIP_SIGNATURE"] == 1)
        assert len(alice.sentry.pubsub.seen_messages) == 0


@in_trio
async def test_12_numbers_go_on_after_a_restart() -> None:
    numbers = []
    for _ in range(2):
        async with running("alice") as (alice,):
            numbers.append(alice.sentry.pubsub.counter)
            await alice.say(100)
            numbers.append(alice.sentry.pubsub.counter)
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 1_600_000_000 * 10**9


@in_trio
async def test_13_who_did_not_subscribe_does_not_enter_the_mesh() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        graft = rpc_pb2.ControlMessage(graft=[rpc_pb2.ControlGraft(topicID=BEATS)])
        await stream.write(rpc(control=graft))
        await stream.write(rpc(gossip_message("carol", envelope_of("carol"))))
        await until(lambda: len(alice.heard) == 1)
        assert peer_of("carol") not in alice.sentry.router.mesh[BEATS]
        subscribe = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=BEATS)
        await stream.write(rpc(subscriptions=[subscribe]))
        await stream.write(rpc(control=graft))
        await until(lambda: peer_of("carol") in alice.sentry.router.mesh[BEATS])


@in_trio
async def test_16_a_peer_record_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[bytes] = []

    def consume(rpc: Any, host: Any, peer: ID) -> bool:
        verified.append(rpc.senderRecord)
        return bool(rpc.senderRecord != b"bad")

    monkeypatch.setattr(hardening, "maybe_consume_signed_record", consume)
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        await until(lambda: True)
        verified.clear()
        for record in (b"one", b"one", b"one", b"bad"):
            await stream.write(rpc(senderRecord=record))
        await stream.write(rpc(gossip_message("carol", envelope_of("carol"))))
        await until(lambda: len(alice.heard) == 1)
        assert (verified, alice.sentry.pubsub.counts["BAD_RECORD"]) == ([b"one", b"bad"], 1)


ONE_COPY = rpc(gossip_message("carol", envelope_of("carol"), number=7))


class Flood:
    """A peer's stream on which the same bytes come, so many times and READ_BYTES or so at once."""

    def __init__(self, wire: bytes, times: int) -> None:
        self._wire, self._times = wire, times
        self.reads = 0
        self.muxed_conn = SimpleNamespace(peer_id=peer_of("carol"), is_closed=False)
        self.is_reset = False

    async def read(self, _most: int) -> bytes:
        self.reads += 1
        if self.reads > self._times:
            raise StreamEOF
        return self._wire

    async def reset(self) -> None:
        self.is_reset = True


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (rpc(control=rpc_pb2.ControlMessage(prune=[rpc_pb2.ControlPrune()])), "OVERDRAWN"),
        (rpc(control=rpc_pb2.ControlMessage()), "EMPTY_RPC"),
        (rpc(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=BEATS)]), "OVERDRAWN"),
        (rpc(rpc_pb2.Message(topicIDs=["elsewhere"])), "OVERDRAWN"),
        (ONE_COPY, "OVERDRAWN"),
    ],
)
def test_33_what_nobody_judges_is_paid_for_and_who_goes_on_without_is_cut_off(wire: bytes, fault: str) -> None:
    @in_trio
    async def scene() -> None:
        async with running("alice") as (alice,):
            pubsub, turns = alice.sentry.pubsub, [0]
            flood = Flood(wire * (65_536 // len(wire)), 400)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_count_turns, turns)
                await pubsub.stream_handler(flood)  # type: ignore[arg-type]  # what of a stream is used
                nursery.cancel_scope.cancel()
            assert pubsub.counts[fault] == BAN_POINTS
            assert alice.sentry.book.is_banned(str(peer_of("carol")), alice.sentry._now())
            assert flood.is_reset
            assert flood.reads < 400
            cost = 1 + tokens_of(next_rpc(bytearray(wire)))
            handled = RPC_TOKENS.burst // cost if fault == "OVERDRAWN" else BAN_POINTS
            assert turns[0] >= handled // RPCS_AT_ONCE

    scene()


async def _count_turns(turns: list[int]) -> None:
    while True:
        turns[0] += 1
        await trio.lowlevel.checkpoint()


@in_trio
async def test_33_an_older_record_of_a_twin_costs_tokens_and_is_no_fault() -> None:
    pair = create_new_key_pair()
    peer = ID.from_pubkey(pair.public_key)
    older, newer = (
        create_signed_peer_record(peer, [Multiaddr(f"/ip4/1.1.1.{last}/tcp/1")], pair.private_key).marshal_envelope()
        for last in (1, 2)
    )
    async with running("alice") as (alice,):
        pubsub = alice.sentry.pubsub
        flood = Flood(b"".join(rpc(senderRecord=record) for record in (newer, older) * 1_000), 1)
        flood.muxed_conn.peer_id = peer
        await pubsub.stream_handler(flood)  # type: ignore[arg-type]  # what of a stream is used
        assert 0 < pubsub.counts["OLD_RECORD"] <= RPC_TOKENS.burst // TOKENS_OF_RECORD + 50
        assert not pubsub.counts["BAD_RECORD"]


@in_trio
async def test_33_a_record_that_changes_is_paid_for_and_a_bad_one_blamed() -> None:
    async with running("alice") as (alice,):
        pubsub = alice.sentry.pubsub
        records = b"".join(rpc(senderRecord=b"%d" % number) for number in range(1_000))
        await pubsub.stream_handler(Flood(records, 1))  # type: ignore[arg-type]  # what of a stream is used
        assert pubsub.counts["BAD_RECORD"] <= RPC_TOKENS.burst // TOKENS_OF_RECORD + 50
        assert alice.sentry.book.is_banned(str(peer_of("carol")), alice.sentry._now())


@in_trio
async def test_who_opens_stream_after_stream_for_gossip_loses_the_oldest() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        streams = [await meshsub(host, alice) for _ in range(12)]
        await until(lambda: alice.sentry.pubsub.counts["TOO_MANY_STREAMS"] == 12 - MAX_READ_STREAMS)
        await until(lambda: len(alice.sentry.pubsub._read_streams[peer_of("carol")]) == MAX_READ_STREAMS)
        await streams[-1].write(rpc(gossip_message("carol", envelope_of("carol"))))
        await until(lambda: len(alice.heard) == 1)


@in_trio
async def test_34_who_asks_again_and_again_and_reads_nothing_gets_a_message_three_times() -> None:
    async with running("alice") as (alice,):
        await alice.say()
        router, pubsub, carol = alice.sentry.router, alice.sentry.pubsub, peer_of("carol")
        ask = rpc_pb2.RPC(
            control=rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant(messageIDs=list(router.mcache.msgs))])
        )
        queue = pubsub.peer_queues[carol] = RpcQueue()
        for _ in range(10):
            await pubsub._take_rpc(ask, carol, pubsub._budget.account(carol), is_aside=False)
        assert len(queue) == MAX_RETRANSMISSIONS
        queue._queue.max_size = len(queue)
        await alice.say()
        assert router.dropped == 1


@pytest.mark.parametrize("closing", [0, 1])
def test_30_what_a_peer_subscribed_to_outlives_one_of_its_connections(closing: int) -> None:
    @in_trio
    async def scene() -> None:
        async with running("alice", "bob") as nodes:
            await until_joined(nodes)
            alice, bob = (node.sentry for node in nodes)
            there = [alice.host.get_network(), bob.host.get_network()]
            others = [bob.id, alice.id]
            await there[1].dial_addr(Multiaddr(alice.addresses[0].split("/p2p/")[0]), alice.id)
            await until(lambda: len(there[0].get_connections(bob.id)) == len(there[1].get_connections(alice.id)) == 2)
            await bob.pubsub.peers[alice.id].reset()  # bob writes on the second connection from now on
            await until(lambda: bob.id not in alice.pubsub._read_streams)
            await there[closing].get_connections(others[closing])[0].close()  # alice still wrote on the first
            await until(lambda: len(there[0].get_connections(bob.id)) == len(there[1].get_connections(alice.id)) == 1)
            await until_joined(nodes)
            await still_gossips(nodes)

    scene()


@in_trio
async def test_rejects_and_forgeries_add_up_to_a_ban() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        for number in range(4):
            await stream.write(rpc(gossip_message("carol", b"no envelope", number)))
        await until(lambda: peer_of("carol") not in alice.sentry.connected)
        assert alice.sentry.pubsub.counts["MALFORMED"] == 4


@in_trio
async def test_who_relays_what_a_key_signed_that_we_do_not_know_yet_is_not_blamed() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        key = SigningKey(hash_of("bob's next hot key"))
        rotated = [gossip_message("bob", envelope_of("bob", key=key), number) for number in range(8)]
        for message in rotated:
            await stream.write(rpc(message))
        await until(lambda: alice.sentry.pubsub.counts["UNKNOWN_KEY"] == 8)
        assert alice.sentry.book.score(str(peer_of("carol")), alice.sentry._now()) == 0
        operators = alice.sentry.gossip.snapshot.operators
        bob = operators[ADDRESSES["bob"]]._replace(hot_keys=(ADDRESSES["bob"], address_from_hex(key.address)))
        time = alice.sentry.gossip.snapshot.time
        alice.sentry.follow(StakeSnapshot(BlockNumber(21_000_000), operators | {ADDRESSES["bob"]: bob}, time))
        await stream.write(rpc(rotated[0]))  # as after an IWANT
        await until(lambda: len(alice.heard) == 1)


@in_trio
async def test_what_is_on_no_topic_of_ours_or_pretends_to_be_ours_is_dropped() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        foreign, twofold, pretended = (gossip_message("carol", envelope_of("carol"), number) for number in (1, 2, 3))
        foreign.topicIDs[0] = "elsewhere"
        twofold.topicIDs.append(BEATS)
        pretended.from_id = peer_of("alice").to_bytes()
        await stream.write(rpc(foreign, twofold, pretended))
        await until(lambda: alice.sentry.pubsub.counts["BAD_GOSSIP_SIGNATURE"] == 1)
        assert alice.sentry.pubsub.counts["OTHER_TOPIC"] == 2
        assert alice.heard == []


@in_trio
async def test_control_messages_are_bounded_and_topics_of_strangers_not_kept() -> None:
    async with running("alice") as (alice,), stock_peer("carol", alice) as host:
        stream = await meshsub(host, alice)
        many = [number.to_bytes(8, "big") for number in range(5_000)]
        control = rpc_pb2.ControlMessage(
            ihave=[rpc_pb2.ControlIHave(topicID=name, messageIDs=many) for name in (BEATS, "elsewhere")],
            iwant=[rpc_pb2.ControlIWant(messageIDs=[b"\xff" * 40] * 5_000)],
            prune=[rpc_pb2.ControlPrune(topicID=str(number), backoff=2**60) for number in range(200)],
            graft=[rpc_pb2.ControlGraft(topicID=str(number)) for number in range(200)],
        )
        topics = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=str(number)) for number in range(60)]
        asked: list[int] = []
        alice.sentry.router.emit_iwant = _counting(asked)  # type: ignore[method-assign]
        await stream.write(rpc(control=control, subscriptions=topics))
        await stream.write(rpc(gossip_message("carol", envelope_of("carol"))))
        await until(lambda: len(alice.heard) == 1)
        assert asked == [MAX_IDS_PER_RPC]
        router, pubsub = alice.sentry.router, alice.sentry.pubsub
        assert not set(router.back_off) - set(router.mesh)
        assert set(pubsub.peer_topics) <= set(router.mesh)


def _counting(asked: list[int]) -> Any:
    async def emit_iwant(ids: list[bytes], peer: ID) -> None:
        asked.append(len(ids))

    return emit_iwant


@in_trio
async def test_no_map_remembers_a_peer_that_is_gone() -> None:
    async with running("alice") as (alice,):
        carol = peer_of("carol")
        for _ in range(3):
            async with stock_peer("carol", alice) as host:
                stream = await meshsub(host, alice)
                subscribe = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=BEATS)
                graft = rpc_pb2.ControlMessage(
                    graft=[rpc_pb2.ControlGraft(topicID=BEATS)],
                    prune=[rpc_pb2.ControlPrune(topicID=BEATS)],
                    ihave=[rpc_pb2.ControlIHave(topicID=BEATS, messageIDs=[b"x"])],
                    iwant=[rpc_pb2.ControlIWant(messageIDs=[b"x"])],
                )
                await stream.write(rpc(subscriptions=[subscribe], control=graft))
                await stream.write(rpc(gossip_message("carol", envelope_of("carol"))))
                await until(lambda: carol in alice.sentry.router.graft_flood_tracking)
            await until(lambda: carol not in alice.sentry.connected)
        with contextlib.suppress(trio.TooSlowError):
            await until(lambda: not remembered(alice.sentry, carol), 5.0)
        assert remembered(alice.sentry, carol) == []


def remembered(sentry: Any, peer: ID) -> list[str]:
    """Names of the maps of router, scorer, gossip and limits in which a peer stands."""
    found = []
    for owner in (sentry.router, sentry.router.scorer, sentry.pubsub, sentry.admission):
        for name, table in vars(owner).items():
            if isinstance(table, dict | set):
                inner = [table, *(value for value in getattr(table, "values", list)() if isinstance(value, dict | set))]
                if any(peer in one or str(peer) in one for one in inner):
                    found.append(f"{type(owner).__name__}.{name}")
    return found


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_an_rpc_may_come_in_pieces(cut: int) -> None:
    wire = rpc(rpc_pb2.Message(data=b"x" * 300)) * 3
    buffer, found = bytearray(), 0
    for start in range(0, len(wire), cut):
        buffer += wire[start : start + cut]
        while next_rpc(buffer) is not None:
            found += 1
    assert (found, len(buffer)) == (3, 0)


def test_an_rpc_has_a_bound() -> None:
    for wire in (b"\xff\xff\xff\xff", (MAX_RPC_BYTES + 1).to_bytes(3, "little"), b"\x81\x80\xc0\x00"):
        buffer = bytearray(b"\xff\xff\xff" if wire[0] != 0x81 else b"") + wire
        with pytest.raises(MalformedRpc):
            next_rpc(buffer)
