"""The frozen messages: what operators gossip, send each other, and prove to the court.

gossip (inside a signed `Envelope`)       direct (on a stream between two nodes)
├── Opportunity                           ├── SealedOrder      a box whose plaintext is an OrderHandover
├── SecurityAlert                         ├── OrderHandover    a signed Order and its route
├── SignedAttestation                     ├── SignedAccept     one of the three answers
└── Heartbeat                             ├── Have             the leader has it already
                                          ├── Decline          the leader does not want it
                                          ├── Evidence         two statements that contradict each other
                                          ├── SealingKeyRequest  which key seals orders for this block?
                                          ├── SignedSealingKey   the answer
                                          ├── PeerRecordsRequest  whose records do you have, from here on?
                                          └── PeerRecords        the answer

Order, Accept, Attestation and SealingKey stand in `statements`, Evidence in `evidence`.
All check their fields when they are built (InvalidField, TooLarge).
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

from msgspec import Struct

from protocol.errors import Expired, InvalidField, TooLarge
from protocol.ethereum.keccak import keccak256
from protocol.kinds import AlertKind, DeclineReason, OpportunityKind, PayloadKind, Severity
from protocol.layout import Field, StructLayout
from protocol.statements import Accept, Attestation, Message, Order, SealingKey
from protocol.units import (
    SIGNATURE_BYTES,
    Address,
    BlockNumber,
    Hash32,
    PeerIdHash,
    ProfitBucket,
    SequenceNumber,
    SignatureBytes,
    UnixMilliseconds,
    UnixSeconds,
    milliseconds_of,
)

MAX_ENVELOPE_BYTES: Final = 8 * 1024
MAX_REVEALED_BYTES: Final = 7 * 1024
MAX_EVIDENCE_BYTES: Final = 4 * 1024
MAX_ROUTE_BYTES: Final = 12 * 1024
MAX_BOX_BYTES: Final = 16 * 1024
MAX_RECORDS: Final = 32
MAX_RECORD_BYTES: Final = 512
SALT_BYTES: Final = 32
MAX_LIFETIME_MS: Final = 60_000
CLOCK_TOLERANCE_MS: Final = 2_000
MAX_PROFIT_BUCKET: Final = 128
UNSIGNED: Final = SignatureBytes(bytes(SIGNATURE_BYTES))
"""Holds the place of a signature in a message that is about to be signed; nobody's key recovers from it."""


class Opportunity(Message, frozen=True, kw_only=True):
    """A find, told without giving it away: kind, target block, order of magnitude, and a commitment.

    `commitment` is Keccak-256 of `revealed`: a secret 32-byte salt, then the payload. `revealed` stays empty until the
    opportunity is included or expired, and is at most 7 KiB.
    """

    LAYOUT: ClassVar = StructLayout(
        "Opportunity",
        Field("kind", "uint8", OpportunityKind),
        Field("target_block", "uint64"),
        Field("profit_bucket", "uint8"),
        Field("commitment", "bytes32"),
    )
    kind: OpportunityKind
    target_block: BlockNumber
    profit_bucket: ProfitBucket
    commitment: Hash32
    revealed: bytes = b""

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("target_block", "commitment")
        if self.profit_bucket > MAX_PROFIT_BUCKET:
            raise InvalidField(f"more than {MAX_PROFIT_BUCKET}", self._path("profit_bucket"))
        _check_tail(self.revealed, 0, MAX_REVEALED_BYTES, self._path("revealed"))
        if self.revealed and len(self.revealed) < SALT_BYTES:
            raise InvalidField(f"shorter than its {SALT_BYTES}-byte salt", self._path("revealed"))
        if self.revealed and keccak256(self.revealed) != self.commitment:
            raise InvalidField("does not open the commitment", self._path("revealed"))


class SecurityAlert(Message, frozen=True, kw_only=True):
    """A past fact, or "avoid X". Its id is its EIP-712 struct hash, `signing.alert_id`.

    `evidence` is what a receiver recomputes from: empty (ask for it), or at most 4 KiB with Keccak-256 `evidence_hash`.
    """

    LAYOUT: ClassVar = StructLayout(
        "SecurityAlert",
        Field("kind", "uint8", AlertKind),
        Field("subject", "bytes32"),
        Field("severity", "uint8", Severity),
        Field("evidence_hash", "bytes32"),
        Field("expiry", "uint64"),
    )
    kind: AlertKind
    subject: Hash32
    severity: Severity
    evidence_hash: Hash32
    expiry: UnixSeconds
    evidence: bytes = b""

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("subject", "evidence_hash", "expiry")
        _check_tail(self.evidence, 0, MAX_EVIDENCE_BYTES, self._path("evidence"))
        if self.evidence and keccak256(self.evidence) != self.evidence_hash:
            raise InvalidField("does not hash to evidenceHash", self._path("evidence"))


class Heartbeat(Message, frozen=True, kw_only=True):
    """The head that a node follows and what it offers. Never slashed."""

    LAYOUT: ClassVar = StructLayout(
        "Heartbeat",
        Field("block_number", "uint64"),
        Field("block_hash", "bytes32"),
        Field("capabilities", "uint32"),
    )
    block_number: BlockNumber
    block_hash: Hash32
    capabilities: int


class SignedAttestation(Struct, frozen=True, kw_only=True):
    """An attestation with the attester's own signature: the brake and the court read it without its envelope."""

    attestation: Attestation
    signature: SignatureBytes

    def __post_init__(self) -> None:
        check_signature(self.signature, "attestation.signature")


Payload: TypeAlias = "Opportunity | SecurityAlert | SignedAttestation | Heartbeat"

_PAYLOAD_KINDS: Final[dict[type, PayloadKind]] = {
    Opportunity: PayloadKind.OPPORTUNITY,
    SecurityAlert: PayloadKind.ALERT,
    SignedAttestation: PayloadKind.ATTESTATION,
    Heartbeat: PayloadKind.HEARTBEAT,
}


class Envelope(Message, frozen=True, kw_only=True):
    """What is gossiped: a payload, who says it, from which peer, and for how long it may travel.

    `sequence` rises strictly per operator (`sequence_number`). `expiry` lies after the sequence's time by at most 60 s.
    An envelope is UNSIGNED until `signing.sign_envelope`; no key ever recovers from that signature.
    """

    LAYOUT: ClassVar = StructLayout(
        "Envelope",
        Field("kind", "uint8", PayloadKind),
        Field("operator", "address"),
        Field("peer_id_hash", "bytes32"),
        Field("sequence", "uint128"),
        Field("expiry", "uint64"),
        Field("payload", "bytes"),
    )
    operator: Address
    peer_id_hash: PeerIdHash
    sequence: SequenceNumber
    expiry: UnixMilliseconds
    payload: Payload
    signature: SignatureBytes = UNSIGNED

    def __post_init__(self) -> None:
        if type(self.payload) not in _PAYLOAD_KINDS:
            raise InvalidField("not a payload", self._path("payload"))
        self.LAYOUT.check(self)
        self._refuse_zero("operator", "peer_id_hash")
        check_signature(self.signature, self._path("signature"))
        lifetime = self.expiry - milliseconds_of(self.sequence)
        if not 0 < lifetime <= MAX_LIFETIME_MS:
            raise InvalidField(f"not 1 to {MAX_LIFETIME_MS} ms after the sequence's time", self._path("expiry"))

    @property
    def kind(self) -> PayloadKind:
        """What the payload is."""
        return _PAYLOAD_KINDS[type(self.payload)]


class OrderHandover(Struct, frozen=True, kw_only=True):
    """What a sealed order's box holds: the signed order and the route, 1 B to 12 KiB, which never shows in `repr`."""

    order: Order
    signature: SignatureBytes
    route: bytes

    def __post_init__(self) -> None:
        check_signature(self.signature, "orderHandover.signature")
        _check_tail(self.route, 1, MAX_ROUTE_BYTES, "orderHandover.route")
        if keccak256(self.route) != self.order.route_commit:
            raise InvalidField("does not hash to the order's routeCommit", "orderHandover.route")

    def __repr__(self) -> str:
        return f"OrderHandover(order={self.order!r}, route=<{len(self.route)} bytes>)"


class SignedAccept(Struct, frozen=True, kw_only=True):
    """The leader's answer that binds it."""

    accept: Accept
    signature: SignatureBytes

    def __post_init__(self) -> None:
        check_signature(self.signature, "accept.signature")


class SealedOrder(Message, frozen=True, kw_only=True):
    """A box for the leader of `target_block`: the sender's ephemeral X25519 key, and 1 B to 16 KiB of sealed bytes."""

    LAYOUT: ClassVar = StructLayout("SealedOrder", Field("target_block", "uint64"), Field("ephemeral_key", "bytes32"))
    target_block: BlockNumber
    ephemeral_key: Hash32
    box: bytes

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("target_block", "ephemeral_key")
        _check_tail(self.box, 1, MAX_BOX_BYTES, self._path("box"))


class Have(Message, frozen=True, kw_only=True):
    """The leader's answer: it has this opportunity already. Not signed; the stream is authenticated."""

    LAYOUT: ClassVar = StructLayout("Have", Field("order_hash", "bytes32"))
    order_hash: Hash32


class Decline(Message, frozen=True, kw_only=True):
    """The leader's answer: no, and why. Not signed; the stream is authenticated."""

    LAYOUT: ClassVar = StructLayout("Decline", Field("order_hash", "bytes32"), Field("reason", "uint8", DeclineReason))
    order_hash: Hash32
    reason: DeclineReason


class SealingKeyRequest(Message, frozen=True, kw_only=True):
    """Asks for the sealing key that the answering operator uses for orders with this target block."""

    LAYOUT: ClassVar = StructLayout("SealingKeyRequest", Field("target_block", "uint64"))
    target_block: BlockNumber

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("target_block")


class SignedSealingKey(Struct, frozen=True, kw_only=True):
    """A sealing key with the hot key's signature."""

    sealing_key: SealingKey
    signature: SignatureBytes

    def __post_init__(self) -> None:
        check_signature(self.signature, "sealingKey.signature")


class PeerRecordsRequest(Message, frozen=True, kw_only=True):
    """Asks for signed records of peers, in the order of the hashes of their ids as on a ring, behind `after`."""

    LAYOUT: ClassVar = StructLayout("PeerRecordsRequest", Field("after", "bytes32"))
    after: Hash32


class PeerRecords(Struct, frozen=True, kw_only=True):
    """The next of these, at most MAX_RECORDS, each as `peer_records` has it; empty if there are none."""

    records: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.records) > MAX_RECORDS or not all(0 < len(record) <= MAX_RECORD_BYTES for record in self.records):
            raise TooLarge(f"more than {MAX_RECORDS} records of 1 to {MAX_RECORD_BYTES} bytes", "peerRecords")


def require_current(envelope: Envelope, now: UnixMilliseconds) -> None:
    """Raise Expired if the envelope is past its expiry or from the future, by more than clocks may differ (2 s)."""
    if envelope.expiry + CLOCK_TOLERANCE_MS < now:
        raise Expired(f"expired {now - envelope.expiry} ms ago", "envelope.expiry")
    ahead = milliseconds_of(envelope.sequence) - now
    if ahead > CLOCK_TOLERANCE_MS:
        raise Expired(f"made {ahead} ms in the future", "envelope.sequence")


def check_signature(signature: bytes, where: str) -> None:
    """Raise InvalidField unless `signature` has the shape of one; who made it is for `signing`."""
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise InvalidField(f"not {SIGNATURE_BYTES} bytes", where)


def _check_tail(tail: bytes, at_least: int, at_most: int, where: str) -> None:
    if not isinstance(tail, bytes):
        raise InvalidField("not bytes", where)
    if len(tail) < at_least:
        raise InvalidField("empty", where)
    if len(tail) > at_most:
        raise TooLarge(f"{len(tail)} bytes, more than {at_most}", where)
