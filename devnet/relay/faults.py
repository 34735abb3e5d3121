"""Faults on demand: what the relay does wrong, on which endpoint, how often or how long. Pure: time is data.

kind        endpoint  does
hang        any       does not answer until the fault ends (or the server's bound for it)
refuse      any       answers every call with an error
garbage     any       answers with bytes that are not JSON
lie         public    `head`: tells a wrong block number; `balance`: tells wrong balances
lie         builder   accepts bundles and never includes one
shun        builder   `senders`: takes no bundle with a transaction of one of these accounts
leak        builder   shows the transactions of bundles on the public socket
stale_head  public    stays at the head of the moment at which the fault begins, silently
reorg       public    `depth` blocks are replaced after the next block; `count` times
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

PUBLIC: Final = "public"
MAX_FAULTS: Final = 64


class FaultKind(Enum):
    """What goes wrong; the value is its name in `devnet_setFault`."""

    HANG = "hang"
    REFUSE = "refuse"
    GARBAGE = "garbage"
    LIE = "lie"
    LEAK = "leak"
    SHUN = "shun"
    STALE_HEAD = "stale_head"
    REORG = "reorg"


_ON_PUBLIC: Final = frozenset(FaultKind) - {FaultKind.LEAK, FaultKind.SHUN}
_ON_BUILDER: Final = frozenset(
    (FaultKind.HANG, FaultKind.REFUSE, FaultKind.GARBAGE, FaultKind.LIE, FaultKind.LEAK, FaultKind.SHUN)
)
LIES: Final = ("head", "balance")


class FaultRefused(ValueError):
    """A fault that makes no sense: the message says why."""


@dataclass(slots=True)
class Fault:
    """A fault in force. `count` None: no limit by number; `until` None: no limit by devnet time (seconds)."""

    identifier: int
    endpoint: str
    kind: FaultKind
    count: int | None = None
    until: float | None = None
    since: float = 0.0
    """Devnet time from which on it is in force."""
    lie: str = ""
    depth: int = 0
    block: int = 0
    """For `stale_head`: the head at which the endpoint stays."""
    senders: frozenset[str] = frozenset()
    """For `shun`: whose transactions, lower-case hex."""
    used: int = 0
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    def is_over(self, now: float) -> bool:
        """Whether its time is up or it was cleared; one that is used up may still be at work on its last victim."""
        return self.cleared.is_set() or (self.until is not None and now >= self.until)

    def is_done(self, now: float) -> bool:
        """Whether a limit is reached: it will never be in force again."""
        return self.is_over(now) or (self.count is not None and self.used >= self.count)

    def in_force(self, now: float) -> bool:
        """Whether it has begun and neither limit is reached."""
        return now >= self.since and not self.is_done(now)

    def as_json(self) -> dict[str, Any]:
        """Return the fault as `devnet_faults` lists it."""
        return {
            "id": self.identifier,
            "endpoint": self.endpoint,
            "kind": self.kind.value,
            "count": self.count,
            "since": self.since,
            "until": self.until,
            "lie": self.lie,
            "depth": self.depth,
            "senders": sorted(self.senders),
            "used": self.used,
        }


class Faults:
    """The faults, at most 64. Those that have reached a limit make room; what they did stays counted in `used`."""

    def __init__(self, builders: Sequence[str]) -> None:
        self._builders = frozenset(builders)
        self._known: dict[int, Fault] = {}
        self._ids = itertools.count(1)
        self.used: Counter[str] = Counter()

    def set(
        self,
        endpoint: str,
        kind: str,
        *,
        now: float,
        block: int,
        count: int | None = None,
        seconds: float | None = None,
        after: float = 0.0,
        lie: str = "",
        depth: int = 0,
        senders: Iterable[str] = (),
    ) -> Fault:
        """Put a fault in force `after` seconds from devnet time `now`, at head `block`. Raises `FaultRefused`."""
        checked = self._check(endpoint, kind)
        if checked is FaultKind.REORG:
            count = 1 if count is None else count
            if depth < 1:
                raise FaultRefused("a reorg needs a depth of at least 1")
        if checked is FaultKind.LIE and endpoint == PUBLIC and lie not in LIES:
            raise FaultRefused(f"a lie on the public endpoint is one of {', '.join(LIES)}")
        shunned = frozenset(sender.lower() for sender in senders)
        if (checked is FaultKind.SHUN) != bool(shunned):
            raise FaultRefused("senders are whom a shun is about, and no other fault")
        if len(self._known) >= MAX_FAULTS:
            self._known = {number: fault for number, fault in self._known.items() if not fault.is_done(now)}
        if len(self._known) >= MAX_FAULTS:
            raise FaultRefused(f"at most {MAX_FAULTS} faults at a time: clear some")
        since = now + after
        until = None if seconds is None else since + seconds
        fault = Fault(next(self._ids), endpoint, checked, count, until, since, lie, depth, block, shunned)
        self._known[fault.identifier] = fault
        return fault

    def clear(self, identifier: int | None = None) -> int:
        """End one fault, or all, for those who hang because of them as well; return how many ended."""
        identifiers = tuple(self._known) if identifier is None else (identifier,)
        ended = [fault for known in identifiers if (fault := self._known.pop(known, None)) is not None]
        for fault in ended:
            fault.cleared.set()
        return len(ended)

    def active(self, now: float) -> list[Fault]:
        """Return the faults in force, oldest first."""
        return [fault for fault in self._known.values() if fault.in_force(now)]

    def look(self, endpoint: str, kind: FaultKind, now: float) -> Fault | None:
        """Return the oldest fault of that kind in force, without using it up."""
        for fault in self.active(now):
            if fault.endpoint == endpoint and fault.kind is kind:
                return fault
        return None

    def shuns(self, endpoint: str, senders: Iterable[str], now: float) -> bool:
        """Whether a builder takes nothing of one of these accounts; counts it as used."""
        given = frozenset(senders)
        for fault in self.active(now):
            if fault.endpoint == endpoint and fault.kind is FaultKind.SHUN and fault.senders & given:
                fault.used += 1
                self.used[f"{endpoint}.shun"] += 1
                return True
        return False

    def strike(self, endpoint: str, kind: FaultKind, now: float) -> Fault | None:
        """Return the oldest fault of that kind in force and count one use of it."""
        fault = self.look(endpoint, kind, now)
        if fault is not None:
            fault.used += 1
            self.used[f"{endpoint}.{kind.value}"] += 1
        return fault

    def _check(self, endpoint: str, kind: str) -> FaultKind:
        if endpoint != PUBLIC and endpoint not in self._builders:
            names = ", ".join((PUBLIC, *sorted(self._builders)))
            raise FaultRefused(f"no endpoint {endpoint}; there are {names}")
        possible = _ON_PUBLIC if endpoint == PUBLIC else _ON_BUILDER
        for candidate in FaultKind:
            if candidate.value == kind and candidate in possible:
                return candidate
        names = ", ".join(sorted(candidate.value for candidate in possible))
        raise FaultRefused(f"no fault {kind} on {endpoint}; there are {names}")
