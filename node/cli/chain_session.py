"""What every command that speaks to the chain shares: where the network is, who signs, how it answers.

    @group.command("add")
    @click.argument("amount", type=Amount(HFT))
    @changing                                   # or @reading: nothing is signed
    async def add(session: Session, amount: int) -> None: ...

With `--json` the answer is one JSON object on stdout, an error one with `error` and `code`; words go to stderr then.
Exit codes: node/cli/chain_errors.py.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec

import click

from governance.network import hot_key_query
from governance.reading import ContractMissing, DeployedNetwork, NetworkMalformed, Reader, network_from_json
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_types import ADDRESS
from node.cli.words import config_option, json_option, read_bounded, to_json
from node.clock import Clock, SystemClock
from node.config_file import load_config
from node.core_dumps import forbid_core_dumps
from node.engine.rpc import HttpTransport, Rpc, public_name
from node.errors import NodeError
from node.keyfile import Password, PasswordUnusable, read_keystore, read_password
from node.remote_signer import RemoteKey
from protocol.ethereum.keys import KeccakSigner, SigningKey
from protocol.units import Address

P = ParamSpec("P")
DEADLINE_SECONDS: Final = 180.0
MAX_NETWORK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all these commands can be told; those that only read leave the second half as it is."""

    config_path: Path
    network_path: Path | None
    rpc_url: str | None
    as_json: bool
    keystore: Path | None = None
    remote_signer: str | None = None
    account: Address | None = None
    password_file: Path | None = None
    yes: bool = False
    dry_run: bool = False
    deadline: float = DEADLINE_SECONDS


class Session:
    """One command at work: the chain, the network, and whoever called it."""

    def __init__(self, options: Options, rpc: Rpc, network: DeployedNetwork, clock: Clock) -> None:
        self.options, self.rpc, self.network, self.clock = options, rpc, network, clock
        self.reader = Reader(rpc, network)
        self.contracts = network.contracts

    def say(self, line: str = "") -> None:
        """Print a line for people: on stderr with `--json`, whose stdout is JSON alone."""
        click.echo(line, err=self.options.as_json)

    def progress(self, line: str) -> None:
        """Print a line that tells of waiting."""
        click.echo(line, err=True)

    def answer(self, words: list[str], value: dict[str, Any]) -> None:
        """Answer in words, or in JSON."""
        click.echo(to_json(numbers_as_text(value)) if self.options.as_json else "\n".join(words))

    def key(self) -> KeccakSigner:
        """Open the keystore of the account that acts, or find its key at the remote signer.

        Raises `KeystoreError`, `RemoteSignerFailed`.
        """
        options = self.options
        if options.remote_signer is not None:
            if options.account is None or options.keystore is not None:
                raise click.UsageError("--remote-signer URL goes with --account ADDRESS, and without --keystore")
            return RemoteKey(options.remote_signer, options.account)
        if options.keystore is None:
            raise click.UsageError("say whose key signs: --keystore FILE (made by `hftnode init`, or any version 3)")
        return self.open_key(options.keystore)

    def open_key(self, path: Path) -> SigningKey:
        """Open a keystore with the password file, or ask for its password. Raises `KeystoreError`."""
        return open_keystore(path, self.options.password_file)


def open_keystore(path: Path, password_file: Path | None) -> SigningKey:
    """Open a keystore with the password file, or ask for its password. Raises `KeystoreError`, `PasswordUnusable`."""
    forbid_core_dumps()
    if password_file is not None:
        password = read_password(password_file)
    elif sys.stdin.isatty():
        password = Password(click.prompt(f"Password of {path}", hide_input=True, err=True))
    else:
        raise PasswordUnusable(f"nobody is here to type the password of {path}: use --password-file")
    return SigningKey(read_keystore(path, password))


async def operator_of(session: Session, account: Address) -> Address:
    """Return the operator whose hot key in force an account is, else the account itself."""
    known = await session.reader.ask(hot_key_query(session.contracts, account))
    return known.operator if any(known.operator) and known.until_block == 0 else account


def reading(command: Callable[Concatenate[Session, P], Awaitable[None]]) -> Callable[..., None]:
    """Make a command of a coroutine that reads the chain."""
    return _options_of_reading(_run(command))


def changing(command: Callable[Concatenate[Session, P], Awaitable[None]]) -> Callable[..., None]:
    """Make a command of a coroutine that changes the chain; it ends in `node.cli.carry_out.carry_out`."""
    return _options_of_changing(_options_of_reading(_run(command)))


network_option = click.option(
    "--network",
    "network_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HFTNODE_NETWORK_FILE",
    help="JSON file that says where the network's contracts are.",
)


password_file_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    envvar="HFTNODE_PASSWORD_FILE",
    help="File (or pipe) whose first line opens the keystore; without it the password is asked for.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _options_of_reading(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        json_option,
        click.option(
            "--rpc", "rpc_url", help="URL of a node of the chain, instead of the configuration's first.", metavar="URL"
        ),
        network_option,
        config_option,
    ):
        command = option(command)
    return command


def _options_of_changing(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--deadline",
            type=click.FloatRange(1, 86_400),
            default=DEADLINE_SECONDS,
            show_default=True,
            help="Seconds to wait for each transaction to be mined.",
        ),
        click.option("--dry-run", is_flag=True, help="Show and simulate; send nothing."),
        yes_option,
        password_file_option,
        click.option("--account", type=ADDRESS, help="The account that acts by the remote signer."),
        click.option(
            "--remote-signer",
            metavar="URL",
            help="A Web3Signer that holds the key of --account, instead of a keystore.",
        ),
        click.option(
            "--keystore", type=click.Path(path_type=Path), help="Keystore (version 3) of the account that acts."
        ),
    ):
        command = option(command)
    return command


def _run(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @wraps(command)
    def run(
        config_path: Path,
        network_path: Path | None,
        rpc_url: str | None,
        as_json: bool,
        keystore: Path | None = None,
        remote_signer: str | None = None,
        account: Address | None = None,
        password_file: Path | None = None,
        yes: bool = False,
        dry_run: bool = False,
        deadline: float = DEADLINE_SECONDS,
        **arguments: Any,
    ) -> None:
        options = Options(
            config_path=config_path,
            network_path=network_path,
            rpc_url=rpc_url,
            as_json=as_json,
            keystore=keystore,
            remote_signer=remote_signer,
            account=account,
            password_file=password_file,
            yes=yes,
            dry_run=dry_run,
            deadline=deadline,
        )
        try:
            asyncio.run(_with_session(options, command, arguments))
        except (NodeError, NetworkMalformed, ContractMissing) as error:
            code = error.code if isinstance(error, ChainCommandError) else 1
            if as_json:
                click.echo(to_json({"done": False, "code": code, "error": str(error)}))
            click.echo(f"Error: {error}", err=True)
            sys.exit(code)

    return run


async def _with_session(options: Options, command: Callable[..., Awaitable[None]], arguments: dict[str, Any]) -> None:
    network, url = _network(options)
    clock = SystemClock()
    rpc = Rpc(public_name(url), HttpTransport(url), clock)
    try:
        await command(Session(options, rpc, network, clock), **arguments)
    finally:
        await rpc.close()


def _network(options: Options) -> tuple[DeployedNetwork, str]:
    """Return the network and the URL of a node: from the options, else from the configuration."""
    if options.network_path is None:
        raise ChainCommandError("say where the network's contracts are: --network FILE")
    network = read_network(options.network_path)
    url = options.rpc_url or load_config(options.config_path, os.environ).chain.rpcs[0].http
    return network, url


def read_network(path: Path) -> DeployedNetwork:
    """Read the network's description. Raises `NetworkMalformed`, `FileUnusable`."""
    return network_from_json(read_bounded(path, MAX_NETWORK_BYTES), str(path))


def numbers_as_text(value: Any) -> Any:
    """Return the value with integers that JavaScript cannot hold as decimal text."""
    if isinstance(value, dict):
        return {key: numbers_as_text(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [numbers_as_text(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return str(value)
    return value
