"""Signatures: strict, bound to their domain, and the same as a generic EIP-712 encoder computes them."""

from __future__ import annotations

import pytest

from protocol import signing
from protocol.errors import BadSignature, InvalidField
from protocol.units import ZERO_ADDRESS, Address, ChainId
from tests import protocol_factories as make
from tests.protocol_factories import ALICE, BOB, DEVNET, DOMAINS, KEYS


def test_the_signer_of_an_envelope_is_verified() -> None:
    envelope = make.envelope(make.heartbeat())
    signing.verify_envelope(DEVNET, envelope, ALICE)
    with pytest.raises(BadSignature, match="made by"):
        signing.verify_envelope(DEVNET, envelope, BOB)


def test_an_unsigned_envelope_is_refused() -> None:
    from msgspec.structs import replace

    from protocol.messages import UNSIGNED

    with pytest.raises(BadSignature):
        signing.verify_envelope(DEVNET, replace(make.envelope(make.heartbeat()), signature=UNSIGNED), ALICE)


def test_signing_is_deterministic() -> None:
    assert signing.sign(DEVNET, make.order(), KEYS["alice"]) == signing.sign(DEVNET, make.order(), KEYS["alice"])


def test_a_signature_does_not_count_on_another_chain_or_registry() -> None:
    signature = signing.sign(DEVNET, make.order(), KEYS["alice"])
    for domain in (DOMAINS["mainnet"], signing.Domain(DEVNET.chain_id, Address(BOB))):
        with pytest.raises(BadSignature):
            signing.verify(domain, make.order(), signature, ALICE)


@pytest.mark.parametrize(("chain_id", "registry"), [(0, BOB), (1 << 64, BOB), (1, ZERO_ADDRESS), (1, b"short")])
def test_a_domain_has_a_chain_and_a_registry(chain_id: int, registry: bytes) -> None:
    with pytest.raises(InvalidField, match="domain"):
        signing.Domain(ChainId(chain_id), Address(registry))


def test_an_alerts_id_follows_its_facts_and_not_what_travels_along() -> None:
    from protocol.ethereum.keccak import keccak256
    from protocol.units import Hash32

    evidence = b"the transactions"
    bare = make.alert(evidence_hash=Hash32(keccak256(evidence)))
    assert signing.alert_id(bare) == signing.alert_id(make.alert(evidence_hash=bare.evidence_hash, evidence=evidence))
    assert signing.alert_id(bare) != signing.alert_id(make.alert())
