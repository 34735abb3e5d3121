"""One reference price for each profit token, in the wrapped coin, out of our own pools, with its error and its block.

The price is that of the deepest pool between the two; the error is how far other pools of some depth are from it. It
serves to compare finds in different tokens and to weigh them against gas, never to compute an amount that is paid.
"""

from __future__ import annotations

import msgspec

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import TokenAmount
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.market import Market
from node.pipeline.pools import PoolState, held_amounts, quote_exact_in
from protocol.units import BASIS_POINTS_ONE, Address, BasisPoints, BlockNumber, Wei

_DEEP_PART = 10
"""Pools of at least this fraction of the deepest count for the error."""
_SMALL_PART = 1_000_000


class ReferencePrice(msgspec.Struct, frozen=True, gc=False):
    """`numerator` wei for `denominator` smallest units; other pools within `error`; computed at `block`."""

    numerator: int
    denominator: int
    error: BasisPoints
    block: BlockNumber

    def wei_down(self, amount: TokenAmount) -> Wei:
        """What an amount is worth, rounded down (towards minus infinity for a loss)."""
        return Wei(amount * self.numerator // self.denominator)

    def tokens_up(self, wei: Wei) -> TokenAmount:
        """How much of the token is worth that many wei, rounded up."""
        return -(-wei * self.denominator // self.numerator)


def reference_price(market: Market, token: Address, coin: Address, block: BlockNumber) -> ReferencePrice | None:
    """The price of `token` in `coin`; None without an eligible pool between them."""
    if token == coin:
        return ReferencePrice(1, 1, BasisPoints(0), block)
    depths: list[tuple[int, int]] = []
    for pool in market.pools_of(token):
        state, tokens = market.states[pool], market.routed[pool]
        if state is not None and coin in tokens and market.is_eligible(pool):
            coins, others = virtual_reserves(state, tokens.index(coin), tokens.index(token))
            if coins > 0 and others > 0:
                depths.append((coins, others))
    if not depths:
        return None
    coins, others = max(depths)
    error = 0
    for other_coins, other_others in depths:
        if other_coins * _DEEP_PART >= coins:
            ratio = other_coins * others * BASIS_POINTS_ONE // (other_others * coins)
            error = max(error, abs(ratio - BASIS_POINTS_ONE))
    return ReferencePrice(coins, others, BasisPoints(error), block)


def virtual_reserves(state: PoolState, index: int, other: int) -> tuple[int, int]:
    """Amounts of two tokens whose ratio is the pool's price without fee, and whose size is its depth at that price.

    Of curves without a formula for the price it is that of a small swap, with its fee; (0, 0) where there is none.
    """
    held = held_amounts(state)
    if isinstance(state, ConstantProductPool | ConcentratedPool | V4Pool):
        return held[index], held[other]
    if isinstance(state, WeightedPool):
        return held[index] * state.weights[other], held[other] * state.weights[index]
    small = max(1, held[index] // _SMALL_PART)
    try:
        return held[index], held[index] * quote_exact_in(state, index, other, small) // small
    except AmmError:
        return 0, 0
