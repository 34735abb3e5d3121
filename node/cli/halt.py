"""`hftnode halt` and `hftnode resume`: the operator's kill switch, whether the node runs or not."""

from __future__ import annotations

import os
from pathlib import Path

import click

from node.cli.words import config_option, user_errors
from node.config_file import load_config
from node.stop_file import StopFile


@click.command()
@config_option
@click.argument("why", default="by hand")
@user_errors
def halt(config_path: Path, why: str) -> None:
    """Execute nothing from now on, whatever is restarted: a running node withdraws what is on its way within seconds.

    WHY is for the log and the alert. The network's own brake is `hftnode brake`.
    """
    config = load_config(config_path, os.environ)
    StopFile(config.data_folder).write(why)
    click.echo(f"{config.name} executes nothing until `hftnode resume`")


@click.command()
@config_option
@user_errors
def resume(config_path: Path) -> None:
    """End a halt, by `hftnode halt` or by a policy: a running node executes again within seconds."""
    config = load_config(config_path, os.environ)
    stop = StopFile(config.data_folder)
    why = stop.why()
    if stop.remove():
        click.echo(f"{config.name} executes again; it was halted: {why}")
    else:
        click.echo(f"{config.name} was not halted")
