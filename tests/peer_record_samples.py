"""Signed records of peers as samples: such as there are, and bytes that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.peer_records import MAX_SEQUENCE, PeerRecord, multiaddress_of, seal_record
from tests.protocol_factories import hash_of

MADE_AT: Final = 1_764_500_000_000
DNS: Final = b"\x36\x0bexample.org\x06\x12\x67"
QUIC: Final = b"\x04\x08\x08\x08\x08\x91\x02\x12\x67\xcd\x03"
PLACES: Final = (
    ("8.8.8.8", 4711),
    ("2606:4700::1111", 1),
    ("10.0.0.1", 4711),
    ("127.0.0.1", 65_535),
    ("::ffff:192.168.1.1", 4711),
    ("2002:7f00:1::1", 4711),
    ("64:ff9b::7f00:1", 4711),
    ("224.0.0.1", 4711),
)
"""Two that are public; a private one, a loopback one, three that wrap such, and one of many hosts."""


def secret_of(name: str) -> Ed25519PrivateKey:
    """Return the Ed25519 secret of a peer, the same as in the scenes of the sentry."""
    return Ed25519PrivateKey.from_private_bytes(hash_of(f"libp2p key of {name}"))


def address(ip: str, port: int) -> bytes:
    """Return a binary multiaddress."""
    return multiaddress_of((ip_address(ip), port))


def record_of(name: str, *addresses: bytes, sequence: int = MADE_AT) -> PeerRecord:
    """Return a record of a peer."""
    return PeerRecord(secret_of(name).public_key().public_bytes_raw(), sequence, addresses)


def sealed(name: str, *addresses: bytes, sequence: int = MADE_AT) -> bytes:
    """Return a signed record of a peer."""
    return seal_record(record_of(name, *addresses, sequence=sequence), secret_of(name).sign)


def record_samples() -> Iterator[tuple[str, Ed25519PrivateKey, PeerRecord]]:
    """Yield name, secret and record."""
    home = address(*PLACES[0])
    yield "one address", secret_of("alice"), record_of("alice", home)
    yield "another peer's", secret_of("bob"), record_of("bob", home)
    yield "every kind of place", secret_of("alice"), record_of("alice", *(address(*place) for place in PLACES))
    yield "ways that are not gone", secret_of("alice"), record_of("alice", DNS, QUIC, address("8.8.8.8", 4711)[:5])
    yield "port 0 leads nowhere", secret_of("alice"), record_of("alice", home[:-2] + bytes(2))
    yield "the lowest sequence", secret_of("alice"), record_of("alice", home, sequence=1)
    yield "the highest sequence", secret_of("alice"), record_of("alice", home, sequence=MAX_SEQUENCE)


def sealed_records() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes."""
    for name, secret, record in record_samples():
        yield name, seal_record(record, secret.sign)


def refused_records() -> Iterator[tuple[str, bytes]]:
    """Yield bytes that are no record that its peer signed."""
    home = address(*PLACES[0])
    whole, other = sealed("alice", home), sealed("bob", home)
    signature = whole[-64:]
    payload = 42
    yield "no bytes", b""
    yield "more than 512 bytes", bytes(513)
    yield "one byte short", whole[:-1]
    yield "one byte too many", whole + b"\0"
    yield "another peer's signature", whole[:-64] + other[-64:]
    yield "a signature of nobody", whole[:-64] + bytes(64)
    yield "another address than was signed", whole.replace(home, address("8.8.4.4", 4711))
    yield "another peer's key", other[:38] + whole[38:]
    yield "an RSA key", b"\x0a\x24\x08\x00" + whole[4:]
    yield "another payload type", whole.replace(b"\x12\x02\x03\x01", b"\x12\x02\x03\x02")
    yield "fields in another order", whole[38:42] + whole[:38] + whole[42:]
    yield "a sequence in a longer form", _with_payload(whole, payload, _longer_sequence)
    yield "a sequence that does not end", _with_payload(whole, payload, lambda data: data[:41] + b"\xff" * 11)
    yield "a length that goes past the end", whole[:-66] + b"\x2a\x7f" + signature
    yield "sequence 0", _with_payload(whole, payload, lambda data: data[:41] + b"\0" + data[data.index(b"\x1a", 41) :])
    yield "no address", _with_payload(whole, payload, lambda data: data[: -len(home) - 4])
    yield "an empty address", _with_payload(whole, payload, lambda data: data[: -len(home) - 4] + b"\x1a\x02\x0a\0")
    nine = b"".join(b"\x1a\x0a\x0a\x08" + home for _ in range(9))
    yield "nine addresses", _with_payload(whole, payload, lambda data: data[: -len(home) - 4] + nine)
    yield "a field that nobody knows", whole + b"\x32\x01x"


def _longer_sequence(data: bytes) -> bytes:
    """Encode the sequence in one byte more than it needs."""
    end = data.index(b"\x1a", 41)
    return data[: end - 1] + bytes((data[end - 1] | 0x80, 0)) + data[end:]


def _with_payload(whole: bytes, place: int, change: Callable[[bytes], bytes]) -> bytes:
    """Return the record with its payload changed, its length put right, and the signature as it was."""
    size = whole[place + 1]
    payload = change(whole[place + 2 : place + 2 + size])
    length = len(payload)
    varint = bytes((length,)) if length < 128 else bytes((length & 0x7F | 0x80, length >> 7))
    return whole[: place + 1] + varint + payload + whole[place + 2 + size :]
