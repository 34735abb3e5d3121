"""Recursive Length Prefix (Yellow Paper, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

RlpItem: TypeAlias = "bytes | Sequence[RlpItem]"


def encode_int(value: int) -> bytes:
    """Return the shortest big-endian bytes of a non-negative integer; zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode(item: RlpItem) -> bytes:
    """Encode bytes, or a nested sequence of them."""
    if isinstance(item, (bytes, bytearray)):
        if len(item) == 1 and item[0] < 0x80:
            return bytes(item)
        return _prefix(0x80, len(item)) + bytes(item)
    body = b"".join(encode(part) for part in item)
    return _prefix(0xC0, len(body)) + body


def _prefix(offset: int, length: int) -> bytes:
    if length < 56:
        return bytes((offset + length,))
    size = encode_int(length)
    return bytes((offset + 55 + len(size),)) + size
