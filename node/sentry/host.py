"""One libp2p host with everything of ours on it: gate, gossip, direct streams, redial. Runs until it is cancelled.

A cancelled host of libp2p leaves its listener accepting, and nothing redials by itself (mend 15 of `hardening`): the
host is closed under a shield, and every second each wanted peer that is not there is dialled, with growing pauses.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from node.errors import NodeError
from node.sentry.bounded_yamux import BoundedMuxers, BoundedYamux
from node.sentry.connection_limits import ConnectionLimits, Limits
from node.sentry.hardening import HardenedGossipSub, HardenedPubsub
from node.sentry.peer_store import BoundedPeerStore
from node.sentry.peers import Fault, PeerBook
from node.sentry.streams import Answer, DirectStreams
from protocol.ethereum.keccak import keccak256
from protocol.gossip import Gossip, GossipLimits, StakeSnapshot, orders_protocol, topic
from protocol.kinds import PayloadKind
from protocol.messages import Envelope
from protocol.signing import Domain
from protocol.units import Hash32, PeerIdHash, UnixMilliseconds

SEED_BYTES: Final = 32
REDIAL_SECONDS: Final = 1.0
MAX_REDIAL_SECONDS: Final = 2.0
DIAL_SECONDS: Final = 3.0
DIALS_AT_ONCE: Final = 8
MAX_DIALLED_ADDRESSES: Final = 6
SAVE_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 3.0
NOT_SERVED: Final = (TProtocol("/ipfs/id/push/1.0.0"), TProtocol("/ipfs/ping/1.0.0"))
"""What libp2p offers to everybody and we do not need: the muxer pings, and whoever has moved is asked again."""


class SentrySettings(NamedTuple):
    """Where to listen, whom to dial at first (multiaddresses that end in /p2p/<peer id>), and bounds."""

    listen: tuple[str, ...]
    bootstrap: tuple[str, ...] = ()
    heartbeat_seconds: float = 1.0
    limits: Limits = Limits()
    gossip: GossipLimits = GossipLimits()


class Callbacks(NamedTuple):
    """What others do: `heard` takes an accepted envelope and its bytes, `answer` answers a question of a peer."""

    heard: Callable[[Envelope, bytes, ID], None]
    answer: Answer


def system_milliseconds() -> UnixMilliseconds:
    """Return the machine's Unix time."""
    return UnixMilliseconds(time.time_ns() // 1_000_000)


def load_identity(path: Path) -> KeyPair:
    """Return the Ed25519 key in a file, drawn and written if there is none. Raises NodeError if it is none."""
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        seed = os.urandom(SEED_BYTES)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(seed)
    if len(seed) != SEED_BYTES:
        raise NodeError(f"{path} is no identity key of the sentry: {SEED_BYTES} bytes are wanted")
    return create_new_key_pair(seed)


@lru_cache(maxsize=4_096)
def hash_of_peer(peer: ID) -> PeerIdHash:
    """Return the hash by which the protocol names a peer."""
    return PeerIdHash(Hash32(keccak256(peer.to_bytes())))


class SentryHost:
    """See the module. `follow` a snapshot before anybody is let in; then `run`, `publish`, and ask by `streams`."""

    def __init__(
        self,
        settings: SentrySettings,
        domain: Domain,
        identity: KeyPair,
        callbacks: Callbacks,
        book: PeerBook,
        now: Callable[[], UnixMilliseconds] = system_milliseconds,
    ) -> None:
        self.book, self.domain = book, domain
        self.gossip = Gossip(domain, settings.gossip)
        self.admission = ConnectionLimits(self._admits, now, settings.limits)
        self._settings, self._callbacks, self._now = settings, callbacks, now
        self.id = ID.from_pubkey(identity.public_key)
        self._peer_store = BoundedPeerStore(self._may_be_known)
        self.host = new_host(
            key_pair=identity,
            sec_opt={TProtocol(NOISE_ID): NoiseTransport(identity, noise_privkey=create_noise_pair().private_key)},
            muxer_opt={TProtocol(YAMUX_ID): BoundedYamux},
            peerstore_opt=self._peer_store,
            resource_manager=self.admission,  # type: ignore[arg-type]  # the part of its form that the swarm uses
            connection_config=ConnectionConfig(
                max_connections=settings.limits.connections,
                min_connections=0,
                low_watermark=0,
                high_watermark=settings.limits.connections,
                max_connections_per_peer=settings.limits.connections_per_peer,
                inbound_upgrade_timeout=5.0,
                outbound_upgrade_timeout=5.0,
                dial_timeout=DIAL_SECONDS,
            ),
        )
        for protocol in NOT_SERVED:
            self.host.remove_stream_handler(protocol)
        network: Any = self.host.get_network()
        network.upgrader.muxer_multistream = BoundedMuxers(lambda peer: self.pubsub.blame(peer, Fault.BAD_FRAMES))
        network.retry_config = RetryConfig(max_retries=0)  # `_redial` is what tries again
        self.router = HardenedGossipSub(settings.heartbeat_seconds)
        topics = {topic(domain, kind): kind for kind in PayloadKind}
        self.pubsub = HardenedPubsub(self.host, self.router, topics, self._judge, self._blame)
        self.streams = DirectStreams(self.host, orders_protocol(domain), callbacks.answer, self.pubsub.blame, now)
        self._bootstrap = [info_from_p2p_addr(Multiaddr(text)) for text in settings.bootstrap]
        self._dials: dict[ID, tuple[float, float]] = {}

    @property
    def addresses(self) -> list[str]:
        """Where this host listens, each with its peer id."""
        return [str(address) for address in self.host.get_addrs()]

    @property
    def connected(self) -> list[ID]:
        """Peers with a connection."""
        return [peer for peer, connections in self.host.get_network().get_connections_map().items() if connections]

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, gossip and redial until cancelled; then close within CLOSE_SECONDS."""
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve, stop)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                stop.set()

    async def _serve(self, stop: trio.Event, *, task_status: Any) -> None:
        """Run everything where no cancellation comes through, so that all of it ends in order (mend 15)."""
        listen = [Multiaddr(text) for text in self._settings.listen]
        with trio.CancelScope(shield=True) as scope:
            async with (
                self.host.run(listen_addrs=listen),
                background_trio_service(self.pubsub),
                background_trio_service(self.router),
            ):
                await self.pubsub.wait_until_ready()
                for kind in PayloadKind:
                    await self.pubsub.subscribe(topic(self.domain, kind))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._redial)
                    nursery.start_soon(self._save)
                    task_status.started()
                    await stop.wait()
                    nursery.cancel_scope.cancel()
                scope.deadline = trio.current_time() + CLOSE_SECONDS
                await self.host.close()
        self.book.save()

    async def publish(self, kind: PayloadKind, data: bytes) -> None:
        """Send an envelope of ours to the network."""
        await self.pubsub.publish(topic(self.domain, kind), data)

    def follow(self, snapshot: StakeSnapshot) -> None:
        """Go by this registry from now on; who has no place in it is cut off at the next round of `run`."""
        self.gossip.follow(snapshot)

    def _judge(self, kind: PayloadKind, data: bytes, publisher: ID, forwarder: ID) -> None:
        now = self._now()
        envelope = self.gossip.validate(kind, data, hash_of_peer(publisher), hash_of_peer(forwarder), now)
        self.book.delivered(str(forwarder), now)
        self._callbacks.heard(envelope, data, forwarder)

    def _blame(self, peer: ID, fault: Fault) -> bool:
        return self.book.blame(str(peer), fault, self._now())

    def _may_be_known(self, peer: ID) -> bool:
        return peer == self.id or hash_of_peer(peer) in self.gossip.snapshot.by_peer

    def _admits(self, peer: str) -> bool:
        if peer == str(self.id):  # a twin's connection would pass for our own voice, which nobody judges
            return False
        is_staked = hash_of_peer(ID.from_base58(peer)) in self.gossip.snapshot.by_peer
        return is_staked and not self.book.is_banned(peer, self._now())

    async def _redial(self) -> None:
        while True:
            connected = set(self.connected)
            for peer in sorted(connected, key=str):
                if not self._admits(str(peer)):
                    await self.host.get_network().close_peer(peer)
                else:
                    self._remember(peer)
            due = [info for info in self._wanted() if info.peer_id not in connected and self._is_due(info.peer_id)]
            due.sort(key=lambda info: self._dials.get(info.peer_id, (0.0, 0.0))[0])  # or the first would be all
            async with trio.open_nursery() as nursery:
                for info in due[:DIALS_AT_ONCE]:
                    nursery.start_soon(self._dial, info)
            await trio.sleep(REDIAL_SECONDS)

    def _wanted(self) -> list[PeerInfo]:
        """Return whom we want to be connected with and may: all we know, each with our own addresses for it first."""
        wanted: dict[ID, list[Multiaddr]] = {}
        for info in self._bootstrap:
            wanted.setdefault(info.peer_id, []).extend(info.addrs)
        for peer, texts in self.book.addresses().items():
            try:
                addresses = [_bare(text) for text in texts]
                known = wanted.setdefault(ID.from_base58(peer), [])
            except ValueError:  # a book that somebody edited
                continue
            known += [address for address in addresses if address not in known]
        wanted.pop(self.id, None)
        self._dials = {peer: pause for peer, pause in self._dials.items() if peer in wanted}
        return [PeerInfo(peer, addresses) for peer, addresses in wanted.items() if self._admits(str(peer))]

    def _is_due(self, peer: ID) -> bool:
        at, _ = self._dials.get(peer, (0.0, 0.0))
        return trio.current_time() >= at

    async def _dial(self, info: PeerInfo) -> None:
        """Dial all addresses of a peer at once; the first that answers is kept.

        libp2p dials one TCP address of a peer, the one that the peer tells of itself (24).
        """
        _, pause = self._dials.get(info.peer_id, (0.0, REDIAL_SECONDS / 2))
        with trio.move_on_after(DIAL_SECONDS):
            async with trio.open_nursery() as nursery:
                for address in info.addrs[:MAX_DIALLED_ADDRESSES]:
                    nursery.start_soon(self._dial_address, info.peer_id, address, nursery.cancel_scope)
        if info.peer_id in self.connected:
            self._dials.pop(info.peer_id, None)
        else:
            pause = min(2 * pause, MAX_REDIAL_SECONDS)
            self._dials[info.peer_id] = trio.current_time() + pause, pause

    async def _dial_address(self, peer: ID, address: Multiaddr, others: trio.CancelScope) -> None:
        network: Any = self.host.get_network()
        try:
            await network.dial_addr(address, peer)
        except Exception:  # a peer that is not there, or that a stranger's address only pretends
            return
        self.book.reached(str(peer), str(address), self._now())
        others.cancel()

    def _remember(self, peer: ID) -> None:
        try:
            addresses = [str(address) for address in self.host.get_peerstore().addrs(peer)]
        except Exception:  # libp2p knows none, or they have expired
            return
        if addresses:
            self.book.told(str(peer), addresses, self._now())

    async def _save(self) -> None:
        """Write the book now and then, and have libp2p forget whoever has no stake any more."""
        network: Any = self.host.get_network()
        while True:
            await trio.sleep(SAVE_SECONDS)
            self.book.save()
            self._peer_store.forget_others()
            network.auto_connector.clear_all_cooldowns()


def _bare(address: str) -> Multiaddr:
    """Return an address without the peer id at its end."""
    return Multiaddr(address.split("/p2p/")[0])
