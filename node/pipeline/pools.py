"""What a pool is to the pipeline: what never changes (`PoolSpec`), its exact state, and exact swaps through it.

Everything else asks here by pool and token positions. The three families that carry most of the flow are asked first;
the others' maths are chosen in `pool_maths`. Raises what `node.pipeline.amm` raises: a `PoolRevert` where the contract
would revert.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from node.pipeline import pool_maths
from node.pipeline.amm import concentrated, constant_product, weighted
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import ProductRule
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.amm.errors import InsufficientLiquidity
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import FeePips, TokenAmount
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.pool_maths import OtherState
from protocol.units import ZERO_ADDRESS, Address

PoolId: TypeAlias = bytes
"""20 bytes of the pool's address, or the 32-byte id of a pool at Balancer V2's vault or Uniswap V4's manager."""
PoolState: TypeAlias = ConstantProductPool | ConcentratedPool | WeightedPool | OtherState


class PoolFamily(StrEnum):
    """Which contracts a pool is made of; the names are those of the devnet's manifest."""

    UNISWAP_V2 = "uniswap_v2"
    SUSHI_V2 = "sushi_v2"
    UNISWAP_V3 = "uniswap_v3"
    BALANCER_V2_WEIGHTED = "balancer_v2_weighted"
    BALANCER_V2_STABLE = "balancer_v2_stable"
    PANCAKE_V2 = "pancake_v2"
    PANCAKE_V3 = "pancake_v3"
    AERODROME = "aerodrome"
    SLIPSTREAM = "slipstream"
    CAMELOT = "camelot"
    UNISWAP_V4 = "uniswap_v4"
    CURVE_PLAIN = "curve_plain"
    CURVE_LENDING = "curve_lending"
    CURVE_META = "curve_meta"
    CURVE_CRYPTO = "curve_crypto"
    BALANCER_V3_WEIGHTED = "balancer_v3_weighted"
    BALANCER_V3_STABLE = "balancer_v3_stable"
    ERC4626 = "erc4626"
    WRAPPER = "wrapper"


PAIRS = frozenset({PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.PANCAKE_V2})
"""Of Uniswap V2's kind, with one fee for all."""
CONCENTRATED = frozenset({PoolFamily.UNISWAP_V3, PoolFamily.PANCAKE_V3, PoolFamily.SLIPSTREAM})
"""With ticks, one contract a pool."""
AT_BALANCER_V2 = frozenset({PoolFamily.BALANCER_V2_WEIGHTED, PoolFamily.BALANCER_V2_STABLE})
"""Pools of which the vault holds the tokens."""
NAMED_BY_MORE = frozenset({PoolFamily.UNISWAP_V4, PoolFamily.CURVE_PLAIN})
"""Traded families of which a pool's tokens, fee and id do not tell all that the executor must know."""
OF_CURVE = frozenset({PoolFamily.CURVE_PLAIN, PoolFamily.CURVE_LENDING, PoolFamily.CURVE_META, PoolFamily.CURVE_CRYPTO})
V2_KEYS = {PoolFamily.UNISWAP_V2: b"u2", PoolFamily.SUSHI_V2: b"s2"}
V3_KEY = b"u3"
V4_KEY = b"u4"
CURVE_KEY = b"cv"


class PoolSpec(msgspec.Struct, frozen=True, gc=False):
    """What never changes of a pool. `tokens` in the pool's own order; `address` is the pool's contract.

    `tick_spacing` is 0 but for concentrated liquidity; `hooks` is Uniswap V4's. `has_moving_fee`: the fee is set by
    somebody else at any time, without a log of the pool's. `is_stable`: of Solidly's two curves the stable one.
    `product_rule`, `is_closed_form` and `base` are Curve's: how D is formed, tricrypto-ng, a meta pool's base.
    `is_unlisted`: the executor takes only pools that it was created with, and not this one.
    """

    id: PoolId
    family: PoolFamily
    address: Address
    tokens: tuple[Address, ...]
    fee_pips: FeePips
    tick_spacing: int = 0
    hooks: Address = ZERO_ADDRESS
    has_moving_fee: bool = False
    is_stable: bool = False
    product_rule: ProductRule = ProductRule.EACH
    is_closed_form: bool = False
    base: PoolSpec | None = None
    is_unlisted: bool = False

    @property
    def can_be_called(self) -> bool:
        """Whether the executor takes the pool, if it has a venue for its family: no V4 pool with a hook, for one."""
        return not self.is_unlisted and self.hooks == ZERO_ADDRESS

    @property
    def traded_tokens(self) -> tuple[Address, ...]:
        """The tokens without the pool's own, which Balancer's stable pools register but we do not trade."""
        return self.tokens if self.is_share else tuple([token for token in self.tokens if token != self.address])

    @property
    def holds_ether(self) -> bool:
        """Whether it is a pool of Uniswap V4 that holds ether itself; that is its first token then."""
        return self.family is PoolFamily.UNISWAP_V4 and self.tokens[0] == ZERO_ADDRESS

    @property
    def is_share(self) -> bool:
        """Whether the pool's own contract is one of the tokens that it trades: a vault's shares, a wrapper."""
        return self.family in (PoolFamily.ERC4626, PoolFamily.WRAPPER)


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
    if type(state) is WeightedPool:
        return weighted.quote_exact_in(state, index_in, index_out, amount_in)
    return pool_maths.quote_exact_in(_as_other(state), index_in, index_out, amount_in)


def quote_exact_out(state: PoolState, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """The least input that buys `amount_out`. Raises PoolRevert."""
    if type(state) is ConstantProductPool:
        return constant_product.quote_exact_out(state, index_in == 0, amount_out)
    if type(state) is ConcentratedPool:
        return concentrated.quote_exact_out(state, index_in == 0, amount_out)[0]
    if type(state) is WeightedPool:
        return weighted.quote_exact_out(state, index_in, index_out, amount_out)
    return pool_maths.quote_exact_out(_as_other(state), index_in, index_out, amount_out)


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
    moved: PoolState
    if type(state) is WeightedPool:
        moved, amount_out = weighted.swap_exact_in(state, index_in, index_out, amount_in)
    else:
        moved, amount_out = pool_maths.swap_exact_in(_as_other(state), index_in, index_out, amount_in)
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
    moved: PoolState
    if type(state) is WeightedPool:
        moved, amount_in = weighted.swap_exact_out(state, index_in, index_out, amount_out)
    else:
        moved, amount_in = pool_maths.swap_exact_out(_as_other(state), index_in, index_out, amount_out)
    return moved, PoolSwap(index_in, index_out, amount_in, amount_out)


def _as_other(state: PoolState) -> OtherState:
    if isinstance(state, ConstantProductPool | ConcentratedPool | WeightedPool):
        raise TypeError(f"{type(state).__name__} is asked before the others")
    return state


def held_amounts(state: PoolState) -> tuple[TokenAmount, ...]:
    """What the pool holds of each token, in its own order; of concentrated liquidity what a full range would hold."""
    if isinstance(state, ConstantProductPool | SolidlyPool | CamelotStablePool):
        return state.reserve0, state.reserve1
    if isinstance(state, ConcentratedPool | V4Pool):
        return (state.liquidity << 96) // state.sqrt_price_x96, state.liquidity * state.sqrt_price_x96 >> 96
    if isinstance(state, CurveLendingPool | CurveMetaPool):
        return state.pool.balances
    if isinstance(state, V3Pool):
        return state.raw
    return (state.assets, state.shares) if isinstance(state, ShareVault) else state.balances


def edge_key(spec: PoolSpec, token_in: Address, token_out: Address) -> bytes:
    """By what a decoder names one direction of a pool: as little as call data tell, or else the pool's own id."""
    if spec.family is PoolFamily.UNISWAP_V3:
        return V3_KEY + token_in + spec.fee_pips.to_bytes(3, "big") + token_out
    pair = V2_KEYS.get(spec.family)
    if pair is not None:
        return pair + token_in + token_out
    if spec.family is PoolFamily.UNISWAP_V4:
        return V4_KEY + spec.id + token_in + token_out
    return (CURVE_KEY if spec.family in OF_CURVE else b"") + spec.id + token_in + token_out
