"""Contracts in memory, read through a Multicall3 in memory: what the readers' unit tests ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocol.ethereum.abi import decode, encode, selector
from protocol.units import Address
from tests.fake_chain_node import FakeNode, Refuse

MULTICALL3 = Address(b"\xca" * 20)
View = Callable[[bytes], bytes | None]
"""Takes the arguments' bytes; None reverts."""


def word(number: int) -> bytes:
    """A number as a word."""
    return number.to_bytes(32, "big", signed=number < 0)


class FakeContracts:
    """Views by contract and function. `refuses_above`: calls in one request that the node takes."""

    def __init__(self) -> None:
        self.views: dict[tuple[bytes, bytes], View] = {}
        self.refuses_above = 10**9
        self.requests: list[int] = []
        self.node = FakeNode(eth_call=self._call)

    def view(self, target: Address, signature: str, *values: Any, types: str = "") -> None:
        """Let a function return these values whatever its arguments are; words where no types are given."""
        answer = encode(types.split(), values) if types else b"".join(word(value) for value in values)
        self.views[target, selector(signature)] = lambda _arguments: answer

    def answer(self, target: Address, signature: str, view: View) -> None:
        """Let a function answer by its arguments."""
        self.views[target, selector(signature)] = view

    def _call(self, request: dict[str, Any], _block: Any, *_overrides: Any) -> str:
        data = bytes.fromhex(request["data"][2:])
        if request["to"] != "0x" + MULTICALL3.hex():
            raise Refuse(3, "execution reverted")
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        self.requests.append(len(calls))
        if len(calls) > self.refuses_above:
            raise Refuse(-32000, "out of gas")
        results = []
        for target, _, call in calls:
            view = self.views.get((bytes.fromhex(target[2:]), call[:4]))
            answer = None if view is None else view(call[4:])
            results.append((answer is not None, answer or b""))
        return "0x" + encode(["(bool,bytes)[]"], [results]).hex()
