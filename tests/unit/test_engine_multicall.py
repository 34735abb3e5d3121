"""Many views in one request: encoded as eth-abi would, refused where the answer is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.multicall import (
    BYTES_PER_REQUEST,
    CALLS_PER_REQUEST,
    GUARD,
    Multicall,
    View,
    decode_aggregate,
    encode_aggregate,
    signed_at,
)
from node.engine.rpc import RpcGarbage, RpcRefused
from protocol.ethereum.abi import encode, encode_call, selector
from protocol.units import Address, Hash32
from tests.fake_chain_node import Refuse, endpoints_to
from tests.fake_contracts import MULTICALL3, FakeContracts, word

BLOCK = Hash32(b"\x01" * 32)
POOL = Address(b"\x02" * 20)
_views = st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.binary(max_size=70)), max_size=8)
_results = st.lists(st.tuples(st.booleans(), st.binary(max_size=70)), max_size=8)


@given(_views)
def test_calls_are_encoded_as_the_abi_says(calls: list[tuple[bytes, bytes]]) -> None:
    expected = encode_call(
        "aggregate3((address,bool,bytes)[])", [("0x" + target.hex(), True, data) for target, data in calls]
    )
    assert encode_aggregate([View(Address(target), data) for target, data in calls]) == expected


@given(_results)
def test_results_are_decoded_as_the_abi_says(results: list[tuple[bool, bytes]]) -> None:
    answer = encode(["(bool,bytes)[]"], [results])
    assert decode_aggregate(answer, len(results)) == [data if success else None for success, data in results]


@given(_results, st.data())
def test_a_cut_answer_is_refused(results: list[tuple[bool, bytes]], data: st.DataObject) -> None:
    answer = encode(["(bool,bytes)[]"], [[*results, (True, b"\x01")]])
    cut = answer[: data.draw(st.integers(0, len(answer) - 32))]
    with pytest.raises(ValueError, match=r"ends within|no Multicall3|not the answers"):
        decode_aggregate(cut, len(results) + 1)


def reader(contracts: FakeContracts) -> Multicall:
    return Multicall(endpoints_to([contracts.node]), MULTICALL3)


async def test_views_come_back_in_order_and_reverts_as_none() -> None:
    contracts = FakeContracts()
    contracts.answer(POOL, "ticks(int24)", lambda arguments: None if arguments == word(3) else arguments)
    views = [View(POOL, selector("ticks(int24)") + word(n)) for n in range(CALLS_PER_REQUEST + 5)]
    answers = await reader(contracts).read(views, BLOCK)
    assert answers == [None if n == 3 else word(n) for n in range(CALLS_PER_REQUEST + 5)]
    assert contracts.requests == [CALLS_PER_REQUEST, 5]
    assert await reader(contracts).read([], BLOCK) == []


async def test_large_calls_are_spread_over_requests_by_their_bytes() -> None:
    contracts = FakeContracts()
    contracts.answer(POOL, "a(bytes)", lambda _arguments: b"")
    views = [View(POOL, selector("a(bytes)") + bytes(BYTES_PER_REQUEST // 2)) for _ in range(3)]
    assert await reader(contracts).read(views, BLOCK) == [b"", b"", b""]
    assert contracts.requests == [1, 1, 1]


async def test_a_request_that_is_refused_is_halved_until_it_is_taken() -> None:
    contracts = FakeContracts()
    contracts.refuses_above = 3
    contracts.answer(POOL, "ticks(int24)", lambda arguments: arguments)
    views = [View(POOL, selector("ticks(int24)") + word(n)) for n in range(10)]
    assert await reader(contracts).read(views, BLOCK) == [word(n) for n in range(10)]
    contracts.refuses_above = -1
    with pytest.raises(RpcRefused, match="out of gas"):
        await reader(contracts).read(views, BLOCK)


def _burns_all_gas(_arguments: bytes) -> bytes:
    raise Refuse(-32000, "out of gas")


async def test_a_view_that_alone_takes_all_the_gas_answers_nothing_and_holds_no_other_up() -> None:
    contracts = FakeContracts()
    contracts.answer(POOL, "ticks(int24)", lambda arguments: arguments)
    contracts.answer(POOL, "bomb()", _burns_all_gas)
    views = [View(POOL, selector("ticks(int24)") + word(n)) for n in range(6)]
    views.insert(2, View(POOL, selector("bomb()")))
    assert await reader(contracts).read(views, BLOCK) == [word(0), word(1), None, word(2), word(3), word(4), word(5)]


async def test_a_view_that_fails_for_want_of_the_gas_that_others_took_is_asked_without_them() -> None:
    contracts, asked = FakeContracts(), list[str]()

    def hog(_arguments: bytes) -> bytes:
        asked.append("hog")
        return b""

    def heavy(_arguments: bytes) -> bytes | None:
        return None if "hog" in asked else word(7)

    contracts.answer(POOL, "hog()", hog)
    contracts.answer(POOL, "heavy()", heavy)
    contracts.views[GUARD.target, GUARD.data[:4]] = heavy
    call = contracts.node.methods["eth_call"]

    def begun(*request: Any) -> Any:
        asked.clear()
        return call(*request)

    contracts.node.methods["eth_call"] = begun
    views = [View(POOL, selector(f"{name}()")) for name in ("heavy", "hog", "heavy", "reverts")]
    assert await reader(contracts).read(views, BLOCK) == [word(7), b"", word(7), None]


@pytest.mark.parametrize("answer", [None, b"", Refuse(-32000, "no such precompile")])
async def test_where_the_chain_has_no_such_guard_all_is_read_at_once_without(
    answer: bytes | Refuse | None, caplog: pytest.LogCaptureFixture
) -> None:
    contracts, guards = FakeContracts(), list[bytes]()

    def guard(pairs: bytes) -> bytes | None:
        guards.append(pairs)
        if isinstance(answer, Refuse):
            raise answer
        return answer

    contracts.views[GUARD.target, GUARD.data[:4]] = guard
    contracts.answer(POOL, "ticks(int24)", lambda arguments: arguments)
    multicall = reader(contracts)
    views = [View(POOL, selector("ticks(int24)") + word(n)) for n in range(64)]
    for _ in range(2):
        assert await multicall.read(views, BLOCK) == [word(n) for n in range(64)]
    assert [calls for calls in contracts.requests if calls] == [64, 64, 64]
    assert len(guards) <= 3
    assert caplog.text.count("no precompile of pairings") == 1


async def test_a_view_that_was_refused_once_is_asked_again() -> None:
    contracts = FakeContracts()
    refusals = iter([True, False])
    contracts.answer(POOL, "a()", lambda _arguments: _burns_all_gas(b"") if next(refusals) else word(7))
    assert await reader(contracts).read([View(POOL, selector("a()"))], BLOCK) == [word(7)]


@pytest.mark.parametrize("answer", ["0x", "0x" + "00" * 64, "0x" + "ff" * 96])
async def test_what_is_no_answer_of_a_multicall_is_garbage(answer: str) -> None:
    contracts = FakeContracts()
    contracts.node.methods["eth_call"] = lambda *_: answer
    with pytest.raises(RpcGarbage, match="aggregate3"):
        await reader(contracts).read([View(POOL, b"1234")], BLOCK)


def test_signed_words_are_signed() -> None:
    assert signed_at(word(-5), 0) == -5
    assert signed_at(word(5), 0) == 5
