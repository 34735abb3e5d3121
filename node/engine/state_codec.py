"""Pool states as JSON and back, for the snapshot: exact integers of any size, and nothing but the types of pools.

A state becomes ["Name", field, …]; tuples and maps are tagged as well, so that what comes back equals what went in.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

from node.pipeline.amm.balancer_fixed_point import PowVersion
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.ticks import TickTable
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.pools import PoolState

_STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    kind.__name__: kind
    for kind in (
        BalancerStablePool,
        CamelotStablePool,
        ConcentratedPool,
        ConstantProductPool,
        CryptoPool,
        CurveMetaPool,
        CurvePool,
        ShareVault,
        SolidlyPool,
        TickTable,
        V4Pool,
        WeightedPool,
    )
}
_ENUMS: Final[dict[str, type[Enum]]] = {kind.__name__: kind for kind in (InvariantVersion, PowVersion, ProductRule)}
_POOLS: Final = tuple(kind for kind in _STRUCTS.values() if kind is not TickTable)
_TUPLE, _MAP = "()", "{}"


def to_plain(value: Any) -> Any:
    """Lists, numbers, truth values and names. Raises TypeError for what no pool's state holds."""
    if value is None or type(value) in (bool, int):
        return value
    if type(value).__name__ in _STRUCTS:
        return [type(value).__name__, *(to_plain(getattr(value, name)) for name in value.__struct_fields__)]
    if isinstance(value, tuple):
        return [_TUPLE, *map(to_plain, value)]
    if isinstance(value, dict):
        return [_MAP, list(value), list(value.values())]
    if type(value).__name__ in _ENUMS and isinstance(value, Enum):
        return [type(value).__name__, value.name]
    raise TypeError(f"{type(value).__name__} in a pool's state")


def state_from_plain(plain: Any) -> PoolState:
    """The state. Raises ValueError for anything that `to_plain` does not make of one."""
    try:
        state = _from_plain(plain)
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError(f"no pool's state: {error}") from None
    if not isinstance(state, _POOLS):
        raise ValueError(f"no pool's state but {type(state).__name__}")  # noqa: TRY004 - the value of a file is wrong
    return state  # type: ignore[return-value] # one of `_POOLS`


def _from_plain(plain: Any) -> Any:
    if plain is None or type(plain) in (bool, int):
        return plain
    name, *parts = plain
    if name == _TUPLE:
        return tuple(map(_from_plain, parts))
    if name == _MAP:
        keys, values = parts
        if any(type(number) is not int for number in (*keys, *values)):
            raise ValueError("a map of something else than integers")
        return dict(zip(keys, values, strict=True))
    if name in _ENUMS:
        return _ENUMS[name][parts[0]]
    kind = _STRUCTS[name]
    if len(parts) != len(kind.__struct_fields__):
        raise ValueError(f"{len(parts)} fields of a {name}")
    return kind(*map(_from_plain, parts))
