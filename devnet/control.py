"""What the commands beside `up` do with a devnet under way: end it, ask it, list its accounts."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from devnet.errors import ChainFailed, DevnetError
from devnet.protocols.catalogue import ROLES
from devnet.protocols.tokens import funded_accounts
from devnet.rpc import RpcClient
from devnet.run_folder import RunFolder, RunRecord
from protocol.ethereum.keys import checksum_address

END_SECONDS = 15.0
POLL_SECONDS = 0.05
STATUS_SECONDS = 5.0


class ListedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One funded account; the key is public."""

    role: str
    name: str
    address: str
    private_key: str


def end_devnet(folder: RunFolder) -> bool:
    """Ask the devnet to end and wait until its lock is free. Returns False when none runs.

    Raises `ChainFailed` when it has not ended after `END_SECONDS`.
    """
    record = folder.read()
    if record is None:
        return False
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + END_SECONDS
    while folder.read() is not None or folder.is_held():
        if time.monotonic() > deadline:
            raise ChainFailed(
                f"process {record.pid} has not ended after {END_SECONDS:g} s; `kill -9 {record.pid}` forces it"
            )
        time.sleep(POLL_SECONDS)
    return True


async def read_status(record: RunRecord) -> dict[str, Any]:
    """Return the relay's own counters. Raises `ChainFailed` when it does not answer in time."""
    async with RpcClient(record.admin_url, deadline_seconds=STATUS_SECONDS) as rpc:
        stats = await rpc.call("devnet_stats")
    if not isinstance(stats, dict):
        raise ChainFailed(f"{record.admin_url} answered devnet_stats with something else")
    return stats


def show_status(console: Console, record: RunRecord, stats: dict[str, Any]) -> None:
    """Print endpoints and counters, one a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("devnet", f"chain {record.chain_id}, seed {record.seed}, process {record.pid}")
    table.add_row("RPC", record.rpc_url)
    for name, value in _flatten(stats):
        table.add_row(name, str(value))
    console.print(table)


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in values.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, dict):
            rows.extend(_flatten(value, f"{label}: "))
        else:
            rows.append((label, value))
    return rows


def list_accounts(role: str | None) -> list[ListedAccount]:
    """Return the funded accounts, all or of one role. Raises `DevnetError` for a role that there is not."""
    known = [one.role for one in ROLES]
    if role is not None and role not in known:
        raise DevnetError(f"there is no role {role!r}; there are {', '.join(known)}")
    return [
        ListedAccount(
            role=one.role,
            name=holder.name,
            address=checksum_address(holder.address),
            private_key="0x" + holder.secret.hex(),
        )
        for one in ROLES
        if role in (None, one.role)
        for holder in funded_accounts(one)
    ]


def show_accounts(console: Console, listed: list[ListedAccount]) -> None:
    """Print name, address and key a line."""
    console.print("Keys of a toy chain, known to everybody: never send real funds to these addresses.", style="yellow")
    for one in listed:
        console.print(f"{one.name:<22} {one.address}  {one.private_key}")
