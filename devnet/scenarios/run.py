"""Runs scenarios: each on an Anvil of its own with the world, its books closed in the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from devnet.accounts import account
from devnet.anvil import Anvil, AnvilOptions
from devnet.errors import ConfigInvalid
from devnet.packages import Packages
from devnet.rpc import RpcClient
from devnet.scenarios import brake, chaos, governance, life, slashing, theft
from devnet.scenarios.books import Line, close_books
from devnet.scenarios.cast import ANYBODY, newcomers
from devnet.scenarios.stage import Ground, Stage
from devnet.world import World

ALL: Final = "all"
SCENARIOS: Final[Mapping[str, Callable[[Stage], Awaitable[None]]]] = {
    "life": life.play,
    "governance": governance.play,
    "slashing": slashing.play,
    "theft": theft.play,
    "brake": brake.play,
    "chaos": chaos.play,
}
_DEADLINE_SECONDS: Final = 60.0


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How a scenario went: always well, else it raised. `books`: token, before, after and change of supply."""

    name: str
    seed: int
    blocks: int
    seconds: float
    books: list[tuple[str, int, int, int]]


def chosen(name: str) -> list[str]:
    """Return the names that are meant. Raises `ConfigInvalid`."""
    if name != ALL and name not in SCENARIOS:
        raise ConfigInvalid(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}, or {ALL}")
    return list(SCENARIOS) if name == ALL else [name]


async def run_scenario(name: str, seed: int, packages: Packages, world: World, tell: Callable[[str], None]) -> Played:
    """Play one scenario. Raises `ScenarioFailed` where the chain is not as the story has it."""
    begun = time.monotonic()
    tell(f"scenario {name}, seed {seed}")
    with tempfile.TemporaryDirectory(prefix="hftnode-scenario-") as folder:
        options = AnvilOptions(load_state=world.state_path)
        async with (
            Anvil(packages.anvil, options, Path(folder) / "anvil.log") as anvil,
            RpcClient(anvil.url, deadline_seconds=_DEADLINE_SECONDS) as rpc,
        ):
            ground = Ground(world, anvil.url, Path(folder))
            stage = await _set(rpc, ground, Random(f"{name} {seed}"), tell)  # noqa: S311, a seed for a story
            await SCENARIOS[name](stage)
            last, _ = await stage.head()
            lines = await close_books(stage)
    return Played(
        name=name,
        seed=seed,
        blocks=last - stage.first_block,
        seconds=round(time.monotonic() - begun, 1),
        books=[_row(line) for line in lines],
    )


async def _set(rpc: RpcClient, ground: Ground, random: Random, tell: Callable[[str], None]) -> Stage:
    """Return the stage, with ether for those who play, given before the story begins."""
    stage = Stage(rpc, ground, random, tell)
    owners = (account(name) for operator in stage.manifest.operators for name in operator.owners)
    for who in (ANYBODY, *owners, *(seat.owner for seat in newcomers(stage))):
        await rpc.call("anvil_setBalance", who.address, hex(10**20))
    await stage.begin()
    return stage


def _row(line: Line) -> tuple[str, int, int, int]:
    return (line.token, line.before, line.after, line.supply)
