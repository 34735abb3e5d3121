"""Which pools wait to be read, each once, and which are read together next: slow ones behind all others.

Contracts that strangers make may take a node as long as these please. Who was late, or took long the last time, waits
behind those that did not, fewer of them together each time it happens; now and then it is their turn all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from node.pipeline.pools import PoolId, PoolSpec

POOLS_AT_ONCE: Final = 64
"""Pools that are read and told together: the fewer, the sooner the first of them trade."""
SLOW_SECONDS: Final = 10.0
"""Pools that take longer are read behind the others too when they are read again, until they take less."""
LATE_TURN: Final = 8
"""Of so many groups one is of those that were late, whatever else waits: others may never end."""


class WantedPools:
    """See the module; in the order in which they were wanted."""

    def __init__(self) -> None:
        self._waiting: dict[PoolId, None] = {}
        self._late: dict[PoolId, int] = {}
        """Of those that wait: how often each was not read in time."""
        self._slow: dict[PoolId, int] = {}
        """Of all: as how often late they are read though they are not, for how long they took."""
        self._groups = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __contains__(self, pool_id: PoolId) -> bool:
        """Whether a pool waits."""
        return pool_id in self._waiting

    def __iter__(self) -> Iterator[PoolId]:
        """Those that wait."""
        return iter(self._waiting)

    def add(self, pool_ids: Iterable[PoolId]) -> None:
        """These are to be read."""
        self._waiting.update(dict.fromkeys(pool_ids))

    def drop(self, pool_id: PoolId) -> None:
        """This one is not to be read any more."""
        self._waiting.pop(pool_id, None)
        self._late.pop(pool_id, None)

    def next_group(self, spec_of: Callable[[PoolId], PoolSpec | None]) -> list[PoolSpec]:
        """Whom to read together now: first those that were late least often, the fewer the more often they were.

        `spec_of`: None of a pool that is not followed any more, which is dropped.
        """
        for pool_id in [pool_id for pool_id in self._waiting if spec_of(pool_id) is None]:
            self.drop(pool_id)
        if not self._waiting:
            return []
        late = {pool_id: self._times_late(pool_id) for pool_id in self._waiting}
        self._groups += 1
        turn = next(filter(None, late.values()), None) if self._groups % LATE_TURN == 0 else None
        times = min(late.values()) if turn is None else turn
        alike = (pool_id for pool_id, often in late.items() if often == times)
        specs = map(spec_of, islice(alike, max(1, POOLS_AT_ONCE >> times)))
        return [spec for spec in specs if spec is not None]

    def were_late(self, pool_ids: Iterable[PoolId]) -> None:
        """These were not read in time: they wait on, the last of all."""
        for pool_id in pool_ids:
            if pool_id in self._waiting:
                times = self._times_late(pool_id) + 1
                self.drop(pool_id)
                self._waiting[pool_id], self._late[pool_id] = None, times

    def took(self, pool_ids: Collection[PoolId], seconds: float) -> None:
        """These were read, in so many seconds: where that is long, it is remembered for when they are wanted again."""
        for pool_id in pool_ids:
            if seconds > SLOW_SECONDS:
                self._slow[pool_id] = self._times_late(pool_id) + (len(pool_ids) > 1)
            else:
                self._slow.pop(pool_id, None)

    def _times_late(self, pool_id: PoolId) -> int:
        return self._late.get(pool_id, self._slow.get(pool_id, 0))
