"""Pending swaps on top of the confirmed market: exact, several on one pool, and never a change of what is confirmed."""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.amm.errors import AmmError, StateUnpredictable
from node.pipeline.amm.units import TokenAmount
from node.pipeline.changes import changed
from node.pipeline.decoders import RoutedSwap, Step
from node.pipeline.kernels import RATE
from node.pipeline.market import Market
from node.pipeline.pending import PendingSwap
from node.pipeline.pools import PoolState, swap_exact_in
from node.pipeline.reach import ENDLESS, Reach, stops_for
from node.pipeline.reasons import Reason
from node.pipeline.router_accounts import PlanReverts, RouterAccounts
from node.pipeline.rows import rows_of
from protocol.units import UnixSeconds


class _StateUnknown(Exception):  # it is handled here
    """The state of a pool is not known."""


class Overlay:
    """States of some pools on top of the confirmed ones, for as long as a question is looked into.

    As a context manager it lays its rows over the market's for the kernels and takes them off again; the confirmed
    states are never touched.
    """

    __slots__ = ("_market", "_reach", "_saved", "states")

    def __init__(self, market: Market) -> None:
        self.states: dict[int, PoolState] = {}
        self._market = market
        self._saved: list[tuple[int, bytes]] = []
        self._reach = Reach(ENDLESS)

    def state(self, pool: int) -> PoolState | None:
        """The pool's state here: laid over, or confirmed."""
        return self.states.get(pool) or self._market.states[pool]

    def __enter__(self) -> list[int]:
        """Lay over; return the edges whose rate rose: only cycles through these can have become profitable."""
        market, risen = self._market, []
        for pool, state in self.states.items():
            self._saved.append((pool, market.saved_rows(pool)))
            if market.is_eligible(pool):
                edge = market.first_edge[pool]
                rows = rows_of(pool, state, market.ticks)
                for row in rows:
                    if row[RATE] > market.rows[edge, RATE]:
                        risen.append(edge)
                    edge += 1
                market.write_rows(pool, rows)
        return risen

    def __exit__(self, *_: object) -> None:
        for pool, rows in self._saved:
            self._market.restore_rows(pool, rows)
        self._saved.clear()

    def lay_over(self, pending: PendingSwap, next_timestamp: UnixSeconds) -> Reason | None:
        """Lay one transaction over, all of it or nothing: its swaps, or what a simulation told of it.

        Returns why that cannot be, or None. `next_timestamp`: of the earliest block that could have it.
        """
        if pending.is_simulated:
            return self._change(pending)
        return self.apply(pending.swaps, next_timestamp, stops_for(pending.transaction.gas_limit))

    def apply(
        self,
        swaps: Sequence[tuple[Step, tuple[int, ...]]],
        next_timestamp: UnixSeconds,
        most_stops: int = ENDLESS,
    ) -> Reason | None:
        """Lay one transaction's swaps over, all or none; returns why it would revert, or None. `most_stops`: of its
        walks together.
        """
        states, self._reach = dict(self.states), Reach(most_stops)
        accounts: RouterAccounts | None = None
        try:
            for swap, edges in swaps:
                late = 0 < swap.deadline < next_timestamp
                if type(swap) is RoutedSwap:
                    moved = None if late else self._moved(swap, edges)
                else:
                    accounts = accounts or RouterAccounts(self._market, self.states, self._known, self._reach)
                    moved = None if late else accounts.perform(swap, edges)
                if moved is None:
                    self.states = states
                    return Reason.VICTIM_WOULD_REVERT
        except (StateUnpredictable, _StateUnknown):
            self.states = states
            return Reason.POOL_UNKNOWN
        except (AmmError, PlanReverts):
            self.states = states
            return Reason.VICTIM_WOULD_REVERT
        return None

    def _change(self, pending: PendingSwap) -> Reason | None:
        """What a simulation told: of pools that nothing else has moved before it."""
        if pending.changes is None or any(pool in self.states for pool in pending.pools):
            return Reason.POOL_UNKNOWN
        states: dict[int, PoolState] = {}
        for change in pending.changes:
            pool = self._market.number_of(change.pool_id)
            before = None if pool is None else states.get(pool) or self._market.states[pool]
            if pool is None or before is None:
                return Reason.POOL_UNKNOWN
            try:
                states[pool] = changed(before, change)
            except AmmError:
                return Reason.POOL_UNKNOWN
        self.states.update(states)
        return None

    def execute(self, edges: Sequence[int], amount: TokenAmount) -> bool:
        """Lay an execution of ours over: an amount in, and on along the edges; False if a pool would revert, or its
        state is not known (any more: a reorganisation may have taken the block at which it was read).
        """
        try:
            for number in edges:
                edge = self._market.edges[number]
                state = self._known(edge.pool)
                self.states[edge.pool], moved = swap_exact_in(state, edge.index_in, edge.index_out, amount)
                amount = moved.amount_out
        except (AmmError, _StateUnknown):
            return False
        return True

    def _moved(self, swap: RoutedSwap, edges: tuple[int, ...]) -> int | None:
        return self._forward(swap, edges) if swap.exact_in else self._backward(swap, edges)

    def _forward(self, swap: RoutedSwap, edges: tuple[int, ...]) -> int | None:
        """An exact input along the path: the output, or None below the swap's limit."""
        amount = swap.amount
        for number in edges:
            _, amount = self._leg(number, amount, swap)
        return amount if amount >= swap.limit else None

    def _backward(self, swap: RoutedSwap, edges: tuple[int, ...]) -> int | None:
        """An exact output against the path: the input, or None above the swap's limit."""
        amount = swap.amount
        for number in reversed(edges):
            amount, _ = self._leg(number, amount, swap)
        return amount if amount <= swap.limit else None

    def _leg(self, number: int, amount: TokenAmount, swap: RoutedSwap) -> tuple[TokenAmount, TokenAmount]:
        """What goes in and what comes out of one pool, within the stops that are left."""
        edge, limit = self._market.edges[number], swap.price_limit_x96
        known = self._known(edge.pool)
        after, into, out_of = self._reach.leg(known, edge, amount, exact_in=swap.exact_in, limit=limit)
        self.states[edge.pool] = after
        return into, out_of

    def _known(self, pool: int) -> PoolState:
        state = self.state(pool)
        if state is None:
            raise _StateUnknown(pool)
        return state
