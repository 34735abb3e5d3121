"""Whatever bytes come in, JSON-RPC goes out."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from devnet.relay import jsonrpc
from devnet.relay.jsonrpc import Call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
REQUEST = st.fixed_dictionaries(
    {"method": st.sampled_from(["echo", "fail", "eth_sendX"]) | JSON}, optional={"id": JSON, "params": JSON}
)


async def handle(call: Call) -> Any:
    if call.method == "fail":
        raise KeyError("ours")
    return call.params


def answer(body: bytes) -> Any:
    raw = asyncio.run(jsonrpc.answer(body, handle, batch_limit=3, is_ordered=jsonrpc.is_ordered))
    return None if raw is None else orjson.loads(raw)


def is_answer(item: Any) -> bool:
    return isinstance(item, dict) and item["jsonrpc"] == "2.0" and ("result" in item) != ("error" in item)


@given(st.binary(max_size=64))
def test_arbitrary_bytes_get_an_answer(body: bytes) -> None:
    assert is_answer(answer(body)) or body.strip()[:1] in (b"[", b"{")


@given(JSON | REQUEST | st.lists(REQUEST | JSON, max_size=5))
def test_arbitrary_json_gets_an_answer_of_its_shape(request: Any) -> None:
    told = answer(orjson.dumps(request))
    if isinstance(request, list) and 0 < len(request) <= 3:
        assert told is None or (len(told) <= len(request) and all(is_answer(item) for item in told))
    else:
        assert told is None or is_answer(told)
    if told is None:
        assert isinstance(request, dict | list)


@given(st.lists(st.integers(), min_size=1, max_size=3))
def test_a_batch_is_answered_in_its_order(values: list[int]) -> None:
    batch = [
        {"id": index, "method": "eth_sendX" if value % 2 else "echo", "params": [index]}
        for index, value in enumerate(values)
    ]
    assert [item["result"] for item in answer(orjson.dumps(batch))] == [[index] for index in range(len(values))]
