"""Many view calls in one request, all at one block: Multicall3's `aggregate3`, encoded and decoded by hand.

eth-abi would take longer over the thousands of words of a tick bitmap than the chain does. Requests are kept under a
bound on calls and bytes, and halved where a node still refuses (gas, size) or the gas runs short: strangers' views may
use up so much that what stands behind them fails, and the request does not. What is asked last tells that, except on
a chain that has no such precompile, or not for so much: there it is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from node.engine.endpoints import Endpoints
from node.engine.rpc import RpcGarbage, RpcRefused
from node.engine.rpc_types import Data
from protocol.ethereum.abi import selector
from protocol.units import Address, Hash32

CALLS_PER_REQUEST: Final = 2_000
BYTES_PER_REQUEST: Final = 640 * 1024
"""Of call data; twice as many on the wire, as hex."""
_AGGREGATE: Final = selector("aggregate3((address,bool,bytes)[])")
_GAS: Final = hex(50_000_000)
"""What public nodes give to a call."""
_WORD: Final = 32
_TRUE: Final = (1).to_bytes(_WORD, "big")
_DATA_OFFSET: Final = (3 * _WORD).to_bytes(_WORD, "big")
_SECONDS: Final = 15.0
_PAIRS: Final = 14
_LOG: Final = logging.getLogger(__name__)


class View(NamedTuple):
    """One call of a view function."""

    target: Address
    data: bytes


GUARD: Final = View(Address((8).to_bytes(20, "big")), bytes(192 * _PAIRS))
"""Fails where less than half a million gas is left, and computes next to nothing: the precompile of pairings takes
45,000 and 34,000 a pair (EIP-1108), also for pairs of zeros.
"""


class _Starved(Exception):  # it is handled here
    """So little gas was left behind the views that any of them may have failed for want of it."""


class Multicall:
    """Reads through one Multicall3."""

    def __init__(self, endpoints: Endpoints, address: Address) -> None:
        self.address = address
        self._endpoints, self._address = endpoints, "0x" + address.hex()
        self._has_guard: bool | None = None
        """Whether the chain answers GUARD; not known before it did not once, or a request was refused."""

    async def read(self, views: Sequence[View], at: Hash32) -> list[bytes | None]:
        """Return what each call returns in the state after a block; None for one that reverts, or that alone takes all
        the gas or answers too much, as whoever wrote the contract pleases. Raises RpcError.
        """
        answers: list[bytes | None] = []
        for part in _parts(views):
            answers += await self._read(part, at)
        return answers

    async def _read(self, views: Sequence[View], at: Hash32) -> list[bytes | None]:
        try:
            return await self._ask(views, at)
        except (RpcRefused, _Starved):
            if len(views) == 1:
                return await self._read_refused(views, at)
        if self._has_guard is None and not await self._find_guard(at):
            return await self._read(views, at)
        middle = len(views) // 2
        return await self._read(views[:middle], at) + await self._read(views[middle:], at)

    async def _find_guard(self, at: Hash32) -> bool:
        """Ask GUARD alone, with all the gas. Raises RpcError."""
        (answer,) = await self._read((GUARD,), at)
        self._has_guard = bool(answer)
        if not answer:
            _LOG.warning("no precompile of pairings: a view whose gas others took counts as one that reverts")
        return self._has_guard

    async def _read_refused(self, view: Sequence[View], at: Hash32) -> list[bytes | None]:
        """A refusal is the view's own where the node answers at this block, and refuses the view again."""
        await self._ask((), at)
        try:
            return await self._ask(view, at)
        except RpcRefused:
            return [None]

    async def _ask(self, views: Sequence[View], at: Hash32) -> list[bytes | None]:
        asked = [*views, GUARD] if len(views) > 1 and self._has_guard is not False else views
        request = {"to": self._address, "data": "0x" + encode_aggregate(asked).hex(), "gas": _GAS}
        block = {"blockHash": "0x" + at.hex()}
        answer = await self._endpoints.call("eth_call", request, block, shape=Data, seconds=_SECONDS)
        try:
            answers = decode_aggregate(answer, len(asked))
        except ValueError as error:
            raise RpcGarbage(self._address, "aggregate3", str(error)) from None
        if len(asked) > len(views) and not answers.pop():
            raise _Starved
        return answers


def _parts(views: Sequence[View]) -> Iterator[Sequence[View]]:
    start = size = 0
    for place, view in enumerate(views):
        size += 6 * _WORD + len(view.data)
        if place > start and (place - start >= CALLS_PER_REQUEST or size > BYTES_PER_REQUEST):
            yield views[start:place]
            start, size = place, 6 * _WORD + len(view.data)
    if start < len(views):
        yield views[start:]


def encode_aggregate(views: Sequence[View]) -> bytes:
    """Return the call data of `aggregate3` in which every call may fail."""
    offsets: list[bytes] = []
    tuples: list[bytes] = []
    place = _WORD * len(views)
    for target, data in views:
        padding = -len(data) % _WORD
        offsets.append(place.to_bytes(_WORD, "big"))
        length = len(data).to_bytes(_WORD, "big")
        tuples.append(b"".join((bytes(12), target, _TRUE, _DATA_OFFSET, length, data, bytes(padding))))
        place += 4 * _WORD + len(data) + padding
    head = _AGGREGATE + _WORD.to_bytes(_WORD, "big") + len(views).to_bytes(_WORD, "big")
    return b"".join((head, *offsets, *tuples))


def decode_aggregate(answer: bytes, count: int) -> list[bytes | None]:
    """Return the results of `aggregate3`. Raises ValueError for anything but `count` of them."""
    if not answer:
        raise ValueError("there is no Multicall3 at this address")
    base = number_at(answer, 0) + _WORD
    if number_at(answer, base - _WORD) != count:
        raise ValueError(f"not the answers to {count} calls")
    results: list[bytes | None] = []
    for index in range(count):
        start = base + number_at(answer, base + _WORD * index)
        place = start + number_at(answer, start + _WORD)
        length = number_at(answer, place)
        data = answer[place + _WORD : place + _WORD + length]
        if len(data) != length:
            raise ValueError("the answer ends within a result")
        results.append(data if number_at(answer, start) else None)
    return results


def number_at(data: bytes, place: int) -> int:
    """Return the word at a place as a number. Raises ValueError beyond the end."""
    word = data[place : place + _WORD]
    if len(word) != _WORD:
        raise ValueError("the answer ends within a word")
    return int.from_bytes(word, "big")


def signed_at(data: bytes, place: int) -> int:
    """Return the word at a place as a signed number. Raises ValueError beyond the end."""
    number = number_at(data, place)
    return number - (1 << 256) if number >> 255 else number
