"""What is done with a gossiped message: accept it, ignore it, or reject it and blame who sent it. Pure: time is given.

    GossipVerdict(ProtocolError)   why, as a `reason`; only counted, never shown to the sender
    ├── GossipIgnore               stale, a duplicate, or not for us to judge: who relayed it is not to blame
    │   └── GossipStale            of another time than ours, with the time at which it was made
    └── GossipReject               every honest node would have refused it: who sent it to us should have, too

The checks stand in the order of what they cost. Nothing but buckets changes before the last one has passed. A reject
must not depend on what nodes may see differently: head, registry, time. Those ignore.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple, NoReturn, assert_never

from protocol.buckets import BucketRules, Buckets, StakeRates
from protocol.codec import decode_envelope
from protocol.errors import (
    BadSignature,
    Expired,
    InvalidField,
    OversizeMessage,
    ProtocolError,
    RemoteProtocolError,
    WrongDomain,
)
from protocol.kinds import PayloadKind
from protocol.messages import (
    Envelope,
    Heartbeat,
    Opportunity,
    SecurityAlert,
    SignedAttestation,
    require_current,
)
from protocol.seen import Seen, Sequences
from protocol.signing import Domain, digest, recover
from protocol.statements import Attestation
from protocol.units import (
    Address,
    BlockNumber,
    PeerIdHash,
    StakeUnits,
    UnixMilliseconds,
    UnixSeconds,
    milliseconds_of,
)

MAX_OPERATORS: Final = 4_096
BLOCKS_AHEAD: Final = 64
BLOCKS_BEHIND: Final = 512
MAX_ALERT_SECONDS: Final = 7 * 24 * 3_600


class IgnoreReason(Enum):
    """Why a message is ignored."""

    FORWARDER_TOO_FAST = "who sent it to us sends too much"
    STALE = "it has expired, or is from the future"
    DUPLICATE = "it was accepted before"
    UNKNOWN_OPERATOR = "no operator of this account has enough stake, as far as we know"
    OTHER_PEER = "the registry binds the operator to another peer id, as far as we know"
    UNKNOWN_KEY = "signed by a key that is not the operator's, as far as we know"
    OPERATOR_TOO_FAST = "the operator sends more than its stake allows"
    OLD_SEQUENCE = "the operator's sequence number was there, or is far below the last ones"
    BLOCK_AHEAD = "it speaks of a block far ahead of our head"
    BLOCK_BEHIND = "it speaks of a block long past"
    EARLY_REVEAL = "it reveals an opportunity that is not over, as far as we know"
    ALERT_OVER = "the alert has expired"
    ALERT_TOO_LONG = "the alert is to stand for more than seven days from our head on"


class RejectReason(Enum):
    """Why a message is rejected."""

    OVERSIZE = "more bytes than an envelope can have"
    MALFORMED = "no canonical envelope"
    WRONG_DOMAIN = "for another chain, registry or version"
    WRONG_TOPIC = "its kind belongs to another topic"
    WRONG_PUBLISHER = "published by another peer than the envelope says"
    BAD_SIGNATURE = "not signed by any key"
    BAD_ATTESTATION = "the attestation inside is not signed by any key"


class GossipVerdict(ProtocolError):
    """A message that is not accepted, and the reason."""

    def __init__(self, reason: IgnoreReason | RejectReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class GossipIgnore(GossipVerdict):
    """Nobody is to blame."""


class GossipStale(GossipIgnore):
    """It has expired, or is from the future. `made_at`: when, by the clock of who made it."""

    def __init__(self, made_at: UnixMilliseconds) -> None:
        super().__init__(IgnoreReason.STALE)
        self.made_at = made_at


class GossipReject(GossipVerdict):
    """Who sent it to us is to blame."""


class Operator(NamedTuple):
    """A registered operator. `hot_keys`: the one in force, and those that ended within 64 blocks."""

    hot_keys: tuple[Address, ...]
    peer_id_hash: PeerIdHash
    stake: StakeUnits


class StakeSnapshot:
    """Who has enough stake at a block: at most MAX_OPERATORS, InvalidField beyond or for a stake of nothing.

    `time`: the block's, by which alerts stand.
    """

    def __init__(self, block: BlockNumber, operators: Mapping[Address, Operator], time: UnixSeconds) -> None:
        if len(operators) > MAX_OPERATORS:
            raise InvalidField(f"more than {MAX_OPERATORS} operators", "stakeSnapshot")
        if any(operator.stake <= 0 for operator in operators.values()):
            raise InvalidField("an operator without stake", "stakeSnapshot")
        self.block, self.time = block, time
        self.operators = dict(operators)
        self.total_stake = StakeUnits(sum(operator.stake for operator in operators.values()))
        self.by_peer: dict[PeerIdHash, tuple[Address, ...]] = {}
        """Who names a peer: several may, and nobody proves that it is theirs alone."""
        for account, operator in operators.items():
            self.by_peer[operator.peer_id_hash] = (*self.by_peer.get(operator.peer_id_hash, ()), account)


class GossipLimits(NamedTuple):
    """Rates a second and caps: of what one peer forwards, of what operators send, of what is remembered."""

    forwarder: BucketRules = BucketRules(rate=500, burst=2_000)
    operators: StakeRates = StakeRates(base=5, shared=200, seconds=4)
    seen: int = 65_536
    forwarders: int = 1_024


_LIMITS: Final = GossipLimits()


class Gossip:
    """The state of validation: snapshot, what was seen, buckets, and counts by reason."""

    def __init__(self, domain: Domain, limits: GossipLimits = _LIMITS) -> None:
        self.counts: Counter[IgnoreReason | RejectReason] = Counter()
        self.accepted = 0
        self.snapshot = StakeSnapshot(BlockNumber(0), {}, UnixSeconds(0))
        self._domain = domain
        self._limits = limits
        self._seen = Seen(limits.seen)
        self._sequences = Sequences()
        self._forwarders: Buckets[PeerIdHash] = Buckets(limits.forwarders)
        self._operators: Buckets[Address] = Buckets(MAX_OPERATORS)
        self._unknown_keys: Buckets[Address] = Buckets(MAX_OPERATORS)

    def follow(self, snapshot: StakeSnapshot) -> None:
        """Judge by this snapshot and its head from now on."""
        self.snapshot = snapshot
        self._sequences.make_room(snapshot.operators, MAX_OPERATORS)

    def validate(
        self, kind: PayloadKind, data: bytes, publisher: PeerIdHash, forwarder: PeerIdHash, now: UnixMilliseconds
    ) -> Envelope:
        """Return the envelope that arrived on the topic of `kind`. Raises GossipIgnore or GossipReject, and counts."""
        try:
            envelope = self._validated(kind, data, publisher, forwarder, now)
        except GossipVerdict as verdict:
            self.counts[verdict.reason] += 1
            raise
        self.accepted += 1
        return envelope

    def _validated(
        self, kind: PayloadKind, data: bytes, publisher: PeerIdHash, forwarder: PeerIdHash, now: UnixMilliseconds
    ) -> Envelope:
        # [IGNORE] The peer that sent it to us is within its rate: what follows costs us, whoever signed it.
        per_forwarder = self._limits.forwarder
        if not self._forwarders.of(forwarder, per_forwarder, now).take(per_forwarder, now):
            raise GossipIgnore(IgnoreReason.FORWARDER_TOO_FAST)
        # [REJECT] It is a canonical envelope of this domain, on the topic of its kind, from whom it says.
        envelope = _decoded(data, self._domain)
        if envelope.kind is not kind:
            raise GossipReject(RejectReason.WRONG_TOPIC)
        if envelope.peer_id_hash != publisher:
            raise GossipReject(RejectReason.WRONG_PUBLISHER)
        # [IGNORE] It is current, and new.
        try:
            require_current(envelope, now)
        except Expired:
            raise GossipStale(milliseconds_of(envelope.sequence)) from None
        if envelope.signature in self._seen:
            raise GossipIgnore(IgnoreReason.DUPLICATE)
        # [IGNORE] Its operator has stake, is bound to this peer, and is within its rate.
        operator, rules = self._operator_of(envelope)
        bucket = self._operators.of(envelope.operator, rules, now)
        if not bucket.has_token(rules, now):
            raise GossipIgnore(IgnoreReason.OPERATOR_TOO_FAST)
        # [REJECT] Some key signed it, [IGNORE] and it is one of the operator's as far as we know.
        key = _signer(self._domain, envelope, envelope.signature, RejectReason.BAD_SIGNATURE)
        if key not in operator.hot_keys:
            self._ignore_key(envelope.operator, rules, now, is_direct=publisher == forwarder)
        # [IGNORE] Its sequence number is new.
        if not self._sequences.is_new(envelope.operator, envelope.sequence):
            raise GossipIgnore(IgnoreReason.OLD_SEQUENCE)
        # [IGNORE, REJECT] The rules of its payload.
        if isinstance(envelope.payload, SignedAttestation):
            signed = envelope.payload
            key = _signer(self._domain, signed.attestation, signed.signature, RejectReason.BAD_ATTESTATION)
            if key not in operator.hot_keys:
                self._ignore_key(envelope.operator, rules, now, is_direct=publisher == forwarder)
        self._check_payload(envelope)
        # Only what the operator signed costs it a token: with forged messages nobody can silence another.
        bucket.take(rules, now)
        self._sequences.add(envelope.operator, envelope.sequence)
        self._seen.add(envelope.signature, now)
        return envelope

    def _operator_of(self, envelope: Envelope) -> tuple[Operator, BucketRules]:
        operator = self.snapshot.operators.get(envelope.operator)
        if operator is None:
            raise GossipIgnore(IgnoreReason.UNKNOWN_OPERATOR)
        if operator.peer_id_hash != envelope.peer_id_hash:
            raise GossipIgnore(IgnoreReason.OTHER_PEER)
        return operator, self._limits.operators.rules(operator.stake, self.snapshot.total_stake)

    def _ignore_key(self, operator: Address, rules: BucketRules, now: UnixMilliseconds, *, is_direct: bool) -> NoReturn:
        """Ignore what a key signed that the registry may have set in a block which we have not seen yet.

        Who relays it may have seen that block. The operator's own peer, which alone can publish it, is within the
        operator's rate like with any other message, or sends too much.
        """
        if is_direct and not self._unknown_keys.of(operator, rules, now).take(rules, now):
            raise GossipIgnore(IgnoreReason.FORWARDER_TOO_FAST)
        raise GossipIgnore(IgnoreReason.UNKNOWN_KEY)

    def _check_payload(self, envelope: Envelope) -> None:
        match envelope.payload:
            case Opportunity() as opportunity:
                self._check_block(opportunity.target_block)
                if opportunity.revealed and opportunity.target_block > self.snapshot.block:
                    raise GossipIgnore(IgnoreReason.EARLY_REVEAL)
            case SecurityAlert() as alert:
                if alert.expiry <= self.snapshot.time:
                    raise GossipIgnore(IgnoreReason.ALERT_OVER)
                if alert.expiry > self.snapshot.time + MAX_ALERT_SECONDS:
                    raise GossipIgnore(IgnoreReason.ALERT_TOO_LONG)
            case SignedAttestation() as signed:
                self._check_block(signed.attestation.block_number)
            case Heartbeat() as heartbeat:
                self._check_block(heartbeat.block_number)
            case _:
                assert_never(envelope.payload)

    def _check_block(self, block: BlockNumber) -> None:
        if block > self.snapshot.block + BLOCKS_AHEAD:
            raise GossipIgnore(IgnoreReason.BLOCK_AHEAD)
        if block + BLOCKS_BEHIND < self.snapshot.block:
            raise GossipIgnore(IgnoreReason.BLOCK_BEHIND)


def topic(domain: Domain, kind: PayloadKind) -> str:
    """Return the gossip topic of a kind: /hft/<chain id>/<first 8 hex digits of the registry>/1/<name>."""
    return _path(domain, kind.name.lower())


def orders_protocol(domain: Domain) -> str:
    """Return the name of the direct stream protocol on which one message asks and one answers."""
    return _path(domain, "orders")


def _path(domain: Domain, name: str) -> str:
    return f"/hft/{domain.chain_id}/{domain.registry[:4].hex()}/1/{name}"


def _decoded(data: bytes, domain: Domain) -> Envelope:
    try:
        return decode_envelope(data, domain.separator)
    except OversizeMessage:
        raise GossipReject(RejectReason.OVERSIZE) from None
    except WrongDomain:
        raise GossipReject(RejectReason.WRONG_DOMAIN) from None
    except RemoteProtocolError:
        raise GossipReject(RejectReason.MALFORMED) from None


def _signer(domain: Domain, signed: Envelope | Attestation, signature: bytes, otherwise: RejectReason) -> Address:
    """Return whose key signed. Raises GossipReject if the signature is none."""
    try:
        return recover(digest(domain, signed), signature)
    except BadSignature:
        raise GossipReject(otherwise) from None
