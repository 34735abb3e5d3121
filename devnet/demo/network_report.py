"""What came of the network in a demo: orders by the chain, alerts by ledgers against the actors' own record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from devnet.accounts import account
from devnet.demo.chain_watch import Mined, SeenBlock
from devnet.demo.hindsight_reading import worth_of
from devnet.manifest import Manifest
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256

EXECUTED: Final = "0x" + keccak256(b"Executed(bytes32,bytes32,address,address,address,uint256,uint256,uint256)").hex()
MINIMUM_ORDERS: Final = 10
SEEN_BY: Final = 3
MINIMUM_SEEN: Final = 0.9
MAXIMUM_FALSE: Final = 0.05
_SANDWICH_EVIDENCE: Final = 4 * 32


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert in one node's ledger: what it is about, who told it, and whether the node came to it itself."""

    alert_id: bytes
    evidence: bytes
    operator: str
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class NetworkLedger:
    """What one node's ledger says of the network."""

    given: Mapping[str, int] = field(default_factory=dict)
    """Orders that it handed over, by answer."""
    paid: Sequence[int] = ()
    """What it was paid for orders that others executed, each time."""
    backups: frozenset[bytes] = frozenset()
    """Order hashes that went to the next block's leader."""
    alerts: Sequence[AlertSeen] = ()


class OperatorWorth(msgspec.Struct, frozen=True, kw_only=True):
    """One operator. Net profit is what its Safes and hot keys have more than before, in dollars."""

    name: str
    strangers_usd: float
    network_usd: float
    orders_given: int
    orders_accepted: int
    orders_executed: int
    """Of those that it gave, by the chain, all with it paid …"""
    paid_usd: float
    """… and what it was paid for them."""
    executed_for_others: int


class TapePlayed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the actors' tape in one run. The bytes are the tape's; the chain is another."""

    equal: int
    """Transactions that were sent with the tape's bytes for the tape's block: all, or the run is no comparison."""
    landed: int
    reverted: int
    """Of them, by the chain, those that are in a block and succeeded, and those that are and did not."""


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What being a network was worth on one seed."""

    blocks: int
    operators: tuple[OperatorWorth, ...]
    strangers_usd: float
    network_usd: float
    difference_usd: float
    tape: int
    """Transactions of the actors on the tape that both runs were given, to the mempool and in bundles."""
    strangers_played: TapePlayed
    network_played: TapePlayed
    strangers_last_block: str
    network_last_block: str
    """The last blocks' hashes: they stand for all that happened on the chains."""
    digest: str
    """Of all that the operators said to each other, in its order."""
    faults: tuple[str, ...] = ()
    """What was wrong with the comparison: a run that was not given the whole tape; and with the strangers' run: errors,
    restarts, ledgers that differ from the chain, what is left."""


class NetworkReport(msgspec.Struct, frozen=True, kw_only=True):
    """Orders and alerts of a demo. Amounts in dollars at the prices of the world's set-up."""

    orders_given: int
    orders_accepted: int
    answers: dict[str, int]
    """By answer: `accept`, `have`, `decline`, `silent`."""
    executed: int
    """Network executions on the chain, all with their finder paid in the transaction."""
    executed_by_backup: int
    doubled: int
    """Executions beyond the first of one primary key."""
    paid_to_finders_usd: float
    paid_by_finder_usd: dict[str, float]
    sandwiches: int
    """Mined, by the actor's own record."""
    sandwiches_alerted: int
    """Of them, those that at least three nodes alerted."""
    alerts: int
    """Different ones."""
    alerts_false: int
    worth: Worth | None = None
    """In lockstep, where the same seed is run with strangers as well."""


class OrderExecuted(msgspec.Struct, frozen=True):
    """A network execution as the chain tells it: operators by name, what the finder was paid in wei."""

    order_hash: bytes
    primary_key: bytes
    finder: str
    executor: str
    paid_wei: int


def orders_executed(manifest: Manifest, blocks: Iterable[SeenBlock]) -> list[OrderExecuted]:
    """Return the network executions of these blocks, in their order."""
    names = {account(one.account).address: one.name for one in manifest.operators}
    return [
        _order(manifest, names, log)
        for block in blocks
        for mined in block.transactions
        for log in _executions(manifest, mined)
    ]


def network_report(
    manifest: Manifest,
    blocks: Iterable[SeenBlock],
    ledgers: Mapping[str, NetworkLedger],
    truth: Sequence[Mapping[str, Any]],
) -> NetworkReport:
    """Put it together; `ledgers` by operator, `truth` the actor's mined sandwiches."""
    seen = list(blocks)
    numbers = {block.number for block in seen}
    mined = orders_executed(manifest, seen)
    keys = Counter(order.primary_key for order in mined)
    paid: Counter[str] = Counter()
    for order in mined:
        paid[order.finder] += order.paid_wei
    answers: Counter[str] = Counter()
    for ledger in ledgers.values():
        answers.update(ledger.given)
    backups = frozenset().union(*(ledger.backups for ledger in ledgers.values()))
    real = [one for one in truth if one["block"] in numbers]
    alerted, false, different = _alerts(ledgers, real, truth)
    return NetworkReport(
        orders_given=sum(answers.values()),
        orders_accepted=answers["accept"],
        answers=dict(sorted(answers.items())),
        executed=len(mined),
        executed_by_backup=sum(order.order_hash in backups for order in mined),
        doubled=sum(count - 1 for count in keys.values()),
        paid_to_finders_usd=usd(manifest, sum(paid.values())),
        paid_by_finder_usd={name: usd(manifest, wei) for name, wei in sorted(paid.items())},
        sandwiches=len(real),
        sandwiches_alerted=alerted,
        alerts=different,
        alerts_false=false,
    )


def _alerts(
    ledgers: Mapping[str, NetworkLedger], real: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]]
) -> tuple[int, int, int]:
    """How many of the `real` sandwiches enough nodes alerted, how many alerts are none of the `truth`, and of how many.

    Nodes look at blocks before the demo's first one, too.
    """
    tellers: dict[bytes, set[str]] = {}
    for ledger in ledgers.values():
        for alert in ledger.alerts:
            if len(alert.evidence) == _SANDWICH_EVIDENCE:
                tellers.setdefault(alert.evidence, set()).add(alert.operator)
    wanted, known = ({(_bytes(one["front"]), _bytes(one["back"])) for one in several} for several in (real, truth))
    by_pair = {(evidence[32:64], evidence[96:]): who for evidence, who in tellers.items()}
    alerted = sum(len(by_pair.get(pair, ())) >= SEEN_BY for pair in wanted)
    return alerted, sum(pair not in known for pair in by_pair), len(by_pair)


def _executions(manifest: Manifest, mined: Mined) -> list[Mapping[str, Any]]:
    ledger = manifest.contracts["execution_ledger"]
    return [log for log in mined.logs if log["address"].lower() == ledger and log["topics"][0] == EXECUTED]


def _order(manifest: Manifest, names: Mapping[str, str], log: Mapping[str, Any]) -> OrderExecuted:
    words = decode(["address", "address", "uint256", "uint256", "uint256"], _bytes(log["data"]))
    executor, token, _, paid, _ = words
    return OrderExecuted(
        order_hash=_bytes(log["topics"][1]),
        primary_key=_bytes(log["topics"][2]),
        finder=names.get("0x" + log["topics"][3][-40:], "another"),
        executor=names.get(executor.lower(), "another"),
        paid_wei=_wei(manifest, token, paid),
    )


def _wei(manifest: Manifest, token: str, amount: int) -> int:
    (symbol,) = (one.symbol for one in manifest.tokens if one.address.lower() == token)
    return worth_of(manifest, symbol).wei(amount)


def usd(manifest: Manifest, wei: int) -> float:
    """Return wei in dollars at the prices of the world's set-up."""
    return round(wei * manifest.token("WETH").usd_price_e8 / 10**26, 2)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
