"""EIP-712: hashes of typed, structured data, for any types.

A document has `types` (struct name → its fields), `primaryType`, `domain` and `message`, as `eth_signTypedData_v4`
takes it. The digest that is signed is keccak256(0x19 ‖ 0x01 ‖ hashStruct(domain) ‖ hashStruct(message)).
All errors are InvalidTypedData, with the path of the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from protocol.ethereum.keccak import keccak256
from protocol.ethereum.typed_values import ZERO_WORD, Dialect, InvalidTypedData, encode_atomic, is_atomic

__all__ = ["Dialect", "Field", "InvalidTypedData", "TypedData", "TypedDataEncoder", "typed_data_digest"]

MAX_DEPTH: Final = 64
DOMAIN_TYPE: Final = "EIP712Domain"
_DOMAIN_FIELDS: Final = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
    "salt": "bytes32",
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_ARRAY: Final = re.compile(r"(.*)\[([0-9]{0,9})\]\Z", re.DOTALL)


class Field(NamedTuple):
    """One field of a struct: `type` is elementary, a struct's name, or an array of either."""

    name: str
    type: str


class TypedData(NamedTuple):
    """A document: `types` with all structs but the domain's, and what is to be hashed."""

    types: Mapping[str, tuple[Field, ...]]
    primary_type: str
    domain: Mapping[str, Any]
    message: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: object, dialect: Dialect = Dialect.STRICT) -> TypedData:
        """Read a document as `eth_signTypedData_v4` takes it.

        A missing `primaryType` is the one struct that no other uses; a missing `EIP712Domain` follows from the domain.
        If the domain's type is given, it must name the domain's fields. Raises InvalidTypedData.
        """
        whole = _object(document, "document")
        types = _read_types(whole.get("types"), dialect)
        domain, message = _object(whole.get("domain"), "domain"), _object(whole.get("message"), "message")
        declared = types.pop(DOMAIN_TYPE, None)
        if declared is not None:
            _check_domain_type(declared, domain, dialect)
        primary_type = whole.get("primaryType")
        if "primaryType" not in whole or dialect is Dialect.ETH_ACCOUNT:
            derived = derive_primary_type(types)
            if "primaryType" in whole and primary_type != derived:
                raise InvalidTypedData(f"the struct that no other uses is {derived!r}", "primaryType")
            primary_type = derived
        if not isinstance(primary_type, str) or primary_type not in types:
            raise InvalidTypedData("names no struct of `types`", "primaryType")
        return cls(types, primary_type, domain, message)

    @classmethod
    def from_parts(cls, domain: object, types: object, message: object, dialect: Dialect = Dialect.STRICT) -> TypedData:
        """Read domain, types (a type of the domain among them is ignored) and message, each by itself."""
        structs = _read_types(types, dialect)
        structs.pop(DOMAIN_TYPE, None)
        return cls(structs, derive_primary_type(structs), _object(domain, "domain"), _object(message, "message"))

    def domain_separator(self, dialect: Dialect = Dialect.STRICT) -> bytes:
        """Return the 32-byte hash of the domain."""
        return TypedDataEncoder({DOMAIN_TYPE: domain_type(self.domain)}, dialect).hash_struct(DOMAIN_TYPE, self.domain)

    def digest(self, dialect: Dialect = Dialect.STRICT) -> bytes:
        """Return the 32 bytes that are signed."""
        message_hash = TypedDataEncoder(self.types, dialect).hash_struct(self.primary_type, self.message)
        return keccak256(b"\x19\x01" + self.domain_separator(dialect) + message_hash)


def typed_data_digest(document: object, dialect: Dialect = Dialect.STRICT) -> bytes:
    """Return the 32 bytes that are signed for a document; raises InvalidTypedData."""
    return TypedData.from_document(document, dialect).digest(dialect)


class TypedDataEncoder:
    """Encodes values of the structs of one set of types; the encoded types are kept, so reuse it."""

    def __init__(self, types: Mapping[str, Sequence[Field]], dialect: Dialect = Dialect.STRICT) -> None:
        self._types = {name: tuple(fields) for name, fields in types.items()}
        self._dialect = dialect
        self._type_hashes: dict[str, bytes] = {}

    def encode_type(self, name: str) -> str:
        """Return e.g. `Mail(Person from,Person to)Person(string name)`: the struct, then all it uses, sorted."""
        used: set[str] = set()
        self._collect(name, used)
        return "".join(
            f"{struct}({','.join(f'{field.type} {field.name}' for field in self._types[struct])})"
            for struct in [name, *sorted(used - {name})]
        )

    def type_hash(self, name: str) -> bytes:
        """Return the 32-byte hash of the encoded type."""
        known = self._type_hashes.get(name)
        if known is None:
            known = self._type_hashes[name] = keccak256(self.encode_type(name).encode())
        return known

    def encode_data(self, name: str, value: object) -> bytes:
        """Return the type hash and one word for each field of the struct."""
        return self._struct(name, value, name, MAX_DEPTH)

    def hash_struct(self, name: str, value: object) -> bytes:
        """Return the 32-byte hash of a struct's encoded data."""
        return keccak256(self.encode_data(name, value))

    def _collect(self, name: str, used: set[str]) -> None:
        """Add to `used` the struct and all that it reaches; a loop, since chains of structs may be long."""
        waiting = [name]
        while waiting:
            struct = waiting.pop()
            if struct in used:
                continue
            if struct not in self._types:
                raise InvalidTypedData(f"there is no type {struct[:80]!r}", name)
            used.add(struct)
            waiting += [core for field in self._types[struct] if not is_atomic(core := core_type(field.type))]

    def _struct(self, name: str, value: object, where: str, depth: int) -> bytes:
        head = self.type_hash(name)
        values = _object(value, where)
        fields = self._types[name]
        if self._dialect is Dialect.STRICT:
            unknown = [key for key in values if key not in {field.name for field in fields}]
            if unknown:
                raise InvalidTypedData(f"{name} has no field {str(unknown[0])[:80]!r}", where)
        return head + b"".join(
            self._word(field.type, values.get(field.name), f"{where}.{field.name}", depth - 1) for field in fields
        )

    def _word(self, type_: str, value: object, where: str, depth: int) -> bytes:
        if depth <= 0:
            raise InvalidTypedData(f"nested more than {MAX_DEPTH} deep", where)
        if value is None and self._dialect is Dialect.ETH_ACCOUNT and (type_ in self._types or type_ in _NULLABLE):
            return ZERO_WORD
        if type_ in self._types:
            return keccak256(self._struct(type_, value, where, depth))
        if value is None:
            raise InvalidTypedData("there is no value", where)
        array = _ARRAY.match(type_)
        if array is None:
            return encode_atomic(type_, value, self._dialect, where)
        if not isinstance(value, (list, tuple)):
            raise InvalidTypedData("expected an array", where)
        if array[2] and len(value) != int(array[2]) and self._dialect is Dialect.STRICT:
            raise InvalidTypedData(f"expected {array[2]} values, got {len(value)}", where)
        words = [self._word(array[1], item, f"{where}[{index}]", depth - 1) for index, item in enumerate(value)]
        return keccak256(b"".join(words))


_NULLABLE: Final = ("string", "bytes")


def core_type(type_: str) -> str:
    """Return what an array is made of: `Person` for `Person[3][]`."""
    while match := _ARRAY.match(type_):
        type_ = match[1]
    return type_


def domain_type(domain: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a domain's type: those that it has a value for, in the standard's order."""
    for key in domain:
        if key not in _DOMAIN_FIELDS:
            raise InvalidTypedData(f"a domain has no field {str(key)[:80]!r}", "domain")
    return tuple(Field(name, type_) for name, type_ in _DOMAIN_FIELDS.items() if name in domain)


def derive_primary_type(types: Mapping[str, Sequence[Field]]) -> str:
    """Return the one struct that no other struct uses; raises InvalidTypedData if there is none, or several."""
    used = {
        core_type(field.type) for name, fields in types.items() for field in fields if core_type(field.type) != name
    }
    roots = [name for name in types if name not in used]
    if len(roots) != 1:
        raise InvalidTypedData(f"{len(roots)} structs are used by no other: which is meant?", "primaryType")
    return roots[0]


def _check_domain_type(declared: tuple[Field, ...], domain: Mapping[str, Any], dialect: Dialect) -> None:
    """Refuse a declared domain type that is not what the domain's fields make."""
    if {field.name for field in declared} != set(domain):
        raise InvalidTypedData("does not name the fields of the domain", f"types.{DOMAIN_TYPE}")
    if dialect is Dialect.STRICT and declared != domain_type(domain):
        raise InvalidTypedData("is not in the standard's order and types", f"types.{DOMAIN_TYPE}")


def _read_types(value: object, dialect: Dialect) -> dict[str, tuple[Field, ...]]:
    types: dict[str, tuple[Field, ...]] = {}
    for name, fields in _object(value, "types").items():
        if is_atomic(name) or _ARRAY.match(name) or (dialect is Dialect.STRICT and not _IDENTIFIER.match(name)):
            raise InvalidTypedData(f"no struct can be named {name[:80]!r}", "types")
        if not isinstance(fields, (list, tuple)):
            raise InvalidTypedData("expected a list of fields", f"types.{name}")
        types[name] = tuple(_read_field(field, f"types.{name}[{at}]", dialect) for at, field in enumerate(fields))
        names = [field.name for field in types[name]]
        if dialect is Dialect.STRICT and len(set(names)) != len(names):
            raise InvalidTypedData("names a field twice", f"types.{name}")
    return types


def _read_field(value: object, where: str, dialect: Dialect) -> Field:
    field = _object(value, where)
    name, type_ = field.get("name"), field.get("type")
    if not isinstance(name, str) or not isinstance(type_, str):
        raise InvalidTypedData("expected a name and a type", where)
    if dialect is Dialect.STRICT and not _IDENTIFIER.match(name):
        raise InvalidTypedData(f"no field can be named {name[:80]!r}", where)
    return Field(name, type_)


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidTypedData("expected an object", where)
    return value
