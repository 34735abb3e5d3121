"""`hftnode deploy`: a new network, by the plan of `governance.deploy`; whoever founds one does it once.

    settings.toml ──▶ plan, cost ──▶ (--dry-run: end) ──▶ ask ──▶ twelve contracts ──▶ read back ──▶ network.json

Cut at any point it goes on where it was, by the journal. `--verify` reads a deployment back for anybody who has its
settings and its journal: no key is needed. Exit codes: node/cli/chain_errors.py.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from governance.caller import JsonRpcCaller
from governance.contracts import VAULT_MODULE
from governance.deploy import deploy as carry_out_plan
from governance.deploy import first_block, verify
from governance.deploy_errors import CallReverted, DeployError, NotMined, StepFailed
from governance.deploy_file import settings_from_toml
from governance.deploy_journal import Journal, begun
from governance.deploy_plan import Plan, plan_of
from governance.network import NetworkContracts
from governance.reading import DeployedNetwork, network_to_json
from node.cli.carry_out import LOOK_SECONDS, agree
from node.cli.chain_errors import ChainCommandError, NotMinedInTime, Refused
from node.cli.chain_session import DEADLINE_SECONDS, numbers_as_text, open_keystore, password_file_option, yes_option
from node.cli.words import json_option, read_bounded, to_json
from node.clock import SystemClock
from node.durable import replace_file
from node.engine.rpc import HttpTransport, Rpc, public_name
from node.errors import NodeError
from protocol.ethereum.keys import KeccakSigner, Signature
from protocol.units import address_to_hex

MAX_SETTINGS_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What was asked for."""

    settings: Path
    journal: Path
    out: Path
    rpc_url: str
    keystore: Path | None
    password_file: Path | None
    deadline: float
    yes: bool
    dry_run: bool
    only_verify: bool
    as_json: bool


class _DryRun(Exception):
    """All was shown, and nothing is to be sent."""


class _Nobody:
    """The account of a deployer whose key is not here: to read with, not to sign."""

    def __init__(self, address: str) -> None:
        self.address = address

    def sign_keccak(self, data: bytes) -> Signature:
        """Raise: nothing is signed while a deployment is read back."""
        raise ChainCommandError(f"{len(data)} bytes were to be signed while a deployment is read back")


@click.command()
@click.argument("settings", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--rpc", "rpc_url", required=True, metavar="URL", help="URL of a node of the chain.")
@click.option(
    "--keystore", type=click.Path(path_type=Path), help="Keystore of the deployer: one that does nothing else."
)
@password_file_option
@click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    default="deployment.json",
    show_default=True,
    help="Where it is noted what was signed; with it a deployment that was cut goes on.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="network.json",
    show_default=True,
    help="Where to write the network's description, for --network of other commands.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(1, 86_400),
    default=DEADLINE_SECONDS,
    show_default=True,
    help="Seconds to wait for each transaction to be mined.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be created, where and for how much; send nothing.")
@click.option("--verify", "only_verify", is_flag=True, help="Send nothing: read back what the journal says was done.")
@yes_option
@json_option
def deploy(**asked: Any) -> None:
    """Deploy a new network's contracts as SETTINGS, a TOML file, says; read all of it back.

    The deployer is left with no role. What such a file holds: docs/contracts.md, "Deployment".
    """
    wanted = _Wanted(**asked)
    try:
        words, value = asyncio.run(_run(wanted))
    except NodeError as error:
        code = error.code if isinstance(error, ChainCommandError) else 1
        if wanted.as_json:
            click.echo(to_json({"done": False, "code": code, "error": str(error)}))
        click.echo(f"Error: {error}", err=True)
        sys.exit(code)
    click.echo(to_json(numbers_as_text(value)) if wanted.as_json else "\n".join(words))


async def _run(wanted: _Wanted) -> tuple[list[str], dict[str, Any]]:
    """Return the answer in words and for JSON. Raises `NodeError`."""
    clock = SystemClock()
    rpc = Rpc(public_name(wanted.rpc_url), HttpTransport(wanted.rpc_url), clock)

    async def pause() -> None:
        await clock.sleep(LOOK_SECONDS)

    try:
        caller, plan = await _planned(wanted, rpc, pause)
        if wanted.only_verify:
            await verify(caller, plan, Journal(wanted.journal, plan))
        else:
            await carry_out_plan(
                caller, plan, wanted.journal, lambda text: _shown(wanted, text), looks=_looks(wanted.deadline)
            )
        network = await _described(caller, plan, wanted.journal)
    except _DryRun:
        words = ["Nothing was sent: this was a dry run. Without --dry-run it is done."]
        return words, {"done": False, "dry_run": True, "addresses": _addresses(plan)}
    except (StepFailed, CallReverted) as error:
        raise Refused(str(error)) from error
    except NotMined as error:
        raise NotMinedInTime(str(error)) from error
    except DeployError as error:
        raise ChainCommandError(str(error)) from error
    finally:
        await rpc.close()
    _write(wanted.out, network_to_json(network))
    words = [f"{name}: {address}" for name, address in _addresses(plan).items()]
    words += [
        "All of it was read back as planned; the deployer has no role.",
        f"Next: hftnode stake status --network {wanted.out}",
    ]
    return words, {"done": True, "addresses": _addresses(plan), "network": str(wanted.out)}


async def _planned(wanted: _Wanted, rpc: Rpc, pause: Callable[[], Awaitable[None]]) -> tuple[JsonRpcCaller, Plan]:
    """Return the deployer at the chain, and the plan: from the journal's nonce on, else from its next one."""
    chain_id, settings = settings_from_toml(read_bounded(wanted.settings, MAX_SETTINGS_BYTES), str(wanted.settings))
    before = begun(wanted.journal)
    key: KeccakSigner
    if wanted.only_verify:
        if before is None:
            raise ChainCommandError(f"{wanted.journal}: there is no journal, so nothing to read back")
        key = _Nobody(address_to_hex(before.deployer))
    elif wanted.keystore is None:
        raise click.UsageError("say whose key signs: --keystore FILE (made by `hftnode init`, or any version 3)")
    else:
        key = open_keystore(wanted.keystore, wanted.password_file)
    caller = JsonRpcCaller(rpc, key, pause)
    first_nonce = await caller.nonce() if before is None else before.first_nonce
    return caller, plan_of(chain_id, caller.account, first_nonce, settings)


def _shown(wanted: _Wanted, text: str) -> bool:
    """Show the plan and its cost; return that it is agreed to. Raises `_DryRun`, `NotAgreed`."""
    click.echo(text, err=wanted.as_json)
    if wanted.dry_run:
        raise _DryRun
    agree(yes=wanted.yes, as_json=wanted.as_json)
    return True


async def _described(caller: JsonRpcCaller, plan: Plan, journal_path: Path) -> DeployedNetwork:
    since = await first_block(caller, plan, Journal(journal_path, plan))
    if since is None:
        raise ChainCommandError("the first contract's transaction is no longer in the chain: run the command again")
    return DeployedNetwork(
        chain_id=plan.chain_id,
        since=since,
        contracts=NetworkContracts.of(plan.addresses),
        vault_module=plan.addresses.get(VAULT_MODULE),
        vaults_since=since,
    )


def _addresses(plan: Plan) -> dict[str, str]:
    return {name: address_to_hex(address) for name, address in plan.addresses.items()}


def _looks(deadline_seconds: float) -> int:
    return max(1, round(deadline_seconds / LOOK_SECONDS))


def _write(path: Path, raw: bytes) -> None:
    try:
        replace_file(path, raw)
    except OSError as error:
        told = f"all is deployed, but {path} cannot be written: {error.strerror}"
        raise ChainCommandError(told, "the same command again") from None
