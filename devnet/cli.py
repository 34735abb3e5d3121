"""`hftnode devnet …`: the commands of the local chain. Thin: options in, words or JSON out."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click
import msgspec
import orjson
from rich.console import Console

from devnet.compare import Difference, RecordedBlock, first_difference, read_recording
from devnet.config import DevnetConfig
from devnet.errors import DevnetError
from devnet.home import Home
from devnet.interruption import Interrupted
from devnet.manifest import Manifest
from devnet.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from devnet.demo.report import Report

P = ParamSpec("P")

NOT_RUNNING = 3
INTERRUPTED = 130

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")


def _user_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a `DevnetError` into one line and exit code 1: a user's mistake is not a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except DevnetError as error:
            raise click.ClickException(str(error)) from error
        except Interrupted as interrupted:
            click.echo("ended before the devnet was up; the next start goes on from here", err=True)
            sys.exit(128 + interrupted.number)

    return wrapped


@click.group()
def devnet() -> None:
    """A local chain with genuine protocols, realistic traders and a Flashbots-style relay."""


@devnet.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8545, show_default=True, help="Port of RPC, WebSocket and builders; 0 takes a free one."
)
@click.option("--block-time", default=2.0, show_default=True, help="Seconds between blocks.")
@click.option("--seed", default=1, show_default=True, help="What the actors do follows from it.")
@click.option("--lockstep", is_flag=True, help="Build a block when every participant passed the barrier: reproducible.")
@click.option("--participants", default=0, show_default=True, help="Lockstep: wait for so many besides the actors.")
@click.option("--actors/--no-actors", default=True, show_default=True, help="Traders, whales, borrowers, rivals …")
@click.option("--parameters", type=click.Path(path_type=Path), help="Actor parameters (TOML) instead of the built-in.")
@click.option("--blocks", type=int, help="End by itself after so many blocks.")
@click.option("--record", type=click.Path(path_type=Path), help="Write each block as a line of JSON to this file.")
@_json_option
@_user_errors
def up(
    host: str,
    port: int,
    block_time: float,
    seed: int,
    lockstep: bool,
    participants: int,
    actors: bool,
    parameters: Path | None,
    blocks: int | None,
    record: Path | None,
    as_json: bool,
) -> None:
    """Start the devnet in the foreground; Ctrl-C ends it and leaves nothing behind."""
    config = DevnetConfig(
        host=host,
        port=port,
        block_time_seconds=block_time,
        seed=seed,
        lockstep=lockstep,
        participants=participants,
        actors=actors,
        actor_parameters=parameters,
        stop_after_blocks=blocks,
        record=record,
    )
    _run(config, Home.from_environment(), as_json=as_json)


def _run(config: DevnetConfig, home: Home, *, as_json: bool) -> None:
    # Imported here: the other commands need neither the relay nor the server's libraries and should answer at once.
    from devnet.app import run_devnet
    from devnet.banner import show

    progress_console = Console(stderr=True, highlight=False, soft_wrap=True)
    console = Console(highlight=False, soft_wrap=True)

    def ready(record: RunRecord, manifest: Manifest) -> None:
        if as_json:
            click.echo(_to_json(record))
            sys.stdout.flush()
        else:
            show(console, record, manifest, _program())

    _with_fast_loop(run_devnet(config, home, lambda line: progress_console.print(f"[dim]{line}[/dim]"), ready))


def _program() -> str:
    """Return how to call this program again: its bare name where the shell finds it, else its path."""
    called = Path(sys.argv[0])
    if shutil.which(called.name) == str(called):
        return called.name
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)


@devnet.command()
@click.option("--duration", default=300.0, show_default=True, help="Seconds; in lockstep of chain time.")
@click.option(
    "--nodes", default=3, show_default=True, help="How many operators take part, 1 to 5; the reach of five differs."
)
@click.option("--report", type=click.Path(path_type=Path), help="Write the report to this file (JSON).")
@click.option("--seed", default=1, show_default=True, help="What the actors do follows from it.")
@click.option("--plain", is_flag=True, help="Lines in place of the live screen.")
@click.option("--lockstep", is_flag=True, help="Blocks wait for everybody: reproducible, and as fast as it goes.")
@click.option("--node-command", hidden=True, default="", help="In place of `hftnode start`.")
@_user_errors
def demo(
    duration: float, nodes: int, report: Path | None, seed: int, plain: bool, lockstep: bool, node_command: str
) -> None:
    """Run a devnet and nodes that earn on it, and measure on the chain what came of it.

    Exit code 0 when all expectations were met, 1 when not, 130 when it was interrupted.
    """
    from devnet.demo.app import DemoOptions, run_demo
    from devnet.demo.view import LiveScreen, PlainScreen, summary

    options = DemoOptions(
        duration_seconds=duration,
        nodes=nodes,
        seed=seed,
        lockstep=lockstep,
        report=report,
        node_command=shlex.split(node_command),
    )
    console = Console(highlight=False, soft_wrap=True)
    say = partial(click.echo, err=True)
    found: list[Report | None] = []

    async def whole() -> None:
        screen = PlainScreen(say, time.monotonic) if plain or not console.is_terminal else LiveScreen(console)
        try:
            found.append(await run_demo(options, Home.from_environment(), say, screen))
        finally:
            screen.close()

    _with_fast_loop(whole())
    if found[0] is None:
        sys.exit(INTERRUPTED)
    console.print(summary(found[0]))
    sys.exit(0 if found[0].met else 1)


@devnet.command()
@click.argument("name")
@click.option("--seed", default=1, show_default=True, help="What happens in which order follows from it.")
@_json_option
@_user_errors
def scenario(name: str, seed: int, as_json: bool) -> None:
    """Play a scenario of an operator's life: life, governance, slashing, theft, brake, chaos, or all.

    Each plays on a chain of its own, tells its story, is asserted on the chain, and closes its books token by token.
    All but chaos play in lockstep; in chaos nodes run, in real time.
    Exit code 0 when everything held, 1 when something did not.
    """
    from devnet.packages import ensure_packages
    from devnet.scenarios.run import Played, chosen, run_scenario
    from devnet.world import ensure_world

    names, home, played = chosen(name), Home.from_environment(), list[Played]()
    progress = partial(click.echo, err=True)

    async def whole() -> None:
        packages = await asyncio.to_thread(ensure_packages, home, progress)
        world = await ensure_world(home, packages, progress)
        for each in names:
            played.append(await run_scenario(each, seed, packages, world, partial(click.echo, err=as_json)))

    _with_fast_loop(whole())
    if as_json:
        click.echo(_to_json([{**msgspec.structs.asdict(each), "books": _books(each.books)} for each in played]))
    else:
        told = ", ".join(f"{each.name} ({each.blocks} blocks, {each.seconds} s)" for each in played)
        click.echo(f"held: {told}")


def _books(lines: list[tuple[str, int, int, int]]) -> list[dict[str, str]]:
    """Return the books for JSON: amounts as decimal text."""
    return [
        {"token": token, "before": str(before), "after": str(after), "supply": str(supply)}
        for token, before, after, supply in lines
    ]


@devnet.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_json_option
@_user_errors
def newcomer(folder: Path, as_json: bool) -> None:
    """Prepare an operator to be in FOLDER: keystores with ether, WETH and HFT, a Safe, and `env` for the shell."""
    from devnet.newcomer import prepare_newcomer

    record = _running()
    manifest = msgspec.json.decode(Path(record.manifest_path).read_bytes(), type=Manifest)
    found = prepare_newcomer(record, manifest, folder.absolute())
    if as_json:
        click.echo(_to_json({"folder": str(found.folder), **found.variables}))
    else:
        click.echo(f"{found.folder} is ready. Next: `. {folder}/env`, then docs/operator-guide.md")


@devnet.command("warp")
@click.argument("span")
@_json_option
@_user_errors
def warp_time(span: str, as_json: bool) -> None:
    """Let SPAN pass on the devnet, for example "21 days"; ends when a block has been made then."""
    from devnet.warp import span_seconds, warp

    seconds = span_seconds(span)
    reached = asyncio.run(warp(_running(), seconds))
    click.echo(_to_json({"seconds": seconds, "timestamp": reached}) if as_json else f"{span} have passed")


def _running() -> RunRecord:
    """Return the devnet that runs in this home. Raises `DevnetError`."""
    record = RunFolder(Home.from_environment().run).read()
    if record is None:
        raise DevnetError("no devnet is running: `hftnode devnet up` starts one")
    return record


@devnet.command()
@_json_option
@_user_errors
def down(as_json: bool) -> None:
    """End the devnet that runs in this home, from another terminal."""
    from devnet.control import end_devnet

    ended = end_devnet(RunFolder(Home.from_environment().run))
    if as_json:
        click.echo(_to_json({"ended": ended}))
    else:
        click.echo("the devnet has ended" if ended else "no devnet is running")


@devnet.command()
@_json_option
@_user_errors
def status(as_json: bool) -> None:
    """Show what runs: endpoints, blocks, mempool, builders. Exit code 3 when nothing runs."""
    from devnet.control import read_status, show_status

    record = RunFolder(Home.from_environment().run).read()
    if record is None:
        click.echo(_to_json({"running": False}) if as_json else "no devnet is running: `hftnode devnet up` starts one")
        sys.exit(NOT_RUNNING)
    found = asyncio.run(read_status(record))
    if as_json:
        click.echo(_to_json({"running": True, "endpoints": record, "stats": found}))
    else:
        show_status(Console(highlight=False, soft_wrap=True), record, found)


@devnet.command()
@click.option("--role", help="Only this role, for example `trader`.")
@_json_option
@_user_errors
def accounts(role: str | None, as_json: bool) -> None:
    """List the funded accounts with their keys: public knowledge, never send real funds to them."""
    from devnet.control import list_accounts, show_accounts

    listed = list_accounts(role)
    if as_json:
        click.echo(_to_json(listed))
    else:
        show_accounts(Console(highlight=False, soft_wrap=True), listed)


@devnet.command()
@click.argument("left")
@click.argument("right")
@click.option("--blocks", default=100, show_default=True, help="How many blocks to run where a side is a seed.")
@_json_option
@_user_errors
def compare(left: str, right: str, blocks: int, as_json: bool) -> None:
    """Compare two runs to the byte: each side is a recording (`up --record FILE`) or a seed, which is run in lockstep.

    Exit code 0 when they are equal, 1 when they differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        sides = [_recording(side, blocks, Path(folder) / name) for name, side in (("left", left), ("right", right))]
    difference = first_difference(*sides)
    click.echo(_verdict(sides, difference, as_json=as_json))
    sys.exit(0 if difference is None else 1)


def _recording(side: str, blocks: int, folder: Path) -> list[RecordedBlock]:
    if Path(side).is_file():
        return read_recording(Path(side))
    if not side.isdecimal():
        raise click.UsageError(f"{side!r} is neither a recording nor a seed (a whole number)")
    from devnet.app import run_devnet

    target = folder / "blocks.jsonl"
    config = DevnetConfig(port=0, seed=int(side), lockstep=True, stop_after_blocks=blocks, record=target)
    home = replace(Home.from_environment(), run_elsewhere=folder)
    click.echo(f"running seed {side} for {blocks} blocks", err=True)
    _with_fast_loop(run_devnet(config, home, lambda line: click.echo(line, err=True), lambda *_: None))
    return read_recording(target)


def _verdict(sides: list[list[RecordedBlock]], difference: Difference | None, *, as_json: bool) -> str:
    counts = [{"blocks": len(side), "transactions": sum(len(block.transactions) for block in side)} for side in sides]
    if as_json:
        return _to_json({"equal": difference is None, "difference": difference, "sides": counts})
    sizes = " and ".join(f"{count['blocks']} blocks with {count['transactions']} transactions" for count in counts)
    if difference is None:
        return f"equal to the byte: {sizes}"
    return f"different from block {difference.number} on: {difference.what} ({sizes})"


def _to_json(value: object) -> str:
    return orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_INDENT_2).decode()


def _with_fast_loop(main: Coroutine[None, None, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on Windows; asyncio's own loop is slower and does the same
        asyncio.run(main)
    else:
        uvloop.run(main)
