"""What came of a demo: the report as written to report.json, and what had to come of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from devnet.demo.memory import MemoryGrowth
from devnet.demo.network_report import MAXIMUM_FALSE, MINIMUM_ORDERS, MINIMUM_SEEN, SEEN_BY, NetworkReport

MINIMUM_BUNDLES: Final = 20
MINIMUM_CAPTURE: Final = 0.60
MINIMUM_EXACT: Final = 0.95
MAXIMUM_CORES: Final = 1.7
"""Of five nodes, in the mean, with all else that their demo runs: at the default block time two processors carry it."""
FIVE: Final = 5
"""With so many nodes their reach differs (devnet/demo/reach.py), and the network is what is looked at."""


class Bundles(msgspec.Struct, frozen=True, kw_only=True):
    """How many opportunities were sent as bundles, and what became of them."""

    submitted: int = 0
    included: int = 0
    missed: dict[str, int] = {}
    """By reason."""


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one node earned, by the chain: `net_profit_usd` is what Safes and hot keys have more than before."""

    name: str
    vault_profit_wei: int
    """What the Safes gained, in wei at the prices of the world's set-up, after payments to builders out of profit."""
    gas_wei: int
    """What the hot keys paid: base and priority fees."""
    bids_wei: int
    """What builders got: priority fees, and payments out of profit."""
    net_profit_usd: float
    restarts: int


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds from what led to a bundle to its signed bytes."""

    p50: int = 0
    p99: int = 0
    max: int = 0


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a demo has to show."""

    name: str
    required: str
    actual: str
    met: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """report.json."""

    seed: int
    blocks: int
    pending_transactions: int
    opportunities: dict[str, int]
    bundles: Bundles
    nodes: tuple[NodeReport, ...]
    net_profit_usd: float
    available_usd: float
    best_single_bid: float
    """The share of each find that hindsight bid for `available_usd`."""
    available_with_open_bids_usd: float
    """What could have been netted by one who also sees the others' sealed bids."""
    liquidations: int = 0
    """Loans that the nodes liquidated."""
    liquidations_usd: float = 0.0
    """What these netted: in `net_profit_usd`, and not in `capture`, because hindsight does not look for them."""
    capture: float
    tick_to_bundle_us: Latency
    processors: dict[str, float] = {}
    """How many processors each process took in the mean while the demo ran; empty where the kernel does not tell."""
    memory: dict[str, MemoryGrowth] = {}
    """How fast each process of the nodes grew once it was warm; empty where less than a minute was left for it."""
    errors: tuple[str, ...]
    network: NetworkReport | None = None
    """None where every node acts alone: in lockstep, unless there are five."""
    expectations: tuple[Expectation, ...]

    @property
    def met(self) -> bool:
        """Whether all expectations were met."""
        return all(expectation.met for expectation in self.expectations)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the expectations are held against, beside the report's own figures."""

    included_by_node: dict[str, int]
    unexplained: int
    """Opportunities that were sent and of which the ledger tells no outcome."""
    untouched: int
    """Included executions that met what they were computed for: nothing else touched their pools before them …"""
    exact: int
    """… and of these, where predicted and realised profit are equal."""
    leaderless: int = 0
    """Included executions that were computed behind a find of our own which did not come before them."""
    ledger_differences: tuple[str, ...]
    left_running: tuple[str, ...]
    beyond_hindsight: tuple[str, ...] = ()
    """Pools that executions went through and hindsight does not look at: capture would say too much."""


def expectations(report: Report, evidence: Evidence) -> tuple[Expectation, ...]:
    """Return what was expected of this demo and whether it came."""
    idle = [name for name, included in evidence.included_by_node.items() if not included]
    restarts = sum(node.restarts for node in report.nodes)
    exact = evidence.exact / evidence.untouched if evidence.untouched else 0.0
    included = report.bundles.included
    if len(report.nodes) == FIVE and report.network is not None:
        return _of_five(report, report.network, evidence)
    return (
        _expect("bundles included", f">= {MINIMUM_BUNDLES}", str(included), included >= MINIMUM_BUNDLES),
        _expect("every node executes", "all", f"idle: {', '.join(idle)}" if idle else "all", not idle),
        _expect("net profit", "> $0", f"${report.net_profit_usd:.2f}", report.net_profit_usd > 0),
        _expect("capture", f">= {MINIMUM_CAPTURE:.0%}", f"{report.capture:.1%}", report.capture >= MINIMUM_CAPTURE),
        _expect("misses without a reason", "0", str(evidence.unexplained), not evidence.unexplained),
        _expect("restarts", "0", str(restarts), not restarts),
        _expect("errors", "0", str(len(report.errors)), not report.errors),
        _expect(
            "predicted equals realised",
            f">= {MINIMUM_EXACT:.0%}",
            f"{evidence.exact} of {evidence.untouched}"
            + (f"; {evidence.leaderless} without the find they were computed behind" if evidence.leaderless else ""),
            exact >= MINIMUM_EXACT,
        ),
        _nothing("pools beyond hindsight", evidence.beyond_hindsight),
        _nothing("ledgers differing from the chain", evidence.ledger_differences),
        _nothing("left running", evidence.left_running),
    )


def _of_five(report: Report, network: NetworkReport, evidence: Evidence) -> tuple[Expectation, ...]:
    """What five operators of different reach have to show: the network at work, and the books in order."""
    seen = network.sandwiches_alerted / network.sandwiches if network.sandwiches else 0.0
    false = network.alerts_false / network.alerts if network.alerts else 0.0
    restarts = sum(node.restarts for node in report.nodes)
    said = f"{network.sandwiches_alerted} of {network.sandwiches}"
    alone = () if network.worth is None else (_nothing("faults of the strangers' run", network.worth.faults),)
    cores = sum(report.processors.values())
    # In lockstep blocks come as fast as the processors let them; without /proc nothing is measured.
    light = network.worth is None and report.processors
    load = (_expect("processors", f"< {MAXIMUM_CORES}", f"{cores:.2f}", cores < MAXIMUM_CORES),) if light else ()
    return (
        _expect(
            "orders executed, finder paid",
            f">= {MINIMUM_ORDERS}",
            str(network.executed),
            network.executed >= MINIMUM_ORDERS,
        ),
        _expect("doubled", "0", str(network.doubled), not network.doubled),
        _expect(f"sandwiches alerted by {SEEN_BY} nodes", f">= {MINIMUM_SEEN:.0%}", said, seen >= MINIMUM_SEEN),
        _expect(
            "false alerts",
            f"<= {MAXIMUM_FALSE:.0%}",
            f"{network.alerts_false} of {network.alerts}",
            false <= MAXIMUM_FALSE,
        ),
        _expect("net profit", "> $0", f"${report.net_profit_usd:.2f}", report.net_profit_usd > 0),
        _expect("misses without a reason", "0", str(evidence.unexplained), not evidence.unexplained),
        _expect("restarts", "0", str(restarts), not restarts),
        _expect("errors", "0", str(len(report.errors)), not report.errors),
        _nothing("pools beyond hindsight", evidence.beyond_hindsight),
        _nothing("ledgers differing from the chain", evidence.ledger_differences),
        _nothing("left running", evidence.left_running),
        *load,
        *alone,
    )


def _expect(name: str, required: str, actual: str, met: bool) -> Expectation:
    return Expectation(name=name, required=required, actual=actual, met=met)


def _nothing(name: str, found: Sequence[str]) -> Expectation:
    return _expect(name, "none", "; ".join(found) or "none", not found)
