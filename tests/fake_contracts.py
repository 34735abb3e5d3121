"""Contracts in memory, read through a Multicall3 in memory: what the readers' unit tests ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from node.engine.multicall import GUARD
from node.engine.pool_topics import LogJson
from node.pipeline.amm.errors import AmmError
from node.pipeline.pools import PoolState, quote_exact_in
from protocol.ethereum.abi import decode, encode, selector
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, address_to_hex
from tests.fake_chain_node import FakeNode, Refuse

MULTICALL3 = Address(b"\xca" * 20)
WETH, USDC, ODD = Address(b"\xa1" * 20), Address(b"\xa2" * 20), Address(b"\xa3" * 20)
V2, V3, VAULT = Address(b"\xf2" * 20), Address(b"\xf3" * 20), Address(b"\xba" * 20)
View = Callable[[bytes], bytes | None]
"""Takes the arguments' bytes; None reverts."""


def word(number: int) -> bytes:
    """A number as a word."""
    return number.to_bytes(32, "big", signed=number < 0)


def words(*numbers: int) -> bytes:
    """Numbers as words, one after the other."""
    return b"".join(map(word, numbers))


def log(address: bytes, signature: str, topics: list[bytes], data: bytes) -> LogJson:
    """A log of a contract's event, as JSON-RPC writes it."""
    first = "0x" + keccak256(signature.encode()).hex()
    rest = ["0x" + topic.rjust(32, b"\0").hex() for topic in topics]
    return LogJson("0x" + address.hex(), [first, *rest], "0x" + data.hex(), "0x" + "00" * 32, "0x0")


class FakeContracts:
    """Views by contract and function. `refuses_above`: calls in one request that the node takes."""

    def __init__(self) -> None:
        self.views: dict[tuple[bytes, bytes], View] = {}
        self.refuses_above = 10**9
        self.requests: list[int] = []
        self.node = FakeNode(eth_call=self._call)
        self.view(MULTICALL3, "getCurrentBlockTimestamp()", 1_700_000_000)
        self.views[GUARD.target, GUARD.data[:4]] = lambda _pairs: word(1)

    def view(self, target: Address, signature: str, *values: Any, types: str = "") -> None:
        """Let a function return these values whatever its arguments are; words where no types are given."""
        answer = encode(types.split(), values) if types else b"".join(word(value) for value in values)
        self.views[target, selector(signature)] = lambda _arguments: answer

    def answer(self, target: Address, signature: str, view: View) -> None:
        """Let a function answer by its arguments."""
        self.views[target, selector(signature)] = view

    def vault_quotes(self, vault: Address, state: PoolState, tokens: Sequence[Address], *, more: int = 0) -> None:
        """Let Balancer's vault answer `queryBatchSwap` of one leg as this state does, or with so much more."""

        def answer(arguments: bytes) -> bytes | None:
            types = ["uint8", "(bytes32,uint256,uint256,uint256,bytes)[]", "address[]"]
            _, ((_, _, _, amount, _),), assets, _ = decode([*types, "(address,bool,address,bool)"], arguments)
            places = [list(tokens).index(Address(bytes.fromhex(asset[2:]))) for asset in assets]
            try:
                out = quote_exact_in(state, places[0], places[1], amount)
            except AmmError:
                return None
            return encode(["int256[]"], [[amount, -out - more]])

        batch = "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))"
        self.answer(vault, batch, answer)

    def _call(self, request: dict[str, Any], _block: Any, *_overrides: Any) -> str:
        data = bytes.fromhex(request["data"][2:])
        if request["to"] != "0x" + MULTICALL3.hex():
            raise Refuse(3, "execution reverted")
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        asked = [call for call in calls if call[0] != address_to_hex(GUARD.target)]
        self.requests.append(len(asked))
        if len(asked) > self.refuses_above:
            raise Refuse(-32000, "out of gas")
        results = []
        for target, _, call in calls:
            view = self.views.get((bytes.fromhex(target[2:]), call[:4]))
            answer = None if view is None else view(call[4:])
            results.append((answer is not None, answer or b""))
        return "0x" + encode(["(bool,bytes)[]"], [results]).hex()
