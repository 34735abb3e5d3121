"""`hftnode why ID`: one opportunity's story, from what was seen to what became of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from node.cli.words import config_option, ether, json_option, microseconds, to_json, user_errors
from node.config_file import load_config
from node.desk.ledger.stories import Outcome, Sent, Simulated, Story, latest_ids, read_story
from node.pipeline.reasons import Reason

Row = tuple[str, Text]
_SHOWN = 10


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@config_option
@json_option
@user_errors
def why(name: str | None, config_path: Path, as_json: bool) -> None:
    """Tell one opportunity's story. ID: its id, or the hash of a bundle or transaction in it, also only its beginning.

    Without an ID: the last opportunities that were executed.
    """
    config = load_config(config_path, os.environ)
    if name is None:
        ids = asyncio.run(latest_ids(config.ledger_path, _SHOWN))
        click.echo(to_json(ids) if as_json else "\n".join(ids) or "nothing was executed yet")
        return
    story = asyncio.run(read_story(config.ledger_path, name))
    if as_json:
        click.echo(to_json(story))
    else:
        Console(highlight=False).print(_shown(story))


def _shown(story: Story) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in _rows(story):
        grid.add_row(label, text)
    kind = story.found.opportunity_kind.replace("_", " ")
    return Panel(grid, title=f"{kind} 0x{story.found.opportunity_id.hex()}", expand=False)


def _rows(story: Story) -> Iterator[Row]:
    found = story.found
    moment = datetime.fromtimestamp(found.seen_at / 1e9, UTC)
    trigger = "\n".join(f"pending transaction 0x{victim.hex()}" for victim in found.victims) or "a new block"
    yield "seen", Text(f"{trigger}\nat {moment:%Y-%m-%d %H:%M:%S.%f} UTC, for block {found.target_block:,}")
    yield "route", Text("\n".join(
        f"{leg.family:<20} 0x{leg.pool_id.hex()[:40]}\n"
        f"  {int(leg.amount_in):,} of 0x{leg.token_in.hex()} → {int(leg.amount_out):,} of 0x{leg.token_out.hex()}"
        for leg in found.legs
    ))  # fmt: skip
    yield "capital", Text(f"{int(found.borrowed):,} from {found.lender}, fee {int(found.flash_fee):,}")
    yield (
        "predicted",
        Text(
            f"{int(found.gross_profit):,} of 0x{found.profit_token.hex()} gross ({ether(found.gross_profit_wei)}), "
            f"{found.gas:,} gas"
        ),
    )
    for simulated in story.simulated:
        yield "simulated", _simulated(simulated)
    for sent in story.sent:
        yield "sent", _sent(sent)
    for outcome in story.outcomes:
        yield ("then" if outcome.void else "outcome"), _outcome(outcome)
    if story.dropped is not None:
        yield "dropped", _because(story.dropped)
    if not story.outcomes and story.dropped is None:
        yield "outcome", Text("none yet: its block has not come, or the engine is still asking", style="yellow")


def _simulated(simulated: Simulated) -> Text:
    took = microseconds(simulated.took_ns // 1000)
    if simulated.failure is None:
        return Text(f"clean: profit {int(simulated.profit or 0):,}, {simulated.gas_used:,} gas, took {took}")
    return _because(simulated.failure).append(f"\n{simulated.detail}, took {took}" if simulated.detail else "")


def _sent(sent: Sent) -> Text:
    text = Text(
        f"bundle {sent.bundle_hash}\nour transaction {sent.transaction_hash}\n"
        f"from {sent.sender}, nonce {sent.nonce}, for block {sent.target_block:,}, "
        f"signed {microseconds(sent.tick_to_bundle_ns // 1000)} after the event\n"
        f"promised {int(sent.predicted_profit):,}, at least {int(sent.minimum_profit):,}; "
        f"bid: {ether(sent.coinbase_wei)} to the builder and {ether(sent.priority_fee_per_gas)} a gas"
    )
    for name in sent.behind:
        text.append(f"\ncomputed behind {name}: without it before ours the profit is another")
    for answer in sent.answers:
        text.append(f"\n{answer.relay}: ")
        text.append(answer.error or "taken", style="red" if answer.error else "green")
        text.append(f", after {microseconds(answer.took_ns // 1000)}")
    return text if sent.answers else text.append("\nno relay has answered", style="yellow")


def _outcome(outcome: Outcome) -> Text:
    if outcome.void:
        what = "landed" if outcome.missed is None else f"missed ({outcome.missed})"
        return Text(f"{what} in block {outcome.block:,}, which later news took back", style="dim")
    if outcome.missed is None:
        return Text(f"landed in block {outcome.block:,}", style="green").append(
            f": profit {int(outcome.profit):,} ({ether(outcome.profit_wei)}), {outcome.gas_used:,} gas for "
            f"{ether(outcome.gas_wei)}, bid {ether(outcome.bid_wei)}",
            style="default",
        )
    text = Text(f"missed block {outcome.block:,}", style="red").append("\n").append_text(_because(outcome.missed))
    if outcome.lost_to is not None:
        text.append(f"\nlost to transaction {outcome.lost_to}")
    return text.append(f"\nit cost {ether(outcome.gas_wei)}") if int(outcome.gas_wei) else text


def _because(reason: Reason) -> Text:
    advice = "" if reason.advice.startswith("None") else f"\n→ {reason.advice}"
    return Text(f"{reason}: {reason.meaning}", style="default").append(advice, style="dim")
