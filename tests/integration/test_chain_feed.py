"""The feed on a real devnet: what the pipeline believes is what the chain holds, to the wei, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from devnet.packages import Packages
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.tcp_proxy import TcpProxy
from devnet.world import World
from node.config import ChainConfig, Config, LockstepConfig, RpcConfig
from node.engine.feed import ChainUnusable
from node.engine.rpc import public_name
from node.pipeline.events import (
    BlockArrived,
    BlockRetracted,
    Event,
    PendingTransactionSeen,
    TokenScreened,
    TokenVerdict,
)
from protocol.units import ChainId, address_to_hex
from tests.devnet_run import PARTICIPANTS, devnet, playing, session, until
from tests.engine_scene import engine_config
from tests.feed_run import following

pytestmark = pytest.mark.anvil


def config_for(world: World, http: str, ws: str, folder: Path, block_seconds: float = 0.5) -> Config:
    config = engine_config(world.manifest, folder, http, ws)
    chain = ChainConfig(id=ChainId(world.manifest.chain_id), block_seconds=block_seconds, rpcs=config.chain.rpcs)
    return engine_config(world.manifest, folder, http, ws, chain=chain)


def config_name(config: Config) -> str:
    """What the status calls the one node."""
    return public_name(config.chain.rpcs[0].http)


@asynccontextmanager
async def scene(
    packages: Packages, world: World, folder: Path, block_seconds: float = 0.5, seed: int = 7
) -> AsyncIterator[tuple[Relay, RpcClient, TcpProxy, Config]]:
    """A devnet with actors at play, its controls, and a configuration that reaches it through a proxy."""
    relay_config = RelayConfig(block_time_seconds=block_seconds, seed=seed)
    async with (
        devnet(packages, world, folder, relay_config) as relay,
        session(relay, world, folder, relay_config, seed) as actors,
        playing(actors),
        RpcClient(relay.admin_url) as controls,
        TcpProxy(relay.public_url) as proxy,
    ):
        chain = config_for(world, relay.public_url, relay.ws_url, folder, block_seconds).chain
        rpc = RpcConfig(http=proxy.http, websocket=proxy.websocket)
        chain = ChainConfig(id=chain.id, block_seconds=block_seconds, rpcs=(rpc,))
        yield relay, controls, proxy, engine_config(world.manifest, folder, chain=chain)


async def test_after_blocks_and_reorgs_with_actors_every_pool_is_as_on_the_chain(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with scene(packages, world, tmp_path) as (_, controls, _, config), following(config) as follower:
        start = follower.head
        await follower.until(lambda: follower.head >= start + 6)
        assert len(follower.pipeline.market.specs) == 50
        assert await follower.differences() == {}
        assert follower.of_kind(PendingTransactionSeen)
        assert any(event.pool_changes for event in follower.of_kind(BlockArrived))
        for depth in range(1, 6):
            before = len(follower.of_kind(BlockRetracted))
            replaced = await controls.call("devnet_reorg", depth)
            await follower.until(partial(follower.has_told, bytes.fromhex(replaced["hash"][2:])))
            # The newest block may have been replaced before it was read; those below it were told.
            assert len(follower.of_kind(BlockRetracted)) >= before + depth - 1
            assert await follower.differences() == {}
        status, counts = follower.feed.status, follower.feed.status.counts
        assert status.pending_seen >= status.pending_read > 0
        assert counts["audit audited"] > 0
        assert counts.get("audit differed", 0) == 0
        assert counts.get("logs malformed", 0) == 0
        assert counts.get("mempool malformed", 0) == 0


async def test_after_a_cut_of_the_connection_the_gap_is_filled(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with scene(packages, world, tmp_path) as (relay, _, proxy, config), following(config) as follower:
        start = follower.head
        await follower.until(lambda: follower.head >= start + 1)
        await proxy.cut()
        cut_at = follower.head
        await until(lambda: relay.parts.chain.head.number >= cut_at + 4)
        await follower.until(lambda: "no connection" in follower.feed.status.rpcs[config_name(config)])
        await proxy.restore()
        await follower.until(lambda: follower.head >= cut_at + 5)
        numbers = [event.number for event in follower.of_kind(BlockArrived)]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert await follower.differences() == {}
        await follower.until(lambda: follower.feed.status.rpcs == {config_name(config): "ok"})
        assert follower.feed.status.phase == "running"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "refuse"}, "refused with"),
        ({"kind": "garbage"}, "not JSON-RPC"),
        ({"kind": "hang"}, "no answer within"),
        ({"kind": "lie", "lie": "head"}, "says block"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_a_node_that_misbehaves_is_benched_with_the_reason_and_followed_again(
    packages: Packages, world: World, tmp_path: Path, fault: dict[str, str], told: str
) -> None:
    async with scene(packages, world, tmp_path) as (_, controls, _, config), following(config) as follower:
        await controls.call("devnet_setFault", {"endpoint": "public", **fault})
        await follower.until(lambda: told in follower.feed.status.rpcs[config_name(config)])
        assert follower.feed.status.phase == "behind"
        await controls.call("devnet_clearFaults")
        await follower.until(lambda: follower.feed.status.rpcs == {config_name(config): "ok"})
        head = follower.head
        await follower.until(lambda: follower.head >= head + 2)
        assert await follower.differences() == {}


async def test_a_stale_head_is_told_and_the_node_followed_once_it_moves(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with scene(packages, world, tmp_path) as (_, controls, _, config), following(config) as follower:
        await controls.call("devnet_setFault", {"endpoint": "public", "kind": "stale_head"})
        await follower.until(lambda: follower.feed.status.phase == "behind")
        head = follower.head
        await controls.call("devnet_clearFaults")
        await follower.until(lambda: follower.head >= head + 2)
        assert await follower.differences() == {}
        assert follower.feed.status.phase == "running"


async def test_a_node_on_another_chain_is_told_at_once(packages: Packages, world: World, tmp_path: Path) -> None:
    async with devnet(packages, world, tmp_path, RelayConfig()) as relay:
        config = config_for(world, relay.public_url, relay.ws_url, tmp_path)
        other = ChainConfig(id=ChainId(1), block_seconds=2.0, rpcs=config.chain.rpcs)
        with pytest.raises(ChainUnusable, match=r"on chain 31337, not 1: set chain\.id"):
            async with following(engine_config(world.manifest, tmp_path, chain=other)):
                raise AssertionError
        lockstep = LockstepConfig(participant="alice", admin_url=relay.admin_url)
        with pytest.raises(ChainUnusable, match="on chain 31337, not 1"):
            async with following(engine_config(world.manifest, tmp_path, chain=other, lockstep=lockstep)):
                raise AssertionError


async def test_tokens_that_take_a_fee_rebase_or_refuse_are_not_trusted(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    async with devnet(packages, world, tmp_path, RelayConfig()) as relay:
        config = config_for(world, relay.public_url, relay.ws_url, tmp_path)
        async with following(config) as follower:
            by_address = {token.address.lower(): token.symbol for token in world.manifest.tokens}
            by_address[world.manifest.contracts["share_vault"].lower()] = "shares"
            screened = {by_address[address_to_hex(e.token)]: e for e in follower.of_kind(TokenScreened)}
            shares = screened.pop("shares")
            assert (shares.verdict, shares.trusted) == (TokenVerdict.UNKNOWN, False)
            special = {"FEE": TokenVerdict.TAKES_FEE, "REB": TokenVerdict.REBASES, "BAN": TokenVerdict.BLACKLISTS}
            assert {name: event.verdict for name, event in screened.items()} == {
                token.symbol: special.get(token.symbol, TokenVerdict.PLAIN) for token in world.manifest.tokens
            }
            assert {name for name, event in screened.items() if not event.trusted} == set(special)
            assert follower.feed.status.tokens_refused == 4
            assert follower.feed.status.tokens_trusted == 9


async def _lockstep_run(packages: Packages, world: World, folder: Path, blocks: int) -> list[Event]:
    """Follow so many blocks in lockstep as a participant that sends nothing; return the events."""
    folder.mkdir()
    relay_config = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS + 1, seed=3)
    async with (
        devnet(packages, world, folder, relay_config) as relay,
        session(relay, world, folder, relay_config, 3) as actors,
        playing(actors),
        RpcClient(relay.admin_url) as controls,
    ):
        base = config_for(world, relay.public_url, relay.ws_url, folder, 2.0)
        lockstep = LockstepConfig(participant="alice", admin_url=relay.admin_url)
        config = engine_config(world.manifest, folder, chain=base.chain, lockstep=lockstep)
        stop = asyncio.Event()

        async def pass_stage(block: int, stage: int) -> None:
            if stage != 1:
                return
            if block >= world.manifest.block_number + blocks:
                stop.set()
                await asyncio.Event().wait()
            await controls.call("devnet_barrier", "alice", block, stage)

        async with following(config, pass_stage) as follower:
            await controls.call("devnet_join", "alice", 1)
            await follower.until(stop.is_set)
            assert await follower.differences() == {}
            return list(follower.events)


async def test_in_lockstep_one_seed_gives_equal_events(packages: Packages, world: World, tmp_path: Path) -> None:
    first = await _lockstep_run(packages, world, tmp_path / "first", 8)
    second = await _lockstep_run(packages, world, tmp_path / "second", 8)
    assert [repr(event) for event in first] == [repr(event) for event in second]
    seen = [event for event in first if isinstance(event, PendingTransactionSeen)]
    assert len(seen) > 5
    assert any(event.account_nonce is not None for event in seen)
    assert all(event.account_nonce is not None for event in seen)
