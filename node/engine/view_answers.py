"""Calls of view functions, and words of their answers, with what is wrong told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from node.engine.multicall import View, number_at
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from protocol.units import Address

_WORD: Final = 32
NUMBER: Final = 77
"""The most decimals with which a whole token still fits a word."""


class Times(NamedTuple):
    """Unix seconds: of the block at which views were read, and at which the state is asked."""

    read: int
    asked: int


Contracts = Mapping[PoolFamily, Address]
"""Factories and vaults, by the family of the pools that know them."""


class Kind(NamedTuple):
    """How pools of a family are read."""

    views: Callable[[PoolSpec, Contracts], list[View]]
    state: Callable[[PoolSpec, Sequence[bytes | None], Times], PoolState]


def timeless(
    state: Callable[[PoolSpec, Sequence[bytes | None]], PoolState],
) -> Callable[[PoolSpec, Sequence[bytes | None], Times], PoolState]:
    """A reader of a state that is the same whenever it is asked."""
    return lambda spec, answers, _times: state(spec, answers)


def call(target: Address, function: bytes, *arguments: int | Address) -> View:
    """A call with words as arguments."""
    return View(target, function + b"".join([_word(argument) for argument in arguments]))


def present(answer: bytes | None, what: str) -> bytes:
    """The answer, if there is one. Raises ValueError."""
    if answer is None:
        raise ValueError(f"{what} reverts")
    return answer


def number_of(answer: bytes | None, what: str, most: int | None = None) -> int:
    """The first word as a number. Raises ValueError where it is not there, or greater than `most`."""
    number = number_at(present(answer, what), 0)
    if most is not None and number > most:
        raise ValueError(f"{what} answers {number}")
    return number


def address_at(answer: bytes | None, what: str) -> Address:
    """The address in the first word. Raises ValueError."""
    return Address(number_of(answer, what, most=(1 << 160) - 1).to_bytes(20, "big"))


def _word(argument: int | Address) -> bytes:
    if isinstance(argument, int):
        return argument.to_bytes(_WORD, "big")
    return bytes(_WORD - len(argument)) + argument
