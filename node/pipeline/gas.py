"""What an execution's gas is expected to be: a first guess by its shape, corrected by what landed.

The shape is the lender and the families on the route. First guesses are the sums below, chosen rather too high; each
landed execution moves its shape's figure by a quarter of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.plans import LenderKind, LiquidationVenue
from node.pipeline.pools import PoolFamily
from protocol.units import Gas

_BASE = 110_000
_LENDER = {
    LenderKind.BALANCER_V2: 60_000,
    LenderKind.AAVE_V3: 130_000,
    LenderKind.UNISWAP_V3: 60_000,
    LenderKind.VAULT: 40_000,
}
_HOP: dict[str, int] = {
    PoolFamily.UNISWAP_V2: 75_000,
    PoolFamily.SUSHI_V2: 75_000,
    PoolFamily.UNISWAP_V3: 110_000,
    PoolFamily.BALANCER_V2_WEIGHTED: 110_000,
    PoolFamily.BALANCER_V2_STABLE: 150_000,
    PoolFamily.PANCAKE_V2: 75_000,
    PoolFamily.PANCAKE_V3: 120_000,
    PoolFamily.AERODROME: 110_000,
    PoolFamily.SLIPSTREAM: 130_000,
    PoolFamily.CAMELOT: 110_000,
    PoolFamily.UNISWAP_V4: 130_000,
    PoolFamily.CURVE_PLAIN: 120_000,
    PoolFamily.CURVE_LENDING: 350_000,
    PoolFamily.CURVE_META: 200_000,
    PoolFamily.CURVE_CRYPTO: 280_000,
    PoolFamily.BALANCER_V3_WEIGHTED: 170_000,
    PoolFamily.BALANCER_V3_STABLE: 200_000,
    PoolFamily.ERC4626: 120_000,
    PoolFamily.WRAPPER: 50_000,
    LiquidationVenue.AAVE_V3: 420_000,
    LiquidationVenue.MORPHO_BLUE: 180_000,
}
_MAX_SHAPES = 1024
_HEADROOM_PERCENT = 160

Shape = tuple[str, ...]
Family = PoolFamily | LiquidationVenue


def shape_of(lender: LenderKind, families: Sequence[Family]) -> Shape:
    """What executions of like gas have in common."""
    return (lender, *families)


class GasModel:
    """Expected gas by shape; at most 1,024 shapes are remembered, further ones keep their first guess."""

    def __init__(self) -> None:
        self._learnt: dict[Shape, int] = {}

    def expected(self, lender: LenderKind, families: Sequence[Family]) -> Gas:
        """Gas that an execution is expected to use."""
        learnt = self._learnt.get(shape_of(lender, families))
        return Gas(_first_guess(lender, families) if learnt is None else learnt)

    def learn(self, lender: LenderKind, families: Sequence[Family], used: Gas) -> None:
        """Take in what a landed execution used."""
        shape = shape_of(lender, families)
        if shape in self._learnt or len(self._learnt) < _MAX_SHAPES:
            expected = self.expected(lender, families)
            self._learnt[shape] = expected + (used - expected) // 4


def leg_guess(family: PoolFamily) -> Gas:
    """The first guess for one leg."""
    return Gas(_HOP[family])


def fixed_guess(lender: LenderKind) -> Gas:
    """The first guess for an execution without its legs."""
    return Gas(_BASE + _LENDER[lender])


def gas_limit(expected: Gas) -> Gas:
    """The limit to set for an expected use: unused gas costs nothing, too little costs everything."""
    return Gas(expected * _HEADROOM_PERCENT // 100)


def _first_guess(lender: LenderKind, families: Sequence[Family]) -> int:
    return _BASE + _LENDER[lender] + sum([_HOP[family] for family in families])
