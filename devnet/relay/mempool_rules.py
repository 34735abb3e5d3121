"""What a transaction must fulfil to wait in the mempool: every refusal a named reason, in the words of geth.

Refused    a transaction is not admitted; `reason` says why
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from devnet.errors import DevnetError
from devnet.relay.gas import MAX_INIT_CODE_BYTES, TRANSACTION_GAS_CAP, minimum_gas

if TYPE_CHECKING:
    from protocol.ethereum.transactions import SignedTransaction

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
    TIP_ABOVE_FEE_CAP = "max priority fee per gas higher than max fee per gas"
    UNDERPRICED = "transaction underpriced"
    REPLACEMENT_UNDERPRICED = "replacement transaction underpriced"
    NONCE_TOO_LOW = "nonce too low"
    NONCE_TOO_HIGH = "nonce too high"
    INSUFFICIENT_FUNDS = "insufficient funds for gas * price + value"
    POOL_FULL = "txpool is full"


class Refused(DevnetError):
    """A transaction is not admitted to the mempool."""

    code: Final = -32000

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolLimits:
    """The mempool's bounds. What happens at each: refusal by its reason, or the eviction that `Mempool` describes."""

    transactions: int = 8192
    nonces_ahead: int = 64
    """How far a nonce may be ahead of the state's."""
    transaction_bytes: int = 131_072
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


def check_alone(transaction: SignedTransaction, chain_id: int, gas_limit: int, limits: MempoolLimits) -> None:
    """Check what needs no state: chain, type, sizes, gas, fees. Raises `Refused`."""
    if transaction.type == 3:
        # A blob transaction's body in a block is without its blobs, and the pool has no place for those.
        raise Refused(Reason.TYPE_NOT_SUPPORTED, "blob transactions are not accepted")
    if transaction.chain_id is None:
        raise Refused(Reason.UNPROTECTED)
    if transaction.chain_id != chain_id:
        raise Refused(Reason.WRONG_CHAIN, f"have {transaction.chain_id} want {chain_id}")
    if len(transaction.raw) > limits.transaction_bytes:
        raise Refused(
            Reason.OVERSIZED, f"transaction size {len(transaction.raw)}, limit {limits.transaction_bytes}"
        )
    if transaction.to is None and len(transaction.data) > MAX_INIT_CODE_BYTES:
        raise Refused(Reason.INIT_CODE, f"code size {len(transaction.data)}, limit {MAX_INIT_CODE_BYTES}")
    _check_gas(transaction, gas_limit)
    _check_fees(transaction, limits)


def _check_gas(transaction: SignedTransaction, gas_limit: int) -> None:
    if transaction.gas_limit > gas_limit:
        raise Refused(Reason.GAS_LIMIT, f"have {transaction.gas_limit}, limit {gas_limit}")
    if transaction.gas_limit > TRANSACTION_GAS_CAP:
        raise Refused(Reason.GAS_CAP, f"cap: {TRANSACTION_GAS_CAP}, tx: {transaction.gas_limit}")
    if transaction.gas_limit < (least := minimum_gas(transaction)):
        raise Refused(Reason.INTRINSIC_GAS, f"gas {transaction.gas_limit}, minimum needed {least}")


def _check_fees(transaction: SignedTransaction, limits: MempoolLimits) -> None:
    tip, fee_cap = transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas
    if tip > fee_cap:
        raise Refused(Reason.TIP_ABOVE_FEE_CAP, f"maxPriorityFeePerGas: {tip}, maxFeePerGas: {fee_cap}")
    if fee_cap < limits.min_fee_cap:
        raise Refused(Reason.UNDERPRICED, f"fee cap needed {limits.min_fee_cap}, fee cap permitted {fee_cap}")
    if tip < limits.min_tip:
        raise Refused(Reason.UNDERPRICED, f"tip needed {limits.min_tip}, tip permitted {tip}")


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
