"""Our resource manager: how many connections and streams strangers may have, and which strangers at all.

libp2p makes one of its own if it is given none, and goes on without any if that fails; and it takes an exception of a
manager for a yes (ran). So ours is always given, never raises, and answers no when in doubt. Limits are like those of
go-libp2p's autoscaled defaults for a small machine. Every connection is asked about twice: when its socket is there,
by its address alone (`handshakes`), and when the handshake has told whose it is: `places` says who gets a place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from libp2p.rcmgr import Direction

from node.sentry.handshakes import Handshakes
from node.sentry.networks import is_own_machine, neighbours_of
from node.sentry.places import Held, Places, take_one
from protocol.buckets import BucketRules, Buckets, TokenBucket
from protocol.units import UnixMilliseconds

MAX_NETWORKS_WATCHED: Final = 4_096


class Limits(NamedTuple):
    """Bounds of connections, streams, and new connections a second; `kept_for_dialled` of the connections.

    A network is a /24 (IPv6: /48), in private networks an address; `handshakes` are those that others begin.
    """

    connections: int = 96
    kept_for_dialled: int = 24
    connections_per_address: int = 8
    connections_per_peer: int = 2
    handshakes: int = 64
    handshakes_per_network: int = 8
    streams_per_peer: int = 32
    """That it opens, and as many that we open."""
    streams_kept: int = 4
    """Of these each peer always gets so many that it opens: one for gossip, and questions."""
    streams_shared: int = 640
    """So many more may be of all peers together, beside those of who is wanted, and ours."""
    arrivals: BucketRules = BucketRules(rate=20, burst=60)
    arrivals_per_network: BucketRules = BucketRules(rate=4, burst=16)

    @property
    def max_streams(self) -> int:
        """Of libp2p's semaphore, at which whoever comes waits in a line, also we ourselves: more than there can be."""
        return 2 * self.streams_per_peer * (self.connections + self.handshakes)


_LIMITS: Final = Limits()


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


class Judgement(NamedTuple):
    """What decides about a peer, by its id as text: whether it may be here, is wanted, and its score in thousandths.

    `drop` closes the connections of one that has to give way.
    """

    admits: Callable[[str], bool]
    is_wanted: Callable[[str], bool] = lambda _: False
    score: Callable[[str], int] = lambda _: 0
    drop: Callable[[str], None] = lambda _: None


class ConnectionLimits:
    """See the module; in the form that libp2p's swarm wants."""

    graceful_degradation = None
    connection_lifecycle = None

    def __init__(self, judgement: Judgement, now: Callable[[], UnixMilliseconds], limits: Limits = _LIMITS) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self.places = Places(
            limits.connections,
            min(limits.kept_for_dialled, limits.connections // 4),
            judgement.is_wanted,
            judgement.score,
            judgement.drop,
        )
        self._admits, self._is_wanted, self._now = judgement.admits, judgement.is_wanted, now
        self._arrivals = TokenBucket(limits.arrivals, now())
        self._arrivals_by_network: Buckets[str] = Buckets(MAX_NETWORKS_WATCHED)
        self.handshakes = Handshakes(limits.handshakes, limits.handshakes_per_network)
        self._dials = 0
        self._streams: dict[Direction, Counter[str]] = {direction: Counter() for direction in Direction}
        self._streams_shared = 0

    def open_connection(
        self, peer_id: object | None = None, endpoint_ip: str | None = None, direction: str = "inbound"
    ) -> ConnectionScope | None:
        """Return the place of a connection, or None: refused. Without a peer id it is that of its handshake."""
        try:
            if peer_id is None and direction != "inbound":
                return self._open_dial()
            leave = None
            if peer_id is None:
                refusal = self._refusal_of_address(endpoint_ip or "")
                if not refusal:
                    leave = self.handshakes.enter(endpoint_ip or "")
                    refusal = "" if leave else "handshakes"
            else:
                held = Held(str(peer_id), endpoint_ip or "", direction != "inbound")
                refusal = self._refusal_of_peer(held)
        except Exception:
            refusal = "error"
        if refusal:
            self.refused[refusal] += 1
            return None
        if leave is not None:
            return ConnectionScope(leave)
        self.places.take(held)
        return ConnectionScope(lambda: self.places.give_back(held))

    def acquire_stream(self, peer_id: str, direction: Direction) -> bool:
        """Take the place of a stream; return whether there was one."""
        try:
            refusal = self._refusal_of_stream(peer_id, direction)
        except Exception:
            refusal = "error"
        if refusal:
            self.refused[refusal] += 1
            return False
        self._streams_shared += self._is_of_the_shared(peer_id, direction, 1)
        self._streams[direction][peer_id] += 1
        return True

    def release_stream(self, peer_id: str, direction: Direction) -> None:
        """Give the place of a stream back."""
        if self._streams[direction][peer_id]:
            self._streams_shared -= self._is_of_the_shared(peer_id, direction, 0)
            take_one(self._streams[direction], peer_id)

    def _is_of_the_shared(self, peer_id: str, direction: Direction, more: int) -> bool:
        """Tell whether a peer's last stream, or with `more` its next one, is beyond what each peer gets."""
        return direction is Direction.INBOUND and self._streams[direction][peer_id] + more > self.limits.streams_kept

    @property
    def held(self) -> dict[str, int]:
        """How many places are taken, by kind."""
        return {
            "handshakes": len(self.handshakes) + self._dials,
            "connections": len(self.places),
            "addresses": self.places.addresses,
            "peers": self.places.peers,
            "streams": sum(counts.total() for counts in self._streams.values()),
        }

    def _refusal_of_address(self, address: str) -> str:
        limits, now = self.limits, self._now()
        if is_own_machine(address):
            return ""
        if self.places.of_address(address) >= limits.connections_per_address:
            return "connections of one address"
        rules = limits.arrivals_per_network
        if not self._arrivals_by_network.of(neighbours_of(address), rules, now).take(rules, now):
            return "arrivals of one network"
        return "" if self._arrivals.take(limits.arrivals, now) else "arrivals"

    def _refusal_of_stream(self, peer_id: str, direction: Direction) -> str:
        if self._streams[direction][peer_id] >= self.limits.streams_per_peer:
            return "streams of one peer"
        if not self._is_of_the_shared(peer_id, direction, 1) or self._streams_shared < self.limits.streams_shared:
            return ""
        return "" if self._is_wanted(peer_id) else "streams"

    def _refusal_of_peer(self, held: Held) -> str:
        limits, places = self.limits, self.places
        if not self._admits(held.peer):
            return "peer"
        if places.of_peer(held.peer) >= limits.connections_per_peer:
            return "connections of one peer"
        if not is_own_machine(held.address) and places.of_address(held.address) >= limits.connections_per_address:
            return "connections of one address"
        return "" if places.make_room(held) else "connections"

    def _open_dial(self) -> ConnectionScope:
        """Return the place of a handshake that we begin: a bounded number, and no crowd at the door stops it."""
        self._dials += 1
        return ConnectionScope(self._end_dial)

    def _end_dial(self) -> None:
        self._dials -= 1
