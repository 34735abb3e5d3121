"""What libp2p 0.8.1's gossip does not do, and must: one place, by the numbers of docs/adr/0008-hardening-libp2p.md.

1  (ran) garbage in an RPC ends the host: here it ends the peer's stream and connection, and counts against the peer
2  (ran) a hashed `from` with a bad key does the same: here it is a message with a wrong signature
3  (ran) so does an exception of a validator: ours raises verdicts only, and whatever else it raises drops one message
4  (ran) copies that arrive together are all delivered: nothing waits here between the look at `seen` and the mark
5  (ran) the spam filter passes 10 messages a second: it is off, the protocol's token buckets stand in its place
6  (ran) queues hold 32: `outbound` bounds them, what is dropped is counted; nothing is delivered by libp2p's queues
7  the heartbeat comes every 120 s: every second   8  1.2 tells of every message it has: 1.1 only
9  (read) a failed validation is kept 300 s by id: nothing is kept but what was accepted, rejected, or can never pass
10 (read) the score of one topic does not gate publishing: stake and peer scores gate in the validator and at handshake
11 (read) the message cache keys by sender and number whatever the id: the default id stays
12 the number starts at whole seconds: at nanoseconds
13 (ran) who never subscribed enters the mesh by GRAFT: only who subscribed
14 who sends too large or malformed RPCs stays connected: is cut off
16 (ran) the signed peer record was verified with every message, each message was copied and packed for each peer, and
   written alone: verified once, packed once, written in batches. For each message the scores of all peers of the mesh
   were added up twice, and held against minus infinity: they are not (10)
29 (ran) what a second host of our identity says never reaches us: nobody sends a message to whoever is its `from`, and
   what pretends to be ours is dropped: it is judged as any other, told, and not relayed
30 (ran) any stream of a peer that fails has us forget its subscriptions, which it tells once a stream, also where the
   one that told them lives or its next one has told them again: they go with the stream that tells them, and what we
   write goes with ours
33 (ran) what is not judged costs a peer nothing, RPCs of nothing least: `rpc_budget` takes tokens for each thing
34 (ran) who asks for a message gets it as often as it asks, 1 MiB at a time: three times, as gossipsub says
31 (ran) ids of messages are kept for a time, as many and as long as they come: `seen_ids` has caps, a number 8 bytes
Upstream is libp2p/py-libp2p; the version is pinned exactly in pyproject.toml. 15 is in `host`, 17 in `bounded_yamux`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from google.protobuf.message import DecodeError
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.utils import maybe_consume_signed_record, safe_bytes_from_hex
from libp2p.utils import encode_varint_prefixed

from node.sentry.outbound import MAX_MESSAGES_PER_RPC, BoundedQueue, CountingCache, answers
from node.sentry.peers import Fault
from node.sentry.rpc_budget import MAX_IDS_PER_RPC, RPC_TOKENS, TOKENS_OF_RECORD, Account, RpcBudget, tokens_of
from node.sentry.seen_ids import SeenIds
from node.sentry.signatures import is_signed, signed_its_record
from protocol.gossip import GossipIgnore, GossipReject, IgnoreReason
from protocol.kinds import PayloadKind

MESHSUB: Final = TProtocol("/meshsub/1.1.0")
MAX_RPC_BYTES: Final = 1024 * 1024
BATCH_BYTES: Final = 48 * 1024
READ_BYTES: Final = 64 * 1024
MAX_READ_STREAMS: Final = 4
"""Of one peer, for gossip, which may be silent for long: it needs one for each of two connections."""
MAX_VARINT_BYTES: Final = 4
LASTING: Final = frozenset({IgnoreReason.DUPLICATE, IgnoreReason.STALE, IgnoreReason.OLD_SEQUENCE})
"""Why what is ignored now will be ignored whenever and from whomever it comes again."""


class MalformedRpc(Exception):
    """Bytes that are no RPC, or one beyond our bounds."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class Overdrawn(Exception):
    """The peer sends more than it may."""


class HardenedGossipSub(GossipSub):
    """The router: mends 5, 7, 8, 13, 16, 29 and 34. `dropped` counts what did not fit into a peer's queue."""

    def __init__(self, heartbeat_seconds: float = 1.0) -> None:
        super().__init__(
            protocols=[MESHSUB],
            degree=4,  # with what the publisher sends to all, enough for some tens of nodes
            degree_low=3,
            degree_high=6,
            heartbeat_interval=cast(int, heartbeat_seconds),  # any number of seconds works
            heartbeat_initial_delay=min(0.1, heartbeat_seconds),
            prune_back_off=5,
            spam_protection_enabled=False,
            adaptive_gossip_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.dropped = 0
        self.mcache: CountingCache = CountingCache(self.mcache)

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message, *, is_aside: bool = False) -> None:
        """Send a message that was accepted to the mesh of its topic but its forwarder; our own to all peers.

        The origin is in if the message came by another: then a twin of it may have published. If it came from the
        origin `is_aside`, on another connection than the one we write to, there may be two hosts: it gets it, too.
        Who published itself has seen it. Our own goes to whoever is connected: a peer that holds our twin's stream
        for ours tells us of no subscription.
        """
        self.mcache.put(pubsub_msg)
        frame = encode_varint_prefixed(rpc_pb2.RPC(publish=[pubsub_msg]).SerializeToString())
        origin = ID(pubsub_msg.from_id)
        if self.pubsub and msg_forwarder == origin == self.pubsub.my_id:
            peers = set(self.pubsub.peer_queues)
        else:
            peers = {
                peer for topic in pubsub_msg.topicIDs for peer in self.mesh.get(topic, ()) if peer != msg_forwarder
            }
            if is_aside and msg_forwarder == origin:
                peers.add(origin)
        for peer in peers:
            self._push(frame, peer)

    def _push(self, frame: bytes, peer: ID) -> None:
        """Queue a packed RPC for a peer."""
        queue = self.pubsub.peer_queues.get(peer) if self.pubsub else None
        if queue is not None and not queue.push(cast(rpc_pb2.RPC, frame)):  # our queues take either
            self.dropped += 1

    def _handle_dropped_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, reason: str) -> None:
        self.dropped += 1
        super()._handle_dropped_rpc(peer_id, rpc, reason)

    async def handle_graft(self, graft_msg: Any, sender_peer_id: ID) -> None:
        """Take a peer into the mesh of a topic that it has subscribed to."""
        if self.pubsub and sender_peer_id in self.pubsub.peer_topics.get(graft_msg.topicID, ()):
            await super().handle_graft(graft_msg, sender_peer_id)

    async def handle_ihave(self, ihave_msg: Any, sender_peer_id: ID) -> None:
        """Ask for what we have not seen, of a bounded number of ids of our topics."""
        if ihave_msg.topicID in self.mesh:
            del ihave_msg.messageIDs[MAX_IDS_PER_RPC:]
            await super().handle_ihave(ihave_msg, sender_peer_id)

    async def handle_iwant(self, iwant_msg: Any, sender_peer_id: ID) -> None:
        """Send what is asked for, of a bounded number of ids, each at most so often to one peer (34)."""
        if self._check_iwant_rate_limit(sender_peer_id):
            wanted = list(dict.fromkeys(iwant_msg.messageIDs))[:MAX_IDS_PER_RPC]
            ids = [known for name in wanted if (known := safe_bytes_from_hex(name)) is not None]
            found = [message for known in ids if (message := self.mcache.asked(known, sender_peer_id)) is not None]
            for frame in answers(found):
                self._push(frame, sender_peer_id)

    async def handle_prune(self, prune_msg: Any, sender_peer_id: ID) -> None:
        """Leave the mesh of a topic of ours; peers that are offered in exchange are not taken."""
        if prune_msg.topicID in self.mesh:
            del prune_msg.peers[:]
            prune_msg.backoff = min(prune_msg.backoff, 60)
            await super().handle_prune(prune_msg, sender_peer_id)

    def remove_peer(self, peer_id: ID) -> None:
        """Forget a peer, also where libp2p keeps it."""
        super().remove_peer(peer_id)
        for peers in self.back_off.values():
            peers.pop(peer_id, None)
        self.graft_flood_tracking.pop(peer_id, None)


Judge = Callable[[PayloadKind, bytes, ID, ID], None]
Blame = Callable[[ID, Fault], bool]
Pays = Callable[[int], bool]


class HardenedPubsub(Pubsub):
    """Gossip: mends 1 to 4, 6, 9, 10, 12, 14, 16, 29 to 31, 33.

    `judge` takes a message's kind, data, publisher and forwarder, and raises GossipIgnore or GossipReject, or takes
    it: then it is relayed. `blame` tells whether a peer is to be cut off. `counts` counts what became of messages.
    """

    def __init__(
        self, host: IHost, router: HardenedGossipSub, topics: Mapping[str, PayloadKind], judge: Judge, blame: Blame
    ) -> None:
        super().__init__(
            host,
            router,
            strict_signing=True,
            max_inbound_rpc_size=MAX_RPC_BYTES,
            max_subscriptions_per_rpc=64,
            max_subscriptions_per_peer=len(topics),
            allowed_topics=frozenset(topics),
        )
        cast(Any, self.seen_messages).stop()  # libp2p's own, with a thread
        self.seen_messages: SeenIds = SeenIds()  # type: ignore[assignment]  # has what of it is used
        self.counter = time.time_ns()
        self.counts: Counter[str] = Counter()
        self._topics, self._judge, self._blame = topics, judge, blame
        self._records: dict[ID, bytes] = {}
        self._read_streams: dict[ID, list[INetStream]] = {}
        self._budget = RpcBudget()

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's RPCs until its stream ends or it sends what is none; forget its subscriptions with the last."""
        peer = stream.muxed_conn.peer_id
        streams = self._read_streams.setdefault(peer, [])
        streams.append(stream)
        try:
            if len(streams) > MAX_READ_STREAMS:
                self.counts["TOO_MANY_STREAMS"] += 1
                await streams[0].reset()
            await self.continuously_read_stream(stream)
        except MalformedRpc as error:
            self.counts[error.fault.name] += 1
            self.blame(peer, error.fault)
            await stream.reset()
        except StreamError:
            await stream.reset()
        finally:
            streams.remove(stream)
            if not streams:
                del self._read_streams[peer]
            self._forget_all_subscriptions(peer)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read a peer's RPCs. Raises StreamError when the stream ends, MalformedRpc at what is none.

        What the peer's account does not pay for is dropped, and the peer blamed. Others have their turn now and then.
        """
        buffer, peer = bytearray(), stream.muxed_conn.peer_id
        account = self._budget.account(peer)
        while self.manager.is_running:
            buffer += await stream.read(READ_BYTES)
            while True:
                try:
                    rpc = next_rpc(buffer, account.pays_for_bytes)
                    if rpc is None:
                        break
                    await self._take_rpc(rpc, peer, account, is_aside=self._is_aside(stream))
                except Overdrawn:
                    self.counts["OVERDRAWN"] += 1
                    if self.blame(peer, Fault.FLOOD):
                        await stream.reset()
                        return
                await account.give_way()

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message, *, is_aside: bool = False) -> None:
        """Judge a message, and relay it if it was taken. Nothing waits between `seen` and its mark.

        What our identity signed and another brings is our former run's, or a twin's: it is told and not relayed, and
        nobody is blamed for what it says, for who brings it may have taken it from us.
        """
        if len(msg.topicIDs) != 1 or (kind := self._topics.get(msg.topicIDs[0])) is None:
            self.counts["OTHER_TOPIC"] += 1
            return
        message_id = self._msg_id_constructor(msg)
        if self.seen_messages.has(message_id):
            self.counts["SEEN"] += 1
            return
        is_own = msg_forwarder == self.my_id
        is_from_elsewhere = not is_own and msg.from_id == self.my_id.to_bytes()
        if not is_own and not is_signed(msg):
            self.counts["BAD_GOSSIP_SIGNATURE"] += 1
            self.blame(msg_forwarder, Fault.BAD_GOSSIP_SIGNATURE)
            return
        try:
            if not is_own:
                self._judge(kind, msg.data, ID(msg.from_id), msg_forwarder)
        except GossipIgnore as verdict:
            self.counts[verdict.reason.name] += 1
            if verdict.reason is IgnoreReason.FORWARDER_TOO_FAST:
                self.blame(msg_forwarder, Fault.FLOOD)
            if verdict.reason is IgnoreReason.DUPLICATE and msg.from_id == msg_forwarder.to_bytes():
                self.blame(msg_forwarder, Fault.REPLAY)  # it alone can number it anew: others may have taken either
            if verdict.reason in LASTING:
                self.seen_messages.refuse(message_id)
            return
        except GossipReject as verdict:
            self.counts[verdict.reason.name] += 1
            self.seen_messages.refuse(message_id)
            if not is_from_elsewhere:
                self.blame(msg_forwarder, Fault.REJECTED_MESSAGE)
            return
        self.seen_messages.add(message_id)
        if is_from_elsewhere:
            self.counts["OURS_FROM_ELSEWHERE"] += 1
            return
        self.counts["ACCEPTED"] += 1
        await cast(HardenedGossipSub, self.router).publish(msg_forwarder, msg, is_aside=is_aside)

    def blame(self, peer: ID, fault: Fault) -> bool:
        """Count a fault against a peer, and cut it off if that was too much; return whether it was."""
        is_banned = self._blame(peer, fault)
        if is_banned and self.manager.is_running:
            self.manager.run_task(self.host.get_network().close_peer, peer)
        return is_banned

    async def handle_sending_messages(self, peer_id: ID, stream: INetStream, queue: RpcQueue) -> None:
        """Write what is queued for a peer, as much at a time as there is."""
        bounded = queue._queue = BoundedQueue(queue._queue)  # noqa: SLF001 the caller has no parameter for it
        try:
            while (frame := await queue.pop()) is not None:
                batch = bytearray(cast(bytes, frame))
                while len(batch) < BATCH_BYTES and (more := bounded.pop()) is not None:
                    batch += more
                await stream.write(bytes(batch))
        except Exception:  # however a stream to a stranger ends, the peer's is all that ends
            self.counts["WRITE_FAILED"] += 1
            if self.peers.get(peer_id) is stream:
                self._handle_dead_peer(peer_id)

    async def handle_dead_peer_queue(self) -> None:
        """Forget who has no connection any more, and write anew to whoever has another one than ours was on."""
        async with self.dead_peer_receive_channel:
            self.event_handle_dead_peer_queue_started.set()
            async for peer in self.dead_peer_receive_channel:
                ours = self.peers.get(peer)
                if not self._peer_is_connected(peer) or (ours is not None and ours.muxed_conn.is_closed):
                    self._handle_dead_peer(peer)

    def _is_aside(self, stream: INetStream) -> bool:
        """Tell whether a peer's stream comes on another connection than ours to it."""
        ours = self.peers.get(stream.muxed_conn.peer_id)
        return ours is not None and ours.muxed_conn is not stream.muxed_conn

    async def _take_rpc(self, rpc: rpc_pb2.RPC, peer: ID, account: Account, *, is_aside: bool) -> None:
        """Handle an RPC that is paid for. Raises Overdrawn, MalformedRpc for one that nobody could pay."""
        tokens = tokens_of(rpc)
        if tokens > RPC_TOKENS.burst:
            raise MalformedRpc(Fault.OVERSIZE_RPC)
        if not tokens:  # it may hold what a later version says
            self.counts["EMPTY_RPC"] += 1
            raise Overdrawn
        if not account.pays(tokens):
            raise Overdrawn
        self._take_record(rpc, peer, account)
        push = partial(self.push_msg, is_aside=is_aside)
        for message in rpc.publish:
            await self._contained(push, peer, message)
        if len(rpc.subscriptions) <= self.max_subscriptions_per_rpc:
            for subscription in rpc.subscriptions:
                self.handle_subscription(peer, subscription)
        if rpc.HasField("control"):
            rpc.ClearField("senderRecord")
            await self._contained(self.router.handle_rpc, rpc, peer)

    async def _contained(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Run what handles a stranger's message: what it raises drops that message, and is counted."""
        try:
            await work(*arguments)
        except Exception:  # mends 2 and 3
            self.counts["CONTAINED"] += 1

    def _take_record(self, rpc: rpc_pb2.RPC, peer: ID, account: Account) -> None:
        record = rpc.senderRecord
        if record and self._records.get(peer) != record:
            if not account.pays(TOKENS_OF_RECORD):
                raise Overdrawn
            self._records[peer] = record
            if not maybe_consume_signed_record(rpc, self.host, peer):
                if signed_its_record(record, peer):  # an older one: of the same identity elsewhere, or sent late
                    self.counts["OLD_RECORD"] += 1
                    return
                self.counts["BAD_RECORD"] += 1
                self.blame(peer, Fault.BAD_RECORD)

    def _forget_all_subscriptions(self, peer_id: ID) -> None:
        if peer_id not in self._read_streams:
            super()._forget_all_subscriptions(peer_id)

    def _handle_dead_peer(self, peer_id: ID) -> None:
        self._records.pop(peer_id, None)
        was_registered = peer_id in self.peers
        super()._handle_dead_peer(peer_id)
        if not was_registered:  # libp2p then leaves the router as it is
            self.router.remove_peer(peer_id)


def next_rpc(buffer: bytearray, pays: Pays = lambda length: True) -> rpc_pb2.RPC | None:
    """Take the next RPC out of the buffer; None if it is not complete. Raises MalformedRpc.

    `pays` is asked before it is parsed whether so many bytes may be: if not, they are gone. Raises Overdrawn.
    """
    length = place = 0
    while True:
        if place == MAX_VARINT_BYTES or length > MAX_RPC_BYTES:
            raise MalformedRpc(Fault.OVERSIZE_RPC)
        if place == len(buffer):
            return None
        byte = buffer[place]
        length |= (byte & 0x7F) << 7 * place
        place += 1
        if not byte & 0x80:
            break
    if length > MAX_RPC_BYTES:
        raise MalformedRpc(Fault.OVERSIZE_RPC)
    if len(buffer) < place + length:
        return None
    if not length:
        raise MalformedRpc(Fault.MALFORMED_RPC)
    data = bytes(buffer[place : place + length])
    del buffer[: place + length]
    if not pays(length):
        raise Overdrawn
    rpc = rpc_pb2.RPC()
    try:
        rpc.ParseFromString(data)
    except DecodeError:
        raise MalformedRpc(Fault.MALFORMED_RPC) from None
    if len(rpc.publish) > MAX_MESSAGES_PER_RPC:
        raise MalformedRpc(Fault.OVERSIZE_RPC)
    return rpc
