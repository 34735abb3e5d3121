"""What waits for a peer has a bound in bytes, and what it asks for is sent a bounded number of times."""

from __future__ import annotations

from typing import Any

from libp2p.peer.id import ID
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.rpc_queue import PriorityQueue

from node.sentry.hardening import next_rpc
from node.sentry.outbound import (
    ANSWER_BYTES,
    MAX_MESSAGES_PER_RPC,
    MAX_RETRANSMISSIONS,
    QUEUED_BYTES,
    QUEUED_RPCS,
    BoundedQueue,
    CountingCache,
    answers,
)

BOB, CAROL = ID(b"bob"), ID(b"carol")


def message(number: int, size: int = 10) -> Any:
    return rpc_pb2.Message(data=bytes(size), from_id=b"x" * 38, seqno=number.to_bytes(8, "big"), topicIDs=["beats"])


def test_a_queue_is_bounded_by_number_and_by_bytes_and_what_is_taken_makes_room() -> None:
    many, large = BoundedQueue(PriorityQueue()), BoundedQueue(PriorityQueue())
    assert [many.push(b"x") for _ in range(QUEUED_RPCS + 1)] == [True] * QUEUED_RPCS + [False]
    part = bytes(QUEUED_BYTES // 4)
    assert [large.push(part) for _ in range(5)] == [True] * 4 + [False]
    assert (len(large), large.queued_bytes) == (4, QUEUED_BYTES)
    assert large.pop() == part
    assert large.push(part)
    while large.pop() is not None:
        pass
    assert large.queued_bytes == 0


def test_what_waited_before_and_what_is_not_packed_yet_is_queued_packed() -> None:
    before = PriorityQueue()
    for number in range(2):
        before.push(rpc_pb2.RPC(publish=[message(number)]))
    queue = BoundedQueue(before)
    queue.push(rpc_pb2.RPC(publish=[message(7)]), priority=True)
    found = [next_rpc(bytearray(queue.pop())) for _ in range(3)]
    assert [rpc.publish[0].seqno[-1] for rpc in found if rpc is not None] == [7, 0, 1]


def test_a_message_is_sent_three_times_to_each_who_asks_and_forgotten_with_its_count() -> None:
    cache = CountingCache(MessageCache(3, 5))
    one = message(1)
    cache.put(one)
    name = one.from_id + one.seqno
    for peer in (BOB, CAROL):
        asked = [cache.asked(name, peer) for _ in range(MAX_RETRANSMISSIONS + 2)]
        assert asked == [one] * MAX_RETRANSMISSIONS + [None] * 2
    assert cache.asked(b"unknown", BOB) is None
    for _ in range(5):
        cache.shift()
    assert (cache.msgs, cache._sent) == ({}, {})


def test_answers_come_in_rpcs_that_an_honest_receiver_takes() -> None:
    for count, size in ((2 * MAX_MESSAGES_PER_RPC + 1, 10), (40, 7_000)):
        frames = list(answers([message(number, size) for number in range(count)]))
        assert all(len(frame) < ANSWER_BYTES + 8_000 for frame in frames)
        parts = [next_rpc(bytearray(frame)) for frame in frames]
        numbers = [int.from_bytes(one.seqno, "big") for part in parts if part is not None for one in part.publish]
        assert numbers == list(range(count))
    assert list(answers([])) == []
