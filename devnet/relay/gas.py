"""Gas rules the relay applies before the chain does: base fee (EIP-1559), intrinsic and floor gas (EIP-2028, 7623)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from protocol.ethereum.transactions import SignedTransaction

ELASTICITY: Final = 2
BASE_FEE_CHANGE_DENOMINATOR: Final = 8
TRANSACTION_GAS_CAP: Final = 1 << 24
"""EIP-7825 (Osaka): no transaction may ask for more gas."""
MAX_INIT_CODE_BYTES: Final = 49_152
"""EIP-3860."""


def next_base_fee(base_fee: int, gas_used: int, gas_limit: int) -> int:
    """Return the base fee (wei per gas) of the block after one with these figures (EIP-1559)."""
    target = gas_limit // ELASTICITY
    if gas_used == target:
        return base_fee
    if gas_used > target:
        return base_fee + max(1, base_fee * (gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR)
    return base_fee - base_fee * (target - gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR


def minimum_gas(transaction: SignedTransaction) -> int:
    """Return the least gas limit with which a transaction is valid under Prague and later."""
    zeros = transaction.data.count(0)
    tokens = zeros + 4 * (len(transaction.data) - zeros)
    gas = 21_000 + 4 * tokens
    if transaction.to is None:
        gas += 32_000 + 2 * ((len(transaction.data) + 31) // 32)
    gas += sum(2_400 + 1_900 * len(keys) for _, keys in transaction.access_list)
    gas += 25_000 * len(transaction.authorization_list)
    return max(gas, 21_000 + 10 * tokens)
