"""The chain's feed on nodes in memory: several of them, good and bad, and what it asks beside the blocks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from node.clock import SystemClock
from node.config import FactoryConfig
from node.engine.feed import ChainUnusable, FeedHooks
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.events import BlockArrived, PoolQuarantined, PoolSynced, ResyncPools, TokenScreened, TokenVerdict
from node.pipeline.pools import PoolFamily
from protocol.units import Address
from tests.fake_chain_node import FakeNode, endpoints_to, unplugged
from tests.fake_contracts import ODD, USDC, V2, VAULT, WETH, log, words
from tests.feed_scene import PAIR, SYNC, Announcer, Fast, Held, Running, World, config_of, numbers, running


async def test_a_feed_that_does_not_run_is_starting_and_not_ready() -> None:
    subject = Running(config_of(), endpoints_to([FakeNode()]), Announcer(), SystemClock())
    assert not subject.feed.ready.is_set()
    assert subject.feed.status.phase == "starting"
    assert subject.feed.now() == 7
    assert subject.events == []


async def test_it_starts_with_the_head_pools_states_and_verdicts() -> None:
    async with running([World().node()], Announcer()) as subject:
        await subject.until(subject.feed.ready.is_set)
        assert numbers(subject.of_kind(BlockArrived)) == [3]
        assert [header.number for header in subject.before] == [3]
        assert subject.states == {PAIR: ConstantProductPool(1000, 2000)}
        trusted = {event.token: event.trusted for event in subject.of_kind(TokenScreened)}
        assert trusted == {WETH: True, USDC: False}
        assert subject.feed.verdicts == {WETH: TokenVerdict.UNKNOWN, USDC: TokenVerdict.UNKNOWN}
        status = subject.feed.status
        assert (status.phase, status.head_number, status.tokens_trusted, status.tokens_refused) == ("running", 3, 1, 1)


async def test_a_restart_knows_the_market_without_reading_it_and_a_spoilt_file_is_read_anew(tmp_path: Path) -> None:
    world, config = World(), msgspec.structs.replace(config_of(), data_folder=tmp_path)
    for spoil in (False, False, True):
        snapshot = tmp_path / "market.snapshot"
        if spoil:
            snapshot.write_bytes(snapshot.read_bytes()[:-1])
        kept = snapshot.exists() and not spoil
        async with running([world.node()], Announcer(), config) as subject:
            await subject.until(subject.feed.ready.is_set)
            assert subject.states == {PAIR: ConstantProductPool(1000, 2000)}
            counts = subject.feed.status.counts
            assert counts.get("memory restored", 0) == (1 if kept else 0)
            assert counts.get("upkeep synced", 0) == (0 if kept else 1)
            assert counts.get("memory refused", 0) == (1 if spoil else 0)
        assert snapshot.exists()


async def test_blocks_that_come_while_pools_are_looked_for_are_in_the_states_of_a_restart(tmp_path: Path) -> None:
    world, announcer = World(), Announcer()
    config = msgspec.structs.replace(config_of(), data_folder=tmp_path)
    async with running([world.node()], Announcer(), config) as first:
        await first.until(first.feed.ready.is_set)
    node = world.node()
    held = Held(node)
    async with running([node], announcer, config) as subject:
        await held.asked.wait()
        world.contracts.view(PAIR, "getReserves()", 5, 6, 1)
        announcer.tell("newHeads", world.extend(log(PAIR, SYNC, [], words(5, 6))))
        await subject.until(lambda: len(subject.of_kind(BlockArrived)) == 2)
        held.release()
        await subject.until(subject.feed.ready.is_set)
        assert [(event.block, event.state) for event in subject.of_kind(PoolSynced)] == [(4, ConstantProductPool(5, 6))]
        assert subject.feed.status.counts["memory restored"] > 0
        assert subject.feed.status.counts.get("upkeep synced", 0) == 0


@pytest.mark.parametrize("seconds_between_saves", [10.0, 0.0])
async def test_before_the_market_is_discovered_nothing_is_written_in_the_place_of_what_is_kept_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_between_saves: float
) -> None:
    monkeypatch.setattr("node.engine.first_load.SECONDS_BETWEEN_SAVES", seconds_between_saves)
    world, snapshot = World(), tmp_path / "market.snapshot"
    vault = FactoryConfig(family=PoolFamily.BALANCER_V2_WEIGHTED, address=VAULT)
    config = msgspec.structs.replace(config_of(factories=[vault]), data_folder=tmp_path)
    async with running([world.node()], Announcer(), config) as first:
        await first.until(first.feed.ready.is_set)
    kept = snapshot.read_bytes()
    _weighted_pool(world)
    world.extend(log(VAULT, "Swap(bytes32,address,address,uint256,uint256)", [b"\x09" * 32, USDC, WETH], words(8, 3)))

    for is_cut_short in (True, False):
        node = world.node()
        held = Held(node, b"fromBlock")  # the market is looked for
        async with running([node], Announcer(), config) as subject:
            await subject.until(lambda: b"\x09" * 32 in subject.states)
            await held.asked.wait()
            await subject.feed.settled()
            assert subject.feed.status.load is not None
            assert subject.feed.status.load.whole > 5, "it counts the blocks of both factories, no pools"
            assert snapshot.read_bytes() == kept
            if not is_cut_short:
                held.release()
                await subject.until(subject.feed.ready.is_set)
                assert PAIR in subject.states
                assert subject.feed.status.counts["memory restored"] > 0
                assert subject.feed.status.counts["upkeep synced"] == 1
                await subject.until(lambda: subject.feed.status.counts.get("memory written"))
        assert (snapshot.read_bytes() == kept) is is_cut_short


async def test_announced_blocks_are_told_with_their_changes() -> None:
    world, announcer = World(), Announcer()
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        world.contracts.view(PAIR, "getReserves()", 5, 6, 1)
        announcer.tell("newHeads", world.extend(log(PAIR, SYNC, [], words(5, 6))))
        await subject.until(lambda: len(subject.of_kind(BlockArrived)) == 2)
        assert subject.of_kind(BlockArrived)[-1].pool_changes[0].reserve0 == 5


async def test_a_malformed_log_quarantines_its_pool_until_it_is_read_anew() -> None:
    world, announcer = World(), Announcer()
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        announcer.tell("newHeads", world.extend(log(PAIR, SYNC, [], words(5))))
        await subject.until(lambda: len(subject.of_kind(PoolSynced)) == 2)
        (quarantined,) = subject.of_kind(PoolQuarantined)
        assert "malformed" in quarantined.why


async def test_the_audit_quarantines_a_pool_that_the_chain_holds_otherwise() -> None:
    world, announcer = World(), Announcer()
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        world.contracts.view(PAIR, "getReserves()", 5, 6, 1)
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: subject.states[PAIR] == ConstantProductPool(5, 6))
        (quarantined,) = subject.of_kind(PoolQuarantined)
        assert "audit at block 4: its state is another one on the chain" in quarantined.why


async def test_a_pool_of_the_vault_that_is_used_is_found_then() -> None:
    world, announcer = World(), Announcer()
    vault = FactoryConfig(family=PoolFamily.BALANCER_V2_WEIGHTED, address=VAULT)
    swap = log(VAULT, "Swap(bytes32,address,address,uint256,uint256)", [b"\x09" * 32, USDC, WETH], words(8, 3))
    async with running([world.node()], announcer, config_of(factories=[vault])) as subject:
        await subject.until(subject.feed.ready.is_set)
        _weighted_pool(world)
        announcer.tell("newHeads", world.extend(swap))
        await subject.until(lambda: b"\x09" * 32 in subject.states)
        await subject.until(lambda: ODD in subject.feed.verdicts)


async def test_a_pool_of_the_vault_is_read_at_no_block_before_its_logs_are_followed() -> None:
    world, announcer = World(), Announcer()
    vault = FactoryConfig(family=PoolFamily.BALANCER_V2_WEIGHTED, address=VAULT)
    swap = log(VAULT, "Swap(bytes32,address,address,uint256,uint256)", [b"\x09" * 32, USDC, WETH], words(8, 3))
    node = world.node()
    async with running([node], announcer, config_of(factories=[vault])) as subject:
        await subject.until(subject.feed.ready.is_set)
        _weighted_pool(world)
        held = Held(node)
        announcer.tell("newHeads", world.extend(swap))
        await held.asked.wait()
        announcer.tell("newHeads", world.extend(swap))
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 5)
        held.release()
        await subject.until(lambda: b"\x09" * 32 in subject.states)
        read = [event.block for event in subject.of_kind(PoolSynced) if event.pool_id == b"\x09" * 32]
        assert min(read) == 5


def _weighted_pool(world: World) -> None:
    """The pool of the id of nines at the vault."""
    tokens = ["0x" + WETH.hex(), "0x" + ODD.hex()]
    pool = Address(b"\x09" * 20)
    view = world.contracts.view
    view(VAULT, "getPoolTokens(bytes32)", tokens, [10, 20], 1, types="address[] uint256[] uint256")
    view(pool, "getNormalizedWeights()", [5 * 10**17] * 2, types="uint256[]")
    view(pool, "getSwapFeePercentage()", 10**15)
    view(WETH, "decimals()", 18)
    view(ODD, "decimals()", 18)


async def test_a_pool_that_cannot_be_read_is_left_and_one_nobody_follows_forgotten() -> None:
    world, announcer = World(), Announcer()
    del world.contracts.views[PAIR, next(key for target, key in world.contracts.views if target == PAIR)]
    world.contracts.view(PAIR, "token0()", int.from_bytes(WETH))
    world.contracts.view(PAIR, "getReserves()", 1 << 112, 1, 1)
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        subject.feed.resync(ResyncPools((b"\x77" * 20,), "nobody"))
        await subject.feed.settled()
        assert subject.states == {}
        assert subject.feed.status.counts["upkeep unreadable"] == 1


async def test_what_fails_beside_the_blocks_holds_nothing_else_up() -> None:
    world, announcer = World(), Announcer()
    node = world.node()
    del node.methods["eth_getStorageAt"]  # no token is screened
    async with running([node], announcer) as subject:
        await subject.until(lambda: PAIR in subject.states)
        await subject.until(lambda: node.asked.count("eth_getStorageAt") > 1)
        audited = node.asked.count("eth_call")
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 4)
        await subject.until(lambda: node.asked.count("eth_call") > audited)
        assert not subject.feed.ready.is_set()


async def test_pools_beyond_the_bound_are_not_followed() -> None:
    world = World()
    world.contracts.view(V2, "allPairsLength()", 1)
    config = config_of(factories=[FactoryConfig(family=PoolFamily.BALANCER_V2_WEIGHTED, address=VAULT)])
    config = msgspec.structs.replace(config, bounds=msgspec.structs.replace(config.bounds, max_pools=1))
    _weighted_pool(world)
    registered = log(VAULT, "PoolRegistered(bytes32,address,uint8)", [b"\x09" * 32, ODD], words(0))
    async with running([world.node()], announcer := Announcer(), config) as subject:
        await subject.until(subject.feed.ready.is_set)
        announcer.tell("newHeads", world.extend(registered))
        await subject.until(lambda: subject.feed.status.counts.get("upkeep beyond_max_pools"))
        assert set(subject.states) == {PAIR}


async def test_all_pools_are_read_anew_when_all_are_asked_for() -> None:
    world = World()
    async with running([world.node()], Announcer()) as subject:
        await subject.until(subject.feed.ready.is_set)
        before = len(subject.of_kind(PoolSynced))
        subject.feed.resync(ResyncPools((), "a reorg too deep"))
        await subject.feed.settled()
        assert len(subject.of_kind(PoolSynced)) == before + 1


async def test_while_the_node_is_gone_it_waits_and_goes_on_after() -> None:
    world, announcer = World(), Announcer()
    node = world.node()
    node.misbehaviour = unplugged
    async with running([node], announcer) as subject:
        await subject.until(lambda: "no connection" in subject.feed.status.rpcs["http://alice:8545"])
        node.misbehaviour = None
        await subject.until(subject.feed.ready.is_set)
        node.misbehaviour = unplugged
        announcer.tell("newHeads", world.extend())
        subject.feed.resync(ResyncPools((PAIR,), "doubt"))
        await subject.until(lambda: "no connection" in subject.feed.status.rpcs["http://alice:8545"])
        node.misbehaviour = None
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 4)
        await subject.feed.settled()


async def test_a_block_that_cannot_be_read_is_tried_again() -> None:
    world, announcer = World(), Announcer()
    node = world.node()
    async with running([node], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        logs = node.methods.pop("eth_getLogs")
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: subject.feed.status.counts.get("blocks_read_again", 0) > 3)
        assert subject.before[-1].number == 3, "nothing is judged of a block that may never be told"
        node.methods["eth_getLogs"] = logs
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 4)


async def test_pools_are_discovered_later_where_a_node_fails_at_first() -> None:
    world = World()
    node = world.node()
    call = node.methods.pop("eth_call")
    async with running([node], Announcer()) as subject:
        await subject.until(lambda: node.asked.count("eth_call") > 1)
        assert not subject.feed.ready.is_set()
        node.methods["eth_call"] = call
        await subject.until(subject.feed.ready.is_set)


async def test_nodes_on_another_chain_end_the_feed_with_advice() -> None:
    node = World().node()
    node.methods["eth_chainId"] = lambda: "0x5"
    with pytest.raises(ChainUnusable, match=r"alice:8545: on chain 5, not 1; .*set chain\.id"):
        async with running([node, node], Announcer()) as subject:
            await subject.until(subject.feed.ready.is_set)


async def test_it_is_behind_while_no_block_comes() -> None:
    class Far(Fast):
        shift = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.shift

    world, announcer, clock = World(), Announcer(), Far()
    subject = Running(config_of(), endpoints_to([world.node()], clock), announcer, clock)
    subject.task = asyncio.create_task(subject.feed.run())
    try:
        await subject.until(subject.feed.ready.is_set)
        clock.shift = 1_000.0
        assert subject.feed.status.phase == "behind"
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: subject.feed.status.phase == "running")
    finally:
        subject.task.cancel()
        await asyncio.gather(subject.task, return_exceptions=True)


def test_hooks_need_no_more_than_emit_and_state_of() -> None:
    hooks = FeedHooks(emit=lambda _event: None, state_of=lambda _pool: None)
    assert msgspec.structs.asdict(hooks)["before_block"] is None
