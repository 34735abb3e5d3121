"""Price feeds whose answer left where it was by more than a market does within one block. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from protocol.units import BASIS_POINTS_ONE, Address

JUMP: Final = 2_000
"""Basis points of the answer before."""
MAX_FEEDS: Final = 8
"""Whose answers before are looked up, in the block's order: an answer that nobody asks for costs its teller gas."""
MAX_FOUND: Final = 4
"""Of one block; a block with more of them is told of by its first ones."""


class OracleJump(NamedTuple):
    """A feed's answers after the block's parent and after the block, in the feed's own units."""

    feed: Address
    before: int
    after: int


def last_answers(told: Iterable[tuple[Address, int]]) -> dict[Address, int]:
    """Return the last answer of each of the first MAX_FEEDS feeds that a block tells answers of."""
    answers: dict[Address, int] = {}
    for feed, answer in told:
        if feed in answers or len(answers) < MAX_FEEDS:
            answers[feed] = answer
    return answers


def oracle_jumps(after: Mapping[Address, int], before: Mapping[Address, int]) -> list[OracleJump]:
    """Return the feeds that jumped, in the order of `after`; one without a positive answer on both sides did not."""
    found = []
    for feed, answer in after.items():
        was = before.get(feed, 0)
        if was > 0 and answer > 0 and abs(answer - was) * BASIS_POINTS_ONE >= was * JUMP:
            found.append(OracleJump(feed, was, answer))
    return found[:MAX_FOUND]
