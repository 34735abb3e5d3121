"""From raw bytes to the fields of a transaction, strictly: one transaction has one encoding."""

from __future__ import annotations

from typing import Final, NamedTuple, NoReturn, TypeAlias

from protocol.ethereum import rlp
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature
from protocol.ethereum.rlp import RlpError, RlpFault
from protocol.ethereum.signed_transaction import SignedTransaction
from protocol.ethereum.transaction_errors import InvalidTransaction, Refusal
from protocol.ethereum.transaction_fields import AccessListEntry, Authorization, TransactionType

Item: TypeAlias = rlp.DecodedItem

_MAX_DEPTH: Final = 4  # transaction, access list, entry, storage keys
_LENGTHS: Final = {  # how many items each type has
    TransactionType.LEGACY: 9,
    TransactionType.ACCESS_LIST: 11,
    TransactionType.DYNAMIC_FEE: 12,
    TransactionType.BLOB: 14,
    TransactionType.SET_CODE: 13,
}
_FAULTS: Final = {
    RlpFault.EMPTY: Refusal.RLP_ERROR_EOF,
    RlpFault.TRUNCATED: Refusal.RLP_ERROR_EOF,
    RlpFault.LEADING_ZERO: Refusal.RLP_ERROR_SIZE_LEADING_ZEROS,
    RlpFault.TOO_DEEP: Refusal.RLP_INVALID_HEADER,
    RlpFault.TOO_MANY: Refusal.RLP_TOO_MANY_ELEMENTS,
}


class Parsed(NamedTuple):
    """A transaction as read, and its `v` as it stands there: for a legacy one also its chain and parity are in it."""

    transaction: SignedTransaction
    v: int


class _Number(NamedTuple):
    """How one integer field is read and what breaks when it is not one."""

    name: str
    size: int
    leading_zeros: Refusal
    overflow: Refusal
    not_bytes: Refusal


_R = Refusal
_CHAIN_ID: Final = _Number("chain id", 32, _R.INVALID_CHAINID, _R.INVALID_CHAINID, _R.INVALID_CHAINID)
_NONCE: Final = _Number("nonce", 8, _R.RLP_LEADING_ZEROS_NONCE, _R.NONCE_OVERFLOW, _R.RLP_INVALID_NONCE)
_GAS_PRICE: Final = _Number("gas price", 32, _R.RLP_LEADING_ZEROS_GASPRICE, _R.GASPRICE_OVERFLOW, _R.RLP_INVALID_HEADER)
_PRIORITY: Final = _Number(
    "priority fee", 32, _R.RLP_LEADING_ZEROS_PRIORITY_FEE, _R.PRIORITY_OVERFLOW, _R.RLP_INVALID_HEADER
)
_MAX_FEE: Final = _Number("maximum fee", 32, _R.RLP_LEADING_ZEROS_BASEFEE, _R.GASPRICE_OVERFLOW, _R.RLP_INVALID_HEADER)
_GAS_LIMIT: Final = _Number(
    "gas limit", 8, _R.RLP_LEADING_ZEROS_GASLIMIT, _R.GASLIMIT_OVERFLOW, _R.RLP_INVALID_GASLIMIT
)
_VALUE: Final = _Number("value", 32, _R.RLP_LEADING_ZEROS_VALUE, _R.VALUE_OVERFLOW, _R.RLP_INVALID_VALUE)
_BLOB_FEE: Final = _Number("blob fee", 32, _R.RLP_INVALID_HEADER, _R.RLP_INVALID_HEADER, _R.RLP_INVALID_HEADER)
_V: Final = _Number("v", 32, _R.RLP_LEADING_ZEROS_V, _R.INVALID_SIGNATURE_VRS, _R.RLP_INVALID_HEADER)
_SIG_R: Final = _Number("r", 32, _R.RLP_LEADING_ZEROS_R, _R.INVALID_SIGNATURE_VRS, _R.RLP_INVALID_SIGNATURE_R)
_SIG_S: Final = _Number("s", 32, _R.RLP_LEADING_ZEROS_S, _R.INVALID_SIGNATURE_VRS, _R.RLP_INVALID_SIGNATURE_S)
_BAD_TUPLE: Final = _R.TYPE_4_INVALID_AUTHORIZATION_FORMAT
_WORD: Final = _Number("authorization", 32, _BAD_TUPLE, _BAD_TUPLE, _BAD_TUPLE)
_AUTHORIZATION_NONCE: Final = _WORD._replace(size=8)
_AUTHORIZATION_PARITY: Final = _WORD._replace(size=1)


def parse(raw: bytes) -> Parsed:
    """Read a raw transaction of any type; the signature's values are not looked at yet. Raises InvalidTransaction."""
    if not raw:
        raise InvalidTransaction(Refusal.RLP_ERROR_EOF, "an empty transaction")
    kind = raw[0] if raw[0] < 0x80 else 0
    if raw[0] == 0 or kind not in _LENGTHS:
        raise InvalidTransaction(Refusal.TYPE_NOT_SUPPORTED, f"there is no transaction type {kind}")
    try:
        items = rlp.decode(raw[1:] if kind else raw, max_depth=_MAX_DEPTH)
    except RlpError as error:
        raise InvalidTransaction(_FAULTS.get(error.fault, Refusal.RLP_ERROR_SIZE), str(error)) from error
    if not isinstance(items, list):
        raise InvalidTransaction(Refusal.RLP_INVALID_HEADER, "a transaction is a list")
    if len(items) != _LENGTHS[TransactionType(kind)]:
        _refuse_length(kind, items)
    return _legacy(items, raw) if not kind else _typed(kind, items, raw)


def _refuse_length(kind: int, items: list[Item]) -> NoReturn:
    if kind == TransactionType.BLOB and items and isinstance(items[0], list):
        raise InvalidTransaction(Refusal.TYPE_3_TX_WITH_FULL_BLOBS, "the form that carries blobs is not taken")
    wanted = _LENGTHS[TransactionType(kind)]
    reason = Refusal.RLP_TOO_FEW_ELEMENTS if len(items) < wanted else Refusal.RLP_TOO_MANY_ELEMENTS
    raise InvalidTransaction(reason, f"type {kind} has {wanted} items, got {len(items)}")


def _legacy(items: list[Item], raw: bytes) -> Parsed:
    nonce, gas_price, gas_limit = (
        _number(items[0], _NONCE),
        _number(items[1], _GAS_PRICE),
        _number(items[2], _GAS_LIMIT),
    )
    to, value, data = _target(items[3]), _number(items[4], _VALUE), _data(items[5])
    v, r, s = _number(items[6], _V), _number(items[7], _SIG_R), _number(items[8], _SIG_S)
    chain_id = (v - 35) // 2 if v >= 35 else None
    transaction = SignedTransaction(
        type=0,
        chain_id=chain_id,
        nonce=nonce,
        gas_limit=gas_limit,
        max_fee_per_gas=gas_price,
        max_priority_fee_per_gas=gas_price,
        to=to,
        value=value,
        data=data,
        signature=Signature(r, s, (v - 35) % 2 if v >= 35 else v - 27),
        raw=raw,
    )
    suffix = b"" if chain_id is None else rlp.encode(rlp.encode_int(chain_id)) + b"\x80\x80"
    _remember_signing_hash(transaction, items, suffix)
    return Parsed(transaction, v)


def _typed(kind: int, items: list[Item], raw: bytes) -> Parsed:
    chain_id, nonce, priority = _number(items[0], _CHAIN_ID), _number(items[1], _NONCE), 0
    if kind == TransactionType.ACCESS_LIST:
        max_fee = priority = _number(items[2], _GAS_PRICE)
        at = 3
    else:
        priority, max_fee = _number(items[2], _PRIORITY), _number(items[3], _MAX_FEE)
        at = 4
    gas_limit, to = _number(items[at], _GAS_LIMIT), _target(items[at + 1])
    value, data = _number(items[at + 2], _VALUE), _data(items[at + 3])
    access_list = _access_list(items[at + 4])
    blob = kind == TransactionType.BLOB
    v, r, s = _number(items[-3], _V), _number(items[-2], _SIG_R), _number(items[-1], _SIG_S)
    transaction = SignedTransaction(
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        gas_limit=gas_limit,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=priority,
        to=to,
        value=value,
        data=data,
        access_list=access_list,
        max_fee_per_blob_gas=_number(items[9], _BLOB_FEE) if blob else 0,
        blob_versioned_hashes=_blob_hashes(items[10]) if blob else (),
        authorization_list=_authorizations(items[9]) if kind == TransactionType.SET_CODE else (),
        signature=Signature(r, s, v),
        raw=raw,
    )
    _remember_signing_hash(transaction, items, b"")
    return Parsed(transaction, v)


def _remember_signing_hash(transaction: SignedTransaction, items: list[Item], suffix: bytes) -> None:
    """Cut the signed part out of `raw`, which is canonical, instead of encoding it again."""
    raw, prefix = transaction.raw, transaction.raw[:1] if transaction.type else b""
    header = raw[len(prefix)]
    start = len(prefix) + (1 if header < 0xF8 else header - 0xF6)
    tail = sum(_encoded_length(item) for item in items[-3:])
    body = raw[start : len(raw) - tail] + suffix
    transaction.__dict__["signing_hash"] = keccak256(prefix + rlp.length_prefix(0xC0, len(body)) + body)


def _encoded_length(item: Item) -> int:
    """Return the length of an integer of at most 55 bytes as it stands in a list."""
    return 1 if len(item) == 1 and item < b"\x80" else 1 + len(item)  # type: ignore[operator]


def _number(item: Item, field: _Number) -> int:
    if isinstance(item, list):
        raise InvalidTransaction(field.not_bytes, f"{field.name} is a list")
    if len(item) <= field.size and (not item or item[0]):
        return int.from_bytes(item, "big")
    # A 64-bit reader notices the length before the zeros, a big-number reader the zeros before the length.
    if not item[0] and (len(item) <= field.size or field.size == 32):
        raise InvalidTransaction(field.leading_zeros, f"{field.name} has leading zeros")
    raise InvalidTransaction(field.overflow, f"{field.name} has {len(item)} bytes, at most {field.size} are allowed")


def _target(item: Item) -> str | None:
    if isinstance(item, list):
        raise InvalidTransaction(Refusal.RLP_INVALID_TO, "the target is a list")
    if len(item) == 20:
        return "0x" + item.hex()
    if not item:
        return None
    reason = Refusal.ADDRESS_TOO_SHORT if len(item) < 20 else Refusal.ADDRESS_TOO_LONG
    raise InvalidTransaction(reason, f"the target has {len(item)} bytes, not 20")


def _data(item: Item) -> bytes:
    if isinstance(item, list):
        raise InvalidTransaction(Refusal.RLP_INVALID_DATA, "the data is a list")
    return item


def _access_list(item: Item) -> tuple[AccessListEntry, ...]:
    if not item and isinstance(item, list):
        return ()
    if not isinstance(item, list):
        raise InvalidTransaction(Refusal.RLP_INVALID_HEADER, "the access list is no list")
    return tuple(_access_list_entry(entry) for entry in item)


def _access_list_entry(entry: Item) -> AccessListEntry:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], list):
        raise InvalidTransaction(Refusal.RLP_INVALID_HEADER, "an access list holds pairs of address and storage keys")
    too_short = Refusal.RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_SHORT
    address = _fixed(entry[0], 20, too_short, Refusal.RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_LONG)
    too_short, too_long = (
        Refusal.RLP_INVALID_ACCESS_LIST_STORAGE_TOO_SHORT,
        Refusal.RLP_INVALID_ACCESS_LIST_STORAGE_TOO_LONG,
    )
    return AccessListEntry("0x" + address.hex(), tuple(_fixed(key, 32, too_short, too_long) for key in entry[1]))


def _blob_hashes(item: Item) -> tuple[bytes, ...]:
    if not isinstance(item, list):
        raise InvalidTransaction(Refusal.RLP_INVALID_HEADER, "the blob hashes are no list")
    bad = Refusal.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH
    return tuple(_fixed(word, 32, bad, bad) for word in item)


def _authorizations(item: Item) -> tuple[Authorization, ...]:
    if not isinstance(item, list):
        raise InvalidTransaction(_BAD_TUPLE, "the authorizations are no list")
    return tuple(_authorization(entry) for entry in item)


def _authorization(entry: Item) -> Authorization:
    if not isinstance(entry, list) or len(entry) != 6:
        raise InvalidTransaction(_BAD_TUPLE, "an authorization has six items")
    address = _fixed(entry[1], 20, _BAD_TUPLE, _BAD_TUPLE)
    parity = _number(entry[3], _AUTHORIZATION_PARITY)
    signature = Signature(_number(entry[4], _WORD), _number(entry[5], _WORD), parity)
    return Authorization(
        _number(entry[0], _WORD), "0x" + address.hex(), _number(entry[2], _AUTHORIZATION_NONCE), signature
    )


def _fixed(item: Item, size: int, too_short: Refusal, too_long: Refusal) -> bytes:
    if isinstance(item, list):
        raise InvalidTransaction(Refusal.RLP_INVALID_HEADER, f"a list stands where {size} bytes should")
    if len(item) != size:
        raise InvalidTransaction(too_short if len(item) < size else too_long, f"{len(item)} bytes instead of {size}")
    return item
