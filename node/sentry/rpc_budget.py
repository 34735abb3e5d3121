"""What a peer may have us parse and handle of gossip, whether we judge it or not: a bucket of tokens for each peer.

The buckets of `protocol.gossip` hold what is judged. What has been seen, control messages, subscriptions, records and
RPCs of nothing meet none of them, and cost us time all the same. Here everything that a peer writes is paid for, most
of it before it is parsed: an RPC, each KiB of it, and each thing in it. The rate is far above what honest peers need
(1,000 messages of 1 KiB a second take 3,000 tokens), and what it lets through takes a small part of one core.
"""

from __future__ import annotations

from typing import Any, Final

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from node.sentry.trio_clock import trio_milliseconds
from protocol.buckets import BucketRules, Buckets, TokenBucket

RPC_TOKENS: Final = BucketRules(rate=10_000, burst=40_000)
MAX_PEERS_WATCHED: Final = 1_024
MAX_IDS_PER_RPC: Final = 1_024
TOKENS_OF_RECORD: Final = 100
"""A record that differs from the last is verified."""
TOKENS_OF_SUBSCRIPTION: Final = 100
TOKENS_OF_CONTROL: Final = 10
"""Most of these may be answered."""
RPCS_AT_ONCE: Final = 64
TOKENS_AT_ONCE: Final = 512
"""After so many RPCs, or so much of them, others have their turn."""
_BYTES_PER_TOKEN: Final = 1_024


class Account:
    """The bucket of one peer, and what was taken since others had their turn."""

    __slots__ = ("_bucket", "_rpcs", "_tokens")

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self._rpcs = self._tokens = 0

    def pays_for_bytes(self, length: int) -> bool:
        """Take what an RPC of so many bytes costs before it is parsed; return whether it was there."""
        self._rpcs += 1
        return self.pays(1 + length // _BYTES_PER_TOKEN)

    def pays(self, tokens: int) -> bool:
        """Take tokens; return whether they were there."""
        self._tokens += tokens
        return self._bucket.take(RPC_TOKENS, trio_milliseconds(), tokens)

    async def give_way(self) -> None:
        """Let others have their turn if it is time."""
        if self._rpcs >= RPCS_AT_ONCE or self._tokens >= TOKENS_AT_ONCE:
            self._rpcs = self._tokens = 0
            await trio.lowlevel.checkpoint()


class RpcBudget:
    """The buckets of all peers; they outlive their connections."""

    def __init__(self) -> None:
        self._buckets: Buckets[ID] = Buckets(MAX_PEERS_WATCHED)

    def account(self, peer: ID) -> Account:
        """Return a peer's account, for one stream."""
        return Account(self._buckets.of(peer, RPC_TOKENS, trio_milliseconds()))


def tokens_of(rpc: Any) -> int:
    """Return what handling the parts of an RPC costs; 0 if there is nothing in it."""
    tokens = len(rpc.publish) + TOKENS_OF_SUBSCRIPTION * len(rpc.subscriptions) + bool(rpc.senderRecord)
    if rpc.HasField("control"):
        control: rpc_pb2.ControlMessage = rpc.control
        tokens += TOKENS_OF_CONTROL * (len(control.graft) + len(control.prune))
        for entries in (control.ihave, control.iwant, control.idontwant):
            tokens += TOKENS_OF_CONTROL * len(entries)
            if TOKENS_OF_CONTROL * len(entries) <= RPC_TOKENS.burst:  # beyond it these alone are too much
                tokens += sum(min(len(entry.messageIDs), MAX_IDS_PER_RPC) for entry in entries)
    return tokens
