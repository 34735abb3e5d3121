"""Where a peer says that it is: libp2p's signed peer record (RFC 0002 and 0003), in its one encoding. No I/O.

    envelope   protobuf: 1 public key {1: 1 (Ed25519), 2: key} · 2 payload type 0x0301 · 3 payload · 5 signature
    payload    protobuf: 1 peer id · 2 sequence (varint) · 3 {1: multiaddress}, once for each address
    signed     three times its length as a varint and itself: "libp2p-peer-record" · payload type · payload

The peer id holds the key, and the registry the hash of the peer id: who has stake is where its own record says, whoever
brings it. Fields come in the order of their numbers, each but the addresses once; another form is refused, so that a
record has one. Of two records of a peer the one with the higher sequence counts.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.byte_reader import ByteReader
from protocol.errors import BadSignature, FieldOutOfRange, InvalidField, NonCanonical, OversizeMessage
from protocol.ethereum.keccak import keccak256
from protocol.messages import MAX_RECORD_BYTES
from protocol.units import Hash32, PeerIdHash

KEY_BYTES: Final = 32
MAX_RECORD_ADDRESSES: Final = 8
MAX_SEQUENCE: Final = 2**64 - 1
_SIGNATURE_BYTES: Final = 64
_KEY_HEAD: Final = b"\x08\x01\x12\x20"
_PEER_ID_HEAD: Final = b"\x00\x24" + _KEY_HEAD
_DOMAIN: Final = b"libp2p-peer-record"
_TYPE: Final = b"\x03\x01"
_SEVEN_BITS: Final = 0x7F
_MAX_VARINT_BYTES: Final = 10
_TCP: Final = b"\x06"
_IP4: Final = b"\x04"
_IP6: Final = b"\x29"
_PORT_BYTES: Final = 2
_IP_BYTES: Final = {_IP4: 4, _IP6: 16}

Place = tuple[IPv4Address | IPv6Address, int]
"""An address of the internet, and a TCP port."""


class PeerRecord(NamedTuple):
    """Whose key it is of (Ed25519, 32 bytes), which of its records, and its multiaddresses in their binary form."""

    key: bytes
    sequence: int
    addresses: tuple[bytes, ...]

    @property
    def peer_id(self) -> bytes:
        """The peer's id: the identity multihash of its key."""
        return _PEER_ID_HEAD + self.key

    @property
    def peer_id_hash(self) -> PeerIdHash:
        """By what the registry names the peer."""
        return PeerIdHash(Hash32(keccak256(self.peer_id)))


def seal_record(record: PeerRecord, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the signed record; `sign` is by the record's key. Raises InvalidField."""
    sequence_fits = 0 < record.sequence <= MAX_SEQUENCE
    if len(record.key) != KEY_BYTES or not sequence_fits or not 0 < len(record.addresses) <= MAX_RECORD_ADDRESSES:
        raise InvalidField(f"not a key, a sequence of 64 bits and 1 to {MAX_RECORD_ADDRESSES} addresses", "peerRecord")
    whole = _envelope(record, sign(_signed_bytes(_payload(record))))
    if len(whole) > MAX_RECORD_BYTES or not all(record.addresses):
        raise InvalidField(f"an empty address, or more than {MAX_RECORD_BYTES} bytes", "peerRecord")
    return whole


def decode_record(data: bytes) -> tuple[PeerRecord, bytes]:
    """Return the record that the bytes are, and its signature, which is not verified. Raises RemoteProtocolError."""
    if len(data) > MAX_RECORD_BYTES:
        raise OversizeMessage(f"more than {MAX_RECORD_BYTES} bytes", "peerRecord")
    envelope = _Fields(data)
    key = envelope.field(1).removeprefix(_KEY_HEAD)
    envelope.field(2)
    payload = _Fields(envelope.field(3))
    signature = envelope.field(5)
    payload.field(1)
    sequence = payload.number(2)
    addresses: list[bytes] = []
    while not payload.is_at_end:
        if len(addresses) == MAX_RECORD_ADDRESSES:
            raise FieldOutOfRange(f"more than {MAX_RECORD_ADDRESSES} addresses", "peerRecord.addresses")
        addresses.append(_Fields(payload.field(3)).field(1))
    record = PeerRecord(key, sequence, tuple(addresses))
    if (
        len(key) != KEY_BYTES
        or len(signature) != _SIGNATURE_BYTES
        or not 0 < sequence <= MAX_SEQUENCE
        or not all(addresses)
    ):
        raise FieldOutOfRange("a key, a signature, a sequence or an address of another size", "peerRecord")
    if not addresses or _envelope(record, signature) != data:  # also another peer's id, or another payload type
        raise NonCanonical("not in the one form of a record", "peerRecord")
    return record, signature


def verify_record(record: PeerRecord, signature: bytes) -> None:
    """Raise BadSignature unless the record's own key signed it."""
    try:
        Ed25519PublicKey.from_public_bytes(record.key).verify(signature, _signed_bytes(_payload(record)))
    except (InvalidSignature, ValueError):
        raise BadSignature("not signed by the peer", "peerRecord") from None


def place_of(address: bytes) -> Place | None:
    """Return where a multiaddress of IP and TCP leads, and None for all others: names, and ways that we do not go."""
    size = _IP_BYTES.get(address[:1])
    if size is None or len(address) != 1 + size + len(_TCP) + _PORT_BYTES or address[1 + size : -_PORT_BYTES] != _TCP:
        return None
    port = int.from_bytes(address[-_PORT_BYTES:], "big")
    return (ip_address(address[1 : 1 + size]), port) if port else None


def multiaddress_of(place: Place) -> bytes:
    """Return the binary multiaddress of a place."""
    ip, port = place
    return (_IP4 if ip.version == 4 else _IP6) + ip.packed + _TCP + port.to_bytes(_PORT_BYTES, "big")


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is the internet's, not a machine's or a network's own, nor one that wraps such."""
    if isinstance(ip, IPv6Address):
        if ip.teredo is not None:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return is_public(inner)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _payload(record: PeerRecord) -> bytes:
    addresses = b"".join(_field(3, _field(1, address)) for address in record.addresses)
    return _field(1, record.peer_id) + bytes((2 << 3,)) + _varint(record.sequence) + addresses


def _envelope(record: PeerRecord, signature: bytes) -> bytes:
    parts = {1: _KEY_HEAD + record.key, 2: _TYPE, 3: _payload(record), 5: signature}
    return b"".join(_field(number, value) for number, value in parts.items())


def _signed_bytes(payload: bytes) -> bytes:
    return b"".join(_varint(len(part)) + part for part in (_DOMAIN, _TYPE, payload))


def _field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = b""
    while value > _SEVEN_BITS:
        encoded += bytes((value & _SEVEN_BITS | _SEVEN_BITS + 1,))
        value >>= 7
    return encoded + bytes((value,))


class _Fields(ByteReader):
    """Reads protobuf fields in the order in which they must come; whether in their shortest form, it does not tell."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "peerRecord")

    def field(self, number: int) -> bytes:
        """Return the bytes of a field."""
        self._tag(number << 3 | 2)
        return self.take(self._varint())

    def number(self, number: int) -> int:
        """Return the number in a field."""
        self._tag(number << 3)
        return self._varint()

    def _tag(self, tag: int) -> None:
        if self.uint(1) != tag:
            raise NonCanonical(f"no field {tag >> 3} where it must be", self._where)

    def _varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self.uint(1)
            value |= (byte & _SEVEN_BITS) << 7 * place
            if byte <= _SEVEN_BITS:
                return value
        raise NonCanonical("a number that does not end", self._where)
