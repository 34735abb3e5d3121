"""Swaps from one token to another through our pools, best by exact quotes: one leg, or two over any token between.

For what is not a cycle: the kernels screen cycles, and a liquidation's ways into its debt and out of its collateral are
few and looked for only where a position is ill. Of each token the deepest pools are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from node.pipeline.amm.units import TokenAmount
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pools import held_amounts
from node.pipeline.sizing import exact_amounts
from protocol.units import Address

POOLS_LOOKED_AT = 32
"""Of a token, the deepest."""
Way = tuple[int, ...]
"""Edges, one after the other; none where the tokens are the same."""


class Ways:
    """Looks for them on a market with something laid over."""

    def __init__(self, market: Market, overlay: Overlay) -> None:
        self._market, self._overlay = market, overlay

    def best(self, source: Address, target: Address, amount: TokenAmount, avoided: Collection[int] = ()) -> Way | None:
        """The edges that give most for an amount, through no avoided pool; None where there are none."""
        if source == target:
            return ()
        most, found = 0, None
        for way in self._between(source, target, avoided):
            amounts = self.amounts(way, amount)
            if amounts is not None and amounts[-1] > most:
                most, found = amounts[-1], way
        return found

    def amounts(self, way: Way, amount: TokenAmount) -> tuple[TokenAmount, ...] | None:
        """The amount before each leg and after the last, exactly; None where a pool refuses."""
        legs = []
        for number in way:
            edge = self._market.edges[number]
            state = self._overlay.state(edge.pool)
            if state is None:
                return None
            legs.append((state, edge.index_in, edge.index_out))
        return exact_amounts(legs, amount)

    def pools(self, way: Way) -> tuple[int, ...]:
        """The numbers of its pools."""
        return tuple(self._market.edges[number].pool for number in way)

    def _between(self, source: Address, target: Address, avoided: Collection[int]) -> Iterator[Way]:
        firsts = [number for number in self._out_of(source) if self._market.edges[number].pool not in avoided]
        lasts: dict[int, list[int]] = {}
        goal = self._market.token_number(target)
        for number in firsts:
            edge = self._market.edges[number]
            if edge.token_out == goal:
                yield (number,)
                continue
            middle = edge.token_out
            if middle not in lasts:
                lasts[middle] = self._lasts(middle, goal, avoided)
            for last in lasts[middle]:
                if self._market.edges[last].pool != edge.pool:
                    yield number, last

    def _lasts(self, middle: int, goal: int | None, avoided: Collection[int]) -> list[int]:
        edges = self._market.edges
        leaving = self._out_of(self._market.tokens[middle])
        return [one for one in leaving if edges[one].token_out == goal and edges[one].pool not in avoided]

    def _out_of(self, token: Address) -> list[int]:
        """Edges out of a token through its deepest pools."""
        market = self._market
        pools = []
        for pool in market.pools_of(token):
            state = self._overlay.state(pool)
            if state is not None and market.is_eligible(pool):
                held = held_amounts(state)
                pools.append((-held[market.routed[pool].index(token)], pool))
        pools.sort()
        number = market.token_number(token)
        return [
            edge
            for _, pool in pools[:POOLS_LOOKED_AT]
            for edge in range(market.first_edge[pool], market.first_edge[pool + 1])
            if market.edges[edge].token_in == number
        ]
