"""What the relay counts: everything admitted, refused, dropped and built. `devnet_stats` shows it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

_SAMPLES = 512


def _figures(samples: deque[float]) -> dict[str, float]:
    """Return median, p99 and last of the latest samples; empty without any."""
    if not samples:
        return {}
    ordered = sorted(samples)
    return {
        "last": round(samples[-1], 3),
        "p50": round(ordered[len(ordered) // 2], 3),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3),
    }


def _samples() -> deque[float]:
    return deque(maxlen=_SAMPLES)


@dataclass(slots=True)
class RelayStats:
    """Counters since the start; timings in milliseconds over the latest 512 blocks."""

    counts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    bundles_dropped: Counter[str] = field(default_factory=Counter)
    plan_ms: deque[float] = field(default_factory=_samples)
    """Choosing and simulating the block."""
    mine_ms: deque[float] = field(default_factory=_samples)
    """From the first transaction sent to Anvil to the block published; reads wait meanwhile."""
    build_ms: deque[float] = field(default_factory=_samples)
    """Both together."""

    def as_json(self) -> dict[str, Any]:
        """Return the counters as a JSON object, keys sorted."""
        return {
            **dict(sorted(self.counts.items())),
            "transactions_refused": dict(sorted(self.refused.items())),
            "bundles_dropped": dict(sorted(self.bundles_dropped.items())),
            "build_ms": _figures(self.build_ms),
            "plan_ms": _figures(self.plan_ms),
            "mine_ms": _figures(self.mine_ms),
        }
