"""One answer beside one expectation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from node.pipeline.amm.errors import PoolRevert

Json: TypeAlias = Any
"""A parsed JSON document of somebody else's making."""

REFUSED = "refused"
"""Stands for a revert, on either side of a comparison, where the data does not tell its reason."""


@dataclass(frozen=True, slots=True)
class Case:
    """`name` finds the case in its file; it passes if `actual` equals `expected`."""

    name: str
    actual: object
    expected: object

    @property
    def passed(self) -> bool:
        return self.actual == self.expected


def answer_or_refusal(question: Callable[..., object], *arguments: object) -> object:
    """The answer, or REFUSED where the pool would revert."""
    try:
        return question(*arguments)
    except PoolRevert:
        return REFUSED


def answer_or_code(question: Callable[..., object], *arguments: object) -> object:
    """The answer, or the contract's revert string where the pool would revert."""
    try:
        return question(*arguments)
    except PoolRevert as revert:
        return revert.code
