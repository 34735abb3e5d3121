"""`hftnode peers`, `hftnode alerts`, `hftnode opportunities`: the network and the finds, once or as they come."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from node.cli.status import fetch_status
from node.cli.words import ago, config_option, ether, json_option, short, to_json, user_errors
from node.config import Config
from node.config_file import load_config
from node.desk.ledger.news import AlertNews, FindNews, News, newest_alerts, newest_finds
from node.errors import NodeError
from node.link import NetworkPeer, NetworkStatus, clock_words
from node.pipeline.reasons import Reason
from node.run_file import read_run
from protocol.kinds import Capability

SHOWN: Final = 20
FOLLOWED: Final = 1_000
LOOK_SECONDS: Final = 1.0
_NS_PER_MS: Final = 1_000_000
_MS_PER_SECOND: Final = 1_000
_MEANINGS: Final = {reason.value: reason.meaning for reason in Reason}
_ABILITIES: Final = {
    Capability.ACCEPTS_ORDERS: "takes orders",
    Capability.EXECUTOR_LIVE: "executes",
    Capability.ATTESTS_ALERTS: "attests",
    Capability.FUNDS_ORDERS: "funds",
}

follow_option = click.option("--follow", is_flag=True, help="Go on and show what comes, until Ctrl-C.")
last_option = click.option(
    "--last", default=SHOWN, show_default=True, type=click.IntRange(1, FOLLOWED), help="How many to begin with."
)


class NoNetwork(NodeError):
    """The node does not run, or belongs to no network."""


@click.command()
@config_option
@follow_option
@json_option
@user_errors
def peers(config_path: Path, follow: bool, as_json: bool) -> None:
    """Show the network's operators as this node sees them: connected or not, heard when, and what they did for it."""
    config = load_config(config_path, os.environ)
    while True:
        network = asyncio.run(_network(config))
        click.echo(to_json(network) if as_json else "\n".join(_peer_lines(network)))
        if not follow:
            return
        time.sleep(LOOK_SECONDS)


@click.command()
@config_option
@follow_option
@last_option
@json_option
@user_errors
def alerts(config_path: Path, follow: bool, last: int, as_json: bool) -> None:
    """Show the network's alerts, whoever told them, and whether our own look at the chain comes to the same."""
    _show(load_config(config_path, os.environ), newest_alerts, _alert_line, last, follow=follow, as_json=as_json)


@click.command()
@config_option
@follow_option
@last_option
@json_option
@user_errors
def opportunities(config_path: Path, follow: bool, last: int, as_json: bool) -> None:
    """Show this node's finds, and why those that went no further did not. One's whole story: `hftnode why ID`."""
    _show(load_config(config_path, os.environ), newest_finds, _find_line, last, follow=follow, as_json=as_json)


def _show(
    config: Config,
    read: Callable[[Path, int, int], Awaitable[list[Any]]],
    line: Callable[[Any], str],
    last: int,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    """Print what is there, one line each (with --json an object a line), and with `follow` what comes."""

    async def once(after: int, most: int) -> list[News]:
        return list(await read(config.ledger_path, after, most))

    after, most = 0, last
    while True:
        for news in asyncio.run(once(after, most)):
            after = news.number
            click.echo(msgspec.json.encode(news).decode() if as_json else line(news))
        if not follow:
            return
        most = FOLLOWED
        time.sleep(LOOK_SECONDS)


async def _network(config: Config) -> NetworkStatus:
    run = read_run(config.run_folder)
    if run is None:
        raise NoNetwork(f"{config.name} is not running: `hftnode start` starts it")
    status = await fetch_status(run)
    if status.engine is None:
        raise NoNetwork("the engine has told nothing yet")
    if status.engine.network is None:
        raise NoNetwork(f"{config.name} belongs to no network: its configuration has no [network], or it is in shadow")
    return status.engine.network


def _peer_lines(network: NetworkStatus) -> list[str]:
    turn = short("0x" + network.next_leader.hex()) if network.next_leader else "nobody's"
    head = f"{network.operators} operators with enough stake; the next block is {turn}"
    sentry = "" if network.is_connected else "; our sentry is away"
    chance = f"; of {network.withheld} finds that nobody was shown {network.withheld_taken} were taken by others"
    control = chance if network.withheld else ""
    clock = clock_words(network)
    return [
        head + sentry + control,
        *([clock] if clock else []),
        *(_peer_line(peer, network) for peer in network.peers),
    ]


def _peer_line(peer: NetworkPeer, network: NetworkStatus) -> str:
    name = "0x" + peer.operator.hex()
    if peer.operator == network.account:
        return f"{name}  ourselves"
    heard = f"heard {ago(time.time_ns() // _NS_PER_MS - peer.heard_at)} ago" if peer.heard_at else "never heard"
    able = ", ".join(words for one, words in _ABILITIES.items() if peer.capabilities & one)
    dealt = f"given {peer.given}, accepted {peer.accepted}, paid {peer.paid}, broken {peer.broken}"
    shown = f"shown {ether(peer.revealed_wei)}, lost after it was shown {ether(peer.lost_wei)}"
    if peer.refused:
        judged = ", far beyond chance" if peer.is_beyond_chance else ""
        shown += f", refused {peer.refused} of late and {peer.taken} of these taken by others{judged}"
    connected = f"connected, score {peer.score / _MS_PER_SECOND:.2f}" if peer.peer else "not connected"
    said = [connected, heard, *([able] if able else []), dealt, shown, f"at most {ether(peer.value_limit)}"]
    return f"{name}  {'; '.join(said)}"


def _alert_line(news: AlertNews) -> str:
    kind = news.kind.replace("_", " ")
    told = f"{kind} ({news.severity}), {short(news.subject)}, by {short(news.operator)}"
    return f"block {news.block:,}  {told}: {news.verdict}"


def _find_line(news: FindNews) -> str:
    why = f"  {_MEANINGS.get(news.dropped, news.dropped)}" if news.dropped else ""
    kind = news.kind.replace("_", " ")
    return f"{short(news.id)}  block {news.target_block:,}  {kind}  {ether(news.gross_profit_wei)} gross{why}"
