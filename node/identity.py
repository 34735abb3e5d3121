"""What a node's libp2p identity, 32 secret bytes of Ed25519, makes of it in the protocol; without libp2p.

An Ed25519 peer id is the multihash (identity) of the key in libp2p's protobuf: a fixed head before its 32 bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.ethereum.keccak import keccak256
from protocol.units import Hash32, PeerIdHash

SEED_BYTES: Final = 32
_PEER_ID_HEAD: Final = bytes.fromhex("002408011220")
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer_id_bytes(seed: bytes) -> bytes:
    """Return the peer id of an identity. Raises ValueError for another number of bytes than 32."""
    return _PEER_ID_HEAD + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def peer_id_text(seed: bytes) -> str:
    """Return the peer id as people write it, in base58, such as 12D3KooW…"""
    raw = peer_id_bytes(seed)
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        text = _ALPHABET[digit] + text
    return _ALPHABET[0] * (len(raw) - len(raw.lstrip(b"\0"))) + text


def write_identity(path: Path, seed: bytes) -> None:
    """Write an identity into a new file that only this user reads. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(seed)


def peer_id_hash(seed: bytes) -> PeerIdHash:
    """Return the hash by which the registry and the protocol name the peer of an identity."""
    return PeerIdHash(Hash32(keccak256(peer_id_bytes(seed))))
