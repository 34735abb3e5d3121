"""The base fee, as the relay pins it for each block (EIP-1559)."""

from __future__ import annotations

from typing import Final

ELASTICITY: Final = 2
BASE_FEE_CHANGE_DENOMINATOR: Final = 8


def next_base_fee(base_fee: int, gas_used: int, gas_limit: int) -> int:
    """Return the base fee (wei per gas) of the block after one with these figures (EIP-1559)."""
    target = gas_limit // ELASTICITY
    if gas_used == target:
        return base_fee
    if gas_used > target:
        return base_fee + max(1, base_fee * (gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR)
    return base_fee - base_fee * (target - gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR
