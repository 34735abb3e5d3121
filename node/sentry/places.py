"""Who keeps a place among the connections when there are more than fit: no crowd that comes first shuts others out.

Places are of three kinds. Peers that are **wanted** (of the configuration, with a large part of the stake, or asked by
our engine lately, as the coming leaders are) always get one. Some are **kept** for whom we dialled ourselves: who we
are connected with is then not for strangers alone to choose. The rest is for whoever comes. Where there is none left,
the newcomer takes the place of the least worthy that it is worthier than: worth is what a peer delivered lately, in
steps of SCORE_STEP, and among equals how few connections come from its part of the network. Equals are not exchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from node.sentry.networks import network_of

SCORE_STEP: Final = 10_000
"""Thousandths of a point: ten messages that a peer was the first to bring."""
MAX_LEAVING: Final = 8
"""Connections that were told to end and have not yet; while there are as many, nobody else is."""

Worth = tuple[int, int]


class Held(NamedTuple):
    """A connection: whose, from or to which address, and whether we dialled it."""

    peer: str
    address: str
    is_outbound: bool


class Places:
    """See the module. `total` connections in all, of which `kept` are for those that we dial.

    `is_wanted` and `score` (thousandths) tell of a peer, by its id as text; `drop` has its connections closed.
    """

    def __init__(
        self,
        total: int,
        kept: int,
        is_wanted: Callable[[str], bool],
        score: Callable[[str], int],
        drop: Callable[[str], None],
    ) -> None:
        self.evicted = 0
        self._total, self._kept = total, kept
        self._is_wanted, self._score, self._drop = is_wanted, score, drop
        self._held: list[Held] = []
        self._peers: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()
        self._leaving: set[str] = set()

    def __len__(self) -> int:
        """Count the connections, also those that are about to end."""
        return len(self._held)

    @property
    def outbound(self) -> int:
        """How many of them we dialled."""
        return sum(held.is_outbound for held in self._staying())

    @property
    def wants_outbound(self) -> bool:
        """Whether there are places kept for whom we dial, and nobody there."""
        return self.outbound < self._kept

    def is_leaving(self, peer: str) -> bool:
        """Tell whether a peer was told to leave, and has connections yet."""
        return peer in self._leaving

    def of_peer(self, peer: str) -> int:
        """Count a peer's connections."""
        return self._peers[peer]

    def of_address(self, address: str) -> int:
        """Count an address's connections."""
        return self._addresses[address]

    @property
    def addresses(self) -> int:
        """How many addresses there are."""
        return len(self._addresses)

    @property
    def peers(self) -> int:
        """How many peers there are."""
        return len(self._peers)

    def make_room(self, newcomer: Held) -> bool:
        """Tell whether a connection may take a place, having the least worthy give way where it needs to.

        Never one of a peer that was told to leave and has not left: it would be counted neither among those that stay
        nor as gone, and as long as it lasted one less could be told to leave.
        """
        if newcomer.peer in self._leaving:
            return False
        staying = self._staying()
        strangers = [held for held in staying if not held.is_outbound and not self._is_wanted(held.peer)]
        is_wanted = self._is_wanted(newcomer.peer)
        is_free = len(staying) < self._total and (
            newcomer.is_outbound or is_wanted or len(strangers) < self._total - self._kept
        )
        if is_free or self._peers[newcomer.peer]:  # one more of a peer that is here is worth nobody's place
            return is_free
        if is_wanted:
            return self._evict(self._least(staying), None)
        if newcomer.is_outbound:
            return self.wants_outbound and self._evict(self._least(strangers), None)
        return self._evict(self._least(strangers), self._worth(newcomer, 1))

    def take(self, held: Held) -> None:
        """Count a connection."""
        self._held.append(held)
        self._peers[held.peer] += 1
        self._addresses[held.address] += 1
        self._networks[network_of(held.address)] += 1

    def give_back(self, held: Held) -> None:
        """Count it no more."""
        self._held.remove(held)
        for counts, key in (
            (self._peers, held.peer),
            (self._addresses, held.address),
            (self._networks, network_of(held.address)),
        ):
            take_one(counts, key)
        if not self._peers[held.peer]:
            self._leaving.discard(held.peer)

    def change_one(self) -> bool:
        """Have the least worthy of those that we dialled give way, if their places are all taken; for somebody else."""
        strangers = [held for held in self._staying() if held.is_outbound and not self._is_wanted(held.peer)]
        return not self.wants_outbound and self._evict(self._least(strangers), None)

    def _staying(self) -> list[Held]:
        return [held for held in self._held if held.peer not in self._leaving]

    def _least(self, among: list[Held]) -> Held | None:
        strangers = [held for held in among if not self._is_wanted(held.peer)]
        return min(strangers, key=lambda held: self._worth(held, 0), default=None)

    def _worth(self, held: Held, more: int) -> Worth:
        """Return the worth of a connection, if `more` were there of its part of the network."""
        crowd = self._networks[network_of(held.address)] + more
        return self._score(held.peer) // SCORE_STEP, -crowd

    def _evict(self, held: Held | None, newcomer: Worth | None) -> bool:
        if held is None or len(self._leaving) >= MAX_LEAVING:
            return False
        score, crowd = self._worth(held, 0)
        if newcomer is not None and newcomer <= (score, crowd):
            return False
        self._leaving.add(held.peer)
        self.evicted += 1
        self._drop(held.peer)
        return True


def take_one(counts: Counter[str], key: str) -> None:
    """Count one less; a key at nothing is forgotten, so that no map grows by who was here once."""
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
