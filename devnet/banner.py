"""What `hftnode devnet up` shows when it is ready."""

from __future__ import annotations

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from devnet.accounts import account
from devnet.manifest import Manifest
from devnet.run_folder import RunRecord

SHOWN_ROLES = ("operator", "trader", "safe-owner")
SHOWN_CONTRACTS = (
    "weth",
    "uniswap_v2_router",
    "sushi_router",
    "uniswap_v3_router",
    "balancer_vault",
    "aave_pool",
    "multicall3",
    "safe_singleton",
)


def show(console: Console, record: RunRecord, manifest: Manifest, program: str) -> None:
    """Print endpoints, accounts, addresses and what to do next; `program` is how this command was called."""
    console.print(
        Panel(
            Group(
                _endpoints(record),
                Text(),
                _accounts(manifest, program),
                Text(),
                _contracts(manifest),
                Text(),
                _next(record, program),
            ),
            title=f"hftnode devnet · chain {record.chain_id} · seed {record.seed}",
            subtitle="Ctrl-C ends it",
            expand=False,
        )
    )


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    return grid


def _endpoints(record: RunRecord) -> Table:
    grid = _grid()
    grid.add_row("RPC", record.rpc_url)
    grid.add_row("WebSocket", record.ws_url)
    for name, url in record.builder_urls.items():
        grid.add_row(f"builder {name}", url)
    pace = "lockstep" if record.lockstep else f"{record.block_time_seconds:g} s"
    grid.add_row("block time", pace)
    grid.add_row("logs", record.log_folder)
    return grid


def _accounts(manifest: Manifest, program: str) -> Table:
    grid = _grid()
    for role in SHOWN_ROLES:
        names = manifest.funded.get(role, ())
        if names:
            first = account(names[0])
            grid.add_row(f"{len(names)} {role}s", f"{first.name} {first.address} …")
    grid.add_row("", f"all of them with keys: {program} devnet accounts")
    return grid


def _contracts(manifest: Manifest) -> Table:
    grid = _grid()
    for name in SHOWN_CONTRACTS:
        if name in manifest.contracts:
            grid.add_row(name, manifest.contracts[name])
    grid.add_row("", f"{len(manifest.pools)} pools over {len(manifest.tokens)} tokens")
    return grid


def _next(record: RunRecord, program: str) -> Text:
    commands = {
        f"{program} devnet status": "what runs and how fast",
        f"{program} devnet accounts": "funded accounts and their keys, public: never send real funds there",
        f"{program} devnet down": "end it from there",
    }
    width = max(map(len, commands))
    lines = [f"  {command:<{width}}   {what}" for command, what in commands.items()]
    return Text("\n".join(["Next, in another terminal:", *lines, f"  or point a wallet or a bot at {record.rpc_url}"]))
