"""`hftnode init`: a configuration that explains itself, an encrypted hot key, and an identity among peers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from node.cli.networks import ETHEREUM, Network, network
from node.cli.words import DEFAULT_CONFIG, user_errors
from node.config_errors import ConfigError, ConfigProblem
from node.config_template import write_commented
from node.identity import SEED_BYTES, peer_id_text, write_identity
from node.keyfile import Password, PasswordUnusable, new_secret, read_password, write_keystore
from protocol.ethereum.keys import checksum_address


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--devnet", is_flag=True, help="For the devnet that runs on this machine.")
@click.option(
    "--network", "name", default=ETHEREUM, show_default=True, help="The chain, if an installed package offers it."
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    envvar="HFTNODE_PASSWORD_FILE",
    help="File (or pipe) whose first line encrypts the hot key; without it the password is asked for.",
)
@user_errors
def init(folder: Path, devnet: bool, name: str, password_file: Path | None) -> None:
    """Write hftnode.toml, an encrypted hot key and a peer identity into FOLDER; nothing that exists is written over."""
    folder = folder.absolute()
    path = folder / DEFAULT_CONFIG
    if path.exists():
        raise ConfigError([ConfigProblem(str(path), "", "exists already; nothing was written")])
    found = network("devnet" if devnet else name, folder)
    password = _password(password_file)
    keys = _write_keys(found, folder, password)
    identity = found.identity or os.urandom(SEED_BYTES)
    identity_path = folder / "identity" if found.config.network is None else found.config.network.identity
    _write_identity(identity_path, identity)
    write_commented(found.config, path)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{path}[/bold]  {found.config.mode} mode on chain {found.config.chain.id}")
    for keystore, address in keys:
        console.print(f"[bold]{keystore}[/bold]  hot key {checksum_address(address)}")
    console.print(f"[bold]{identity_path}[/bold]  peer {peer_id_text(identity)}")
    console.print(
        f"Next: read the file, then `hftnode start --config {path}`; docs/quickstart.md leads to a first vault"
    )


def _password(password_file: Path | None) -> Password:
    if password_file is not None:
        return read_password(password_file)
    if not sys.stdin.isatty():
        raise PasswordUnusable("nobody is here to choose a keystore password: use --password-file")
    return Password(click.prompt("New keystore password", hide_input=True, confirmation_prompt=True))


def _write_identity(path: Path, seed: bytes) -> None:
    try:
        write_identity(path, seed)
    except OSError as error:
        raise ConfigError([ConfigProblem(str(path), "", f"cannot be written: {error.strerror}")]) from None


def _write_keys(found: Network, folder: Path, password: Password) -> list[tuple[Path, str]]:
    """Write the keystores that the configuration names, or one for the first vault to come; return their addresses."""
    paths = [vault.keystore for vault in found.config.execution.vaults] or [folder / "keystores" / "hot.json"]
    secrets = found.secrets or tuple(new_secret() for _ in paths)
    return [(path, write_keystore(path, secret, password)) for path, secret in zip(paths, secrets, strict=True)]
