"""`python -m devnet.actors`: everybody else on the chain, as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click

from devnet.actors.app import ActorsOptions, ActorsRefused, PlayTape, RecordTape, load_manifest, play
from devnet.actors.parameters import DEFAULT_PARAMETERS, load_parameters
from devnet.errors import DevnetError


def _parse_builders(text: str) -> dict[str, str]:
    """Read `name=url,name=url`."""
    builders: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, url = part.partition("=")
        if not equals or not name or not url.startswith(("http://", "https://")) or name in builders:
            raise ActorsRefused(f"--builders: {part!r} is not a new name=url")
        builders[name] = url
    return builders


def _tape(record: Path | None, blocks: int, played: Path | None, chain_url: str) -> RecordTape | PlayTape | None:
    """Read what is to be done with a tape, if anything."""
    if record is None and played is None:
        return None
    if not chain_url.startswith("http://"):
        raise ActorsRefused("a tape needs --chain-url: Anvil's own JSON-RPC")
    if played is not None:
        if record is not None:
            raise ActorsRefused("--record-tape and --tape: a tape is recorded or played, not both")
        return PlayTape(played, chain_url)
    if record is None or blocks < 1:
        raise ActorsRefused(f"--tape-blocks: a tape has at least one block, not {blocks}")
    return RecordTape(record, blocks, chain_url)


async def _play_until_stopped(
    manifest: Path, parameters: Path, options: ActorsOptions, *, exit_with_parent: bool
) -> None:
    """Play until SIGTERM, SIGINT or, if wanted, until the parent that holds our standard input is gone."""
    loop, playing = asyncio.get_running_loop(), asyncio.current_task()
    if playing is None:
        raise RuntimeError("the actors play inside a task")
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, playing.cancel)
    if exit_with_parent:
        # The parent never writes: readable means that its end of the pipe is closed, even after kill -9.
        loop.add_reader(sys.stdin.fileno(), playing.cancel)
    try:
        await play(load_manifest(manifest), load_parameters(parameters), options)
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("stopped")


@click.command()
@click.option("--manifest", required=True, type=click.Path(path_type=Path), help="the world's manifest (JSON)")
@click.option("--url", required=True, help="the public JSON-RPC over HTTP")
@click.option("--ws", required=True, help="the public WebSocket")
@click.option("--builders", default="", help="the builders' relay endpoints: name=url,name=url")
@click.option("--seed", default=0, show_default=True, help="everything drawn depends on it")
@click.option("--lockstep", is_flag=True, help="pass the barriers of a devnet in lockstep")
@click.option("--block-seconds", default=2.0, show_default=True, help="the chain's block time")
@click.option("--parameters", default=DEFAULT_PARAMETERS, type=click.Path(path_type=Path), help="TOML file")
@click.option("--logs", default=Path(), type=click.Path(path_type=Path), help="folder of the journals")
@click.option("--record-tape", type=click.Path(path_type=Path), help="in lockstep: write here what was sent")
@click.option("--tape-blocks", default=0, help="… for so many blocks")
@click.option("--tape", type=click.Path(path_type=Path), help="in lockstep: send what is on this tape, nothing else")
@click.option("--chain-url", default="", help="Anvil's own JSON-RPC, for tapes")
@click.option("--exit-with-parent", is_flag=True, help="end when standard input is closed")
def main(
    manifest: Path,
    url: str,
    ws: str,
    builders: str,
    seed: int,
    lockstep: bool,
    block_seconds: float,
    parameters: Path,
    logs: Path,
    record_tape: Path | None,
    tape_blocks: int,
    tape: Path | None,
    chain_url: str,
    exit_with_parent: bool,
) -> None:
    """Play traders, liquidity providers, borrowers, the oracle, a rival searcher and a sandwich attacker."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        options = ActorsOptions(
            url=url,
            websocket_url=ws,
            builders=_parse_builders(builders),
            seed=seed,
            lockstep=lockstep,
            block_seconds=block_seconds,
            log_folder=logs,
            tape=_tape(record_tape, tape_blocks, tape, chain_url),
        )
        asyncio.run(_play_until_stopped(manifest, parameters, options, exit_with_parent=exit_with_parent))
    except DevnetError as error:
        click.echo(f"actors: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
