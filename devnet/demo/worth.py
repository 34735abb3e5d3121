"""The network's worth: one seed in lockstep, once with five operators as a network, once with the same as strangers.

Both runs have the same world, operators, reach and number of blocks, and both are given the same tape: what the actors
sent where no operator was on the chain. A stranger has no stake in the game: it neither checks in nor hands over, and
what it cannot do itself brings it nothing. The actors do not answer to what the operators do, so what differs between
the runs is the operators' doing. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from devnet.actors.tape import Tape
from devnet.demo.chain_watch import ChainWatch
from devnet.demo.network_report import OperatorWorth, TapePlayed, Worth, orders_executed, usd
from devnet.demo.summary import NodeOutcome, ledger_differences, net_usd
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


def worth(manifest: Manifest, network: Side, strangers: Side, tape: Tape) -> Worth:
    """Compare the two runs, which were given this tape."""
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
    wanted = set(tape.sent(network.watch.last))
    played = {name: _played(wanted, side) for name, side in (("strangers", strangers), ("network", network))}
    strangers_usd, network_usd = (round(sum(several.values()), 2) for several in (alone, together))
    return Worth(
        blocks=len(network.watch.blocks),
        operators=operators,
        strangers_usd=strangers_usd,
        network_usd=network_usd,
        difference_usd=round(network_usd - strangers_usd, 2),
        tape=len(wanted),
        strangers_played=played["strangers"],
        network_played=played["network"],
        strangers_last_block=strangers.watch.blocks[-1].hash,
        network_last_block=network.watch.blocks[-1].hash,
        digest=network.digest,
        faults=(*_unlike(tape, wanted, played, network.watch), *_faults(manifest, strangers)),
    )


def _played(wanted: Set[tuple[int, str]], side: Side) -> TapePlayed:
    """What the run's own journal says was sent, and what the chain says became of it."""
    sent = {(entry["block"], each) for entry in side.journal for each in entry.get("sent", ())}
    hashes = {each for _, each in wanted & sent}
    ours = [mined for block in side.watch.blocks for mined in block.transactions if mined.hash in hashes]
    landed = sum(mined.succeeded for mined in ours)
    return TapePlayed(equal=len(wanted & sent), landed=landed, reverted=len(ours) - landed)


def _unlike(
    tape: Tape, wanted: Set[tuple[int, str]], played: Mapping[str, TapePlayed], watch: ChainWatch
) -> Iterable[str]:
    """Where a run was not given what the other was."""
    for name, one in played.items():
        if one.equal != len(wanted):
            yield f"{name}: {one.equal} of {len(wanted)} transactions of the tape were sent"
    first, last = tape.blocks[0].number, tape.blocks[-1].number
    if (first, last) != (watch.first, watch.last):
        yield f"the tape has blocks {first} to {last}, the runs {watch.first} to {watch.last}"


def _faults(manifest: Manifest, side: Side) -> Iterable[str]:
    yield from side.errors
    yield from (f"left running: {process}" for process in side.left_running)
    for node in side.nodes:
        yield from ledger_differences(manifest, node)
        if node.restarts:
            yield f"{node.operator.name}: {node.restarts} restarts"
        if node.ledger.unexplained:
            yield f"{node.operator.name}: {node.ledger.unexplained} misses without a reason"
