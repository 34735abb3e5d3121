"""What a pool is to the pipeline: what never changes (`PoolSpec`), its exact state, and exact swaps through it.

One place knows which maths belong to which family; everything else asks here by pool and token positions.
Raises what `node.pipeline.amm` raises: a `PoolRevert` where the contract would revert.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from node.pipeline.amm import concentrated, constant_product, weighted
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import InsufficientLiquidity
from node.pipeline.amm.units import FeePips, TokenAmount
from node.pipeline.amm.weighted import WeightedPool
from protocol.units import Address

PoolId: TypeAlias = bytes
"""20 bytes of the pool's address, or the 32-byte id of a Balancer pool."""
PoolState: TypeAlias = ConstantProductPool | ConcentratedPool | WeightedPool


class PoolFamily(StrEnum):
    """Which contracts a pool is made of; the names are those of the devnet's manifest."""

    UNISWAP_V2 = "uniswap_v2"
    SUSHI_V2 = "sushi_v2"
    UNISWAP_V3 = "uniswap_v3"
    BALANCER_V2_WEIGHTED = "balancer_v2_weighted"


V2_KEYS = {PoolFamily.UNISWAP_V2: b"u2", PoolFamily.SUSHI_V2: b"s2"}
V3_KEY = b"u3"
V4_KEY = b"u4"
CURVE_KEY = b"cv"


class PoolSpec(msgspec.Struct, frozen=True, gc=False):
    """What never changes of a pool. `tokens` in the pool's own order; `address` is the pool's contract.

    `tick_spacing` is 0 but for concentrated liquidity.
    """

    id: PoolId
    family: PoolFamily
    address: Address
    tokens: tuple[Address, ...]
    fee_pips: FeePips
    tick_spacing: int = 0


class PoolSwap(msgspec.Struct, frozen=True, gc=False):
    """One exact swap through a pool: positions in the pool's own order of tokens, and what moved."""

    index_in: int
    index_out: int
    amount_in: TokenAmount
    amount_out: TokenAmount


def quote_exact_in(state: PoolState, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What comes out for an input that is taken whole. Raises PoolRevert, also where the pool cannot take all of it."""
    if type(state) is ConstantProductPool:
        return constant_product.quote_exact_in(state, index_in == 0, amount_in)
    if type(state) is ConcentratedPool:
        taken, amount_out = concentrated.quote_exact_in(state, index_in == 0, amount_in)
        if taken != amount_in:
            raise InsufficientLiquidity("", f"the pool takes {taken} of {amount_in}")
        return amount_out
    return weighted.quote_exact_in(_as_weighted(state), index_in, index_out, amount_in)


def quote_exact_out(state: PoolState, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """The least input that buys `amount_out`. Raises PoolRevert."""
    if type(state) is ConstantProductPool:
        return constant_product.quote_exact_out(state, index_in == 0, amount_out)
    if type(state) is ConcentratedPool:
        return concentrated.quote_exact_out(state, index_in == 0, amount_out)[0]
    return weighted.quote_exact_out(_as_weighted(state), index_in, index_out, amount_out)


def swap_exact_in(
    state: PoolState, index_in: int, index_out: int, amount_in: TokenAmount
) -> tuple[PoolState, PoolSwap]:
    """The pool afterwards, and what moved. Raises PoolRevert."""
    if type(state) is ConstantProductPool:
        after, amount_out = constant_product.swap_exact_in(state, index_in == 0, amount_in)
        return after, PoolSwap(index_in, index_out, amount_in, amount_out)
    if type(state) is ConcentratedPool:
        swap = concentrated.swap(state, index_in == 0, amount_in)
        into, out_of = (swap.amount0, -swap.amount1) if index_in == 0 else (swap.amount1, -swap.amount0)
        return swap.after, PoolSwap(index_in, index_out, into, out_of)
    moved, amount_out = weighted.swap_exact_in(_as_weighted(state), index_in, index_out, amount_in)
    return moved, PoolSwap(index_in, index_out, amount_in, amount_out)


def swap_exact_out(
    state: PoolState, index_in: int, index_out: int, amount_out: TokenAmount
) -> tuple[PoolState, PoolSwap]:
    """The pool afterwards, and what moved. Raises PoolRevert."""
    if type(state) is ConstantProductPool:
        amount_in = constant_product.quote_exact_out(state, index_in == 0, amount_out)
        amounts = (amount_in, 0, 0, amount_out) if index_in == 0 else (0, amount_in, amount_out, 0)
        return constant_product.swap(state, *amounts), PoolSwap(index_in, index_out, amount_in, amount_out)
    if type(state) is ConcentratedPool:
        swap = concentrated.swap(state, index_in == 0, -amount_out)
        into, out_of = (swap.amount0, -swap.amount1) if index_in == 0 else (swap.amount1, -swap.amount0)
        if out_of != amount_out:
            raise InsufficientLiquidity("", f"the pool gives {out_of} of {amount_out}")
        return swap.after, PoolSwap(index_in, index_out, into, out_of)
    moved, amount_in = weighted.swap_exact_out(_as_weighted(state), index_in, index_out, amount_out)
    return moved, PoolSwap(index_in, index_out, amount_in, amount_out)


def _as_weighted(state: PoolState) -> WeightedPool:
    if isinstance(state, WeightedPool):
        return state
    raise TypeError(f"no maths for {type(state).__name__}")


def edge_key(spec: PoolSpec, token_in: Address, token_out: Address) -> bytes:
    """By what a decoder names one direction of a pool, without knowing the pool's address."""
    if spec.family is PoolFamily.UNISWAP_V3:
        return V3_KEY + token_in + spec.fee_pips.to_bytes(3, "big") + token_out
    if spec.family is PoolFamily.BALANCER_V2_WEIGHTED:
        return spec.id + token_in + token_out
    return V2_KEYS[spec.family] + token_in + token_out
