"""Transactions of every type for tests: made here, signed with a key that everybody knows."""

from __future__ import annotations

from typing import Final

from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import (
    AccessListEntry,
    SignedTransaction,
    TransactionFields,
    sign_authorization,
    sign_transaction,
)

ALICE: Final = SigningKey(bytes(31) + b"\x01")
BOB: Final = SigningKey(bytes(31) + b"\x02")
TARGET: Final = "0x" + "ab" * 20
ACCESS_LIST: Final = (
    AccessListEntry(TARGET, (bytes(32), bytes(31) + b"\x07")),
    AccessListEntry("0x" + "00" * 20),
)
BLOB_HASH: Final = b"\x01" + bytes(31)


def fields_of(kind: int, **changes: object) -> TransactionFields:
    """Return sensible fields of a type, with changes."""
    base: dict[str, object] = {
        "type": kind,
        "chain_id": 31337,
        "nonce": 7,
        "gas_limit": 200_000,
        "max_fee_per_gas": 30_000_000_000,
        "max_priority_fee_per_gas": 30_000_000_000 if kind < 2 else 1_000_000_000,
        "to": TARGET,
        "value": 10**18,
        "data": b"\x00\x01\x02\x03",
    }
    if kind:
        base["access_list"] = ACCESS_LIST
    if kind == 3:
        base |= {"max_fee_per_blob_gas": 5, "blob_versioned_hashes": (BLOB_HASH,)}
    if kind == 4:
        base["authorization_list"] = (sign_authorization(31337, TARGET, 3, BOB), sign_authorization(0, TARGET, 0, BOB))
    return TransactionFields(**(base | changes))  # type: ignore[arg-type]


def signed(kind: int, **changes: object) -> SignedTransaction:
    """Return alice's transaction of a type, with changes."""
    return sign_transaction(fields_of(kind, **changes), ALICE)
