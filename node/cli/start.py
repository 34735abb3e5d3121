"""`hftnode start`: the node in the foreground; Ctrl-C ends it and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from node.cli.words import config_option, user_errors
from node.clock import SystemClock
from node.config import Config, Mode
from node.config_file import load_config
from node.core_dumps import empty_core_dumps
from node.keyfile import Password, PasswordUnusable, read_password
from node.process import start_logging
from node.run_file import ProcessRecord, RunRecord
from node.supervisor import node_commands, supervise


@click.command()
@config_option
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    envvar="HFTNODE_PASSWORD_FILE",
    help="File (or pipe) whose first line opens the keystores; without it the password is asked for.",
)
@user_errors
def start(config_path: Path, password_file: Path | None) -> None:
    """Start the node in the foreground; Ctrl-C ends it and leaves nothing behind."""
    config = load_config(config_path, os.environ)
    empty_core_dumps()
    password = _password(config, password_file)
    start_logging("supervisor")
    asyncio.run(_run(config, config_path, password))


def _password(config: Config, password_file: Path | None) -> Password | None:
    if config.mode is Mode.SHADOW:
        return None
    if password_file is not None:
        return read_password(password_file)
    if not sys.stdin.isatty():
        raise PasswordUnusable("nobody is here to type the keystore password: use --password-file")
    return Password(click.prompt("Keystore password", hide_input=True))


async def _run(config: Config, config_path: Path, password: Password | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    news = _News(Console(highlight=False, soft_wrap=True))
    await supervise(config, node_commands(config, config_path, password), SystemClock(), stop, news.tell)
    news.console.print(f"[dim]{config.name} has ended[/dim]")


class _News:
    """Prints what changed."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._told: dict[str, str] = {}
        self._all_ready = False

    def tell(self, run: RunRecord) -> None:
        """Print a line for each process that is there and whose state is another than before."""
        for name, record in run.processes.items():
            if (record.pid is not None or record.state == "given up") and self._told.get(name) != record.state:
                self._told[name] = record.state
                self.console.print(f"[bold]{name}[/bold] {record.state}{_facts(record)}")
        before, self._all_ready = self._all_ready, all(record.state == "ready" for record in run.processes.values())
        if self._all_ready and not before:
            self.console.print(f"{run.name} runs ({run.mode}). In another terminal: `hftnode status`; Ctrl-C ends it")


def _facts(record: ProcessRecord) -> str:
    told = " ".join(f"{name} {value}" for name, value in record.facts.items())
    return f" [dim]{told}[/dim]" if told else ""
