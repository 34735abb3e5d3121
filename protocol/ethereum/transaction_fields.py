"""What a transaction says and how each type encodes it (EIP-155, 2718, 2930, 1559, 4844, 7702)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from protocol.errors import InvalidField
from protocol.ethereum import rlp
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, SigningKey, address_bytes, recover_address

UINT64_MAX: Final = 2**64 - 1
UINT256_MAX: Final = 2**256 - 1


class TransactionType(IntEnum):
    """The types of EIP-2718; a legacy transaction counts as 0 and has no type byte."""

    LEGACY = 0
    ACCESS_LIST = 1
    DYNAMIC_FEE = 2
    BLOB = 3
    SET_CODE = 4


class AccessListEntry(msgspec.Struct, frozen=True):
    """One address (lower-case hex) and its 32-byte storage keys (EIP-2930)."""

    address: str
    storage_keys: tuple[bytes, ...] = ()


class Authorization(msgspec.Struct, frozen=True):
    """A signed leave to run `address`'s code at the signer's account (EIP-7702); chain id 0 means any chain.

    The signature's parity may be anything up to 255 and r, s anything up to 2²⁵⁶ - 1: a bad one makes the chain skip
    the authorization, not refuse the transaction.
    """

    chain_id: int
    address: str
    nonce: int
    signature: Signature

    @property
    def authority(self) -> str:
        """Return the account (lower-case hex) that signed; raises BadSignature."""
        self.signature.check()
        body = _authorization_body(self.chain_id, self.address, self.nonce)
        return recover_address(keccak256(b"\x05" + rlp.encode(body)), self.signature)


class TransactionFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction says, unsigned; amounts in wei, `to` lower-case hex or None to create a contract.

    Types 0 and 1 have one gas price: it stands in both fee fields. `chain_id` None is a legacy transaction without
    replay protection (before EIP-155). Fields that a type does not have keep their defaults.
    """

    type: int
    chain_id: int | None
    nonce: int
    gas_limit: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    to: str | None
    value: int = 0
    data: bytes = b""
    access_list: tuple[AccessListEntry, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_versioned_hashes: tuple[bytes, ...] = ()
    authorization_list: tuple[Authorization, ...] = ()


def sign_authorization(chain_id: int, address: str, nonce: int, key: SigningKey) -> Authorization:
    """Return the authorization by which the account of `key` takes the code of `address` (EIP-7702)."""
    body = _authorization_body(chain_id, address, nonce)
    return Authorization(chain_id, address.lower(), nonce, key.sign_digest(keccak256(b"\x05" + rlp.encode(body))))


def _authorization_body(chain_id: int, address: str, nonce: int) -> list[rlp.RlpItem]:
    return [rlp.encode_int(chain_id), address_bytes(address), rlp.encode_int(nonce)]


def check_fields(fields: TransactionFields) -> None:
    """Raise InvalidField where a transaction that we build cannot be encoded as its type."""
    kind = fields.type
    if kind not in TransactionType.__members__.values():
        raise InvalidField(f"there is no transaction type {kind}", "type")
    if fields.chain_id is None and kind:
        raise InvalidField("only a legacy transaction may lack a chain id", "chain_id")
    for name, limit in _LIMITS:
        number = getattr(fields, name) or 0
        if not 0 <= number <= limit:
            raise InvalidField(f"{number} is not in 0…{limit}", name)
    if kind < TransactionType.DYNAMIC_FEE and fields.max_fee_per_gas != fields.max_priority_fee_per_gas:
        raise InvalidField(f"type {kind} has one gas price: both fees must be equal", "max_priority_fee_per_gas")
    for name, first in _FIRST_TYPE:
        if getattr(fields, name) and (kind < first or (first == TransactionType.BLOB and kind != first)):
            raise InvalidField(f"type {kind} has no such field", name)
    if kind >= TransactionType.BLOB and fields.to is None:
        raise InvalidField(f"type {kind} cannot create a contract", "to")
    sized = [*fields.blob_versioned_hashes, *(key for entry in fields.access_list for key in entry.storage_keys)]
    if any(len(word) != 32 for word in sized):
        raise InvalidField("storage keys and blob hashes have 32 bytes")


_LIMITS: Final = (
    ("chain_id", UINT256_MAX),
    ("nonce", UINT64_MAX),
    ("gas_limit", UINT64_MAX),
    ("max_fee_per_gas", UINT256_MAX),
    ("max_priority_fee_per_gas", UINT256_MAX),
    ("max_fee_per_blob_gas", UINT256_MAX),
    ("value", UINT256_MAX),
)
_FIRST_TYPE: Final = (
    ("access_list", TransactionType.ACCESS_LIST),
    ("max_fee_per_blob_gas", TransactionType.BLOB),
    ("blob_versioned_hashes", TransactionType.BLOB),
    ("authorization_list", TransactionType.SET_CODE),
)


def body_items(fields: TransactionFields) -> list[rlp.RlpItem]:
    """Return the RLP items of a transaction up to its signature, in its type's order."""
    number = rlp.encode_int
    kind = fields.type
    if kind < TransactionType.DYNAMIC_FEE:
        fees = [number(fields.max_fee_per_gas)]
    else:
        fees = [number(fields.max_priority_fee_per_gas), number(fields.max_fee_per_gas)]
    target = b"" if fields.to is None else address_bytes(fields.to)
    items: list[rlp.RlpItem] = [
        number(fields.nonce),
        *fees,
        number(fields.gas_limit),
        target,
        number(fields.value),
        fields.data,
    ]
    if not kind:
        return items
    items.insert(0, number(fields.chain_id or 0))
    items.append([[address_bytes(entry.address), list(entry.storage_keys)] for entry in fields.access_list])
    if kind == TransactionType.BLOB:
        items += [number(fields.max_fee_per_blob_gas), list(fields.blob_versioned_hashes)]
    elif kind == TransactionType.SET_CODE:
        items.append([_authorization_item(entry) for entry in fields.authorization_list])
    return items


def _authorization_item(entry: Authorization) -> list[rlp.RlpItem]:
    r, s, y_parity = entry.signature
    return [*_authorization_body(entry.chain_id, entry.address, entry.nonce), *map(rlp.encode_int, (y_parity, r, s))]


def signing_payload(fields: TransactionFields) -> bytes:
    """Return the bytes whose Keccak digest is signed (EIP-155 appends the chain id to a legacy transaction)."""
    if fields.type or fields.chain_id is None:
        return _enveloped(fields, [])
    return _enveloped(fields, [rlp.encode_int(fields.chain_id), b"", b""])


def encode_signed(fields: TransactionFields, signature: Signature) -> bytes:
    """Return the raw signed transaction, as the chain carries it."""
    r, s, v = signature
    if not fields.type:
        v += 27 if fields.chain_id is None else 35 + 2 * fields.chain_id
    return _enveloped(fields, [rlp.encode_int(v), rlp.encode_int(r), rlp.encode_int(s)])


def _enveloped(fields: TransactionFields, tail: Sequence[rlp.RlpItem]) -> bytes:
    """Return the type byte, if any, and the list of the body's items and `tail`."""
    encoded = rlp.encode([*body_items(fields), *tail])
    return bytes((fields.type,)) + encoded if fields.type else encoded
