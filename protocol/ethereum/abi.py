"""Contract ABI: selectors and call data (Solidity ABI specification), on top of eth-abi.

Types, signatures and values of ours that make no sense are `InvalidField`; data of others that does not decode is
InvalidAbi(MalformedMessage).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from eth_abi.decoding import ContextFramesBytesIO, TupleDecoder
from eth_abi.encoding import TupleEncoder
from eth_abi.exceptions import DecodingError, EncodingError, ParseError
from eth_abi.registry import registry

from protocol.errors import InvalidField, MalformedMessage
from protocol.ethereum.keccak import keccak256

SELECTOR_BYTES: Final = 4
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_ALIAS: Final = re.compile(r"\b(?:u?int|u?fixed|byte)\b")
_READS_PER_BYTE: Final = 8
_FREE_READS: Final = 65_536


class InvalidAbi(MalformedMessage):
    """Bytes that are not the ABI encoding of the types they should have."""


@lru_cache(maxsize=1024)
def selector(signature: str) -> bytes:
    """Return the 4-byte selector of a canonical signature such as `transfer(address,uint256)`.

    Raises InvalidField for one that is not canonical (spaces, `uint` for `uint256`): its selector would be wrong.
    """
    argument_types(signature)
    return keccak256(signature.encode())[:SELECTOR_BYTES]


def argument_types(signature: str) -> list[str]:
    """Return the top-level argument types of a canonical signature; tuples stay whole."""
    name, bracket, rest = signature.partition("(")
    if not bracket or not rest.endswith(")") or not _NAME.match(name):
        raise InvalidField(f"{signature[:80]!r} is no signature such as transfer(address,uint256)")
    if _ALIAS.search(rest) or not rest.isascii() or any(char.isspace() for char in rest):
        raise InvalidField(f"{signature[:80]!r} is not canonical: no spaces, no aliases")
    inside = rest[:-1]
    types: list[str] = []
    depth = start = 0
    for position, char in enumerate(inside):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            raise InvalidField(f"{signature[:80]!r} has brackets that do not match")
        if char == "," and depth == 0:
            types.append(inside[start:position])
            start = position + 1
    if depth:
        raise InvalidField(f"{signature[:80]!r} has brackets that do not match")
    if inside:
        types.append(inside[start:])
    return types


def encode_call(signature: str, *arguments: Any) -> bytes:
    """Return call data: the selector of `signature` and its encoded arguments."""
    return selector(signature) + encode(argument_types(signature), arguments)


def decode_call(signature: str, data: bytes) -> tuple[Any, ...]:
    """Return the arguments of call data; raises InvalidAbi if it does not begin with the selector."""
    if data[:SELECTOR_BYTES] != selector(signature):
        raise InvalidAbi(f"is no call of {signature}")
    return decode(argument_types(signature), data[SELECTOR_BYTES:])


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """ABI-encode `values` as the tuple of `types`; raises InvalidField where a value is not of its type.

    Addresses are hex text, `bytes` and `bytesN` bytes, arrays and tuples sequences.
    """
    try:
        if len(types) != len(values):
            raise InvalidField(f"{len(types)} types, {len(values)} values")
        encoded: bytes = _tuple_encoder(*types)(values)
    except (EncodingError, ParseError, ValueError, TypeError) as error:
        raise InvalidField(f"cannot encode as ({','.join(map(str, types))}): {str(error)[:200]}") from error
    return encoded


def decode(types: Sequence[str], data: bytes, *, exact: bool = False) -> tuple[Any, ...]:
    """ABI-decode `data` as the tuple of `types`; addresses come as lower-case hex, arrays and tuples as tuples.

    Padding must be zero and offsets must lie inside the data, and what they share is counted: data cannot blow up.
    As in Solidity, bytes may follow the last value; with `exact` the data must be just what `encode` gives.
    Raises InvalidAbi, or InvalidField for types that do not exist.
    """
    try:
        decoder = _tuple_decoder(*types)
    except (ParseError, ValueError, TypeError) as error:
        raise InvalidField(f"cannot decode as ({','.join(map(str, types))}): {str(error)[:200]}") from error
    try:
        values: tuple[Any, ...] = decoder(_MeteredStream(data))
    except (DecodingError, ValueError, OverflowError) as error:
        raise InvalidAbi(f"does not decode as ({','.join(types)}): {str(error)[:200]}") from error
    if exact and encode(types, values) != data:
        raise InvalidAbi(f"is not the canonical encoding of ({','.join(types)})")
    return values


# eth-abi 5, which the contracts' environment has, gives no coder of several types; both versions give these.


@lru_cache(maxsize=1024)
def _tuple_encoder(*types: str) -> TupleEncoder:
    return TupleEncoder(encoders=tuple(registry.get_encoder(each) for each in types))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1024)
def _tuple_decoder(*types: str) -> TupleDecoder:
    return TupleDecoder(decoders=tuple(registry.get_decoder(each) for each in types))  # type: ignore[no-untyped-call]


class _MeteredStream(ContextFramesBytesIO):
    """A stream that bounds what is read from it: many offsets may point to the same bytes, each reads them again."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)  # type: ignore[no-untyped-call]
        self._left = _FREE_READS + _READS_PER_BYTE * len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise DecodingError("the same bytes are read too often")
        return data
