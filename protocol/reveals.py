"""Accepts that their finder reveals, as the payload of a gossiped opportunity (docs/protocol.md).

revealed = salt ‖ leader's account ‖ words of the Accept ‖ its signature
"""

from __future__ import annotations

from typing import Final

from protocol.codec import decode_statement
from protocol.messages import SALT_BYTES, SignedAccept
from protocol.statements import Accept
from protocol.units import ADDRESS_BYTES, SIGNATURE_BYTES, Address, SignatureBytes

_LEADER: Final = slice(SALT_BYTES, SALT_BYTES + ADDRESS_BYTES)
_WORDS: Final = slice(_LEADER.stop, _LEADER.stop + Accept.LAYOUT.size)
REVEALED_BYTES: Final = _WORDS.stop + SIGNATURE_BYTES


def encode_revealed(salt: bytes, leader: Address, signed: SignedAccept) -> bytes:
    """Return what reveals an accept that `leader` signed; `salt` is SALT_BYTES that nobody could guess before."""
    return salt + leader + signed.accept.words() + signed.signature


def decode_revealed(revealed: bytes) -> tuple[Address, SignedAccept] | None:
    """Return leader and accept; None for what has another length, and so another meaning. Raises RemoteProtocolError.

    The signature is not checked: which key was in force the registry says.
    """
    if len(revealed) != REVEALED_BYTES:
        return None
    accept = decode_statement(Accept, revealed[_WORDS])
    return Address(revealed[_LEADER]), SignedAccept(accept=accept, signature=SignatureBytes(revealed[_WORDS.stop :]))
