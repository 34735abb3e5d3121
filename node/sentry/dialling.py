"""Whom a sentry dials, and when: each wanted peer that is not there, at once and then with pauses.

Three ranks, each with places of its own, so that none of a lower one delays those above: who stands in the
configuration; whom the book knows, because we reached it or it was here, or whom our engine needs; and whom only a
record names that others passed on. Of the first there are few; the second and third wait for a free place, the third
also for room, and its pauses grow: whoever has stake can have any address knocked at by its record. News of an address,
or a message of the peer's own that others bring, ends a pause, but once in as long as the pause is, and it grows on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import trio
from libp2p.network.auto_connector import AutoConnector
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from multiaddr import Multiaddr

from node.sentry.peer_records import RecordBook
from node.sentry.peers import PeerBook
from protocol.ethereum.keccak import keccak256
from protocol.units import PeerIdHash, UnixMilliseconds

REDIAL_SECONDS: Final = 1.0
DIAL_SECONDS: Final = 3.0
MAX_DIALLED_ADDRESSES: Final = 6
MAX_CONFIGURED: Final = 64
MAX_PARSED: Final = 16_384
"""Ids and addresses of which the parsed form is kept; a round of `wanted` asks for that of all in the book."""


class Rank(IntEnum):
    """How we know a peer; the lower, the better."""

    CONFIGURED = 0
    BOOKED = 1
    RECORDED = 2


DIALS_AT_ONCE: Final = {Rank.CONFIGURED: MAX_CONFIGURED, Rank.BOOKED: 8, Rank.RECORDED: 4}
MAX_PAUSE_SECONDS: Final = {Rank.CONFIGURED: 2.0, Rank.BOOKED: 2.0, Rank.RECORDED: 60.0}


class NoDialsOfItsOwn(AutoConnector):
    """libp2p dials whoever told an address while there are few connections: whom it likes, and not us (32)."""

    async def maybe_connect(self) -> None:
        """Do nothing: `Dialler` does."""


class Pause(NamedTuple):
    """Until when a peer is not dialled, how long the pause is, and when news last ended one: seconds by trio."""

    until: float = 0.0
    seconds: float = REDIAL_SECONDS / 2
    news_at: float = float("-inf")


_NONE: Final = Pause()


class Dialler:
    """See the module. `is_needed` tells of a peer whether our engine asks it, `has_room` whether more are wanted."""

    def __init__(
        self,
        host: Any,
        bootstrap: Sequence[str],
        book: PeerBook,
        records: RecordBook,
        admits: Callable[[ID], bool],
        is_needed: Callable[[ID], bool],
        has_room: Callable[[], bool],
        now: Callable[[], UnixMilliseconds],
    ) -> None:
        self._host, self._book, self._records = host, book, records
        self._admits, self._is_needed, self._has_room, self._now = admits, is_needed, has_room, now
        self._bootstrap = [info_from_p2p_addr(Multiaddr(text)) for text in bootstrap[:MAX_CONFIGURED]]
        self.configured = frozenset(info.peer_id for info in self._bootstrap)
        self._salt = os.urandom(16)
        self._dials: dict[ID, Pause] = {}
        self._under_way: dict[ID, Rank] = {}

    async def run(self) -> None:
        """Dial whoever is due, each second, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                there = self._host.get_network().get_connections_map()
                for rank, info in self.due({peer for peer, connections in there.items() if connections}):
                    self._under_way[info.peer_id] = rank
                    nursery.start_soon(self._dial, rank, info)
                await trio.sleep(REDIAL_SECONDS)

    def is_needed_now(self, peer: PeerIdHash) -> None:
        """Our engine needs a peer: it is due at once, and its next pause is none that grew while nobody needed it."""
        for waiting in [one for one in self._dials if keccak256(one.to_bytes()) == peer]:
            del self._dials[waiting]

    def is_there(self, peer: ID) -> None:
        """A peer says that it is elsewhere, or is heard through others: it is due at once, behind who waits already.

        The pause goes on to grow, and ends early once in its own length: a peer that signs another address each second,
        or a message, would else have us knock there each second, before all others that only records name.
        """
        pause, at = self._dials.get(peer), trio.current_time()
        if pause is not None and pause.until > at >= pause.news_at + pause.seconds:
            self._dials[peer] = pause._replace(until=at, news_at=at)

    def due(self, connected: set[ID]) -> list[tuple[Rank, PeerInfo]]:
        """Return whom to dial now: of each rank who waits the longest, as many as it has free places."""
        at = trio.current_time()
        ready = [
            (rank, info)
            for rank, info in self.wanted()
            if info.peer_id not in connected
            and info.peer_id not in self._under_way
            and self._dials.get(info.peer_id, _NONE).until <= at
        ]
        ready.sort(key=self._turn)
        chosen: list[tuple[Rank, PeerInfo]] = []
        for rank, most in DIALS_AT_ONCE.items():
            if rank is Rank.RECORDED and not self._has_room():
                continue
            free = most - sum(busy is rank for busy in self._under_way.values())
            chosen += [one for one in ready if one[0] is rank][: max(0, free)]
        return chosen

    def _turn(self, one: tuple[Rank, PeerInfo]) -> tuple[float, bytes]:
        """Order by who waits the longest, and else as nobody can foresee: no order of ids or of arrival decides."""
        peer = one[1].peer_id
        return self._dials.get(peer, _NONE).until, blake2b(peer.to_bytes(), key=self._salt).digest()

    def wanted(self) -> list[tuple[Rank, PeerInfo]]:
        """Return whom we want to be connected with and may: all we know, each with our own addresses for it first."""
        ranks: dict[ID, Rank] = dict.fromkeys(self.configured, Rank.CONFIGURED)
        wanted: dict[ID, list[Multiaddr]] = {}
        for info in self._bootstrap:
            wanted.setdefault(info.peer_id, []).extend(info.addrs)
        for text, texts in self._book.addresses().items():
            try:
                addresses = [bare(address) for address in texts]
                peer = _id_of(text)
            except ValueError:  # a book that somebody edited
                continue
            ranks.setdefault(peer, Rank.BOOKED)
            _add(wanted.setdefault(peer, []), addresses)
        for peer, told in self._records.addresses().items():
            ranks.setdefault(peer, Rank.BOOKED if self._is_needed(peer) else Rank.RECORDED)
            _add(wanted.setdefault(peer, []), told)
        self._dials = {peer: pause for peer, pause in self._dials.items() if peer in wanted}
        return [(ranks[peer], PeerInfo(peer, known)) for peer, known in wanted.items() if self._admits(peer)]

    async def _dial(self, rank: Rank, info: PeerInfo) -> None:
        """Dial all addresses of a peer at once; the first that answers is kept.

        libp2p dials one TCP address of a peer, the one that the peer tells of itself (24).
        """
        peer = info.peer_id
        try:
            with trio.move_on_after(DIAL_SECONDS):
                async with trio.open_nursery() as nursery:
                    for address in info.addrs[:MAX_DIALLED_ADDRESSES]:
                        nursery.start_soon(self._dial_address, peer, address, nursery.cancel_scope)
        finally:
            del self._under_way[peer]
        if self._host.get_network().get_connections(peer):
            self._dials.pop(peer, None)
        else:
            pause = self._dials.get(peer, _NONE)
            seconds = min(2 * pause.seconds, MAX_PAUSE_SECONDS[rank])
            self._dials[peer] = Pause(trio.current_time() + seconds, seconds, pause.news_at)

    async def _dial_address(self, peer: ID, address: Multiaddr, others: trio.CancelScope) -> None:
        try:
            await self._host.get_network().dial_addr(address, peer)
        except Exception:  # a peer that is not there, or that a stranger's address only pretends
            return
        self._book.reached(str(peer), str(address), self._now())
        others.cancel()


@lru_cache(maxsize=MAX_PARSED)
def bare(address: str) -> Multiaddr:
    """Return an address without the peer id at its end. Raises ValueError."""
    return Multiaddr(address.split("/p2p/")[0])


@lru_cache(maxsize=MAX_PARSED)
def _id_of(text: str) -> ID:
    return ID.from_base58(text)


def _add(known: list[Multiaddr], more: Sequence[Multiaddr]) -> None:
    known += [address for address in more if address not in known]
