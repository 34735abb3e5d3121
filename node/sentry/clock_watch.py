"""Whether our own clock is wrong: by what those who speak to us say of the time, each for itself.

Every envelope tells when it was made. What a peer publishes and sends us itself has been on the way for milliseconds:
the difference is that of our clocks, and a relay's delay plays no part. Where we stood still for a while, what waited
meanwhile came late: of what a peer sent lately counts what was the least on the way. One peer's clock says
nothing; where those who hold more than half of the stake that was heard lately, and at least MIN_PEERS, all differ from
ours in one direction by more than the protocol tolerates, it is ours that is wrong: then we ignore everybody, and are
ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from protocol.gossip import MAX_OPERATORS
from protocol.messages import CLOCK_TOLERANCE_MS
from protocol.units import PeerIdHash, StakeUnits, UnixMilliseconds

LATELY_MS: Final = 60_000
MIN_PEERS: Final = 2
MAX_AHEAD_MS: Final = 100 * 365 * 24 * 60 * 60 * 1_000
"""A hundred years: a machine that begins at 1970 is told. What an envelope says of its time has 64 bits."""


class ClockDoubt(NamedTuple):
    """By how much our clock is ahead (below zero: behind), in milliseconds, as `peers` of `heard` peers see it."""

    ahead_ms: int
    peers: int
    heard: int


class _Heard(NamedTuple):
    """Of one peer: the least difference since `since`, that of the half of LATELY_MS before, and when it last spoke."""

    least: int
    before: int | None
    since: UnixMilliseconds
    at: UnixMilliseconds

    @property
    def ahead(self) -> int:
        return self.least if self.before is None else min(self.least, self.before)

    def and_then(self, ahead: int, now: UnixMilliseconds) -> _Heard:
        """Return it with one more difference, and without what is older than LATELY_MS."""
        age = now - self.since
        if 0 <= age < LATELY_MS // 2:
            return self._replace(least=min(self.least, ahead), at=now)
        if LATELY_MS // 2 <= age < LATELY_MS:
            return _Heard(ahead, self.least, now, now)
        return _Heard(ahead, None, now, now)


class ClockWatch:
    """See the module. Of each peer the least difference of half LATELY_MS at least, and of no more than all of it.

    At most MAX_OPERATORS; the longest unheard leaves.
    """

    def __init__(self) -> None:
        self._heard: dict[PeerIdHash, _Heard] = {}

    def heard(self, peer: PeerIdHash, made_at: UnixMilliseconds, now: UnixMilliseconds) -> None:
        """A peer with stake has sent us what it made itself, at this time of its clock."""
        ahead = max(-MAX_AHEAD_MS, min(now - made_at, MAX_AHEAD_MS))
        known = self._heard.pop(peer, None)
        self._heard[peer] = _Heard(ahead, None, now, now) if known is None else known.and_then(ahead, now)
        if len(self._heard) > MAX_OPERATORS:
            del self._heard[next(iter(self._heard))]

    def doubt(self, stakes: Mapping[PeerIdHash, StakeUnits], now: UnixMilliseconds) -> ClockDoubt | None:
        """Return what speaks against our clock; None where nothing does. Who has no stake any more is forgotten."""
        lately = {
            peer: heard
            for peer, heard in self._heard.items()
            if abs(now - heard.at) <= LATELY_MS and stakes.get(peer, 0) > 0  # our clock may have been set meanwhile
        }
        self._heard = lately
        whole = sum(stakes[peer] for peer in lately)
        for sign in (1, -1):
            against = {peer: heard.ahead for peer, heard in lately.items() if sign * heard.ahead > CLOCK_TOLERANCE_MS}
            if len(against) >= MIN_PEERS and 2 * sum(stakes[peer] for peer in against) > whole:
                median = sorted(against.values())[len(against) // 2]
                return ClockDoubt(median, len(against), len(lately))
        return None
