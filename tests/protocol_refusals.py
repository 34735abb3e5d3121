"""Bytes that must be refused, by name: what the negative vectors are made from."""

from __future__ import annotations

from collections.abc import Iterator

from protocol import codec, signing
from protocol.ethereum.keys import SECP256K1_N
from protocol.units import (
    BasisPoints,
)
from tests.protocol_factories import (
    CAROL,
    DEVNET,
    DOMAINS,
    KEYS,
    NOW,
    alert,
    attestation,
    envelope,
    heartbeat,
    opportunity,
    order,
)
from tests.protocol_samples import direct_messages


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
    told = codec.encode_direct(given["sealing key"])
    yield "sealing key of no operator", word_of(told, 1, 0)
    yield "sealing key zero", word_of(told, 2, 0)
    yield "sealing key that ends before it begins", word_of(told, 4, 1)
    yield "sealing key without its last byte", told[:-1]
    yield "sealing key request for block 0", word_of(codec.encode_direct(given["sealing key request"]), 1, 0)
    yield "peer records request, a byte too few", codec.encode_direct(given["peer records request"])[:-1]
    kind = codec.encode_direct(given["peer records, none"])
    yield "peer records, an empty one", kind + bytes(2)
    yield "peer records, one that ends too early", codec.encode_direct(given["peer records"])[:-1]
    yield "peer records, half a length", kind + b"\0"
    yield "peer records, one of 513 bytes", kind + (513).to_bytes(2, "big") + b"r" * 513
    yield "peer records, 33 of them", kind + b"\0\1r" * 33


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
