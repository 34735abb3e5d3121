"""Fixed layouts: a struct of static Solidity types as the concatenation of its 32-byte words.

This is `abi.encode` of a static struct and EIP-712's `encodeData` at once: what is sent, what is hashed and signed, and
what a contract decodes are the same bytes. Field order and types stand in one table per message; all else follows.
There is one encoding per value: reading re-packs what it read and compares (docs/adr/0003-canonical-codec.md).
"""

from __future__ import annotations

import re
from enum import IntEnum
from struct import Struct as PackedStruct
from typing import Any, Final, NamedTuple

from protocol.errors import InvalidField, NonCanonical, TrailingBytes, TruncatedMessage, UnknownKind
from protocol.ethereum.keccak import keccak256
from protocol.units import Hash32, max_uint

WORD_BYTES: Final = 32

_FORMATS: Final = {
    "address": "12x20s",
    "bytes32": "32s",
    "bytes": "32s",  # EIP-712: a dynamic member stands in the struct as its Keccak-256
    "uint8": "31xB",
    "uint16": "30xH",
    "uint32": "28xI",
    "uint64": "24xQ",
    "uint128": "16x16s",
}
_BYTE_LENGTHS: Final = {"address": 20, "bytes32": 32}
_WIDE: Final = "uint128"


def wire_name(attribute: str) -> str:
    """Return the camelCase name that Solidity, the type string and error paths use for a Python attribute."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), attribute)


class Field(NamedTuple):
    """A member: its Python attribute, its Solidity type, and the enumeration its values come from, if any."""

    attribute: str
    solidity: str
    enumeration: type[IntEnum] | None = None

    @property
    def wire_name(self) -> str:
        """The member's name in Solidity and in error paths."""
        return wire_name(self.attribute)

    def check(self, value: object, where: str) -> None:
        """Raise InvalidField unless `value` is of this field's type and range. A `bytes` member checks itself."""
        if self.solidity == "bytes":
            return
        length = _BYTE_LENGTHS.get(self.solidity)
        if length is not None:
            if not isinstance(value, bytes) or len(value) != length:
                raise InvalidField(f"not {length} bytes", where)
        elif self.enumeration is not None:
            if not isinstance(value, self.enumeration):
                raise InvalidField(f"not a {self.enumeration.__name__}", where)
        elif type(value) is not int:
            raise InvalidField("not an integer", where)
        elif not 0 <= value <= max_uint(int(self.solidity[4:])):
            raise InvalidField(f"outside {self.solidity}", where)


class StructLayout:
    """The layout of one struct: `size` bytes, EIP-712 `type_string` and `type_hash`."""

    def __init__(self, name: str, *fields: Field) -> None:
        self.name = name
        self.fields = fields
        self.path = name[0].lower() + name[1:]
        self.size = WORD_BYTES * len(fields)
        self.type_string = f"{name}({','.join(f'{field.solidity} {field.wire_name}' for field in fields)})"
        self.type_hash = Hash32(keccak256(self.type_string.encode()))
        self._packed = PackedStruct(">" + "".join(_FORMATS[field.solidity] for field in fields))
        self._checks = tuple((field.attribute, f"{self.path}.{field.wire_name}", field) for field in fields)
        self._attributes = tuple(field.attribute for field in fields)
        self._wide = tuple(index for index, field in enumerate(fields) if field.solidity == _WIDE)

    def check(self, message: object) -> None:
        """Raise InvalidField unless every field of `message` is of its type and range."""
        for attribute, where, field in self._checks:
            field.check(getattr(message, attribute), where)

    def words(self, message: object) -> bytes:
        """Return the words of a message that passed `check`."""
        return self.pack(tuple([getattr(message, attribute) for attribute in self._attributes]))

    def pack(self, values: tuple[Any, ...]) -> bytes:
        """Return the words of `values`, in field order; a `bytes` member is given as its Keccak-256."""
        if self._wide:
            wide = list(values)
            for index in self._wide:
                wide[index] = wide[index].to_bytes(16, "big")
            return self._packed.pack(*wide)
        return self._packed.pack(*values)

    def hash_struct(self, words: bytes) -> Hash32:
        """Return EIP-712's hashStruct of the struct whose encodeData is `words`."""
        return Hash32(keccak256(self.type_hash + words))

    def read(self, data: bytes, where: str = "") -> dict[str, Any]:
        """Read exactly these words into values by attribute.

        Raises TruncatedMessage or TrailingBytes for another length, NonCanonical for padding that is not zero, and
        UnknownKind for a value outside its enumeration. `where` is put before the struct's own path.
        """
        path = f"{where}{self.path}"
        if len(data) < self.size:
            raise TruncatedMessage(f"{len(data)} bytes instead of {self.size}", path)
        if len(data) > self.size:
            raise TrailingBytes(f"{len(data)} bytes instead of {self.size}", path)
        raw = self._packed.unpack(data)
        clean = self._packed.pack(*raw)
        if clean != data:
            raise NonCanonical("padding is not zero", f"{path}.{self._first_difference(data, clean)}")
        values = dict(zip(self._attributes, raw, strict=True))
        for index in self._wide:
            values[self.fields[index].attribute] = int.from_bytes(raw[index], "big")
        for field in self.fields:
            if field.enumeration is not None:
                value = values[field.attribute]
                values[field.attribute] = _member(field.enumeration, value, f"{path}.{field.wire_name}")
        return values

    def _first_difference(self, data: bytes, clean: bytes) -> str:
        first = next(index for index in range(self.size) if data[index] != clean[index])
        return self.fields[first // WORD_BYTES].wire_name


def _member(enumeration: type[IntEnum], value: int, where: str) -> IntEnum:
    try:
        return enumeration(value)
    except ValueError:
        raise UnknownKind(f"{enumeration.__name__} has no {value}", where) from None
