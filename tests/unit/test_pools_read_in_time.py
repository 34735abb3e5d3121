"""Pools that strangers make may take a node as long as they please: those of others wait for no more than a group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from node.config import FactoryConfig, LockstepConfig
from node.engine.headers import header_from_json
from node.engine.multicall import Multicall
from node.engine.pool_logs import PoolLogs
from node.engine.pool_reading import PoolReader
from node.engine.rpc import RpcTimeout
from node.engine.upkeep import GROUP_SECONDS, PASS_SECONDS, Upkeep
from node.engine.wanted_pools import POOLS_AT_ONCE
from node.pipeline.events import Event, PoolSynced, TokenVerdict
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec
from protocol.units import Address
from tests.engine_scene import engine_config
from tests.fake_blocks import header_json
from tests.fake_chain_node import endpoints_to
from tests.fake_contracts import MULTICALL3, USDC, V2, WETH, FakeContracts
from tests.manual_clock import ManualClock

BURNS_SECONDS = 14.0
"""A request with a view that takes all the gas; a node would give up after 15."""


def pair(number: int) -> PoolSpec:
    address = Address(b"\xa7" * 18 + number.to_bytes(2, "big"))
    return PoolSpec(address, PoolFamily.UNISWAP_V2, address, (WETH, USDC), 3000)


class SlowNode:
    """A chain of pairs, some of which make each request that asks them take its time, and fail where it asks others."""

    def __init__(self, count: int, slow: Sequence[int], *, seconds: float = BURNS_SECONDS, burns: bool = True) -> None:
        self.clock, contracts = ManualClock(), FakeContracts()
        self.specs = [pair(number) for number in range(1, count + 1)]
        for spec in self.specs:
            contracts.view(spec.address, "getReserves()", 1000, 2000, 1)
        self.slow = {self.specs[index].id for index in slow}
        self._names = [pool_id.hex().encode() for pool_id in self.slow]
        self._seconds, self._burns, self._post = seconds, burns, contracts.node.post
        contracts.node.post = self._slowly  # type: ignore[method-assign]
        self.told: list[tuple[float, PoolId]] = []
        self.screened_at: list[float] = []
        self.endpoints = endpoints_to([contracts.node], self.clock)
        self.requests = contracts.requests

    def make_quick(self) -> None:
        self._names.clear()

    async def _slowly(self, body: bytes) -> tuple[int, bytes]:
        await asyncio.sleep(0)  # a deadline begins
        if any(name in body for name in self._names):
            await self.clock.advance(self._seconds)
            for _ in range(10):
                await asyncio.sleep(0)  # a deadline that has passed ends this
            if self._burns:
                request = orjson.loads(body)
                error = {"code": -32000, "message": "out of gas"}
                return 200, orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error})
        return await self._post(body)

    def emit(self, event: Event) -> None:
        if isinstance(event, PoolSynced):
            self.told.append((self.clock.monotonic(), event.pool_id))

    def upkeep(self, **config: Any) -> Upkeep:
        factory = FactoryConfig(family=PoolFamily.UNISWAP_V2, address=V2)
        logs = PoolLogs([factory])
        for spec in self.specs:
            logs.follow(spec)

        async def screened(tokens: Mapping[Address, Sequence[Address]], _: bytes) -> dict[Address, TokenVerdict]:
            self.screened_at.append(self.clock.monotonic())
            return dict.fromkeys(tokens, TokenVerdict.UNKNOWN)

        readers = SimpleNamespace(
            blocks=SimpleNamespace(head=header_from_json(orjson.dumps(header_json(7))), is_told=lambda _: True),
            mempool=SimpleNamespace(unasked={}),
            logs=logs,
            pools=PoolReader(Multicall(self.endpoints, MULTICALL3), {PoolFamily.UNISWAP_V2: V2}),
            endpoints=self.endpoints,
            load=SimpleNamespace(is_over=True),
            loans=None,
            morpho=None,
            screen=SimpleNamespace(screen=screened),
        )
        upkeep = Upkeep(engine_config(**config), readers, self.emit, self.clock)  # type: ignore[arg-type]
        upkeep.resync(())
        return upkeep

    def honest(self) -> set[PoolId]:
        return {spec.id for spec in self.specs} - self.slow


async def test_what_else_waits_is_served_before_all_that_burn_gas_are_read() -> None:
    node = SlowNode(POOLS_AT_ONCE, range(0, POOLS_AT_ONCE, 8))
    upkeep = node.upkeep()
    upkeep._unscreened[WETH] = None
    await upkeep.work()
    assert node.screened_at[0] <= PASS_SECONDS + GROUP_SECONDS
    assert node.clock.monotonic() > 3 * (PASS_SECONDS + GROUP_SECONDS)


async def test_pools_of_others_wait_for_one_group_that_burns_gas_and_nothing_is_lost() -> None:
    node = SlowNode(3 * POOLS_AT_ONCE, range(20))
    upkeep = node.upkeep()
    await upkeep.work()
    assert upkeep.is_idle
    told = {pool_id: at for at, pool_id in node.told}
    assert told.keys() == node.honest()
    others = {spec.id for spec in node.specs[POOLS_AT_ONCE:]}
    assert max(told[pool_id] for pool_id in others) <= GROUP_SECONDS + BURNS_SECONDS
    assert upkeep.counts["unreadable"] == len(node.slow)
    assert upkeep.counts["late"] > POOLS_AT_ONCE
    assert not upkeep._wanted._late


async def test_pools_that_are_slow_again_and_again_come_behind_all_others_from_the_start() -> None:
    node = SlowNode(2 * POOLS_AT_ONCE, [3, 9])
    upkeep = node.upkeep()
    await upkeep.work()
    for _ in range(8):
        late, begun = upkeep.counts["late"], node.clock.monotonic()
        node.told.clear()
        upkeep.resync(())
        await upkeep.work()
    assert {pool_id for at, pool_id in node.told if at == begun} == node.honest()
    assert upkeep.counts["late"] == late
    node.make_quick()
    for _ in range(2):
        upkeep.resync(())
        node.requests.clear()
        await upkeep.work()
    assert len(node.requests) == 2, "they are forgiven"


async def test_where_a_node_gives_no_answer_for_one_pool_all_others_are_read() -> None:
    node = SlowNode(2 * POOLS_AT_ONCE, [5], seconds=16.0)
    upkeep = node.upkeep()
    failures = 0
    while len(node.told) < len(node.specs) - 1:
        with pytest.raises(RpcTimeout):
            await upkeep.work()
        failures += 1
        assert failures < 10
    assert {pool_id for _, pool_id in node.told} == node.honest()
    assert set(upkeep._wanted) == node.slow, "it is asked again"


@pytest.mark.parametrize("burns", [True, False])
async def test_a_pool_by_itself_is_read_to_the_end_however_long_that_takes(
    monkeypatch: pytest.MonkeyPatch, burns: bool
) -> None:
    monkeypatch.setattr("node.engine.upkeep.GROUP_SECONDS", 0.9 * BURNS_SECONDS)
    node = SlowNode(POOLS_AT_ONCE, range(0, POOLS_AT_ONCE, 4), burns=burns)
    upkeep = node.upkeep()
    await asyncio.wait_for(upkeep.work(), 20)
    read = {pool_id for _, pool_id in node.told}
    assert read == (node.honest() if burns else node.honest() | node.slow)
    assert upkeep.counts["unreadable"] == (len(node.slow) if burns else 0)


async def test_pools_that_were_late_get_turns_though_others_never_end() -> None:
    node = SlowNode(3 * POOLS_AT_ONCE, [0])
    upkeep, late = node.upkeep(), {spec.id for spec in node.specs[:POOLS_AT_ONCE]}
    told, rest = set[PoolId](), [spec.id for spec in node.specs[POOLS_AT_ONCE:]]

    def emit(event: Event) -> None:
        if isinstance(event, PoolSynced):
            told.add(event.pool_id)
            if not late - node.slow <= told:
                upkeep.resync(rest)

    upkeep._emit = emit
    await asyncio.wait_for(upkeep.work(), 20)
    assert late - node.slow <= told


async def test_in_lockstep_everything_is_waited_for() -> None:
    node = SlowNode(POOLS_AT_ONCE, [3])
    upkeep = node.upkeep(lockstep=LockstepConfig(participant="alice", admin_url="http://nobody"))
    await upkeep.work()
    assert upkeep.counts["late"] == 0
    assert {pool_id for _, pool_id in node.told} == node.honest()
