"""Who sends a request to a builder: the header `X-Flashbots-Signature: address:signature`.

The signature is EIP-191 ("personal sign") over the text of the body's Keccak digest: 0x and 64 lower-case hex digits
(docs.flashbots.net, JSON-RPC endpoints, "Authentication"; flashbots/go-utils, signature.go).

SignatureRefused    the header is missing, malformed, or by another key; `reason` says which
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from devnet.errors import DevnetError
from protocol.errors import RemoteProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, SigningKey, checksum_address, recover_address

HEADER: Final = "X-Flashbots-Signature"

_FORM: Final = re.compile(r"(0x[0-9a-fA-F]{40}):(0x[0-9a-fA-F]{130})\Z")
_PREFIX: Final = b"\x19Ethereum Signed Message:\n66"


class SignatureFault(Enum):
    """What is wrong with the header. The value is the message of the error."""

    MISSING = "no signature provided"
    MALFORMED = "invalid signature provided: the header is address:signature, both hex with 0x"
    UNRECOVERABLE = "invalid signature provided: no key can have made it"
    OTHER_SIGNER = "invalid signature provided: it is not by the address of the header"


class SignatureRefused(DevnetError):
    """The request is not signed by whom it claims; `reason` is a `SignatureFault`."""

    def __init__(self, reason: SignatureFault) -> None:
        super().__init__(reason.value)
        self.reason = reason


def sign_body(body: bytes, key: SigningKey) -> str:
    """Return the value of the header for a body as it goes over the wire."""
    signature = key.sign_digest(_digest(body))
    return f"{checksum_address(key.address)}:0x{signature.to_bytes().hex()}"


def verify_body(header: str | None, body: bytes) -> str:
    """Return the signer (lower-case hex) of a body. Raises `SignatureRefused`.

    Recovery ids 0, 1, 27 and 28 are taken, and high s too, as go-ethereum's recovery does.
    """
    if not header:
        raise SignatureRefused(SignatureFault.MISSING)
    if (match := _FORM.match(header)) is None:
        raise SignatureRefused(SignatureFault.MALFORMED)
    raw = bytes.fromhex(match[2][2:])
    parity = raw[64] - 27 if raw[64] >= 27 else raw[64]
    try:
        signature = Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), parity)
        signer = recover_address(_digest(body), signature)
    except RemoteProtocolError as error:
        raise SignatureRefused(SignatureFault.UNRECOVERABLE) from error
    if signer != match[1].lower():
        raise SignatureRefused(SignatureFault.OTHER_SIGNER)
    return signer


def _digest(body: bytes) -> bytes:
    return keccak256(_PREFIX + b"0x" + keccak256(body).hex().encode())
