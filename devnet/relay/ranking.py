"""Which bundles can be in a block at all, and in which order they are tried: by payment per gas at its top.

What a bundle pays is what the builder has of it alone: direct transfers and the tips of its own transactions. The tips
of transactions that wait in the mempool come to the builder anyway and do not count (as in mev-geth's bundle score);
else a bundle would rise by carrying along what others pay.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from devnet.relay.context import BlockContext, Bundle, DropReason, PooledTransaction
from devnet.relay.simulation import SimulatedTransaction, Unexecutable
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee

_PRICE_SCALE: Final = 10**18
CACHED_BUNDLES: Final = 4096
BUNDLE_BLOCKS: Final = 2
"""So many blocks' gas a bundle's gas limits may add up to: limits are generous, but not without end."""
SIMULATED_BLOCKS: Final = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that runs clean at the top of the block, with what it pays (wei) and takes (gas) there."""

    bundle: Bundle
    payment: int
    gas_used: int
    borrowed: frozenset[bytes] = frozenset()
    """Hashes of those of its transactions that wait in the mempool: their tips are not in `payment`."""

    @property
    def rank(self) -> tuple[int, int]:
        """Sort key: more wei per gas first, then the earlier arrival. Exact to 10⁻¹⁸ wei."""
        return -(self.payment * _PRICE_SCALE // self.gas_used), self.bundle.arrival


Verdict: TypeAlias = "Candidate | DropReason"


class TopOfBlockCache:
    """What bundles did at the top of a block, so that a block that is built again costs no simulation twice.

    Keyed by bundle and context, so by parent hash. Bound: 4096 bundles, the oldest goes.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[BlockContext, int, bytes], Verdict] = OrderedDict()

    def get(self, context: BlockContext, bundle: Bundle) -> Verdict | None:
        """Return what is known of a bundle."""
        return self._known.get((context, bundle.arrival, bundle.hash))

    def put(self, context: BlockContext, bundle: Bundle, verdict: Verdict) -> None:
        """Remember what a bundle did."""
        self._known[context, bundle.arrival, bundle.hash] = verdict
        if len(self._known) > CACHED_BUNDLES:
            self._known.popitem(last=False)


def advance(nonces: Mapping[str, int], transactions: Iterable[SignedTransaction]) -> dict[str, int] | DropReason:
    """Return the nonces after `transactions`, or why they do not follow `nonces`. Unknown senders start at 0."""
    after = dict(nonces)
    for transaction in transactions:
        expected = after.get(transaction.sender, 0)
        if transaction.nonce < expected:
            return DropReason.NONCE_TOO_LOW
        if transaction.nonce > expected:
            return DropReason.NONCE_TOO_HIGH
        after[transaction.sender] = expected + 1
    return after


def gas_wanted(transactions: Iterable[SignedTransaction]) -> int:
    """Return the sum of gas limits: the most that running `transactions` can cost."""
    return sum(transaction.gas_limit for transaction in transactions)


def spoils(bundle: Bundle, result: SimulatedTransaction) -> bool:
    """Whether a transaction failed that may not."""
    return not result.succeeded and result.transaction.hash not in bundle.reverting_hashes


def payment_of(results: Iterable[SimulatedTransaction], base_fee: int, borrowed: frozenset[bytes]) -> int:
    """Return the wei that a bundle's transactions bring the builder, without the tips of the borrowed ones."""
    payment = 0
    for result in results:
        payment += result.payment
        if result.transaction.hash in borrowed:
            payment -= result.gas_used * effective_priority_fee(result.transaction, base_fee)
    return payment


class RunsEach(Protocol):
    """What ranking needs of a `Simulator`."""

    async def run_each(
        self, sequences: Sequence[Sequence[SignedTransaction]]
    ) -> list[list[SimulatedTransaction] | Unexecutable]:
        """Run each sequence alone; see `Simulator.run_each`."""


async def rank(
    simulator: RunsEach,
    context: BlockContext,
    bundles: Sequence[Bundle],
    nonces: Mapping[str, int],
    cache: TopOfBlockCache,
    public: Sequence[PooledTransaction] = (),
) -> tuple[list[Candidate], list[tuple[Bundle, DropReason]]]:
    """Run each bundle alone; return those that can be in the block, best first, and the others with why not.

    `public` is what waits in the mempool.
    """
    pooled = frozenset(one.transaction.hash for one in public)
    verdicts = {bundle.arrival: _screen(bundle, context, nonces) or cache.get(context, bundle) for bundle in bundles}
    unknown = [bundle for bundle in bundles if verdicts[bundle.arrival] is None]
    affordable, others = _within_budget(unknown, SIMULATED_BLOCKS * context.gas_limit)
    verdicts.update({bundle.arrival: DropReason.SEARCH_BOUND for bundle in others})
    outcomes = await simulator.run_each([bundle.transactions for bundle in affordable])
    for bundle, outcome in zip(affordable, outcomes, strict=True):
        verdict = _judge(bundle, outcome, context.base_fee, pooled)
        verdicts[bundle.arrival] = verdict
        cache.put(context, bundle, verdict)
    ranked: list[Candidate] = []
    dropped: list[tuple[Bundle, DropReason]] = []
    for bundle in bundles:
        verdict_now = verdicts[bundle.arrival]
        if isinstance(verdict_now, Candidate):
            ranked.append(verdict_now)
        elif verdict_now is not None:
            dropped.append((bundle, verdict_now))
    ranked.sort(key=lambda candidate: candidate.rank)
    return ranked, dropped


def _within_budget(bundles: Sequence[Bundle], gas: int) -> tuple[list[Bundle], list[Bundle]]:
    """Split off what may be run for `gas` in all: the modest first, then the earlier."""
    affordable: list[Bundle] = []
    others: list[Bundle] = []
    for bundle in sorted(bundles, key=lambda one: (gas_wanted(one.transactions), one.arrival)):
        gas -= gas_wanted(bundle.transactions)
        (affordable if gas >= 0 else others).append(bundle)
    return affordable, others


def _screen(bundle: Bundle, context: BlockContext, nonces: Mapping[str, int]) -> DropReason | None:
    """Return what a simulation need not tell, or would not."""
    too_late = bundle.max_timestamp and context.timestamp > bundle.max_timestamp
    if context.timestamp < bundle.min_timestamp or too_late:
        return DropReason.TIMESTAMP
    if any(transaction.max_fee_per_gas < context.base_fee for transaction in bundle.transactions):
        return DropReason.FEE_TOO_LOW
    if any(transaction.gas_limit > context.gas_limit for transaction in bundle.transactions):
        return DropReason.GAS_LIMIT
    if gas_wanted(bundle.transactions) > BUNDLE_BLOCKS * context.gas_limit:
        return DropReason.GAS_LIMIT
    after = advance(nonces, bundle.transactions)
    return after if isinstance(after, DropReason) else None


def _judge(
    bundle: Bundle, outcome: list[SimulatedTransaction] | Unexecutable, base_fee: int, pooled: frozenset[bytes]
) -> Verdict:
    if isinstance(outcome, Unexecutable):
        return outcome.reason
    if any(spoils(bundle, result) for result in outcome):
        return DropReason.REVERTED
    borrowed = pooled & {one.hash for one in bundle.transactions}
    payment = payment_of(outcome, base_fee, borrowed)
    if payment < 0:
        return DropReason.UNDERPAYS
    return Candidate(bundle, payment, sum(result.gas_used for result in outcome), borrowed)
