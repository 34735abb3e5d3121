"""Kinds libp2p_peer_id_keys, libp2p_peer_id_text_forms, libp2p_tls_certificates.

The node itself speaks Ed25519 identities and Noise only. The rules for the other keys and for TLS stand here, written
from libp2p's specification, so that peer ids are checked whatever key they come from; where the libp2p that we run
knows a key, it has to agree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import base58
import multibase
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from google.protobuf.message import DecodeError
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.pb import crypto_pb2
from libp2p.crypto.serialization import deserialize_private_key, deserialize_public_key
from libp2p.peer.id import ID

from tests.vectors.cases import Malformed, differs, must_be

PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

_INLINED_BYTES: Final = 42
_IDENTITY: Final = b"\x00"
_SHA_256: Final = b"\x12\x20"
_CID: Final = b"\x01\x72"
"""Version 1, and the codec of libp2p's keys."""
_EXTENSION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
_TLS_PREFIX: Final = b"libp2p-tls-handshake:"
_SEED_BYTES: Final = 32
_SECP256K1: Final = ec.SECP256K1.name
_KNOWN_WORD: Final = re.compile(r"base\d+\w*|sha[\w-]*|identity|ed\d+|cid\w*")
_KNOWN_TO_OUR_LIBP2P: Final = frozenset({"ed25519", "rsa", "secp256k1"})


def check_keys(case: dict[str, Any]) -> Iterator[str]:
    """The public key of a private one, and the peer id of the public one."""
    secret, stated = unhex_bare(case["private_key_protobuf_hex"]), unhex_bare(case["public_key_protobuf_hex"])
    kind, key = public_key_of(secret)
    public = public_protobuf(kind, key)
    multihash = multihash_of(public)
    yield from differs("key type", kind, case["key_type"])
    yield from differs("public key", public, stated)
    yield from differs("multihash", multihash, unhex_bare(case["multihash_hex"]))
    yield from differs("peer id", base58.b58encode(multihash).decode(), case["peer_id_base58"])
    yield from differs("read public key", public_protobuf(kind, read_public_key(stated)), stated)
    if kind in _KNOWN_TO_OUR_LIBP2P:
        yield from differs("libp2p's peer id", str(ID.from_pubkey(deserialize_public_key(stated))), str(ID(multihash)))
    if kind in ("rsa", "secp256k1"):
        own = deserialize_private_key(secret)
        yield from differs("libp2p's public key", own.get_public_key().serialize(), stated)
    if kind == "ed25519":
        pair = create_new_key_pair(_data_of(secret)[1][:_SEED_BYTES])
        yield from differs("our identity", str(ID.from_pubkey(pair.public_key)), case["peer_id_base58"])


def check_text_form(case: dict[str, Any]) -> Iterator[str]:
    """The bytes that a peer id's text stands for, and what its form is called."""
    text = must_be("text", str, case["text"])
    multihash, words = read_text(text)
    yield from differs("multihash", multihash, unhex_bare(case["multihash_hex"]))
    if "cidv1" in words:
        again = multibase.encode(multibase.get_codec(text).encoding, _CID + multihash).decode()
    else:
        again = base58.b58encode(multihash).decode()
        yield from differs("libp2p's reading", ID.from_string(text).to_bytes(), multihash)
    yield from differs("text", again, text)
    told = set(_KNOWN_WORD.findall(must_be("form", str, case["form"]).lower()))
    if not told <= words or not told:
        yield f"form: {', '.join(sorted(words))}, stated {case['form']}"


def check_certificate(case: dict[str, Any]) -> Iterator[str]:
    """Whose identity a certificate of libp2p's TLS handshake proves; null: nobody's."""
    stated = case["peer_id"]
    if stated is not None:
        must_be("peer_id", str, stated)
    try:
        found, why = peer_of_certificate(unhex_bare(case["certificate_der_hex"])), ""
    except Refused as error:
        found, why = None, f" ({error})"
    if found != stated:
        yield f"peer id: {found}{why}, stated {stated}"


class Refused(Exception):
    """A certificate that proves nothing, and why."""


def peer_of_certificate(der: bytes) -> str:
    """Return the peer id that a certificate proves now. Raises Refused."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = list(certificate.extensions)
        key = certificate.public_key()
    except ValueError as error:
        raise Refused(f"no certificate: {error}") from error
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise Refused("not valid now")
    if any(one.critical for one in extensions if isinstance(one.value, x509.UnrecognizedExtension)) and not all(
        one.oid == _EXTENSION for one in extensions if one.critical
    ):
        raise Refused("a critical extension that nobody knows")
    found = [one.value.value for one in extensions if one.oid == _EXTENSION]
    if len(found) != 1 or not isinstance(key, PublicKey):
        raise Refused("not one extension of libp2p, or a key of an unknown kind")
    _require_signed(key, certificate.signature, certificate.tbs_certificate_bytes, "itself")
    public, signature = _two_octet_strings(found[0])
    try:
        identity = read_public_key(public)
    except (Malformed, ValueError) as error:
        raise Refused(f"no identity key: {error}") from error
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    _require_signed(identity, signature, _TLS_PREFIX + info, "by the identity")
    return base58.b58encode(multihash_of(public)).decode()


def _require_signed(key: PublicKey, signature: bytes, data: bytes, by: str) -> None:
    try:
        match key:
            case ed25519.Ed25519PublicKey():
                key.verify(signature, data)
            case rsa.RSAPublicKey():
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            case _:
                key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(f"not signed {by}") from None


def _two_octet_strings(der: bytes) -> tuple[bytes, bytes]:
    """Return the members of SignedKey: SEQUENCE of two OCTET STRINGs, in the one encoding that DER has."""
    body, rest = _take(der, 0x30)
    public, more = _take(body, 0x04)
    signature, end = _take(more, 0x04)
    if rest or end:
        raise Refused("surplus bytes in the extension")
    return public, signature


def _take(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the element in front, and what comes after it."""
    if len(der) < 2 or der[0] != tag:
        raise Refused("the extension is no signed key")
    length, start = der[1], 2
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start], "big")
        if length < 0x80 or der[2] == 0:
            raise Refused("a length that is not DER")
    if len(der) < start + length:
        raise Refused("the extension is cut")
    return der[start : start + length], der[start + length :]


def public_key_of(private_protobuf: bytes) -> tuple[str, PublicKey]:
    """Return the kind, and the public key, of a private key in libp2p's protobuf. Raises Malformed or ValueError."""
    kind, data = _data_of(private_protobuf)
    match kind:
        case "ed25519":
            secret = ed25519.Ed25519PrivateKey.from_private_bytes(data[:_SEED_BYTES])
            if data[_SEED_BYTES:] != secret.public_key().public_bytes_raw():
                raise Malformed("the private key's second half is not its public key")
            return kind, secret.public_key()
        case "secp256k1":
            return kind, ec.derive_private_key(int.from_bytes(data, "big"), ec.SECP256K1()).public_key()
        case _:
            key = serialization.load_der_private_key(data, None).public_key()
            if not isinstance(key, PublicKey):
                raise Malformed(f"a private key of another kind than {kind}")
            return kind, key


def public_protobuf(kind: str, key: PublicKey) -> bytes:
    """Return the one encoding of a public key in libp2p's protobuf."""
    match key:
        case ed25519.Ed25519PublicKey():
            data = key.public_bytes_raw()
        case ec.EllipticCurvePublicKey() if key.curve.name == _SECP256K1:
            data = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        case _:
            data = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    message = crypto_pb2.PublicKey(key_type=_TYPES[kind], data=data)
    return message.SerializeToString()


def read_public_key(protobuf: bytes) -> PublicKey:
    """Return the key that libp2p's protobuf holds. Raises Malformed, or ValueError for what is no key."""
    kind, data = _data_of(protobuf)
    match kind:
        case "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(data)
        case "secp256k1":
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), data)
        case _:
            key = serialization.load_der_public_key(data)
            if not isinstance(key, rsa.RSAPublicKey if kind == "rsa" else ec.EllipticCurvePublicKey):
                raise Malformed(f"no {kind} key")
            return key


def multihash_of(public: bytes) -> bytes:
    """Return the bytes of the peer id: the key itself where it is short, else its SHA-256."""
    if len(public) <= _INLINED_BYTES:
        return _IDENTITY + len(public).to_bytes(1, "big") + public
    return _SHA_256 + hashlib.sha256(public).digest()


def read_text(text: str) -> tuple[bytes, set[str]]:
    """Return the bytes of a peer id in text, and the words for the form it is in. Raises Malformed or ValueError."""
    if text.startswith(("1", "Qm")):
        multihash, words = base58.b58decode(text), {"base58btc"}
    else:
        content = multibase.decode(text)
        if not content.startswith(_CID):
            raise Malformed("no CID of a libp2p key")
        multihash, words = content[len(_CID) :], {"cid", "cidv1", multibase.get_codec(text).encoding}
    if multihash.startswith(_SHA_256) and len(multihash) == 34:
        return multihash, words | {"sha2-256", "sha256"}
    if multihash.startswith(_IDENTITY) and len(multihash) == 2 + multihash[1]:
        return multihash, words | {"identity", *([_data_of(multihash[2:])[0]])}
    raise Malformed("neither a SHA-256 nor a key")


_TYPES: Final = {
    "rsa": crypto_pb2.KeyType.RSA,
    "ed25519": crypto_pb2.KeyType.Ed25519,
    "secp256k1": crypto_pb2.KeyType.Secp256k1,
    "ecdsa": crypto_pb2.KeyType.ECDSA,
}


def _data_of(protobuf: bytes) -> tuple[str, bytes]:
    """Return kind and bytes of a key; public and private ones have one layout, and there is one encoding of each."""
    try:
        message = crypto_pb2.PublicKey.FromString(protobuf)
    except DecodeError as error:
        raise Malformed("no key in libp2p's protobuf") from error
    kinds = [name for name, number in _TYPES.items() if number == message.key_type]
    if not kinds or message.SerializeToString() != protobuf:
        raise Malformed("a key of an unknown kind, or not in its one encoding")
    return kinds[0], message.data


def unhex_bare(value: object) -> bytes:
    """Return the bytes of hex text without 0x; otherwise the case is malformed."""
    text = must_be("hex data", str, value)
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Malformed("not hex data") from error
