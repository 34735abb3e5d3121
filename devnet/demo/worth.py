"""The network's worth: one seed in lockstep, once with five operators as a network, once with the same as strangers.

Both runs have the same world, operators, reach, actors and number of blocks. A stranger has no stake in the game: it
neither checks in nor hands over, and what it cannot do itself brings it nothing. The actors draw the same in both; what
they make of it depends on the chain, on which the operators trade too: `tape_equal` says how much of it was the same.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devnet.demo.chain_watch import ChainWatch
from devnet.demo.network_report import OperatorWorth, Worth, orders_executed, usd
from devnet.demo.summary import SEARCHERS, NodeOutcome, ledger_differences, net_usd
from devnet.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs when it is over; `journal` is the actors'."""

    watch: ChainWatch
    nodes: Sequence[NodeOutcome]
    journal: Sequence[Mapping[str, Any]]
    errors: Sequence[str]
    left_running: Sequence[str]
    digest: str = ""
    """Of all that the operators said to each other; empty where they are strangers."""


def worth(manifest: Manifest, network: Side, strangers: Side) -> Worth:
    """Compare the two runs."""
    alone = {node.operator.name: net_usd(manifest, node.earned) for node in strangers.nodes}
    together = {node.operator.name: net_usd(manifest, node.earned) for node in network.nodes}
    executed = orders_executed(manifest, network.watch.blocks)
    paid: Counter[str] = Counter()
    for order in executed:
        paid[order.finder] += order.paid_wei
    by_finder, by_executor = (Counter(getattr(order, role) for order in executed) for role in ("finder", "executor"))
    operators = tuple(
        OperatorWorth(
            name=(name := node.operator.name),
            strangers_usd=alone[name],
            network_usd=together[name],
            orders_given=sum(node.ledger.network.given.values()),
            orders_accepted=node.ledger.network.given.get("accept", 0),
            orders_executed=by_finder[name],
            paid_usd=usd(manifest, paid[name]),
            executed_for_others=by_executor[name],
        )
        for node in network.nodes
    )
    tape, known = _tape(network.journal, network.watch), _tape(strangers.journal, strangers.watch)
    strangers_usd, network_usd = (round(sum(several.values()), 2) for several in (alone, together))
    return Worth(
        blocks=len(network.watch.blocks),
        operators=operators,
        strangers_usd=strangers_usd,
        network_usd=network_usd,
        difference_usd=round(network_usd - strangers_usd, 2),
        tape=len(tape),
        tape_equal=len(tape & known),
        strangers_last_block=strangers.watch.blocks[-1].hash,
        network_last_block=network.watch.blocks[-1].hash,
        digest=network.digest,
        faults=tuple(_faults(manifest, strangers)),
    )


def _tape(journal: Iterable[Mapping[str, Any]], watch: ChainWatch) -> set[str]:
    """The order flow's transactions up to the last block that counts, by hash; searchers answer to what they see."""
    return {
        entry["hash"]
        for entry in journal
        if "hash" in entry and entry["actor"] not in SEARCHERS and entry["block"] <= watch.last
    }


def _faults(manifest: Manifest, side: Side) -> Iterable[str]:
    yield from side.errors
    yield from (f"left running: {process}" for process in side.left_running)
    for node in side.nodes:
        yield from ledger_differences(manifest, node)
        if node.restarts:
            yield f"{node.operator.name}: {node.restarts} restarts"
        if node.ledger.unexplained:
            yield f"{node.operator.name}: {node.ledger.unexplained} misses without a reason"
