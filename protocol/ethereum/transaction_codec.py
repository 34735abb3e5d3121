"""Signed transactions in and out: read strictly and by a chain's rules, build and sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keys import KeccakSigner
from protocol.ethereum.signed_transaction import SignedTransaction
from protocol.ethereum.transaction_decoding import parse
from protocol.ethereum.transaction_errors import InvalidTransaction, Refusal
from protocol.ethereum.transaction_fields import (
    TransactionFields,
    TransactionType,
    check_fields,
    encode_signed,
    signing_payload,
)
from protocol.ethereum.transaction_rules import check_replay, check_rules, check_signature, check_type

MAX_TRANSACTION_BYTES: Final = 131_072
"""The size from which the pools of today's nodes refuse a transaction; consensus itself knows no such limit."""

_REASONS_OF_THE_TYPE: Final = frozenset(
    {
        Refusal.RLP_TOO_FEW_ELEMENTS,
        Refusal.RLP_TOO_MANY_ELEMENTS,
        Refusal.NONCE_OVERFLOW,
        Refusal.GASLIMIT_OVERFLOW,
        Refusal.GASPRICE_OVERFLOW,
        Refusal.PRIORITY_OVERFLOW,
        Refusal.VALUE_OVERFLOW,
    }
)


def decode_transaction(
    raw: bytes, rules: ChainRules | None = None, *, max_bytes: int = MAX_TRANSACTION_BYTES, recover: bool = True
) -> SignedTransaction:
    """Read a signed transaction strictly: one transaction has one encoding.

    With `rules` it must also be valid on that chain, as far as that shows without the chain's state: type, chain id,
    gas limit, size of the init code and so on. Without, r and s must be in range and s low (EIP-2).
    The sender is recovered here, unless `recover` is False: then the first look at `sender` may raise.
    The form of EIP-4844 that carries its blobs is refused. Raises InvalidTransaction.
    """
    if len(raw) > max_bytes:
        raise InvalidTransaction(Refusal.RLP_ERROR_SIZE, f"{len(raw)} bytes, the limit is {max_bytes}")
    try:
        transaction, v = parse(raw)
    except InvalidTransaction as error:
        if rules is not None and error.reason in _REASONS_OF_THE_TYPE and raw[0] < 0x80:
            check_type(raw[0], rules.fork)  # a fork that does not know the type neither counts nor looks at its numbers
        raise
    if rules is not None:
        check_type(transaction.type, rules.fork)
        check_replay(transaction, v, rules)
    check_signature(transaction.signature, Fork.OSAKA if rules is None else rules.fork)
    if recover:
        _ = transaction.sender
    if rules is not None:
        check_rules(transaction, rules.fork)
    return transaction


def check_transaction(transaction: SignedTransaction, rules: ChainRules) -> None:
    """Raise InvalidTransaction unless a transaction is valid on a chain, as far as that shows without its state."""
    decode_transaction(transaction.raw, rules, max_bytes=len(transaction.raw), recover=False)


def sign_transaction(fields: TransactionFields, key: KeccakSigner) -> SignedTransaction:
    """Sign `fields` with `key`; raises InvalidField where they cannot be encoded as their type."""
    check_fields(fields)
    signature = key.sign_keccak(signing_payload(fields))
    transaction, _ = parse(encode_signed(fields, signature))
    transaction.__dict__["sender"] = key.address
    return transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicFeeFields:
    """The fields of an EIP-1559 transaction; amounts in wei, `to` None creates a contract."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    to: str | None
    value: int = 0
    data: bytes = b""


def sign_dynamic_fee(fields: DynamicFeeFields, key: KeccakSigner) -> bytes:
    """Return the signed raw bytes of an EIP-1559 transaction (type 2, empty access list)."""
    values = {name: getattr(fields, name) for name in DynamicFeeFields.__dataclass_fields__}
    return sign_transaction(TransactionFields(type=TransactionType.DYNAMIC_FEE, **values), key).raw
