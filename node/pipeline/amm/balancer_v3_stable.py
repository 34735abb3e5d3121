"""Stable pools of Balancer V3: balancer-v3-monorepo, pkg/pool-stable/contracts/StablePool.sol and
pkg/solidity-utils/contracts/math/StableMath.sol; reverts carry V2's codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.amm.balancer_fixed_point import add, mul_up, sub
from node.pipeline.amm.balancer_stable import AMP_PRECISION, MAX_ROUNDS, invariant_rounding_down
from node.pipeline.amm.errors import ArithmeticRevert, NotConverged, PoolStateInvalid
from node.pipeline.amm.units import UINT256_MAX, Fixed18


class V3StableMaths(msgspec.Struct, frozen=True, gc=False):
    """The amplification times 1000."""

    amplification: int
    min_invariant_ratio: Fixed18 = 60 * 10**16
    max_invariant_ratio: Fixed18 = 500 * 10**16

    def invariant(self, balances: Sequence[int], *, rounding_up: bool) -> int:
        """D; one more for up. Raises NotConverged, ArithmeticRevert."""
        invariant = invariant_rounding_down(self.amplification, balances)
        return invariant + 1 if invariant and rounding_up else invariant

    def balance_rounding_up(self, balances: Sequence[int], index: int, ratio: Fixed18) -> int:
        """computeBalance of the pool."""
        return self._balance(balances, mul_up(self.invariant(balances, rounding_up=True), ratio), index)

    def out_given_in_rounding_down(self, balances: Sequence[int], index_in: int, index_out: int, amount: int) -> int:
        """computeOutGivenExactIn."""
        moved = list(balances)
        moved[index_in] = add(moved[index_in], amount)
        final = self._balance(moved, self.invariant(balances, rounding_up=False), index_out)
        return sub(balances[index_out], final + 1)

    def in_given_out_rounding_up(self, balances: Sequence[int], index_in: int, index_out: int, amount: int) -> int:
        """computeInGivenExactOut."""
        moved = list(balances)
        moved[index_out] = sub(moved[index_out], amount)
        final = self._balance(moved, self.invariant(balances, rounding_up=False), index_in)
        return sub(final + 1, balances[index_in])

    def _balance(self, balances: Sequence[int], invariant: int, index: int) -> int:
        """StableMath.computeBalance, which divides later than V2's."""
        count = len(balances)
        amp_times_total = self.amplification * count
        product = balances[0] * count
        for balance in balances[1:]:
            product = _word(product * balance * count) // _divisor(invariant)
        squared = _word(invariant * invariant)
        c = _word(_up(_word(squared * AMP_PRECISION), _word(amp_times_total * product)) * balances[index])
        b = sum(balances) - balances[index] + invariant * AMP_PRECISION // amp_times_total
        balance = _up(squared + c, invariant + b)
        for _ in range(MAX_ROUNDS):
            before = balance
            balance = _up(_word(balance * balance) + c, sub(2 * balance + b, invariant))
            if abs(balance - before) <= 1:
                return balance
        raise NotConverged("BAL#322", "the balance")


def stable_maths(amplification: int) -> V3StableMaths:
    """The maths for an amplification times 1000. Raises PoolStateInvalid below one."""
    if amplification < AMP_PRECISION:
        raise PoolStateInvalid(f"amplification {amplification}")
    return V3StableMaths(amplification)


def _word(number: int) -> int:
    if number > UINT256_MAX:
        raise ArithmeticRevert("BAL#003", "multiplication overflows")
    return number


def _divisor(number: int) -> int:
    if number == 0:
        raise ArithmeticRevert("BAL#004", "division by zero")
    return number


def _up(a: int, b: int) -> int:
    return -(-a // _divisor(b))
