"""What the engine tells the desk: bodies of `LedgerEntry` frames, as MessagePack, `kind` being the class's tag.

Everything that a miss's story needs, at the time it happened; amounts that may pass 64 bits are decimal text
(`Amount`), because MessagePack's integers end there. Raises MalformedMessage and UnknownKind on other bytes.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from node.pipeline.reasons import Reason
from protocol.errors import MalformedMessage, UnknownKind
from protocol.units import Address, BlockNumber, Gas, Hash32, UnixNanoseconds

Amount: TypeAlias = str
"""An integer as decimal text."""


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Base of all records."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One swap of a route."""

    pool_id: bytes
    family: str
    token_in: Address
    token_out: Address
    amount_in: Amount
    amount_out: Amount


class OpportunityFound(Record, frozen=True, kw_only=True, tag="opportunity_found"):
    """A find that is going to be executed. Comes before `BundleSigned`."""

    opportunity_id: Hash32
    opportunity_kind: str
    target_block: BlockNumber
    seen_at: UnixNanoseconds
    victims: tuple[Hash32, ...]
    legs: tuple[Leg, ...]
    lender: str
    borrowed: Amount
    flash_fee: Amount
    profit_token: Address
    gross_profit: Amount
    gross_profit_wei: Amount
    gas: Gas


class OpportunityDropped(Record, frozen=True, kw_only=True, tag="opportunity_dropped"):
    """A find that goes no further, whole, since it may not have been told before."""

    found: OpportunityFound
    reason: Reason
    at: UnixNanoseconds


class BundleSimulatedRecord(Record, frozen=True, kw_only=True, tag="bundle_simulated"):
    """What the last check said; `failure` None if it ran clean."""

    opportunity_ids: tuple[Hash32, ...]
    failure: Reason | None
    detail: str
    profits: tuple[Amount, ...]
    gas_used: Gas
    took_ns: int


class SignedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of ours in a bundle."""

    opportunity_id: Hash32
    transaction_hash: Hash32
    sender: Address
    nonce: int
    predicted_profit: Amount
    """In smallest units of the profit token, after flash fee and coinbase payment."""
    minimum_profit: Amount
    coinbase_wei: Amount
    priority_fee_per_gas: Amount
    gas_limit: Gas
    behind: tuple[Hash32, ...] = ()
    """Better opportunities of ours behind which the profit was computed: it holds where they are executed before."""


class BundleSigned(Record, frozen=True, kw_only=True, tag="bundle_signed"):
    """A bundle that is about to be sent: on disk before the first byte leaves."""

    bundle_hash: Hash32
    target_block: BlockNumber
    victims: tuple[Hash32, ...]
    executions: tuple[SignedExecution, ...]
    signed_at: UnixNanoseconds
    tick_to_bundle_ns: int
    """From the event that led to it (pending transaction or block received) to the signed bytes."""


class RelayAnswered(Record, frozen=True, kw_only=True, tag="relay_answered"):
    """What a relay said to a bundle; `error` empty if it took it."""

    bundle_hash: Hash32
    relay: str
    error: str
    took_ns: int


class ExecutionLandedRecord(Record, frozen=True, kw_only=True, tag="execution_landed"):
    """An execution is in a block and succeeded; `profit` as the chain's logs tell it."""

    opportunity_id: Hash32
    transaction_hash: Hash32
    block: BlockNumber
    block_hash: Hash32
    profit: Amount
    gas_used: Gas
    gas_wei: Amount
    """Base fee and priority fee, paid by the hot key."""
    bid_wei: Amount
    """Priority fee and coinbase payment: what the builder got."""


class ExecutionMissedRecord(Record, frozen=True, kw_only=True, tag="execution_missed"):
    """An execution is not in its target block, or reverted there; `lost_to` the transaction that took it, if known."""

    opportunity_id: Hash32
    block: BlockNumber
    reason: Reason
    lost_to: Hash32 | None
    spent_wei: Amount
    block_hash: Hash32 | None = None
    """Of one that reverted: with this block that leaves the chain too."""


class OutcomeRetracted(Record, frozen=True, kw_only=True, tag="outcome_retracted"):
    """The block of an outcome left the chain; what landed or reverted there did not."""

    block_hash: Hash32


class AlertRaised(Record, frozen=True, kw_only=True, tag="alert_raised"):
    """Something that the operator should look at."""

    kind: str
    detail: str
    at: UnixNanoseconds


class PaymentMade(Record, frozen=True, kw_only=True, tag="payment_made"):
    """Something else than a bundle's outcome moved our funds: a finder's share came in, membership cost gas, or a
    transaction of ours was put where it did not belong.
    """

    what: str
    """`finder_paid`, `check_in`, `roll`, `report`, `brake`, `stray`."""
    transaction_hash: Hash32
    sender: Address
    """The hot key that paid the gas; of a finder's share zero: another's did."""
    token: Address
    amount: Amount
    """What came in, in smallest units of the token."""
    block: BlockNumber
    block_hash: Hash32
    gas_wei: Amount
    bid_wei: Amount
    subject: Hash32
    """The order's hash, the epoch as a word, the offence, what a pause is supported of (zero: everything), or the
    opportunity (zero where it is not known)."""


class TransactionSent(Record, frozen=True, kw_only=True, tag="transaction_sent"):
    """A transaction of membership is about to be sent: on disk before it leaves. Its cost comes as `PaymentMade`."""

    what: str
    """`check_in`, `roll`, `report`, `brake`."""
    transaction_hash: Hash32
    subject: Hash32
    """The epoch as a word, the offence, or what a pause is supported of (zero: everything)."""


class OrderTold(Record, frozen=True, kw_only=True, tag="order_told"):
    """An order that we gave (`role` finder) or were given (leader), and its answer."""

    order_hash: Hash32
    role: str
    peer: Address
    """The other side's account."""
    target_block: BlockNumber
    primary_key: Hash32
    answer: str
    """`accept`, `have`, `decline`, `silent`."""
    detail: str
    """Why it was declined, or why there was no answer."""
    lack: str
    """What we lacked to execute it ourselves."""
    is_backup: bool
    """Whether the same was given to the leader of the block before."""
    took_ns: int
    at: UnixNanoseconds


class NetworkAlertTold(Record, frozen=True, kw_only=True, tag="network_alert_told"):
    """An alert of the network, by us or by another operator, and what our own recomputation says of it."""

    alert_id: Hash32
    alert_kind: str
    subject: Hash32
    severity: str
    evidence: bytes
    block: BlockNumber
    block_hash: Hash32
    operator: Address
    """Who told it."""
    verdict: str
    """`confirmed`, `refuted`, or `unjudged`: nothing here can tell."""
    at: UnixNanoseconds


AnyRecord: TypeAlias = (
    OpportunityFound
    | OpportunityDropped
    | BundleSimulatedRecord
    | BundleSigned
    | RelayAnswered
    | ExecutionLandedRecord
    | ExecutionMissedRecord
    | OutcomeRetracted
    | AlertRaised
    | PaymentMade
    | TransactionSent
    | OrderTold
    | NetworkAlertTold
)

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(AnyRecord)


def encode_record(record: AnyRecord) -> tuple[str, bytes]:
    """Return kind and body for a `LedgerEntry`."""
    return str(type(record).__struct_config__.tag), _ENCODER.encode(record)


def decode_record(body: bytes) -> AnyRecord:
    """Return the record that a body is. Raises MalformedMessage, UnknownKind."""
    try:
        record: AnyRecord = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        if "`$.type`" in str(error):
            raise UnknownKind(str(error)[:200], "record") from None
        raise MalformedMessage(str(error)[:200], "record") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"not MessagePack: {str(error)[:200]}", "record") from None
    return record
