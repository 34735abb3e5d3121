"""The enumerations of the messages. A number, once given, keeps its meaning; 0 is never used."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class PayloadKind(IntEnum):
    """What an envelope carries; one gossip topic each."""

    OPPORTUNITY = 1
    ALERT = 2
    ATTESTATION = 3
    HEARTBEAT = 4


class DirectKind(IntEnum):
    """What a message on a direct stream is; never equal to a payload kind."""

    SEALED_ORDER = 17
    ORDER_HANDOVER = 18
    ACCEPT = 19
    HAVE = 20
    DECLINE = 21
    EVIDENCE = 22
    SEALING_KEY = 23
    SEALING_KEY_REQUEST = 24
    PEER_RECORDS_REQUEST = 25
    PEER_RECORDS = 26


class OpportunityKind(IntEnum):
    """How the profit arises. A sandwich is an alert, never an opportunity."""

    CYCLIC_ARBITRAGE = 1
    BACKRUN = 2
    LIQUIDATION = 3
    CEX_DEX = 4
    CROSS_CHAIN = 5


class AlertKind(IntEnum):
    """What happened, and what `subject` then names: an address is padded to 32 bytes on the left."""

    SANDWICH_SEEN = 1  # the pool: its address, or its 32-byte id
    POOL_DRAINED = 2  # the pool
    ORACLE_DEVIATES = 3  # the feed's address
    CONTRACT_FLAGGED = 4  # the contract's address
    RELAY_LIES = 5  # Keccak-256 of the relay's address as configured, in UTF-8
    PEER_MISBEHAVES = 6  # the peer id's hash


class ContractFault(IntEnum):
    """What a token does that no ERC-20 token may: what `CONTRACT_FLAGGED` is told of."""

    HONEYPOT = 1  # a transfer out of a pool, or on from who got it, fails
    TAKES_FEE = 2  # less arrives, or more leaves, than was sent


class RelayFault(IntEnum):
    """What a relay did: what `RELAY_LIES` is told of."""

    NAMES_ANOTHER_BUNDLE = 1  # it answered a bundle by the hash of another, and had named bundles rightly before


class Severity(IntEnum):
    """How much is at stake if the alert is true."""

    INFORMATION = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class Verdict(IntEnum):
    """What an attester's own recomputation says of an alert."""

    CONFIRMED = 1
    REFUTED = 2


class DeclineReason(IntEnum):
    """Why the leader does not take an order."""

    NOT_LEADER = 1
    TOO_LATE = 2
    CONFLICT = 3
    UNPROFITABLE = 4
    INVALID = 5
    BUSY = 6
    PAUSED = 7


class EvidenceKind(IntEnum):
    """The slashable offences."""

    DOUBLE_ACCEPT = 1
    CONTRADICTING_ATTESTATION = 2


class Capability(IntFlag):
    """What a heartbeat's bits say of its node; readers ignore bits that they do not know."""

    ACCEPTS_ORDERS = 1
    EXECUTOR_LIVE = 2
    ATTESTS_ALERTS = 4
    FUNDS_ORDERS = 8
