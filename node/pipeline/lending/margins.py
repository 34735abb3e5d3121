"""How far each loan of a book is from liquidation, so that another price is weighed against few of them.

One pass over the book notes what each side of a loan has of each asset. For other prices the loans that hold what moved
are weighed by that, and only those that come near their threshold are left to the exact maths, which decides: rounding
moves a loan by less than the slack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import Final

from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.errors import LendingError
from node.pipeline.lending.ray_math import PERCENT

MOST_NEAR: Final = 64
"""Loans that prices which are only pending leave to the exact maths: those that are below first, then the greatest."""
_SLACK: Final = 256
"""A loan is near where its margin is below a part of its debt: 39 basis points. A threshold is cut off to one."""
_LEAST_SLACK: Final = 128 * PERCENT
"""In the oracle's unit times 10,000: what cutting off to whole units can make of as many assets."""


class Margins:
    """Of a book at a time (Unix seconds). `unjudged`: loans that are refused, or of which a price or a reserve is not
    known. Both sides of a loan are in the oracle's unit times 10,000: collateral weighted by its thresholds, and debt.
    """

    def __init__(self, book: AaveBook, at: int) -> None:
        self.book, self.at, self.unjudged = book, at, 0
        self._sides: dict[str, tuple[int, int]] = {}
        self._held: dict[str, list[tuple[str, int, int]]] = {}
        """By asset: who holds it, and what each side has of it in smallest units times 10,000."""
        market, prices = book.market.grown(at), book.oracle.prices
        self._units = {asset: 10**reserve.settings.decimals for asset, reserve in market.reserves.items()}
        for user, position in book.positions.items():
            if user in book.refused:
                self.unjudged += 1
            elif position.debts:
                try:
                    self._note(user, list(aave_v3.parts(market, position, prices, at)))
                except LendingError:
                    self.unjudged += 1
        self._near_now = [user for user, sides in self._sides.items() if _is_near(*sides)]

    def near_now(self) -> list[str]:
        """Who is near the threshold, or below, by the book's own prices."""
        return self._near_now

    def near(self, prices: Mapping[str, int]) -> list[str]:
        """Who is by other prices, at most `MOST_NEAR`."""
        sides = self._sides
        moved = {user: sides[user] for user in self._near_now}
        for asset, before in self.book.oracle.prices.items():
            rise, unit = prices[asset] - before, self._units.get(asset, 1)
            if rise:
                for user, more_secured, more_owed in self._held.get(asset, ()):
                    secured, owed = moved.get(user) or sides[user]
                    moved[user] = secured + more_secured * rise // unit, owed + more_owed * rise // unit
        near = [(secured < owed, owed, user) for user, (secured, owed) in moved.items() if _is_near(secured, owed)]
        return [user for _, _, user in nlargest(MOST_NEAR, near)]

    def _note(self, user: str, parts: Iterable[aave_v3.Part]) -> None:
        secured = owed = 0
        for part in parts:
            weighted, debt = part.supplied * part.threshold, part.owed * PERCENT
            secured, owed = secured + weighted * part.price // part.unit, owed + debt * part.price // part.unit
            if not part.has_own_price and (weighted or debt):
                self._held.setdefault(part.asset, []).append((user, weighted, debt))
        self._sides[user] = secured, owed


def _is_near(secured: int, owed: int) -> bool:
    return owed > 0 and secured < owed + owed // _SLACK + _LEAST_SLACK
