"""The market is written to disk also while upkeep always has something to do, or something fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import orjson
import pytest

from node.config import Config
from node.engine import market_snapshot
from node.engine.first_load import SAVE_PAUSE
from node.engine.headers import header_from_json
from node.engine.upkeep import SNAPSHOT_BLOCKS, Upkeep
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.changes import changed
from node.pipeline.events import BlockArrived, Event, PoolSynced, ResyncPools, StateOutdated
from protocol.units import Address, ChainId
from tests.engine_scene import engine_config
from tests.fake_blocks import header_json
from tests.fake_chain_node import endpoints_to
from tests.fake_contracts import USDC, V2, WETH, log, words
from tests.feed_scene import PAIR, SYNC, Announcer, Fast, Running, World, config_of, running
from tests.manual_clock import ManualClock

QUIET = Address((2).to_bytes(20))
"""A pair that is read once; from then on blocks tell of it."""


class Restless(Running):
    """Asks for the first pair again whenever it was read, once it is told to; takes in what blocks tell."""

    is_restless = False
    reads = 0
    """Since it is restless: they are too many to be kept."""

    def emit(self, event: Event) -> None:
        if isinstance(event, PoolSynced) and event.pool_id == PAIR and self.is_restless:
            self.reads += 1
            self.feed.resync(ResyncPools((PAIR,), "again"))
            return
        super().emit(event)
        if isinstance(event, BlockArrived):
            for change in event.pool_changes:
                assert not isinstance(change, StateOutdated)
                self.states[change.pool_id] = changed(self.states[change.pool_id], change)


@asynccontextmanager
async def restless(world: World, announcer: Announcer, config: Config) -> AsyncIterator[Restless]:
    """A feed whose market is there, and which is never idle from then on."""
    subject = Restless(config, endpoints_to([world.node()]), announcer, Fast())
    subject.task = asyncio.create_task(subject.feed.run())
    try:
        await subject.until(subject.feed.ready.is_set)
        subject.is_restless = True
        subject.feed.resync(ResyncPools((PAIR,), "again"))
        yield subject
    finally:
        subject.task.cancel()
        await asyncio.gather(subject.task, return_exceptions=True)


async def until_told(subject: Running, number: int) -> None:
    await subject.until(lambda: subject.of_kind(BlockArrived)[-1].number == number)


async def until_read_twice(subject: Restless) -> None:
    """Once at the head before at most, so once at the newest head at least."""
    reads = subject.reads
    await subject.until(lambda: subject.reads > reads + 1)


def with_a_quiet_pair(world: World) -> World:
    pairs = {index.to_bytes(32): (b"\x00" * 12 + pair) for index, pair in enumerate((PAIR, QUIET))}
    world.contracts.view(V2, "allPairsLength()", 2)
    world.contracts.answer(V2, "allPairs(uint256)", pairs.get)
    world.contracts.view(QUIET, "token0()", int.from_bytes(WETH))
    world.contracts.view(QUIET, "token1()", int.from_bytes(USDC))
    world.contracts.view(QUIET, "getReserves()", 3, 3, 1)
    return world


async def test_what_is_written_while_there_is_always_something_to_do_is_the_state_of_the_block_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.upkeep.SNAPSHOT_BLOCKS", 2)
    monkeypatch.setattr("node.engine.upkeep.SAVE_PAUSE", 0)
    world, announcer = with_a_quiet_pair(World()), Announcer()
    async with restless(world, announcer, msgspec.structs.replace(config_of(), data_folder=tmp_path)) as subject:
        written = set[int]()
        for number in range(4, 16):
            announcer.tell("newHeads", world.extend(log(QUIET, SYNC, [], words(number, number))))
            await until_told(subject, number)
            await until_read_twice(subject)
            snapshot = market_snapshot.read(tmp_path / market_snapshot.FILE_NAME, ChainId(1))
            assert snapshot is not None
            assert snapshot.states[QUIET] == ConstantProductPool(snapshot.number, snapshot.number)
            written.add(snapshot.number)
        assert not subject.feed._upkeep.is_idle
    assert len(written) > 3


async def test_the_market_is_written_though_something_beside_the_blocks_fails_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.upkeep.SNAPSHOT_BLOCKS", 2)
    world, announcer = World(), Announcer()
    node = world.node()
    del node.methods["eth_getStorageAt"]  # no token is screened
    config = msgspec.structs.replace(config_of(), data_folder=tmp_path)
    async with running([node], announcer, config) as subject:
        await subject.until(lambda: PAIR in subject.states)
        for number in range(4, 8):
            announcer.tell("newHeads", world.extend())
            await until_told(subject, number)
        await subject.until(lambda: subject.feed.status.counts.get("memory written"))
        snapshot = market_snapshot.read(tmp_path / market_snapshot.FILE_NAME, ChainId(1))
        assert snapshot is not None
        assert snapshot.states == {PAIR: ConstantProductPool(1000, 2000)}
        assert not subject.feed.ready.is_set()


async def test_of_the_time_a_tenth_at_most_goes_into_writing_however_short_blocks_are() -> None:
    clock, written = ManualClock(), list[int]()
    seconds = 0.02
    blocks = SimpleNamespace(head=None)

    def keep(head: object, _states: object) -> None:
        time.sleep(seconds)
        written.append(blocks.head.number)

    readers = SimpleNamespace(
        blocks=blocks,
        mempool=SimpleNamespace(unasked={}),
        logs=[],
        loans=None,
        morpho=None,
        load=SimpleNamespace(begin=lambda *_: None),
        memory=SimpleNamespace(is_kept=True, keep=keep),
    )
    upkeep = Upkeep(engine_config(), readers, lambda _: None, clock)  # type: ignore[arg-type]
    upkeep.load_begins()
    for number in range(4):
        blocks.head = header_from_json(orjson.dumps(header_json(number * SNAPSHOT_BLOCKS)))
        await upkeep.work()
    assert written == [SNAPSHOT_BLOCKS]
    await clock.advance(0.9 * SAVE_PAUSE * seconds)
    await upkeep.work()
    assert written == [SNAPSHOT_BLOCKS]
    await clock.advance(1_000.0)
    await upkeep.work()
    assert written == [SNAPSHOT_BLOCKS, 3 * SNAPSHOT_BLOCKS]
