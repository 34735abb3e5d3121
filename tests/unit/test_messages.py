"""Messages: what exists can be encoded; what cannot be is refused when it is built, as our own fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protocol import kinds, messages
from protocol.errors import Expired, InvalidField, LocalProtocolError, TooLarge
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence, contradict, evidence_of
from protocol.units import ZERO_ADDRESS, ZERO_HASH, BootId, Hash32, SignatureBytes, UnixMilliseconds, sequence_number
from tests import protocol_factories as make
from tests.protocol_factories import BOB, NOW

SIGNATURE = SignatureBytes(b"\1" * 65)


@pytest.mark.parametrize(
    ("build", "changes", "where"),
    [
        (make.order, {"finder": ZERO_ADDRESS}, "order.finder"),
        (make.order, {"executor": ZERO_ADDRESS}, "order.executor"),
        (make.order, {"target_block": 0}, "order.targetBlock"),
        (make.order, {"target_block": 1 << 64}, "order.targetBlock"),
        (make.order, {"finder_bps": 10_001}, "order.finderBps"),
        (make.order, {"min_finder_wei": 0}, "order.minFinderWei"),
        (make.order, {"min_finder_wei": 1 << 128}, "order.minFinderWei"),
        (make.order, {"profit_token": ZERO_ADDRESS}, "order.profitToken"),
        (make.order, {"pay_to": ZERO_ADDRESS}, "order.payTo"),
        (make.order, {"primary_key": ZERO_HASH}, "order.primaryKey"),
        (make.order, {"route_commit": b"short"}, "order.routeCommit"),
        (make.accept, {"order_hash": ZERO_HASH}, "accept.orderHash"),
        (make.accept, {"timestamp": 0}, "accept.timestamp"),
        (make.accept, {"timestamp": 1.5}, "accept.timestamp"),
        (make.attestation, {"verdict": 1}, "attestation.verdict"),
        (make.attestation, {"block_hash": ZERO_HASH}, "attestation.blockHash"),
        (make.opportunity, {"kind": 2}, "opportunity.kind"),
        (make.opportunity, {"profit_bucket": 129}, "opportunity.profitBucket"),
        (make.opportunity, {"revealed": b"short"}, "opportunity.revealed"),
        (make.opportunity, {"revealed": bytes(33)}, "opportunity.revealed"),
        (make.opportunity, {"revealed": "text"}, "opportunity.revealed"),
        (make.opportunity, {"revealed": bytes(7 * 1024 + 1)}, "opportunity.revealed"),
        (make.alert, {"evidence": b"other"}, "securityAlert.evidence"),
        (make.alert, {"evidence": bytes(4 * 1024 + 1)}, "securityAlert.evidence"),
        (make.alert, {"subject": ZERO_HASH}, "securityAlert.subject"),
        (make.heartbeat, {"capabilities": 1 << 32}, "heartbeat.capabilities"),
    ],
)
def test_a_wrong_field_is_our_own_fault_and_named(
    build: Callable[..., object], changes: dict[str, Any], where: str
) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        build(**changes)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"operator": ZERO_ADDRESS}, "envelope.operator"),
        ({"peer_id_hash": ZERO_HASH}, "envelope.peerIdHash"),
        ({"sequence": 1 << 128}, "envelope.sequence"),
        ({"expiry": NOW}, "envelope.expiry"),
        ({"expiry": NOW + 60_001}, "envelope.expiry"),
        ({"payload": make.order()}, "envelope.payload"),
        ({"signature": b"short"}, "envelope.signature"),
    ],
)
def test_an_envelope_with_a_wrong_field_is_refused(changes: dict[str, Any], where: str) -> None:
    fields: dict[str, Any] = {
        "operator": BOB,
        "peer_id_hash": make.hash_of("peer"),
        "sequence": sequence_number(NOW, BootId(1)),
        "expiry": NOW + 60_000,
        "payload": make.heartbeat(),
    }
    messages.Envelope(**fields)
    with pytest.raises(InvalidField) as caught:
        messages.Envelope(**(fields | changes))
    assert caught.value.where == where


def test_an_envelope_knows_its_kind_by_its_payload() -> None:
    assert make.envelope(make.alert()).kind is kinds.PayloadKind.ALERT


def test_an_envelope_is_current_within_the_tolerance_of_clocks() -> None:
    envelope = make.envelope(make.heartbeat())
    for now in (NOW - 2_000, NOW, envelope.expiry + 2_000):
        messages.require_current(envelope, UnixMilliseconds(now))


@pytest.mark.parametrize(("now", "where"), [(NOW - 2_001, "envelope.sequence"), (NOW + 12_001, "envelope.expiry")])
def test_an_envelope_from_the_future_or_the_past_is_expired(now: int, where: str) -> None:
    with pytest.raises(Expired) as caught:
        messages.require_current(make.envelope(make.heartbeat()), UnixMilliseconds(now))
    assert caught.value.where == where


def test_a_sealed_order_has_a_box_within_its_cap() -> None:
    key = make.hash_of("ephemeral")
    with pytest.raises(InvalidField):
        messages.SealedOrder(target_block=make.order().target_block, ephemeral_key=key, box=b"")
    with pytest.raises(TooLarge):
        messages.SealedOrder(target_block=make.order().target_block, ephemeral_key=key, box=bytes(16 * 1024 + 1))


def test_a_route_must_be_the_one_committed_to() -> None:
    with pytest.raises(InvalidField, match="routeCommit"):
        messages.OrderHandover(order=make.order(), signature=SIGNATURE, route=b"another route")


def test_a_route_does_not_show_in_repr() -> None:
    route = b"secret path through the pools"
    handover = messages.OrderHandover(
        order=make.order(route_commit=Hash32(keccak256(route))), signature=SIGNATURE, route=route
    )
    assert "secret" not in repr(handover)
    assert "<29 bytes>" in repr(handover)


def test_the_largest_payloads_fit_into_an_envelope() -> None:
    from protocol.codec import encode_envelope

    revealed = bytes(messages.MAX_REVEALED_BYTES)
    largest = make.opportunity(commitment=Hash32(keccak256(revealed)), revealed=revealed)
    encoded = encode_envelope(make.envelope(largest), make.DEVNET.separator)
    assert len(encoded) <= messages.MAX_ENVELOPE_BYTES


def test_two_accepts_for_one_leg_and_block_contradict_each_other() -> None:
    one = make.accept()
    assert contradict(one, make.accept(order_hash=make.hash_of("other")))
    assert not contradict(one, make.accept(timestamp=5))
    assert not contradict(one, make.accept(order_hash=make.hash_of("other"), target_block=5))
    assert not contradict(one, make.accept(order_hash=make.hash_of("other"), primary_key=make.hash_of("leg 2")))


def test_two_verdicts_on_one_alert_and_block_contradict_each_other() -> None:
    one = make.attestation()
    assert contradict(one, make.attestation(verdict=kinds.Verdict.REFUTED))
    assert not contradict(one, make.attestation(block_number=5))
    assert not contradict(one, make.attestation(verdict=kinds.Verdict.REFUTED, block_hash=make.hash_of("other")))
    assert not contradict(one, make.accept())


@pytest.mark.parametrize("pair", [make.double_accept(), make.contradiction()])
def test_evidence_is_the_same_whichever_statement_came_first(pair: Any) -> None:
    one, other = pair
    assert evidence_of(BOB, one, other) == evidence_of(BOB, other, one)


def test_what_contradicts_nothing_is_no_evidence() -> None:
    accept, attestation = make.double_accept()[0], make.contradiction()[0]
    with pytest.raises(InvalidField, match="does not contradict"):
        evidence_of(BOB, accept, accept)
    with pytest.raises(InvalidField, match="not two of"):
        evidence_of(BOB, accept, attestation)


def test_evidence_names_an_operator_and_its_own_kind_of_statement() -> None:
    a, b = make.double_accept()
    fields: dict[str, Any] = {
        "operator": BOB,
        "statement_a": a.accept,
        "signature_a": a.signature,
        "statement_b": b.accept,
        "signature_b": b.signature,
    }
    with pytest.raises(InvalidField, match="Attestation"):
        Evidence(kind=kinds.EvidenceKind.CONTRADICTING_ATTESTATION, **fields)
    with pytest.raises(InvalidField, match=r"evidence\.operator: zero"):
        Evidence(kind=kinds.EvidenceKind.DOUBLE_ACCEPT, **(fields | {"operator": ZERO_ADDRESS}))
