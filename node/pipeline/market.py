"""The market: which pools there are, their confirmed states, and the arrays that the kernels read.

Python integers are the truth; the float rows follow them. Confirmed state changes with blocks only, and a ring of the
last blocks undoes them. Pending transactions never come here: they are an `Overlay`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from struct import Struct

import msgspec
import numpy as np

from node.pipeline.cycles import build_index, empty_index
from node.pipeline.kernels import ROW_WIDTH, Floats
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState, edge_key
from node.pipeline.rows import TickStore, rows_of
from node.pipeline.rows_curves import Row
from protocol.units import ZERO_ADDRESS, Address

_ROW = Struct(f"{ROW_WIDTH}d")
_ROW_BYTES = _ROW.size


class Edge(msgspec.Struct, frozen=True, gc=False):
    """One direction through a pool: positions in the pool's own order, and market-wide numbers of the tokens."""

    pool: int
    index_in: int
    index_out: int
    token_in: int
    token_out: int


class Market:
    """Pools and tokens have numbers here, in the order in which they were discovered.

    Pools that the executor cannot call, or of families that are not in `traded`, are seen, not traded: their states are
    kept, and no cycle goes through. The first profit token is the wrapped coin: where a pool holds ether, a route holds
    that.
    """

    def __init__(
        self,
        profit_tokens: Sequence[Address],
        max_pools: int,
        max_cycles: int,
        traded: Collection[PoolFamily] = frozenset(PoolFamily),
    ) -> None:
        self.specs: list[PoolSpec] = []
        self.routed: list[tuple[Address, ...]] = []
        """By pool: its tokens, in its own order, as a route holds them."""
        self.states: list[PoolState | None] = []
        self.edges: list[Edge] = []
        self.first_edge: list[int] = [0]
        self.edge_by_key: dict[bytes, int] = {}
        self.tokens: list[Address] = []
        self.rows: Floats = np.zeros((256, ROW_WIDTH), np.float64)
        self._row_bytes = _bytes_of(self.rows)
        self.ticks = TickStore()
        self.refused_pools = 0
        self.changes = 0
        """How often a pool's state, or whether it is traded through, has been set."""
        self._eligible: list[bool] = []
        self._may_trade: list[bool] = []
        self._max_pools, self._max_cycles, self._traded = max_pools, max_cycles, frozenset(traded)
        self._number_of: dict[PoolId, int] = {}
        self._token_number: dict[Address, int] = {}
        self._quarantined: dict[int, str] = {}
        self._suspended: set[int] = set()
        self._trusted: dict[Address, bool] = {}
        self._removed: frozenset[bytes] = frozenset()
        self._removed_families: frozenset[PoolFamily] = frozenset()
        self._pools_of_token: dict[Address, list[int]] = {}
        self._starts = [self._token(token) for token in profit_tokens]
        self._coin = next(iter(profit_tokens), ZERO_ADDRESS)
        self.index = empty_index()
        self.is_indexed = True

    # What there is

    def number_of(self, pool_id: PoolId) -> int | None:
        """The pool's number, or None for one that was never discovered."""
        return self._number_of.get(pool_id)

    def token_number(self, token: Address) -> int | None:
        """The token's number, or None for one that no pool trades."""
        return self._token_number.get(token)

    def is_eligible(self, pool: int) -> bool:
        """Whether the pool may trade: we can call it, its state is known and trusted, and so are all its tokens."""
        return self._eligible[pool]

    def is_quarantined(self, pool: int) -> bool:
        """Whether its state is not to be trusted."""
        return pool in self._quarantined

    def is_suspended(self, pool: int) -> bool:
        """Whether simulations refused what goes through it."""
        return pool in self._suspended

    def state_of(self, pool_id: PoolId) -> PoolState | None:
        """A pool's state after the head; None if we do not know it."""
        number = self._number_of.get(pool_id)
        return None if number is None else self.states[number]

    @property
    def quarantined_pools(self) -> int:
        """How many pools are quarantined."""
        return len(self._quarantined)

    def pools_of(self, token: Address) -> Sequence[int]:
        """The pools that trade a token, in the order of discovery."""
        return self._pools_of_token.get(token, ())

    def snapshot(self) -> bytes:
        """The confirmed states as bytes: equal bytes, equal markets."""
        return repr([(spec.id, state) for spec, state in zip(self.specs, self.states, strict=True)]).encode()

    def reindex(self) -> None:
        """Bring pools that were discovered since the last time into `index`: once a block, not in the hot path."""
        if not self.is_indexed:
            graph = [(edge.pool, edge.token_in, edge.token_out) for edge in self.edges]
            self.index = build_index(graph, len(self.tokens), self._starts, self._max_cycles)
            self.is_indexed = True

    # What changes it

    def discover(self, spec: PoolSpec) -> bool:
        """Take a pool in; False if it is known, or counted in `refused_pools` if there are too many."""
        if spec.id in self._number_of:
            return False
        if len(self.specs) >= self._max_pools:
            self.refused_pools += 1
            return False
        pool = len(self.specs)
        self._number_of[spec.id] = pool
        self.specs.append(spec)
        self.routed.append(self._as_routed(spec))
        self.states.append(None)
        self._eligible.append(False)
        self._may_trade.append(self._is_for_trading(pool))
        numbers = [self._token(token) for token in self.routed[pool]]
        for index_in, token_in in enumerate(spec.tokens):
            self._pools_of_token.setdefault(self.routed[pool][index_in], []).append(pool)
            for index_out, token_out in enumerate(spec.tokens):
                if index_in != index_out:
                    self.edge_by_key[edge_key(spec, token_in, token_out)] = len(self.edges)
                    self.edges.append(Edge(pool, index_in, index_out, numbers[index_in], numbers[index_out]))
        self.first_edge.append(len(self.edges))
        while len(self.rows) < len(self.edges):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
            self._row_bytes = _bytes_of(self.rows)
        self.is_indexed = False
        return True

    def set_state(self, pool: int, state: PoolState | None) -> None:
        """Set the confirmed state; None for one that is not known any more."""
        self.states[pool] = state
        self.refresh(pool)

    def refresh(self, pool: int) -> None:
        """Write the pool's rows anew from its confirmed state and what is trusted."""
        self.changes += 1
        state = self.states[pool]
        is_known = state is not None and pool not in self._quarantined
        self._eligible[pool] = is_known and self._may_trade[pool] and pool not in self._suspended
        if state is None or not self._eligible[pool]:
            self.clear_rows(pool)
        else:
            self.write_rows(pool, rows_of(pool, state, self.ticks))

    # The rows, for whoever lays something over and takes it off again

    def saved_rows(self, pool: int) -> bytes:
        """The pool's rows as they are, to be restored."""
        return bytes(self._row_bytes[_ROW_BYTES * self.first_edge[pool] : _ROW_BYTES * self.first_edge[pool + 1]])

    def restore_rows(self, pool: int, saved: bytes) -> None:
        """Put saved rows back."""
        self._row_bytes[_ROW_BYTES * self.first_edge[pool] : _ROW_BYTES * self.first_edge[pool + 1]] = saved

    def write_rows(self, pool: int, rows: Sequence[Row]) -> None:
        """Write one row an edge."""
        place = _ROW_BYTES * self.first_edge[pool]
        for row in rows:
            _ROW.pack_into(self._row_bytes, place, *row)
            place += _ROW_BYTES

    def clear_rows(self, pool: int) -> None:
        """Take the pool out of all cycles."""
        self.rows[self.first_edge[pool] : self.first_edge[pool + 1]] = 0.0

    def quarantine(self, pool: int, why: str) -> None:
        """Take the pool out of all cycles until it is synced."""
        self._quarantined[pool] = why
        self.refresh(pool)

    def release(self, pool: int) -> None:
        """End a quarantine, if there is one."""
        if self._quarantined.pop(pool, None) is not None:
            self.refresh(pool)

    def suspend(self, pool: int) -> None:
        """Take the pool out of all cycles, whatever is read of it, until `resume`."""
        self._suspended.add(pool)
        self.refresh(pool)

    def resume(self, pool: int) -> None:
        """End that, if it is so."""
        if pool in self._suspended:
            self._suspended.discard(pool)
            self.refresh(pool)

    def trust(self, token: Address, trusted: bool) -> None:
        """Set the token screen's verdict; tokens without one are not trusted."""
        self._trusted[token] = trusted
        for pool in self.pools_of(token):
            self._may_trade[pool] = self._is_for_trading(pool)
            self.refresh(pool)

    def take_out(self, removed: frozenset[bytes], families: frozenset[PoolFamily]) -> None:
        """Let nothing trade any more but what is not in these: pools' ids, addresses of pools and tokens, families."""
        if (removed, families) == (self._removed, self._removed_families):
            return
        self._removed, self._removed_families = removed, families
        for pool, could in enumerate(self._may_trade):
            self._may_trade[pool] = self._is_for_trading(pool)
            if self._may_trade[pool] != could:
                self.refresh(pool)

    @property
    def takes_out(self) -> bool:
        """Whether anything is out of use."""
        return bool(self._removed or self._removed_families)

    def is_taken_out(self, family: str | None, names: Iterable[bytes]) -> bool:
        """Whether a venue of this family, with this id, address and tokens, is out of use."""
        return family in self._removed_families or not self._removed.isdisjoint(names)

    def _as_routed(self, spec: PoolSpec) -> tuple[Address, ...]:
        if not spec.holds_ether or self._coin in spec.tokens:  # between ether and the coin nothing is to be had
            return spec.tokens
        return (self._coin, *spec.tokens[1:])

    def _is_for_trading(self, pool: int) -> bool:
        """Whether the executor has a venue for it, it is not out of use, and its tokens are trusted, but for a share
        that is not traded.
        """
        spec = self.specs[pool]
        share = None if spec.is_share else spec.address
        return (
            spec.family in self._traded
            and spec.can_be_called
            and not self.is_taken_out(spec.family, (spec.id, spec.address, *spec.tokens))
            and all(self._trusted.get(token, False) for token in self.routed[pool] if token != share)
        )

    def _token(self, token: Address) -> int:
        number = self._token_number.get(token)
        if number is None:
            number = self._token_number[token] = len(self.tokens)
            self.tokens.append(token)
        return number


def _bytes_of(rows: Floats) -> memoryview:
    """The same memory as bytes: eight floats go in by one call, which numpy's own assignment is far from."""
    return rows.data.cast("B")
