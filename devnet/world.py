"""The world: every protocol deployed, pools filled, accounts funded. Built once, stored, loaded ever after.

Same packages, same sources, same Anvil: same world, to the hash of its last block.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import governance
from devnet.accounts import account
from devnet.anvil import ANVIL_VERSION, CHAIN_ID, GENESIS_TIMESTAMP, HARDFORK, Anvil, AnvilOptions
from devnet.home import Home
from devnet.interruption import ends_blocking_work
from devnet.manifest import Manifest, Token
from devnet.packages import Packages, Progress
from devnet.protocols import (
    aave_v3,
    balancer_v2,
    chainlink,
    curve,
    morpho_blue,
    multicall3,
    network,
    safe,
    searchers,
    share_vault,
    tokens,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
    vaults,
)
from devnet.protocols.catalogue import ROLES, TOKENS
from devnet.protocols.compilations import compile_all
from devnet.protocols.deployer import Deployer
from devnet.protocols.site import Site
from devnet.rpc import RpcClient
from devnet.state import StateStore
from devnet.storage import storage_errors

_FOLDER: Final = Path(__file__).parent
_GOVERNANCE: Final = Path(governance.__file__).parent
_DEPLOYER_ETHER: Final = 10_000
_DUMP_SECONDS: Final = 120.0
LAST_BLOCK: Final = 96
"""The world ends with this block, and with an empty one, however much is built before it: so the number, time and base
fee of what follows, and all that is drawn from a seed and a block number, stay as they are when the world grows."""


@dataclass(frozen=True, slots=True)
class World:
    """A world ready to be loaded: what is in it, and the state for `AnvilOptions.load_state`."""

    manifest: Manifest
    manifest_path: Path
    state_path: Path


def world_key(packages: Packages) -> str:
    """Return the hash over everything that decides the world's content."""
    digest = hashlib.sha256(f"{packages.key} {ANVIL_VERSION} {HARDFORK}".encode())
    files = [
        _FOLDER / name
        for name in ("accounts.py", "anvil.py", "artifacts.py", "manifest.py", "world.py", "solidity.py", "state.py")
    ]
    files += sorted((_FOLDER / "protocols").glob("*.py")) + sorted((_FOLDER / "contracts").glob("*.sol"))
    files += sorted(_GOVERNANCE.glob("*.py")) + sorted((_GOVERNANCE / "abi").glob("*.json"))
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


async def ensure_world(home: Home, packages: Packages, progress: Progress) -> World:
    """Return the stored world, building it first if it is not there, not whole, or of another version.

    Raises `ToolMissing`, `StorageFailed`, `ChainFailed`.
    """
    store = StateStore(home.worlds / world_key(packages))
    found = store.load(progress)
    if found is None:
        with store.building():
            found = store.load(progress)  # another process may have built it while we waited
            if found is None:
                found = store.save(*await build_world(home, packages, progress))
    return World(found.manifest, store.manifest_path, found.state_path)


async def build_world(home: Home, packages: Packages, progress: Progress) -> tuple[Manifest, bytes]:
    """Build the world on an Anvil of its own; return its manifest and Anvil's state dump (gzip over JSON)."""
    with ends_blocking_work():
        compiled = compile_all(packages, home, progress)
    progress("building the world: deploying the protocols, filling the pools, funding the accounts")
    with storage_errors(home.root):
        home.root.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".building-", dir=home.root)
    with scratch as folder:
        async with (
            Anvil(packages.anvil, AnvilOptions(), Path(folder) / "anvil.log") as anvil,
            RpcClient(anvil.url, deadline_seconds=_DUMP_SECONDS) as rpc,
        ):
            site = Site(Deployer(rpc, account("deployer"), GENESIS_TIMESTAMP), packages, compiled)
            await deploy_world(site)
            manifest = await _describe(site)
            dump = await rpc.call("anvil_dumpState")
    progress(f"building the world: done, {len(manifest.pools)} pools over {len(manifest.tokens)} tokens")
    return manifest, bytes.fromhex(dump[2:])


async def deploy_world(site: Site) -> None:
    """Deploy everything, in the order in which the parts need one another."""
    await site.deployer.set_balance([site.deployer.address], _DEPLOYER_ETHER * 10**18)
    await multicall3.deploy(site)
    tokens.deploy(site)
    uniswap_v2.deploy_uniswap(site)
    uniswap_v2.deploy_sushi(site)
    uniswap_v3.deploy(site)
    balancer_v2.deploy(site)
    await safe.deploy(site)
    await site.deployer.set_balance([account(chainlink.ORACLE).address], 10**18)
    chainlink.deploy(site)
    chainlink.submit(site, 1, aave_v3.PRICE_BEFORE_BORROWING)
    await aave_v3.deploy(site)
    await tokens.fund(site)
    await uniswap_v2.open_pools(site)
    await uniswap_v3.open_pools(site)
    await balancer_v2.open_pools(site)
    await aave_v3.lend(site)
    chainlink.submit(site, 2)
    searchers.deploy(site)
    await uniswap_v4.deploy(site)
    await uniswap_v4.open_pools(site)
    await curve.open_pools(site)
    await morpho_blue.deploy(site)
    share_vault.deploy(site)
    await network.deploy(site)
    await vaults.deploy(site)
    await network.join(site, vaults.OPERATORS)
    await site.deployer.fill_up(LAST_BLOCK - 2)
    network.check_in(site, vaults.OPERATORS)
    await site.deployer.fill_up(LAST_BLOCK)


async def _describe(site: Site) -> Manifest:
    head: dict[str, Any] = await site.deployer.rpc.call("eth_getBlockByNumber", "latest", False)
    return Manifest(
        chain_id=CHAIN_ID,
        block_number=int(head["number"], 16),
        block_hash=head["hash"],
        block_timestamp=int(head["timestamp"], 16),
        contracts=dict(sorted(site.contracts.items())),
        tokens=tuple(
            Token(
                symbol=spec.symbol,
                address=site.tokens[spec.symbol],
                decimals=spec.decimals,
                kind=spec.kind,
                usd_price_e8=spec.usd_price_e8,
            )
            for spec in TOKENS
        ),
        pools=tuple(site.pools),
        feeds=site.feeds,
        aggregators=site.aggregators,
        funded={role.role: tuple(holder.name for holder in tokens.funded_accounts(role)) for role in ROLES},
        morpho_markets=tuple(site.morpho_markets),
        operators=tuple(site.operators),
    )
