"""What oracles of Morpho's say, for an audit: few are asked at once, in turns and to a deadline.

Whoever makes a market writes its oracle, which may take a node as long as its maker pleases. Where those asked together
did not answer in time, fewer are asked the next time, so that the slow ones cost the others no more than that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from node.clock import Clock, within
from node.engine.multicall import Multicall, View
from protocol.ethereum.abi import selector
from protocol.units import Hash32, address_from_hex

PRICE: Final = selector("price()")
AUDIT_SECONDS: Final = 3.0
ASKED_AT_ONCE: Final = 64


class OraclePrices:
    """`counts`: `late_prices`, as often as none came in time."""

    def __init__(self, multicall: Multicall, clock: Clock, counts: Counter[str]) -> None:
        self._multicall, self._clock, self._counts = multicall, clock, counts
        self._at_once = ASKED_AT_ONCE
        self._turn = 0

    async def next(self, oracles: Sequence[str], at: Hash32) -> dict[str, bytes | None]:
        """Return what those of the oracles answer whose turn it is, or nothing of any. Raises RpcError."""
        count = min(self._at_once, len(oracles))
        chosen = [oracles[(self._turn + place) % len(oracles)] for place in range(count)]
        self._turn += count
        views = [View(address_from_hex(oracle), PRICE) for oracle in chosen]
        try:
            answers = await within(self._clock, AUDIT_SECONDS, self._multicall.read(views, at))
        except TimeoutError:
            self._counts["late_prices"] += 1
            self._at_once = max(1, count // 2)
            return {}
        self._at_once = min(ASKED_AT_ONCE, 2 * self._at_once)
        return dict(zip(chosen, answers, strict=True))
