"""Randomness as data: one generator for each (seed, actor, block), and the distributions drawn from it.

Every draw is made of integers and of correctly rounded decimals, never of the platform's floating-point mathematics,
so that one seed gives the same amounts on every machine.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeVar

_T = TypeVar("_T")
_PRECISION: Final = 10**12
_UNIFORM_BITS: Final = 32
_POISSON_BOUND: Final = 1000


class Dice:
    """Draws for one actor in one block; equal labels give equal draws."""

    def __init__(self, seed: int, *labels: str | int) -> None:
        text = "\x1f".join([str(seed), *map(str, labels)])
        self._random = random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311 # nosec B311 - must repeat

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        return self._random.randrange(bound)

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + self._random.randrange(high - low + 1)

    def chance(self, probability: Decimal) -> bool:
        """Return true with that probability."""
        return self.below(_PRECISION) < int(probability * _PRECISION)

    def uniform(self, low: Decimal, high: Decimal) -> Decimal:
        """Return a decimal in [low, high)."""
        return low + (high - low) * Decimal(self.below(_PRECISION)) / _PRECISION

    def normal(self) -> Decimal:
        """Return a draw with mean 0 and standard deviation 1, within ±6 (Irwin-Hall: twelve uniforms less 6)."""
        total = sum(self._random.getrandbits(_UNIFORM_BITS) for _ in range(12))
        return Decimal(total) / (1 << _UNIFORM_BITS) - 6

    def log_normal(self, median: Decimal, sigma: Decimal) -> Decimal:
        """Return median · exp(sigma · normal)."""
        return median * (sigma * self.normal()).exp()

    def poisson(self, mean: Decimal) -> int:
        """Return a count with that mean (Knuth's product of uniforms), at most 1000."""
        limit = int((-mean).exp() * (1 << 256))
        product, count = 1 << 256, -1
        while product > limit and count < _POISSON_BOUND:
            product = product * self._random.getrandbits(_UNIFORM_BITS) >> _UNIFORM_BITS
            count += 1
        return count

    def pick(self, choices: Sequence[_T]) -> _T:
        """Return one of the choices, all alike."""
        return choices[self.below(len(choices))]

    def weighted(self, choices: Sequence[tuple[_T, int]]) -> _T:
        """Return one of the choices with a chance in proportion to its weight (positive in total)."""
        rest = self.below(sum(weight for _, weight in choices))
        for choice, weight in choices:
            rest -= weight
            if rest < 0:
                return choice
        raise ValueError("no choice has a weight")
