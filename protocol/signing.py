"""EIP-712 digests of everything that is signed, and strict signatures over them.

The domain is (name "hftnode", version "1", chainId, verifyingContract = the registry). The words of a statement are its
encodeData, so a digest is two Keccaks over bytes that are at hand. A signature is 65 bytes r ‖ s ‖ v with v = 27 or 28,
0 < r < n, 0 < s ≤ n/2, as OpenZeppelin's ECDSA takes it: its twin with high s and other v is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from msgspec.structs import replace

from protocol.codec import encode_payload, envelope_words
from protocol.errors import BadSignature, InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, SigningKey, recover_address
from protocol.messages import Envelope, SecurityAlert, SignedAccept, SignedAttestation, SignedSealingKey
from protocol.statements import Accept, Attestation, SealingKey, Statement
from protocol.units import (
    ADDRESS_BYTES,
    Address,
    ChainId,
    Hash32,
    SignatureBytes,
    address_from_hex,
    address_to_hex,
    max_uint,
)

DOMAIN_TYPE: Final = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
DOMAIN_NAME: Final = "hftnode"
DOMAIN_VERSION: Final = "1"

Signable: TypeAlias = Envelope | Statement

_DOMAIN_PREFIX: Final = b"".join(keccak256(text.encode()) for text in (DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION))


@dataclass(frozen=True)
class Domain:
    """Where signatures count: one chain, by an id of 1 to 2^64 - 1, and one registry on it."""

    chain_id: ChainId
    registry: Address

    def __post_init__(self) -> None:
        if not 0 < self.chain_id <= max_uint(64):
            raise InvalidField("outside 1 to 2^64 - 1", "domain.chainId")
        if len(self.registry) != ADDRESS_BYTES or not any(self.registry):
            raise InvalidField(f"not {ADDRESS_BYTES} bytes, or zero", "domain.verifyingContract")

    @cached_property
    def separator(self) -> Hash32:
        """EIP-712's domainSeparator: hashStruct of EIP712Domain."""
        words = _DOMAIN_PREFIX + self.chain_id.to_bytes(32, "big") + self.registry.rjust(32, b"\0")
        return Hash32(keccak256(words))


def digest(domain: Domain, message: Signable) -> Hash32:
    """Return keccak(0x1901 ‖ domainSeparator ‖ hashStruct(message)). An order's digest is its `orderHash`."""
    if isinstance(message, Envelope):
        words = envelope_words(message, encode_payload(message.payload))
    else:
        words = message.words()
    return Hash32(keccak256(b"\x19\x01" + domain.separator + message.LAYOUT.hash_struct(words)))


def alert_id(alert: SecurityAlert) -> Hash32:
    """Return hashStruct of the alert: what attestations name. It commits to the evidence by `evidenceHash`."""
    return alert.LAYOUT.hash_struct(alert.LAYOUT.words(alert))


def sign(domain: Domain, message: Signable, key: SigningKey) -> SignatureBytes:
    """Return the 65-byte signature of a message, deterministic, with low s. Slashable ones pass the store first."""
    return SignatureBytes(key.sign_digest(digest(domain, message)).to_bytes())


def sign_envelope(domain: Domain, envelope: Envelope, key: SigningKey) -> Envelope:
    """Return the envelope with its signature."""
    return replace(envelope, signature=sign(domain, envelope, key))


def sign_accept(domain: Domain, accept: Accept, key: SigningKey) -> SignedAccept:
    """Return the accept with its signature."""
    return SignedAccept(accept=accept, signature=sign(domain, accept, key))


def sign_attestation(domain: Domain, attestation: Attestation, key: SigningKey) -> SignedAttestation:
    """Return the attestation with its signature."""
    return SignedAttestation(attestation=attestation, signature=sign(domain, attestation, key))


def sign_sealing_key(domain: Domain, sealing_key: SealingKey, key: SigningKey) -> SignedSealingKey:
    """Return the sealing key with its signature."""
    return SignedSealingKey(sealing_key=sealing_key, signature=sign(domain, sealing_key, key))


def recover(signed: Hash32, signature: bytes) -> Address:
    """Return the address whose key made `signature` over the digest `signed`; BadSignature unless it is strict."""
    return address_from_hex(recover_address(signed, Signature.from_bytes(signature)))


def verify(domain: Domain, message: Signable, signature: bytes, signer: Address) -> None:
    """Raise BadSignature unless `signer`, an operator's hot key in force, signed `message`."""
    recovered = recover(digest(domain, message), signature)
    if recovered != signer:
        raise BadSignature(f"made by {address_to_hex(recovered)}, not {address_to_hex(signer)}", "signature")


def verify_envelope(domain: Domain, envelope: Envelope, signer: Address) -> None:
    """Raise BadSignature unless `signer`, the operator's hot key in force, signed the envelope as it stands."""
    verify(domain, envelope, envelope.signature, signer)
