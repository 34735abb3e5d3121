"""Exact states -> the float rows that the kernels read (`kernels` tells what a row holds). Nothing comes back.

Floats are for choosing what to compute exactly; they reach no call data.
"""

from __future__ import annotations

import numpy as np

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.ticks import TickTable
from node.pipeline.amm.uniswap_v4 import V4Pool, swap_fee
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.kernels import CONCENTRATED, CONSTANT_PRODUCT, Floats
from node.pipeline.pools import PoolState, held_amounts
from node.pipeline.rows_curves import NO_ROW, Row, curve_rows, weighted_rows

_Q96 = float(1 << 96)


class TickStore:
    """All pools' initialised ticks, flat: sqrt prices, and the liquidity from each tick up to the next.

    A pool that outgrows its place moves to the end with twice the room; the holes stay until the store is built anew.
    """

    def __init__(self) -> None:
        self.prices: Floats = np.empty(1024, np.float64)
        self.liquidity: Floats = np.empty(1024, np.float64)
        self._used = 0
        self._places: dict[int, tuple[int, int]] = {}
        self._written: dict[int, TickTable] = {}

    @property
    def arrays(self) -> tuple[Floats, Floats]:
        """(sqrt prices, liquidity), for the kernels. Take them anew after a write."""
        return self.prices, self.liquidity

    def place_of(self, pool: int, table: TickTable) -> int:
        """Where the pool's first tick is, after writing the table if it is another than before."""
        if self._written.get(pool) is not table:
            self._write(pool, table)
        return self._places[pool][0]

    def _write(self, pool: int, table: TickTable) -> None:
        ticks = sorted(table.net)
        place, room = self._places.get(pool, (0, 0))
        if len(ticks) > room:
            place, room = self._used, max(8, 2 * len(ticks)) if room else max(8, len(ticks))
            self._used += room
            self._places[pool] = (place, room)
            self._grow(self._used)
        liquidity = 0
        for number, tick in enumerate(ticks):
            liquidity += table.net[tick]
            self.prices[place + number] = sqrt_ratio_at_tick(tick) / _Q96
            self.liquidity[place + number] = float(liquidity)
        self._places.setdefault(pool, (place, room))
        self._written[pool] = table

    def _grow(self, needed: int) -> None:
        if needed > len(self.prices):
            size = max(needed, 2 * len(self.prices))
            self.prices = np.concatenate([self.prices, np.empty(size - len(self.prices), np.float64)])
            self.liquidity = np.concatenate([self.liquidity, np.empty(size - len(self.liquidity), np.float64)])


def rows_of(pool: int, state: PoolState, ticks: TickStore) -> list[Row]:
    """One row for each ordered pair of the pool's tokens: (0, 1), (0, 2) …, (1, 0) …

    None that can be traded where floats do not hold the pool: whoever makes a pool chooses its numbers.
    """
    try:
        return _rows_of(pool, state, ticks)
    except (AmmError, ArithmeticError):
        count = len(held_amounts(state))
        return [NO_ROW] * (count * (count - 1))


def _rows_of(pool: int, state: PoolState, ticks: TickStore) -> list[Row]:
    if isinstance(state, ConstantProductPool):
        return _constant_product(state)
    if isinstance(state, ConcentratedPool):
        kept = 1.0 - state.fee_pips / FEE_SCALE
        return _concentrated(state, float(ticks.place_of(pool, state.ticks)), kept, kept)
    if isinstance(state, WeightedPool):
        return weighted_rows(state.balances, state.weights, state.swap_fee)
    if isinstance(state, V4Pool):
        kept0, kept1 = (
            1.0 - swap_fee(state.lp_fee, of) / FEE_SCALE for of in (state.protocol_fee0, state.protocol_fee1)
        )
        return _concentrated(state, float(ticks.place_of(pool, state.ticks)), kept0, kept1)
    return curve_rows(state)


def _constant_product(state: ConstantProductPool) -> list[Row]:
    reserve0, reserve1 = float(state.reserve0), float(state.reserve1)
    if reserve0 <= 0.0 or reserve1 <= 0.0:
        return [NO_ROW, NO_ROW]
    kept0, kept1 = 1.0 - state.fee0 / state.fee_scale, 1.0 - state.fee1 / state.fee_scale
    return [
        (kept0 * reserve1 / reserve0, kept0 / reserve0, CONSTANT_PRODUCT, reserve0, reserve1, kept0, 0.0, 0.0),
        (kept1 * reserve0 / reserve1, kept1 / reserve1, CONSTANT_PRODUCT, reserve1, reserve0, kept1, 0.0, 0.0),
    ]


def _concentrated(state: ConcentratedPool | V4Pool, place: float, kept0: float, kept1: float) -> list[Row]:
    if state.liquidity <= 0:
        return [NO_ROW, NO_ROW]
    price, liquidity = state.sqrt_price_x96 / _Q96, float(state.liquidity)
    count = float(len(state.ticks.net))
    return [
        (kept0 * price * price, kept0 * price / liquidity, CONCENTRATED, price, place, kept0, count, 1.0),
        (kept1 / (price * price), kept1 / (liquidity * price), CONCENTRATED, price, place, kept1, count, 0.0),
    ]
