"""A step of the fuzz: calls that the hand makes at the genuine contracts, what they should do, and what is asked after.

The packing is that of `Hand.sol`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from node.pipeline.amm.errors import PoolRevert
from node.pipeline.pools import PoolId
from protocol.ethereum.abi import selector

WORD = 32
UINT256_MAX = (1 << 256) - 1
_SIZE_BYTES = 3


class Call(NamedTuple):
    """One call of a contract."""

    to: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """That a contract refuses; `why` is for the reader, two refusals are equal."""

    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a contract: how its answer is read, and what our state answers. Raises PoolRevert, as it would."""

    call: Call
    read: Callable[[bytes], object]
    ours: Callable[[Any], object]
    words: str

    def expected(self, state: Any) -> object:
        """Our answer, or that it is refused."""
        try:
            return self.ours(state)
        except PoolRevert as error:
            return Refused(str(error))

    def given(self, answered: bool, answer: bytes) -> object:
        """The contract's answer, or that it refused."""
        return self.read(answer) if answered else Refused("the contract refused")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one pool. `predict` gives the state afterwards, raises PoolRevert where the contract refuses; None
    where the maths of it are not ours (a mint of pool tokens): then the logs alone have to tell.
    """

    pool: PoolId
    action: str
    calls: tuple[Call, ...]
    queries: tuple[Query, ...]
    gas: int
    predict: Callable[[Any], Any] | None = None
    done: Callable[[], None] | None = None
    """Called once the step is known to have been done."""


class Outcome(NamedTuple):
    """What the hand told of a step."""

    done: bool
    why: bytes
    answers: tuple[tuple[bool, bytes], ...]


def call(to: bytes, signature: str, *words: int | bytes) -> Call:
    """A call whose arguments are all of one word; bytes are put to the right, as an address."""
    return Call(to, selector(signature) + packed_words(*words))


def packed_words(*words: int | bytes) -> bytes:
    """Numbers, negative ones too, and addresses as words."""
    return b"".join(
        (word & UINT256_MAX).to_bytes(WORD, "big") if isinstance(word, int) else word.rjust(WORD, b"\0")
        for word in words
    )


def dynamic(data: bytes) -> bytes:
    """Bytes as the ABI's tail: length, then the bytes filled up to words."""
    return len(data).to_bytes(WORD, "big") + data + bytes(-len(data) % WORD)


def packed_calls(calls: Sequence[Call]) -> bytes:
    """Calls as the hand reads them."""
    return b"".join(one.to + len(one.data).to_bytes(_SIZE_BYTES, "big") + one.data for one in calls)


def packed_step(step: Step) -> bytes:
    """A step as the hand reads it."""
    calls, asked = packed_calls(step.calls), [query.call for query in step.queries]
    return len(calls).to_bytes(_SIZE_BYTES, "big") + calls + bytes([len(asked)]) + packed_calls(asked)


def outcome_of(data: bytes) -> Outcome:
    """Read the data of a `Stepped` log. Raises ValueError for anything that the hand does not write."""
    length = int.from_bytes(data[WORD : 2 * WORD], "big")
    told = data[2 * WORD : 2 * WORD + length]
    pieces, place = [], 0
    while place < len(told):
        size = int.from_bytes(told[place + 1 : place + 4], "big")
        pieces.append((told[place] == 1, told[place + 4 : place + 4 + size]))
        place += 4 + size
    if not pieces or place != len(told):
        raise ValueError(f"no outcome of a step: 0x{told.hex()}")
    return Outcome(*pieces[0], tuple(pieces[1:]))


def words_of(count: int) -> Callable[[bytes], tuple[int, ...]]:
    """Read the first words of an answer."""

    def read(answer: bytes) -> tuple[int, ...]:
        return tuple(int.from_bytes(answer[WORD * i : WORD * (i + 1)], "big") for i in range(count))

    return read


def word_at(place: int) -> Callable[[bytes], int]:
    """Read one word of an answer."""
    return lambda answer: int.from_bytes(answer[WORD * place : WORD * (place + 1)], "big")
