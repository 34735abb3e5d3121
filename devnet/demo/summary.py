"""From what the chain, the ledgers and the journals say to the report: pure, once everything has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final, NamedTuple

import msgspec

from devnet.accounts import account
from devnet.actors.parameters import Parameters
from devnet.demo.chain_watch import ChainWatch, Holdings, Mined, SeenBlock, coinbase_payment
from devnet.demo.hindsight import Block, Hindsight, RivalBid
from devnet.demo.hindsight_flow import LogReader
from devnet.demo.hindsight_reading import universe, worth_of
from devnet.demo.hindsight_search import Market
from devnet.demo.ledger_reading import LedgerSummary, latency_us
from devnet.demo.memory import MemoryGrowth
from devnet.demo.network_report import NetworkReport, Worth, network_report
from devnet.demo.report import Bundles, Evidence, Latency, NodeReport, Report, expectations
from devnet.manifest import Manifest, Operator
from protocol.ethereum.keccak import keccak256

SEARCHERS: Final = ("rival", "sandwicher")
_BASIS_POINTS: Final = 10_000
_MEMBERSHIP: Final = tuple(
    "0x" + keccak256(event).hex()
    for event in (b"CheckedIn(uint256,address,uint256,uint256)", b"Rolled(uint256,bytes32,uint256,uint256)")
)
_EXECUTED: Final = "0x" + keccak256(b"Executed(address,address,uint256,uint256)").hex()
_LIQUIDATED: Final = {
    contract: "0x" + keccak256(event).hex()
    for contract, event in (
        ("aave_pool", b"LiquidationCall(address,address,address,uint256,uint256,address,bool)"),
        ("morpho", b"Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)"),
    )
}
_ETHER: Final = 10**18
_E8: Final = 10**8


@dataclass(frozen=True, slots=True)
class Earned:
    """What the chain says of one operator."""

    tokens: Mapping[str, int]
    """By symbol: what the Safes gained, in smallest units."""
    ether: int
    """What the hot keys gained: they pay, so it is negative."""
    gas_wei: int
    bids_wei: int
    included: int
    """Executions that succeeded."""
    liquidations: int = 0
    """Of them, those that liquidated a loan …"""
    liquidations_wei: int = 0
    """… and what they brought to the Safes, less their gas, at the prices of the world's set-up."""


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """One node at the end: its operator, its ledger, what the chain says, how often a process of it was restarted."""

    operator: Operator
    ledger: LedgerSummary
    earned: Earned
    restarts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the report is made of."""

    seed: int
    manifest: Manifest
    watch: ChainWatch
    nodes: Sequence[NodeOutcome]
    pending_transactions: int
    available: Available
    errors: Sequence[str]
    left_running: Sequence[str]
    sandwiches: Sequence[Mapping[str, Any]] | None = None
    """The actor's own record of those that were mined; None where every node acts alone."""
    worth: Worth | None = None
    cores: Mapping[str, float] = field(default_factory=dict)
    """What each process took of the processors."""
    memory: Mapping[str, MemoryGrowth] = field(default_factory=dict)


def earned(watch: ChainWatch, operator: Operator, after: Holdings) -> Earned:
    """Measure one operator on the chain, over all blocks of the watch."""
    keys = {account(vault.hot_key).address for vault in operator.vaults}
    ledger = watch.manifest.contracts["execution_ledger"]
    gas = bids = included = liquidations = liquidated_wei = 0
    for block in watch.blocks:
        for mined in block.transactions:
            if mined.sender in keys:
                gas += mined.gas_used * mined.gas_price
                bids += mined.gas_used * (mined.gas_price - block.base_fee) + coinbase_payment(watch.manifest, mined)
                included += mined.succeeded and not _is_membership(mined, ledger)
                if is_liquidation(watch.manifest, mined):
                    liquidations += 1
                    liquidated_wei += told_profit_wei(watch.manifest, mined) - mined.gas_used * mined.gas_price
    before = watch.before[operator.name]
    tokens = {symbol: after.tokens[symbol] - amount for symbol, amount in before.tokens.items()}
    return Earned(tokens, after.ether - before.ether, gas, bids, included, liquidations, liquidated_wei)


def is_liquidation(manifest: Manifest, mined: Mined) -> bool:
    """Whether a transaction liquidated a loan on Aave, or on Morpho."""
    marks = {(manifest.contracts[name].lower(), topic) for name, topic in _LIQUIDATED.items()}
    return any((log["address"].lower(), next(iter(log["topics"]), "")) in marks for log in mined.logs)


def told_profit_wei(manifest: Manifest, mined: Mined) -> int:
    """What the vault module tells that a transaction brought to its Safe, in wei."""
    module, symbols = manifest.contracts["vault_module"].lower(), {}
    for token in manifest.tokens:
        symbols[token.address.lower()] = token.symbol
    return sum(
        worth_of(manifest, symbols["0x" + log["topics"][2][-40:].lower()]).wei(int(log["data"][66:130], 16))
        for log in mined.logs
        if log["address"].lower() == module and log["topics"][0] == _EXECUTED
    )


def _is_membership(mined: Mined, ledger: str) -> bool:
    """Whether a transaction checked in or rolled an epoch: it executes nothing."""
    return any(log["address"].lower() == ledger and log["topics"][0] in _MEMBERSHIP for log in mined.logs)


def ledger_differences(manifest: Manifest, node: NodeOutcome) -> list[str]:
    """Return in words where a node's ledger and the chain do not say the same."""
    told, found, name = node.ledger, node.earned, node.operator.name
    differences = []
    for symbol, amount in found.tokens.items():
        booked = told.profit.get(manifest.token(symbol).address.lower(), 0)
        if booked != amount:
            differences.append(f"{name}: {symbol} {booked} booked, {amount} on the chain")
    for what, booked, amount in (
        ("gas", told.gas_wei, found.gas_wei),
        ("hot keys' ether", -told.gas_wei, found.ether),
        ("bids", told.bid_wei, found.bids_wei),
        ("executions", len(told.landed), found.included),
    ):
        if booked != amount:
            differences.append(f"{name}: {what} {booked} booked, {amount} on the chain")
    return differences


@dataclass(frozen=True, slots=True)
class Available:
    """What hindsight nets, in wei: `sealed` by the best single `share` (basis points) of each find that is bid, known
    only afterwards; `opened` as if the others' bids had been open.
    """

    sealed: int
    share: int
    opened: int


SHARES: Final = (0, 500, 1_500, 3_000, 6_000)
"""Tried as the single share, in basis points. The best of more of them would be a little greater."""


def available_wei(
    watch: ChainWatch, journal: Iterable[Mapping[str, Any]], parameters: Parameters, stopped: Callable[[], bool]
) -> Available | None:
    """Run the hindsight solver over all blocks of the watch; `journal` is the actors'. None once `stopped()`.

    Slow: up to a minute for each minute of the chain.
    """
    seen = universe(watch.manifest, watch.families)
    reader, market = LogReader(seen.followed, watch.states), Market(seen.tokens, seen.worth)
    solvers = {share: Hindsight(market, share) for share in (None, *SHARES)}
    bids = rival_bids(watch.manifest, journal, parameters)
    others = {account(name).address for role in SEARCHERS for name in watch.manifest.funded[role]}
    others |= {account(vault.hot_key).address for operator in watch.operators for vault in operator.vaults}
    for block in watch.blocks:
        if stopped():
            return None
        before = dict(reader.states)
        read = [(mined.sender, reader.read(mined.logs)) for mined in block.transactions]
        flow = [actions for sender, actions in read if actions and sender not in others]
        for solver in solvers.values():
            solver.block(Block(before, block.base_fee, flow, bids.get(block.number, ())))
    best = max(SHARES, key=lambda share: solvers[share].available_wei)
    return Available(solvers[best].available_wei, best, solvers[None].available_wei)


def rival_bids(
    manifest: Manifest, journal: Iterable[Mapping[str, Any]], parameters: Parameters
) -> dict[int, list[RivalBid]]:
    """Return what the other searchers offered in each block, landed or not, as their journal tells it."""
    bids: dict[int, list[RivalBid]] = {}
    for entry in journal:
        if entry.get("actor") not in SEARCHERS or "expected_profit" not in entry:
            continue
        profit = int(entry["expected_profit"])
        if entry["actor"] == "rival":
            bid = RivalBid(tuple(entry["pools"]), profit * int(entry["bid_basis_points"]) // _BASIS_POINTS)
        else:
            wei = worth_of(manifest, str(entry["token_in"])).wei(profit)
            bid = RivalBid((str(entry["pool"]),), int(wei * parameters.sandwicher.bid))
        bids.setdefault(int(entry["block"]), []).append(bid)
    return bids


class Exactness(NamedTuple):
    """Included executions, held against what was predicted of them."""

    untouched: int
    """Those that met what they were computed for: before them in the block their pools were moved by nothing but
    their victims and the finds of our own behind which they were computed, and all of the latter."""
    exact: int
    """Of these, those that brought exactly what was predicted."""
    leaderless: int
    """Those computed behind a find of our own that did not come before them: they brought what was there instead."""


def exactness(watch: ChainWatch, nodes: Iterable[NodeOutcome]) -> Exactness:
    """Compare each node's included executions with what it had predicted."""
    blocks = {block.number: block for block in watch.blocks}
    untouched = exact = leaderless = 0
    for node in nodes:
        hashes = {landed.opportunity_id: "0x" + landed.transaction_hash.hex() for landed in node.ledger.landed}
        for landed in node.ledger.landed:
            block = blocks.get(landed.block)
            if block is None:
                continue
            before = _before(block, "0x" + landed.transaction_hash.hex())
            expected = {hashes.get(name, "") for name in landed.behind}
            if not expected <= {mined.hash for mined in before}:
                leaderless += 1
                continue
            expected |= {"0x" + victim.hex() for victim in landed.victims}
            pools = {"0x" + pool.hex() for pool in landed.pools}
            if not any(_moves(mined, pools) for mined in before if mined.hash not in expected):
                untouched += 1
                exact += landed.predicted == landed.realised
    return Exactness(untouched, exact, leaderless)


def beyond_hindsight(watch: ChainWatch, nodes: Iterable[NodeOutcome]) -> list[str]:
    """Return the pools of included executions that hindsight does not look at; liquidations do not count in capture."""
    seen = universe(watch.manifest, watch.families).followed
    mined = (mined for block in watch.blocks for mined in block.transactions)
    apart = {transaction.hash for transaction in mined if is_liquidation(watch.manifest, transaction)}
    return sorted(
        {
            "0x" + pool.hex()
            for node in nodes
            for landed in node.ledger.landed
            if "0x" + landed.transaction_hash.hex() not in apart
            for pool in landed.pools
        }
        - set(seen)
    )


def _before(block: SeenBlock, own: str) -> list[Mined]:
    return list(takewhile(lambda mined: mined.hash != own, block.transactions))


def _moves(mined: Mined, pools: set[str]) -> bool:
    """Whether a transaction left a log of one of the pools: by its address, or by Balancer's pool id."""
    return any(
        log["address"].lower() in pools or any(topic.lower() in pools for topic in log["topics"]) for log in mined.logs
    )


def make_report(outcome: Outcome) -> Report:
    """Put it all together and hold it against the expectations."""
    manifest, ledgers = outcome.manifest, [node.ledger for node in outcome.nodes]
    nodes = tuple(_node_report(manifest, node) for node in outcome.nodes)
    net, available = sum(node.net_profit_usd for node in nodes), _usd(manifest, outcome.available.sealed)
    liquidations = _usd(manifest, sum(node.earned.liquidations_wei for node in outcome.nodes))
    p50, p99, longest = latency_us([took for ledger in ledgers for took in ledger.tick_to_bundle_ns])
    report = Report(
        seed=outcome.seed,
        blocks=len(outcome.watch.blocks),
        pending_transactions=outcome.pending_transactions,
        opportunities=_added(ledger.opportunities for ledger in ledgers),
        bundles=Bundles(
            submitted=sum(ledger.submitted for ledger in ledgers),
            included=sum(node.earned.included for node in outcome.nodes),
            missed=_added(ledger.missed for ledger in ledgers),
        ),
        nodes=nodes,
        net_profit_usd=round(net, 2),
        available_usd=available,
        best_single_bid=outcome.available.share / _BASIS_POINTS,
        available_with_open_bids_usd=_usd(manifest, outcome.available.opened),
        liquidations=sum(node.earned.liquidations for node in outcome.nodes),
        liquidations_usd=round(liquidations, 2),
        capture=round((net - liquidations) / available, 4) if available else 0.0,
        tick_to_bundle_us=Latency(p50=p50, p99=p99, max=longest),
        processors=dict(outcome.cores),
        memory=dict(outcome.memory),
        errors=tuple(outcome.errors),
        network=_network(outcome),
        expectations=(),
    )
    held = exactness(outcome.watch, outcome.nodes)
    evidence = Evidence(
        included_by_node={node.operator.name: node.earned.included for node in outcome.nodes},
        unexplained=sum(ledger.unexplained for ledger in ledgers),
        untouched=held.untouched,
        exact=held.exact,
        leaderless=held.leaderless,
        ledger_differences=tuple(line for node in outcome.nodes for line in ledger_differences(manifest, node)),
        left_running=tuple(outcome.left_running),
        beyond_hindsight=tuple(beyond_hindsight(outcome.watch, outcome.nodes)),
    )
    return msgspec.structs.replace(report, expectations=expectations(report, evidence))


def _network(outcome: Outcome) -> NetworkReport | None:
    """What came of the network; None where every node acts alone."""
    if outcome.sandwiches is None:
        return None
    ledgers = {node.operator.name: node.ledger.network for node in outcome.nodes}
    report = network_report(outcome.manifest, outcome.watch.blocks, ledgers, outcome.sandwiches)
    return msgspec.structs.replace(report, worth=outcome.worth)


def net_usd(manifest: Manifest, gained: Earned) -> float:
    """Return what Safes and hot keys have more than before, in dollars."""
    return _usd(manifest, _vault_wei(manifest, gained) + gained.ether)


def _vault_wei(manifest: Manifest, gained: Earned) -> int:
    return sum(worth_of(manifest, symbol).wei(amount) for symbol, amount in gained.tokens.items())


def _node_report(manifest: Manifest, node: NodeOutcome) -> NodeReport:
    return NodeReport(
        name=node.operator.name,
        vault_profit_wei=_vault_wei(manifest, node.earned),
        gas_wei=node.earned.gas_wei,
        bids_wei=node.earned.bids_wei,
        net_profit_usd=net_usd(manifest, node.earned),
        restarts=node.restarts,
    )


def _usd(manifest: Manifest, wei: int) -> float:
    return float(round(Decimal(wei) * manifest.token("WETH").usd_price_e8 / (_ETHER * _E8), 2))


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
