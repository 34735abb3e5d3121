"""Where peers say that they are: their own signed records, asked for at whoever is connected (docs/protocol.md).

Nothing is taken unasked, and few are asked at a time: what others can send us are some MAX_RECORDS records a second.
What an honest peer would not have taken itself (no record, not signed by its peer, out of order) is blamed on who sent
it. A record of who has no stake in our snapshot is passed over, and so is one that leads nowhere, is of the future or
not newer than what we have: only what is left costs a signature. Kept is one record of each peer with stake, and of
its addresses the first MAX_ADDRESSES that we may dial.
"""

from __future__ import annotations

import logging
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from itertools import pairwise
from typing import Final, NamedTuple

from libp2p.peer.id import ID
from multiaddr import Multiaddr
from multiaddr.utils import get_network_addrs

from node.sentry.peers import MAX_ADDRESSES
from protocol.buckets import BucketRules, Buckets
from protocol.errors import NonCanonical
from protocol.messages import CLOCK_TOLERANCE_MS, MAX_RECORDS, PeerRecords, PeerRecordsRequest
from protocol.peer_records import (
    PeerRecord,
    decode_record,
    is_public,
    multiaddress_of,
    place_of,
    seal_record,
    verify_record,
)
from protocol.units import HASH_BYTES, Hash32, PeerIdHash, UnixMilliseconds

QUESTIONS: Final = BucketRules(rate=2, burst=16)
"""Of one peer: it has a second's worth of others to ask, and may have come back several times."""
MAX_PEERS_WATCHED: Final = 1_024
NEW_AT_ONCE: Final = 4
_LOG: Final = logging.getLogger("hftnode.sentry")
_RING: Final[int] = 2 ** (8 * HASH_BYTES)


class Known(NamedTuple):
    """A record that was verified: whose, how new, its bytes, and where it leads as far as we may go there."""

    peer: ID
    sequence: int
    data: bytes
    addresses: tuple[Multiaddr, ...]


class RecordBook:
    """See the module. `is_staked` tells by the hash of its id whether a peer has a place in the snapshot.

    `may_be_private`: whether addresses of private networks and of the machine itself are dialled when a peer names
    them; on the internet a stranger would have us knock at doors of our own network.
    """

    def __init__(self, is_staked: Callable[[PeerIdHash], bool], *, may_be_private: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._is_staked, self._may_be_private = is_staked, may_be_private
        self._known: dict[PeerIdHash, Known] = {}
        self._ring: list[PeerIdHash] = []
        self._own: PeerIdHash | None = None
        self._buckets: Buckets[ID] = Buckets(MAX_PEERS_WATCHED)
        self._cursors: dict[ID, Hash32] = {}

    def __len__(self) -> int:
        return len(self._known)

    def tell_own(
        self, key: bytes, addresses: Iterable[str], now: UnixMilliseconds, sign: Callable[[bytes], bytes]
    ) -> None:
        """Make our own record; without an address that others may dial there is none, and nobody is told of us."""
        each = (one for text in addresses for one in _spelled_out(Multiaddr(text).to_bytes()))
        told = filter(self._may_dial, each)
        record = PeerRecord(key, now, tuple(told)[:MAX_ADDRESSES])
        if not record.addresses:
            self.counts["records of our own that lead nowhere"] += 1
            _LOG.warning("no address of ours is one that others dial: network.announce tells them where we are")
            return
        self._keep(record, seal_record(record, sign), record.addresses)
        self._own = record.peer_id_hash

    def answer(self, peer: ID, request: PeerRecordsRequest, now: UnixMilliseconds) -> PeerRecords | None:
        """Return the records behind a place on the ring; None for who asks too often."""
        if not self._buckets.of(peer, QUESTIONS, now).take(QUESTIONS, now):
            self.counts["records asked too often"] += 1
            return None
        start = bisect_right(self._ring, PeerIdHash(request.after))
        ring = (self._ring[start:] + self._ring[:start])[:MAX_RECORDS]
        return PeerRecords(records=tuple(self._known[whose].data for whose in ring))

    def due(self, connected: Iterable[ID]) -> list[ID]:
        """Return whom to ask now: who has just come, and else the one that was asked the longest ago."""
        there = set(connected)
        for peer in [peer for peer in self._cursors if peer not in there]:
            del self._cursors[peer]
        new = sorted(there - self._cursors.keys(), key=str)[:NEW_AT_ONCE]
        return new or list(self._cursors)[:1]

    def question(self, peer: ID, whose: PeerIdHash) -> PeerRecordsRequest:
        """Return what to ask a peer: at first what begins with its own record, then what follows on what it told."""
        before = (int.from_bytes(whose, "big") - 1) % _RING
        after = self._cursors.pop(peer, Hash32(before.to_bytes(HASH_BYTES, "big")))
        self._cursors[peer] = after
        return PeerRecordsRequest(after=after)

    def take(self, peer: ID, request: PeerRecordsRequest, answer: PeerRecords, now: UnixMilliseconds) -> list[ID]:
        """Take what a peer answered; return who is elsewhere. Raises RemoteProtocolError: who answered is to blame."""
        decoded = [(*decode_record(data), data) for data in answer.records]
        turns = [_turn(request.after, record.peer_id_hash) for record, _, _ in decoded]
        if any(turn >= after for turn, after in pairwise(turns)):
            raise NonCanonical("records that are not in the order of the ring", "peerRecords")
        new = [self._take_one(record, signature, data, now) for record, signature, data in decoded]
        if peer in self._cursors and decoded:
            self._cursors[peer] = Hash32(decoded[-1][0].peer_id_hash)
        return [one for one in new if one is not None]

    def addresses(self) -> dict[ID, tuple[Multiaddr, ...]]:
        """Return where to dial each peer that we know a record of, but ourselves."""
        return {known.peer: known.addresses for whose, known in self._known.items() if whose != self._own}

    def may_dial(self, address: Multiaddr) -> bool:
        """Tell whether an address that a peer told is one to dial."""
        return self._may_dial(address.to_bytes())

    def forget_others(self) -> None:
        """Forget whoever has no place in the snapshot any more."""
        gone = [whose for whose in self._known if whose != self._own and not self._is_staked(whose)]
        for whose in gone:
            del self._known[whose]
        if gone:
            self._ring = sorted(self._known)

    def _take_one(self, record: PeerRecord, signature: bytes, data: bytes, now: UnixMilliseconds) -> ID | None:
        whose = record.peer_id_hash
        known = self._known.get(whose)
        if whose == self._own or (known is not None and known.sequence >= record.sequence):
            return None
        if not self._is_staked(whose):  # as far as we have seen: another head may know it
            self.counts["records without stake"] += 1
            return None
        if record.sequence > now + CLOCK_TOLERANCE_MS:  # it would stand before all that the peer makes until then
            self.counts["records of the future"] += 1
            return None
        addresses = tuple(filter(self._may_dial, record.addresses))[:MAX_ADDRESSES]
        if not addresses:
            self.counts["records that lead nowhere"] += 1
            return None
        verify_record(record, signature)
        self.counts["records taken"] += 1
        peer = self._keep(record, data, addresses)
        return peer if known is None or known.addresses != self._known[whose].addresses else None

    def _keep(self, record: PeerRecord, data: bytes, addresses: Iterable[bytes]) -> ID:
        whose = record.peer_id_hash
        if whose not in self._known:
            insort(self._ring, whose)
        peer = ID(record.peer_id)
        self._known[whose] = Known(peer, record.sequence, data, tuple(Multiaddr(address) for address in addresses))
        return peer

    def _may_dial(self, address: bytes) -> bool:
        place = place_of(address)
        return place is not None and (
            is_public(place[0]) or (self._may_be_private and not (place[0].is_unspecified or place[0].is_multicast))
        )


def _spelled_out(address: bytes) -> list[bytes]:
    """Return an address as it is, or in place of one that stands for all of this machine's each of these."""
    place = place_of(address)
    if place is None or not place[0].is_unspecified:
        return [address]
    return [multiaddress_of((ip_address(text), place[1])) for text in get_network_addrs(place[0].version)]


def _turn(after: Hash32, whose: PeerIdHash) -> int:
    """Return how far round the ring from `after` a peer stands; itself last."""
    return (int.from_bytes(whose, "big") - int.from_bytes(after, "big") - 1) % _RING
