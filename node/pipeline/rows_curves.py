"""The float rows of the families whose curve is not a walk over ticks nor a plain product (`kernels` tells what is in
one): weighted, stable of every kind, Solidly's, vaults with one rate, and Curve's crypto pools, of which two exact
quotes make a constant product that is right around the balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from node.pipeline.amm import balancer_stable, curve_meta, curve_stableswap
from node.pipeline.amm.balancer_stable import AMP_PRECISION, BalancerStablePool
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.balancer_v3_weighted import V3WeightedMaths
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import FEE_SCALE, CurvePool
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.kernel_curves import solidly_balance, stable_balance
from node.pipeline.kernels import (
    CONSTANT_PRODUCT,
    ONE_RATE,
    SOLIDLY_STABLE,
    STABLE,
    WEIGHTED,
)
from node.pipeline.pool_maths import OtherState, quote_exact_in

if TYPE_CHECKING:
    from node.pipeline.amm.balancer_v3_stable import V3StableMaths

Row = tuple[float, float, float, float, float, float, float, float]
NO_ROW: Row = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_ONE18 = 1e18
_IN_LIMIT = 0.2999999
"""Balancer's largest input, of the balance; a little less than its 0.3, as floats round."""
_SECANT_PART = 8.0
"""A curve's curvature is that between the balance and so large a part of it more."""
_SMALL_PART, _LARGE_PART = 100_000, 50
"""Of a balance: the two inputs at which a crypto pool is asked."""


def curve_rows(state: OtherState) -> list[Row]:
    """One row for each ordered pair of the pool's tokens. Raises AmmError or ArithmeticError where it has no curve."""
    if isinstance(state, SolidlyPool):
        kept = 1.0 - state.fee / state.fee_scale
        if state.stable:
            return _solidly(state, kept, kept)
        return [product_row(state.reserve0, state.reserve1, kept), product_row(state.reserve1, state.reserve0, kept)]
    if isinstance(state, CamelotStablePool):
        return _solidly(state, 1.0 - state.fee0 / state.fee_scale, 1.0 - state.fee1 / state.fee_scale)
    if isinstance(state, CurvePool):
        return _curve(state)
    if isinstance(state, CurveLendingPool):
        return _curve(state.pool)
    if isinstance(state, CurveMetaPool):
        return _curve(curve_meta.priced(state, state.asked_at))
    if isinstance(state, BalancerStablePool):
        return _balancer_stable(state)
    if isinstance(state, V3Pool):
        return _balancer_v3(state)
    if isinstance(state, ShareVault):
        return _vault(state)
    if isinstance(state, CryptoPool):
        return _crypto(state)
    raise TypeError(f"no rows for {type(state).__name__}")


def product_row(held_in: float, held_out: float, kept: float) -> Row:
    """A row of a constant product."""
    if held_in <= 0.0 or held_out <= 0.0:
        return NO_ROW
    balance_in, balance_out = float(held_in), float(held_out)
    rate, curvature = kept * balance_out / balance_in, kept / balance_in
    return (rate, curvature, CONSTANT_PRODUCT, balance_in, balance_out, kept, 0.0, 0.0)


def weighted_rows(balances: Sequence[int], weights: Sequence[int], swap_fee: int) -> list[Row]:
    """Rows of a weighted pool; weights and fee in 18 decimals."""
    kept, count = 1.0 - swap_fee / _ONE18, len(balances)
    rows: list[Row] = []
    for one in range(count):
        for other in range(count):
            if one == other:
                continue
            into, out_of = float(balances[one]), float(balances[other])
            ratio = weights[one] / weights[other]
            if into <= 0.0 or out_of <= 0.0:
                rows.append(NO_ROW)
                continue
            rate, curvature = kept * out_of * ratio / into, kept * (1.0 + ratio) / (2.0 * into)
            rows.append((rate, curvature, WEIGHTED, into, out_of, kept, ratio, _IN_LIMIT * into / kept))
    return rows


def stable_rows(lifted: Sequence[float], units: Sequence[float], ann: float, d: float, kept: float) -> list[Row]:
    """Rows of a stable pool: its lifted balances, what lifts a smallest unit of each, A n**n, and D."""
    count, rows = len(lifted), []
    for one in range(count):
        for other in range(count):
            if one == other:
                continue
            if min(lifted) <= 0.0 or d <= 0.0:
                rows.append(NO_ROW)
                continue
            rest, c = 0.0, d * d / count * d / (ann * count)
            for place, balance in enumerate(lifted):
                if place not in (one, other):
                    rest += balance
                    c *= d / (balance * count)
            unit = units[one]
            x, b, c = lifted[one] / unit, (rest + d / ann - d) / unit, c / unit / unit / unit
            y = stable_balance(x, b, c)
            slope = (y + c / (x * x)) / (2.0 * y + x + b)
            further = x / _SECANT_PART
            out = y - stable_balance(x + further, b, c)
            worth = unit / units[other]
            row = (kept * worth * slope, _curvature(slope, further, out), STABLE, x, b, kept, c, worth)
            rows.append(row)
    return rows


def _curvature(slope: float, amount: float, out: float) -> float:
    """k of out = slope x / (1 + k x)."""
    return max((slope * amount / out - 1.0) / amount, 1e-12 / amount)


def _curve(pool: CurvePool) -> list[Row]:
    xp = curve_stableswap.lifted(pool)
    d = float(curve_stableswap.invariant_of(pool, xp))
    ann = pool.amplification * len(xp) / pool.a_precision
    units = [rate / _ONE18 for rate in pool.rates]
    return stable_rows([float(balance) for balance in xp], units, ann, d, 1.0 - pool.fee / FEE_SCALE)


def _balancer_stable(pool: BalancerStablePool) -> list[Row]:
    count = len(pool.balances)
    places = [place for place in range(count) if place != pool.bpt_index]
    units = [pool.scaling_factors[place] / _ONE18 for place in places]
    lifted = [pool.balances[place] * pool.scaling_factors[place] // 10**18 for place in places]
    d = float(balancer_stable.invariant_of(pool.amplification, lifted, pool.invariant_version))
    ann = pool.amplification * len(places) / AMP_PRECISION
    dense = stable_rows([float(balance) for balance in lifted], units, ann, d, 1.0 - pool.swap_fee / _ONE18)
    if pool.bpt_index is None:
        return dense
    # The pool's own token cannot be traded: its rows are empty, and the others stand around them.
    following = iter(dense)
    return [NO_ROW if pool.bpt_index in pair else next(following) for pair in permutations(range(count), 2)]


def _balancer_v3(pool: V3Pool) -> list[Row]:
    maths = pool.maths
    if isinstance(maths, V3WeightedMaths):
        return weighted_rows(pool.raw, maths.weights, pool.swap_fee)
    stable: V3StableMaths = maths  # type: ignore[assignment] # of V3's maths the only other one
    units = [factor * rate / _ONE18 for factor, rate in zip(pool.scaling_factors, pool.rates, strict=True)]
    d = float(stable.invariant(pool.live, rounding_up=False))
    ann = stable.amplification * len(pool.live) / AMP_PRECISION
    return stable_rows([float(balance) for balance in pool.live], units, ann, d, 1.0 - pool.swap_fee / _ONE18)


def _solidly(pool: SolidlyPool | CamelotStablePool, kept0: float, kept1: float) -> list[Row]:
    if pool.reserve0 <= 0 or pool.reserve1 <= 0:
        return [NO_ROW, NO_ROW]
    amounts, units = (float(pool.reserve0), float(pool.reserve1)), (1.0 / pool.unit0, 1.0 / pool.unit1)
    rows: list[Row] = []
    for one, kept in ((0, kept0), (1, kept1)):
        worth = units[one] / units[1 - one]
        x, y = amounts[one], amounts[1 - one] / worth
        k = x**3 * y + y**3 * x
        slope = (3.0 * x * x * y + y**3) / (x**3 + 3.0 * y * y * x)
        further = x / _SECANT_PART
        out = solidly_balance(x, k) - solidly_balance(x + further, k)
        curvature = _curvature(slope, further, out)
        rows.append((kept * worth * slope, curvature, SOLIDLY_STABLE, x, k, kept, 0.0, worth))
    return rows


def _vault(vault: ShareVault) -> list[Row]:
    assets, shares = float(vault.assets + vault.virtual_assets), float(vault.shares + vault.virtual_shares)
    if assets <= 0.0 or shares <= 0.0:
        return [NO_ROW, NO_ROW]
    rate = shares / assets
    most = float(min(vault.max_withdraw, vault.assets) if vault.grows else vault.max_withdraw)
    return [
        (rate, 0.0, ONE_RATE, float(vault.max_deposit), 0.0, 1.0, 0.0, 0.0),
        (1.0 / rate, 0.0, ONE_RATE, most * rate, 0.0, 1.0, 0.0, 0.0),
    ]


def _crypto(pool: CryptoPool) -> list[Row]:
    count, rows = len(pool.balances), []
    for one in range(count):
        for other in range(count):
            if one == other:
                continue
            small, large = pool.balances[one] // _SMALL_PART, pool.balances[one] // _LARGE_PART
            least = quote_exact_in(pool, one, other, small) if small else 0
            if not least:
                rows.append(NO_ROW)
                continue
            rate = least / small
            curvature = _curvature(rate, float(large), float(quote_exact_in(pool, one, other, large)))
            rows.append((rate, curvature, CONSTANT_PRODUCT, 1.0 / curvature, rate / curvature, 1.0, 0.0, 0.0))
    return rows
