"""The stable surge hook, which makes swaps dear that push a stable pool out of balance: balancer-v3-monorepo,
pkg/pool-hooks/contracts/StableSurgeHook.sol and contracts/utils/StableSurgeMedianMath.sol.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.amm.balancer_fixed_point import complement, div_down, mul_down, sub
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.errors import TradeTooLarge
from node.pipeline.amm.units import Fixed18


class SurgeHook(msgspec.Struct, frozen=True, gc=False):
    """From which imbalance on swaps are dear, and the fee at the greatest. The first version of the hook (2024-12) does
    not guard deposits and withdrawals.
    """

    threshold: Fixed18
    max_fee: Fixed18
    guards_liquidity: bool = True

    def swap_fee(self, pool: V3Pool, index_in: int, index_out: int, amount: int, *, given_in: bool) -> Fixed18:
        """The pool's own fee, or more for a swap that ends out of balance and more so than it began."""
        if self.max_fee < pool.swap_fee:
            return pool.swap_fee
        after = list(pool.live)
        if given_in:
            moved = pool.maths.out_given_in_rounding_down(pool.live, index_in, index_out, amount)
            after[index_in] += amount
            after[index_out] = sub(after[index_out], moved)
        else:
            moved = pool.maths.in_given_out_rounding_up(pool.live, index_in, index_out, amount)
            after[index_in] += moved
            after[index_out] = sub(after[index_out], amount)
        reached = imbalance(after)
        if not self._surges(imbalance(pool.live), reached):
            return pool.swap_fee
        share = div_down(reached - self.threshold, complement(self.threshold))
        return pool.swap_fee + mul_down(self.max_fee - pool.swap_fee, share)

    def require_liquidity_change(self, before: Sequence[int], after: Sequence[int]) -> None:
        """Raises TradeTooLarge where a deposit or withdrawal that is not proportional would surge."""
        if self.guards_liquidity and self._surges(imbalance(before), imbalance(after)):
            raise TradeTooLarge("AfterLiquidityHookFailed", "the pool would surge")

    def _surges(self, before: Fixed18, after: Fixed18) -> bool:
        return after > before and after > self.threshold


def imbalance(balances: Sequence[int]) -> Fixed18:
    """How far the balances lie from their median, as a share of all (calculateImbalance)."""
    ordered = sorted(balances)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
    return div_down(sum(abs(balance - median) for balance in ordered), sum(ordered))
