"""Sentries on loopback in one process, each of an operator with stake: alice, bob, carol; and eve, who has none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr

from node.sentry.hardening import MESHSUB
from node.sentry.host import Callbacks, SentryHost, SentrySettings, hash_of_peer, system_milliseconds
from node.sentry.peers import PeerBook
from protocol import codec
from protocol.codec import DirectMessage
from protocol.ethereum.keys import SigningKey
from protocol.gossip import Operator, StakeSnapshot, topic
from protocol.kinds import PayloadKind
from protocol.messages import Envelope, Heartbeat
from protocol.signing import sign_envelope
from protocol.units import (
    ADDRESS_BYTES,
    Address,
    BlockNumber,
    BootId,
    StakeUnits,
    UnixMilliseconds,
    UnixSeconds,
    sequence_number,
)
from tests.protocol_factories import ADDRESSES, DEVNET, KEYS, NOW, hash_of, heartbeat

LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
STAKED: Final = ("alice", "bob", "carol")
TIMES: Final = iter(range(10**9))
HEAD_TIME: Final = UnixSeconds(NOW // 1_000)


def identity(name: str) -> KeyPair:
    """Return the libp2p key of a name."""
    return create_new_key_pair(hash_of(f"libp2p key of {name}"))


def peer_of(name: str) -> ID:
    """Return the peer id of a name."""
    return ID.from_pubkey(identity(name).public_key)


def registry(names: Sequence[str] = STAKED, block: int = 20_999_999) -> StakeSnapshot:
    """Return the snapshot in which these have stake."""
    return StakeSnapshot(
        BlockNumber(block),
        {ADDRESSES[name]: Operator((ADDRESSES[name],), hash_of_peer(peer_of(name)), StakeUnits(10)) for name in names},
        HEAD_TIME,
    )


def with_stake(names: Sequence[str], block: int = 20_999_999) -> StakeSnapshot:
    """Return the snapshot in which any number have equal stake, also such as have no hot key in the tests."""
    operators = {}
    for name in names:
        account = ADDRESSES.get(name, Address(hash_of(name)[:ADDRESS_BYTES]))
        operators[account] = Operator((account,), hash_of_peer(peer_of(name)), StakeUnits(10))
    return StakeSnapshot(BlockNumber(block), operators, HEAD_TIME)


def envelope_of(name: str, payload: Heartbeat | None = None, key: SigningKey | None = None, ahead: int = 0) -> bytes:
    """Return a new envelope of an operator, whose clock is ahead by so many ms, signed by its own key or another."""
    now = UnixMilliseconds(system_milliseconds() + next(TIMES) % 1_000 + ahead)
    made = Envelope(
        operator=ADDRESSES[name],
        peer_id_hash=hash_of_peer(peer_of(name)),
        sequence=sequence_number(now, BootId(next(TIMES))),
        expiry=UnixMilliseconds(now + 10_000),
        payload=payload or heartbeat(),
    )
    return codec.encode_envelope(sign_envelope(DEVNET, made, key or KEYS[name]), DEVNET.separator)


class Node:
    """A sentry, and what it heard."""

    def __init__(self, name: str, settings: SentrySettings, book: PeerBook | None = None) -> None:
        self.name = name
        self.heard: list[Envelope] = []
        self.asked: list[DirectMessage] = []
        self.reply: Callable[[DirectMessage], DirectMessage | None] = lambda question: None
        callbacks = Callbacks(lambda envelope, data, forwarder: self.heard.append(envelope), self._answer)
        self.sentry = SentryHost(settings, DEVNET, identity(name), callbacks, PeerBook() if book is None else book)
        self.sentry.follow(registry())

    async def _answer(self, peer: ID, question: DirectMessage) -> DirectMessage | None:
        self.asked.append(question)
        return self.reply(question)

    async def say(self, count: int = 1) -> None:
        """Publish heartbeats."""
        for _ in range(count):
            await self.sentry.publish(PayloadKind.HEARTBEAT, envelope_of(self.name))

    def sees(self, *others: Node) -> bool:
        """Tell whether the others are connected and in this node's mesh."""
        meshes = self.sentry.router.mesh.values()
        return all(other.sentry.id in self.sentry.connected for other in others) and all(
            other.sentry.id in mesh for other in others for mesh in meshes
        )


def settings_of(bootstrap: Sequence[str] = (), **changes: Any) -> SentrySettings:
    """Return settings for loopback with a quick heartbeat."""
    settings = SentrySettings(listen=(LOOPBACK,), bootstrap=tuple(bootstrap), private_peers=True, heartbeat_seconds=0.1)
    return settings._replace(**changes)


@asynccontextmanager
async def running(*names: str, **changes: Any) -> AsyncIterator[list[Node]]:
    """Run sentries of these names, each of which dials those before it."""
    nodes: list[Node] = []
    async with trio.open_nursery() as nursery:
        for name in names:
            addresses = [address for node in nodes for address in node.sentry.addresses]
            node = Node(name, settings_of(addresses, **changes))
            await nursery.start(node.sentry.run)
            nodes.append(node)
        try:
            yield nodes
        finally:
            nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when the condition holds. Raises TooSlowError."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)


async def until_joined(nodes: Sequence[Node]) -> None:
    """Return when each node has every other one in its meshes."""
    await until(lambda: all(node.sees(*(other for other in nodes if other is not node)) for node in nodes))


def in_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make a test of an asynchronous function on trio, with a deadline."""

    def run(**fixtures: Any) -> None:
        async def bounded() -> None:
            with trio.fail_after(60):
                await test(**fixtures)

        trio.run(bounded)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined]
    return run


@asynccontextmanager
async def stock_peer(name: str, target: Node) -> AsyncIterator[Any]:
    """Run libp2p as it comes, with the key of `name`, connected to a node; yields its host."""
    host = new_host(key_pair=identity(name), muxer_preference="YAMUX", enable_mDNS=False)
    async with host.run(listen_addrs=[Multiaddr(LOOPBACK)]):
        try:
            await host.connect(info_from_p2p_addr(Multiaddr(target.sentry.addresses[0])))
            yield host
        finally:
            with trio.CancelScope(deadline=trio.current_time() + 3, shield=True):
                await host.close()


async def meshsub(host: Any, target: Node) -> Any:
    """Open a gossip stream to a node."""
    return await host.new_stream(target.sentry.id, [MESHSUB])


def gossip_message(name: str, data: bytes, number: int = 1, kind: PayloadKind = PayloadKind.HEARTBEAT) -> Any:
    """Return a message of libp2p's gossip, signed by the libp2p key of `name`."""
    pair = identity(name)
    message = rpc_pb2.Message(
        data=data, topicIDs=[topic(DEVNET, kind)], from_id=peer_of(name).to_bytes(), seqno=number.to_bytes(8, "big")
    )
    message.signature = pair.private_key.sign(PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString())
    message.key = pair.public_key.serialize()
    return message


def rpc(*messages: Any, **fields: Any) -> bytes:
    """Return an RPC as it goes over the wire."""
    return encode_varint_prefixed(rpc_pb2.RPC(publish=messages, **fields).SerializeToString())
