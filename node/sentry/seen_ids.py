"""Ids of gossip messages that were judged for good: accepted, or refused. In place of libp2p's cache (31).

Libp2p's has a time for each id and no number, so that whoever may forward 500 messages a second leaves as many ids, for
two minutes. Here both kinds have a cap of their own: by what is refused nobody makes us forget what was accepted, and
judge it anew. What was pushed out before its time is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SEEN_SECONDS: Final = 120
ACCEPTED_IDS: Final = 65_536
REFUSED_IDS: Final = 8_192


class SeenIds:
    """See the module. `evicted`: ids that left before their time."""

    def __init__(
        self,
        accepted: int = ACCEPTED_IDS,
        refused: int = REFUSED_IDS,
        seconds: float = SEEN_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.evicted = 0
        self._accepted: dict[bytes, float] = {}
        self._refused: dict[bytes, float] = {}
        self._caps, self._seconds, self._now = (accepted, refused), seconds, now

    def __len__(self) -> int:
        return len(self._accepted) + len(self._refused)

    def has(self, message_id: bytes) -> bool:
        """Tell whether a message was judged for good."""
        return message_id in self._accepted or message_id in self._refused

    def add(self, message_id: bytes) -> None:
        """Remember the id of a message that was accepted."""
        self._put(self._accepted, message_id, self._caps[0])

    def refuse(self, message_id: bytes) -> None:
        """Remember the id of a message that can never be accepted."""
        self._put(self._refused, message_id, self._caps[1])

    def _put(self, ids: dict[bytes, float], message_id: bytes, cap: int) -> None:
        now = self._now()
        ids.pop(message_id, None)  # so that the oldest stands first
        ids[message_id] = now
        while ids:
            oldest = next(iter(ids))
            is_over = ids[oldest] + self._seconds < now
            if not is_over and len(ids) <= cap:
                return
            self.evicted += not is_over
            del ids[oldest]
