"""What a pending transaction changes in followed pools: by the node, by our own EVM, or honestly not known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node.engine.own_evm import OwnEvm
from node.engine.pending_simulator import ANSWER_SECONDS, MAX_ASKED, PendingSimulator
from node.pipeline.events import PendingSimulated, ReservesSet, SimulatePending
from node.pipeline.reasons import Reason
from protocol.ethereum.keccak import keccak256
from protocol.units import Hash32, UnixNanoseconds, Wei, address_to_hex
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to
from tests.fake_contracts import words
from tests.manual_clock import ManualClock
from tests.pipeline_scene import signed
from tests.unit.test_engine_pool_logs import PAIR, reader
from tests.unit.test_engine_simulator import header

BASE_FEE = Wei(10**9)
CHAIN_ID = 31337
PAIR_HEX = address_to_hex(PAIR.address)
SYNC = keccak256(b"Sync(uint112,uint112)")
CODE = bytes.fromhex("60055f526007602052") + b"\x7f" + SYNC + bytes.fromhex("60405fa100")
"""Logs Sync(5, 7), as a pair would."""
HEAD = header(10)


def sync(address: str = PAIR_HEX, data: bytes = words(11, 13)) -> dict[str, Any]:
    return {"address": address, "topics": ["0x" + SYNC.hex()], "data": "0x" + data.hex()}


def call_of(*logs: dict[str, Any], status: str = "0x1") -> dict[str, Any]:
    return {"status": status, "gasUsed": "0x186a0", "logs": list(logs)}


class Scene:
    """A node, our own EVM, and the simulator of pending transactions on both."""

    def __init__(self, *, own_evm: bool = True, clock: ManualClock | None = None) -> None:
        self.calls = [call_of(sync())]
        self.node = FakeNode(
            eth_getBalance=lambda address, at: hex(10**24),
            eth_getTransactionCount=lambda address, at: "0x0",
            eth_getCode=lambda address, at: "0x" + (CODE.hex() if address == PAIR_HEX else ""),
            eth_getStorageAt=lambda address, slot, at: "0x" + "00" * 32,
            eth_simulateV1=lambda request, at: [{"calls": self.calls}],
            debug_traceCall=lambda call, at, how: {},
        )
        endpoints = endpoints_to([self.node]) if clock is None else endpoints_to([self.node], clock)
        logs = reader()
        self.logs = logs
        self.own_evm = OwnEvm(endpoints, CHAIN_ID, is_used=own_evm)
        self.own_evm.follow(HEAD)
        self.simulator = PendingSimulator(endpoints, self.own_evm, lambda: logs, lambda: UnixNanoseconds(9))

    async def simulate(self, on_block: Hash32 = HEAD.hash) -> PendingSimulated:
        return await self.simulator.simulate(SimulatePending((CALL,), on_block, BASE_FEE))


CALL = signed(b"\xab\xcd\xef\x01", PAIR.address, "carol")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.own_evm.close()


async def test_a_followed_pools_logs_are_what_it_changes(scene: Scene) -> None:
    answer = await scene.simulate()
    assert answer == PendingSimulated(
        Hash32(CALL.hash), HEAD.hash, None, (ReservesSet(PAIR.id, 11, 13),), UnixNanoseconds(9)
    )
    assert scene.simulator.counts == {"by_node": 1, "touching": 1}
    assert scene.logs.counts["changes"] == 0, "nothing of it has come to pass"


async def test_what_touches_a_followed_pool_is_learnt_and_runs_in_our_own_evm_the_next_time(scene: Scene) -> None:
    await scene.simulate()
    await scene.own_evm.settled()
    assert (await scene.simulate()).pool_changes == (ReservesSet(PAIR.id, 5, 7),)
    assert scene.simulator.counts["own_evm"] == 1


async def test_what_touches_none_is_not_learnt(scene: Scene) -> None:
    scene.calls = [call_of(sync("0x" + "0e" * 20))]
    answer = await scene.simulate()
    await scene.own_evm.settled()
    assert (answer.failure, answer.pool_changes) == (None, ())
    assert scene.own_evm.counts["learnt"] == scene.simulator.counts["touching"] == 0


async def test_a_pools_log_that_cannot_be_read_makes_the_answer_unknown(scene: Scene) -> None:
    scene.calls = [call_of(sync(data=words(1)))]
    answer = await scene.simulate()
    assert (answer.failure, answer.pool_changes) == (Reason.POOL_UNKNOWN, ())


async def test_a_transaction_that_fails_would_revert(scene: Scene) -> None:
    scene.calls = [call_of(status="0x0")]
    assert (await scene.simulate()).failure is Reason.VICTIM_WOULD_REVERT
    assert scene.simulator.counts["reverting"] == 1


@pytest.mark.parametrize("calls", [[], [{}], [call_of(), call_of()]])
async def test_no_answer_that_can_be_used_is_told_as_unavailable(scene: Scene, calls: list[dict[str, Any]]) -> None:
    scene.calls = calls
    assert (await scene.simulate()).failure is Reason.SIMULATION_UNAVAILABLE
    assert scene.simulator.counts["unavailable"] == 1


async def test_a_node_that_does_not_simulate_is_told_as_unavailable(scene: Scene) -> None:
    def refuse(*_: Any) -> Any:
        raise Refuse(-32601, "no")

    scene.node.methods["eth_simulateV1"] = refuse
    assert (await scene.simulate()).failure is Reason.SIMULATION_UNAVAILABLE


async def test_what_is_asked_for_another_head_is_not_simulated(scene: Scene) -> None:
    assert (await scene.simulate(Hash32(b"\x01" * 32))).failure is Reason.SIMULATION_UNAVAILABLE
    assert scene.simulator.counts == {"stale": 1}
    assert "eth_simulateV1" not in scene.node.asked


async def test_few_are_asked_at_once_and_none_for_longer_than_it_is_of_use() -> None:
    clock = ManualClock()
    scene = Scene(own_evm=False, clock=clock)
    scene.node.hangs = True
    tasks = [asyncio.create_task(scene.simulate()) for _ in range(MAX_ASKED + 1)]
    await clock.until_asleep(ANSWER_SECONDS)
    scene.own_evm.follow(header(11, HEAD))
    await clock.advance(ANSWER_SECONDS)
    assert {answer.failure for answer in await asyncio.gather(*tasks)} == {Reason.SIMULATION_UNAVAILABLE}
    assert scene.simulator.counts == {"unavailable": MAX_ASKED, "stale": 1}
