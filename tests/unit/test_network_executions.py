"""Which executions of orders a registry tells of: each once while its block stands, also over a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.demo.network_report import EXECUTED
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.multicall import Multicall
from node.engine.network.registry import Registry, _LogJson
from node.engine.network.wiring import contracts_of
from node.engine.rpc import RpcGarbage
from node.engine.rpc_types import Data, decoder
from protocol.units import Address, BlockNumber, Hash32
from tests.config_factories import network_in
from tests.unit.test_engine_simulator import header

LEDGER = contracts_of(network_in(Path())).ledger


def registry() -> Registry:
    endpoints = Endpoints.open([RpcConfig(http="http://127.0.0.1:1", websocket="ws://127.0.0.1:1")], SystemClock())
    return Registry(
        endpoints, Multicall(endpoints, Address(bytes(20))), contracts_of(network_in(Path())), BlockNumber(0)
    )


def word(number: int) -> str:
    return f"{number:064x}"


def executed(order: int, block: int, fork: int = 0, topic: str = EXECUTED) -> _LogJson:
    log: dict[str, Any] = {
        "address": "0x" + LEDGER.hex(),
        "topics": [topic, "0x" + word(order), "0x" + word(1), "0x" + word(2)],
        "data": "0x" + "".join(word(number) for number in (3, 4, 100, 60, 1)),
        "transactionHash": "0x" + word(order),
        "blockNumber": hex(block),
        "blockHash": "0x" + word(1_000 * fork + block),
    }
    found: _LogJson = decoder(_LogJson).decode(msgspec.json.encode(log))
    return found


def told(registry: Registry) -> list[tuple[int, int]]:
    return [(int.from_bytes(one.order_hash, "big"), one.block) for one in registry.take_executed()]


def hash_of(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


def test_what_was_before_a_node_first_ran_is_history() -> None:
    fresh = registry()
    fresh._take_executions([executed(1, 7)], is_first=True)
    assert told(fresh) == []
    fresh._take_executions([executed(1, 7), executed(2, 8)], is_first=False)
    assert told(fresh) == [(2, 8)]


def test_what_was_executed_while_the_engine_was_away_is_told_once() -> None:
    back = registry()
    back.resume([(hash_of(8), hash_of(2))], BlockNumber(7))
    back._take_executions([executed(1, 6), executed(2, 8), executed(3, 9)], is_first=True)
    assert told(back) == [(3, 9)], "6 is history, 8 was told before"
    back._take_executions([executed(3, 9)], is_first=False)
    assert told(back) == []


def test_what_another_block_has_now_is_told_of_that_block() -> None:
    back = registry()
    back.resume([(hash_of(8), hash_of(2))], BlockNumber(7))
    back._take_executions([executed(2, 8, fork=1)], is_first=True)
    assert told(back) == [(2, 8)]


async def test_a_read_that_fails_after_the_logs_came_loses_no_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    followed, failing = registry(), True

    async def logs(*_: object) -> list[_LogJson]:
        return [executed(1, 11)]

    async def operators(*_: object) -> None:
        if failing:
            raise RpcGarbage("the chain", "eth_call", "cut")

    async def epochs(*_: object) -> None:
        return None

    async def paused(queries: list[object], *_: object) -> list[bool]:
        return [False] * len(queries)

    followed.head = header(10)
    for name, stands_in in (
        ("_told", logs), ("_read_operators", operators), ("_read_epochs", epochs), ("ask", paused)
    ):  # fmt: skip
        monkeypatch.setattr(followed, name, stands_in)
    with pytest.raises(RpcGarbage):
        await followed.follow(header(11))
    failing = False
    await followed.follow(header(11))
    assert told(followed) == [(1, 11)]
    assert told(followed) == []


def test_what_was_executed_in_a_block_that_left_the_chain_is_not_told_unless_it_comes_back() -> None:
    followed = registry()
    followed._take_executions([executed(1, 7), executed(2, 8)], is_first=False)
    followed.retract(hash_of(7))
    assert told(followed) == [(2, 8)]
    followed._take_executions([executed(1, 7), executed(2, 8)], is_first=False)
    assert told(followed) == [(1, 7)]


def test_an_event_of_another_form_is_garbage_of_the_chains_node() -> None:
    odd = msgspec.structs.replace(executed(1, 7), data=Data(executed(1, 7).data[:64]))
    with pytest.raises(RpcGarbage, match="no Executed"):
        registry()._take_executions([odd], is_first=False)
