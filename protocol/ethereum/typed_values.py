"""The words that single values of EIP-712 messages become, by type and by dialect.

InvalidTypedData(MalformedMessage)      a type, a value or a document that has no EIP-712 encoding; `where` is its path
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from protocol.errors import FieldOutOfRange, MalformedMessage
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import address_bytes, checksum_address

ZERO_WORD: Final = bytes(32)
_ATOMIC: Final = re.compile(r"(bool|address|string|bytes)|(u?int)([0-9]{0,3})|bytes([0-9]{1,2})")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,78}\Z")
_HEX_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_HEX_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_HEX_TEXT: Final = re.compile(r"0x[0-9a-fA-F]*\Z")
_MAX_DIGITS: Final = 100
_FALSE_TEXTS: Final = ("False", "false", "0")


class InvalidTypedData(MalformedMessage):
    """A type, a value or a document that has no EIP-712 encoding."""


class Dialect(Enum):
    """How forgiving the encoder is.

    STRICT takes a value only if it is of its type: what is signed is what the document says.
    ETH_ACCOUNT does as the Python library eth-account: it turns values into their type (text into bytes, anything
    into a truth value), takes null for structs, `string` and `bytes`, checks neither the length of fixed arrays nor
    checksums, ignores values without a field, and takes a field that is named twice. Needed to reproduce the digests
    of such wallets; nothing of ours signs with it.
    """

    STRICT = "strict"
    ETH_ACCOUNT = "eth-account"


def is_atomic(type_: str) -> bool:
    """Return whether `type_` is one of Solidity's elementary types, in a width that exists."""
    match = _ATOMIC.fullmatch(type_)
    if match is None:
        return False
    plain, _, bits, size = match.groups()
    if plain or bits == "":
        return True
    if bits:
        return not bits.startswith("0") and int(bits) in range(8, 257, 8)
    return not size.startswith("0") and int(size) in range(1, 33)


def encode_atomic(type_: str, value: object, dialect: Dialect, where: str) -> bytes:
    """Return the 32-byte word of a value of an elementary type; raises InvalidTypedData.

    `string` and `bytes` become their Keccak digest, all others their ABI encoding.
    """
    lenient = dialect is Dialect.ETH_ACCOUNT
    if type_ == "bool":
        return _boolean(value, where, lenient=lenient)
    if type_ == "address":
        return _address(value, where, lenient=lenient)
    if type_ == "string":
        return keccak256(_text(value, where, lenient=lenient))
    if type_.startswith("bytes"):
        raw = _lenient_bytes(value, where) if lenient else _bytes(value, where)
        return keccak256(raw) if type_ == "bytes" else _fixed_bytes(raw, int(type_[5:]), where, lenient=lenient)
    signed = type_.startswith("int")
    bits = int(type_.removeprefix("u").removeprefix("int") or 256)
    return _integer(value, bits, where, signed=signed, lenient=lenient)


def _boolean(value: object, where: str, *, lenient: bool) -> bytes:
    if lenient and not (value and isinstance(value, (list, dict))):
        value = bool(value) and value not in _FALSE_TEXTS
    if not isinstance(value, bool):
        raise InvalidTypedData(f"expected true or false, got {_shown(value)}", where)
    return int(value).to_bytes(32, "big")


def _address(value: object, where: str, *, lenient: bool) -> bytes:
    if lenient and isinstance(value, bytes) and len(value) == 20:
        return value.rjust(32, b"\0")
    if lenient and isinstance(value, str) and not value.startswith(("0x", "0X")):
        value = "0x" + value
    if not isinstance(value, str):
        raise InvalidTypedData(f"expected an address, got {_shown(value)}", where)
    try:
        raw = address_bytes(value)
    except FieldOutOfRange as error:
        raise InvalidTypedData(error.what, where) from error
    digits = value[2:]
    if not lenient and digits not in (digits.lower(), digits.upper()) and checksum_address(value) != value:
        raise InvalidTypedData("the address has a wrong checksum (EIP-55)", where)
    return raw.rjust(32, b"\0")


def _text(value: object, where: str, *, lenient: bool) -> bytes:
    if lenient and isinstance(value, int):
        return _lenient_bytes(value, where, clamp=False)
    if not isinstance(value, str):
        raise InvalidTypedData(f"expected text, got {_shown(value)}", where)
    return _utf8(value, where)


def _utf8(value: str, where: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidTypedData("text with half a surrogate pair", where) from error


def _bytes(value: object, where: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or not _HEX_DATA.match(value):
        raise InvalidTypedData(f"expected 0x and pairs of hex digits, got {_shown(value)}", where)
    return bytes.fromhex(value[2:])


def _lenient_bytes(value: object, where: str, *, clamp: bool = True) -> bytes:
    """Turn text, numbers and truth values into bytes as eth-account does; `clamp` takes negative numbers as 0."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        if not _HEX_TEXT.match(value):
            return _utf8(value, where)
        digits = value[2:]
        return bytes.fromhex("0" * (len(digits) % 2) + digits)
    if isinstance(value, int) and (clamp or value >= 0):
        number = max(int(value), 0)
        return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
    raise InvalidTypedData(f"expected bytes, got {_shown(value)}", where)


def _fixed_bytes(raw: bytes, size: int, where: str, *, lenient: bool) -> bytes:
    if len(raw) > size or (len(raw) < size and not lenient):
        raise InvalidTypedData(f"expected {size} bytes, got {len(raw)}", where)
    return raw.ljust(32, b"\0")


def _integer(value: object, bits: int, where: str, *, signed: bool, lenient: bool) -> bytes:
    number = _parsed_number(value, where, lenient=lenient) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise InvalidTypedData(f"expected an integer, got {_shown(value)}", where)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise InvalidTypedData(f"the number does not fit into {bits} bits, {'' if signed else 'un'}signed", where)
    return number.to_bytes(32, "big", signed=signed)


def _parsed_number(value: str, where: str, *, lenient: bool) -> int:
    if _HEX_NUMBER.match(value):
        return int(value, 16)
    if _DECIMAL.match(value):
        return int(value)
    try:
        if lenient and len(value) <= _MAX_DIGITS:
            return int(value)  # with spaces, underscores, a plus sign, other scripts' digits
    except ValueError as error:
        raise InvalidTypedData(f"expected a number, got {value!r}", where) from error
    raise InvalidTypedData(f"expected a decimal or 0x number, got {value[:_MAX_DIGITS]!r}", where)


def _shown(value: object) -> str:
    """Return what a value is, for an error: never the value itself, it may be as large as the document."""
    return "null" if value is None else type(value).__name__
