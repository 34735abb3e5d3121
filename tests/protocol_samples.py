"""One message of every kind and corner, by name: what the vectors are made from."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from protocol import codec, kinds, messages, signing
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence, evidence_of
from protocol.messages import MAX_ROUTE_BYTES
from protocol.routes import Route, RouteSwap, encode_route
from protocol.statements import HotKeyBinding, Statement
from protocol.units import (
    Address,
    BasisPoints,
    BlockNumber,
    Hash32,
    LegKey,
    ProfitBucket,
    TokenAmount,
    UnixSeconds,
    max_uint,
)
from tests.peer_record_samples import sealed_records
from tests.protocol_factories import (
    BOB,
    CAROL,
    DEVNET,
    KEYS,
    accept,
    alert,
    attestation,
    contradiction,
    double_accept,
    handover,
    hash_of,
    heartbeat,
    opportunity,
    order,
    sealing_key,
)


def signed_statements() -> Iterator[tuple[str, str, str, Statement]]:
    """Yield name, domain, signer and statement."""
    top64, ones = max_uint(64), Hash32(b"\xff" * 32)
    yield "order", "devnet", "alice", order()
    yield "order on another chain", "mainnet", "alice", order()
    yield "order of another finder's key", "devnet", "bob", order()
    yield "order that pays the floor only", "devnet", "alice", order(finder_bps=BasisPoints(0))
    yield "order that takes everything", "devnet", "alice", order(finder_bps=BasisPoints(10_000))
    yield "order with a floor of 1", "devnet", "alice", order(min_finder_wei=TokenAmount(1))
    yield "order with all fields at their largest", "devnet", "alice", order(
        finder=Address(b"\xff" * 20), executor=Address(b"\xff" * 20), target_block=BlockNumber(top64),
        finder_bps=BasisPoints(10_000), min_finder_wei=TokenAmount(max_uint(128)), profit_token=Address(b"\xff" * 20),
        pay_to=Address(b"\xff" * 20), primary_key=LegKey(ones), route_commit=ones,
    )  # fmt: skip
    yield "accept", "devnet", "bob", accept()
    yield "accept on another chain", "mainnet", "bob", accept()
    yield "accept of another order", "devnet", "bob", accept(order_hash=hash_of("another order"))
    yield (
        "accept with the smallest numbers",
        "devnet",
        "bob",
        accept(target_block=BlockNumber(1), block_number=BlockNumber(1), timestamp=UnixSeconds(1)),
    )
    yield (
        "accept with the largest numbers",
        "devnet",
        "bob",
        accept(target_block=BlockNumber(top64), block_number=BlockNumber(top64), timestamp=UnixSeconds(top64)),
    )
    yield "attestation that confirms", "devnet", "carol", attestation()
    yield "attestation that refutes", "devnet", "carol", attestation(verdict=kinds.Verdict.REFUTED)
    yield "attestation on another chain", "mainnet", "carol", attestation()
    yield "hot key that joins an operator", "devnet", "alice", HotKeyBinding(operator=CAROL)
    yield "hot key that joins an operator on another chain", "mainnet", "alice", HotKeyBinding(operator=CAROL)
    yield "hot key that joins the largest address", "devnet", "bob", HotKeyBinding(operator=Address(b"\xff" * 20))
    yield "sealing key", "devnet", "bob", sealing_key()
    yield "sealing key for one block", "devnet", "bob", sealing_key(until_block=sealing_key().from_block)


def payloads() -> Iterator[tuple[str, messages.Payload]]:
    """Yield name and payload."""
    for kind in kinds.OpportunityKind:
        yield f"opportunity, {kind.name}", opportunity(kind=kind)
    revealed = hash_of("salt") + b"what was found"
    yield "opportunity, revealed", opportunity(commitment=Hash32(keccak256(revealed)), revealed=revealed)
    yield "opportunity, largest bucket", opportunity(profit_bucket=ProfitBucket(128))
    for alert_kind in kinds.AlertKind:
        yield f"alert, {alert_kind.name}", alert(kind=alert_kind)
    for severity in kinds.Severity:
        yield f"alert, severity {severity.name}", alert(severity=severity)
    evidence = b"transactions 4, 5 and 6 of that block"
    yield "alert, with its evidence", alert(evidence_hash=Hash32(keccak256(evidence)), evidence=evidence)
    for verdict in kinds.Verdict:
        yield (
            f"attestation, {verdict.name}",
            signing.sign_attestation(DEVNET, attestation(verdict=verdict), KEYS["alice"]),
        )
    yield "heartbeat", heartbeat()
    yield "heartbeat, nothing offered", heartbeat(capabilities=0)
    yield "heartbeat, capabilities of a later version", heartbeat(capabilities=max_uint(32))


def direct_messages() -> Iterator[tuple[str, codec.DirectMessage]]:
    """Yield name and message."""
    key = hash_of("ephemeral key")
    yield (
        "sealed order",
        messages.SealedOrder(target_block=BlockNumber(21_000_000), ephemeral_key=key, box=b"sealed bytes"),
    )
    yield "order handover", handover()
    yield "accept", double_accept()[0]
    yield "have", messages.Have(order_hash=hash_of("order"))
    for reason in kinds.DeclineReason:
        yield f"decline, {reason.name}", messages.Decline(order_hash=hash_of("order"), reason=reason)
    yield "evidence of a double accept", evidence_of(BOB, *double_accept())
    yield "evidence of contradicting attestations", evidence_of(BOB, *contradiction())
    yield "sealing key", signing.sign_sealing_key(DEVNET, sealing_key(), KEYS["bob"])
    yield "sealing key request", messages.SealingKeyRequest(target_block=BlockNumber(21_000_000))
    yield "peer records request", messages.PeerRecordsRequest(after=hash_of("peer"))
    yield "peer records request, from the beginning", messages.PeerRecordsRequest(after=Hash32(bytes(32)))
    records = tuple(record for _, record in sealed_records())
    yield "peer records", messages.PeerRecords(records=records)
    yield "peer records, none", messages.PeerRecords(records=())


def sealed_orders() -> Iterator[tuple[str, str, messages.OrderHandover, str, str]]:
    """Yield name, domain, handover, and the names by whose hash the sealing secret and the ephemeral one are made."""
    yield "an order", "devnet", handover(), "bob's sealing key", "ephemeral"
    yield "an order on another chain", "mainnet", handover(), "bob's sealing key", "ephemeral"
    yield "another ephemeral key", "devnet", handover(), "bob's sealing key", "another ephemeral"
    yield "another leader", "devnet", handover(), "carol's sealing key", "ephemeral"
    yield "another route", "devnet", handover(b"another route"), "bob's sealing key", "ephemeral"
    yield "a route of one byte", "devnet", handover(b"!"), "bob's sealing key", "ephemeral"
    yield "the largest route", "devnet", handover(bytes(12 * 1024)), "bob's sealing key", "ephemeral"


def evidence_samples() -> Iterator[tuple[str, Evidence]]:
    """Yield what proves an offence, of each kind."""
    yield "two accepts", evidence_of(BOB, *double_accept())
    yield "two accepts, the other first", evidence_of(BOB, *reversed(double_accept()))
    yield "two verdicts", evidence_of(BOB, *contradiction())
    yield "two verdicts of another operator", evidence_of(CAROL, *contradiction())


def route_samples() -> Iterator[tuple[str, Route]]:
    """Yield routes, and their smallest and largest fields."""
    weth, usdc, pool = (Address(bytes([place]) * 20) for place in (1, 2, 3))
    swap = RouteSwap(
        family="uniswap_v2", pool_id=pool, pool=pool, token_in=weth, token_out=usdc, index_in=0, index_out=1,
        fee_pips=3_000, amount_in=TokenAmount(10**18), amount_out=TokenAmount(2_000 * 10**6),
    )  # fmt: skip
    back = replace(swap, token_in=usdc, token_out=weth, index_in=1, index_out=0, family="balancer_v2_weighted",
                   pool_id=bytes(range(32)), amount_in=swap.amount_out, amount_out=TokenAmount(10**18 + 1))  # fmt: skip
    yield "there and back", Route(transactions=(), swaps=(swap, back))
    yield "behind a transaction", Route(transactions=(b"\x02raw",), swaps=(swap, back))
    yield "behind several, one of them empty", Route(transactions=(b"\x02raw", b"", bytes(300)), swaps=(swap,))
    most = replace(swap, family="f" * 32, index_in=255, index_out=255, fee_pips=max_uint(24),
                   amount_in=TokenAmount(max_uint(128)), amount_out=TokenAmount(max_uint(128)))  # fmt: skip
    yield "the largest numbers and the longest name", Route(transactions=(), swaps=(most,))
    least = replace(swap, family="f", index_out=0, fee_pips=0, amount_in=TokenAmount(0), amount_out=TokenAmount(0))
    yield "the smallest numbers and the shortest name", Route(transactions=(), swaps=(least,))
    yield "as many of both as there may be", Route(transactions=(b"t",) * 8, swaps=(swap, back) * 8)


def refused_routes() -> Iterator[tuple[str, bytes]]:
    """Yield bytes that are no route."""
    _, route = next(route_samples())
    whole = encode_route(route)
    name = len(route.swaps[0].family)
    pool_id = 4 + name
    yield "no bytes", b""
    yield "another version", b"\x02" + whole[1:]
    yield "nine transactions", b"\x01\x09" + bytes(3 * 9) + whole[2:]
    yield "no swap", whole[:2] + b"\x00"
    yield "seventeen swaps", whole[:2] + b"\x11" + whole[3:]
    yield "a name without letters", whole[:3] + b"\x00" + whole[4:]
    yield "a name of 33", whole[:3] + b"\x21" + whole[4:]
    yield "a name that is not ASCII", whole[:4] + b"\xc3" + whole[5:]
    yield "a pool id of 21 bytes", whole[:pool_id] + b"\x15" + whole[pool_id + 1 :]
    tokens = pool_id + 1 + 20 + 20
    yield "one token on both sides", whole[:tokens] + 2 * whole[tokens : tokens + 20] + whole[tokens + 40 :]
    yield "cut short", whole[:-1]
    yield "a byte too many", whole + b"\x00"
    yield "too long", whole[:2] + bytes(MAX_ROUTE_BYTES)
