"""The last check of a bundle: by our own EVM, by the node, or honestly not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import orjson
import pytest

from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.own_evm import BLOCK_TRACE_SECONDS, MAX_LATE, MAX_LEARNING, OwnEvm
from node.engine.rpc import RpcTimeout
from node.engine.simulator import ANSWER_SECONDS, MAX_ASKED, BundleSimulator
from node.pipeline.events import SimulateBundle
from node.pipeline.plans import NetworkOrder
from node.pipeline.reasons import Reason
from protocol.units import Address, Hash32, SignatureBytes, UnixNanoseconds, address_to_hex
from tests.fake_blocks import header_json
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to
from tests.manual_clock import ManualClock
from tests.protocol_factories import order as order_of_a_finder
from tests.vault_stand_in import (
    CHAIN_ID,
    ETHER,
    EXECUTED,
    MODULE,
    SAFE,
    SENDER,
    TOKEN,
    asked,
    module_code,
    plan_for,
    topic,
    trader,
    victim,
)

MODULE_HEX, SENDER_HEX = address_to_hex(MODULE), address_to_hex(SENDER)
Told = dict[str, dict[str, Any]]


def header(number: int, parent: Header | None = None, salt: str = "") -> Header:
    before = "0x" + ("aa" * 32 if parent is None else parent.hash.hex())
    return header_from_json(orjson.dumps(header_json(number, parent=before, salt=salt)))


def executed(profit: int) -> dict[str, Any]:
    """A call's answer with the vault module's word."""
    topics = ["0x" + word.hex() for word in (EXECUTED, topic(SAFE), topic(TOKEN))]
    log = {"address": MODULE_HEX, "topics": topics, "data": "0x" + "00" * 32 + profit.to_bytes(32, "big").hex()}
    return {"status": "0x1", "gasUsed": "0x186a0", "logs": [log], "returnData": "0x"}


QUIET = {"status": "0x1", "gasUsed": "0x5208", "logs": []}
REVERTED = {"status": "0x0", "gasUsed": "0x5208", "logs": [], "error": {"code": 3, "message": "execution reverted"}}


class World:
    """What the node knows: accounts and slots, and what it simulates."""

    def __init__(self) -> None:
        self.profit = 5_000
        self.balance = ETHER
        self.trace: Any = []
        self.calls: list[dict[str, Any]] = [executed(4_999)]
        self.node = FakeNode(
            eth_getBalance=lambda address, at: hex(self.balance),
            eth_getTransactionCount=lambda address, at: "0x0",
            eth_getCode=lambda address, at: "0x" + (module_code().hex() if address == MODULE_HEX else ""),
            eth_getStorageAt=lambda address, slot, at: "0x" + self.profit.to_bytes(32, "big").hex(),
            eth_simulateV1=lambda request, at: [{"calls": self.calls}],
            debug_traceCall=lambda call, at, how: {
                MODULE_HEX: {"balance": "0x0", "nonce": 1, "code": "0x" + module_code().hex(), "storage": self.slots}
            },
            debug_traceBlockByHash=lambda name, how: self.trace,
        )

    @property
    def slots(self) -> dict[str, str]:
        return {"0x0": hex(self.profit)}

    def refusing(self, method: str, code: int) -> None:
        def refuse(*_: Any) -> Any:
            raise Refuse(code, "no")

        self.node.methods[method] = refuse


@pytest.fixture
def world() -> World:
    return World()


def simulating(endpoints: Endpoints, *, own_evm: bool = True) -> BundleSimulator:
    return BundleSimulator(endpoints, OwnEvm(endpoints, CHAIN_ID, is_used=own_evm), lambda: UnixNanoseconds(9))


@pytest.fixture
async def simulator(world: World) -> AsyncIterator[BundleSimulator]:
    made = simulating(endpoints_to([world.node]))
    made.own_evm.follow(header(10))
    yield made
    await made.own_evm.close()


async def learnt(simulator: BundleSimulator) -> BundleSimulator:
    await simulator.simulate(asked(11))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["learnt"] == 1
    return simulator


async def test_what_is_not_known_yet_the_node_simulates(simulator: BundleSimulator) -> None:
    answer = await simulator.simulate(asked(11))
    assert (answer.failure, answer.profits, answer.gas_used, answer.now) == (None, (4_999,), 100_000, 9)
    assert answer.own_gas == (100_000,)
    assert simulator.counts["by_node"] == simulator.counts["failed"] == 1


async def test_what_a_bundle_was_computed_behind_runs_before_it_and_is_not_in_its_answer(
    world: World, simulator: BundleSimulator
) -> None:
    before, theirs = victim(0), victim(1)
    better = plan_for(11, before, call_data=b"best", name=b"better", sender=Address(b"\xbb" * 20)).executions[0]
    sent: list[Any] = []

    def simulate(request: Any, at: Any) -> Any:
        sent.append(request)
        return [{"calls": world.calls}]

    world.node.methods["eth_simulateV1"] = simulate
    world.calls = [QUIET, executed(9_000), QUIET, executed(4_999)]
    answer = await simulator.simulate(SimulateBundle(plan_for(11, before, theirs), (better,)))
    assert (answer.failure, answer.profits, answer.own_gas) == (None, (4_999,), (100_000,))
    assert answer.gas_used == 2 * 21_000 + 100_000, "with the transaction that ran ahead: it is in this bundle too"
    calls = sent[0]["blockStateCalls"][0]["calls"]
    assert [call["from"] for call in calls] == [
        before.sender,
        address_to_hex(better.sender),
        theirs.sender,
        SENDER_HEX,
    ]
    assert [call["input"] for call in calls][1::2] == ["0x" + b"best".hex(), "0x" + b"run!".hex()]
    world.calls = [QUIET, REVERTED, QUIET, executed(4_999)]
    failed = await simulator.simulate(SimulateBundle(plan_for(11, before, theirs), (better,)))
    assert (failed.failure, failed.profits) == (Reason.SIMULATION_REVERTED, ())


async def test_behind_another_execution_our_own_evm_runs_it_too(world: World, simulator: BundleSimulator) -> None:
    behind = SimulateBundle(plan_for(11), plan_for(11, name=b"better", sender=Address(b"\xbb" * 20)).executions)
    await learnt(simulator)
    world.calls = [executed(4_999), executed(4_999)]
    assert (await simulator.simulate(behind)).profits == (4_999,)
    await simulator.own_evm.settled()
    answer = await simulator.simulate(behind)
    assert (answer.failure, answer.profits) == (None, (5_000,))
    assert answer.own_gas == (answer.gas_used,), "what ran ahead is not of this bundle"
    assert simulator.counts["own_evm"] == 1


async def test_the_second_bundle_on_the_same_contracts_runs_in_our_own_evm(simulator: BundleSimulator) -> None:
    answer = await (await learnt(simulator)).simulate(asked(11))
    assert (answer.failure, answer.profits) == (None, (5_000,))
    assert simulator.counts["own_evm"] == 1
    assert answer.gas_used > 21_000


async def test_our_own_evm_runs_victims_first(simulator: BundleSimulator) -> None:
    await simulator.simulate(asked(11, victim(1)))
    await simulator.own_evm.settled()
    answer = await simulator.simulate(asked(11, victim(777)))
    assert (answer.failure, answer.profits) == (None, (777,))


async def test_what_the_tracer_tells_is_taken_before_anything_is_asked_one_by_one(
    world: World, simulator: BundleSimulator
) -> None:
    state = {
        MODULE_HEX: {"balance": "0x0", "nonce": 1, "code": "0x" + module_code().hex(), "storage": {"0x0": "0x2a"}},
        SENDER_HEX: {"balance": hex(ETHER), "nonce": 0},
        "0x" + "0b" * 20: {"balance": "0x0"},
    }
    world.node.methods["debug_traceCall"] = lambda call, at, how: state
    assert (await (await learnt(simulator)).simulate(asked(11))).profits == (42,)
    assert "eth_getStorageAt" not in world.node.asked


async def test_a_failure_in_our_own_evm_is_confirmed_by_the_node(world: World, simulator: BundleSimulator) -> None:
    await learnt(simulator)
    world.calls = [QUIET, REVERTED]
    await simulator.simulate(asked(11, victim(0)))
    await simulator.own_evm.settled()
    before = simulator.counts["by_node"]
    answer = await simulator.simulate(asked(11, victim(0)))
    assert (answer.failure, answer.profits) == (Reason.SIMULATION_REVERTED, ())
    assert simulator.counts["by_node"] == before + 1


async def test_a_run_near_its_gas_limit_is_left_to_the_node(simulator: BundleSimulator) -> None:
    await learnt(simulator)
    answer = await simulator.simulate(SimulateBundle(plan_for(11, gas_limit=30_000)))
    assert answer.profits == (4_999,)


async def test_a_blocks_changes_are_taken_over(world: World, simulator: BundleSimulator) -> None:
    await learnt(simulator)
    world.trace = [
        {
            "txHash": "0x" + "00" * 32,
            "result": {
                "pre": {MODULE_HEX: {"balance": "0x0", "storage": {"0x0": "0x1388"}}},
                "post": {MODULE_HEX: {"storage": {"0x0": "0x1770"}}},
            },
        }
    ]
    first = header(10)
    simulator.own_evm.follow(header(11, first))
    assert (await simulator.simulate(asked(12))).profits == (6_000,)
    assert simulator.counts["own_evm"] == 1


async def test_changes_that_do_not_come_are_not_waited_for(
    world: World, simulator: BundleSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await learnt(simulator)
    monkeypatch.setattr("node.engine.simulator.TAKE_OVER_SECONDS", 0.0)
    simulator.own_evm.follow(header(11, header(10)))
    assert (await simulator.simulate(asked(12))).profits == (4_999,)
    assert simulator.counts["own_evm"] == 0


async def test_a_reorganisation_makes_it_forget_everything(world: World, simulator: BundleSimulator) -> None:
    await learnt(simulator)
    simulator.own_evm.follow(header(10, salt="other"))
    world.profit = 3
    assert (await simulator.simulate(asked(11))).profits == (4_999,)
    await simulator.own_evm.settled()
    assert (await simulator.simulate(asked(11))).profits == (3,)


async def test_heads_in_quick_succession_are_taken_over_one_after_the_other(
    world: World, simulator: BundleSimulator
) -> None:
    await learnt(simulator)
    values = iter(("0x1", "0x2"))
    world.node.methods["debug_traceBlockByHash"] = lambda name, how: [
        {"result": {"pre": {}, "post": {MODULE_HEX: {"storage": {"0x0": next(values)}}}}}
    ]
    second = header(11, header(10))
    simulator.own_evm.follow(second)
    simulator.own_evm.follow(header(12, second))
    assert (await simulator.simulate(asked(13))).profits == (2,)
    assert simulator.own_evm.counts["begun_anew"] == 1


async def test_too_far_behind_it_begins_anew(simulator: BundleSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    await learnt(simulator)
    monkeypatch.setattr("node.engine.own_evm.MAX_BEHIND", 1)
    second = header(11, header(10))
    simulator.own_evm.follow(second)
    simulator.own_evm.follow(header(12, second))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["begun_anew"] == 2


async def test_a_reorganisation_while_a_trace_is_read_is_noticed(world: World, simulator: BundleSimulator) -> None:
    await learnt(simulator)
    world.profit = 77
    simulator.own_evm.follow(header(11, header(10)))
    await asyncio.sleep(0)
    simulator.own_evm.follow(header(11, header(10, salt="b"), salt="b"))
    await simulator.own_evm.settled()
    assert (await simulator.simulate(asked(12))).profits == (4_999,)
    await simulator.own_evm.settled()
    assert (await simulator.simulate(asked(12))).profits == (77,)


async def test_what_is_learnt_of_an_old_block_is_not_used(simulator: BundleSimulator) -> None:
    await simulator.simulate(asked(11))
    simulator.own_evm.follow(header(11, header(10)))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["learnt"] == 0


@pytest.mark.parametrize("code", [-32601, -32000])
async def test_a_node_that_does_not_trace_simulates_everything_itself(
    world: World, simulator: BundleSimulator, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    await learnt(simulator)
    world.refusing("debug_traceBlockByHash", code)
    with caplog.at_level(logging.WARNING):
        simulator.own_evm.follow(header(11, header(10)))
        await simulator.own_evm.settled()
    assert "simulates instead" in caplog.text
    for _ in range(2):
        assert (await simulator.simulate(asked(12))).profits == (4_999,)
        await simulator.own_evm.settled()
    simulator.own_evm.follow(header(12, header(11, header(10))))
    assert simulator.own_evm.counts["begun_anew"] == 2


@pytest.mark.parametrize(("late", "begun_anew"), [(1, 1), (MAX_LATE, 2)])
async def test_a_trace_that_comes_late_is_asked_for_again_before_all_that_was_learnt_is_given_up(
    late: int, begun_anew: int
) -> None:
    world, clock = World(), ManualClock()
    simulator = simulating(endpoints_to([world.node], clock))
    simulator.own_evm.follow(header(10))
    await learnt(simulator)
    world.node.hangs = True
    simulator.own_evm.follow(header(11, header(10)))
    for _ in range(late):
        await clock.until_asleep(BLOCK_TRACE_SECONDS)
        world.node.hangs = simulator.own_evm.counts["not_traced"] + 1 < late
        await clock.advance(BLOCK_TRACE_SECONDS)
    await simulator.own_evm.settled()

    assert (simulator.own_evm.counts["not_traced"], simulator.own_evm.counts["begun_anew"]) == (late, begun_anew)
    await simulator.simulate(asked(12))
    assert simulator.counts["own_evm"] == (1 if begun_anew == 1 else 0)
    await simulator.own_evm.close()


async def test_a_trace_that_is_refused_once_does_not_end_our_own_evm(world: World, simulator: BundleSimulator) -> None:
    """A node that is busy refuses, too."""
    await learnt(simulator)
    refusals = [Refuse(-32_000, "the read takes longer than a block")]

    def trace(*_: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return []

    world.node.methods["debug_traceBlockByHash"] = trace
    simulator.own_evm.follow(header(11, header(10)))
    await simulator.own_evm.settled()

    assert (await simulator.simulate(asked(12))).profits == (5_000,)
    assert (
        simulator.counts["own_evm"]
        == simulator.own_evm.counts["begun_anew"]
        == simulator.own_evm.counts["not_traced"]
        == 1
    )


async def test_a_trace_that_is_garbage_makes_it_begin_anew(world: World, simulator: BundleSimulator) -> None:
    await learnt(simulator)
    world.trace = [{"result": "nothing"}]
    simulator.own_evm.follow(header(11, header(10)))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["begun_anew"] == 2
    assert (await simulator.simulate(asked(12))).failure is None


async def test_too_much_state_is_forgotten(simulator: BundleSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    await learnt(simulator)
    monkeypatch.setattr("node.engine.own_evm.MAX_KNOWN", 1)
    simulator.own_evm.follow(header(11, header(10)))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["begun_anew"] == 2


async def test_learning_is_bounded(simulator: BundleSimulator) -> None:
    await asyncio.gather(*(simulator.simulate(asked(11)) for _ in range(MAX_LEARNING + 2)))
    assert simulator.own_evm.counts["not_learnt"] == 2
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["learnt"] == MAX_LEARNING


@pytest.mark.parametrize("code", [3, -32003, -38011])
async def test_a_bundle_that_the_node_cannot_run_reverted(world: World, simulator: BundleSimulator, code: int) -> None:
    world.refusing("eth_simulateV1", code)
    assert (await simulator.simulate(asked(11))).failure is Reason.SIMULATION_REVERTED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: world.refusing("eth_simulateV1", -32601),
        lambda world: world.node.methods.update(eth_simulateV1=lambda *_: [{"calls": [{}]}]),
        lambda world: world.node.methods.update(eth_simulateV1=lambda *_: []),
        lambda world: world.node.methods.update(eth_simulateV1=lambda *_: [{"calls": [QUIET, QUIET]}]),
    ],
)
async def test_no_answer_that_can_be_used_is_told_as_unavailable(
    world: World, simulator: BundleSimulator, spoil: Callable[[World], None]
) -> None:
    spoil(world)
    answer = await simulator.simulate(asked(11))
    assert (answer.failure, answer.profits) == (Reason.SIMULATION_UNAVAILABLE, ())
    assert simulator.counts["unavailable"] == 1


async def test_a_node_that_hangs_is_not_waited_for() -> None:
    world, clock = World(), ManualClock()
    simulator = simulating(endpoints_to([world.node], clock), own_evm=False)
    simulator.own_evm.follow(header(10))
    world.node.hangs = True
    task = asyncio.create_task(simulator.simulate(asked(11)))
    await clock.until_asleep(ANSWER_SECONDS)
    await clock.advance(ANSWER_SECONDS)
    assert (await task).failure is Reason.SIMULATION_UNAVAILABLE
    assert RpcTimeout.__name__ not in simulator.counts


async def test_a_plan_for_another_block_is_not_simulated(simulator: BundleSimulator) -> None:
    assert (await simulator.simulate(asked(12))).failure is Reason.SIMULATION_UNAVAILABLE
    fresh = simulating(endpoints_to([World().node]))
    assert (await fresh.simulate(asked(12))).failure is Reason.SIMULATION_UNAVAILABLE


async def test_what_an_execution_reads_is_traced_behind_its_victims(world: World, simulator: BundleSimulator) -> None:
    options: list[Any] = []
    trace = world.node.methods["debug_traceCall"]

    def tracing(call: Any, at: Any, how: Any) -> Any:
        options.append(how)
        return trace(call, at, how)

    world.node.methods["debug_traceCall"] = tracing
    await simulator.simulate(asked(11, victim(9)))
    await simulator.own_evm.settled()
    assert [how["stateOverrides"] for how in options] == [
        {},
        {MODULE_HEX: {"stateDiff": {"0x" + "00" * 32: "0x" + "00" * 31 + "09"}}},
    ]


async def test_a_bundle_that_fails_teaches_what_its_victims_read(world: World, simulator: BundleSimulator) -> None:
    await simulator.simulate(asked(11, victim(0)))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["learnt"] == 0
    assert (await simulator.simulate(asked(11, victim(8)))).profits == (8,)


async def test_a_node_that_never_tells_all_is_not_asked_for_ever(
    world: World, simulator: BundleSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.own_evm.MAX_ROUNDS", 1)
    await simulator.simulate(asked(11))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["learnt"] == 0


async def test_learning_that_fails_is_given_up(world: World, simulator: BundleSimulator) -> None:
    for method in ("eth_getBalance", "eth_getStorageAt", "eth_getCode", "eth_getTransactionCount"):
        world.refusing(method, -32000)
    await simulator.simulate(asked(11))
    await simulator.own_evm.settled()
    assert simulator.own_evm.counts["learnt"] == 0
    assert (await simulator.simulate(asked(11))).profits == (4_999,)


async def test_the_node_is_asked_for_the_next_block_with_all_fees(world: World, simulator: BundleSimulator) -> None:
    requests: list[Any] = []

    def simulating(request: Any, at: Any) -> Any:
        requests.append((request, at))
        return [{"calls": [QUIET, executed(1)]}]

    world.node.methods["eth_simulateV1"] = simulating
    carols = victim(5)
    await simulator.simulate(asked(11, carols))
    ((request, at),) = requests
    assert at == {"blockHash": "0x" + header(10).hash.hex()}
    (state,) = request["blockStateCalls"]
    assert int(state["blockOverrides"]["number"], 16) == 11
    theirs, ours = state["calls"]
    assert theirs["from"] == trader().address.lower()
    assert (theirs["to"], ours["from"], ours["to"]) == (MODULE_HEX, SENDER_HEX, MODULE_HEX)
    assert ours["input"] == "0x" + b"run!".hex()


def ordered(target: int, name: bytes = b"order") -> SimulateBundle:
    """Another operator's order, on its way to be accepted."""
    plan = plan_for(target, name=name)
    (execution,) = plan.executions
    order = NetworkOrder(order_of_a_finder(), Hash32(name.ljust(32)), SignatureBytes(bytes(65)), 0)
    opportunity = msgspec.structs.replace(execution.opportunity, order=order)
    executions = (msgspec.structs.replace(execution, opportunity=opportunity),)
    return SimulateBundle(msgspec.structs.replace(plan, executions=executions))


async def test_the_node_is_asked_few_things_at_once_and_an_order_before_all_finds_that_wait() -> None:
    world = World()
    simulator = simulating(endpoints_to([world.node]), own_evm=False)
    simulator.own_evm.follow(header(10))
    seen = []

    async def ask(request: SimulateBundle, name: str) -> None:
        answer = await simulator.simulate(request)
        assert answer.failure is None
        seen.append(name)

    finds = [asyncio.create_task(ask(asked(11), "find")) for _ in range(4 * MAX_ASKED)]
    await asyncio.sleep(0)
    order = asyncio.create_task(ask(ordered(11), "order"))
    await asyncio.gather(order, *finds)

    assert seen.index("order") <= 2 * MAX_ASKED
    assert simulator.counts["by_node"] == 4 * MAX_ASKED + 1


async def test_what_waits_for_its_turn_when_the_next_head_comes_is_not_simulated_any_more() -> None:
    world, clock = World(), ManualClock()
    simulator = simulating(endpoints_to([world.node], clock), own_evm=False)
    simulator.own_evm.follow(header(10))
    world.node.hangs = True
    tasks = [asyncio.create_task(simulator.simulate(asked(11))) for _ in range(MAX_ASKED + 1)]
    await clock.until_asleep(ANSWER_SECONDS)
    simulator.own_evm.follow(header(11, header(10)))
    await clock.advance(ANSWER_SECONDS)

    answers = await asyncio.gather(*tasks)

    assert {answer.failure for answer in answers} == {Reason.SIMULATION_UNAVAILABLE}
    assert (simulator.counts["by_node"], simulator.counts["stale"]) == (MAX_ASKED, 1)


async def test_an_order_does_not_wait_for_the_last_blocks_changes(world: World, simulator: BundleSimulator) -> None:
    await learnt(simulator)
    simulator.own_evm.follow(header(11, header(10)))
    answer = await asyncio.wait_for(simulator.simulate(ordered(12)), 60.0)
    assert answer.profits == (4_999,)
    assert simulator.counts["own_evm"] == 0
    await simulator.own_evm.settled()
    assert (await simulator.simulate(ordered(12))).failure is None
    assert simulator.counts["own_evm"] == 1
