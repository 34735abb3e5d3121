"""Fills the block behind its bundles: transactions of the mempool by effective tip, a sender's nonces in turn.

They run once behind the bundles to learn their gas, since the block's limit holds for gas used (and for each
transaction's gas limit against what is left). One that does not fit is left out with its sender's later ones, and the
rest runs again, as its gas may have changed; likewise one that the chain refuses. After 8 rounds what is proven stays.
Of a long queue only as many run as ask for four times the gas that is left: more would hardly fit, and running costs
time.
Contract creations cannot be simulated (`simulation.py`): they and their senders' later transactions come last and
count with their gas limits.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

from devnet.relay.context import PooledTransaction
from devnet.relay.merging import Merged
from devnet.relay.simulation import Runs, SimulatedTransaction, Unexecutable, longest_executable
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee

MAX_ROUNDS: Final = 8
QUEUE_FACTOR: Final = 4
"""Gas limits of what is run, as a multiple of the gas that is left: users ask for two or three times what they take."""


def by_tip(public: Sequence[PooledTransaction], base_fee: int, nonces: Mapping[str, int]) -> list[SignedTransaction]:
    """Return what can go behind `nonces`: best effective tip first, then arrival, a sender's nonces without a gap."""
    queues: dict[str, dict[int, PooledTransaction]] = {}
    for pooled in public:
        queues.setdefault(pooled.transaction.sender, {}).setdefault(pooled.transaction.nonce, pooled)
    heap: list[tuple[int, int, PooledTransaction]] = []

    def push(sender: str, nonce: int) -> None:
        pooled = queues[sender].get(nonce)
        if pooled is not None and (tip := effective_priority_fee(pooled.transaction, base_fee)) >= 0:
            heapq.heappush(heap, (-tip, pooled.arrival, pooled))

    for sender in queues:
        push(sender, nonces.get(sender, 0))
    ordered: list[SignedTransaction] = []
    while heap:
        transaction = heapq.heappop(heap)[2].transaction
        ordered.append(transaction)
        push(transaction.sender, transaction.nonce + 1)
    return ordered


async def fill(
    simulator: Runs, merged: Merged, public: Sequence[PooledTransaction], base_fee: int
) -> list[SignedTransaction]:
    """Return the transactions to go behind the merged bundles, in order. Raises `ChainFailed`."""
    ordered = by_tip(public, base_fee, merged.nonces)
    simulated, unsimulated = _split_creations(_front(ordered, merged.gas_left))
    chosen, gas_left = await _fit(simulator, merged, simulated)
    return [*chosen, *_within_limits(unsimulated, gas_left)]


async def _fit(
    simulator: Runs, merged: Merged, candidates: list[SignedTransaction]
) -> tuple[list[SignedTransaction], int]:
    """Return those of `candidates` that fit, and the gas left behind them."""
    ahead = merged.transactions
    for _ in range(MAX_ROUNDS):
        if not candidates:
            return [], merged.gas_left
        try:
            results = (await simulator.run([*ahead, *candidates], measured=0))[len(ahead) :]
        except Unexecutable:
            runs = await longest_executable(simulator, [*ahead, *candidates]) - len(ahead)
            proven, candidates = candidates[:runs], _without_sender(candidates, runs)
            continue
        kept, gas_left = _by_gas(results, merged.gas_left)
        if len(kept) == len(candidates):
            return candidates, gas_left
        proven, candidates = _common_start(candidates, kept), kept
    chosen = _within_limits(proven, merged.gas_left)
    return chosen, merged.gas_left - sum(transaction.gas_limit for transaction in chosen)


def _front(ordered: Sequence[SignedTransaction], gas_left: int) -> list[SignedTransaction]:
    """Return the beginning of `ordered` that is worth running, without what asks for more than all the gas left."""
    gas, left_out = QUEUE_FACTOR * gas_left, set[str]()
    front: list[SignedTransaction] = []
    for transaction in ordered:
        if transaction.sender in left_out or transaction.gas_limit > gas_left:
            left_out.add(transaction.sender)
            continue
        gas -= transaction.gas_limit
        if gas < 0:
            break
        front.append(transaction)
    return front


def _split_creations(
    ordered: Sequence[SignedTransaction],
) -> tuple[list[SignedTransaction], list[SignedTransaction]]:
    creators: set[str] = set()
    simulated: list[SignedTransaction] = []
    unsimulated: list[SignedTransaction] = []
    for transaction in ordered:
        if transaction.to is None:
            creators.add(transaction.sender)
        (unsimulated if transaction.sender in creators else simulated).append(transaction)
    return simulated, unsimulated


def _by_gas(results: Sequence[SimulatedTransaction], gas_left: int) -> tuple[list[SignedTransaction], int]:
    """Return what has room for its gas limit behind what is ahead of it, and the gas left."""
    left_out: set[str] = set()
    kept: list[SignedTransaction] = []
    for result in results:
        transaction = result.transaction
        if transaction.sender in left_out or transaction.gas_limit > gas_left:
            left_out.add(transaction.sender)
            continue
        gas_left -= result.gas_used
        kept.append(transaction)
    return kept, gas_left


def _within_limits(transactions: Sequence[SignedTransaction], gas_left: int) -> list[SignedTransaction]:
    """Return what fits even if each takes all the gas it asks for."""
    left_out: set[str] = set()
    kept: list[SignedTransaction] = []
    for transaction in transactions:
        if transaction.sender in left_out or transaction.gas_limit > gas_left:
            left_out.add(transaction.sender)
            continue
        gas_left -= transaction.gas_limit
        kept.append(transaction)
    return kept


def _without_sender(transactions: Sequence[SignedTransaction], index: int) -> list[SignedTransaction]:
    """Return `transactions` without the one at `index` and the later ones of its sender."""
    sender = transactions[index].sender
    return [
        transaction
        for position, transaction in enumerate(transactions)
        if position < index or transaction.sender != sender
    ]


def _common_start(
    transactions: Sequence[SignedTransaction], kept: Sequence[SignedTransaction]
) -> list[SignedTransaction]:
    """Return the beginning that both share: what ran there runs the same without the rest."""
    start: list[SignedTransaction] = []
    for one, other in zip(transactions, kept, strict=False):
        if one is not other:
            break
        start.append(one)
    return start
