"""Cyclic arbitrage from WETH over two or three V2-like and V3 pools, sized in closed form.

Each hop gives a·x / (b + c·x) for an amount x (a V3 pool within its range is a constant product of its virtual
reserves), and so does a chain of hops: the composition of such functions is one of them. A cycle pays when a > b, most
at x = (√(a·b) - b) / c. All in integers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isqrt
from typing import Final

from devnet.actors.curves import PIPS, virtual_reserves
from devnet.actors.market import WETH, Market, other_token
from devnet.actors.randomness import Dice
from devnet.actors.view import ConcentratedState, ConstantProductState, PoolState
from devnet.manifest import Pool

_Curve = tuple[int, int, int]
_FLAT: Final[_Curve] = (0, 1, 0)


@dataclass(frozen=True, slots=True)
class Hop:
    """One pool of a cycle and the token that goes in."""

    pool: Pool
    token_in: str

    @property
    def zero_for_one(self) -> bool:
        """Whether the pool's first token goes in."""
        return self.token_in == self.pool.tokens[0]


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A cycle that pays: put `amount_in` wei of WETH in and get `profit` wei more out, before gas and bid."""

    hops: tuple[Hop, ...]
    amount_in: int
    profit: int

    @property
    def pools(self) -> frozenset[str]:
        """Names of the pools it moves."""
        return frozenset(hop.pool.name for hop in self.hops)


class CycleFinder:
    """Two- and three-hop cycles from WETH of a market, enumerated once: all, or the `known` fraction of them.

    Which ones are known follows from their names alone.
    """

    def __init__(self, market: Market, known: Decimal = Decimal(1)) -> None:
        pools = [pool for pool in market.pools.values() if market.is_followed(pool)]
        self.pools = tuple(pools)
        self.cycles = tuple(cycle for cycle in _enumerate(pools) if _is_known(cycle, known))
        self._through: dict[str, list[tuple[Hop, ...]]] = {pool.name: [] for pool in pools}
        for cycle in self.cycles:
            for hop in cycle:
                self._through[hop.pool.name].append(cycle)

    def find(
        self, states: Mapping[str, PoolState], capital: int, touched: Collection[str] | None = None
    ) -> list[Opportunity]:
        """Return the cycles that pay, the best first; `capital` in wei bounds the amount in.

        With `touched`, only cycles through one of these pools.
        """
        curves = {(p.name, p.tokens[0]): _curve(p, states[p.name], True) for p in self.pools}
        curves |= {(p.name, p.tokens[1]): _curve(p, states[p.name], False) for p in self.pools}
        found = []
        for cycle in self.cycles if touched is None else self._cycles_through(touched):
            opportunity = _size(cycle, [curves[hop.pool.name, hop.token_in] for hop in cycle], capital)
            if opportunity is not None:
                found.append(opportunity)
        return sorted(found, key=lambda o: (-o.profit, [hop.pool.name for hop in o.hops]))

    def _cycles_through(self, touched: Collection[str]) -> list[tuple[Hop, ...]]:
        names = sorted(name for name in touched if name in self._through)
        seen = {id(cycle): cycle for name in names for cycle in self._through[name]}
        return list(seen.values())


def disjoint(opportunities: list[Opportunity]) -> list[Opportunity]:
    """Return those, taken greedily in their order, that share no pool: what can be had together."""
    taken: set[str] = set()
    chosen = []
    for opportunity in opportunities:
        if not opportunity.pools & taken:
            taken |= opportunity.pools
            chosen.append(opportunity)
    return chosen


def _is_known(cycle: tuple[Hop, ...], known: Decimal) -> bool:
    return Dice(0, "known cycle", *(hop.pool.name for hop in cycle)).chance(known)


def _enumerate(pools: list[Pool]) -> tuple[tuple[Hop, ...], ...]:
    by_token: dict[str, list[Pool]] = {}
    for pool in pools:
        for symbol in pool.tokens:
            by_token.setdefault(symbol, []).append(pool)
    cycles: list[tuple[Hop, ...]] = []
    for first in by_token.get(WETH, []):
        middle = other_token(first, WETH)
        for second in by_token[middle]:
            if second is first:
                continue
            last = other_token(second, middle)
            head = (Hop(first, WETH), Hop(second, middle))
            if last == WETH:
                cycles.append(head)
                continue
            cycles.extend((*head, Hop(third, last)) for third in by_token[last] if other_token(third, last) == WETH)
    return tuple(cycles)


def _curve(pool: Pool, state: PoolState, zero_for_one: bool) -> _Curve:
    if isinstance(state, ConcentratedState):
        reserves = virtual_reserves(state.sqrt_price, state.liquidity)
    elif isinstance(state, ConstantProductState):
        reserves = state.reserves
    else:
        return _FLAT
    reserve_in, reserve_out = reserves if zero_for_one else reserves[::-1]
    if reserve_in <= 0 or reserve_out <= 0:
        return _FLAT
    kept = PIPS - pool.fee_pips
    return kept * reserve_out, PIPS * reserve_in, kept


def _size(cycle: tuple[Hop, ...], hops: list[_Curve], capital: int) -> Opportunity | None:
    a, b, c = hops[0]
    for next_a, next_b, next_c in hops[1:]:
        a, b, c = a * next_a, b * next_b, next_b * c + next_c * a
    if a <= b or c <= 0:
        return None
    amount = min((isqrt(a * b) - b) // c, capital)
    profit = a * amount // (b + c * amount) - amount
    return Opportunity(cycle, amount, profit) if amount > 0 and profit > 0 else None
