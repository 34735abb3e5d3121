"""What follows here from an alert that our own means confirm: what the operator's policy for its kind says.

log            a line in the log
notify         an alert of this node, too
stop_subject   while the alert stands: nothing goes through the pool or token, nothing is offered to the relay, no
               order is given to the peer's operator, and none of it is taken
stop_all       nothing is executed until `hftnode resume`
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from node.config import AlertAction
from node.engine.headers import Header
from node.engine.network.registry import subject_name
from node.engine.network.terms import Terms
from protocol.messages import SecurityAlert
from protocol.units import UnixSeconds

MAX_STOPPED: Final = 4_096
"""Pools, tokens, relays and peers stopped by policy; beyond it the one that would be free first is."""
_LOG: Final = logging.getLogger("hftnode.engine.network")


class Policy:
    """See the module. `stopped`: by name, until when. `counts`: `stopped`, `trusted` (a token that the operator trusts
    whatever is found, and so does not stop).
    """

    def __init__(self, terms: Callable[[], Terms]) -> None:
        self.counts: Counter[str] = Counter()
        self.notify: Callable[[str, str], None] = lambda _kind, _what: None
        self.stop_all: Callable[[str], None] = lambda _why: None
        self.on_stopped: Callable[[], None] = lambda: None
        """What a policy leads to; set where it is wired."""
        self.stopped: dict[bytes, UnixSeconds] = {}
        self._terms = terms

    def confirmed(self, alert: SecurityAlert, header: Header) -> None:
        """Our own means have come to this alert."""
        kind, terms = alert.kind.name.lower(), self._terms()
        action = terms.policies.get(kind, AlertAction.LOG)
        what = f"{kind} in block {header.number}: 0x{alert.subject.hex()}"
        _LOG.info("%s", what)
        if action is AlertAction.NOTIFY:
            self.notify(kind, what)
        elif action is AlertAction.STOP_SUBJECT:
            self._stop(subject_name(alert.subject), alert.expiry)
        elif action is AlertAction.STOP_ALL:
            self.stop_all(f"by policy: {what}")

    def forget(self, now: UnixSeconds) -> None:
        """Let go of what stood until now."""
        self.stopped = {name: until for name, until in self.stopped.items() if until > now}

    def _stop(self, name: bytes, until: UnixSeconds) -> None:
        """At once, not with the next block."""
        if name in self._terms().trusted:
            self.counts["trusted"] += 1
            return
        self.counts["stopped"] += 1
        self.stopped[name] = max(until, self.stopped.get(name, until))
        while len(self.stopped) > MAX_STOPPED:
            del self.stopped[min(self.stopped, key=self.stopped.__getitem__)]
        self.on_stopped()
