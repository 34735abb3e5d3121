"""Keccak-256 as Ethereum uses it (the original padding, not FIPS 202's)."""

from __future__ import annotations

from sha3 import keccak_256 as _keccak_256


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 digest of `data` (Yellow Paper, appendix on notation)."""
    digest: bytes = _keccak_256(data).digest()
    return digest
