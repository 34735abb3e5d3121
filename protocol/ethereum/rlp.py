"""Recursive Length Prefix (Yellow Paper, appendix B).

Decoding is strict: one value has one encoding, everything else is refused with the offset of the offending byte.

RlpError(MalformedMessage)      `fault` says which rule was broken, `offset` at which byte
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from protocol.errors import InvalidField, MalformedMessage

RlpItem: TypeAlias = "bytes | Sequence[RlpItem]"
DecodedItem: TypeAlias = "bytes | list[DecodedItem]"

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 65_536


class RlpFault(StrEnum):
    """The rule that an encoding broke."""

    EMPTY = "there is nothing to decode"
    TRUNCATED = "the input ends inside a length"
    SIZE = "an item is longer than what contains it"
    TRAILING = "bytes follow the end of the item"
    LEADING_ZERO = "a length starts with a zero byte"
    NOT_SHORTEST = "a shorter encoding of this item exists"
    TOO_DEEP = "lists are nested too deeply"
    TOO_MANY = "there are too many items"


class RlpError(MalformedMessage):
    """Bytes that are not the canonical encoding of one item."""

    def __init__(self, fault: RlpFault, offset: int) -> None:
        super().__init__(f"{fault} (byte {offset})")
        self.fault = fault
        self.offset = offset

    def __reduce__(self) -> tuple[type[RlpError], tuple[RlpFault, int]]:  # type: ignore[override]
        return type(self), (self.fault, self.offset)


def encode_int(value: int) -> bytes:
    """Return the shortest big-endian bytes of a non-negative integer; zero is empty."""
    if value < 0:
        raise InvalidField(f"RLP has no negative integers, got {value}")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode(item: RlpItem) -> bytes:
    """Encode bytes, or a nested sequence of them.

    Raises InvalidField for anything else (text, numbers): those have no encoding of their own.
    """
    if isinstance(item, (bytes, bytearray)):
        if len(item) == 1 and item[0] < 0x80:
            return bytes(item)
        return length_prefix(0x80, len(item)) + bytes(item)
    if not isinstance(item, (list, tuple)):
        raise InvalidField(f"RLP encodes bytes, lists and tuples, not {type(item).__name__}")
    body = b"".join([encode(part) for part in item])
    return length_prefix(0xC0, len(body)) + body


def length_prefix(offset: int, length: int) -> bytes:
    """Return the header of a string (`offset` 0x80) or list (0xC0) whose payload has `length` bytes."""
    if length < 56:
        return bytes((offset + length,))
    size = encode_int(length)
    return bytes((offset + 55 + len(size),)) + size


def decode(data: bytes, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> DecodedItem:
    """Decode exactly one item: bytes, or a list of items.

    `max_depth` bounds the nesting of lists (a flat list has depth 1), `max_items` the items of all lists together.
    Raises RlpError.
    """
    if not data:
        raise RlpError(RlpFault.EMPTY, 0)
    items = _Reader(data, max_items).items(0, len(data), max_depth + 1, single=True)
    return items[0]


class _Reader:
    """One pass over one buffer, with what is left of its budget of items."""

    __slots__ = ("_budget", "_data")

    def __init__(self, data: bytes, max_items: int) -> None:
        self._data = data
        self._budget = max_items + 1

    def items(self, position: int, end: int, depth: int, *, single: bool = False) -> list[DecodedItem]:
        """Return the items between two offsets; with `single`, exactly one."""
        if not depth:
            raise RlpError(RlpFault.TOO_DEEP, position)
        data = self._data
        items: list[DecodedItem] = []
        while position < end:
            if single and items:
                raise RlpError(RlpFault.TRAILING, position)
            self._budget -= 1
            if self._budget < 0:
                raise RlpError(RlpFault.TOO_MANY, position)
            first = data[position]
            if first < 0x80:
                items.append(data[position : position + 1])
                position += 1
            elif first < 0xB8:
                stop = position + first - 0x7F
                if stop > end:
                    raise RlpError(RlpFault.SIZE, position)
                if first == 0x81 and data[position + 1] < 0x80:
                    raise RlpError(RlpFault.NOT_SHORTEST, position)
                items.append(data[position + 1 : stop])
                position = stop
            else:
                start, stop = self._long(first, position, end)
                items.append(data[start:stop] if first < 0xC0 else self.items(start, stop, depth - 1))
                position = stop
        return items

    def _long(self, first: int, position: int, end: int) -> tuple[int, int]:
        """Return the payload's bounds of a list, or of a string of 56 bytes and more."""
        if 0xC0 <= first < 0xF8:
            start, length = position + 1, first - 0xC0
        else:
            size_bytes = first - (0xB7 if first < 0xC0 else 0xF7)
            start = position + 1 + size_bytes
            if start > end:
                raise RlpError(RlpFault.TRUNCATED, position)
            if not self._data[position + 1]:
                raise RlpError(RlpFault.LEADING_ZERO, position)
            length = int.from_bytes(self._data[position + 1 : start], "big")
            if length < 56:
                raise RlpError(RlpFault.NOT_SHORTEST, position)
        if start + length > end:
            raise RlpError(RlpFault.SIZE, position)
        return start, start + length
