"""Units of the pool maths, as names.

They are aliases and not NewTypes, because a NewType is a call for every arithmetic result, and a walk over twenty ticks
makes a few hundred. The bounds are those of the contracts' storage.
"""

from __future__ import annotations

from typing import TypeAlias

TokenAmount: TypeAlias = int
"""Smallest units of a token, not negative unless called a delta."""
TokenDelta: TypeAlias = int
"""Smallest units of a token, positive into the pool, negative out of it."""
SqrtPriceX96: TypeAlias = int
"""Square root of token1 per token0, times 2**96 (uint160)."""
Tick: TypeAlias = int
"""Logarithm of the price to the base 1.0001, rounded down (int24)."""
Liquidity: TypeAlias = int
"""Square root of the product of the virtual reserves (uint128)."""
LiquidityDelta: TypeAlias = int
"""A change of liquidity (int128)."""
FeePips: TypeAlias = int
"""Hundredths of a basis point: 3000 is 0.3 percent."""
GrowthX128: TypeAlias = int
"""Fees per unit of liquidity, times 2**128, modulo 2**256."""
Fixed18: TypeAlias = int
"""A fraction times 10**18."""

UINT256_MAX = (1 << 256) - 1
UINT160_MAX = (1 << 160) - 1
UINT128_MAX = (1 << 128) - 1
UINT112_MAX = (1 << 112) - 1
INT256_MIN = -(1 << 255)
INT256_MAX = (1 << 255) - 1
Q96 = 1 << 96
