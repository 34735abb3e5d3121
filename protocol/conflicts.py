"""Legs, primary keys, and which of the orders that exclude each other a leader keeps.

A leg is one pool in one direction in one block after one trigger. Two orders conflict if they share a leg. The primary
key of an order is the leg that names its opportunity: for exclusivity, deduplication and statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from protocol.errors import InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.layout import WORD_BYTES
from protocol.units import ADDRESS_BYTES, ZERO_HASH, Address, BlockNumber, ChainId, Hash32, LegKey, Wei

MAX_LEGS: Final = 16
MAX_SEARCHED: Final = 12
"""Up to so many candidates that hang together by conflicts, the best set is found; beyond, best first."""


class Leg(NamedTuple):
    """One swap of a route: the pool's address or 32-byte id, and 0 if the token that goes in has the lower address."""

    pool_id: bytes
    direction: int


class Occasion(NamedTuple):
    """What all legs of one opportunity share; `trigger` is the transaction that makes it, if one does."""

    chain_id: ChainId
    target_block: BlockNumber
    trigger: Hash32 | None


class Candidate(NamedTuple):
    """An order, or a find of the leader's own: its order hash, its legs' keys, and its net profit."""

    order_hash: Hash32
    legs: frozenset[LegKey]
    net: Wei


def direction_of(token_in: Address, token_out: Address) -> int:
    """Return 0 if `token_in` has the lower address, else 1; also in pools of many tokens."""
    if token_in == token_out:
        raise InvalidField("one token on both sides", "leg.direction")
    return 0 if token_in < token_out else 1


def leg_key(occasion: Occasion, leg: Leg) -> LegKey:
    """Return keccak(chainId, targetBlock, trigger or 0, poolId, direction), each a word; an address is padded."""
    if leg.direction not in (0, 1):
        raise InvalidField("neither 0 nor 1", "leg.direction")
    words = (
        occasion.chain_id.to_bytes(WORD_BYTES, "big"),
        occasion.target_block.to_bytes(WORD_BYTES, "big"),
        occasion.trigger or ZERO_HASH,
        _pool_word(leg.pool_id),
        leg.direction.to_bytes(WORD_BYTES, "big"),
    )
    return LegKey(Hash32(keccak256(b"".join(words))))


def primary_leg(route: Sequence[Leg], trigger_pool: bytes | None) -> Leg:
    """Return the first leg on the pool in which the trigger swaps, else the first on the smallest pool id.

    Raises InvalidField for a route without legs or with more than MAX_LEGS.
    """
    if not 0 < len(route) <= MAX_LEGS:
        raise InvalidField(f"not 1 to {MAX_LEGS} legs", "route")
    if trigger_pool is not None:
        wanted = _pool_word(trigger_pool)
        for leg in route:
            if _pool_word(leg.pool_id) == wanted:
                return leg
    return min(route, key=lambda leg: _pool_word(leg.pool_id))


def tie_rank(seed: Hash32, order_hash: Hash32) -> bytes:
    """Return keccak(seed, orderHash): of two that earn the same, the lower one wins; nobody can choose it."""
    return keccak256(seed + order_hash)


def best_set(candidates: Iterable[Candidate], seed: Hash32) -> tuple[Candidate, ...]:
    """Return those to keep: no two share a leg, their net in sum is the highest, ties go to the lowest ranks.

    Candidates that earn nothing are left out, and so is a repeated order hash. The result is in order of rank. Exact
    among up to MAX_SEARCHED candidates that conflict with each other directly or through others; among more, each is
    kept that conflicts with none of a higher net, the highest first.
    """
    worthwhile = {one.order_hash: one for one in candidates if one.net > 0}
    ranked = sorted(worthwhile.values(), key=lambda one: tie_rank(seed, one.order_hash))
    kept: list[Candidate] = []
    for group in _groups(ranked):
        kept += _searched(group) if len(group) <= MAX_SEARCHED else _best_first(group)
    return tuple(sorted(kept, key=lambda one: tie_rank(seed, one.order_hash)))


def conflict(a: Candidate, b: Candidate) -> bool:
    """Tell whether two orders exclude each other."""
    return not a.legs.isdisjoint(b.legs)


def _pool_word(pool_id: bytes) -> bytes:
    if len(pool_id) not in (ADDRESS_BYTES, WORD_BYTES):
        raise InvalidField(f"not {ADDRESS_BYTES} or {WORD_BYTES} bytes", "leg.poolId")
    return pool_id.rjust(WORD_BYTES, b"\0")


def _groups(ranked: Sequence[Candidate]) -> list[list[Candidate]]:
    """Part the candidates so that those of different groups do not conflict; each group keeps the order of ranks."""
    groups: list[tuple[frozenset[LegKey], list[int]]] = []
    for number, one in enumerate(ranked):
        touching = [group for group in groups if not group[0].isdisjoint(one.legs)]
        legs = one.legs.union(*(group[0] for group in touching))
        members = [member for group in touching for member in group[1]]
        groups = [group for group in groups if group[0].isdisjoint(one.legs)]
        groups.append((legs, [*members, number]))
    return [[ranked[number] for number in sorted(members)] for _, members in groups]


def _searched(group: list[Candidate]) -> list[Candidate]:
    """Try every set. Those with the lowest ranks are tried first, so that of equal ones the first found stays."""
    best: list[Candidate] = []
    best_net = 0

    def extend(chosen: list[Candidate], net: int, start: int) -> None:
        nonlocal best, best_net
        if net > best_net:
            best, best_net = list(chosen), net
        for index in range(start, len(group)):
            if not any(conflict(group[index], one) for one in chosen):
                chosen.append(group[index])
                extend(chosen, net + group[index].net, index + 1)
                chosen.pop()

    extend([], 0, 0)
    return best


def _best_first(group: list[Candidate]) -> list[Candidate]:
    kept: list[Candidate] = []
    for one in sorted(group, key=lambda candidate: -candidate.net):  # stable: ranks break ties
        if not any(conflict(one, other) for other in kept):
            kept.append(one)
    return kept
