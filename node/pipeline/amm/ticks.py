"""The initialised ticks of a concentrated-liquidity pool: Uniswap v3-core, contracts/libraries/Tick.sol.

Kept: gross liquidity (how much refers to the tick) and net liquidity (how much enters when the price crosses upwards).
Left out: the fee growth outside and the oracle's fields, which no amount of a swap depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from node.pipeline.amm.errors import LiquidityInvalid, PoolStateInvalid, TickInvalid
from node.pipeline.amm.tick_bitmap import flip_ticks
from node.pipeline.amm.tick_math import MAX_TICK, MIN_TICK
from node.pipeline.amm.units import UINT128_MAX, Liquidity, LiquidityDelta, Tick

MAX_SPACING = 32_767
"""Of Uniswap V4 (TickMath.MAX_TICK_SPACING)."""


class TickTable(msgspec.Struct, frozen=True, dict=True):
    """Initialised ticks of one pool; never changed in place, so that states may share it."""

    spacing: int
    gross: Mapping[Tick, Liquidity]
    net: Mapping[Tick, LiquidityDelta]
    bitmap: Mapping[int, int]

    @cached_property
    def ladders(self) -> dict[Any, Any]:
        """What `node.pipeline.amm.ladder` has computed from this table; a memo, no part of the state."""
        return {}


def empty_tick_table(spacing: int) -> TickTable:
    """A table without initialised ticks. Raises PoolStateInvalid for a spacing that no pool has: V4's manager allows
    more than V3's factories, whose announcements are checked where they are read.
    """
    if not 0 < spacing <= MAX_SPACING:
        raise PoolStateInvalid(f"tick spacing {spacing}")
    return TickTable(spacing, {}, {}, {})


def tick_table(spacing: int, liquidity: Mapping[Tick, tuple[Liquidity, LiquidityDelta]]) -> TickTable:
    """A table from tick -> (gross, net), as the chain's `ticks` answers. Ticks with gross 0 are not initialised.

    Raises PoolStateInvalid for a tick off the spacing or out of range, or a net that its gross liquidity cannot have.
    """
    empty = empty_tick_table(spacing)
    initialised = {tick: entry for tick, entry in sorted(liquidity.items()) if entry[0]}
    for tick, (gross, net) in initialised.items():
        if not MIN_TICK <= tick <= MAX_TICK or tick % spacing:
            raise PoolStateInvalid(f"tick {tick} with spacing {spacing}")
        # Gross is what enters plus what leaves, net is what enters less what leaves: both odd or both even.
        if not abs(net) <= gross <= UINT128_MAX or (gross - net) % 2:
            raise PoolStateInvalid(f"tick {tick} has gross liquidity {gross} and net {net}")
    return TickTable(
        spacing,
        {tick: gross for tick, (gross, _) in initialised.items()},
        {tick: net for tick, (_, net) in initialised.items()},
        flip_ticks(empty.bitmap, initialised, spacing),
    )


def max_liquidity_per_tick(spacing: int) -> Liquidity:
    """What one tick may carry, so that all together fit into uint128 (Tick.tickSpacingToMaxLiquidityPerTick)."""
    usable_ticks = 2 * (MAX_TICK // spacing) + 1
    return UINT128_MAX // usable_ticks


def max_liquidity_per_tick_v4(spacing: int) -> Liquidity:
    """The same of Uniswap V4 (Pool.tickSpacingToMaxLiquidityPerTick), which rounds the lowest tick down, not towards
    zero, and so counts one more where the spacing does not divide it.
    """
    return UINT128_MAX // (MAX_TICK // spacing - MIN_TICK // spacing + 1)


def require_range(lower: Tick, upper: Tick) -> None:
    """Raises TickInvalid TLU, TLM or TUM as UniswapV3Pool.checkTicks does."""
    if lower >= upper:
        raise TickInvalid("TLU", f"{lower} is not below {upper}")
    if lower < MIN_TICK:
        raise TickInvalid("TLM", f"{lower} is below the range")
    if upper > MAX_TICK:
        raise TickInvalid("TUM", f"{upper} is above the range")


def add_liquidity_delta(liquidity: Liquidity, delta: LiquidityDelta) -> Liquidity:
    """LiquidityMath.addDelta: raises LiquidityInvalid LS below zero, LA beyond uint128."""
    changed = liquidity + delta
    if changed < 0:
        raise LiquidityInvalid("LS", f"{liquidity} less {-delta}")
    if changed > UINT128_MAX:
        raise LiquidityInvalid("LA", f"{liquidity} plus {delta}")
    return changed


def table_with_position(
    table: TickTable, lower: Tick, upper: Tick, delta: LiquidityDelta, limit: Liquidity | None = None
) -> TickTable:
    """The table after a position over lower … upper grew or shrank (Tick.update, flipTick, Tick.clear).

    Raises TickInvalid (order, range, spacing) and LiquidityInvalid: LS, LA, LO beyond `limit`, which is
    `max_liquidity_per_tick` where none is given.
    """
    require_range(lower, upper)
    if delta == 0:
        return table
    if limit is None:
        limit = max_liquidity_per_tick(table.spacing)
    gross, net = dict(table.gross), dict(table.net)
    flipped = []
    for tick, net_delta in ((lower, delta), (upper, -delta)):
        gross_before = gross.get(tick, 0)
        gross_after = add_liquidity_delta(gross_before, delta)
        if gross_after > limit:
            raise LiquidityInvalid("LO", f"tick {tick} would carry {gross_after}")
        # Net liquidity stays within gross, whose limit is far below int128.
        gross[tick], net[tick] = gross_after, net.get(tick, 0) + net_delta
        if not gross_after or not gross_before:
            flipped.append(tick)
        if not gross_after:
            del gross[tick], net[tick]
    return TickTable(table.spacing, gross, net, flip_ticks(table.bitmap, flipped, table.spacing))
