"""What a log makes of a pool's state: for every family whose logs tell all that a swap depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from node.pipeline.amm import concentrated, curve_stableswap, uniswap_v4
from node.pipeline.amm.balancer_stable import BalancerStablePool
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.curve_stableswap import FEE_SCALE, CurvePool
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.amm.errors import PoolStateInvalid
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.events import (
    BalancesChanged,
    CoinsChanged,
    CoinsExchanged,
    LiquidityChanged,
    PoolChange,
    PriceMoved,
    ReservesSet,
)
from node.pipeline.pools import PoolState

_Pool = TypeVar("_Pool", WeightedPool, BalancerStablePool, CurvePool)


def changed(state: PoolState, change: PoolChange) -> PoolState:
    """The pool after what its log tells. Raises AmmError where the log cannot be of this state."""
    if isinstance(change, ReservesSet) and isinstance(state, ConstantProductPool | SolidlyPool | CamelotStablePool):
        return msgspec.structs.replace(state, reserve0=change.reserve0, reserve1=change.reserve1)
    if isinstance(change, PriceMoved) and isinstance(state, ConcentratedPool | V4Pool):
        return msgspec.structs.replace(
            state, sqrt_price_x96=change.sqrt_price_x96, liquidity=change.liquidity, tick=change.tick
        )
    if isinstance(change, LiquidityChanged):
        if isinstance(state, ConcentratedPool):
            return concentrated.modify_position(state, change.lower, change.upper, change.delta)[0]
        if isinstance(state, V4Pool):
            return uniswap_v4.modify_liquidity(state, change.lower, change.upper, change.delta)
    if isinstance(change, BalancesChanged):
        return _balances_changed(state, change)
    if isinstance(state, CurvePool) and isinstance(change, CoinsExchanged):
        return _exchanged(state, change)
    if isinstance(state, CurvePool) and isinstance(change, CoinsChanged):
        return _coins_changed(state, change)
    raise PoolStateInvalid(f"{type(change).__name__} for {type(state).__name__}")


def _balances_changed(state: PoolState, change: BalancesChanged) -> PoolState:
    if isinstance(state, WeightedPool):
        return _with_balances(state, change.deltas)
    if isinstance(state, BalancerStablePool):
        return _with_balances(state, change.deltas)
    if isinstance(state, ShareVault) and state.grows:
        return _vault(state, change.deltas)
    raise PoolStateInvalid(f"{type(change).__name__} for {type(state).__name__}")


def _coins_changed(state: CurvePool, change: CoinsChanged) -> CurvePool:
    """The admin's share of the fees leaves the balances."""
    _require_length(change.deltas, len(state.balances))
    _require_length(change.fees, len(state.balances))
    kept = [fee * state.admin_fee // FEE_SCALE for fee in change.fees]
    return _with_balances(state, [delta - fee for delta, fee in zip(change.deltas, kept, strict=True)])


def _with_balances(state: _Pool, deltas: Sequence[int]) -> _Pool:
    _require_length(deltas, len(state.balances))
    balances = tuple(balance + delta for balance, delta in zip(state.balances, deltas, strict=True))
    if min(balances) < 0:
        raise PoolStateInvalid(f"balances {balances}")
    return msgspec.structs.replace(state, balances=balances)


def _vault(state: ShareVault, deltas: Sequence[int]) -> ShareVault:
    _require_length(deltas, 2)
    assets, shares = state.assets + deltas[0], state.shares + deltas[1]
    if min(assets, shares) < 0:
        raise PoolStateInvalid(f"assets {assets}, shares {shares}")
    return msgspec.structs.replace(state, assets=assets, shares=shares)


def _exchanged(state: CurvePool, change: CoinsExchanged) -> CurvePool:
    after, amount_out = curve_stableswap.exchange(state, change.index_in, change.index_out, change.amount_in)
    if amount_out != change.amount_out:
        raise PoolStateInvalid(f"{change.amount_in} gave {change.amount_out}, by our state {amount_out}")
    return after


def _require_length(values: Sequence[int], count: int) -> None:
    if len(values) != count:
        raise PoolStateInvalid(f"{len(values)} changes of {count} balances")
