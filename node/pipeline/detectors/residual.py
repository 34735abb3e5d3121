"""What is left of a find when better ones that conflict with it are taken before it.

A better find over one of its pools is no reason to give a find up: behind the better one's execution the market is
another, and the best way through it from the same swaps may be other pools, or a smaller amount. What comes out here
also runs where the better one fails, as long as its own simulation is clean.
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
from protocol.units import UnixNanoseconds, UnixSeconds


class ResidualDetector:
    """Looks behind our own executions."""

    def __init__(self, market: Market, search: Search, book: PendingBook, settings: PipelineSettings) -> None:
        self._market, self._search, self._book, self._settings = market, search, book, settings

    def behind(self, find: Find, better: Sequence[Find], timestamp: UnixSeconds, now: UnixNanoseconds) -> Find | None:
        """The best find through the same pools or behind the same victims once `better` are executed, in this order;
        None if none.
        """
        if not all(_is_in_the_market(one) for one in (*better, find)):
            return None
        overlay, laid = Overlay(self._market), set[bytes]()
        for one in better:
            if not self._lay_over(one, overlay, laid, timestamp) or not overlay.execute(
                one.route.edges, one.route.amounts[0]
            ):
                return None
        if not self._lay_over(find, overlay, laid, timestamp):
            return None
        edges, pools = self._market.edges, {*find.pools, *find.victim_pools}
        with overlay as risen:
            touched = dict.fromkeys([*find.route.edges, *(edge for edge in risen if edges[edge].pool in pools)])
            candidates = self._search.through(list(touched))
            route = self._search.exact(candidates, overlay) if candidates else Reason.NOT_PROFITABLE
        victims = self._pending(find)
        if isinstance(route, Reason) or victims is None:
            return None
        return find_of(
            self._search,
            route,
            tuple([edges[edge].pool for edge in route.edges]),
            victims,
            chain_id=self._settings.chain_id,
            target_block=find.opportunity.target_block,
            profit_token=self._settings.profit_tokens[route.rank].address,
            seen_at=now,
            behind=tuple([one.opportunity.id for one in better]),
        )

    def _pending(self, find: Find) -> list[PendingSwap] | None:
        found = [self._book.get(victim.hash) for victim in find.opportunity.victims]
        known = [pending for pending in found if pending is not None]
        return known if len(known) == len(found) else None

    def _lay_over(self, find: Find, overlay: Overlay, laid: set[bytes], timestamp: UnixSeconds) -> bool:
        """Apply the victims that are not there yet; False if one is gone or would revert."""
        victims = self._pending(find)
        if victims is None:
            return False
        for pending in victims:
            if pending.transaction.hash not in laid:
                laid.add(pending.transaction.hash)
                if overlay.lay_over(pending, timestamp) is not None:
                    return False
        return True


def _is_in_the_market(find: Find) -> bool:
    """Whether our pools tell all that it does: not of a liquidation, nor of another operator's route."""
    return find.borrower is None and find.opportunity.order is None
