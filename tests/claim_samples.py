"""Claims, and bytes that are none: what the vectors and the tests are made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.engine.network.claims import relay_subject
from protocol.claims import Claim, FlaggedContract, LyingRelay, MisbehavingPeer, encode_claim
from protocol.codec import encode_direct
from protocol.evidence import Evidence, evidence_of
from protocol.kinds import AlertKind, ContractFault, RelayFault, Verdict
from protocol.messages import Have
from protocol.signing import sign_accept, sign_attestation
from protocol.units import Address, BlockNumber, Hash32
from tests import protocol_factories as make
from tests.block_alert_samples import POOL, header
from tests.protocol_factories import BOB, DEVNET, KEYS, hash_of

TOKEN: Final = Address(b"\x21" * 20)
TOKEN_SUBJECT: Final = Hash32(TOKEN.rjust(32, b"\0"))
RELAY: Final = "https://relay.example"
PEER_OF_BOB: Final = hash_of("peer of bob")


def flagged(fault: ContractFault = ContractFault.HONEYPOT, holder: Address = POOL, number: int = 7) -> FlaggedContract:
    """Return a token that was flagged at a block."""
    return FlaggedContract(block_hash=header(number).hash, fault=fault, holder=holder)


def double_accept(signer: str = "bob", number: int = 7) -> Evidence:
    """Return two accepts of one leg in a block, by a key that may be bob's."""
    block = {"target_block": BlockNumber(number), "block_number": BlockNumber(number - 1)}
    said = [make.accept(order_hash=hash_of(order), **block) for order in ("one", "another")]
    one, other = (sign_accept(DEVNET, accept, KEYS[signer]) for accept in said)
    return evidence_of(BOB, one, other)


def two_verdicts(number: int = 7, **changes: object) -> Evidence:
    """Return two verdicts on one alert of a block."""
    block = {
        "block_hash": header(number).hash,
        "block_number": BlockNumber(number),
        "timestamp": header(number).timestamp,
    }
    said = [make.attestation(**(block | changes | {"verdict": verdict})) for verdict in Verdict]
    one, other = (sign_attestation(DEVNET, attestation, KEYS["bob"]) for attestation in said)
    return evidence_of(BOB, one, other)


def misbehaving(evidence: Evidence, number: int = 7) -> MisbehavingPeer:
    """Return the claim that evidence makes about a block."""
    return MisbehavingPeer(block_hash=header(number).hash, evidence=evidence)


def lying(number: int = 7, bundle: str = "bundle") -> LyingRelay:
    """Return a relay's lie."""
    fault = RelayFault.NAMES_ANOTHER_BUNDLE
    return LyingRelay(block_hash=header(number).hash, fault=fault, bundle_hash=hash_of(bundle))


def claim_samples() -> Iterator[tuple[str, Hash32, Claim]]:
    """Yield claims with what they are about."""
    yield "a honeypot", TOKEN_SUBJECT, flagged()
    yield "a token that takes a fee", TOKEN_SUBJECT, flagged(ContractFault.TAKES_FEE)
    yield "a relay that names another bundle", relay_subject(RELAY), lying()
    yield "two accepts for one leg", PEER_OF_BOB, misbehaving(double_accept())
    yield "two verdicts on one alert", PEER_OF_BOB, misbehaving(two_verdicts())


def refused_claims() -> Iterator[tuple[str, AlertKind, bytes]]:
    """Yield bytes that are no evidence of their kind."""
    honeypot, lie = encode_claim(flagged()), encode_claim(lying())
    proof = encode_claim(misbehaving(double_accept()))
    yield "a contract's fault 0", AlertKind.CONTRACT_FLAGGED, honeypot[:63] + b"\0" + honeypot[64:]
    yield "a contract's fault 3", AlertKind.CONTRACT_FLAGGED, honeypot[:63] + b"\3" + honeypot[64:]
    yield "a holder with something before it", AlertKind.CONTRACT_FLAGGED, honeypot[:64] + b"\1" + honeypot[65:]
    yield "a contract's evidence with a byte more", AlertKind.CONTRACT_FLAGGED, honeypot + b"\0"
    yield "a relay's fault 2", AlertKind.RELAY_LIES, lie[:63] + b"\2" + lie[64:]
    yield "a relay's evidence with a byte less", AlertKind.RELAY_LIES, lie[:-1]
    yield "two accepts that do not contradict", AlertKind.PEER_MISBEHAVES, proof[:128] + 2 * proof[128:353]
    have = encode_direct(Have(order_hash=hash_of("order")))
    yield "another direct message", AlertKind.PEER_MISBEHAVES, header().hash + have
    yield "the evidence of a sandwich", AlertKind.SANDWICH_SEEN, bytes(128)
