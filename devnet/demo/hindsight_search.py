"""The best that can be taken from a market at one moment: cycles in exact integers, the best disjoint set of them.

Slow and plain: floats only say where looking pays, every amount and every decision is of integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from devnet.demo.hindsight_pools import CannotSwap, PoolState, amount_out, local_curve, swap

GAS_BASE: Final = 60_000
GAS_PER_SWAP: Final = 75_000
"""The least that an execution takes (contracts/snapshots, drawn from the vault): a bound for every executor."""
_HOPEFUL: Final = 4.0
"""A cycle is sized exactly where the screen's profit, so many times over, would pay the gas."""
_NEAR: Final = 8
"""The amount is looked for between an eighth of the screen's guess and eight times it …"""
_PRECISION: Final = 1 << 13
"""… until it is known to a part in eight thousand: what is lost by that is its square."""
_SMALLER: Final = 4
"""A guess that gains nothing is divided by eight up to so many times: a stable pool is flat, and then steep."""
_ONE: Final = 1 << 40
_GOLDEN: Final = 679_535_556_991
"""(√5 - 1) / 2, in parts of 2^40."""
_EXACT_UP_TO: Final = 12
_ROUNDS: Final = 8
_REMEMBERED: Final = 12
_ONE_IN_BASIS_POINTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Leg:
    """One swap of a cycle."""

    pool: str
    index_in: int
    index_out: int


@dataclass(frozen=True, slots=True)
class Worth:
    """What a token's smallest unit is worth: `numerator` wei for `denominator` units."""

    numerator: int
    denominator: int

    def wei(self, amount: int) -> int:
        """Return the wei that an amount is worth, rounded down."""
        return amount * self.numerator // self.denominator


@dataclass(frozen=True, slots=True)
class Terms:
    """What taking costs in one block: the base fee, for each pool what the others offer there per gas (wei), and how
    the searcher bids: always this `share` (basis points) of what is left after gas, or, where it is None, one wei more
    than the others, as if their bids were open.
    """

    base_fee: int
    rival_per_gas: Mapping[str, int] = field(default_factory=dict)
    share: int | None = None

    def net(self, legs: Sequence[Leg], gross: int) -> int:
        """Return what a cycle nets in wei, after gas and bid; nothing where that does not win it."""
        gas = GAS_BASE + GAS_PER_SWAP * len(legs)
        surplus = gross - gas * self.base_fee
        offered = gas * max((self.rival_per_gas.get(leg.pool, 0) for leg in legs), default=0)
        if self.share is None:
            return max(0, surplus - offered - (1 if offered else 0))
        bid = surplus * self.share // _ONE_IN_BASIS_POINTS
        return max(0, surplus - bid) if bid > offered or not offered else 0


@dataclass(slots=True)
class Ring:
    """A cycle without a beginning, and from which tokens of value it can be begun: (place of the leg, worth)."""

    legs: tuple[Leg, ...]
    begins: list[tuple[int, Worth]] = field(default_factory=list)
    seen: list[tuple[tuple[PoolState, ...], tuple[int, int, int] | None]] = field(default_factory=list)
    """What it brought on the last few states."""


@dataclass(frozen=True, slots=True)
class Take:
    """A cycle to be taken: what goes into its first leg, and what it brings net, in wei."""

    legs: tuple[Leg, ...]
    amount: int
    net: int

    @property
    def pools(self) -> frozenset[str]:
        """The pools that it moves."""
        return frozenset(leg.pool for leg in self.legs)


class Market:
    """All cycles of two and three swaps through tokens of value. `tokens`: pool to its tokens, in the pool's order."""

    def __init__(self, tokens: Mapping[str, Sequence[str]], worth: Mapping[str, Worth]) -> None:
        self.rings = _rings(tokens, worth)
        self._through: dict[str, list[Ring]] = {name: [] for name in tokens}
        for ring in self.rings:
            for leg in ring.legs:
                self._through[leg.pool].append(ring)

    def take_all(
        self, states: Mapping[str, PoolState], terms: Terms, touched: Iterable[str] | None = None
    ) -> tuple[int, dict[str, PoolState]]:
        """Take the best disjoint cycles, and again what is left then, until nothing pays; return wei and the states.

        With `touched`, only these pools have moved since nothing paid any more.
        """
        after, total = dict(states), 0
        moved = list(self._through) if touched is None else list(touched)
        for _ in range(_ROUNDS):
            chosen = best_disjoint(self.takes(after, terms, moved))
            if not chosen:
                break
            for take in chosen:
                total += take.net
                amount = take.amount
                for leg in take.legs:
                    amount, after[leg.pool] = swap(after[leg.pool], leg.index_in, leg.index_out, amount)
            moved = sorted({pool for take in chosen for pool in take.pools})
        return total, after

    def takes(self, states: Mapping[str, PoolState], terms: Terms, moved: Sequence[str]) -> list[Take]:
        rings = {id(ring): ring for pool in moved for ring in self._through.get(pool, ())}
        curves: dict[tuple[str, int, int], tuple[float, float]] = {}
        found = []
        for ring in rings.values():
            rates = 1.0
            for leg in ring.legs:
                key = (leg.pool, leg.index_in, leg.index_out)
                if key not in curves:
                    curves[key] = local_curve(states[leg.pool], leg.index_in, leg.index_out)
                rates *= curves[key][0]
            if rates > 1.0:
                shapes = [curves[leg.pool, leg.index_in, leg.index_out] for leg in ring.legs]
                best = _best_of(ring, states, shapes, GAS_BASE * terms.base_fee)
                if best is not None and (net := terms.net(ring.legs, best[2])) > 0:
                    place, amount, _ = best
                    found.append(Take(ring.legs[place:] + ring.legs[:place], amount, net))
        return found


def best_disjoint(takes: Sequence[Take]) -> list[Take]:
    """Return the takes without a common pool that bring most: exactly up to a dozen, else the best ones first."""
    ranked = sorted(takes, key=lambda take: (-take.net, [leg.pool for leg in take.legs]))
    chosen, used = list[Take](), frozenset[str]()
    for take in ranked:
        if not take.pools & used:
            chosen.append(take)
            used |= take.pools
    if len(ranked) > _EXACT_UP_TO:
        return chosen
    best, best_net = chosen, sum(take.net for take in chosen)
    for subset in range(1, 1 << len(ranked)):
        members = [take for place, take in enumerate(ranked) if subset >> place & 1]
        net = sum(take.net for take in members)
        if net > best_net and sum(len(take.pools) for take in members) == len(frozenset().union(*map(_pools, members))):
            best, best_net = members, net
    return best


def _pools(take: Take) -> frozenset[str]:
    return take.pools


def _rings(tokens: Mapping[str, Sequence[str]], worth: Mapping[str, Worth]) -> list[Ring]:
    rings: dict[tuple[Leg, ...], Ring] = {}
    for legs, begin in _paths(tokens, sorted(worth)):
        place = legs.index(min(legs, key=lambda leg: (leg.pool, leg.index_in, leg.index_out)))
        key = legs[place:] + legs[:place]
        ring = rings.setdefault(key, Ring(key))
        ring.begins.append(((len(legs) - place) % len(legs), worth[begin]))
    return list(rings.values())


def _paths(tokens: Mapping[str, Sequence[str]], begins: Sequence[str]) -> list[tuple[tuple[Leg, ...], str]]:
    edges: dict[str, list[tuple[Leg, str]]] = {}
    for pool in sorted(tokens):
        for index_in, token_in in enumerate(tokens[pool]):
            for index_out, token_out in enumerate(tokens[pool]):
                if index_in != index_out:
                    edges.setdefault(token_in, []).append((Leg(pool, index_in, index_out), token_out))
    found: list[tuple[tuple[Leg, ...], str]] = []
    for begin in begins:
        for first, middle in edges.get(begin, ()):
            for second, last in edges[middle]:
                if second.pool == first.pool:
                    continue
                if last == begin:
                    found.append(((first, second), begin))
                    continue
                for third, end in edges[last]:
                    if end == begin and third.pool not in (first.pool, second.pool) and last != middle:
                        found.append(((first, second, third), begin))
    return found


def _best_of(
    ring: Ring, states: Mapping[str, PoolState], shapes: Sequence[tuple[float, float]], least: int
) -> tuple[int, int, int] | None:
    """Return (place of the first leg, amount, gross wei) of the best beginning; None where nothing can pay `least`."""
    now = tuple(states[leg.pool] for leg in ring.legs)
    for then, known in ring.seen:
        if then == now:
            return known
    first, worth = ring.begins[0]
    guess = _guess([*shapes[first:], *shapes[:first]])
    best: tuple[int, int, int] | None = None
    gain = _gain(_from(ring, first), states, guess) if guess >= 1 else 0
    for _ in range(_SMALLER):
        if gain > 0 or guess < _NEAR:
            break
        guess //= _NEAR
        gain = _gain(_from(ring, first), states, guess)
    if _HOPEFUL * max(0, worth.wei(gain)) > least:
        best = _best_beginning(ring, states, _optimum(_from(ring, first), states, guess))
    ring.seen = [(now, best), *ring.seen[: _REMEMBERED - 1]]
    return best


def _from(ring: Ring, place: int) -> tuple[Leg, ...]:
    return ring.legs[place:] + ring.legs[:place]


def _best_beginning(ring: Ring, states: Mapping[str, PoolState], amount: int) -> tuple[int, int, int] | None:
    """`amount` is the best one from the first beginning: what flows through the others then is theirs."""
    flows: dict[int, int] = {}
    first = ring.begins[0][0]
    for step, leg in enumerate(_from(ring, first)):
        flows[(first + step) % len(ring.legs)] = amount
        amount = amount_out(states[leg.pool], leg.index_in, leg.index_out, amount)
    best: tuple[int, int, int] | None = None
    for place, worth in ring.begins:
        gross = worth.wei(_gain(_from(ring, place), states, flows[place]))
        if gross > 0 and (best is None or gross > best[2]):
            best = place, flows[place], gross
    return best


def _guess(shapes: Sequence[tuple[float, float]]) -> int:
    """The best amount for hops of the form rate·x / (1 + bend·x), whose chain has that form too."""
    rate, bend = 1.0, 0.0
    for hop_rate, hop_bend in shapes:
        rate, bend = rate * hop_rate, bend + rate * hop_bend
    return int((sqrt(rate) - 1) / bend) if rate > 1 and bend > 0 else 0


def _gain(legs: Sequence[Leg], states: Mapping[str, PoolState], amount: int) -> int:
    try:
        out = amount
        for leg in legs:
            out = amount_out(states[leg.pool], leg.index_in, leg.index_out, out)
    except CannotSwap:
        return -amount
    return out - amount


def _optimum(legs: Sequence[Leg], states: Mapping[str, PoolState], guess: int) -> int:
    """The amount with the greatest gain, by golden section: a chain of swaps gives ever less for more."""
    low, high = max(1, guess // _NEAR), guess * _NEAR
    left, right = high - (high - low) * _GOLDEN // _ONE, low + (high - low) * _GOLDEN // _ONE
    gain_left, gain_right = _gain(legs, states, left), _gain(legs, states, right)
    while high - low > max(3, guess // _PRECISION):
        if gain_left < gain_right:
            low, left, gain_left = left, right, gain_right
            right = low + (high - low) * _GOLDEN // _ONE
            gain_right = _gain(legs, states, right)
        else:
            high, right, gain_right = right, left, gain_left
            left = high - (high - low) * _GOLDEN // _ONE
            gain_left = _gain(legs, states, left)
    return max((low, left, right, high, guess), key=lambda amount: _gain(legs, states, amount))
