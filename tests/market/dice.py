"""Numbers of the fuzz: mostly anything over many orders of size, now and then the edges where code breaks."""

from __future__ import annotations

from random import Random

from node.pipeline.amm.units import UINT112_MAX, UINT128_MAX

_EDGES = (0, 1, 2, UINT112_MAX, UINT128_MAX, (1 << 255) - 1, (1 << 256) - 1)


def amount(random: Random, scale: int) -> int:
    """An amount up to three times `scale`, mostly far below it; one in forty is an edge."""
    kind = random.random()
    if kind < 0.012:
        return random.choice(_EDGES)
    if kind < 0.025:
        return max(0, scale + random.randrange(-2, 3))
    return random.randrange(1, max(2, 3 * scale >> random.randrange(max(1, scale.bit_length()))))


def modest(random: Random, scale: int) -> int:
    """An amount between a millionth and a third of `scale`, at least 1."""
    return max(1, scale * random.randrange(1, 1 << random.randrange(1, 19)) // (3 << 18))
