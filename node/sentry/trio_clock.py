"""The sentry's own time: trio's clock, which no change of the machine's time moves."""

from __future__ import annotations

import trio

from protocol.units import UnixMilliseconds


def trio_milliseconds() -> UnixMilliseconds:
    """Return trio's clock as the buckets count."""
    return UnixMilliseconds(int(trio.current_time() * 1_000))
