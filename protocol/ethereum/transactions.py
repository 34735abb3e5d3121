"""Ethereum transactions: build, sign, decode, recover, re-encode (EIP-155, 2718, 2930, 1559, 4844, 7702).

This is the way in. What a transaction says and how it is laid out is in `transaction_fields`, the reading in
`transaction_decoding`, what a fork makes of it in `transaction_rules`, both together and the signing in
`transaction_codec`, the JSON-RPC form in `transaction_json`.
Errors: `InvalidTransaction` (a RemoteProtocolError with a `reason`) for bytes of others, `InvalidField`
(a LocalProtocolError) for fields of ours.
"""

from __future__ import annotations

from protocol.ethereum.signed_transaction import SignedTransaction
from protocol.ethereum.transaction_codec import (
    MAX_TRANSACTION_BYTES,
    DynamicFeeFields,
    check_transaction,
    decode_transaction,
    sign_dynamic_fee,
    sign_transaction,
)
from protocol.ethereum.transaction_errors import InvalidTransaction, Refusal
from protocol.ethereum.transaction_fields import (
    AccessListEntry,
    Authorization,
    TransactionFields,
    TransactionType,
    encode_signed,
    sign_authorization,
    signing_payload,
)
from protocol.ethereum.transaction_json import Inclusion, to_rpc, transaction_from_rpc
from protocol.ethereum.transaction_rules import effective_priority_fee, floor_gas, intrinsic_gas

__all__ = [
    "MAX_TRANSACTION_BYTES",
    "AccessListEntry",
    "Authorization",
    "DynamicFeeFields",
    "Inclusion",
    "InvalidTransaction",
    "Refusal",
    "SignedTransaction",
    "TransactionFields",
    "TransactionType",
    "check_transaction",
    "decode_transaction",
    "effective_priority_fee",
    "encode_signed",
    "floor_gas",
    "intrinsic_gas",
    "sign_authorization",
    "sign_dynamic_fee",
    "sign_transaction",
    "signing_payload",
    "to_rpc",
    "transaction_from_rpc",
]
