"""secp256k1 keys, addresses and recoverable signatures (coincurve).

Errors (protocol.errors): a key or a digest of ours that cannot be used is `InvalidField`; a signature of somebody
else's that is malformed or recovers to nothing is `BadSignature`; an address that is none is `FieldOutOfRange`.
No error carries a secret.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol

from coincurve import PrivateKey, PublicKey

from protocol.errors import BadSignature, FieldOutOfRange, InvalidField
from protocol.ethereum.keccak import keccak256

SECP256K1_N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_N: Final = SECP256K1_N // 2
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Signature(NamedTuple):
    """A recoverable ECDSA signature: `r`, `s` in [1, n), `y_parity` 0 or 1."""

    r: int
    s: int
    y_parity: int

    def to_bytes(self) -> bytes:
        """Return the 65 bytes r ‖ s ‖ v with v = 27 or 28, as `ecrecover` and OpenZeppelin's ECDSA take them."""
        return self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes((27 + self.y_parity,))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Signature:
        """Read the 65 bytes of `to_bytes`, strictly: v is 27 or 28, r and s in range, s low.

        Raises BadSignature.
        """
        if len(raw) != 65:
            raise BadSignature(f"a signature has 65 bytes, got {len(raw)}")
        if raw[64] not in (27, 28):
            raise BadSignature(f"v is 27 or 28, got {raw[64]}")
        signature = cls(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64] - 27)
        signature.check()
        return signature

    @property
    def is_low_s(self) -> bool:
        """Return whether `s` is in the lower half, as EIP-2 wants: the other half signs the same just as well."""
        return self.s <= HALF_N

    def check(self, *, low_s: bool = True) -> None:
        """Raise BadSignature unless r, s and the parity are in range and, with `low_s`, s is low (EIP-2)."""
        if self.y_parity not in (0, 1):
            raise BadSignature("the parity is 0 or 1")
        if not (0 < self.r < SECP256K1_N and 0 < self.s < SECP256K1_N):
            raise BadSignature("r or s is out of range")
        if low_s and self.s > HALF_N:
            raise BadSignature("s is in the upper half of its range (EIP-2)")


class KeccakSigner(Protocol):
    """Signs as one account: by a key here, or by one that is elsewhere and hashes by itself what it signs."""

    @property
    def address(self) -> str:
        """The account, lower-case hex."""

    def sign_keccak(self, data: bytes) -> Signature:
        """Sign keccak(data), with low s."""


class SigningKey:
    """A secp256k1 private key. Its secret never shows in `repr`, `str`, a pickle or an error."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes of a secret in [1, n); raise InvalidField (without the secret) for anything else."""
        if not isinstance(secret, bytes) or len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < SECP256K1_N:
            raise InvalidField("a secp256k1 secret is 32 bytes with a value in [1, n)")
        self._key = PrivateKey(secret)
        self.address: str = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign a 32-byte digest deterministically (RFC 6979), with low s (EIP-2)."""
        if len(digest) != 32:
            raise InvalidField(f"a digest has 32 bytes, got {len(digest)}")
        raw = self._key.sign_recoverable(digest, hasher=None)
        return Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64])

    def sign_keccak(self, data: bytes) -> Signature:
        """Sign keccak(data), as `sign_digest` does."""
        return self.sign_digest(keccak256(data))

    def __repr__(self) -> str:
        return f"SigningKey({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a signing key does not leave its process")


def address_of(public_key: PublicKey) -> str:
    """Return the lower-case hex address of a public key: the last 20 bytes of its Keccak digest."""
    return "0x" + keccak256(public_key.format(compressed=False)[1:])[12:].hex()


def recover_address(digest: bytes, signature: Signature) -> str:
    """Return the lower-case hex address whose key signed `digest`.

    Takes high s too: whoever must not, calls `signature.check()` first. Raises BadSignature.
    """
    if len(digest) != 32:
        raise InvalidField(f"a digest has 32 bytes, got {len(digest)}")
    signature.check(low_s=False)
    raw = signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes((signature.y_parity,))
    try:
        return address_of(PublicKey.from_signature_and_message(raw, digest, hasher=None))
    except Exception as error:  # coincurve raises a bare Exception where no point has this r
        raise BadSignature("no key can have made this signature") from error


def address_bytes(address: str) -> bytes:
    """Return the 20 bytes of a hex address in any case; raise FieldOutOfRange if it is none."""
    if not isinstance(address, str) or not _ADDRESS.match(address):
        raise FieldOutOfRange(f"an address is 0x and 40 hex digits, got {str(address)[:50]!r}")
    return bytes.fromhex(address[2:])


def checksum_address(address: str) -> str:
    """Return the EIP-55 mixed-case form of a hex address; raise FieldOutOfRange if it is none."""
    plain = address_bytes(address).hex()
    digest = keccak256(plain.encode()).hex()
    return "0x" + "".join(c.upper() if int(digest[i], 16) >= 8 else c for i, c in enumerate(plain))


def icap_address(address: str) -> str:
    """Return the ICAP (IBAN-like) form of an address: XE, two check digits (ISO 7064, mod 97-10), base 36."""
    number, digits = int.from_bytes(address_bytes(address), "big"), ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    digits = digits.rjust(30, "0")
    spelled = "".join(str(_BASE36.index(char)) for char in digits + "XE00")
    return f"XE{98 - int(spelled) % 97:02}{digits}"
