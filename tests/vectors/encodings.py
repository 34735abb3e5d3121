"""Kinds tx_ethers_rlp, tx_ethers_private_key_addresses, abi_codec and create2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from protocol.ethereum import abi, rlp
from protocol.ethereum.create2 import create2_address
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey, checksum_address, icap_address
from tests.vectors.cases import Case, Malformed, differs, must_be, number, unhex


def check_rlp(case: dict[str, Any]) -> Iterator[str]:
    """`decoded` (hex text, nested lists of it) and `encoded`, both ways."""
    decoded, encoded = _rlp_item(case["decoded"]), unhex(case["encoded"])
    yield from differs("encoded", rlp.encode(decoded), encoded)
    yield from differs("decoded", rlp.decode(encoded), decoded)


def _rlp_item(value: object) -> Any:
    return [_rlp_item(part) for part in value] if isinstance(value, list) else unhex(value)


def check_private_key(case: dict[str, Any]) -> Iterator[str]:
    """The key's `address` (EIP-55) and `icap` form."""
    key = SigningKey(unhex(case["privateKey"]))
    yield from differs("address", checksum_address(key.address), case["address"])
    yield from differs("icap", icap_address(key.address), case["icap"])


def split_create2(content: bytes) -> Iterator[Case]:
    """Split a list of senders with their `creates` into one case each."""
    for sender in must_be("the file", list, json.loads(content)):
        for create in must_be("creates", list, sender["creates"]):
            yield Case(str(create["name"]), create | {"sender": sender["sender"]})


def check_create2(case: dict[str, Any]) -> Iterator[str]:
    """The `address` from `sender`, `salt` and `initCodeHash` (and that from `initCode` where it is given)."""
    init_code_hash = unhex(case["initCodeHash"])
    if "initCode" in case:
        yield from differs("initCodeHash", keccak256(unhex(case["initCode"])), init_code_hash)
    sender = must_be("sender", str, case["sender"])
    if sender != sender.lower():
        yield from differs("sender's checksum", checksum_address(sender), sender)
    address = create2_address(sender, unhex(case["salt"]), init_code_hash)
    yield from differs("address", checksum_address(address), case["address"])


def check_abi(case: dict[str, Any]) -> Iterator[str]:
    """`value` as `type` and `encoded`, both ways; `verbose` says the same value with the type of each part."""
    type_ = must_be("type", str, case["type"])
    value, encoded = _abi_value(case["verbose"]), unhex(case["encoded"])
    yield from differs("value", _plain(case["verbose"]), case["value"])
    yield from differs("encoded", abi.encode([type_], [value]), encoded)
    (decoded,) = abi.decode([type_], encoded, exact=True)
    yield from differs("decoded", decoded, value)


def _abi_value(part: dict[str, Any]) -> Any:
    """Return the Python value that stands for a part of `verbose`."""
    kind, value = part["type"], part["value"]
    if kind in ("array", "object"):
        return tuple(_abi_value(inner) for inner in must_be(kind, list, value))
    if kind == "boolean":
        return must_be(kind, bool, value)
    if kind == "number":
        return number(value)
    if kind == "hexstring":
        return unhex(value)
    if kind == "string":
        return must_be(kind, str, value)
    if kind == "address":
        if value not in (value.lower(), checksum_address(value)):
            raise Malformed(f"the address {value} has a wrong checksum")
        return value.lower()
    raise Malformed(f"unknown part {kind!r}")


def _plain(part: dict[str, Any]) -> Any:
    value = part["value"]
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
