"""What waits to be written to a peer: bounded by number and by bytes, no answer more often than it can be of use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from libp2p.peer.id import ID
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.rpc_queue import PriorityQueue
from libp2p.utils import encode_varint_prefixed

QUEUED_RPCS: Final = 512
QUEUED_BYTES: Final = 4 * 1024 * 1024
MAX_RETRANSMISSIONS: Final = 3
"""Of one message to one peer that asks for it, as in gossipsub's reference (GossipSubGossipRetransmission)."""
ANSWER_BYTES: Final = 64 * 1024
MAX_MESSAGES_PER_RPC: Final = 256


class BoundedQueue(PriorityQueue):
    """RPCs as they go over the wire; what does not fit is refused."""

    def __init__(self, before: PriorityQueue) -> None:
        super().__init__(QUEUED_RPCS)
        self.queued_bytes = 0
        while (item := before.pop()) is not None:
            self.push(item)

    def push(self, rpc: rpc_pb2.RPC | bytes, priority: bool = False) -> bool:
        """Queue an RPC, or one that is packed already; return whether there was room."""
        frame = rpc if isinstance(rpc, bytes) else encode_varint_prefixed(rpc.SerializeToString())
        if self.queued_bytes + len(frame) > QUEUED_BYTES or not super().push(cast(Any, frame), priority):
            return False
        self.queued_bytes += len(frame)
        return True

    def pop(self) -> Any:
        """Return the next of what is queued, as bytes; None if there is nothing."""
        frame = super().pop()
        if frame is not None:
            self.queued_bytes -= len(cast(bytes, frame))
        return frame


class CountingCache(MessageCache):
    """libp2p's cache of recent messages, which counts how often each was sent to whom; both are forgotten together."""

    def __init__(self, before: MessageCache) -> None:
        super().__init__(before.window_size, before.history_size)
        self._sent: dict[bytes, Counter[ID]] = {}

    def asked(self, message_id: bytes, peer: ID) -> rpc_pb2.Message | None:
        """Return a message to send to a peer that asks for it; None if it is not there, or was sent often enough."""
        message = self.get(message_id)
        if message is None:
            return None
        sent = self._sent.setdefault(message_id, Counter())
        if sent[peer] >= MAX_RETRANSMISSIONS:
            return None
        sent[peer] += 1
        return message

    def shift(self) -> None:
        """Forget the oldest."""
        super().shift()
        self._sent = {message_id: sent for message_id, sent in self._sent.items() if message_id in self.msgs}


def answers(messages: Sequence[rpc_pb2.Message]) -> Iterator[bytes]:
    """Pack messages into RPCs as a receiver takes them, none much larger than ANSWER_BYTES."""
    packed, size = rpc_pb2.RPC(), 0
    for message in messages:
        packed.publish.append(message)
        size += message.ByteSize()
        if size >= ANSWER_BYTES or len(packed.publish) == MAX_MESSAGES_PER_RPC:
            yield encode_varint_prefixed(packed.SerializeToString())
            packed, size = rpc_pb2.RPC(), 0
    if packed.publish:
        yield encode_varint_prefixed(packed.SerializeToString())
