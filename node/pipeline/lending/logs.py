"""Logs of lenders -> their events, by the published signatures: aave-v3-core, contracts/interfaces/IPool.sol,
IScaledBalanceToken.sol, IAToken.sol; morpho-blue, src/libraries/EventsLib.sol.

A log is its topics and its data; a signature is written with `indexed` where a topic carries the argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from node.pipeline.lending.errors import LogMalformed
from protocol.ethereum.abi import InvalidAbi, decode
from protocol.ethereum.keccak import keccak256

_WORD: Final = 32


class EventKind(msgspec.Struct, frozen=True):
    """An event: its name, and for each argument its type and whether a topic carries it."""

    name: str
    types: tuple[str, ...]
    indexed: tuple[bool, ...]

    @property
    def signature(self) -> str:
        """The canonical signature, of which the first topic is the hash."""
        return f"{self.name}({','.join(self.types)})"


class Event(msgspec.Struct, frozen=True):
    """A decoded log: addresses as lower-case hex text, `bytes32` as bytes, everything in the order of the signature."""

    name: str
    values: tuple[Any, ...]


def events_of(text: str) -> dict[bytes, EventKind]:
    """First topic -> event, of signatures a line each, such as `Mint(address indexed,uint256)`."""
    kinds: dict[bytes, EventKind] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, rest = line.partition("(")
        arguments = [part.strip() for part in rest.removesuffix(")").split(",")]
        types = tuple(argument.removesuffix(" indexed") for argument in arguments)
        kind = EventKind(name, types, tuple(argument.endswith(" indexed") for argument in arguments))
        kinds[keccak256(kind.signature.encode())] = kind
    return kinds


def decode_log(kinds: dict[bytes, EventKind], topics: Sequence[bytes], data: bytes) -> Event | None:
    """The event of a log; None if it is none of these. Raises LogMalformed."""
    kind = kinds.get(topics[0]) if topics else None
    if kind is None:
        return None
    if len(topics) != 1 + sum(kind.indexed) or any(len(topic) != _WORD for topic in topics):
        raise LogMalformed(f"{kind.name} with {len(topics)} topics")
    carried = iter(topics[1:])
    in_data = [one for one, indexed in zip(kind.types, kind.indexed, strict=True) if not indexed]
    try:
        told = iter(decode(in_data, data))
        values = tuple(
            decode((one,), next(carried))[0] if indexed else next(told)
            for one, indexed in zip(kind.types, kind.indexed, strict=True)
        )
    except InvalidAbi as error:
        raise LogMalformed(f"{kind.name}: {error}") from error
    return Event(kind.name, values)
