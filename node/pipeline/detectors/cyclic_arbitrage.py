"""Cyclic arbitrage at the start of a block: what the last block left between the pools, with nothing before us."""

from __future__ import annotations

from node.pipeline.finds import Find, find_of
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.reasons import Reason
from node.pipeline.search import Route, Search
from node.pipeline.settings import PipelineSettings
from protocol.units import BlockNumber, UnixNanoseconds


class CyclicArbitrageDetector:
    """Looks at the whole market on its confirmed state."""

    def __init__(self, market: Market, search: Search, settings: PipelineSettings) -> None:
        self._market, self._search, self._settings = market, search, settings

    def at_block_start(self, target_block: BlockNumber, now: UnixNanoseconds) -> list[Find]:
        """Finds over distinct pools, the best first, at most `finds_per_block_start`.

        After each the pools of its route are out of the market, and the rest is looked at again.
        """
        finds: list[Find] = []
        nothing = Overlay(self._market)
        masked: list[tuple[int, bytes]] = []
        try:
            while len(finds) < self._settings.bounds.finds_per_block_start:
                route = self._search.exact(self._search.everywhere(), nothing)
                if isinstance(route, Reason):
                    break
                pools = tuple(self._market.edges[edge].pool for edge in route.edges)
                finds.append(self._find(route, pools, target_block, now))
                for pool in pools:
                    masked.append((pool, self._market.saved_rows(pool)))
                    self._market.clear_rows(pool)
        finally:
            for pool, rows in reversed(masked):
                self._market.restore_rows(pool, rows)
        return finds

    def _find(self, route: Route, pools: tuple[int, ...], target_block: BlockNumber, now: UnixNanoseconds) -> Find:
        return find_of(
            self._search,
            route,
            pools,
            (),
            chain_id=self._settings.chain_id,
            target_block=target_block,
            profit_token=self._settings.profit_tokens[route.rank].address,
            seen_at=now,
        )
