"""The screen of `hftnode status`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from node.cli.words import ago, ether, microseconds, short
from node.desk.ledger.totals import KeySums, Totals
from node.desk.status import NodeStatus
from node.link import EngineStatus, LoadStatus
from node.pipeline.reasons import Reason
from node.run_file import RunRecord

_REASONS_SHOWN = 6
_STATE_STYLES = {"ready": "green", "starting": "yellow", "restarting": "yellow", "given up": "red"}


def screen(found: NodeStatus | None, run: RunRecord, trouble: str) -> RenderableType:
    """Return the whole screen; without a desk only what the supervisor tells."""
    parts: list[RenderableType] = [_processes(run)]
    if found is not None and found.engine is not None:
        parts += [Text(), _sees(found, found.engine), Text(), _does(found, found.engine)]
    elif found is not None:
        parts += [Text(), Text("the engine has told nothing yet", style="yellow")]
    if found is not None:
        parts += [Text(), _earned(found.totals)]
    if trouble:
        parts += [Text(), Text(trouble, style="red")]
    healthy = found is not None and found.healthy
    title = f"hftnode · {run.name} · {run.mode} · {'healthy' if healthy else 'not healthy yet'}"
    return Panel(Group(*parts), title=title, border_style="green" if healthy else "yellow", expand=False)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _processes(run: RunRecord) -> Table:
    now = time.time_ns() // 10**6
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        Text("process", style="dim"), *(Text(word, style="dim") for word in ("state", "for", "restarts", "pid"))
    )
    grid.add_row("supervisor", Text("ready", style="green"), ago(now - run.started_at), "", str(run.pid))
    for name, record in run.processes.items():
        state = Text(record.state, style=_STATE_STYLES.get(record.state, ""))
        grid.add_row(name, state, ago(now - record.since), str(record.restarts), str(record.pid or ""))
    return grid


def _sees(found: NodeStatus, engine: EngineStatus) -> Table:
    grid = _grid()
    silent = found.engine_silent_ms or 0
    grid.add_row(
        "engine", f"{engine.phase}, told {ago(silent)} ago" + (f", {engine.spooled} in spool" if engine.spooled else "")
    )
    grid.add_row("chain head", f"{engine.head_number:,}, {ago(engine.head_age_ms)} old")
    grid.add_row("RPCs", _ends(engine.rpcs))
    grid.add_row("relays", _ends(engine.relays))
    quarantined = f", {engine.pools_quarantined} quarantined" if engine.pools_quarantined else ""
    grid.add_row("market", f"{engine.pools:,} pools{quarantined}, {engine.cycles:,} cycles, "
                 f"{engine.tokens_trusted} tokens trusted, {engine.tokens_refused} refused")  # fmt: skip
    if engine.load is not None:
        grid.add_row("first load", _load(engine.load))
    if engine.tokens_unpriced:
        grid.add_row(
            "no price", Text(f"{', '.join(engine.tokens_unpriced)}: finds in it are not taken", style="yellow")
        )
    rate = _rate(found, engine)
    grid.add_row("mempool", f"{engine.pending_seen:,} seen{rate}, {engine.pending_read:,} of them swaps that we read")
    return grid


def _load(load: LoadStatus) -> str:
    kept = f", {load.kept:,} of them kept from the last run" if load.kept else ""
    left = f"about {ago(load.left_ms)} left" if load.left_ms is not None else "no pace yet"
    return f"{load.stage}: {load.done:,} of {load.whole:,}{kept}, {load.per_second:,.0f} a second, {left}"


def _rate(found: NodeStatus, engine: EngineStatus) -> str:
    record = found.processes.get("engine")
    lived = (engine.at - record.since) / 1000 if record and record.state == "ready" else 0
    return f" ({engine.pending_seen / lived:,.1f} a second)" if lived > 1 else ""


def _does(found: NodeStatus, engine: EngineStatus) -> Table:
    totals, grid = found.totals, _grid()
    grid.add_row("finds", _counts(totals.found) or "none yet")
    if totals.dropped:
        grid.add_row("dropped", _reasons(totals.dropped))
    missed = sum(totals.missed.values())
    grid.add_row("bundles", f"{totals.bundles:,} sent; {totals.landed:,} executions included, {missed:,} missed")
    if totals.missed:
        grid.add_row("missed", _reasons(totals.missed))
    latency = engine.tick_to_bundle_us
    if latency:
        grid.add_row("tick to bundle", "   ".join(f"{name} {microseconds(count)}" for name, count in latency.items()))
    return grid


def _earned(totals: Totals) -> Table:
    grid = _grid()
    for key, sums in totals.keys.items():
        grid.add_row(f"key {short(key)}", _sums(sums))
    if totals.keys:
        grid.add_row("net profit", Text(ether(sum(sums.net_wei for sums in totals.keys.values())), style="bold green"))
    if totals.shadow:
        grid.add_row("would have earned", f"{ether(totals.shadow_wei)} gross, before gas and bids (shadow mode)")
    if not totals.keys and not totals.shadow:
        grid.add_row("earned", "nothing yet")
    return grid


def _sums(sums: KeySums) -> str:
    tokens = ", ".join(f"{int(amount):,} of {short(token)}" for token, amount in sums.profit.items() if int(amount))
    told = f"profit {ether(sums.profit_wei)}" + (f" ({tokens})" if tokens else "")
    return f"{told}, gas {ether(sums.gas_wei)}, bids {ether(sums.bid_wei)}"


def _ends(ends: Mapping[str, str]) -> Text:
    lines: list[Text] = []
    for name, told in ends.items():
        line = Text(f"{name}  ")
        line.append(told, style="green" if told == "ok" else "red")
        lines.append(line)
    return Text("\n").join(lines) if lines else Text("none", style="red")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in _largest(counts.items()))


def _reasons(counts: Mapping[str, int]) -> str:
    ordered = list(_largest(counts.items()))
    lines = [f"{count:,} {_meaning(name)}" for name, count in ordered[:_REASONS_SHOWN]]
    if len(ordered) > _REASONS_SHOWN:
        lines.append(f"{sum(count for _, count in ordered[_REASONS_SHOWN:]):,} for other reasons")
    return "\n".join(lines)


def _meaning(name: str) -> str:
    known = {reason.value: reason.meaning for reason in Reason}
    return f"{name}: {known[name]}" if name in known else name


def _largest(counts: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    yield from sorted(counts, key=lambda pair: -pair[1])
