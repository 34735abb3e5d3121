#!/usr/bin/env python3
"""Writes protocol/vectors/*.json, the protocol's own test vectors (format: docs/protocol.md). Same input, same bytes.

scripts/generate_vectors.py           write them
scripts/generate_vectors.py --check   exit 1 if the committed ones differ
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from protocol import codec, kinds, messages, signing, statements
from protocol.errors import RemoteProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SECP256K1_N
from protocol.evidence import evidence_of
from protocol.layout import wire_name
from protocol.units import (
    Address,
    BasisPoints,
    BlockNumber,
    Hash32,
    LegKey,
    ProfitBucket,
    TokenAmount,
    UnixSeconds,
    address_to_hex,
    max_uint,
)
from tests.protocol_factories import (
    ADDRESSES,
    ALICE,
    BOB,
    CAROL,
    DEVNET,
    DOMAINS,
    KEYS,
    NOW,
    SECRETS,
    accept,
    alert,
    attestation,
    contradiction,
    double_accept,
    envelope,
    handover,
    hash_of,
    heartbeat,
    opportunity,
    order,
)

FOLDER: Final = Path(__file__).resolve().parent.parent / "protocol" / "vectors"
EXACT_IN_JSON: Final = max_uint(53)


def readable(value: object) -> Any:
    """Return a value for JSON: bytes as 0x hex, an integer above 2^53 as decimal text, names as in Solidity."""
    if isinstance(value, msgspec.Struct):
        return {wire_name(name): readable(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, IntEnum):
        return int(value)
    return str(value) if isinstance(value, int) and value > EXACT_IN_JSON else value


def signed_statements() -> Iterator[
    tuple[str, str, str, statements.Order | statements.Accept | statements.Attestation]
]:
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


def statement_vectors() -> list[dict[str, Any]]:
    """Return the vectors of what is signed by itself."""
    vectors = []
    for name, domain, signer, statement in signed_statements():
        words = statement.words()
        vectors.append(
            {
                "name": name,
                "domain": domain,
                "type": statement.LAYOUT.type_string,
                "typeHash": readable(statement.LAYOUT.type_hash),
                "message": readable(statement),
                "words": readable(words),
                "structHash": readable(statement.LAYOUT.hash_struct(words)),
                "digest": readable(signing.digest(DOMAINS[domain], statement)),
                "signer": signer,
                "signature": readable(signing.sign(DOMAINS[domain], statement, KEYS[signer])),
            }
        )
    return vectors


def envelope_vectors() -> list[dict[str, Any]]:
    """Return the vectors of what is gossiped."""
    cases = [(name, "devnet", payload) for name, payload in payloads()]
    cases.append(("heartbeat on another chain", "mainnet", heartbeat()))
    vectors = []
    for name, domain, payload in cases:
        whole = envelope(payload, DOMAINS[domain])
        vector = {
            "name": name,
            "domain": domain,
            "kind": int(whole.kind),
            "message": readable(whole),
            "payload": readable(codec.encode_payload(payload)),
            "digest": readable(signing.digest(DOMAINS[domain], whole)),
            "signer": "alice",
            "signature": readable(whole.signature),
            "encoding": readable(codec.encode_envelope(whole, DOMAINS[domain].separator)),
        }
        if isinstance(payload, messages.SecurityAlert):
            vector["alertId"] = readable(signing.alert_id(payload))
        vectors.append(vector)
    return vectors


def direct_vectors() -> list[dict[str, Any]]:
    """Return the vectors of what nodes send each other directly."""
    return [
        {"name": name, "message": readable(message), "encoding": readable(codec.encode_direct(message))}
        for name, message in direct_messages()
    ]


def word_of(data: bytes, index: int, value: int) -> bytes:
    """Return `data` with its 32-byte word number `index` replaced."""
    return data[: 32 * index] + value.to_bytes(32, "big") + data[32 * (index + 1) :]


def refused_envelopes() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes that no envelope is on the devnet."""
    separator = DEVNET.separator
    beat = codec.encode_envelope(envelope(heartbeat()), separator)
    find = codec.encode_envelope(envelope(opportunity()), separator)
    warning = codec.encode_envelope(envelope(alert()), separator)
    vote = codec.encode_envelope(envelope(signing.sign_attestation(DEVNET, attestation(), KEYS["alice"])), separator)
    sequence_ms = 1 << 64
    yield "no bytes", b""
    yield "one byte short of the smallest", beat[:256]
    yield "no payload", beat[:192] + beat[-65:]
    yield "more than 8 KiB", beat[:192] + bytes(8192)
    yield "another chain's domain", codec.encode_envelope(envelope(heartbeat()), DOMAINS["mainnet"].separator)
    yield "one bit of the domain changed", bytes((beat[0] ^ 1,)) + beat[1:]
    yield "kind 0", word_of(beat, 1, 0)
    yield "kind 5", word_of(beat, 1, 5)
    yield "kind 4 + 256: dirty padding", word_of(beat, 1, 260)
    yield "operator with dirty padding", word_of(beat, 2, int.from_bytes(CAROL, "big") | 1 << 160)
    yield "operator zero", word_of(beat, 2, 0)
    yield "peer id hash zero", word_of(beat, 3, 0)
    yield "sequence beyond 128 bits", word_of(beat, 4, 1 << 128)
    yield "expiry at the sequence's time", word_of(beat, 5, NOW)
    yield "expiry 60.001 s later", word_of(beat, 5, NOW + 60_001)
    yield "expiry beyond 64 bits", word_of(beat, 5, sequence_ms)
    yield "a heartbeat with a byte too many", beat[:-65] + b"\0" + beat[-65:]
    yield "a heartbeat with a byte too few", beat[:-66] + beat[-65:]
    yield "a heartbeat called an opportunity", word_of(beat, 1, 1)
    yield "opportunity kind 6", word_of(find, 6, 6)
    yield "opportunity for block 0", word_of(find, 7, 0)
    yield "profit bucket 129", word_of(find, 8, 129)
    yield "commitment zero", word_of(find, 9, 0)
    yield "revealed without a salt", find[:-65] + b"short" + find[-65:]
    yield "revealed something else than committed", find[:-65] + bytes(40) + find[-65:]
    yield "revealed more than 7 KiB", find[:-65] + bytes(7 * 1024 + 1) + find[-65:]
    yield "alert kind 7", word_of(warning, 6, 7)
    yield "severity 0", word_of(warning, 8, 0)
    yield "evidence that does not hash to evidenceHash", warning[:-65] + b"something else" + warning[-65:]
    yield "evidence of more than 4 KiB", warning[:-65] + bytes(4 * 1024 + 1) + warning[-65:]
    yield "verdict 3", word_of(vote, 8, 3)
    yield "an attestation with a byte too few", vote[:-66] + vote[-65:]


def refused_direct() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes that no direct message is."""
    given = dict(direct_messages())
    sealed, handed = codec.encode_direct(given["sealed order"]), codec.encode_direct(given["order handover"])
    accepted, have = codec.encode_direct(given["accept"]), codec.encode_direct(given["have"])
    decline = codec.encode_direct(given["decline, BUSY"])
    double = codec.encode_direct(given["evidence of a double accept"])
    a, b = double[96 : 96 + 225], double[96 + 225 :]
    yield "no bytes", b""
    yield "31 bytes", bytes(31)
    yield "kind 0", bytes(32)
    yield "kind 1, a payload's", word_of(have, 0, 1)
    yield "kind 20 + 2^255", word_of(have, 0, 20 | 1 << 255)
    yield "larger than the largest", sealed + bytes(16 * 1024)
    yield "sealed order without a box", sealed[:96]
    yield "sealed order for block 0", word_of(sealed, 1, 0)
    yield "have, a byte too few", have[:-1]
    yield "have, a byte too many", have + b"\0"
    yield "decline for reason 0", word_of(decline, 2, 0)
    yield "accept without its last byte", accepted[:-1]
    yield "accept with a byte too many", accepted + b"\0"
    yield "accept of order hash zero", word_of(accepted, 1, 0)
    yield "order without a finder", word_of(handed, 1, 0)
    yield "order with 10,001 basis points", word_of(handed, 4, 10_001)
    yield "order with 65,536 basis points: dirty padding", word_of(handed, 4, 65_536)
    yield "order with a floor of 0", word_of(handed, 5, 0)
    yield "order with a floor of 2^128: dirty padding", word_of(handed, 5, 1 << 128)
    yield "handover without a route", handed[: 32 * 10 + 65]
    yield "handover of another route", handed + b"!"
    yield "handover with more than 12 KiB of route", handed + bytes(12 * 1024)
    yield "evidence of kind 3", word_of(double, 1, 3)
    yield "evidence without operator", word_of(double, 2, 0)
    yield "evidence that repeats one accept", double[:96] + a + a
    yield "evidence in the wrong order", double[:96] + b + a
    yield "evidence without its second statement", double[: 96 + 225]
    yield "evidence with a byte too many", double + b"\0"


def refused_signatures() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes that are no strict signature by alice of the first statement vector."""
    good = signing.sign(DEVNET, order(), KEYS["alice"])
    r, s, v = good[:32], int.from_bytes(good[32:64], "big"), good[64]
    n = SECP256K1_N.to_bytes(32, "big")
    yield "no bytes", b""
    yield "64 bytes", good[:64]
    yield "66 bytes", good + b"\0"
    yield "v = 0", good[:64] + b"\0"
    yield "v = 1", good[:64] + b"\1"
    yield "v = 29", good[:64] + b"\x1d"
    yield "the other v", good[:64] + bytes((55 - v,))
    yield "high s, the twin", r + (SECP256K1_N - s).to_bytes(32, "big") + bytes((55 - v,))
    yield "s = 0", r + bytes(32) + good[64:]
    yield "s = n / 2 + 1", r + (SECP256K1_N // 2 + 1).to_bytes(32, "big") + good[64:]
    yield "s = n", r + n + good[64:]
    yield "r = 0", bytes(32) + good[32:]
    yield "r = n", n + good[32:]
    yield "r of no point on the curve", (5).to_bytes(32, "big") + good[32:]
    yield "all zero", bytes(65)
    yield "by bob", signing.sign(DEVNET, order(), KEYS["bob"])
    yield "for another chain", signing.sign(DOMAINS["mainnet"], order(), KEYS["alice"])
    yield "of another order", signing.sign(DEVNET, order(finder_bps=BasisPoints(5_001)), KEYS["alice"])


def refused_vectors() -> list[dict[str, Any]]:
    """Return what must be refused, with the error's name and the field where it lies."""
    checks: tuple[tuple[str, Iterator[tuple[str, bytes]], Callable[[bytes], object]], ...] = (
        ("envelope", refused_envelopes(), lambda data: codec.decode_envelope(data, DEVNET.separator)),
        ("direct", refused_direct(), codec.decode_direct),
        ("signature", refused_signatures(), lambda data: signing.verify(DEVNET, order(), data, ALICE)),
    )
    vectors = []
    for what, cases, check in checks:
        for name, data in cases:
            try:
                check(data)
            except RemoteProtocolError as error:
                found = {"error": type(error).__name__, "where": error.where}
                vectors.append({"name": name, "decode": what, **found, "bytes": compact(data)})
            else:
                raise AssertionError(f"{what}, {name}: was not refused")
    return vectors


def compact(data: bytes) -> Any:
    """Return the hex of `data`; if it holds a long run of zeros, its pieces: hex text, or a number of zero bytes."""
    start = data.find(bytes(1024))
    if start < 0:
        return readable(data)
    end = start
    while end < len(data) and data[end] == 0:
        end += 1
    return [readable(data[:start]), end - start, readable(data[end:])]


def documents() -> dict[str, str]:
    """Return the text of each file, by name."""
    common = {
        "format": 1,
        "keys": {
            name: {"secret": readable(SECRETS[name]), "address": address_to_hex(ADDRESSES[name])} for name in KEYS
        },
        "domains": {
            name: {
                "name": signing.DOMAIN_NAME,
                "version": signing.DOMAIN_VERSION,
                "chainId": domain.chain_id,
                "verifyingContract": address_to_hex(domain.registry),
                "separator": readable(domain.separator),
            }
            for name, domain in DOMAINS.items()
        },
    }
    files = {
        "statements.json": statement_vectors(),
        "envelopes.json": envelope_vectors(),
        "direct.json": direct_vectors(),
        "refused.json": refused_vectors(),
    }
    return {name: json.dumps({**common, "vectors": vectors}, indent=1) + "\n" for name, vectors in files.items()}


def main() -> int:
    """Write the files, or compare them with `--check`."""
    differs = 0
    for name, text in documents().items():
        path = FOLDER / name
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                print(f"{path.name} differs from what scripts/generate_vectors.py writes", file=sys.stderr)
                differs = 1
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"{path.name}: {len(json.loads(text)['vectors'])} vectors")
    return differs


if __name__ == "__main__":
    sys.exit(main())
