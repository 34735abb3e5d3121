"""What a fork makes of a transaction, as far as that shows without the chain's state."""

from __future__ import annotations

from typing import Final

from protocol.errors import BadSignature
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keys import Signature
from protocol.ethereum.transaction_errors import InvalidTransaction, Refusal
from protocol.ethereum.transaction_fields import UINT64_MAX, UINT256_MAX, TransactionFields, TransactionType

BASE_GAS: Final = 21_000
CREATION_GAS: Final = 32_000  # EIP-2
ZERO_BYTE_GAS: Final = 4
NONZERO_BYTE_GAS: Final = 16  # EIP-2028
NONZERO_BYTE_GAS_BEFORE_ISTANBUL: Final = 68
ACCESS_LIST_ADDRESS_GAS: Final = 2_400  # EIP-2930
ACCESS_LIST_KEY_GAS: Final = 1_900
INIT_CODE_WORD_GAS: Final = 2  # EIP-3860
MAX_INIT_CODE_BYTES: Final = 49_152  # EIP-3860
AUTHORIZATION_GAS: Final = 25_000  # EIP-7702
FLOOR_GAS_PER_TOKEN: Final = 10  # EIP-7623
TRANSACTION_GAS_CAP: Final = 1 << 24  # EIP-7825
BLOB_HASH_VERSION: Final = 1  # EIP-4844
_MAX_BLOBS: Final = {Fork.CANCUN: 6, Fork.PRAGUE: 9, Fork.OSAKA: 6}  # EIP-4844, 7691 (a block's), 7594
_SINCE: Final = {
    TransactionType.LEGACY: Fork.FRONTIER,
    TransactionType.ACCESS_LIST: Fork.BERLIN,
    TransactionType.DYNAMIC_FEE: Fork.LONDON,
    TransactionType.BLOB: Fork.CANCUN,
    TransactionType.SET_CODE: Fork.PRAGUE,
}


def intrinsic_gas(fields: TransactionFields, fork: Fork) -> int:
    """Return the gas a transaction costs before its first instruction runs (Yellow Paper, section 6.2)."""
    data = fields.data
    gas = BASE_GAS
    if data:
        zeros = data.count(0)
        nonzero = NONZERO_BYTE_GAS if fork >= Fork.ISTANBUL else NONZERO_BYTE_GAS_BEFORE_ISTANBUL
        gas += zeros * ZERO_BYTE_GAS + (len(data) - zeros) * nonzero
    if fields.to is None:
        if fork >= Fork.HOMESTEAD:
            gas += CREATION_GAS
        if fork >= Fork.SHANGHAI:
            gas += (len(data) + 31) // 32 * INIT_CODE_WORD_GAS
    for entry in fields.access_list:
        gas += ACCESS_LIST_ADDRESS_GAS + len(entry.storage_keys) * ACCESS_LIST_KEY_GAS
    return gas + len(fields.authorization_list) * AUTHORIZATION_GAS


def floor_gas(fields: TransactionFields) -> int:
    """Return the least gas that a transaction pays from Prague on, by the size of its data (EIP-7623)."""
    zeros = fields.data.count(0)
    return BASE_GAS + FLOOR_GAS_PER_TOKEN * (zeros + 4 * (len(fields.data) - zeros))


def effective_priority_fee(transaction: TransactionFields, base_fee: int) -> int:
    """Return what the block's builder gets per gas, in wei (EIP-1559); negative if the base fee is not covered."""
    return min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - base_fee)


def check_type(kind: int, fork: Fork) -> None:
    """Raise InvalidTransaction if `fork` does not know the type yet."""
    if fork < _SINCE[TransactionType(kind)]:
        raise InvalidTransaction(Refusal.TYPE_NOT_SUPPORTED, f"type {kind} does not exist in {fork.name}")


def check_replay(fields: TransactionFields, v: int, rules: ChainRules) -> None:
    """Raise InvalidTransaction unless the signature is meant for this chain; `v` as it stands in the bytes."""
    if fields.type or (rules.fork >= Fork.SPURIOUS_DRAGON and fields.chain_id is not None):
        if fields.chain_id != rules.chain_id:
            raise InvalidTransaction(
                Refusal.INVALID_CHAINID, f"signed for chain {fields.chain_id}, this is {rules.chain_id}"
            )
    elif fields.chain_id is not None:
        raise InvalidTransaction(Refusal.INVALID_SIGNATURE_VRS, f"v is 27 or 28 in {rules.fork.name}")
    elif rules.fork >= Fork.SPURIOUS_DRAGON and v not in (0, 1, 27, 28):
        raise InvalidTransaction(Refusal.INVALID_CHAINID, f"no chain id gives v = {v}")


def check_signature(signature: Signature, fork: Fork) -> None:
    """Raise InvalidTransaction unless parity, r and s are in range; from Homestead on s must be low (EIP-2)."""
    try:
        signature.check(low_s=fork >= Fork.HOMESTEAD)
    except BadSignature as error:
        raise InvalidTransaction(Refusal.INVALID_SIGNATURE_VRS, error.what) from error


def check_rules(fields: TransactionFields, fork: Fork) -> None:
    """Raise InvalidTransaction if a transaction with a good signature is still invalid whatever the state is.

    In the order of the execution specification: what lacks gas is refused for that, whatever else is wrong with it.
    """
    _check_needed_gas(fields, fork)
    if fields.nonce == UINT64_MAX:
        raise InvalidTransaction(Refusal.NONCE_TOO_BIG, "the nonce is at its maximum (EIP-2681)")
    if fields.max_priority_fee_per_gas > fields.max_fee_per_gas:
        raise InvalidTransaction(
            Refusal.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS, "the priority fee is greater than the maximum fee"
        )
    if fields.gas_limit * fields.max_fee_per_gas > UINT256_MAX:
        raise InvalidTransaction(Refusal.GASLIMIT_PRICE_PRODUCT_OVERFLOW, "gas limit times price exceeds 256 bits")
    if fields.type == TransactionType.BLOB:
        _check_blobs(fields, fork)
    elif fields.type == TransactionType.SET_CODE:
        _check_authorizations(fields)
    if fork >= Fork.SHANGHAI and fields.to is None and len(fields.data) > MAX_INIT_CODE_BYTES:
        raise InvalidTransaction(Refusal.INITCODE_SIZE_EXCEEDED, f"{len(fields.data)} bytes of init code")
    if fork >= Fork.OSAKA and fields.gas_limit > TRANSACTION_GAS_CAP:
        raise InvalidTransaction(
            Refusal.GAS_LIMIT_EXCEEDS_MAXIMUM, f"{fields.gas_limit} gas, at most {TRANSACTION_GAS_CAP}"
        )


def _check_needed_gas(fields: TransactionFields, fork: Fork) -> None:
    needed = intrinsic_gas(fields, fork)
    if fields.gas_limit < needed:
        raise InvalidTransaction(Refusal.INTRINSIC_GAS_TOO_LOW, f"{fields.gas_limit} gas, {needed} needed")
    if fork >= Fork.PRAGUE and fields.gas_limit < floor_gas(fields):
        raise InvalidTransaction(
            Refusal.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST, f"{fields.gas_limit} gas, {floor_gas(fields)} for the data"
        )


def _check_blobs(fields: TransactionFields, fork: Fork) -> None:
    hashes = fields.blob_versioned_hashes
    if fields.to is None:
        raise InvalidTransaction(Refusal.TYPE_3_TX_CONTRACT_CREATION, "a blob transaction cannot create a contract")
    if not hashes:
        raise InvalidTransaction(Refusal.TYPE_3_TX_ZERO_BLOBS, "a blob transaction without blobs")
    if len(hashes) > _MAX_BLOBS[fork]:
        raise InvalidTransaction(
            Refusal.TYPE_3_TX_BLOB_COUNT_EXCEEDED, f"{len(hashes)} blobs, at most {_MAX_BLOBS[fork]}"
        )
    if any(word[0] != BLOB_HASH_VERSION for word in hashes):
        raise InvalidTransaction(Refusal.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH, "a blob hash of an unknown version")


def _check_authorizations(fields: TransactionFields) -> None:
    if fields.to is None:
        raise InvalidTransaction(Refusal.TYPE_4_TX_CONTRACT_CREATION, "a set-code transaction cannot create a contract")
    if not fields.authorization_list:
        raise InvalidTransaction(Refusal.TYPE_4_EMPTY_AUTHORIZATION_LIST, "a set-code transaction that sets none")
