"""Headers that hash to their hashes, made without a chain."""

from __future__ import annotations

from typing import Any

from protocol.ethereum.keccak import keccak256
from protocol.ethereum.rlp import encode, encode_int

Json = dict[str, Any]

_LATER = ("withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash")


def header_json(
    number: int,
    *,
    parent: str = "0x" + "aa" * 32,
    timestamp: int | None = None,
    base_fee: int = 10**9,
    salt: str = "",
    **later: str,
) -> dict[str, Any]:
    """A header as JSON-RPC writes it; `salt` tells headers of one number apart, `later` are fields of later forks."""
    root = "0x" + keccak256(f"{number}{salt}".encode()).hex()
    body: dict[str, Any] = {
        "parentHash": parent,
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "miner": "0x" + "0b" * 20,
        "stateRoot": root,
        "transactionsRoot": root,
        "receiptsRoot": root,
        "logsBloom": "0x" + "00" * 256,
        "difficulty": "0x0",
        "number": hex(number),
        "gasLimit": hex(30_000_000),
        "gasUsed": "0x0",
        "timestamp": hex(1_767_225_600 + 2 * number if timestamp is None else timestamp),
        "extraData": "0x",
        "mixHash": root,
        "nonce": "0x0000000000000000",
        "baseFeePerGas": hex(base_fee),
        **{name: later[name] for name in _LATER if name in later},
    }
    numbers = {
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
    }
    fields = [
        encode_int(int(value, 16)) if name in numbers else bytes.fromhex(value[2:]) for name, value in body.items()
    ]
    return {**body, "hash": "0x" + keccak256(encode(fields)).hex()}


def chain_of(first: int, last: int, parent: str = "0x" + "aa" * 32, salt: str = "") -> list[Json]:
    """Headers that follow one another."""
    headers: list[Json] = []
    for number in range(first, last + 1):
        headers.append(header_json(number, parent=headers[-1]["hash"] if headers else parent, salt=salt))
    return headers
