"""secp256k1 keys, addresses and recoverable signatures (coincurve)."""

from __future__ import annotations

from typing import Final, NamedTuple

from coincurve import PrivateKey, PublicKey

from protocol.ethereum.keccak import keccak256

SECP256K1_N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Signature(NamedTuple):
    """A recoverable ECDSA signature: `r`, `s` in [1, n), `y_parity` 0 or 1."""

    r: int
    s: int
    y_parity: int

    def to_bytes(self) -> bytes:
        """Return the 65 bytes r ‖ s ‖ v with v = 27 or 28, as `ecrecover` and OpenZeppelin's ECDSA take them."""
        return self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes((27 + self.y_parity,))


class SigningKey:
    """A secp256k1 private key. Its secret never shows in `repr`, `str` or an error."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        self.address: str = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign a 32-byte digest deterministically (RFC 6979), with low s (EIP-2)."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64])

    def __repr__(self) -> str:
        return f"SigningKey({self.address})"


def address_of(public_key: PublicKey) -> str:
    """Return the lower-case hex address of a public key: the last 20 bytes of its Keccak digest."""
    return "0x" + keccak256(public_key.format(compressed=False)[1:])[12:].hex()


def recover_address(digest: bytes, signature: Signature) -> str:
    """Return the lower-case hex address whose key signed `digest`."""
    raw = signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes((signature.y_parity,))
    return address_of(PublicKey.from_signature_and_message(raw, digest, hasher=None))


def checksum_address(address: str) -> str:
    """Return the EIP-55 mixed-case form of a hex address."""
    plain = address[2:].lower()
    digest = keccak256(plain.encode()).hex()
    return "0x" + "".join(c.upper() if int(digest[i], 16) >= 8 else c for i, c in enumerate(plain))
