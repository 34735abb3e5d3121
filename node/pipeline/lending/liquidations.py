"""Which Aave positions can be liquidated, also by prices that are only pending, and which pair of assets pays most.

A find is the lender's side alone: what is repaid and what is received. Gas and the way back to the profit token are the
detector's to weigh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_v3 import Liquidation, Market, Position
from node.pipeline.lending.errors import LendingError
from node.pipeline.lending.ray_math import WAD


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What a liquidator pays and gets: of `debt_repaid` the lender leaves `spare`; `shares` of the debt, at Morpho."""

    debt_repaid: int
    collateral_received: int
    spare: int = 0
    shares: int = 0


class LiquidationFind(msgspec.Struct, frozen=True, gc=False):
    """One position that can be liquidated: by which assets, what moves, and by how much what is received is worth more
    than what is repaid, in the oracle's unit.
    """

    user: str
    health_factor: int
    collateral_asset: str
    debt_asset: str
    moved: Liquidation | Taken
    surplus: int
    market: bytes = b""
    """Morpho's, by its id."""


def liquidatable(
    market: Market, positions: Mapping[str, Position], prices: Mapping[str, int], now: int
) -> tuple[list[LiquidationFind], int]:
    """(the best liquidation of each position below one, the greatest surplus first; how many positions could not be
    judged, because a price or a reserve of theirs is not known).
    """
    finds, unknown = [], 0
    for user, position in positions.items():
        if not position.debts:
            continue
        try:
            health = aave_v3.account(market, position, prices, now).health_factor
            if health >= WAD:
                continue
            best = max(_pairs(market, position, prices, now), key=_rank, default=None)
        except LendingError:
            unknown += 1
            continue
        if best is not None:
            finds.append(LiquidationFind(user, health, *best))
    finds.sort(key=lambda find: (-find.surplus, find.user))
    return finds, unknown


def _pairs(
    market: Market, position: Position, prices: Mapping[str, int], now: int
) -> Iterator[tuple[str, str, Liquidation, int]]:
    for collateral in sorted(position.collateral):
        # What would be repaid is what would be received: a liquidation without a trade, and no hop of a route.
        for debt in sorted(position.debts.keys() - {collateral}):
            moved = aave_v3.liquidation(market, position, prices, collateral, debt, now)
            if moved is not None:
                received = _value(market, prices, collateral, moved.collateral_received)
                yield collateral, debt, moved, received - _value(market, prices, debt, moved.debt_repaid)


def _value(market: Market, prices: Mapping[str, int], asset: str, amount: int) -> int:
    unit: int = 10 ** market.reserve(asset).settings.decimals
    return amount * prices[asset] // unit


def _rank(pair: tuple[str, str, Liquidation, int]) -> tuple[int, str, str]:
    return pair[3], pair[0], pair[1]
