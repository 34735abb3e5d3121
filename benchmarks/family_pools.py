"""One pool, or a few, of every family that `market_generator` has none of: states as the chain could hold them."""

from __future__ import annotations

from typing import Final

from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from node.pipeline.amm.balancer_v3 import v3_pool
from node.pipeline.amm.balancer_v3_stable import stable_maths
from node.pipeline.amm.balancer_v3_weighted import weighted_maths
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from node.pipeline.amm.erc4626 import ONE_FOR_ONE, ShareVault, wrapper
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.ticks import empty_tick_table
from node.pipeline.amm.uniswap_v4 import V4Pool, modify_liquidity
from node.pipeline.pools import PoolFamily, PoolState

ETHER: Final = 10**18
DOLLAR: Final = 10**6
_V4_TICK: Final = -200_000


def _v4() -> V4Pool:
    price = sqrt_ratio_at_tick(_V4_TICK)
    pool = V4Pool(500, price, _V4_TICK, 0, empty_tick_table(10), protocol_fee0=1000, protocol_fee1=700)
    pool = modify_liquidity(pool, -220_000, -180_000, 10**20)
    return modify_liquidity(pool, -200_100, -199_900, 2 * 10**19)


_THREE: Final = CurvePool(
    (21 * 10**24, 18 * 10**12, 24 * 10**12),
    (10**18, 10**30, 10**30),
    2000,
    1_000_000,
    5 * 10**9,
    1,
    fee_after_rate=True,
    product_rule=ProductRule.EACH,
)
_TWO: Final = CurvePool((5 * 10**24, 7 * 10**12), (10**18, 10**30), 20_000, 4_000_000, 5 * 10**9)
_CRYPTO: Final = CryptoPool(
    balances=(9_000_000 * DOLLAR, 150 * 10**8, 4_500 * ETHER),
    precisions=(10**12, 10**10, 1),
    price_scale=(60_000 * ETHER, 2_000 * ETHER),
    d=27_000_000 * ETHER,
    amplification=1_707_629,
    gamma=11_809_167_828_997,
    mid_fee=3_000_000,
    out_fee=30_000_000,
    fee_gamma=500_000_000_000_000,
    a_multiplier=10_000,
)
STATES: Final[tuple[tuple[PoolFamily, PoolState], ...]] = (
    (PoolFamily.UNISWAP_V4, _v4()),
    (PoolFamily.PANCAKE_V2, ConstantProductPool(1_000 * ETHER, 3_000_000 * DOLLAR, 25, 25, 10_000)),
    (PoolFamily.AERODROME, SolidlyPool(500 * ETHER, 900 * ETHER, 30)),
    (PoolFamily.AERODROME, SolidlyPool(900_000 * ETHER, 1_000_000 * DOLLAR, 5, 10_000, True, ETHER, DOLLAR)),
    (PoolFamily.CAMELOT, ConstantProductPool(1_000 * ETHER, 2_000 * ETHER, 300, 700, 100_000)),
    (PoolFamily.CAMELOT, CamelotStablePool(900_000 * DOLLAR, 1_000_000 * ETHER, 40, 90, DOLLAR, ETHER)),
    (PoolFamily.CURVE_PLAIN, _THREE),
    (PoolFamily.CURVE_PLAIN, _TWO),
    (
        PoolFamily.CURVE_LENDING,
        CurveLendingPool(
            CurvePool((10**15, 9 * 10**14), (2 * 10**26, 2 * 10**26), 450, 4_000_000, 5 * 10**9, 1), (1, 10**12)
        ),
    ),
    (
        PoolFamily.CURVE_META,
        CurveMetaPool(
            CurvePool((10**24, 12 * 10**23), (10**18, 10**18), 20_000, 4_000_000, 5 * 10**9),
            _THREE,
            60 * 10**24,
            102 * 10**16,
            1_000,
            asked_at=1_500,
        ),
    ),
    (PoolFamily.CURVE_CRYPTO, _CRYPTO),
    (
        PoolFamily.BALANCER_V2_STABLE,
        BalancerStablePool(
            (4_000 * ETHER, (1 << 111) - 1, 5_000 * ETHER), (11 * 10**17, ETHER, ETHER), 200_000, 4 * 10**14, 1
        ),
    ),
    (
        PoolFamily.BALANCER_V2_STABLE,
        BalancerStablePool((10**24, 2 * 10**12), (ETHER, 10**30), 500_000, 10**14, None, InvariantVersion.ROUNDING_UP),
    ),
    (
        PoolFamily.BALANCER_V3_WEIGHTED,
        v3_pool(
            (1_000 * ETHER, 3_000_000 * DOLLAR),
            (1, 10**12),
            (ETHER, ETHER),
            10**16,
            10**24,
            weighted_maths((8 * 10**17, 2 * 10**17)),
        ),
    ),
    (
        PoolFamily.BALANCER_V3_STABLE,
        v3_pool(
            (10**24, 11 * 10**11),
            (1, 10**12),
            (ETHER, 105 * 10**16),
            10**14,
            10**24,
            stable_maths(1_000_000),
            aggregate_fee=5 * 10**17,
        ),
    ),
    (PoolFamily.ERC4626, ShareVault(1_100_000 * DOLLAR, 10**24, 1, 10**12)),
    (PoolFamily.WRAPPER, wrapper(118 * 10**16)),
    (PoolFamily.WRAPPER, ONE_FOR_ONE),
)
