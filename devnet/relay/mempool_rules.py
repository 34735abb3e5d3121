"""What a transaction must fulfil to wait in the mempool: every refusal a named reason, in the words of geth.

Refused    a transaction is not admitted; `reason` says why
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from devnet.errors import DevnetError
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.transactions import (
    MAX_TRANSACTION_BYTES,
    InvalidTransaction,
    Refusal,
    SignedTransaction,
    TransactionType,
    decode_transaction,
)

HARDFORK: Final = Fork.OSAKA
"""The one that Anvil is pinned to."""

REPLACEMENT_PERCENT: Final = 10
"""A replacement must raise both fees by this much (geth's default `txpool.pricebump`)."""


class Reason(Enum):
    """Why a transaction is refused. The value is the message of the JSON-RPC error, as geth words it."""

    ALREADY_KNOWN = "already known"
    WRONG_CHAIN = "invalid sender: invalid chain id for signer"
    UNPROTECTED = "only replay-protected (EIP-155) transactions allowed over RPC"
    TYPE_NOT_SUPPORTED = "transaction type not supported"
    OVERSIZED = "oversized data"
    INIT_CODE = "max initcode size exceeded"
    GAS_LIMIT = "exceeds block gas limit"
    GAS_CAP = "transaction gas limit too high"
    INTRINSIC_GAS = "intrinsic gas too low"
    FLOOR_GAS = "insufficient gas for floor data gas cost"
    INVALID = "invalid transaction"
    TIP_ABOVE_FEE_CAP = "max priority fee per gas higher than max fee per gas"
    UNDERPRICED = "transaction underpriced"
    REPLACEMENT_UNDERPRICED = "replacement transaction underpriced"
    NONCE_TOO_LOW = "nonce too low"
    NONCE_TOO_HIGH = "nonce too high"
    INSUFFICIENT_FUNDS = "insufficient funds for gas * price + value"
    POOL_FULL = "txpool is full"


_REASONS: Final = {
    Refusal.INVALID_CHAINID: Reason.WRONG_CHAIN,
    Refusal.TYPE_NOT_SUPPORTED: Reason.TYPE_NOT_SUPPORTED,
    Refusal.INITCODE_SIZE_EXCEEDED: Reason.INIT_CODE,
    Refusal.GAS_LIMIT_EXCEEDS_MAXIMUM: Reason.GAS_CAP,
    Refusal.INTRINSIC_GAS_TOO_LOW: Reason.INTRINSIC_GAS,
    Refusal.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST: Reason.FLOOR_GAS,
    Refusal.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS: Reason.TIP_ABOVE_FEE_CAP,
}


class Refused(DevnetError):
    """A transaction is not admitted to the mempool."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolLimits:
    """The mempool's bounds. What happens at each: refusal by its reason, or the eviction that `Mempool` describes."""

    transactions: int = 8192
    nonces_ahead: int = 64
    """How far a nonce may be ahead of the state's."""
    transaction_bytes: int = MAX_TRANSACTION_BYTES
    blocks_kept: int = 900
    """A transaction that waited for so many blocks expires."""
    min_fee_cap: int = 1
    """Least `maxFeePerGas` in wei."""
    min_tip: int = 0
    """Least `maxPriorityFeePerGas` in wei."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account in the head's state; balance in wei."""

    nonce: int
    balance: int


def cost(transaction: SignedTransaction) -> int:
    """Return the most a transaction can take from its sender, in wei."""
    return transaction.value + transaction.gas_limit * transaction.max_fee_per_gas


def read_transaction(raw: bytes, chain_id: int, gas_limit: int, limits: MempoolLimits) -> SignedTransaction:
    """Decode and check what needs no state: signature, chain, type, sizes, gas, fees. Raises `Refused`."""
    if len(raw) > limits.transaction_bytes:
        raise Refused(Reason.OVERSIZED, f"transaction size {len(raw)}, limit {limits.transaction_bytes}")
    try:
        transaction = decode_transaction(raw, ChainRules(HARDFORK, chain_id), max_bytes=limits.transaction_bytes)
    except InvalidTransaction as error:
        raise Refused(_REASONS.get(error.reason, Reason.INVALID), error.what) from error
    if transaction.type == TransactionType.BLOB:
        # Of a blob transaction the chain carries only hashes, and the devnet has no place for the blobs.
        raise Refused(Reason.TYPE_NOT_SUPPORTED, "blob transactions are not accepted")
    if transaction.chain_id is None:
        raise Refused(Reason.UNPROTECTED)
    if transaction.gas_limit > gas_limit:
        raise Refused(Reason.GAS_LIMIT, f"have {transaction.gas_limit}, limit {gas_limit}")
    tip, fee_cap = transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas
    if fee_cap < limits.min_fee_cap:
        raise Refused(Reason.UNDERPRICED, f"fee cap needed {limits.min_fee_cap}, fee cap permitted {fee_cap}")
    if tip < limits.min_tip:
        raise Refused(Reason.UNDERPRICED, f"tip needed {limits.min_tip}, tip permitted {tip}")
    return transaction


def check_account(transaction: SignedTransaction, account: AccountState, limits: MempoolLimits) -> None:
    """Check nonce and balance against the head's state. Raises `Refused`."""
    if transaction.nonce < account.nonce:
        raise Refused(Reason.NONCE_TOO_LOW, f"next nonce {account.nonce}, tx nonce {transaction.nonce}")
    if transaction.nonce > account.nonce + limits.nonces_ahead:
        raise Refused(
            Reason.NONCE_TOO_HIGH,
            f"tx nonce {transaction.nonce}, state nonce {account.nonce}, at most {limits.nonces_ahead} ahead",
        )
    if cost(transaction) > account.balance:
        raise Refused(Reason.INSUFFICIENT_FUNDS, f"balance {account.balance}, tx cost {cost(transaction)}")


def may_replace(new: SignedTransaction, old: SignedTransaction) -> bool:
    """Whether both fees of `new` are at least 10 % above those of `old`, rounded up (geth's price bump)."""
    factor = 100 + REPLACEMENT_PERCENT
    return (
        new.max_fee_per_gas * 100 >= old.max_fee_per_gas * factor
        and new.max_priority_fee_per_gas * 100 >= old.max_priority_fee_per_gas * factor
        and new.max_fee_per_gas > old.max_fee_per_gas
    )
