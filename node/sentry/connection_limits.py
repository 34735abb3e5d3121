"""Our resource manager: how many connections and streams strangers may have, and which strangers at all.

libp2p makes one of its own if it is given none, and goes on without any if that fails; and it takes an exception of a
manager for a yes (ran). So ours is always given, never raises, and answers no when in doubt. Limits are like those of
go-libp2p's autoscaled defaults for a small machine. Every connection is asked about twice: when its socket is there,
by its address alone, and when the handshake has told whose it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from libp2p.rcmgr import Direction

from protocol.buckets import BucketRules, Buckets, TokenBucket
from protocol.units import UnixMilliseconds

MAX_ADDRESSES_WATCHED: Final = 4_096


class Limits(NamedTuple):
    """Bounds of connections, streams, and new connections a second."""

    connections: int = 96
    connections_per_address: int = 8
    connections_per_peer: int = 2
    handshakes: int = 32
    max_streams: int = 1_024
    streams_per_peer: int = 32
    arrivals: BucketRules = BucketRules(rate=20, burst=60)
    arrivals_per_address: BucketRules = BucketRules(rate=4, burst=16)


_LIMITS: Final = Limits()
_OWN_MACHINE: Final = ("127.", "::1")
"""Whoever is behind these is no single stranger: a devnet's other nodes, or a proxy. Other bounds hold for them."""


class ConnectionScope:
    """A place that a connection takes until it is closed, or until nobody holds it any more.

    The second because libp2p drops the scope of a connection whose dial is cancelled at the wrong moment (23, read):
    two of those, and a peer could never connect again.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def close(self) -> None:
        """Give the place back, once."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    __del__ = close


class ConnectionLimits:
    """See the module; in the form that libp2p's swarm wants. `admits` tells whether a peer id (text) may be here."""

    graceful_degradation = None
    connection_lifecycle = None

    def __init__(
        self, admits: Callable[[str], bool], now: Callable[[], UnixMilliseconds], limits: Limits = _LIMITS
    ) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self._admits, self._now = admits, now
        self._arrivals = TokenBucket(limits.arrivals, now())
        self._arrivals_by_address: Buckets[str] = Buckets(MAX_ADDRESSES_WATCHED)
        self._handshakes = 0
        self._addresses: Counter[str] = Counter()
        self._peers: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    def open_connection(
        self, peer_id: object | None = None, endpoint_ip: str | None = None, direction: str = "inbound"
    ) -> ConnectionScope | None:
        """Return the place of a connection, or None: refused. Without a peer id it is that of its handshake."""
        try:
            if peer_id is None:
                refusal = self._refusal_of_address(endpoint_ip or "", direction)
            else:
                refusal = self._refusal_of_peer(str(peer_id), endpoint_ip or "")
        except Exception:
            refusal = "error"
        if refusal:
            self.refused[refusal] += 1
            return None
        if peer_id is None:
            self._handshakes += 1
            return ConnectionScope(self._end_handshake)
        peer, address = str(peer_id), endpoint_ip or ""
        self._peers[peer] += 1
        self._addresses[address] += 1
        return ConnectionScope(lambda: self._end_connection(peer, address))

    def acquire_stream(self, peer_id: str, direction: Direction) -> bool:
        """Take the place of a stream; return whether there was one."""
        if sum(self._streams.values()) >= self.limits.max_streams:
            self.refused["streams"] += 1
        elif self._streams[peer_id] >= self.limits.streams_per_peer:
            self.refused["streams of one peer"] += 1
        else:
            self._streams[peer_id] += 1
            return True
        return False

    def release_stream(self, peer_id: str, direction: Direction) -> None:
        """Give the place of a stream back."""
        _take_one(self._streams, peer_id)

    @property
    def held(self) -> dict[str, int]:
        """How many places are taken, by kind."""
        return {
            "handshakes": self._handshakes,
            "connections": sum(self._peers.values()),
            "addresses": len(self._addresses),
            "peers": len(self._peers),
            "streams": sum(self._streams.values()),
        }

    def _refusal_of_address(self, address: str, direction: str) -> str:
        limits, now = self.limits, self._now()
        if sum(self._peers.values()) + self._handshakes >= limits.connections:
            return "connections"
        if direction != "inbound":  # whom we dial ourselves, and a bounded number: no crowd at the door stops that
            return ""
        if self._handshakes >= limits.handshakes:
            return "handshakes"
        if address.startswith(_OWN_MACHINE):
            return ""
        if self._addresses[address] >= limits.connections_per_address:
            return "connections of one address"
        rules = limits.arrivals_per_address
        if not self._arrivals_by_address.of(address, rules, now).take(rules, now):
            return "arrivals of one address"
        return "" if self._arrivals.take(limits.arrivals, now) else "arrivals"

    def _refusal_of_peer(self, peer: str, address: str) -> str:
        limits = self.limits
        if not self._admits(peer):
            return "peer"
        if sum(self._peers.values()) >= limits.connections:
            return "connections"
        if self._peers[peer] >= limits.connections_per_peer:
            return "connections of one peer"
        if address.startswith(_OWN_MACHINE) or self._addresses[address] < limits.connections_per_address:
            return ""
        return "connections of one address"

    def _end_handshake(self) -> None:
        self._handshakes -= 1

    def _end_connection(self, peer: str, address: str) -> None:
        _take_one(self._peers, peer)
        _take_one(self._addresses, address)


def _take_one(counts: Counter[str], key: str) -> None:
    """Count one less; a key at nothing is forgotten, so that no map grows by who was here once."""
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
