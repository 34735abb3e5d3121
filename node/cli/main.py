"""The entry point of `hftnode`: collects the command groups and turns every failure into one clear line.

Exit codes: 0 done, 1 the user can mend it (the line says how), 2 used wrongly, 70 a fault of hftnode itself; a command
documents its own others. Commands report what a user can mend as `click.ClickException`.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Collection, Mapping
from typing import Any, Final

import click

from node.cli.halt import halt, resume
from node.cli.init import init
from node.cli.news import alerts, opportunities, peers
from node.cli.start import start
from node.cli.status import status
from node.cli.why import why

COMMANDS = "hftnode.commands"
ON_CHAIN: Final[Mapping[str, tuple[str, str]]] = {
    "brake": ("node.cli.brake", "brake_group"),
    "deploy": ("node.cli.deploy", "deploy"),
    "gov": ("node.cli.gov", "gov_group"),
    "journal": ("node.cli.journal", "journal_group"),
    "join": ("node.cli.join", "join"),
    "rewards": ("node.cli.rewards", "rewards_group"),
    "stake": ("node.cli.stake", "stake_group"),
    "vault": ("node.cli.vault", "vault_group"),
}
"""Commands by module and name: those that speak to the chain take longer to import than others to answer."""
INTERNAL_FAULT = 70  # EX_SOFTWARE of sysexits.h


class InternalFault(click.ClickException):
    """An error that no command foresaw: a fault of hftnode, not of its user."""

    exit_code = INTERNAL_FAULT

    def __init__(self, error: Exception) -> None:
        told = " ".join(str(error).split())
        super().__init__(
            f"{type(error).__name__}{': ' if told else ''}{told}. This is a fault of hftnode; "
            "HFTNODE_DEBUG=1 shows where, for a report"
        )


class CommandLine(click.Group):
    """A command group that shows a traceback only with HFTNODE_DEBUG=1, and imports those of `ON_CHAIN` when asked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return sorted({*super().list_commands(ctx), *self._later()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; one of `ON_CHAIN` is imported now."""
        if cmd_name in self._later() and cmd_name not in self.commands:
            module, name = ON_CHAIN[cmd_name]
            self.add_command(getattr(importlib.import_module(module), name), cmd_name)
        return super().get_command(ctx, cmd_name)

    def _later(self) -> Collection[str]:
        return ON_CHAIN if self.name == "main" else ()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raise `InternalFault` in place of what it did not foresee."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("HFTNODE_DEBUG"):
                raise
            raise InternalFault(error) from error


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.metadata.version("hftnode"), prog_name="hftnode")
def main() -> None:
    """A peer-to-peer node for on-chain arbitrage. Your funds stay in your Safe."""


for _command in (init, start, halt, resume, status, why, peers, alerts, opportunities):
    main.add_command(_command)

# Whoever offers a group of commands names it in its entry points: the node imports nothing above itself (ADR 0005).
for _entry in sorted(importlib.metadata.entry_points(group=COMMANDS), key=lambda entry: entry.name):
    main.add_command(_entry.load(), _entry.name)
