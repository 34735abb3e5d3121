"""Whether our own clock is wrong: by what those who speak to us say of the time, each for itself.

Every envelope tells when it was made. What a peer publishes and sends us itself has been on the way for milliseconds:
the difference is that of our clocks, and a relay's delay plays no part. One peer's clock says nothing; where those who
hold more than half of the stake that was heard lately, and at least MIN_PEERS, all differ from ours in one direction
by more than the protocol tolerates, it is ours that is wrong: then we ignore everybody, and are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from protocol.gossip import MAX_OPERATORS
from protocol.messages import CLOCK_TOLERANCE_MS
from protocol.units import PeerIdHash, StakeUnits, UnixMilliseconds

LATELY_MS: Final = 60_000
MIN_PEERS: Final = 2


class ClockDoubt(NamedTuple):
    """By how much our clock is ahead (below zero: behind), in milliseconds, as `peers` of `heard` peers see it."""

    ahead_ms: int
    peers: int
    heard: int


class ClockWatch:
    """See the module. Of each peer the last difference; at most MAX_OPERATORS, the longest unheard leaves."""

    def __init__(self) -> None:
        self._heard: dict[PeerIdHash, tuple[int, UnixMilliseconds]] = {}

    def heard(self, peer: PeerIdHash, made_at: UnixMilliseconds, now: UnixMilliseconds) -> None:
        """A peer with stake has sent us what it made itself, at this time of its clock."""
        self._heard.pop(peer, None)
        self._heard[peer] = now - made_at, now
        if len(self._heard) > MAX_OPERATORS:
            del self._heard[next(iter(self._heard))]

    def doubt(self, stakes: Mapping[PeerIdHash, StakeUnits], now: UnixMilliseconds) -> ClockDoubt | None:
        """Return what speaks against our clock; None where nothing does. Who has no stake any more is forgotten."""
        lately = {
            peer: (ahead, at)
            for peer, (ahead, at) in self._heard.items()
            if abs(now - at) <= LATELY_MS and stakes.get(peer, 0) > 0  # our clock may have been set meanwhile
        }
        self._heard = lately
        whole = sum(stakes[peer] for peer in lately)
        for sign in (1, -1):
            against = {peer: ahead for peer, (ahead, _) in lately.items() if sign * ahead > CLOCK_TOLERANCE_MS}
            if len(against) >= MIN_PEERS and 2 * sum(stakes[peer] for peer in against) > whole:
                median = sorted(against.values())[len(against) // 2]
                return ClockDoubt(median, len(against), len(lately))
        return None
