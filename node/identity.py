"""What a node's libp2p identity, 32 secret bytes of Ed25519, makes of it in the protocol; without libp2p.

An Ed25519 peer id is the multihash (identity) of the key in libp2p's protobuf: a fixed head before its 32 bytes.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.ethereum.keccak import keccak256
from protocol.units import Hash32, PeerIdHash

SEED_BYTES: Final = 32
_PEER_ID_HEAD: Final = bytes.fromhex("002408011220")


def peer_id_bytes(seed: bytes) -> bytes:
    """Return the peer id of an identity. Raises ValueError for another number of bytes than 32."""
    return _PEER_ID_HEAD + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def peer_id_hash(seed: bytes) -> PeerIdHash:
    """Return the hash by which the registry and the protocol name the peer of an identity."""
    return PeerIdHash(Hash32(keccak256(peer_id_bytes(seed))))
