"""Gossip between processes on one machine: envelopes of 1 KB, all nodes publish, each message fully validated.

In: a signed envelope given to a node. Out: the same envelope accepted by another node; each delivery is one sample. One
process a node, one mesh of all. Validation is `protocol.gossip` whole: decoding, registry, buckets, signature recovery,
sequence, payload. Beside it, in turn, with messages of the same size at the same pace:

- js-libp2p with gossipsub as it comes: it checks libp2p's own signatures and nothing more;
- py-libp2p as it comes, but its heartbeat is at 1 s and its spam filter off (else it loses most); its validator decodes
  and recovers the signature, nothing more.

CPU a delivery is that of all processes; on a machine that has other work it is steadier than the time. Then what one
validation takes, how much slower the hot path (`hotpath`: a V2 backrun from JSON to signed bundle) is while five nodes
gossip on the same machine, and the way of a sealed order to its signed Accept between two hosts on loopback (both in
this one process): sealed, sent on a direct stream, opened, its signature checked, answered by an Accept that is synced
to disk before its signature leaves, and checked. The link between sentry and engine and the order's simulation are not
in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio
from libp2p.peer.id import ID

from benchmarks.gossip_nodes import (
    DOMAIN,
    DRAIN_SECONDS,
    ENVELOPE_BYTES,
    KINDS,
    PLENTY,
    SECONDS,
    SETUPS,
    TOPIC,
    Job,
    address_of,
    envelope_bytes,
    identity_of,
    registry,
    seed_of,
)
from benchmarks.gossip_orders import order_latencies
from benchmarks.harness import Row, duration_row, percentile
from benchmarks.hotpath import Bench, backruns_until
from benchmarks.market_generator import generate
from devnet.home import Home
from node.sentry.host import hash_of_peer, system_milliseconds
from protocol.gossip import Gossip
from protocol.kinds import PayloadKind
from tests.network.foreign_peer import laid_out

NAMES: Final = {"ours": "hftnode", "stock": "py-libp2p as it comes", "js": "js-libp2p"}
ROOT: Final = Path(__file__).parent.parent
JS_PROGRAM: Final = Path(__file__).with_name("gossip_js.mjs")
VALIDATIONS: Final = 2_000
LOAD: Final = (5, 100)
"""Nodes and messages a second in all, beside which the hot path is measured."""


class Outcome(NamedTuple):
    """What one set-up gave: seconds of each delivery, deliveries that did not come, CPU seconds of all workers."""

    latencies: list[float]
    lost: int
    cpu: float

    @property
    def cpu_each(self) -> float:
        """CPU seconds a delivery."""
        return self.cpu / max(1, len(self.latencies))


def command_of(job: Job, js: list[str]) -> list[str]:
    """Return what starts a node."""
    if job.kind != "js":
        return [sys.executable, "-m", "benchmarks.gossip_nodes", json.dumps(job)]
    told = {
        "seed": seed_of(job.number).hex(),
        "listen": address_of(job, job.number).rsplit("/p2p/", 1)[0],
        "dial": [address_of(job, number) for number in range(job.number)],
        "topic": TOPIC,
        "bytes": ENVELOPE_BYTES,
        "seconds": SECONDS,
        "drain": DRAIN_SECONDS,
        **{name: getattr(job, name) for name in ("number", "nodes", "rate")},
    }
    return [*js, json.dumps(told)]


def measure(
    kind: str, nodes: int, rate: int, js: list[str], beside: Callable[[float], None] = lambda _: None
) -> Outcome:
    """Run one set-up in processes of its own; `beside` is called while they gossip, with the time at which they end.

    Raises RuntimeError if a node does not join.
    """
    workers: list[Any] = []
    for number in range(nodes):
        command = command_of(Job(kind, number, nodes, rate), js)
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        workers.append(subprocess.Popen(command, cwd=ROOT, text=True, **pipes))
    try:
        for worker in workers:
            if worker.stdout.readline() != "joined\n":
                raise RuntimeError(f"{kind}: a node of {nodes} did not join")
        time.sleep(2.0)  # grafts settle
        start = time.monotonic() + 0.5
        for worker in workers:
            worker.stdin.write(f"{start}\n")
            worker.stdin.flush()
        beside(start + SECONDS)
        told = [json.loads(worker.stdout.readline()) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    latencies = [seconds for one in told for seconds in one["latencies"]]
    expected = nodes * (nodes - 1) * (SECONDS * rate // nodes)
    return Outcome(latencies, expected - len(latencies), sum(one["cpu"] for one in told))


def comparison(nodes: int, rate: int, outcomes: dict[str, Outcome]) -> Iterator[Row]:
    """Yield the rows of a set-up: all three as they are, and ours beside js-libp2p's."""
    name = f"{nodes} nodes, {rate:,}/s in all"
    for kind, one in outcomes.items():
        if one.latencies:
            yield duration_row(f"{name}: {NAMES[kind]}, {one.lost:,} lost", "ms", one.latencies)
    ours, js = outcomes["ours"], outcomes["js"]
    for percent in (50, 99):
        own, theirs = (1_000 * percentile(one.latencies, percent) for one in (ours, js))
        yield Row(f"{name}: p{percent} beside js-libp2p", "ms", own, own, theirs, theirs / own, NAMES["js"])
    for kind in ("js", "stock"):
        row = duration_row(f"{name}: CPU a delivery", "ms", [ours.cpu_each], [outcomes[kind].cpu_each], NAMES[kind])
        yield row


def validation_row() -> Row:
    """Measure the whole validation of fresh envelopes, one sample each, in processor time: it waits for nothing."""
    gossip = Gossip(DOMAIN, PLENTY)
    gossip.follow(registry(1))
    peer = hash_of_peer(ID.from_pubkey(identity_of(0).public_key))
    samples = []
    for number in range(VALIDATIONS):
        data = envelope_bytes(0, number)
        now, begun = system_milliseconds(), time.thread_time_ns()
        gossip.validate(PayloadKind.ALERT, data, peer, peer, now)
        samples.append((time.thread_time_ns() - begun) / 1e9)
    return duration_row("validation of an envelope", "µs", samples)


def hot_path_rows(js: list[str]) -> list[Row]:
    """Measure the hot path without gossip, under it, and without it again."""
    bench, (nodes, rate) = Bench(generate()), LOAD
    without = backruns_until(bench, time.monotonic() + SECONDS)
    under: list[float] = []
    measure("ours", nodes, rate, js, lambda end: under.extend(backruns_until(bench, end)))
    without += backruns_until(bench, time.monotonic() + SECONDS)
    slower = percentile(under, 99) / percentile(without, 99)
    name = f"hot path under gossip of {nodes} nodes, {rate}/s"
    return [
        duration_row("hot path without gossip", "µs", without),
        duration_row(name, "µs", under, without, "without"),
        Row("hot path: p99 under gossip over p99 without (aim 1.5)", "times", slower, slower),
    ]


def run() -> list[Row]:
    """Measure every set-up, all three in turn, then validation, the hot path, and orders."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        js = laid_out(Home.from_environment(), Path(folder), JS_PROGRAM)
        for nodes, rate in SETUPS:
            rows += comparison(nodes, rate, {kind: measure(kind, nodes, rate, js) for kind in KINDS})
        rows += hot_path_rows(js)
    rows.append(validation_row())
    rows.append(duration_row("sealed order to Accept, hosts and store alone", "ms", trio.run(order_latencies)))
    return rows
