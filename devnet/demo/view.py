"""What the demo shows while it runs and when it is over: a live screen, or lines where there is no terminal for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from devnet.demo.memory import MemoryGrowth
from devnet.demo.network_report import TapePlayed, Worth
from devnet.demo.report import Report

LINE_SECONDS: Final = 5.0
_SHOWN_REASONS: Final = 5


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node at a moment."""

    name: str
    state: str
    opportunities: Mapping[str, int] = field(default_factory=dict)
    sent: int = 0
    included: int = 0
    missed: Mapping[str, int] = field(default_factory=dict)
    net_usd: float = 0.0
    latency_us: tuple[int, int, int] = (0, 0, 0)
    """Median, p99 and maximum of tick to bundle."""


@dataclass(frozen=True, slots=True)
class DemoView:
    """The demo at a moment."""

    phase: str
    seconds_left: float
    block: int
    blocks: int
    pending: int
    pending_per_second: float
    nodes: tuple[NodeView, ...]


class Screen(Protocol):
    """Shows views as they come, then the report."""

    def show(self, view: DemoView) -> None:
        """Show the present state."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class LiveScreen:
    """A screen that is drawn anew."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._live.start()

    def show(self, view: DemoView) -> None:
        """See `Screen`."""
        self._live.update(draw(view))

    def close(self) -> None:
        """See `Screen`."""
        self._live.stop()


class PlainScreen:
    """One line every few seconds, and one at each change of phase; `now` in seconds."""

    def __init__(self, say: Callable[[str], None], now: Callable[[], float]) -> None:
        self._say, self._now = say, now
        self._last: tuple[str, float] = ("", float("-inf"))

    def show(self, view: DemoView) -> None:
        """See `Screen`."""
        phase, at = self._last
        if view.phase != phase or self._now() - at >= LINE_SECONDS:
            self._last = view.phase, self._now()
            self._say(line(view))

    def close(self) -> None:
        """See `Screen`."""


def line(view: DemoView) -> str:
    """Return a view as one line."""
    head = f"{view.phase}: block {view.block}, {view.blocks} blocks, {view.pending} pending transactions"
    nodes = [
        f"{node.name} {node.state}, {node.included} of {node.sent} included, ${node.net_usd:,.2f}"
        for node in view.nodes
    ]
    return " | ".join([head, *nodes])


def draw(view: DemoView) -> Panel:
    """Return a view as a panel."""
    head = Table.grid(padding=(0, 3))
    head.add_row(
        f"[bold]{view.phase}[/bold]",
        f"block [bold]{view.block}[/bold] (+{view.blocks})",
        f"mempool [bold]{view.pending_per_second:.1f}[/bold]/s ({view.pending})",
        f"{max(0.0, view.seconds_left):.0f} s left",
    )
    table = Table(expand=False, box=None, padding=(0, 2), header_style="dim")
    for name in (
        "node",
        "state",
        "opportunities",
        "sent",
        "included",
        "missed, and why",
        "tick to bundle",
        "net profit",
    ):
        table.add_column(name, justify="left" if name in ("node", "state", "missed, and why") else "right")
    for node in view.nodes:
        kinds = ", ".join(f"{count} {kind}" for kind, count in node.opportunities.items()) or "-"
        p50, p99, _ = node.latency_us
        table.add_row(
            f"[bold]{node.name}[/bold]",
            node.state,
            kinds,
            str(node.sent),
            f"[green]{node.included}[/green]",
            _reasons(node.missed),
            f"{p50:,} / {p99:,} µs" if p99 else "-",
            f"[{'green' if node.net_usd >= 0 else 'red'}]${node.net_usd:,.2f}[/]",
        )
    return Panel(Group(head, Text(), table), title="hftnode devnet demo", subtitle="Ctrl-C ends it", expand=False)


def summary(report: Report) -> Group:
    """Return the report as it is shown at the end."""
    nodes = Table(title="What the chain says", title_justify="left", header_style="dim", box=None, padding=(0, 2))
    for name in ("node", "vaults gained", "gas paid", "bids", "net profit", "restarts"):
        nodes.add_column(name, justify="left" if name == "node" else "right")
    for node in report.nodes:
        ether = [f"{wei / 10**18:.4f} ETH" for wei in (node.vault_profit_wei, node.gas_wei, node.bids_wei)]
        nodes.add_row(node.name, *ether, f"${node.net_profit_usd:,.2f}", str(node.restarts))
    held = Table(title="What was expected", title_justify="left", header_style="dim", box=None, padding=(0, 2))
    for name in ("", "expectation", "required", "actual"):
        held.add_column(name)
    for expectation in report.expectations:
        mark = "[green]✓[/green]" if expectation.met else "[red]✗[/red]"
        held.add_row(mark, expectation.name, expectation.required, Text(expectation.actual))
    bundles, took = report.bundles, report.tick_to_bundle_us
    without = report.net_profit_usd - report.liquidations_usd
    told = (
        f"seed {report.seed}: {report.blocks} blocks, {report.pending_transactions} pending transactions; "
        f"{bundles.included} of {bundles.submitted} sent were included; missed: {_reasons(bundles.missed)}\n"
        f"net without liquidations ${without:,.2f} of ${report.available_usd:,.2f} that hindsight nets "
        f"with its best bid, {report.best_single_bid:.0%} of each find: {report.capture:.1%} "
        f"(${report.available_with_open_bids_usd:,.2f} if the others' bids were open)\n"
        f"beside it {report.liquidations} loans liquidated for ${report.liquidations_usd:,.2f}; hindsight has none\n"
        f"tick to bundle {took.p50:,} µs, p99 {took.p99:,} µs, longest {took.max:,} µs\n"
        f"processors: {_processors(report.processors)}"
    )
    worth = None if report.network is None else report.network.worth
    compared = () if worth is None else (_worth(worth), Text())
    grown = (_memory(report.memory), Text()) if report.memory else ()
    return Group(Text(told), Text(), nodes, Text(), *grown, *compared, held)


def _memory(memory: Mapping[str, MemoryGrowth]) -> Table:
    """The slope of each process's memory, and the interval in which it is in 95 of 100 cases."""
    title = "Memory after the warm-up: MB an hour, 95 % interval"
    table = Table(title=title, title_justify="left", header_style="dim", box=None, padding=(0, 2))
    for name in ("process", "MB", "slope", "from", "to"):
        table.add_column(name, justify="left" if name == "process" else "right")
    for name, one in memory.items():
        table.add_row(name, f"{one.megabytes:.0f}", *(f"{each:+.1f}" for each in (one.slope, one.low, one.high)))
    return table


def _worth(worth: Worth) -> Group:
    """The two runs beside each other."""
    title = "The network's worth on this seed: net profit alone and together, and orders"
    table = Table(title=title, title_justify="left", header_style="dim", box=None, padding=(0, 2))
    table.add_column("node")
    for name in ("strangers", "network", "given", "accepted", "executed", "paid", "for others"):
        table.add_column(name, justify="right")
    for one in worth.operators:
        counts = (one.orders_given, one.orders_accepted, one.orders_executed)
        amounts = [f"${usd:,.2f}" for usd in (one.strangers_usd, one.network_usd)]
        row = (*amounts, *map(str, counts), f"${one.paid_usd:,.2f}", str(one.executed_for_others))
        table.add_row(one.name, *row)
    table.add_row("in sum", f"${worth.strangers_usd:,.2f}", f"${worth.network_usd:,.2f}")
    said = (
        f"{worth.blocks} blocks; as a network the five net ${worth.difference_usd:+,.2f} against strangers; "
        f"of the actors' tape {_played(worth, worth.strangers_played)} alone, "
        f"{_played(worth, worth.network_played)} together"
    )
    return Group(table, Text(said))


def _played(worth: Worth, played: TapePlayed) -> str:
    return f"{played.equal} of {worth.tape} transactions equal ({played.landed} landed, {played.reverted} reverted)"


def _processors(taken: Mapping[str, float]) -> str:
    """What all took, and each kind of process; nodes have several of a kind."""
    kinds: defaultdict[str, float] = defaultdict(float)
    for name, cores in taken.items():
        kinds[name.rpartition(" ")[2]] += cores
    told = ", ".join(f"{kind} {cores:.2f}" for kind, cores in sorted(kinds.items(), key=lambda item: -item[1]))
    return f"{sum(taken.values()):.2f} in all ({told})" if taken else "not told by this kernel"


def _reasons(missed: Mapping[str, int]) -> str:
    ranked = sorted(missed.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} {reason}" for reason, count in ranked[:_SHOWN_REASONS]]
    return ", ".join([*shown, *(["…"] if len(ranked) > _SHOWN_REASONS else [])]) or "none"
