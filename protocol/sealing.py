"""Boxes that one leader alone opens: HPKE (RFC 9180), base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305.

The box binds domain and target block by HPKE's `info`; the associated data is empty. A leader tells its sealing key by
a `SealingKey` that its hot key signed; the secret is drawn anew for each epoch, so that a stolen one opens no old box.
What opens here was encrypted for this key; by whom, the order's signature says.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from protocol import codec
from protocol.errors import BadSeal, InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.layout import WORD_BYTES
from protocol.messages import OrderHandover, SealedOrder
from protocol.signing import Domain
from protocol.statements import SealingKey
from protocol.units import HASH_BYTES, BlockNumber, Hash32

KEY_BYTES: Final = 32
_PURPOSE: Final = b"hftnode sealed order"
_SECRET_PURPOSE: Final = b"hftnode sealing key"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_KEM_ID: Final = b"KEM\x00\x20"
_HPKE_ID: Final = b"HPKE\x00\x20\x00\x01\x00\x03"


class SealingSecret:
    """An X25519 secret. It never shows in `repr`, `str`, a pickle or an error."""

    __slots__ = ("_key", "public_key")

    def __init__(self, secret: bytes) -> None:
        """Take 32 secret bytes; raise InvalidField (without them) for another length."""
        if not isinstance(secret, bytes) or len(secret) != KEY_BYTES:
            raise InvalidField(f"not {KEY_BYTES} bytes", "sealingSecret")
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self.public_key = Hash32(self._key.public_key().public_bytes_raw())

    @classmethod
    def of_epoch(cls, hot_secret: bytes, first_block: BlockNumber) -> SealingSecret:
        """Return the secret of the epoch that begins at `first_block`, derived from a hot key's secret."""
        return cls(keccak256(_SECRET_PURPOSE + first_block.to_bytes(WORD_BYTES, "big") + hot_secret))

    def open_box(self, ephemeral_key: Hash32, box: bytes, info: bytes) -> bytes:
        """Return what a box holds. Raises BadSeal."""
        try:
            return _SUITE.decrypt(ephemeral_key + box, self._key, info)
        except (InvalidTag, ValueError):
            raise BadSeal("this key does not open it", "sealedOrder.box") from None

    def shared_with(self, public_key: Hash32) -> bytes:
        """Return the X25519 secret shared with the owner of `public_key`; InvalidField for a point of low order."""
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(public_key))
        except ValueError:
            raise InvalidField("a point of low order", "sealingKey.publicKey") from None

    def __repr__(self) -> str:
        return f"SealingSecret(public_key={self.public_key.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a sealing secret does not leave its process")


def seal(domain: Domain, handover: OrderHandover, recipient: SealingKey, ephemeral: SealingSecret) -> SealedOrder:
    """Return the order in a box that only the holder of `recipient` opens.

    `ephemeral` is fresh randomness for this one box, never used again. Raises InvalidField if the key is not for the
    order's target block, or is no key.
    """
    target = handover.order.target_block
    if not recipient.from_block <= target <= recipient.until_block:
        raise InvalidField("not within the blocks of the recipient's sealing key", "sealedOrder.targetBlock")
    info = _info(domain, target)
    key, nonce = _key_and_nonce(ephemeral, recipient.public_key, info)
    box = ChaCha20Poly1305(key).encrypt(nonce, codec.encode_handover(handover), None)
    return SealedOrder(target_block=target, ephemeral_key=ephemeral.public_key, box=box)


def open_sealed(domain: Domain, sealed: SealedOrder, secret: SealingSecret) -> OrderHandover:
    """Return the order in a box. Raises BadSeal, or what is wrong with the bytes inside (RemoteProtocolError)."""
    plain = secret.open_box(sealed.ephemeral_key, sealed.box, _info(domain, sealed.target_block))
    handover = codec.decode_handover(plain)
    if handover.order.target_block != sealed.target_block:
        raise BadSeal("the order inside is for another block", "sealedOrder.targetBlock")
    return handover


def _info(domain: Domain, target: BlockNumber) -> bytes:
    return _PURPOSE + domain.separator + target.to_bytes(WORD_BYTES, "big")


def _key_and_nonce(ephemeral: SealingSecret, recipient: Hash32, info: bytes) -> tuple[bytes, bytes]:
    """RFC 9180: Encap of DHKEM with this ephemeral key, then the key schedule of base mode."""
    shared = ephemeral.shared_with(recipient)
    extracted = _extract(_KEM_ID, b"", b"eae_prk", shared)
    secret = _expand(_KEM_ID, extracted, b"shared_secret", ephemeral.public_key + recipient, HASH_BYTES)
    context = b"\0" + _extract(_HPKE_ID, b"", b"psk_id_hash", b"") + _extract(_HPKE_ID, b"", b"info_hash", info)
    scheduled = _extract(_HPKE_ID, secret, b"secret", b"")
    return (
        _expand(_HPKE_ID, scheduled, b"key", context, HASH_BYTES),
        _expand(_HPKE_ID, scheduled, b"base_nonce", context, 12),
    )


def _extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    return _hmac(salt or bytes(HASH_BYTES), b"HPKE-v1" + suite + label + key)


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of at most one block of SHA-256."""
    return _hmac(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\1")[:length]


def _hmac(key: bytes, data: bytes) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(data)
    return mac.finalize()
