"""Canonical bytes of every message: exactly one encoding each, anything else is refused (docs/protocol.md, ADR 0003).

Whatever the bytes, decoding raises only RemoteProtocolError, in time linear in their number and without recursion. A
message that exists has checked itself, so encoding cannot fail.

    envelope   domainSeparator ‖ kind ‖ operator ‖ peerIdHash ‖ sequence ‖ expiry ‖ payload ‖ signature
    direct     kind ‖ body
    payload and body: the words of the struct, then its signature if signed by itself, then its variable bytes if any
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, assert_never

from protocol.errors import (
    FieldOutOfRange,
    LocalProtocolError,
    OversizeMessage,
    TrailingBytes,
    TruncatedMessage,
    UnknownKind,
    WrongDomain,
)
from protocol.ethereum.keccak import keccak256
from protocol.evidence import EVIDENCE_HEAD, STATEMENT_OF_EVIDENCE, Evidence
from protocol.kinds import DirectKind, PayloadKind
from protocol.layout import WORD_BYTES, StructLayout
from protocol.messages import (
    MAX_BOX_BYTES,
    MAX_ENVELOPE_BYTES,
    MAX_EVIDENCE_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    MAX_REVEALED_BYTES,
    MAX_ROUTE_BYTES,
    Decline,
    Envelope,
    Have,
    Heartbeat,
    Opportunity,
    OrderHandover,
    Payload,
    PeerRecords,
    PeerRecordsRequest,
    SealedOrder,
    SealingKeyRequest,
    SecurityAlert,
    SignedAccept,
    SignedAttestation,
    SignedSealingKey,
)
from protocol.statements import Accept, Attestation, Order, SealingKey, Statement
from protocol.units import SIGNATURE_BYTES, Hash32, SignatureBytes

DirectMessage: TypeAlias = (
    SealedOrder
    | OrderHandover
    | SignedAccept
    | Have
    | Decline
    | Evidence
    | SignedSealingKey
    | SealingKeyRequest
    | PeerRecordsRequest
    | PeerRecords
)

_ENVELOPE_HEAD_BYTES: Final = 6 * WORD_BYTES
_RECORD_LENGTH_BYTES: Final = 2
_MIN_ENVELOPE_BYTES: Final = _ENVELOPE_HEAD_BYTES + SIGNATURE_BYTES
_Built = TypeVar("_Built")
_Statement = TypeVar("_Statement", bound=Statement)


def encode_envelope(envelope: Envelope, domain_separator: Hash32) -> bytes:
    """Return the wire form of an envelope under a domain (`signing.Domain.separator`), at most 8 KiB."""
    payload = encode_payload(envelope.payload)
    return domain_separator + envelope_words(envelope, payload)[:-WORD_BYTES] + payload + envelope.signature


def decode_envelope(data: bytes, domain_separator: Hash32) -> Envelope:
    """Return the envelope that `data` is under this domain. The signature's shape is checked, not who made it."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise OversizeMessage(f"{len(data)} bytes, more than {MAX_ENVELOPE_BYTES}", "envelope")
    if len(data) < _MIN_ENVELOPE_BYTES:
        raise TruncatedMessage(f"{len(data)} bytes, fewer than {_MIN_ENVELOPE_BYTES}", "envelope")
    if data[:WORD_BYTES] != domain_separator:
        raise WrongDomain("signed for another chain, registry or version", "envelope.domainSeparator")
    payload = data[_ENVELOPE_HEAD_BYTES:-SIGNATURE_BYTES]
    fields = Envelope.LAYOUT.read(data[WORD_BYTES:_ENVELOPE_HEAD_BYTES] + keccak256(payload))
    fields["payload"] = decode_payload(fields.pop("kind"), payload, "envelope.payload.")
    return _build(Envelope, "", signature=SignatureBytes(data[-SIGNATURE_BYTES:]), **fields)


def envelope_words(envelope: Envelope, payload: bytes) -> bytes:
    """Return EIP-712's encodeData of an envelope whose payload encodes to `payload`."""
    return Envelope.LAYOUT.pack(
        (
            envelope.kind,
            envelope.operator,
            envelope.peer_id_hash,
            envelope.sequence,
            envelope.expiry,
            keccak256(payload),
        )
    )


def encode_payload(payload: Payload) -> bytes:
    """Return the bytes that an envelope carries for `payload`."""
    match payload:
        case Opportunity():
            return Opportunity.LAYOUT.words(payload) + payload.revealed
        case SecurityAlert():
            return SecurityAlert.LAYOUT.words(payload) + payload.evidence
        case SignedAttestation():
            return payload.attestation.words() + payload.signature
        case Heartbeat():
            return Heartbeat.LAYOUT.words(payload)
        case _:
            assert_never(payload)


def decode_payload(kind: PayloadKind, data: bytes, where: str = "") -> Payload:
    """Return the payload of this kind that `data` is."""
    return _PAYLOADS[kind](data, where)


def encode_direct(message: DirectMessage) -> bytes:
    """Return the wire form of a message on a direct stream; the stream's own framing tells its length."""
    kind, body = _direct_parts(message)
    return kind.to_bytes(WORD_BYTES, "big") + body


def decode_direct(data: bytes) -> DirectMessage:
    """Return the direct message that `data` is."""
    if len(data) > MAX_DIRECT_BYTES:
        raise OversizeMessage(f"{len(data)} bytes, more than {MAX_DIRECT_BYTES}", "direct")
    if len(data) < WORD_BYTES:
        raise TruncatedMessage("no kind", "direct.kind")
    number = int.from_bytes(data[:WORD_BYTES], "big")
    decode = _DIRECT.get(number)
    if decode is None:
        raise UnknownKind("DirectKind has no such number", "direct.kind")
    return decode(data[WORD_BYTES:], "direct.")


def encode_handover(message: OrderHandover) -> bytes:
    """Return the body of an order handover: what a sealed order's box holds."""
    return message.order.words() + message.signature + message.route


def decode_handover(data: bytes, where: str = "") -> OrderHandover:
    """Return the order handover whose body `data` is."""
    size = Order.LAYOUT.size + SIGNATURE_BYTES
    if len(data) > size + MAX_ROUTE_BYTES:
        raise OversizeMessage(f"more than {MAX_ROUTE_BYTES} bytes of route", f"{where}orderHandover.route")
    order, signature = _signed(Order, data[:size], f"{where}orderHandover.")
    return _build(OrderHandover, where, order=order, signature=signature, route=data[size:])


def decode_statement(kind: type[_Statement], words: bytes, where: str = "") -> _Statement:
    """Return the statement whose words these are; `statement.words()` is the inverse."""
    return _build(kind, where, **kind.LAYOUT.read(words, where))


def _direct_parts(message: DirectMessage) -> tuple[DirectKind, bytes]:
    match message:
        case SealedOrder():
            return DirectKind.SEALED_ORDER, SealedOrder.LAYOUT.words(message) + message.box
        case OrderHandover():
            return DirectKind.ORDER_HANDOVER, encode_handover(message)
        case SignedAccept():
            return DirectKind.ACCEPT, message.accept.words() + message.signature
        case Have():
            return DirectKind.HAVE, Have.LAYOUT.words(message)
        case Decline():
            return DirectKind.DECLINE, Decline.LAYOUT.words(message)
        case Evidence():
            a = message.statement_a.words() + message.signature_a
            b = message.statement_b.words() + message.signature_b
            return DirectKind.EVIDENCE, EVIDENCE_HEAD.words(message) + a + b
        case SignedSealingKey():
            return DirectKind.SEALING_KEY, message.sealing_key.words() + message.signature
        case SealingKeyRequest():
            return DirectKind.SEALING_KEY_REQUEST, SealingKeyRequest.LAYOUT.words(message)
        case PeerRecordsRequest():
            return DirectKind.PEER_RECORDS_REQUEST, PeerRecordsRequest.LAYOUT.words(message)
        case PeerRecords():
            sized = (len(record).to_bytes(_RECORD_LENGTH_BYTES, "big") + record for record in message.records)
            return DirectKind.PEER_RECORDS, b"".join(sized)
        case _:
            assert_never(message)


def _decode_opportunity(data: bytes, where: str) -> Opportunity:
    words, revealed = _split(data, Opportunity.LAYOUT, MAX_REVEALED_BYTES, where)
    return _build(Opportunity, where, revealed=revealed, **Opportunity.LAYOUT.read(words, where))


def _decode_alert(data: bytes, where: str) -> SecurityAlert:
    words, evidence = _split(data, SecurityAlert.LAYOUT, MAX_EVIDENCE_BYTES, where)
    return _build(SecurityAlert, where, evidence=evidence, **SecurityAlert.LAYOUT.read(words, where))


def _decode_attestation(data: bytes, where: str) -> SignedAttestation:
    attestation, signature = _signed(Attestation, data, where)
    return SignedAttestation(attestation=attestation, signature=signature)


def _decode_heartbeat(data: bytes, where: str) -> Heartbeat:
    return _build(Heartbeat, where, **Heartbeat.LAYOUT.read(data, where))


def _decode_sealed(data: bytes, where: str) -> SealedOrder:
    words, box = _split(data, SealedOrder.LAYOUT, MAX_BOX_BYTES, where)
    return _build(SealedOrder, where, box=box, **SealedOrder.LAYOUT.read(words, where))


def _decode_accept(data: bytes, where: str) -> SignedAccept:
    accept, signature = _signed(Accept, data, where)
    return SignedAccept(accept=accept, signature=signature)


def _decode_have(data: bytes, where: str) -> Have:
    return _build(Have, where, **Have.LAYOUT.read(data, where))


def _decode_decline(data: bytes, where: str) -> Decline:
    return _build(Decline, where, **Decline.LAYOUT.read(data, where))


def _decode_sealing_key(data: bytes, where: str) -> SignedSealingKey:
    sealing_key, signature = _signed(SealingKey, data, where)
    return SignedSealingKey(sealing_key=sealing_key, signature=signature)


def _decode_sealing_key_request(data: bytes, where: str) -> SealingKeyRequest:
    return _build(SealingKeyRequest, where, **SealingKeyRequest.LAYOUT.read(data, where))


def _decode_peer_records_request(data: bytes, where: str) -> PeerRecordsRequest:
    return _build(PeerRecordsRequest, where, **PeerRecordsRequest.LAYOUT.read(data, where))


def _decode_peer_records(data: bytes, where: str) -> PeerRecords:
    records: list[bytes] = []
    while data:
        size = int.from_bytes(data[:_RECORD_LENGTH_BYTES], "big")
        if len(records) == MAX_RECORDS or size > MAX_RECORD_BYTES:
            raise OversizeMessage(f"more than {MAX_RECORDS} records of {MAX_RECORD_BYTES} bytes", f"{where}peerRecords")
        record, data = data[_RECORD_LENGTH_BYTES:][:size], data[_RECORD_LENGTH_BYTES + size :]
        if not size or len(record) < size:
            raise TruncatedMessage("a record that is empty, or ends too early", f"{where}peerRecords")
        records.append(record)
    return PeerRecords(records=tuple(records))


def _decode_evidence(data: bytes, where: str) -> Evidence:
    head = EVIDENCE_HEAD.read(data[: EVIDENCE_HEAD.size], where)
    statement = STATEMENT_OF_EVIDENCE[head["kind"]]
    size = statement.LAYOUT.size + SIGNATURE_BYTES
    first, second = data[EVIDENCE_HEAD.size :][:size], data[EVIDENCE_HEAD.size + size :]
    a, signature_a = _signed(statement, first, f"{where}evidence.statementA.")
    b, signature_b = _signed(statement, second, f"{where}evidence.statementB.")
    return _build(
        Evidence,
        where,
        **head,
        statement_a=a,
        signature_a=signature_a,
        statement_b=b,
        signature_b=signature_b,
    )


def _signed(kind: type[_Statement], data: bytes, where: str) -> tuple[_Statement, SignatureBytes]:
    size = kind.LAYOUT.size
    expected = size + SIGNATURE_BYTES
    if len(data) < expected:
        raise TruncatedMessage(f"{len(data)} bytes instead of {expected}", f"{where}{kind.LAYOUT.path}")
    if len(data) > expected:
        raise TrailingBytes(f"{len(data)} bytes instead of {expected}", f"{where}{kind.LAYOUT.path}")
    return decode_statement(kind, data[:size], where), SignatureBytes(data[size:])


def _split(data: bytes, layout: StructLayout, at_most: int, where: str) -> tuple[bytes, bytes]:
    if len(data) > layout.size + at_most:
        raise OversizeMessage(f"more than {at_most} variable bytes", f"{where}{layout.path}")
    return data[: layout.size], data[layout.size :]


def _build(message: Callable[..., _Built], where: str, /, **fields: Any) -> _Built:
    """Build a message from a stranger's values: what would be our mistake is the sender's here."""
    try:
        return message(**fields)
    except LocalProtocolError as error:
        raise FieldOutOfRange(error.what, f"{where}{error.where}") from None


_PAYLOADS: Final[dict[PayloadKind, Callable[[bytes, str], Payload]]] = {
    PayloadKind.OPPORTUNITY: _decode_opportunity,
    PayloadKind.ALERT: _decode_alert,
    PayloadKind.ATTESTATION: _decode_attestation,
    PayloadKind.HEARTBEAT: _decode_heartbeat,
}
_DIRECT: Final[dict[int, Callable[[bytes, str], DirectMessage]]] = {
    DirectKind.SEALED_ORDER: _decode_sealed,
    DirectKind.ORDER_HANDOVER: decode_handover,
    DirectKind.ACCEPT: _decode_accept,
    DirectKind.HAVE: _decode_have,
    DirectKind.DECLINE: _decode_decline,
    DirectKind.EVIDENCE: _decode_evidence,
    DirectKind.SEALING_KEY: _decode_sealing_key,
    DirectKind.SEALING_KEY_REQUEST: _decode_sealing_key_request,
    DirectKind.PEER_RECORDS_REQUEST: _decode_peer_records_request,
    DirectKind.PEER_RECORDS: _decode_peer_records,
}
MAX_DIRECT_BYTES: Final = WORD_BYTES + SealedOrder.LAYOUT.size + MAX_BOX_BYTES
"""The largest direct message: a sealed order."""
