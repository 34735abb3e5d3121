"""Contract ABI: selectors and call data (Solidity ABI specification), on top of eth-abi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import abi as _codec

from protocol.ethereum.keccak import keccak256


def selector(signature: str) -> bytes:
    """Return the 4-byte selector of a canonical signature such as `transfer(address,uint256)`."""
    return keccak256(signature.encode())[:4]


def argument_types(signature: str) -> list[str]:
    """Return the top-level argument types of a canonical signature; tuples stay whole."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    types: list[str] = []
    depth = start = 0
    for position, char in enumerate(inside):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            types.append(inside[start:position])
            start = position + 1
    if inside:
        types.append(inside[start:])
    return types


def encode_call(signature: str, *arguments: Any) -> bytes:
    """Return call data: the selector of `signature` and its encoded arguments."""
    return selector(signature) + _codec.encode(argument_types(signature), arguments)


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """ABI-encode `values` as the tuple of `types`."""
    return _codec.encode(types, values)


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """ABI-decode `data` as the tuple of `types`."""
    return _codec.decode(types, data)
