"""`hftnode journal …`: carry what a hot key has signed to another machine, so that it never contradicts itself.

In the manner of EIP-3076: a JSON text without secrets, which the other side merges into what it has. The node has to
be stopped: one process holds a key's journal.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import click

from node.cli.chain_types import ADDRESS
from node.cli.words import config_option, json_option, read_bounded, to_json, user_errors
from node.clock import SystemClock
from node.config import Config
from node.config_file import load_config
from node.durable import replace_file
from node.engine.anti_slashing import AntiSlashingStore
from node.engine.network.hot_key import JOURNAL
from node.engine.network.wiring import machine_name
from node.engine.rpc import HttpTransport, Rpc, public_name
from node.engine.rpc_types import Quantity
from node.engine.signing_journal import Owner, named_in, place_of
from node.errors import NodeError
from protocol.errors import ProtocolError
from protocol.interchange import hot_key_of
from protocol.signing import Domain
from protocol.units import Address, BlockNumber, address_to_hex

MAX_TEXT_BYTES: Final = 64 * 1024 * 1024
"""Of a text that is taken in: more than any journal that a node keeps comes to."""

rpc_option = click.option(
    "--rpc", "rpc_url", metavar="URL", help="URL of a node of the chain, instead of the configuration's first."
)


class JournalUnusable(NodeError):
    """There is nothing to carry, or nothing to carry it to; the text says what to do."""


@click.group("journal")
def journal_group() -> None:
    """Carry what a hot key has signed to another machine; the node has to be stopped."""


@journal_group.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--hot-key", type=ADDRESS, help="Whose journal, where there are several.")
@rpc_option
@config_option
@json_option
@user_errors
def export_journal(file: Path, hot_key: Address | None, rpc_url: str | None, config_path: Path, as_json: bool) -> None:
    """Write to the new FILE what this node's hot key has signed; it is not started here again with this key."""
    config = load_config(config_path, os.environ)
    domain = _domain(config)
    if file.exists():
        raise JournalUnusable(f"{file} is there already: nothing is overwritten")
    owner = Owner(domain.separator, _chosen(config, domain, hot_key), machine_name())
    with _opened(config, owner, rpc_url) as store:
        text = store.export(domain)
        floor, count = store.history.floor, len(store.history.answers)
    try:
        replace_file(file, text.encode())
    except OSError as error:
        raise JournalUnusable(f"{file} cannot be written: {error.strerror}") from error
    _tell(as_json, f"written to {file}: start no node with this key here any more", owner, floor, count)


@journal_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@rpc_option
@config_option
@json_option
@user_errors
def import_journal(file: Path, rpc_url: str | None, config_path: Path, as_json: bool) -> None:
    """Merge FILE, which `hftnode journal export` wrote, into this node's journal of the same hot key."""
    config = load_config(config_path, os.environ)
    domain, text = _domain(config), _text_of(file)
    try:
        owner = Owner(domain.separator, hot_key_of(text), machine_name())
        with _opened(config, owner, rpc_url) as store:
            store.take_in(text, domain)
            floor, count = store.history.floor, len(store.history.answers)
    except ProtocolError as error:
        raise JournalUnusable(f"{file}: {error}") from error
    _tell(as_json, f"taken in from {file}", owner, floor, count)


def _tell(as_json: bool, done: str, owner: Owner, floor: BlockNumber, count: int) -> None:
    key = address_to_hex(owner.hot_key)
    if as_json:
        click.echo(to_json({"hot_key": key, "floor": floor, "answers": count}))
        return
    click.echo(f"{done}\n{key}: {count} answers above block {floor}; up to that block nothing slashable is signed")


def _domain(config: Config) -> Domain:
    if config.network is None:
        raise JournalUnusable("the configuration has no [network]: a node alone signs nothing that could be slashed")
    return Domain(config.chain.id, config.network.staking)


def _chosen(config: Config, domain: Domain, wanted: Address | None) -> Address:
    """Return the hot key whose journal is meant. Raises `JournalUnusable`."""
    place = config.data_folder / JOURNAL
    found = {
        named[1]
        for path in sorted(place.parent.glob(f"{place.stem}*{place.suffix}"))
        if (named := named_in(path)) is not None and named[0] == domain.separator
    }
    if wanted is not None and wanted in found:
        return wanted
    keys = ", ".join(sorted(address_to_hex(key) for key in found))
    if wanted is not None or not found:
        whose = "" if wanted is None else f" of {address_to_hex(wanted)}"
        raise JournalUnusable(
            f"{place.parent} has no journal{whose} on this network" + (f", but of {keys}" * bool(keys))
        )
    if len(found) > 1:
        raise JournalUnusable(f"there are journals of several keys: say which by --hot-key ({keys})")
    (only,) = found
    return only


def _opened(config: Config, owner: Owner, rpc_url: str | None) -> AntiSlashingStore:
    """Open the store as a node does that starts at the chain's head. Raises `NodeError`."""
    head = asyncio.run(_head(config, rpc_url or config.chain.rpcs[0].http))
    config.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return AntiSlashingStore(place_of(config.data_folder / JOURNAL, owner), owner, head)


async def _head(config: Config, url: str) -> BlockNumber:
    rpc = Rpc(public_name(url), HttpTransport(url), SystemClock())
    try:
        chain = await rpc.call("eth_chainId", shape=Quantity)
        if chain != config.chain.id:
            raise JournalUnusable(f"{public_name(url)} is on chain {chain}, the configuration on {config.chain.id}")
        return BlockNumber(await rpc.call("eth_blockNumber", shape=Quantity))
    finally:
        await rpc.close()


def _text_of(file: Path) -> str:
    try:
        return read_bounded(file, MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise JournalUnusable(f"{file} is no exported journal: {error}") from error
