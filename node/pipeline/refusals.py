"""What simulations refuse, and for how long it is left alone: cycles, and pools where these are to blame.

A find without victims whose simulation is refused is found at every block again, and stands in the way of others. So
its cycle is out for some blocks, for twice as many each time. A pool of it is out as well if the cycle has but two
(then both trade the one token between them), is refused again, or is one of several refused cycles through the pool.
But not a pool that a clean simulation or an execution went through lately, nor one between profit tokens alone: an
honest pool must not be put out by the company that somebody's tokens make it keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from node.pipeline.market import Market
from protocol.units import Address, BlockNumber

FIRST_BLOCKS: Final = 4
MOST_BLOCKS: Final = 256
SEVERAL: Final = 3
"""Refused cycles through one pool."""
GOOD_BLOCKS: Final = 300
"""For so long a clean simulation speaks for the pools that it went through."""
MAX_CYCLES: Final = 4_096
"""Remembered; the one that was longest not refused is forgotten. Of pools the market bounds the number."""

_Cycle = tuple[int, ...]


class _Out(msgspec.Struct):
    """Refused so often in a row; out up to and with a block."""

    times: int
    until: BlockNumber

    def again(self, target: BlockNumber) -> None:
        self.times += 1
        self.until = BlockNumber(target + min(MOST_BLOCKS, FIRST_BLOCKS << min(self.times - 1, 16)))


class Blame(NamedTuple):
    """What follows from a refusal: pools that are out now, and the tokens to be screened anew."""

    pools: tuple[int, ...]
    tokens: tuple[Address, ...]


class Refusals:
    """See the module. `target`: the block that plans are for."""

    def __init__(self, market: Market, profit_tokens: Iterable[Address]) -> None:
        self.target = BlockNumber(0)
        self._market, self._profit_tokens = market, frozenset(profit_tokens)
        self._cycles: dict[_Cycle, _Out] = {}
        self._pools: dict[int, _Out] = {}
        self._good: dict[int, BlockNumber] = {}
        self._passed_over = 0

    def __bool__(self) -> bool:
        return bool(self._cycles)

    @property
    def pools(self) -> Mapping[int, BlockNumber]:
        """The pools that are out, and up to which block."""
        return {pool: out.until for pool, out in self._pools.items() if out.until >= self.target}

    def begin_block(self, target: BlockNumber) -> None:
        """Let pools in again whose time has passed."""
        self.target = target
        for pool, out in self._pools.items():
            if out.until < target:
                self._market.resume(pool)

    def passes_over(self, cycle: _Cycle) -> bool:
        """Whether a cycle (its edges) is to be left alone; the question counts."""
        out = self._cycles.get(cycle)
        is_out = out is not None and out.until >= self.target
        self._passed_over += is_out
        return is_out

    def take_passed_over(self) -> int:
        """How many were left alone since this was last asked."""
        count, self._passed_over = self._passed_over, 0
        return count

    def succeeded(self, cycle: _Cycle, pools: Sequence[int]) -> None:
        """Take in that a simulation of a route was clean, or that it was executed."""
        self._cycles.pop(cycle, None)
        for pool in pools:
            if pool >= 0:
                self._good[pool] = self.target
                if self._pools.pop(pool, None) is not None:
                    self._market.resume(pool)

    def refused(self, cycle: _Cycle) -> Blame:
        """Take in that a simulation refused a cycle that stood behind nothing."""
        edges = [self._market.edges[edge] for edge in cycle]
        out = self._cycles.pop(cycle, None) or _Out(0, BlockNumber(0))
        out.again(self.target)
        self._cycles[cycle] = out
        if len(self._cycles) > MAX_CYCLES:
            del self._cycles[next(iter(self._cycles))]
        is_clear = len(cycle) == 2 or out.times > 1
        blamed = tuple([edge.pool for edge in edges if self._is_to_blame(edge.pool, is_clear=is_clear)])
        for pool in blamed:
            self._pools.setdefault(pool, _Out(0, BlockNumber(0))).again(self.target)
            self._market.suspend(pool)
        tokens = [self._market.tokens[edge.token_in] for edge in edges if out.times > 1]
        return Blame(blamed, tuple([token for token in tokens if token not in self._profit_tokens]))

    def _is_to_blame(self, pool: int, *, is_clear: bool) -> bool:
        good = self._good.get(pool)
        if good is not None and self.target - good <= GOOD_BLOCKS:
            return False
        if self._profit_tokens.issuperset(self._market.routed[pool]):
            return False
        return is_clear or sum(self._goes_through(cycle, pool) for cycle in self._cycles) >= SEVERAL

    def _goes_through(self, cycle: _Cycle, pool: int) -> bool:
        return any(self._market.edges[edge].pool == pool for edge in cycle)
