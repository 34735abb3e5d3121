"""Reads bytes from front to back, for encodings whose fields have an order."""

from __future__ import annotations

from protocol.errors import TruncatedMessage


class ByteReader:
    """The bytes of a message; `where` names it in errors."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._where, self._place = data, where, 0

    @property
    def is_at_end(self) -> bool:
        """Whether all was taken."""
        return self._place == len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next bytes. Raises TruncatedMessage where there are not as many."""
        piece = self._data[self._place : self._place + size]
        if len(piece) != size:
            raise TruncatedMessage("ends inside a field", self._where)
        self._place += size
        return piece

    def uint(self, size: int) -> int:
        """Return the next bytes as a number, the most significant first. Raises TruncatedMessage."""
        return int.from_bytes(self.take(size), "big")
