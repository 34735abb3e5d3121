"""Backruns: what a pending swap leaves behind, taken right after it, never before it.

A pending swap is looked at alone and together with others that wait on the same pools, each laid over the confirmed
market exactly and in order; the better of the two is the find.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.finds import Find, find_of
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pending import PendingBook, PendingSwap
from node.pipeline.reasons import Reason
from node.pipeline.search import Search
from node.pipeline.settings import PipelineSettings
from protocol.units import BlockNumber, UnixNanoseconds, UnixSeconds


class BackrunDetector:
    """Looks behind pending swaps."""

    def __init__(self, market: Market, search: Search, book: PendingBook, settings: PipelineSettings) -> None:
        self._market, self._search, self._book, self._settings = market, search, book, settings

    def behind(
        self, pending: PendingSwap, target_block: BlockNumber, timestamp: UnixSeconds, now: UnixNanoseconds
    ) -> Find | Reason:
        """The best find behind a pending swap for the next block, whose timestamp is at least `timestamp`."""
        chain = self._book.with_predecessors(pending)
        if chain is None:
            return Reason.VICTIM_NONCE_GAP
        alone = self._behind(chain, chain, target_block, timestamp, now)
        room = self._settings.bounds.victims_per_bundle - len(chain)
        others = self._others(chain, pending, room) if room > 0 and self._book.has_company(pending) else []
        if not others:
            return alone
        together = self._behind([*others, *chain], chain, target_block, timestamp, now)
        if isinstance(together, Reason):
            return alone
        return together if isinstance(alone, Reason) or together.surplus > alone.surplus else alone

    def _others(self, chain: Sequence[PendingSwap], pending: PendingSwap, room: int) -> list[PendingSwap]:
        """The latest others on the same pools that can stand at the head of a bundle, with their predecessors."""
        known = {one.transaction.hash for one in chain}
        chosen: list[PendingSwap] = []
        for other in reversed(self._book.on_pools(pending.pools)):
            group = self._book.with_predecessors(other) if other.transaction.hash not in known else None
            fresh = [one for one in group or () if one.transaction.hash not in known]
            if not fresh or len(chosen) + len(fresh) > room or not self._pays(fresh):
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
    ) -> Find | Reason:
        """Lay the victims over in order; one that would revert is left out, unless it is required."""
        if not self._pays(required):
            return Reason.VICTIM_FEE_TOO_LOW
        overlay = Overlay(self._market)
        taken: list[PendingSwap] = []
        for victim in victims:
            reason = overlay.apply(victim.swaps, timestamp)
            if reason is None:
                taken.append(victim)
            elif victim in required:
                return reason
        with overlay as risen:
            candidates = self._search.through(risen) if risen else []
        if not candidates:
            return Reason.NOT_PROFITABLE
        route = self._search.exact(candidates, overlay)
        if isinstance(route, Reason):
            return route
        return find_of(
            self._search,
            route,
            tuple(self._market.edges[edge].pool for edge in route.edges),
            taken,
            chain_id=self._settings.chain_id,
            target_block=target_block,
            profit_token=self._settings.profit_tokens[route.rank].address,
            seen_at=now,
        )
