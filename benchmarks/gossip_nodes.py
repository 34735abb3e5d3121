"""The nodes of `benchmarks/gossip.py`, each in a process of its own: ours, and py-libp2p as it comes."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any, Final, NamedTuple

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from node.sentry.host import Callbacks, SentryHost, SentrySettings, hash_of_peer, system_milliseconds
from node.sentry.peers import PeerBook
from protocol import codec, signing
from protocol.buckets import BucketRules, StakeRates
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.gossip import GossipLimits, Operator, StakeSnapshot, topic
from protocol.kinds import AlertKind, PayloadKind, Severity
from protocol.messages import Envelope, SecurityAlert
from protocol.units import (
    BlockNumber,
    BootId,
    ChainId,
    Hash32,
    StakeUnits,
    UnixMilliseconds,
    UnixSeconds,
    address_from_hex,
    sequence_number,
)

SETUPS: Final = ((2, 1_000), (5, 100), (10, 40))
"""Nodes, and messages a second of all of them together."""
KINDS: Final = ("ours", "stock", "js")
SECONDS: Final = 8
ENVELOPE_BYTES: Final = 1_024
EVIDENCE_BYTES: Final = ENVELOPE_BYTES - 192 - SecurityAlert.LAYOUT.size - 65
FIRST_PORT: Final = 24_100
JOIN_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 2.0
DOMAIN: Final = signing.Domain(ChainId(31337), address_from_hex("0x5fbdb2315678afecb367f032d93f642f64180aa3"))
TOPIC: Final = topic(DOMAIN, PayloadKind.ALERT)
PLENTY: Final = GossipLimits(forwarder=BucketRules(10**6, 10**6), operators=StakeRates(base=10**5, shared=0, seconds=1))


class Job(NamedTuple):
    """One worker: its number, how many there are, and what all send together a second."""

    kind: str
    number: int
    nodes: int
    rate: int


@lru_cache
def key_of(number: int) -> SigningKey:
    """Return an operator's hot key."""
    return SigningKey(keccak256(b"gossip benchmark %d" % number))


@lru_cache
def identity_of(number: int) -> Any:
    """Return a node's libp2p key."""
    return create_new_key_pair(seed_of(number))


def seed_of(number: int) -> bytes:
    """Return the seed of a node's libp2p key."""
    return keccak256(b"gossip benchmark, libp2p %d" % number)


def address_of(job: Job, number: int) -> str:
    """Return where a node listens, with its peer id."""
    port = FIRST_PORT + number + 20 * SETUPS.index((job.nodes, job.rate)) + 100 * KINDS.index(job.kind)
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{ID.from_pubkey(identity_of(number).public_key)}"


def envelope_bytes(number: int, count: int) -> bytes:
    """Return a fresh signed envelope of ENVELOPE_BYTES that carries the time at which it was asked for."""
    begun = time.monotonic_ns().to_bytes(8, "big")
    evidence = (begun + b"%d %d " % (number, count)).ljust(EVIDENCE_BYTES, b"x")
    now, key = system_milliseconds(), key_of(number)
    alert = SecurityAlert(
        kind=AlertKind.SANDWICH_SEEN,
        subject=Hash32(keccak256(b"pool")),
        severity=Severity.LOW,
        evidence_hash=Hash32(keccak256(evidence)),
        expiry=UnixSeconds(now // 1_000 + 600),
        evidence=evidence,
    )
    envelope = Envelope(
        operator=address_from_hex(key.address),
        peer_id_hash=hash_of_peer(ID.from_pubkey(identity_of(number).public_key)),
        sequence=sequence_number(now, BootId(count)),
        expiry=UnixMilliseconds(now + 30_000),
        payload=alert,
    )
    return codec.encode_envelope(signing.sign_envelope(DOMAIN, envelope, key), DOMAIN.separator)


def registry(nodes: int) -> StakeSnapshot:
    """Return the registry in which all nodes have equal stake."""
    operators = {}
    for number in range(nodes):
        account = address_from_hex(key_of(number).address)
        peer = hash_of_peer(ID.from_pubkey(identity_of(number).public_key))
        operators[account] = Operator((account,), peer, StakeUnits(1))
    return StakeSnapshot(BlockNumber(1), operators, UnixSeconds(time.time_ns() // 1_000_000_000))


class Worker:
    """One node: what it heard, as seconds since it was sent."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.latencies: list[float] = []
        self.publish: Callable[[bytes], Any]
        self.is_joined: Callable[[], bool]

    def hear(self, envelope: Envelope) -> None:
        """Note a delivery."""
        assert isinstance(envelope.payload, SecurityAlert)
        self.latencies.append((time.monotonic_ns() - int.from_bytes(envelope.payload.evidence[:8], "big")) / 10**9)

    async def run(self) -> None:
        """Join, say so, wait for the word, publish at an even pace, and tell what was heard."""
        with trio.fail_after(JOIN_SECONDS):
            while not self.is_joined():  # noqa: ASYNC110 libp2p has no event for it
                await trio.sleep(0.05)
        print("joined", flush=True)
        start = float((await trio.to_thread.run_sync(sys.stdin.readline)).strip())
        job = self.job
        pause, count = job.nodes / job.rate, SECONDS * job.rate // job.nodes
        begun = time.process_time()
        for index in range(count):
            due = start + index * pause + job.number * pause / job.nodes
            await trio.sleep(max(0.0, due - time.monotonic()))
            await self.publish(envelope_bytes(job.number, index))
        await trio.sleep(max(0.0, start + SECONDS + DRAIN_SECONDS - time.monotonic()))
        print(json.dumps({"cpu": time.process_time() - begun, "latencies": self.latencies}), flush=True)


async def run_ours(job: Job) -> None:
    """Be one node of ours."""
    worker = Worker(job)

    async def answer(peer: ID, question: Any) -> None:
        return None

    addresses = [address_of(job, number) for number in range(job.nodes)]
    settings = SentrySettings(
        listen=(addresses[job.number].rsplit("/p2p/", 1)[0],), bootstrap=tuple(addresses[: job.number]), gossip=PLENTY
    )
    callbacks = Callbacks(lambda envelope, data, peer: worker.hear(envelope), answer)
    sentry = SentryHost(settings, DOMAIN, identity_of(job.number), callbacks, PeerBook())
    sentry.follow(registry(job.nodes))
    worker.publish = lambda data: sentry.publish(PayloadKind.ALERT, data)
    worker.is_joined = lambda: _is_joined(job, sentry.pubsub, sentry.router)
    async with trio.open_nursery() as nursery:
        await nursery.start(sentry.run)
        await worker.run()
        nursery.cancel_scope.cancel()


async def run_stock(job: Job) -> None:
    """Be one node of libp2p as it comes."""
    worker, own = Worker(job), address_of(job, job.number)
    host = new_host(key_pair=identity_of(job.number), muxer_preference="YAMUX")
    router = GossipSub([PROTOCOL_ID_V11], 6, 4, 12, heartbeat_interval=1, spam_protection_enabled=False)
    pubsub = Pubsub(host, router, strict_signing=True)

    def validate(peer: ID, message: Any) -> bool:
        envelope = codec.decode_envelope(message.data, DOMAIN.separator)
        signing.verify_envelope(DOMAIN, envelope, envelope.operator)
        if peer != host.get_id():
            worker.hear(envelope)
        return True

    pubsub.set_topic_validator(TOPIC, validate, is_async_validator=False)
    worker.publish = lambda data: pubsub.publish(TOPIC, data)
    worker.is_joined = lambda: _is_joined(job, pubsub, router)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(host.run(listen_addrs=[Multiaddr(own.rsplit("/p2p/", 1)[0])]))
        await stack.enter_async_context(background_trio_service(pubsub))
        await stack.enter_async_context(background_trio_service(router))
        await pubsub.subscribe(TOPIC)
        for number in range(job.number):
            await _connect(host, address_of(job, number))
        await worker.run()


async def _connect(host: Any, address: str) -> None:
    for _ in range(40):
        try:
            host.get_network().unblock_peer(info_from_p2p_addr(Multiaddr(address)).peer_id)
            await host.connect(info_from_p2p_addr(Multiaddr(address)))
        except Exception:  # the other process may not listen yet
            await trio.sleep(0.25)
        else:
            return


def _is_joined(job: Job, pubsub: Any, router: Any) -> bool:
    """Everybody is known, and the mesh is as full as it gets."""
    wanted = job.nodes - 1
    return len(pubsub.peer_topics.get(TOPIC, ())) == wanted and len(router.mesh.get(TOPIC, ())) >= min(wanted, 3)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    given = Job(*json.loads(sys.argv[1]))
    trio.run({"ours": run_ours, "stock": run_stock}[given.kind], given)
