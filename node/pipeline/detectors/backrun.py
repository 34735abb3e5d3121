"""Backruns: what a pending swap leaves behind, taken right after it, never before it.

A pending swap is looked at alone and together with others that wait on the same pools, each laid over the confirmed
market exactly and in order; the better of the two is the find. One that was simulated is looked at alone: what the
simulation told holds on the head's state, and not behind others.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.finds import Find, find_of
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pending import PendingBook, PendingSwap
from node.pipeline.reasons import Reason
from node.pipeline.search import Route, Search
from node.pipeline.settings import PipelineSettings
from protocol.units import BlockNumber, UnixNanoseconds, UnixSeconds

_COMPANY_PERCENT = 105
"""Of what a swap alone brings, others beside it must bring: each is one more that somebody else may take."""


class BackrunDetector:
    """Looks behind pending swaps."""

    def __init__(self, market: Market, search: Search, book: PendingBook, settings: PipelineSettings) -> None:
        self._market, self._search, self._book, self._settings = market, search, book, settings

    def behind(
        self, pending: PendingSwap, target_block: BlockNumber, timestamp: UnixSeconds, now: UnixNanoseconds
    ) -> list[Find] | Reason:
        """The best finds behind a pending swap for the next block, whose timestamp is at least `timestamp`.

        More than one, over distinct pools, only where it moved several. Each goes through a pool that it moved: what
        the others beside it left is found behind them.
        """
        chain = self._book.with_predecessors(pending)
        if chain is None:
            return Reason.VICTIM_NONCE_GAP
        alone = self._behind(chain, chain, target_block, timestamp, now)
        room = self._settings.bounds.victims_per_bundle - len(chain)
        is_alone = room <= 0 or any(one.is_simulated for one in chain) or not self._book.has_company(pending)
        others = [] if is_alone else self._others(chain, pending, room)
        if not others:
            return alone
        together = self._behind([*others, *chain], chain, target_block, timestamp, now)
        if isinstance(together, Reason):
            return alone
        if isinstance(alone, Reason):
            return together
        return together if _worth(together) * 100 > _worth(alone) * _COMPANY_PERCENT else alone

    def _others(self, chain: Sequence[PendingSwap], pending: PendingSwap, room: int) -> list[PendingSwap]:
        """The latest others on the same pools that can stand at the head of a bundle, with their predecessors."""
        known = {one.transaction.hash for one in chain}
        chosen: list[PendingSwap] = []
        for other in reversed(self._book.on_pools(pending.pools)):
            group = self._book.with_predecessors(other) if other.transaction.hash not in known else None
            fresh = [one for one in group or () if one.transaction.hash not in known]
            if not fresh or len(chosen) + len(fresh) > room or not self._pays(fresh):
                continue
            if any(one.is_simulated for one in fresh):
                continue
            known.update(one.transaction.hash for one in fresh)
            chosen[:0] = fresh
        return chosen

    def _pays(self, group: Sequence[PendingSwap]) -> bool:
        return min([one.transaction.max_fee_per_gas for one in group]) >= self._search.base_fee

    def _behind(
        self,
        victims: Sequence[PendingSwap],
        required: Sequence[PendingSwap],
        target_block: BlockNumber,
        timestamp: UnixSeconds,
        now: UnixNanoseconds,
    ) -> list[Find] | Reason:
        """Lay the victims over in order; one that would revert is left out, unless it is required."""
        if not self._pays(required):
            return Reason.VICTIM_FEE_TOO_LOW
        overlay = Overlay(self._market)
        taken: list[PendingSwap] = []
        for victim in victims:
            reason = overlay.lay_over(victim, timestamp)
            if reason is None:
                taken.append(victim)
            elif victim in required:
                return reason
        pending, edges = required[-1], self._market.edges
        with overlay as risen:
            routes = self._routes([edge for edge in risen if edges[edge].pool in pending.pools], overlay)
        if isinstance(routes, Reason):
            return routes
        return [
            find_of(
                self._search,
                route,
                tuple([edges[edge].pool for edge in route.edges]),
                taken,
                chain_id=self._settings.chain_id,
                target_block=target_block,
                profit_token=self._settings.profit_tokens[route.rank].address,
                seen_at=now,
            )
            for route in routes
        ]

    def _routes(self, risen: list[int], overlay: Overlay) -> list[Route] | Reason:
        """The best route through a risen edge, and the best through one that is left when its pools are out."""
        market, routes = self._market, list[Route]()
        masked: list[tuple[int, bytes]] = []
        try:
            while risen:
                candidates = self._search.through(risen)
                route = self._search.exact(candidates, overlay) if candidates else Reason.NOT_PROFITABLE
                if isinstance(route, Reason):
                    return routes or route
                routes.append(route)
                taken = {market.edges[edge].pool for edge in route.edges}
                risen = [edge for edge in risen if market.edges[edge].pool not in taken]
                for pool in sorted(taken) if risen else ():
                    masked.append((pool, market.saved_rows(pool)))
                    market.clear_rows(pool)
        finally:
            for pool, rows in reversed(masked):
                market.restore_rows(pool, rows)
        return routes or Reason.NOT_PROFITABLE


def _worth(finds: Sequence[Find]) -> int:
    return sum([find.surplus for find in finds])
