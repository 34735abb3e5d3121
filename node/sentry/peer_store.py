"""libp2p's book of addresses, keys and protocols, with bounds (26, read; upstream: libp2p/py-libp2p).

As it comes it takes for one peer as many addresses, protocols and words as the peer likes to tell, about whomever; it
keeps 1,000 peers, and to make room drops whoever has no address: ourselves with our key among the first. Here: only
peers that may be connected, a few addresses and protocols of each, and room for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from multiaddr import Multiaddr

from protocol.gossip import MAX_OPERATORS

MAX_ADDRESSES: Final = 8
MAX_PROTOCOLS: Final = 64
MAX_TEXT: Final = 256
MAX_FACTS: Final = 8


class BoundedPeerStore(PeerStore):
    """See the module. `admits` tells whether a peer may be connected."""

    def __init__(self, admits: Callable[[ID], bool]) -> None:
        super().__init__(max_records=MAX_OPERATORS + 1, max_peers=MAX_OPERATORS + 1)
        self._admits = admits

    def add_addrs(self, peer_id: ID, addrs: Sequence[Multiaddr], ttl: int = 0) -> None:
        """Take addresses of a peer; the newest stay."""
        if not self._admits(peer_id):
            return
        super().add_addrs(peer_id, list(addrs)[:MAX_ADDRESSES], ttl)
        data = self.peer_data_map.get(peer_id)
        if data is not None:
            del data.addrs[:-MAX_ADDRESSES]

    def consume_peer_record(self, envelope: Any, ttl: int) -> bool:
        """Take what a peer signed of itself, if it may be here."""
        return self._admits(envelope.record().peer_id) and super().consume_peer_record(envelope, ttl)

    def set_protocols(self, peer_id: ID, protocols: Sequence[str]) -> None:
        """Take the protocols that a peer says it speaks."""
        if self._admits(peer_id):
            short = [protocol for protocol in protocols if len(protocol) <= MAX_TEXT]
            super().set_protocols(peer_id, short[:MAX_PROTOCOLS])

    def add_protocols(self, peer_id: ID, protocols: Sequence[str]) -> None:
        """Take further protocols."""
        data = self.peer_data_map.get(peer_id)
        self.set_protocols(peer_id, [*(data.get_protocols() if data is not None else ()), *protocols])

    def put(self, peer_id: ID, key: str, val: Any) -> None:
        """Take a fact about a peer, such as what program it runs."""
        data = self.peer_data_map.get(peer_id)
        is_room = data is None or key in data.metadata or len(data.metadata) < MAX_FACTS
        if self._admits(peer_id) and is_room:
            super().put(peer_id, key[:MAX_TEXT], val[:MAX_TEXT] if isinstance(val, str) else val)

    def forget_others(self) -> None:
        """Forget all peers that may not be connected any more."""
        for table in (self.peer_data_map, self.peer_record_map):
            for peer in [peer for peer in table if not self._admits(peer)]:
                del table[peer]
