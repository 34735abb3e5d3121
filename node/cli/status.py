"""`hftnode status`: one screen that tells what runs, what it sees and what it earned."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from node.cli.words import config_option, json_option, to_json, user_errors
from node.config_file import load_config
from node.desk.status import NodeStatus
from node.errors import NodeError
from node.run_file import RunRecord, read_run

NOT_RUNNING: Final = 3
ANSWER_SECONDS: Final = 5.0
_MAX_BYTES: Final = 4 * 1024 * 1024


class DeskSilent(NodeError):
    """The node runs, and its desk does not answer."""


@click.command()
@config_option
@json_option
@user_errors
def status(config_path: Path, as_json: bool) -> None:
    """Show what runs, what it sees, what it earned. Exit code 3 when nothing runs."""
    config = load_config(config_path, os.environ)
    run = read_run(config.run_folder)
    if run is None:
        told = f"{config.name} is not running: `hftnode start` starts it"
        click.echo(to_json({"running": False, "name": config.name}) if as_json else told)
        sys.exit(NOT_RUNNING)
    try:
        found = asyncio.run(fetch_status(run))
    except DeskSilent as error:
        if as_json:
            click.echo(to_json({"running": True, "trouble": str(error), "processes": run.processes}))
            return
        _show(None, run, str(error))
        return
    if as_json:
        click.echo(to_json({"running": True, **msgspec.structs.asdict(found)}))
    else:
        _show(found, run, found.trouble)


async def fetch_status(run: RunRecord) -> NodeStatus:
    """Ask the desk of a running node. Raises DeskSilent."""
    import aiohttp

    desk = run.processes.get("desk")
    if desk is None or "http" not in desk.facts:
        raise DeskSilent(f"the desk is {desk.state if desk else 'not there'}: it tells nothing yet")
    url = f"http://{desk.facts['http']}/status"
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return msgspec.json.decode(await response.content.read(_MAX_BYTES), type=NodeStatus)
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
        raise DeskSilent(f"the desk at {url} does not answer: {str(error)[:200] or type(error).__name__}") from None


def _show(found: NodeStatus | None, run: RunRecord, trouble: str) -> None:
    from node.cli.status_screen import screen

    Console(highlight=False).print(screen(found, run, trouble))
