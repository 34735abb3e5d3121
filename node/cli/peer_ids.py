"""A libp2p peer id as people write it (base58), to the hash by which the registry knows it."""

from __future__ import annotations

from typing import Any, Final

import click

from protocol.ethereum.keccak import keccak256
from protocol.units import Hash32, PeerIdHash

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SIZES: Final = range(32, 65)
"""Bytes of a peer id: a multihash of a public key or of its digest."""


class PeerId(click.ParamType[PeerIdHash]):
    """A peer id; comes as its Keccak-256."""

    name = "peer id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PeerIdHash:
        """Return the hash."""
        if isinstance(value, bytes):
            return PeerIdHash(Hash32(value))
        raw = _base58(value)
        if raw is None or len(raw) not in _SIZES:
            self.fail(f"{value[:70]!r} is no libp2p peer id, such as 12D3KooW…", param, ctx)
        return PeerIdHash(Hash32(keccak256(raw)))


def _base58(text: str) -> bytes | None:
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            return None
        number = number * len(_ALPHABET) + digit
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
