"""What the kinds of pool maths share: recorded quotes of one pool, and answers that may be a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from node.pipeline.amm.errors import PoolRevert
from tests.vectors.cases import Case, must_be, number

REFUSED: Final = "refused"
"""Stands for a revert on either side of a comparison, where the data does not tell its reason."""


def split_quotes(content: bytes) -> Iterator[Case]:
    """Split a pool with its `quotes` into one case a quote, each with the `pool`."""
    document = json.loads(content)
    for place, quote in enumerate(must_be("quotes", list, document["quotes"])):
        yield Case(quote_name(place, quote), {"pool": document["pool"], "quote": quote})


def quote_name(place: int, quote: dict[str, Any]) -> str:
    """Return a name for a quote: its place, and what was asked."""
    words = [str(quote[key]) for key in ("fn", "mode", "token_in", "amount") if key in quote]
    return f"#{place} {' '.join(words)}"


def stated_answer(quote: dict[str, Any]) -> int | str:
    """Return the answer that a quote states; REFUSED where the pool reverted."""
    if "expected" not in quote and "expected_revert" in quote:
        return REFUSED
    return number(quote["expected"])


def refusal_or_number(stated: str) -> int | str:
    """Return what a line of text states: REFUSED for ERROR:reason, otherwise a number."""
    return REFUSED if stated.startswith("ERROR") else number(stated)


def answer_or_refusal(question: Callable[..., int], *arguments: Any) -> int | str:
    """Return the answer, or REFUSED where the pool would revert."""
    try:
        return question(*arguments)
    except PoolRevert:
        return REFUSED


def answer_or_code(question: Callable[..., object], *arguments: Any) -> object:
    """Return the answer, or the contract's revert string where the pool would revert."""
    try:
        return question(*arguments)
    except PoolRevert as revert:
        return revert.code
