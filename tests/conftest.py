"""Fixtures for the whole suite: the packages, a bare Anvil, and the world, each set up at most once a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devnet.anvil import Anvil, AnvilOptions
from devnet.home import Home
from devnet.packages import Packages, ensure_packages
from devnet.rpc import RpcClient
from devnet.world import World, ensure_world
from tests.chain import Chain


def quiet(_line: str) -> None:
    """A `Progress` that says nothing."""


@pytest.fixture(scope="session")
def home() -> Home:
    """The home of this run: `$HFTNODE_HOME` where it is set, shared by all workers under its file locks."""
    return Home.from_environment()


@pytest.fixture(scope="session")
def packages(home: Home) -> Packages:
    """The npm packages, installed by the worker that comes first."""
    return ensure_packages(home, quiet)


@pytest.fixture(scope="session")
async def shared_anvil(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Anvil]:
    """The worker's one bare Anvil; tests take `anvil`, which gives it back as it was."""
    log_path: Path = tmp_path_factory.mktemp("anvil") / "anvil.log"
    async with Anvil(packages.anvil, AnvilOptions(), log_path) as anvil:
        yield anvil


@pytest.fixture
async def anvil(shared_anvil: Anvil) -> AsyncIterator[Anvil]:
    """A bare Anvil, undone after the test."""
    async with undone(shared_anvil):
        yield shared_anvil


@pytest.fixture(scope="session")
async def world(home: Home, packages: Packages) -> World:
    """The world, built by the worker that comes first."""
    return await ensure_world(home, packages, quiet)


@pytest.fixture(scope="session")
async def shared_world_anvil(
    packages: Packages, world: World, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Anvil]:
    """The worker's one Anvil with the world; tests take `world_anvil`, which gives it back as it was."""
    log_path: Path = tmp_path_factory.mktemp("world") / "anvil.log"
    async with Anvil(packages.anvil, AnvilOptions(load_state=world.state_path), log_path) as anvil:
        yield anvil


@pytest.fixture
async def world_anvil(shared_world_anvil: Anvil) -> AsyncIterator[Anvil]:
    """An Anvil with the world, undone after the test."""
    async with undone(shared_world_anvil):
        yield shared_world_anvil


@asynccontextmanager
async def undone(anvil: Anvil) -> AsyncIterator[None]:
    """Undo in the end what the block does to the chain: state, pending transactions, time and base fee."""
    async with RpcClient(anvil.url) as rpc:
        snapshot = await rpc.call("evm_snapshot")
        head = await rpc.call("eth_getBlockByNumber", "latest", False)
        try:
            yield
        finally:
            await rpc.call("anvil_dropAllTransactions")
            assert await rpc.call("evm_revert", snapshot), "Anvil did not go back to the snapshot"
            await rpc.call("evm_setTime", int(head["timestamp"], 16))
            await rpc.call("anvil_setNextBlockBaseFeePerGas", hex(next_base_fee(head)))


def next_base_fee(parent: dict[str, str]) -> int:
    """The base fee of the block after `parent` (EIP-1559, elasticity 2, denominator 8)."""
    base_fee, used, limit = (int(parent[key], 16) for key in ("baseFeePerGas", "gasUsed", "gasLimit"))
    target = limit // 2
    if used > target:
        return base_fee + max(1, base_fee * (used - target) // target // 8)
    return base_fee - base_fee * (target - used) // target // 8


@pytest.fixture
async def chain(world_anvil: Anvil) -> AsyncIterator[Chain]:
    """The world to act on, undone after the test."""
    async with RpcClient(world_anvil.url) as rpc:
        yield Chain(rpc)


@pytest.fixture(scope="session")
async def untouched_chain(shared_world_anvil: Anvil) -> AsyncIterator[Chain]:
    """The world to look at only: nothing undoes what is done to it."""
    async with RpcClient(shared_world_anvil.url) as rpc:
        yield Chain(rpc)
