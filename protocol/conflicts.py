"""Legs and primary keys.

A leg is one pool in one direction in one block after one trigger. The primary key of an order is the leg that names its
opportunity: for exclusivity, deduplication and statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.errors import InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.layout import WORD_BYTES
from protocol.units import ADDRESS_BYTES, ZERO_HASH, Address, BlockNumber, ChainId, Hash32, LegKey

MAX_LEGS: Final = 16


class Leg(NamedTuple):
    """One swap of a route: the pool's address or 32-byte id, and 0 if the token that goes in has the lower address."""

    pool_id: bytes
    direction: int


class Occasion(NamedTuple):
    """What all legs of one opportunity share; `trigger` is the transaction that makes it, if one does."""

    chain_id: ChainId
    target_block: BlockNumber
    trigger: Hash32 | None


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


def _pool_word(pool_id: bytes) -> bytes:
    if len(pool_id) not in (ADDRESS_BYTES, WORD_BYTES):
        raise InvalidField(f"not {ADDRESS_BYTES} or {WORD_BYTES} bytes", "leg.poolId")
    return pool_id.rjust(WORD_BYTES, b"\0")
