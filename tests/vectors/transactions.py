"""Kinds tx_ethers_signed_transactions, tx_eth_account_typed_transactions and tx_ethereum_tests_transactions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keys import Signature, SigningKey, checksum_address
from protocol.ethereum.transaction_json import to_rpc, transaction_from_rpc
from protocol.ethereum.transactions import (
    AccessListEntry,
    Authorization,
    InvalidTransaction,
    SignedTransaction,
    TransactionFields,
    TransactionType,
    decode_transaction,
    encode_signed,
    intrinsic_gas,
    sign_transaction,
    signing_payload,
)
from tests.vectors.cases import Case, Malformed, differs, must_be, number, unhex

_MAX_BYTES: Final = 1 << 27  # these vectors hold transactions that no pool would take
_MAINNET: Final = 1  # the chain that ethereum/tests signs for
_SAME_REASON: Final = {
    "NONCE_IS_MAX": "NONCE_TOO_BIG",
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2": "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
    "TYPE_3_TX_PRE_FORK": "TYPE_NOT_SUPPORTED",
    "TYPE_4_TX_PRE_FORK": "TYPE_NOT_SUPPORTED",
}
# How broken RLP is called depends on the order in which a program reads; what must agree is that it is broken.
_BROKEN_RLP: Final = ("RLP_ERROR_", "RLP_TOO_", "RLP_INVALID_")
_MISCOUNTED: Final = ("RLP_TOO_FEW_ELEMENTS", "RLP_TOO_MANY_ELEMENTS")
_ENCODING: Final = ("RLP_", "ADDRESS_TOO_")
_RLP_SIZE: Final = ("RLP_LEADING_ZEROS_NONCE_SIZE", "RLP_LEADING_ZEROS_DATA_SIZE")


def split_by_fork(content: bytes) -> Iterator[Case]:
    """Split ethereum/tests' transactions into one case for each fork."""
    for test in must_be("the file", list, json.loads(content)):
        for fork, result in must_be("result", dict, test["result"]).items():
            yield Case(f"{test['id']} @ {fork}", {"txbytes": test["txbytes"], "fork": fork, "result": result})


def check_fork(case: dict[str, Any]) -> Iterator[str]:
    """Sender, hash and intrinsic gas of a valid transaction; the reason why an invalid one is refused."""
    raw, result, fork = unhex(case["txbytes"]), case["result"], Fork.named(case["fork"])
    stated = result.get("exception")
    try:
        transaction = decode_transaction(raw, ChainRules(fork, _MAINNET), max_bytes=_MAX_BYTES)
    except InvalidTransaction as error:
        if stated is None:
            yield f"refused: {error}"
        else:
            yield from _reason_differs(error.reason.value, must_be("exception", str, stated))
            yield from _gas_of_refused_differs(raw, number(result["intrinsicGas"]), fork)
        return
    if stated is not None:
        yield f"taken, stated {stated}"
        return
    yield from differs("sender", transaction.sender, must_be("sender", str, result["sender"]).lower())
    yield from differs("hash", transaction.hash, unhex(result["hash"]))
    yield from differs("intrinsic gas", intrinsic_gas(transaction, fork), number(result["intrinsicGas"]))
    yield from _round_trips(transaction, raw)


def _reason_differs(ours: str, stated: str) -> Iterator[str]:
    theirs = stated.removeprefix("TransactionException.")
    theirs = _SAME_REASON.get(theirs, theirs)
    # With items missing or to spare, a program that reads one by one stumbles over whatever comes first.
    miscounted = ours in _MISCOUNTED and theirs.startswith(_ENCODING)
    if ours != theirs and not miscounted and not (_is_broken_rlp(ours) and _is_broken_rlp(theirs)):
        yield f"refused for {ours}, stated {theirs}"


def _is_broken_rlp(reason: str) -> bool:
    is_access_list = reason.startswith("RLP_INVALID_ACCESS_LIST")
    return (reason.startswith(_BROKEN_RLP) and not is_access_list) or reason in _RLP_SIZE


def _gas_of_refused_differs(raw: bytes, stated: int, fork: Fork) -> Iterator[str]:
    """Compare the gas of a refused transaction where it is stated and the bytes can be read."""
    if not stated:
        return
    try:
        transaction = decode_transaction(raw, max_bytes=_MAX_BYTES, recover=False)
    except InvalidTransaction:
        return
    yield from differs("intrinsic gas", intrinsic_gas(transaction, fork), stated)


def check_ethers(case: dict[str, Any]) -> Iterator[str]:
    """`raw`, `unsigned`, both hashes, `from`, `signature` and `fields` of a signed transaction, both ways."""
    raw, unsigned = unhex(case["raw"]), unhex(case["unsigned"])
    transaction = decode_transaction(raw, max_bytes=_MAX_BYTES)
    yield from differs("type", transaction.type, case["type"])
    yield from differs("replay protection", transaction.chain_id is not None, case["eip155"])
    yield from differs("transaction hash", transaction.hash, unhex(case["tx_hash"]))
    yield from differs("signing hash", transaction.signing_hash, unhex(case["signing_hash"]))
    yield from differs("sender", checksum_address(transaction.sender), case["from"])
    stated = case["signature"]
    yield from _signature_differs(transaction, stated["r"], stated["s"], stated["v"])
    fields = _ethers_fields(case)
    yield from _fields_differ(transaction, fields)
    yield from differs("unsigned", signing_payload(fields), unsigned)
    yield from differs("raw", encode_signed(fields, transaction.signature), raw)
    if "privateKey" in case:
        yield from differs("signed", sign_transaction(fields, SigningKey(unhex(case["privateKey"]))).raw, raw)
    yield from _round_trips(transaction, raw)


def _ethers_fields(case: dict[str, Any]) -> TransactionFields:
    """Return what a case's `fields` make of its type: they hold more than it uses, and 0 is left out."""
    fields, kind = case["fields"], must_be("type", int, case["type"])
    if case.get("fields_used") is not None:
        fields = {name: fields[name] for name in case["fields_used"]}
    chain_id = number(fields.get("chainId", 0)) if case["eip155"] else None
    return _fields(fields | {"gas": fields.get("gasLimit", 0)}, kind, chain_id)


def check_eth_account(case: dict[str, Any]) -> Iterator[str]:
    """`transaction` with its signature, the raw bytes, both hashes and the sender, both ways."""
    raw, stated = unhex(case["expected_raw_transaction"]), case["transaction"]
    transaction = decode_transaction(raw, max_bytes=_MAX_BYTES)
    yield from differs("type", transaction.type, case["type"])
    if "type" in stated:
        yield from differs("type of the fields", transaction.type, number(stated["type"]))
    yield from differs("signing hash", transaction.signing_hash, unhex(case["expected_hash"]))
    yield from differs("transaction hash", transaction.hash, unhex(case["tx_hash_keccak_of_raw"]))
    yield from differs("sender", checksum_address(transaction.sender), case["sender"])
    yield from _signature_differs(transaction, stated["r"], stated["s"], stated["v"])
    authorizations = _authorizations(stated.get("authorizationList", []), transaction)
    fields = _fields(stated, transaction.type, number(stated["chainId"]), authorizations)
    yield from _fields_differ(transaction, fields)
    yield from differs("raw", encode_signed(fields, transaction.signature), raw)
    yield from _round_trips(transaction, raw)


def _authorizations(stated: object, transaction: SignedTransaction) -> tuple[Authorization, ...]:
    """Return the authorizations; upstream's objects were written out as "0x": those are taken from the bytes."""
    entries = must_be("authorizationList", list, stated)
    if len(entries) != len(transaction.authorization_list):
        raise Malformed(f"{len(entries)} authorizations stated, the bytes have {len(transaction.authorization_list)}")
    return tuple(
        ours if entry == "0x" else _authorization(entry)
        for entry, ours in zip(entries, transaction.authorization_list, strict=True)
    )


def _authorization(entry: dict[str, Any]) -> Authorization:
    signature = Signature(number(entry["r"]), number(entry["s"]), number(entry["yParity"]))
    return Authorization(number(entry["chainId"]), entry["address"].lower(), number(entry["nonce"]), signature)


def _fields(
    stated: dict[str, Any], kind: int, chain_id: int | None, authorizations: tuple[Authorization, ...] = ()
) -> TransactionFields:
    dynamic = kind >= TransactionType.DYNAMIC_FEE
    target = stated.get("to")
    return TransactionFields(
        type=kind,
        chain_id=chain_id,
        nonce=number(stated.get("nonce", 0)),
        gas_limit=number(stated["gas"]),
        max_fee_per_gas=number(stated.get("maxFeePerGas" if dynamic else "gasPrice", 0)),
        max_priority_fee_per_gas=number(stated.get("maxPriorityFeePerGas" if dynamic else "gasPrice", 0)),
        to=must_be("to", str, target).lower() if target not in (None, "", "0x") else None,
        value=number(stated.get("value", 0)),
        data=unhex(stated.get("data", "0x")),
        access_list=_access_list(stated.get("accessList") or []) if kind else (),
        max_fee_per_blob_gas=number(stated["maxFeePerBlobGas"]) if kind == TransactionType.BLOB else 0,
        blob_versioned_hashes=tuple(map(unhex, stated["blobVersionedHashes"])) if kind == TransactionType.BLOB else (),
        authorization_list=authorizations,
    )


def _access_list(entries: list[Any]) -> tuple[AccessListEntry, ...]:
    pairs = [(entry["address"], entry["storageKeys"]) if isinstance(entry, dict) else entry for entry in entries]
    return tuple(AccessListEntry(address.lower(), tuple(map(unhex, keys))) for address, keys in pairs)


def _fields_differ(transaction: SignedTransaction, stated: TransactionFields) -> Iterator[str]:
    for name in TransactionFields.__struct_fields__:
        yield from differs(name, getattr(transaction, name), getattr(stated, name))


def _signature_differs(transaction: SignedTransaction, r: object, s: object, v: object) -> Iterator[str]:
    ours = transaction.signature
    yield from differs("r", ours.r, number(r))
    yield from differs("s", ours.s, number(s))
    legacy_v = 27 if transaction.chain_id is None else 35 + 2 * transaction.chain_id
    yield from differs("v", ours.y_parity + (0 if transaction.type else legacy_v), number(v))


def _round_trips(transaction: SignedTransaction, raw: bytes) -> Iterator[str]:
    """Encode anew from the fields, and go through the JSON of a node and back."""
    yield from differs("encoded anew", transaction.encode(), raw)
    if transaction.signature.is_low_s:
        body = json.loads(json.dumps(to_rpc(transaction)))
        yield from differs("through JSON-RPC", transaction_from_rpc(body, max_bytes=_MAX_BYTES), transaction)
