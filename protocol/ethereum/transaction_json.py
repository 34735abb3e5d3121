"""Transactions as JSON-RPC carries them (execution-apis, `TransactionInfo`): read them checked, write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.errors import FieldOutOfRange
from protocol.ethereum.keys import Signature
from protocol.ethereum.signed_transaction import SignedTransaction
from protocol.ethereum.transaction_codec import MAX_TRANSACTION_BYTES, decode_transaction
from protocol.ethereum.transaction_fields import (
    AccessListEntry,
    Authorization,
    TransactionFields,
    TransactionType,
    encode_signed,
)
from protocol.ethereum.transaction_rules import effective_priority_fee

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_MAX_ENTRIES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where a transaction was mined; `base_fee` of that block in wei per gas."""

    block_hash: str
    block_number: int
    index: int
    base_fee: int


def transaction_from_rpc(
    body: Mapping[str, Any], *, max_bytes: int = MAX_TRANSACTION_BYTES, recover: bool = True
) -> SignedTransaction:
    """Read the JSON body of a pending or mined transaction, encode it anew and check that it hashes to its `hash`.

    What the body says of its sender is checked too, unless `recover` is False: then `sender` is recovered when first
    asked for. Raises RemoteProtocolError: FieldOutOfRange for a missing or malformed field or a wrong hash or sender,
    InvalidTransaction for what `decode_transaction` refuses.
    """
    if not isinstance(body, Mapping):
        raise FieldOutOfRange("a transaction is a JSON object")
    raw = encode_signed(*_fields_and_signature(body))
    transaction = decode_transaction(raw, max_bytes=max_bytes, recover=recover)
    if _data(body, "hash") != transaction.hash:
        raise FieldOutOfRange(f"the fields hash to 0x{transaction.hash.hex()}", "hash")
    if recover and "from" in body and str(body["from"]).lower() != transaction.sender:
        raise FieldOutOfRange(f"the signature is of {transaction.sender}", "from")
    return transaction


def to_rpc(transaction: SignedTransaction, inclusion: Inclusion | None = None) -> dict[str, Any]:
    """Return the JSON body of a transaction: pending without `inclusion`, mined with it."""
    kind = transaction.type
    r, s, parity = transaction.signature
    chain_id = transaction.chain_id
    v = parity if kind else parity + (27 if chain_id is None else 35 + 2 * chain_id)
    body: dict[str, Any] = {
        "hash": "0x" + transaction.hash.hex(),
        "type": hex(kind),
        "nonce": hex(transaction.nonce),
        "from": transaction.sender,
        "to": transaction.to,
        "gas": hex(transaction.gas_limit),
        "gasPrice": hex(_gas_price(transaction, inclusion)),
        "value": hex(transaction.value),
        "input": "0x" + transaction.data.hex(),
        "v": hex(v),
        "r": hex(r),
        "s": hex(s),
        "blockHash": inclusion.block_hash if inclusion else None,
        "blockNumber": hex(inclusion.block_number) if inclusion else None,
        "transactionIndex": hex(inclusion.index) if inclusion else None,
    }
    if chain_id is not None:
        body["chainId"] = hex(chain_id)
    if kind:
        body["yParity"] = hex(parity)
        body["accessList"] = [
            {"address": entry.address, "storageKeys": ["0x" + key.hex() for key in entry.storage_keys]}
            for entry in transaction.access_list
        ]
    if kind >= TransactionType.DYNAMIC_FEE:
        body["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        body["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    if kind == TransactionType.BLOB:
        body["maxFeePerBlobGas"] = hex(transaction.max_fee_per_blob_gas)
        body["blobVersionedHashes"] = ["0x" + word.hex() for word in transaction.blob_versioned_hashes]
    if kind == TransactionType.SET_CODE:
        body["authorizationList"] = [_authorization_body(entry) for entry in transaction.authorization_list]
    return body


def _gas_price(transaction: SignedTransaction, inclusion: Inclusion | None) -> int:
    if inclusion is None:
        return transaction.max_fee_per_gas
    return inclusion.base_fee + effective_priority_fee(transaction, inclusion.base_fee)


def _authorization_body(entry: Authorization) -> dict[str, str]:
    r, s, parity = entry.signature
    return {
        "chainId": hex(entry.chain_id),
        "address": entry.address,
        "nonce": hex(entry.nonce),
        "yParity": hex(parity),
        "r": hex(r),
        "s": hex(s),
    }


def _fields_and_signature(body: Mapping[str, Any]) -> tuple[TransactionFields, Signature]:
    kind = _number(body, "type") if body.get("type") is not None else 0
    if kind > TransactionType.SET_CODE:
        raise FieldOutOfRange(f"there is no transaction type {kind}", "type")
    chain_id, parity = _chain_and_parity(body, kind)
    dynamic, blob = kind >= TransactionType.DYNAMIC_FEE, kind == TransactionType.BLOB
    fields = TransactionFields(
        type=kind,
        chain_id=chain_id,
        nonce=_number(body, "nonce"),
        gas_limit=_number(body, "gas"),
        max_fee_per_gas=_number(body, "maxFeePerGas" if dynamic else "gasPrice"),
        max_priority_fee_per_gas=_number(body, "maxPriorityFeePerGas" if dynamic else "gasPrice"),
        to=_text(body, "to") if body.get("to") is not None else None,
        value=_number(body, "value"),
        data=_data(body, "input" if "input" in body else "data"),
        access_list=tuple(map(_access_list_entry, _objects(body, "accessList"))) if kind else (),
        max_fee_per_blob_gas=_number(body, "maxFeePerBlobGas") if blob else 0,
        blob_versioned_hashes=_words(body, "blobVersionedHashes") if blob else (),
        authorization_list=tuple(map(_authorization, _objects(body, "authorizationList")))
        if kind == TransactionType.SET_CODE
        else (),
    )
    return fields, Signature(_number(body, "r"), _number(body, "s"), parity)


def _chain_and_parity(body: Mapping[str, Any], kind: int) -> tuple[int | None, int]:
    if kind:
        return _number(body, "chainId"), _number(body, "yParity" if body.get("yParity") is not None else "v")
    v = _number(body, "v")
    if v not in (27, 28) and v < 35:
        raise FieldOutOfRange(f"a legacy transaction has no v = {v}", "v")
    return ((v - 35) // 2, (v - 35) % 2) if v >= 35 else (None, v - 27)


def _access_list_entry(entry: Mapping[str, Any]) -> AccessListEntry:
    return AccessListEntry(_text(entry, "address"), _words(entry, "storageKeys"))


def _authorization(entry: Mapping[str, Any]) -> Authorization:
    signature = Signature(_number(entry, "r"), _number(entry, "s"), _number(entry, "yParity"))
    return Authorization(_number(entry, "chainId"), _text(entry, "address"), _number(entry, "nonce"), signature)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise FieldOutOfRange("missing, or not text", name)
    return value


def _number(body: Mapping[str, Any], name: str) -> int:
    text = _text(body, name)
    if not _QUANTITY.match(text):
        raise FieldOutOfRange(f"{text[:70]!r} is not a hexadecimal quantity", name)
    return int(text, 16)


def _data(body: Mapping[str, Any], name: str) -> bytes:
    text = _text(body, name)
    if not _DATA.match(text):
        raise FieldOutOfRange(f"{text[:70]!r} is not hexadecimal data", name)
    return bytes.fromhex(text[2:])


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list) or len(value) > _MAX_ENTRIES:
        raise FieldOutOfRange(f"missing, or not a list of at most {_MAX_ENTRIES} entries", name)
    return value


def _objects(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = _list(body, name)
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise FieldOutOfRange("not a list of objects", name)
    return entries


def _words(body: Mapping[str, Any], name: str) -> tuple[bytes, ...]:
    return tuple(_data({name: word}, name) for word in _list(body, name))
