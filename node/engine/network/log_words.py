"""The 32-byte words of a log's data, as integers."""

from __future__ import annotations

from node.engine.vault_logs import Log
from protocol.units import HASH_BYTES


def words_of(log: Log, count: int) -> list[int] | None:
    """Return the `count` words of a log's data, unsigned; None if there are not exactly so many."""
    if len(log.data) != count * HASH_BYTES:
        return None
    starts = range(0, len(log.data), HASH_BYTES)
    return [int.from_bytes(log.data[start : start + HASH_BYTES], "big") for start in starts]


def signed(word: int) -> int:
    """Return a word as a signed integer (two's complement)."""
    return word - (1 << 256) if word >> 255 else word
