"""`python -m devnet.hostile SETTINGS`: attacks sentries for some seconds, and prints what came of it, as JSON.

A staked identity attacks each target over libp2p until it is banned there, then goes on knocking; one that is patient
stays below what bans it, and costs its targets what it can. Those without stake knock, send garbage where a handshake
belongs, and leave handshakes half done. All of it is paced, and the process gives way to others: a storm is to show
what the sentries do, not to take the processor from them. An attacker has its own.
"""

from __future__ import annotations

import logging
import os
import random
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count, cycle, islice, repeat
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from multiaddr import Multiaddr

from devnet.hostile.ammunition import Arsenal
from node.sentry.host import system_milliseconds
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.gossip import orders_protocol
from protocol.signing import Domain
from protocol.units import ChainId, UnixSeconds, address_from_hex

BEGUN: Final = b"begun\n"
GOSSIP: Final = TProtocol("/meshsub/1.1.0")
ALL_PROTOCOLS: Final = ("/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/meshsub/1.1.0")
LISTEN: Final = "/ip4/127.0.0.1/tcp/0"
DIAL_SECONDS: Final = 5.0
KNOCKS: Final = 3
VOLLEY_FRAMES: Final = 10
PACE_SECONDS: Final = 0.02
PAUSE_SECONDS: Final = 0.5
GIVES_WAY: Final = 10
"""By so much nicer than the process that started it."""
HALF_DONE_SECONDS: Final = 2.0
HALF_DONE: Final = 4
"""Handshakes at a time, of each: ten strangers hold forty."""
NAG_SECONDS: Final = 0.1
NAGS_PER_COPY: Final = 100
CLOSE_SECONDS: Final = 3.0
WAY_SECONDS: Final = 60.0


Way = Callable[[PeerInfo], Awaitable[None]]


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hostile peer: the seed of its libp2p key, and its operator's hot key if it has stake; both in hex."""

    seed: str
    hot_key: str = ""
    is_patient: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to attack (multiaddresses that end in /p2p/<peer id>), by whom, how long.

    It lasts for `seconds`, or until its standard input ends. Its alerts stand until a second of the chain's time.
    """

    chain_id: int
    registry: str
    targets: list[str]
    identities: list[Identity]
    seconds: float
    seed: int
    alerts_until: int


class HostilePeer:
    """One identity, and what became of what it did, by name."""

    def __init__(self, settings: Settings, identity: Identity, number: int) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._domain = Domain(ChainId(settings.chain_id), address_from_hex(settings.registry))
        self.is_staked = bool(identity.hot_key)
        self.is_patient = identity.is_patient
        self._since: dict[ID, float] = {}
        self._pair = create_new_key_pair(bytes.fromhex(identity.seed))
        secret = bytes.fromhex(identity.hot_key) if identity.hot_key else keccak256(b"%d" % number)
        until = UnixSeconds(settings.alerts_until)
        self._arsenal = Arsenal(self._domain, self._pair, SigningKey(secret), settings.seed + number, until)
        self._drawn = random.Random(settings.seed + 10_000 + number)  # noqa: S311 to be drawn again

    async def run(self) -> None:
        """Attack until cancelled: with stake all targets at once, each first in another way, for a ban ends the others;
        without one target after the other.
        """
        targets = [info_from_p2p_addr(Multiaddr(target)) for target in self._settings.targets]
        ways: list[Way] = [self._knock, self._garbage, self._half_done]
        if not self.is_staked:
            await self._attack(zip(cycle(targets), cycle([way for way in ways for _ in targets]), strict=False))
            return
        if self.is_patient:
            async with trio.open_nursery() as nursery:
                for target in targets:
                    nursery.start_soon(self._attack, zip(repeat(target), repeat(self._nag)))
            return
        ways = [self._bombard, self._drown_in_streams, self._misuse_streams, self._break_the_muxer, *ways]
        async with trio.open_nursery() as nursery:
            for place, target in enumerate(targets):
                order = islice(cycle(ways), place % len(ways), None)
                nursery.start_soon(self._attack, zip(repeat(target), order, strict=False))

    async def _attack(self, attacks: Iterator[tuple[PeerInfo, Way]]) -> None:
        for target, way in attacks:
            try:
                with trio.move_on_after(WAY_SECONDS):
                    await way(target)
                    self.counts[f"{way.__name__[1:]}: done"] += 1
            except Exception:  # most ends of an attack are its target's doing
                self.counts[f"{way.__name__[1:]}: cut off"] += 1
            await trio.sleep(PAUSE_SECONDS * (0.5 + self._drawn.random()))

    @asynccontextmanager
    async def _connected(self, target: PeerInfo) -> AsyncIterator[Any]:
        """Connect as libp2p does; raises where the target refuses."""
        host = new_host(key_pair=self._pair, muxer_preference="YAMUX", enable_mDNS=False)
        async with host.run(listen_addrs=[Multiaddr(LISTEN)]):
            try:
                with trio.fail_after(DIAL_SECONDS):
                    await host.connect(target)
                yield host
            finally:
                with trio.CancelScope(deadline=trio.current_time() + CLOSE_SECONDS, shield=True):
                    await host.close()

    async def _knock(self, target: PeerInfo) -> None:
        """See whether gossip would be taken, again and again while it is not."""
        for _ in range(KNOCKS):
            is_in = await self._is_let_in(target)
            self.counts["was let in" if is_in else "was refused"] += 1
            if is_in:
                return

    async def _is_let_in(self, target: PeerInfo) -> bool:
        """Open a gossip stream: a connection alone may only not have heard of its end yet."""
        with suppress(Exception):
            async with self._connected(target) as host:
                with trio.fail_after(DIAL_SECONDS):
                    await host.new_stream(target.peer_id, [GOSSIP])
                return True
        return False

    async def _bombard(self, target: PeerInfo) -> None:
        """Send every volley on a gossip stream until it is cut off."""
        async with self._connected(target) as host:
            stream = await host.new_stream(target.peer_id, [GOSSIP])
            for volley in self._arsenal.volleys(system_milliseconds(), target.peer_id):
                for start in range(0, len(volley.frames), VOLLEY_FRAMES):
                    frames = volley.frames[start : start + VOLLEY_FRAMES]
                    await stream.write(b"".join(frames))
                    self.counts[volley.name] += len(frames)
                    await trio.sleep(PACE_SECONDS)

    async def _nag(self, target: PeerInfo) -> None:
        """Stay, and send what is no fault as fast as it is none."""
        try:
            async with self._connected(target) as host:
                stream = await host.new_stream(target.peer_id, [GOSSIP])
                self._spend(target, "ms outside")
                for turn in count():
                    if turn % NAGS_PER_COPY == 0:
                        frames = self._arsenal.nagging(system_milliseconds())
                    await stream.write(b"".join(frames))
                    self.counts["nags"] += len(frames)
                    await trio.sleep(NAG_SECONDS)
                    self._spend(target, "ms inside")
        except Exception:
            self._spend(target, "ms outside")
            raise

    def _spend(self, target: PeerInfo, where: str) -> None:
        """Count the time since the last word about a target."""
        now = trio.current_time()
        self.counts[where] += int(1_000 * (now - self._since.get(target.peer_id, now)))
        self._since[target.peer_id] = now

    async def _drown_in_streams(self, target: PeerInfo) -> None:
        """Open streams of every protocol, and leave them be."""
        async with self._connected(target) as host:
            for protocol in [*ALL_PROTOCOLS, orders_protocol(self._domain)] * 10:
                with trio.move_on_after(1):
                    await host.new_stream(target.peer_id, [TProtocol(protocol)])
                    self.counts["streams opened"] += 1

    async def _misuse_streams(self, target: PeerInfo) -> None:
        """Send garbage on a stream of every protocol, and an order that never ends."""
        async with self._connected(target) as host:
            for protocol in [*ALL_PROTOCOLS[:-1], orders_protocol(self._domain)]:
                for _ in range(3):
                    stream = await host.new_stream(target.peer_id, [TProtocol(protocol)])
                    await stream.write(self._drawn.randbytes(2_000))
                    self.counts["garbage on streams"] += 1
                    await trio.sleep(PACE_SECONDS)

    async def _break_the_muxer(self, target: PeerInfo) -> None:
        """Write frames of the muxer's that no muxer writes."""
        async with self._connected(target) as host:
            connection = host.get_network().get_connections(target.peer_id)[0].muxed_conn.secured_conn
            for _ in range(1_000):
                await connection.write(struct.pack("!BBHII", 0, 2, 1, 0, 7))  # pings without end
                await connection.write(struct.pack("!BBHII", 0, 0, 1, 2 * self._drawn.randrange(2**30) + 1, 0))
                self.counts["frames"] += 2
            await connection.write(struct.pack("!BBHII", 0, 0, 1, 99, 2**31) + bytes(60_000))

    async def _garbage(self, target: PeerInfo) -> None:
        """Send noise where a handshake belongs."""
        async with await self._socket(target) as socket:
            await socket.send_all(self._drawn.randbytes(self._drawn.randrange(1, 4_000)))
            self.counts["garbage"] += 1
            while await socket.receive_some(4_096):
                continue

    async def _half_done(self, target: PeerInfo) -> None:
        """Begin handshakes, and leave them open."""
        sockets = [await self._socket(target) for _ in range(HALF_DONE)]
        for socket in sockets:
            await socket.send_all(b"\x13/multistream/1.0.0\n")
            self.counts["half done"] += 1
        await trio.sleep(HALF_DONE_SECONDS)
        for socket in sockets:
            await socket.aclose()

    async def _socket(self, target: PeerInfo) -> trio.SocketStream:
        address = target.addrs[0]
        with trio.fail_after(DIAL_SECONDS):
            return await trio.open_tcp_stream(
                str(address.value_for_protocol("ip4")), int(address.value_for_protocol("tcp"))
            )


async def main(settings: Settings) -> None:
    """Say that it begins, attack for as long as it lasts, then print the counts of each identity."""
    peers = [HostilePeer(settings, identity, number) for number, identity in enumerate(settings.identities)]
    sys.stdout.buffer.write(BEGUN)
    sys.stdout.buffer.flush()
    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(peer.run)
        with trio.move_on_after(settings.seconds):
            while await trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())).receive_some():
                continue
        sys.stdout.buffer.write(msgspec.json.encode([dict(peer.counts) for peer in peers]) + b"\n")
        sys.stdout.buffer.flush()
        os._exit(0)  # libp2p's hosts may take minutes to close when they are cut off in the middle of something


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    os.nice(GIVES_WAY)
    trio.run(main, msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Settings))
