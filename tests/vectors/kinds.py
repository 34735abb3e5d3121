"""Which server answers which kind of file of pool maths."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.vectors import balancer, concentrated, constant_product
from tests.vectors.case import Case, Json

POOL_MATHS: dict[str, Callable[[Json], Iterator[Case]]] = {
    "v2_pair_swaps": constant_product.v2_pair_swaps,
    "v2_pair_unit": constant_product.v2_pair_unit,
    "v2_quotes_pancake": constant_product.v2_quotes_pancake,
    "v2_quotes_aerodrome": constant_product.solidly_quotes,
    "solidly_stable_quotes": constant_product.solidly_quotes,
    "solidly_math": constant_product.solidly_math,
    "v3_quotes": concentrated.v3_quotes,
    "v3_quotes_aerodrome_cl": concentrated.v3_quotes,
    "v4_quotes": concentrated.v4_quotes,
    "v3_pool_swaps": concentrated.v3_pool_swaps,
    "v3_tick_math": concentrated.v3_tick_math,
    "v3_sqrt_price_math": concentrated.v3_sqrt_price_math,
    "v3_swap_step": concentrated.v3_swap_step,
    "v3_tick_bitmap": concentrated.v3_tick_bitmap,
    "balancer_v2_weighted_quotes": balancer.balancer_v2_weighted_quotes,
    "balancer_v2_stable_quotes": balancer.balancer_v2_stable_quotes,
    "balancer_fixed_point_math": balancer.balancer_fixed_point_math,
}
"""Kind -> server. A server takes the parsed JSON, or the text of a file that is not JSON, and yields its cases."""
