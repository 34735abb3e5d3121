"""Kinds eip712_ethers and eip712_eth_account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocol.ethereum.keys import Signature, SigningKey, recover_address
from protocol.ethereum.typed_data import Dialect, InvalidTypedData, TypedData, TypedDataEncoder, typed_data_digest
from tests.vectors.cases import Malformed, differs, unhex


def check_ethers(case: dict[str, Any]) -> Iterator[str]:
    """`encoded` (type hash and words of the message), `digest`, and where given the `signature`."""
    types, primary_type = case["types"], case["primaryType"]
    domain = {name: value for name, value in case["domain"].items() if value is not None}  # null is absent for ethers
    document = {"types": types, "primaryType": primary_type, "domain": domain, "message": case["data"]}
    data = TypedData.from_document(document)
    digest = unhex(case["digest"])
    encoded = TypedDataEncoder(data.types).encode_data(data.primary_type, data.message)
    yield from differs("encoded", encoded, unhex(case["encoded"]))
    yield from differs("digest", data.digest(), digest)
    if "signature" in case:
        stated, key = unhex(case["signature"]), SigningKey(unhex(case["privateKey"]))
        yield from differs("signature", key.sign_digest(digest).to_bytes(), stated)
        yield from differs("signer", recover_address(digest, Signature.from_bytes(stated)), key.address)


def check_eth_account(case: dict[str, Any]) -> Iterator[str]:
    """The digest of a valid message; the refusal of an invalid one, as a document or also by its parts."""
    message, expect = case["full_message"], case["expect"]
    if expect == "valid":
        stated = unhex(case["digest_by_eth_account"])
        yield from differs("digest", typed_data_digest(message, Dialect.ETH_ACCOUNT), stated)
        yield from differs("digest by parts", _digest_by_parts(message), stated)
        return
    if expect not in ("invalid", "invalid_as_full_message_only"):
        raise Malformed(f"unknown expectation {expect!r}")
    try:
        yield f"taken, digest {typed_data_digest(message, Dialect.ETH_ACCOUNT).hex()}, stated {expect}"
    except InvalidTypedData:
        yield from _parts_differ(message, valid=expect == "invalid_as_full_message_only")


def _parts_differ(message: dict[str, Any], *, valid: bool) -> Iterator[str]:
    try:
        digest = _digest_by_parts(message)
    except InvalidTypedData as error:
        if valid:
            yield f"refused by parts too: {error}"
    else:
        if not valid:
            yield f"taken by parts, digest {digest.hex()}"


def _digest_by_parts(message: dict[str, Any]) -> bytes:
    parts = TypedData.from_parts(message["domain"], message["types"], message["message"], Dialect.ETH_ACCOUNT)
    return parts.digest(Dialect.ETH_ACCOUNT)
