"""Messages, keys and domains for tests and vectors: plausible, always the same, changed where a test needs it.

The keys are alice's, bob's and carol's; carol is the operator whose hot key is alice's.
"""

from __future__ import annotations

from typing import Any, Final

from protocol import kinds, messages, sealing, signing, statements
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.units import (
    BasisPoints,
    BlockNumber,
    BootId,
    ChainId,
    Hash32,
    LegKey,
    PeerIdHash,
    ProfitBucket,
    TokenAmount,
    UnixMilliseconds,
    UnixSeconds,
    address_from_hex,
    sequence_number,
)

NOW: Final = UnixMilliseconds(1_790_000_000_123)


def hash_of(text: str) -> Hash32:
    """Return a recognisable 32-byte value."""
    return Hash32(keccak256(text.encode()))


SECRETS: Final = {name: hash_of(f"hftnode vectors, key of {name}") for name in ("alice", "bob", "carol")}
KEYS: Final = {name: SigningKey(secret) for name, secret in SECRETS.items()}
ADDRESSES: Final = {name: address_from_hex(key.address) for name, key in KEYS.items()}
ALICE, BOB, CAROL = (ADDRESSES[name] for name in ("alice", "bob", "carol"))
WETH: Final = address_from_hex("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
DOMAINS: Final = {
    "devnet": signing.Domain(ChainId(31337), address_from_hex("0x5fbdb2315678afecb367f032d93f642f64180aa3")),
    "mainnet": signing.Domain(ChainId(1), address_from_hex("0x00000000000000000000000000000000feedc0de")),
}
DEVNET: Final = DOMAINS["devnet"]


def order(**changes: Any) -> statements.Order:
    """Return a plausible order with `changes`."""
    fields: dict[str, Any] = {
        "finder": ALICE,
        "executor": BOB,
        "target_block": BlockNumber(21_000_000),
        "finder_bps": BasisPoints(5_000),
        "min_finder_wei": TokenAmount(12_345_678_901_234_567),
        "profit_token": WETH,
        "pay_to": CAROL,
        "primary_key": LegKey(hash_of("leg")),
        "route_commit": hash_of("route"),
    }
    return statements.Order(**(fields | changes))


def accept(**changes: Any) -> statements.Accept:
    """Return a plausible accept with `changes`."""
    fields: dict[str, Any] = {
        "order_hash": hash_of("order"),
        "primary_key": LegKey(hash_of("leg")),
        "target_block": BlockNumber(21_000_000),
        "block_number": BlockNumber(20_999_999),
        "timestamp": UnixSeconds(1_790_000_000),
    }
    return statements.Accept(**(fields | changes))


def attestation(**changes: Any) -> statements.Attestation:
    """Return a plausible attestation with `changes`."""
    fields: dict[str, Any] = {
        "alert_id": hash_of("alert"),
        "block_hash": hash_of("block"),
        "verdict": kinds.Verdict.CONFIRMED,
        "block_number": BlockNumber(20_999_998),
        "timestamp": UnixSeconds(1_789_999_988),
    }
    return statements.Attestation(**(fields | changes))


def opportunity(**changes: Any) -> messages.Opportunity:
    """Return a plausible opportunity with `changes`."""
    fields: dict[str, Any] = {
        "kind": kinds.OpportunityKind.BACKRUN,
        "target_block": BlockNumber(21_000_000),
        "profit_bucket": ProfitBucket(54),
        "commitment": hash_of("commitment"),
    }
    return messages.Opportunity(**(fields | changes))


def alert(**changes: Any) -> messages.SecurityAlert:
    """Return a plausible alert with `changes`."""
    fields: dict[str, Any] = {
        "kind": kinds.AlertKind.SANDWICH_SEEN,
        "subject": Hash32(WETH.rjust(32, b"\0")),
        "severity": kinds.Severity.MEDIUM,
        "evidence_hash": hash_of("evidence"),
        "expiry": UnixSeconds(1_790_003_600),
    }
    return messages.SecurityAlert(**(fields | changes))


def heartbeat(**changes: Any) -> messages.Heartbeat:
    """Return a plausible heartbeat with `changes`."""
    fields: dict[str, Any] = {
        "block_number": BlockNumber(20_999_999),
        "block_hash": hash_of("head"),
        "capabilities": int(kinds.Capability.ACCEPTS_ORDERS | kinds.Capability.EXECUTOR_LIVE),
    }
    return messages.Heartbeat(**(fields | changes))


def envelope(payload: messages.Payload, domain: signing.Domain = DEVNET, **changes: Any) -> messages.Envelope:
    """Return an envelope of operator carol, signed by alice as her hot key."""
    fields: dict[str, Any] = {
        "operator": CAROL,
        "peer_id_hash": PeerIdHash(hash_of("peer id")),
        "sequence": sequence_number(NOW, BootId(7)),
        "expiry": UnixMilliseconds(NOW + 10_000),
        "payload": payload,
    }
    return signing.sign_envelope(domain, messages.Envelope(**(fields | changes)), KEYS["alice"])


def sealing_secret(name: str = "bob's sealing key") -> sealing.SealingSecret:
    """Return an X25519 secret that everybody knows."""
    return sealing.SealingSecret(hash_of(name))


def sealing_key(**changes: Any) -> statements.SealingKey:
    """Return bob's sealing key for blocks about that of `order`, with `changes`."""
    fields: dict[str, Any] = {
        "operator": BOB,
        "public_key": sealing_secret().public_key,
        "from_block": BlockNumber(20_995_200),
        "until_block": BlockNumber(21_002_399),
    }
    return statements.SealingKey(**(fields | changes))


def handover(route: bytes = b"route") -> messages.OrderHandover:
    """Return alice's signed order with its route."""
    offered = order(route_commit=Hash32(keccak256(route)))
    return messages.OrderHandover(order=offered, signature=signing.sign(DEVNET, offered, KEYS["alice"]), route=route)


def double_accept() -> tuple[messages.SignedAccept, messages.SignedAccept]:
    """Return two accepts by which bob could be slashed."""
    one, other = (accept(order_hash=hash_of(text)) for text in ("order", "another order"))
    return signing.sign_accept(DEVNET, one, KEYS["bob"]), signing.sign_accept(DEVNET, other, KEYS["bob"])


def contradiction() -> tuple[messages.SignedAttestation, messages.SignedAttestation]:
    """Return two attestations by which bob could be slashed."""
    one, other = (attestation(verdict=verdict) for verdict in kinds.Verdict)
    return signing.sign_attestation(DEVNET, one, KEYS["bob"]), signing.sign_attestation(DEVNET, other, KEYS["bob"])
