"""One libp2p host with everything of ours on it: gate, gossip, direct streams, redial. Runs until it is cancelled.

A cancelled host of libp2p leaves its listener accepting, and nothing redials by itself (mend 15 of `hardening`): the
host is closed under a shield, and every second each wanted peer that is not there is dialled.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import lru_cache, partial
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
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from node.errors import NodeError
from node.sentry import handshakes
from node.sentry.bounded_yamux import BoundedMuxers, BoundedYamux
from node.sentry.clock_watch import ClockDoubt, ClockWatch
from node.sentry.connection_limits import ConnectionLimits, Judgement, Limits
from node.sentry.dialling import DIAL_SECONDS, Dialler, NoDialsOfItsOwn, bare
from node.sentry.hardening import HardenedGossipSub, HardenedPubsub
from node.sentry.peer_records import RecordBook
from node.sentry.peer_store import BoundedPeerStore
from node.sentry.peers import Fault, PeerBook
from node.sentry.streams import Answer, DirectStreams, NoAnswer
from protocol.codec import DirectMessage
from protocol.errors import RemoteProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.gossip import Gossip, GossipLimits, GossipStale, StakeSnapshot, orders_protocol, topic
from protocol.kinds import PayloadKind
from protocol.messages import Envelope, PeerRecords, PeerRecordsRequest
from protocol.signing import Domain
from protocol.units import Hash32, PeerIdHash, StakeUnits, UnixMilliseconds, milliseconds_of

SEED_BYTES: Final = 32
ROUND_SECONDS: Final = 1.0
RECORDS_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 60.0
NEWS_SECONDS: Final = 0.2
LARGE_PARTS: Final = 32
"""Who has at least this part of the stake always gets a place: at most as many, and splitting the stake gains none."""
MAX_ASKED: Final = 16
CHANGE_SECONDS: Final = 60.0
"""When all places that are kept for whom we dial are taken, one is given to somebody else."""
CLOSE_SECONDS: Final = 3.0
NOT_SERVED: Final = (TProtocol("/ipfs/id/push/1.0.0"), TProtocol("/ipfs/ping/1.0.0"))
"""What libp2p offers to everybody and we do not need: the muxer pings, and whoever has moved is asked again."""
_LOG: Final = logging.getLogger("hftnode.sentry")


class SentrySettings(NamedTuple):
    """Where to listen, whom to dial at first (multiaddresses that end in /p2p/<peer id>), and bounds."""

    listen: tuple[str, ...]
    bootstrap: tuple[str, ...] = ()
    announce: tuple[str, ...] = ()
    """Where others are told to dial us, as multiaddresses; without any, where we listen."""
    private_peers: bool = False
    """Whether addresses of private networks and of this machine are dialled when a peer names them."""
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


async def close_peer(network: Any, peer: ID) -> None:
    """Close the connections that a peer has now.

    libp2p's own forgets all connections of the peer behind its closes, which wait for a slow reader: one that came
    meanwhile stayed open, and nobody could find and close it any more.
    """
    for connection in list(network.get_connections(peer)):  # each close takes its own out of the network's
        try:
            await connection.close()
        except Exception as error:  # a peer's connection may end in any way, and the others are still to be closed
            _LOG.warning("a connection to %s was not closed in order: %s", peer, error)


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
        judgement = Judgement(self._admits, self._is_wanted, lambda peer: book.score(peer, now()), self._drop)
        self.admission = ConnectionLimits(judgement, now, settings.limits)
        self._asked: dict[PeerIdHash, None] = {}
        self._clock_watch = ClockWatch()
        self._settings, self._callbacks, self._now, self._identity = settings, callbacks, now, identity
        self.id = ID.from_pubkey(identity.public_key)
        self._peer_store = BoundedPeerStore(self._may_be_known)
        self.host = new_host(
            key_pair=identity,
            sec_opt={TProtocol(NOISE_ID): NoiseTransport(identity, noise_privkey=create_noise_pair().private_key)},
            muxer_opt={TProtocol(YAMUX_ID): BoundedYamux},
            peerstore_opt=self._peer_store,
            resource_manager=self.admission,  # type: ignore[arg-type]  # the part of its form that the swarm uses
            connection_config=ConnectionConfig(
                max_connections=settings.limits.connections + settings.limits.handshakes,  # `admission` decides
                min_connections=0,
                low_watermark=0,
                high_watermark=settings.limits.connections + settings.limits.handshakes,
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
        network.auto_connector = NoDialsOfItsOwn(network)
        network.close_peer = partial(close_peer, network)
        network.upgrade_inbound_raw_conn = partial(handshakes.upgrade, network.upgrade_inbound_raw_conn)
        network.retry_config = RetryConfig(max_retries=0)  # `dialling` is what tries again
        self.router = HardenedGossipSub(settings.heartbeat_seconds)
        topics = {topic(domain, kind): kind for kind in PayloadKind}
        self.pubsub = HardenedPubsub(self.host, self.router, topics, self._judge, self._blame)
        self.records = RecordBook(self._is_staked, may_be_private=settings.private_peers)
        self.streams = DirectStreams(self.host, orders_protocol(domain), self._answer, self.pubsub.blame, now)
        self.dialler = Dialler(
            *(self.host, settings.bootstrap, book, self.records),
            admits=lambda peer: self._admits(str(peer)),
            is_needed=lambda peer: hash_of_peer(peer) in self._asked,
            has_room=lambda: (
                self.admission.places.wants_outbound or len(self.connected) < settings.limits.connections // 2
            ),
            now=now,
        )

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
                    self._tell_own_record()
                    nursery.start_soon(self._look_round)
                    nursery.start_soon(self.dialler.run)
                    nursery.start_soon(self._ask_for_records)
                    nursery.start_soon(self._change)
                    nursery.start_soon(self._save)
                    task_status.started()
                    await stop.wait()
                    nursery.cancel_scope.cancel()
                scope.deadline = trio.current_time() + CLOSE_SECONDS
                await self.host.close()
        self.book.keep()

    async def publish(self, kind: PayloadKind, data: bytes) -> None:
        """Send an envelope of ours to the network."""
        await self.pubsub.publish(topic(self.domain, kind), data)

    def follow(self, snapshot: StakeSnapshot) -> None:
        """Go by this registry from now on; who has no place in it is cut off at the next round of `run`."""
        self.gossip.follow(snapshot)
        self.records.forget_others()

    def _judge(self, kind: PayloadKind, data: bytes, publisher: ID, forwarder: ID) -> None:
        now = self._now()
        try:
            envelope = self.gossip.validate(kind, data, hash_of_peer(publisher), hash_of_peer(forwarder), now)
        except GossipStale as verdict:
            self._hear_time(publisher, forwarder, verdict.made_at)
            raise
        self._hear_time(publisher, forwarder, milliseconds_of(envelope.sequence))
        self.book.delivered(str(forwarder), now)
        if publisher != forwarder and not self.host.get_network().get_connections(publisher):
            self.dialler.is_there(publisher)
        self._callbacks.heard(envelope, data, forwarder)

    def _hear_time(self, publisher: ID, forwarder: ID, made_at: UnixMilliseconds) -> None:
        peer = hash_of_peer(publisher)
        if publisher == forwarder and self._is_staked(peer):
            self._clock_watch.heard(peer, made_at, self._now())

    @property
    def clock_doubt(self) -> ClockDoubt | None:
        """What the peers' clocks say against ours."""
        snapshot = self.gossip.snapshot
        stakes = {
            peer: max((snapshot.operators[account].stake for account in accounts), default=StakeUnits(0))
            for peer, accounts in snapshot.by_peer.items()
        }
        return self._clock_watch.doubt(stakes, self._now())

    def _blame(self, peer: ID, fault: Fault) -> bool:
        return self.book.blame(str(peer), fault, self._now())

    def need(self, peer: PeerIdHash) -> None:
        """Our engine has something to ask of a peer, such as a leader to come: it is wanted, and dialled at once."""
        if peer in self._asked:
            del self._asked[peer]
        else:
            self.dialler.is_needed_now(peer)
        self._asked[peer] = None
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]

    def _is_wanted(self, peer: str) -> bool:
        known = ID.from_base58(peer)
        name = hash_of_peer(known)
        if known in self.dialler.configured or name in self._asked:
            return True
        snapshot = self.gossip.snapshot
        stakes = [snapshot.operators[account].stake for account in snapshot.by_peer.get(name, ())]
        return bool(stakes) and max(stakes) * LARGE_PARTS >= snapshot.total_stake

    def _drop(self, peer: str) -> None:
        if self.pubsub.manager.is_running:
            self.pubsub.manager.run_task(self.host.get_network().close_peer, ID.from_base58(peer))

    def _is_staked(self, peer: PeerIdHash) -> bool:
        return peer in self.gossip.snapshot.by_peer

    def _may_be_known(self, peer: ID) -> bool:
        return peer == self.id or self._is_staked(hash_of_peer(peer))

    def _admits(self, peer: str) -> bool:
        if peer == str(self.id):  # a twin's connection would pass for our own voice, which nobody judges
            return False
        is_staked = self._is_staked(hash_of_peer(ID.from_base58(peer)))
        return is_staked and not self.book.is_banned(peer, self._now())

    async def _answer(self, peer: ID, question: DirectMessage) -> DirectMessage | None:
        if not isinstance(question, PeerRecordsRequest):
            return await self._callbacks.answer(peer, question)
        answer = self.records.answer(peer, question, self._now())
        if answer is None:
            self.pubsub.blame(peer, Fault.FLOOD)
        return answer

    def _tell_own_record(self) -> None:
        told = self._settings.announce or [str(address).split("/p2p/")[0] for address in self.host.get_addrs()]
        private = self._identity.private_key
        self.records.tell_own(self._identity.public_key.to_bytes(), told, self._now(), private.sign)

    async def _ask_for_records(self) -> None:
        """Ask who has come, and else one after the other, where their peers are; another address is dialled at once."""
        async with trio.open_nursery() as nursery:
            while True:
                for peer in self.records.due(self.connected):
                    request = self.records.question(peer, hash_of_peer(peer))
                    nursery.start_soon(self._ask_for_some_records, peer, request)
                await trio.sleep(RECORDS_SECONDS)

    async def _ask_for_some_records(self, peer: ID, request: PeerRecordsRequest) -> None:
        try:
            answer = await self.streams.ask(peer, request)
            assert isinstance(answer, PeerRecords)  # `ask` takes nothing else for an answer
            for whose in self.records.take(peer, request, answer, self._now()):
                self.dialler.is_there(whose)
        except NoAnswer:  # it is asked again when its turn comes
            return
        except RemoteProtocolError:
            self.streams.counts["BAD RECORDS"] += 1
            self.pubsub.blame(peer, Fault.BAD_STREAM)

    async def _look_round(self) -> None:
        """Cut off who may not be here any more or was told to leave, and remember where the others are."""
        while True:
            for peer in sorted(self.connected, key=str):
                if not self._admits(str(peer)) or self.admission.places.is_leaving(str(peer)):
                    await self.host.get_network().close_peer(peer)
                else:
                    self._remember(peer)
            await trio.sleep(ROUND_SECONDS)

    def _remember(self, peer: ID) -> None:
        try:
            known = [bare(str(address)) for address in self.host.get_peerstore().addrs(peer)]
        except Exception:  # libp2p knows none, or they have expired
            return
        told = [str(address) for address in known if self.records.may_dial(address)]
        if told:
            self.book.told(str(peer), told, self._now())

    async def _change(self) -> None:
        """Give somebody else a turn among those that we dial, so that no set of them is for ever."""
        while True:
            await trio.sleep(CHANGE_SECONDS)
            if any(info.peer_id not in self.connected for _, info in self.dialler.wanted()):
                self.admission.places.change_one()

    async def _save(self) -> None:
        """Write the book now and then, and soon after a peer was reached at a new address: who is killed has no end.

        And have libp2p forget whoever has no stake any more.
        """
        network: Any = self.host.get_network()
        due = trio.current_time() + SAVE_SECONDS
        while True:
            await trio.sleep(min(NEWS_SECONDS, SAVE_SECONDS))
            is_due = trio.current_time() >= due
            if is_due or self.book.has_news:
                self.book.keep()
            if is_due:
                due = trio.current_time() + SAVE_SECONDS
                self._peer_store.forget_others()
                network.auto_connector.clear_all_cooldowns()
