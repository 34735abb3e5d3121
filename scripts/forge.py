"""`scripts/forge`: runs Foundry's forge in contracts/, on npm packages and the devnet's world.

The tests start from the very state that the devnet starts from: the genuine protocols, deployed from their packages,
pools filled. It is handed to them as genesis accounts, with the addresses by name in a file beside it. What is built
lies in the home, one folder a clone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.accounts import account
from devnet.errors import DevnetError
from devnet.home import Home
from devnet.packages import Progress, ensure_packages, find_node
from devnet.protocols.chainlink import ORACLE
from devnet.protocols.safe import OWNERS
from devnet.storage import exclusive_lock, write_atomically
from devnet.world import World, ensure_world
from scripts.tree import ROOT

PROJECT = ROOT / "contracts"
TOOLS_FOLDER = PROJECT / "npm"
OPERATORS = 2


@dataclass(frozen=True, slots=True)
class Forge:
    """A forge that is ready to run: the program, its environment, and where it builds."""

    program: Path
    environment: dict[str, str]
    build: Path

    @property
    def artifacts(self) -> Path:
        """Where the compiled contracts lie."""
        return self.build / "out"

    def run(self, words: Sequence[str], *, seconds: float, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run forge with these words; one run at a time in one clone.

        Raises `subprocess.TimeoutExpired` and `StorageFailed`.
        """
        with exclusive_lock(self.build / ".lock", "running forge", deadline_seconds=seconds):
            return subprocess.run(
                [str(self.program), *words],
                cwd=PROJECT,
                env=self.environment,
                timeout=seconds,
                capture_output=capture,
                text=True,
                check=False,
            )


async def prepare(home: Home, progress: Progress) -> Forge:
    """Install what is missing, build the world, link both into contracts/. Raises `DevnetError`."""
    forge = compiler(home, progress)
    world = await ensure_world(home, ensure_packages(home, progress), progress)
    with exclusive_lock(forge.build / ".lock", "preparing forge"):
        _write_world(PROJECT / "build" / "world", world)
    return forge


def compiler(home: Home, progress: Progress) -> Forge:
    """Install what is missing and link it into contracts/: enough to compile, also where the world would not go up."""
    packages = ensure_packages(home, progress)
    tools = ensure_packages(home, progress, TOOLS_FOLDER)
    build = home.root / "forge" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    build.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(build / ".lock", "preparing forge"):
        _link(PROJECT / "lib" / "packages", packages.root)
        _link(PROJECT / "lib" / "tools", tools.root)
    node = find_node(home, progress).program.parent
    environment = {
        **os.environ,
        "PATH": f"{node}{os.pathsep}{os.environ.get('PATH', '')}",
        "FOUNDRY_OUT": str(build / "out"),
        "FOUNDRY_CACHE_PATH": str(build / "cache"),
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        "NO_COLOR": "1",
    }
    return Forge(tools.foundry("forge"), environment, build)


def _link(place: Path, target: Path) -> None:
    if place.is_symlink() and place.readlink() == target:
        return
    place.parent.mkdir(exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(place)


def _write_world(folder: Path, world: World) -> None:
    """Write `accounts.json` (genesis accounts) and `names.json` (addresses by name), if they are not this world's."""
    key = f"{world.state_path.parent.name} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"
    if (folder / "key").is_file() and (folder / "key").read_text() == key:
        return
    folder.mkdir(parents=True, exist_ok=True)
    state = json.loads(world.state_path.read_bytes())
    accounts = {address: _genesis_account(entry) for address, entry in sorted(state["accounts"].items())}
    write_atomically(folder / "accounts.json", json.dumps(accounts).encode())
    write_atomically(folder / "names.json", json.dumps(_names(world), indent=1).encode())
    write_atomically(folder / "key", key.encode())


def _genesis_account(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "nonce": hex(entry["nonce"]),
        "balance": entry["balance"],
        "code": entry["code"],
        "storage": {hex_word(slot): hex_word(value) for slot, value in entry["storage"].items()},
    }


def hex_word(value: str) -> str:
    """Pad a hex number to 32 bytes."""
    return f"0x{int(value, 16):064x}"


def _names(world: World) -> dict[str, Any]:
    manifest = world.manifest
    borrowers = [*manifest.funded["borrower"], *(name for each in manifest.morpho_markets for name in each.borrowers)]
    people = (*OWNERS, ORACLE, *(f"operator-{index}" for index in range(OPERATORS)), *borrowers)
    return {
        "block": manifest.block_number,
        "timestamp": manifest.block_timestamp,
        "contracts": manifest.contracts,
        "tokens": {token.symbol: token.address for token in manifest.tokens},
        "poolIds": {pool.name.replace("/", "_"): pool.pool_id for pool in manifest.pools if pool.pool_id},
        "pools": {pool.name.replace("/", "_"): pool.address for pool in manifest.pools},
        "feeds": manifest.feeds,
        "aggregators": manifest.aggregators,
        "accounts": {name: account(name).address for name in people},
    }


def _say(line: str) -> None:
    print(f"forge: {line}", file=sys.stderr, flush=True)


def main(words: list[str]) -> int:
    """Prepare, then run forge with these words; return its exit code, or 2 where something is missing."""
    try:
        forge = asyncio.run(prepare(Home.from_environment(), _say))
        return forge.run(words, seconds=3600).returncode
    except (DevnetError, subprocess.TimeoutExpired) as error:
        _say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
