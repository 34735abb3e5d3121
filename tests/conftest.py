"""Fixtures for the whole suite: the packages, a bare Anvil, and the world, each set up at most once a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devnet.anvil import Anvil, AnvilOptions
from devnet.home import Home
from devnet.packages import Packages, ensure_packages
from devnet.rpc import RpcClient


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
    async with RpcClient(shared_anvil.url) as rpc:
        snapshot = await rpc.call("evm_snapshot")
        yield shared_anvil
        await rpc.call("evm_revert", snapshot)
        await rpc.call("anvil_dropAllTransactions")
