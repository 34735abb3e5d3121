"""What could have been earned: the hindsight solver, by which the nodes' profit is measured (docs/adr/0006).

For each block it takes the pools' true state after the parent block, and the block's *order flow*: every transaction
that is neither ours nor another searcher's, in the order of the block, with the amounts that went in. A searcher that
knows all of it beforehand, and has no latency, may take cycles at the start of the block and behind each of these
transactions. What a cycle brings counts net: less gas at the block's base fee, less the least payment that would have
outbid the other searchers over the same pools in that block (nothing, where nobody else came). `best` is the most
that such a searcher nets in the block.

    available(block) = best(block) - what stands at its start and was countable in the block before

so that an opportunity that nobody takes counts once: when it arises, or by how much it grows. Our own transactions are
no order flow, and what we took no longer stands: neither takes anything away from what is available, nor adds to it.

Why no strategy earns more: whoever nets p in a block could also have taken, at its end, what then stands, so
p + standing(end) <= best; summed over the blocks, the standing values cancel. `best` itself is the greatest of some
orders of taking: at every chance, only at the end, and every chance but one that spoils a later one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devnet.demo.hindsight_flow import Action, apply_action
from devnet.demo.hindsight_pools import CannotSwap, PoolState
from devnet.demo.hindsight_search import GAS_BASE, GAS_PER_SWAP, Market, Terms

_MAX_SPOILERS: Final = 6
"""Chances of a block that are tried without, the ones that bring least first."""

States = Mapping[str, PoolState]
Flow = Sequence[Sequence[Action]]
"""What each transaction of the order flow did to pools."""


@dataclass(frozen=True, slots=True)
class RivalBid:
    """What another searcher offered the builder, in wei, for a bundle of one or more swaps over these pools."""

    pools: tuple[str, ...]
    wei: int

    @property
    def per_gas(self) -> int:
        """Wei for each gas, at the gas that such an execution takes at least; rounded up."""
        return -(-self.wei // (GAS_BASE + GAS_PER_SWAP * len(self.pools)))


@dataclass(frozen=True, slots=True)
class Block:
    """What the solver needs of one block: the true state before it, what it costs to be in it, its order flow."""

    before: States
    base_fee: int
    flow: Flow
    bids: Sequence[RivalBid] = ()


class Hindsight:
    """Adds up what was available, block by block, in order."""

    def __init__(self, market: Market, share: int | None = None) -> None:
        """`share`: how the searcher bids, as in `Terms`."""
        self._market, self._share = market, share
        self._terms_before: Terms | None = None
        self.available_wei = 0

    def block(self, block: Block) -> int:
        """Take the next block in; return the wei that became available in it."""
        terms = _terms(block, self._share)
        best = self.best(block, terms)
        standing = 0
        if self._terms_before is not None:
            was, _ = self._market.take_all(block.before, self._terms_before)
            now, _ = self._market.take_all(block.before, terms)
            standing = min(was, now)
        self._terms_before = terms
        self.available_wei += max(0, best - standing)
        return max(0, best - standing)

    def best(self, block: Block, terms: Terms) -> int:
        """Return the most that one searcher nets in a block, in wei."""
        kept = frozenset(range(len(block.flow) + 1))
        takings = self._play(block, terms, kept)
        best = max(sum(takings), sum(self._play(block, terms, frozenset([len(block.flow)]))))
        paying = sorted((place for place in kept if takings[place]), key=lambda place: takings[place])
        for place in paying[:_MAX_SPOILERS]:
            total = sum(self._play(block, terms, kept - {place}))
            if total > best:
                best, kept = total, kept - {place}
        return best

    def _play(self, block: Block, terms: Terms, chances: frozenset[int]) -> list[int]:
        """Go through the block and take at the chosen chances (0: its start); return what each brought."""
        states, moved = dict(block.before), list(block.before)
        takings = []
        for place in range(len(block.flow) + 1):
            if place:
                for action in block.flow[place - 1]:
                    _act(states, action)
                    moved.append(action.pool)
            taken = 0
            if place in chances:
                taken, states = self._market.take_all(states, terms, sorted(set(moved)))
                moved = []
            takings.append(taken)
        return takings


def _terms(block: Block, share: int | None) -> Terms:
    offered: dict[str, int] = {}
    for bid in block.bids:
        for pool in bid.pools:
            offered[pool] = max(offered.get(pool, 0), bid.per_gas)
    return Terms(block.base_fee, offered, share)


def _act(states: dict[str, PoolState], action: Action) -> None:
    if action.pool in states:
        try:
            states[action.pool] = apply_action(states[action.pool], action)
        except CannotSwap:
            return  # on these states it would revert: then it does nothing
