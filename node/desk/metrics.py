"""The status as Prometheus metrics. Amounts become floats here, for graphs; the ledger has them exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from node.desk.status import NodeStatus

PREFIX: Final = "hftnode_"
WEI_PER_ETHER: Final = 10**18


def metrics_page(status: NodeStatus) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(status))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, status: NodeStatus) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of one moment."""
        yield from _of_processes(self._status)
        yield from _of_engine(self._status)
        yield from _of_ledger(self._status)
        yield from _of_watch(self._status)


def _of_processes(status: NodeStatus) -> Iterator[Metric]:
    yield _gauge("healthy", "1 if the engine runs and the ledger takes its entries.", int(status.healthy))
    processes = status.processes.items()
    yield _gauges("process_ready", "1 if the process does its work.", "process",
                  {name: int(record.state == "ready") for name, record in processes})  # fmt: skip
    yield _counters("process_restarts", "Starts after the first.", "process",
                    {name: record.restarts for name, record in processes})  # fmt: skip


_LOADED: Final = {
    "load_done": "While a start loads its market: blocks looked through for pools, then pools read.",
    "load_whole": "Of so many.",
    "load_known_pools": "Pools found so far.",
    "load_seconds_left": "By the pace so far.",
}


def _of_engine(status: NodeStatus) -> Iterator[Metric]:
    engine = status.engine
    if engine is None:
        return
    gauges = {
        "head_number": ("The last trusted block.", engine.head_number),
        "head_age_seconds": ("Age of the last trusted block.", engine.head_age_ms / 1000),
        "pools": ("Pools that are followed.", engine.pools),
        "pools_quarantined": ("Pools that disagreed with the chain.", engine.pools_quarantined),
        "cycles": ("Cycles that are screened.", engine.cycles),
        "tokens_trusted": ("Tokens that may take part.", engine.tokens_trusted),
        "tokens_refused": ("Tokens that may not.", engine.tokens_refused),
        "tokens_unpriced": ("Profit tokens without a price: finds in them are not taken.", len(engine.tokens_unpriced)),
        "spooled_entries": ("Ledger entries that the desk has not acknowledged.", engine.spooled),
    }
    for name, (meaning, value) in gauges.items():
        yield _gauge(name, meaning, value)
    if engine.load is not None:
        told = engine.load
        amounts = {"load_done": told.done, "load_whole": told.whole, "load_known_pools": told.pools}
        for name, amount in amounts.items():
            yield _gauges(name, _LOADED[name], "stage", {told.stage: amount})
        if told.left_ms is not None:
            yield _gauges("load_seconds_left", _LOADED["load_seconds_left"], "stage", {told.stage: told.left_ms / 1000})
    yield _counter("pending_seen", "Pending transactions since the engine's start.", engine.pending_seen)
    yield _counter("pending_read", "Of them, those that are swaps that we can read.", engine.pending_read)
    yield _counters("pending_simulated", "Pending transactions that no decoder reads and that were simulated.", "how",
                    engine.pending_simulated)  # fmt: skip
    yield _counters("opportunities", "Finds since the engine's start.", "kind", engine.opportunities)
    yield _counters("engine_dropped", "Finds dropped since the engine's start.", "reason", engine.dropped)
    yield _gauges("loans", "What is followed of the lenders' loans, and what is left out of it.", "what", engine.loans)
    yield _counter("bundles_sent", "Bundles sent since the engine's start.", engine.bundles_sent)
    seconds = {quantile: microseconds / 1e6 for quantile, microseconds in engine.tick_to_bundle_us.items()}
    yield _gauges("tick_to_bundle_seconds", "From event received to bundle signed.", "quantile", seconds)
    ether = {key: int(balance) / WEI_PER_ETHER for key, balance in engine.hot_keys.items()}
    yield _gauges("hot_key_ether", "Balance of a hot key.", "key", ether)
    yield _gauges(
        "rpc_up", "1 if the RPC is fine.", "rpc", {url: int(told == "ok") for url, told in engine.rpcs.items()}
    )
    yield _gauges("relay_up", "1 if the relay is fine.", "relay",
                  {name: int(told == "ok") for name, told in engine.relays.items()})  # fmt: skip


def _of_ledger(status: NodeStatus) -> Iterator[Metric]:
    totals = status.totals
    yield _gauge("ledger_entries", "Sequence of the last entry on disk.", status.ledger_entries)
    yield _counter("bundles_signed", "Bundles in the ledger.", totals.bundles)
    yield _gauge("executions_landed", "Executions in blocks that stand.", totals.landed)
    yield _gauges("executions_missed", "Executions that are not in their block.", "reason", totals.missed)
    yield _counters("found", "Finds in the ledger.", "kind", totals.found)
    yield _counters("dropped", "Finds in the ledger that went no further.", "reason", totals.dropped)
    yield _counters("relay_took", "Bundles that a relay took.", "relay", totals.relay_took)
    yield _counters("relay_refused", "Bundles that a relay refused.", "relay", totals.relay_refused)
    yield _counters("alerts", "Alerts by kind.", "kind", totals.alerts)
    told = CounterMetricFamily(PREFIX + "network_alerts", "The network's alerts, by what our own means say of them.",
                               labels=["kind", "verdict"])  # fmt: skip
    for name, count in totals.network_alerts.items():
        told.add_metric(name.split(" "), count)
    yield told
    yield _counters("ledger_oddities", "Entries repeated, lost, contradicted or unreadable.", "what", totals.ledger)
    for name, meaning, amounts in (
        ("profit_ether", "Profit at the price of its find.", {k: s.profit_wei for k, s in totals.keys.items()}),
        ("gas_ether", "Fees that the hot key paid.", {k: s.gas_wei for k, s in totals.keys.items()}),
        ("bid_ether", "What builders got.", {k: s.bid_wei for k, s in totals.keys.items()}),
    ):
        yield _gauges(name, meaning, "key", {key: int(amount) / WEI_PER_ETHER for key, amount in amounts.items()})


def _of_watch(status: NodeStatus) -> Iterator[Metric]:
    watch = status.watch
    if watch is None:
        return
    yield _counter("watch_looks", "Looks at the chain by the watchers.", watch.looks)
    yield _counter("watch_failed", "Looks that failed.", watch.failed)
    yield _counters("watch_news", "What was told, by what it is about.", "about", watch.told)
    if (sight := watch.sight) is None:
        return
    for name, meaning in (
        ("active", "Active stake, HFT."),
        ("leaving", "Stake that is leaving, HFT."),
        ("recent_loss", "Lost by slashing in 30 days, HFT."),
    ):
        yield _gauge(f"stake_{name}", meaning, int(sight[name]) / WEI_PER_ETHER)
    left = max(0, sight["closes_at"] - sight["block"])
    yield _gauge("check_in_due_blocks", "Blocks to the end of the next check-in; 0: done, or closed.",
                 0 if sight["checked_in"] else left)  # fmt: skip
    yield _gauge("turns_ahead", "Blocks ahead that the operator leads.", len(sight["turns"]))
    yield _gauge("brake_paused", "1 while all executions are paused.", int(sight["paused_until"] is not None))
    active = [each for each in sight["proposals"].values() if each["state"] == "active"]
    yield _gauge("proposals_active", "Proposals that are voted on.", len(active))
    yield _gauges("network_parameter", "Parameters of the network, as the contract has them.", "parameter",
                  {name: float(value) for name, value in sight["parameters"].items()})  # fmt: skip
    vaults = sight["vaults"].items()
    yield _gauges("vault_paused", "1 while the vault is paused.", "safe",
                  {safe: int(vault["paused"]) for safe, vault in vaults})  # fmt: skip
    yield _gauges("vault_gas_ether", "What the vault's hot key has for gas.", "safe",
                  {safe: int(vault["gas"]) / WEI_PER_ETHER for safe, vault in vaults})  # fmt: skip


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, meaning, value=value)


def _gauges(name: str, meaning: str, label: str, values: dict[str, int] | dict[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, meaning: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
