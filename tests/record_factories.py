"""What an engine tells its desk, for tests: one opportunity's records from its find to its outcome."""

from __future__ import annotations

from collections.abc import Iterable

from node.link import LedgerEntry
from node.pipeline.reasons import Reason
from node.records import (
    AnyRecord,
    BundleSigned,
    BundleSimulatedRecord,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    Leg,
    NetworkAlertTold,
    OpportunityDropped,
    OpportunityFound,
    RelayAnswered,
    SignedExecution,
    encode_record,
)
from protocol.units import Address, BlockNumber, Gas, Hash32, UnixMilliseconds, UnixNanoseconds
from tests.config_factories import WETH, numbered
from tests.protocol_factories import BOB

HOT_KEY = numbered(0xA1)
USDC = numbered(0xC0)
SEEN_AT = UnixNanoseconds(1_790_000_000_000_000_000)


def hash_of(number: int, kind: int = 0) -> Hash32:
    """A hash that a reader recognises: its kind in front, its number behind."""
    return Hash32(kind.to_bytes(2, "big") + bytes(26) + number.to_bytes(4, "big"))


def opportunity_id(number: int) -> Hash32:
    return hash_of(number, 0x0B0B)


def bundle_hash(number: int) -> Hash32:
    return hash_of(number, 0xBDBD)


def transaction_hash(number: int) -> Hash32:
    return hash_of(number, 0x7A7A)


def found(number: int = 1, *, kind: str = "backrun", token: Address = WETH, gross: int = 10**18) -> OpportunityFound:
    """A backrun of a Uniswap V2 pool against a Sushi pool; the token is worth half a wei a unit unless it is WETH."""
    return OpportunityFound(
        opportunity_id=opportunity_id(number),
        opportunity_kind=kind,
        target_block=BlockNumber(100 + number),
        seen_at=SEEN_AT,
        victims=(hash_of(number, 0xEEEE),),
        legs=(
            Leg(pool_id=numbered(0xD1), family="uniswap_v2", token_in=token, token_out=USDC,
                amount_in=str(10**20), amount_out="3000000000"),
            Leg(pool_id=numbered(0xD2), family="sushi_v2", token_in=USDC, token_out=token,
                amount_in="3000000000", amount_out=str(10**20 + gross)),
        ),
        lender="balancer_v2",
        borrowed=str(10**20),
        flash_fee="0",
        profit_token=token,
        gross_profit=str(gross),
        gross_profit_wei=str(gross if token == WETH else gross // 2),
        gas=Gas(250_000),
    )  # fmt: skip


def dropped(number: int, reason: Reason = Reason.NOT_PROFITABLE) -> OpportunityDropped:
    return OpportunityDropped(found=found(number), reason=reason, at=SEEN_AT)


def simulated(number: int = 1, failure: Reason | None = None) -> BundleSimulatedRecord:
    return BundleSimulatedRecord(
        opportunity_ids=(opportunity_id(number),),
        failure=failure,
        detail="" if failure is None else "reverted: ProfitBelowMinimum",
        profits=(str(9 * 10**17),) if failure is None else (),
        gas_used=Gas(231_000),
        took_ns=612_000,
    )


def signed(number: int = 1, sender: Address = HOT_KEY, behind: tuple[Hash32, ...] = ()) -> BundleSigned:
    return BundleSigned(
        bundle_hash=bundle_hash(number),
        target_block=BlockNumber(100 + number),
        victims=(hash_of(number, 0xEEEE),),
        executions=(
            SignedExecution(
                opportunity_id=opportunity_id(number),
                transaction_hash=transaction_hash(number),
                sender=sender,
                nonce=number,
                predicted_profit=str(5 * 10**17),
                minimum_profit=str(4 * 10**17),
                coinbase_wei=str(4 * 10**17),
                priority_fee_per_gas="2000000000",
                gas_limit=Gas(300_000),
                behind=behind,
            ),
        ),
        signed_at=UnixNanoseconds(SEEN_AT + 1_500_000),
        tick_to_bundle_ns=420_000,
    )


def answered(number: int = 1, relay: str = "flashbots", error: str = "") -> RelayAnswered:
    return RelayAnswered(bundle_hash=bundle_hash(number), relay=relay, error=error, took_ns=3_100_000)


def landed(
    number: int = 1, *, profit: int = 5 * 10**17, gas_wei: int = 10**16, bid_wei: int = 10**15
) -> ExecutionLandedRecord:
    return ExecutionLandedRecord(
        opportunity_id=opportunity_id(number),
        transaction_hash=transaction_hash(number),
        block=BlockNumber(100 + number),
        block_hash=hash_of(100 + number, 0xB10C),
        profit=str(profit),
        gas_used=Gas(229_000),
        gas_wei=str(gas_wei),
        bid_wei=str(bid_wei),
    )


def missed(number: int = 1, reason: Reason = Reason.OUTBID, spent_wei: int = 0) -> ExecutionMissedRecord:
    return ExecutionMissedRecord(
        opportunity_id=opportunity_id(number),
        block=BlockNumber(100 + number),
        reason=reason,
        lost_to=hash_of(number, 0x1057) if reason is Reason.OUTBID else None,
        spent_wei=str(spent_wei),
    )


def entries(records: Iterable[AnyRecord], first: int = 1) -> list[LedgerEntry]:
    """The records as the engine sends them."""
    made = []
    for sequence, record in enumerate(records, first):
        kind, body = encode_record(record)
        made.append(LedgerEntry(sequence=sequence, at=UnixMilliseconds(SEEN_AT // 10**6), kind=kind, body=body))
    return made


def alert_told(kind: str = "sandwich_seen", verdict: str = "confirmed") -> NetworkAlertTold:
    """An alert of the network that bob told."""
    return NetworkAlertTold(
        alert_id=hash_of(1, 0xA1E7),
        alert_kind=kind,
        subject=hash_of(1, 0x9001),
        severity="medium",
        evidence=b"evidence",
        block=BlockNumber(7),
        block_hash=hash_of(7, 0xB10C),
        operator=BOB,
        verdict=verdict,
        at=UnixNanoseconds(1),
    )
