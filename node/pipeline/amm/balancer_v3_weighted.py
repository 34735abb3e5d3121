"""Weighted pools of Balancer V3: balancer-v3-monorepo, pkg/pool-weighted/contracts/WeightedPool.sol and
pkg/solidity-utils/contracts/math/WeightedMath.sol, as first deployed (2024-12); reverts carry V2's codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.amm import weighted
from node.pipeline.amm.balancer_fixed_point import ONE, PowVersion, div_down, div_up, mul_up, pow_up
from node.pipeline.amm.errors import PoolStateInvalid
from node.pipeline.amm.units import Fixed18


class V3WeightedMaths(msgspec.Struct, frozen=True, gc=False):
    """Normalised weights, which add up to one."""

    weights: tuple[Fixed18, ...]
    min_invariant_ratio: Fixed18 = 70 * 10**16
    max_invariant_ratio: Fixed18 = 300 * 10**16

    def invariant(self, balances: Sequence[int], *, rounding_up: bool) -> int:
        """Product of balance ** weight. Raises ArithmeticRevert."""
        if not rounding_up:
            return weighted.invariant_rounding_down(self.weights, balances, PowVersion.V2)
        invariant = ONE
        for weight, balance in zip(self.weights, balances, strict=True):
            invariant = mul_up(invariant, pow_up(balance, weight, PowVersion.V2))
        return invariant

    def balance_rounding_up(self, balances: Sequence[int], index: int, ratio: Fixed18) -> int:
        """balance * ratio ** (1 / weight) (computeBalanceOutGivenInvariant, which compares the ratio with one wei)."""
        exponent = div_up(ONE, self.weights[index]) if ratio > 1 else div_down(ONE, self.weights[index])
        return mul_up(balances[index], pow_up(ratio, exponent, PowVersion.V2))

    def out_given_in_rounding_down(self, balances: Sequence[int], index_in: int, index_out: int, amount: int) -> int:
        """computeOutGivenExactIn."""
        return weighted.out_given_in_rounding_down(*self._pair(balances, index_in, index_out), amount, PowVersion.V2)

    def in_given_out_rounding_up(self, balances: Sequence[int], index_in: int, index_out: int, amount: int) -> int:
        """computeInGivenExactOut."""
        return weighted.in_given_out_rounding_up(*self._pair(balances, index_in, index_out), amount, PowVersion.V2)

    def _pair(self, balances: Sequence[int], index_in: int, index_out: int) -> tuple[int, Fixed18, int, Fixed18]:
        return balances[index_in], self.weights[index_in], balances[index_out], self.weights[index_out]


def weighted_maths(weights: Sequence[Fixed18]) -> V3WeightedMaths:
    """The maths for these weights. Raises PoolStateInvalid where they do not add up to one."""
    if len(weights) < 2 or min(weights) <= 0 or sum(weights) != ONE:
        raise PoolStateInvalid(f"weights {list(weights)}")
    return V3WeightedMaths(tuple(weights))
