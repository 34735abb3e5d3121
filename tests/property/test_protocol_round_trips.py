"""Whatever the values, a message survives its encoding; whatever the bytes, decoding raises RemoteProtocolError."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import claims, codec, kinds, messages, signing, statements
from protocol.errors import RemoteProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.evidence import evidence_of
from protocol.units import Address, BootId, Hash32, PeerIdHash, SignatureBytes, UnixMilliseconds, sequence_number
from tests import protocol_factories as make
from tests.claim_samples import claim_samples
from tests.protocol_factories import ALICE, BOB, DEVNET, KEYS

ADDRESSES = st.binary(min_size=20, max_size=20).filter(any)
HASHES = st.binary(min_size=32, max_size=32).filter(any)
SIGNATURES = st.binary(min_size=65, max_size=65)
BLOCKS = st.integers(1, 2**64 - 1)


def _strategy(message: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(message, **fields)


ORDERS = _strategy(
    statements.Order,
    finder=ADDRESSES,
    executor=ADDRESSES,
    target_block=BLOCKS,
    finder_bps=st.integers(0, 10_000),
    min_finder_wei=st.integers(1, 2**128 - 1),
    profit_token=ADDRESSES,
    pay_to=ADDRESSES,
    primary_key=HASHES,
    route_commit=HASHES,
)
ACCEPTS = _strategy(
    statements.Accept,
    order_hash=HASHES,
    primary_key=HASHES,
    target_block=BLOCKS,
    block_number=BLOCKS,
    timestamp=BLOCKS,
)
ATTESTATIONS = _strategy(
    statements.Attestation,
    alert_id=HASHES,
    block_hash=HASHES,
    verdict=st.sampled_from(kinds.Verdict),
    block_number=BLOCKS,
    timestamp=BLOCKS,
)
SEALING_KEYS = st.tuples(BLOCKS, BLOCKS).flatmap(
    lambda blocks: _strategy(
        statements.SealingKey,
        operator=ADDRESSES,
        public_key=HASHES,
        from_block=st.just(min(blocks)),
        until_block=st.just(max(blocks)),
    )
)
TAILS = st.one_of(st.just(b""), st.binary(min_size=32, max_size=200))
PAYLOADS = st.one_of(
    TAILS.flatmap(
        lambda tail: _strategy(
            messages.Opportunity,
            kind=st.sampled_from(kinds.OpportunityKind),
            target_block=BLOCKS,
            profit_bucket=st.integers(0, 128),
            commitment=st.just(keccak256(tail)),
            revealed=st.just(tail),
        )
    ),
    TAILS.flatmap(
        lambda tail: _strategy(
            messages.SecurityAlert,
            kind=st.sampled_from(kinds.AlertKind),
            subject=HASHES,
            severity=st.sampled_from(kinds.Severity),
            evidence_hash=st.just(keccak256(tail)),
            expiry=BLOCKS,
            evidence=st.just(tail),
        )
    ),
    _strategy(messages.SignedAttestation, attestation=ATTESTATIONS, signature=SIGNATURES),
    _strategy(
        messages.Heartbeat,
        block_number=st.integers(0, 2**64 - 1),
        block_hash=st.binary(min_size=32, max_size=32),
        capabilities=st.integers(0, 2**32 - 1),
    ),
)


@st.composite
def envelopes(draw: st.DrawFn) -> messages.Envelope:
    time = draw(st.integers(0, 2**64 - 60_001))
    return messages.Envelope(
        operator=Address(draw(ADDRESSES)),
        peer_id_hash=PeerIdHash(Hash32(draw(HASHES))),
        sequence=sequence_number(UnixMilliseconds(time), BootId(draw(st.integers(0, 2**64 - 1)))),
        expiry=UnixMilliseconds(time + draw(st.integers(1, 60_000))),
        payload=draw(PAYLOADS),
        signature=SignatureBytes(draw(SIGNATURES)),
    )


@st.composite
def double_accepts(draw: st.DrawFn) -> codec.DirectMessage:
    first, order_hash = draw(ACCEPTS), draw(HASHES)
    fields = {name: getattr(first, name) for name in first.__struct_fields__}
    if order_hash == first.order_hash:
        order_hash = bytes(byte ^ 0xFF for byte in first.order_hash[:31]) + b"\x01"
    second = statements.Accept(**(fields | {"order_hash": order_hash}))
    pair = [
        messages.SignedAccept(accept=accept, signature=SignatureBytes(draw(SIGNATURES))) for accept in (first, second)
    ]
    return evidence_of(Address(draw(ADDRESSES)), pair[0], pair[1])


DIRECT = st.one_of(
    _strategy(messages.SealedOrder, target_block=BLOCKS, ephemeral_key=HASHES, box=st.binary(min_size=1, max_size=300)),
    _strategy(messages.SignedAccept, accept=ACCEPTS, signature=SIGNATURES),
    _strategy(messages.Have, order_hash=HASHES),
    _strategy(messages.Decline, order_hash=HASHES, reason=st.sampled_from(kinds.DeclineReason)),
    st.binary(min_size=1, max_size=300).map(make.handover),
    double_accepts(),
    _strategy(messages.SignedSealingKey, sealing_key=SEALING_KEYS, signature=SIGNATURES),
    _strategy(messages.SealingKeyRequest, target_block=BLOCKS),
    _strategy(messages.PeerRecordsRequest, after=st.binary(min_size=32, max_size=32)),
    st.lists(st.binary(min_size=1, max_size=100), max_size=32).map(
        lambda records: messages.PeerRecords(records=tuple(records))
    ),
)


@given(envelopes())
def test_an_envelope_survives_its_encoding(envelope: messages.Envelope) -> None:
    encoded = codec.encode_envelope(envelope, DEVNET.separator)
    assert codec.decode_envelope(encoded, DEVNET.separator) == envelope


@given(DIRECT)
def test_a_direct_message_survives_its_encoding(message: codec.DirectMessage) -> None:
    assert codec.decode_direct(codec.encode_direct(message)) == message


@given(st.one_of(ORDERS, ACCEPTS, ATTESTATIONS, SEALING_KEYS))
def test_a_statement_survives_its_words_and_its_signer_is_recovered(statement: Any) -> None:
    assert codec.decode_statement(type(statement), statement.words()) == statement
    signature = signing.sign(DEVNET, statement, KEYS["bob"])
    assert signing.recover(signing.digest(DEVNET, statement), signature) == BOB


@given(st.binary(max_size=600), st.sampled_from([0, 1, 2, 3, 4, 5]))
def test_arbitrary_bytes_raise_only_what_the_sender_is_to_blame_for(data: bytes, kind: int) -> None:
    words = DEVNET.separator + kind.to_bytes(32, "big") + data
    for attempt in (data, words, words + bytes(65)):
        _decode_or_refuse(attempt)


@given(DIRECT.map(codec.encode_direct), st.data())
@settings(max_examples=200)
def test_a_mutated_message_is_refused_or_is_another_message_with_that_encoding(data: bytes, choose: Any) -> None:
    position = choose.draw(st.integers(0, len(data) - 1))
    change = choose.draw(st.integers(1, 255))
    _decode_or_refuse(data[:position] + bytes((data[position] ^ change,)) + data[position + 1 :])
    _decode_or_refuse(data[:position])


def _decode_or_refuse(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert codec.encode_direct(codec.decode_direct(data)) == data
    with contextlib.suppress(RemoteProtocolError):
        assert codec.encode_envelope(codec.decode_envelope(data, DEVNET.separator), DEVNET.separator) == data


@given(st.binary(min_size=65, max_size=65), st.binary(min_size=32, max_size=32))
def test_an_arbitrary_signature_is_refused_or_recovers_somebody(signature: bytes, digest: Any) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert len(signing.recover(digest, signature)) == 20


@pytest.mark.parametrize(
    "payload",
    [
        make.opportunity(),
        make.alert(),
        make.heartbeat(),
        signing.sign_attestation(DEVNET, make.attestation(), KEYS["alice"]),
    ],
)
def test_no_byte_of_a_signed_envelope_can_be_changed(payload: messages.Payload) -> None:
    encoded = codec.encode_envelope(make.envelope(payload), DEVNET.separator)
    for position in range(len(encoded)):
        for change in (0x01, 0x80):
            mutated = bytearray(encoded)
            mutated[position] ^= change
            with pytest.raises(RemoteProtocolError):
                signing.verify_envelope(DEVNET, codec.decode_envelope(bytes(mutated), DEVNET.separator), ALICE)


@given(st.sampled_from([(name, claims.encode_claim(claim)) for name, _, claim in claim_samples()]), st.data())
def test_a_mutated_claim_is_refused_or_is_another_claim_with_that_encoding(
    sample: tuple[str, bytes], choose: Any
) -> None:
    kinds_of = {size: kind for kind, size in claims.CLAIM_BYTES.items() if kind is not kinds.AlertKind.RELAY_LIES}
    data = bytearray(sample[1])
    place = choose.draw(st.integers(0, len(data) - 1))
    data[place] = choose.draw(st.integers(0, 255))
    kind = kinds.AlertKind.RELAY_LIES if "relay" in sample[0] else kinds_of[len(data)]
    with contextlib.suppress(RemoteProtocolError):
        assert claims.encode_claim(claims.decode_claim(kind, bytes(data))) == bytes(data)


@given(st.binary(max_size=700), st.sampled_from(kinds.AlertKind))
def test_arbitrary_evidence_raises_only_what_the_sender_is_to_blame_for(data: bytes, kind: kinds.AlertKind) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert claims.encode_claim(claims.decode_claim(kind, data)) == data
