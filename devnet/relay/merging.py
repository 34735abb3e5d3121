"""Merges ranked bundles into one sequence: greedy by rank, each verified where it stands.

A round runs what is accepted with everything still hoped for behind it. Up to the first bundle that spoils the
sequence all is proven in its place, since nothing behind can change it, and so accepted; what spoils leaves, and the
rest is tried again behind what was accepted, together with those that had no place beside a spoiler (the same
transaction or nonce). A bundle that spoils behind nothing but clean or wholly reverted ones is in conflict with the
accepted ones and dropped for good. One that spoils behind a spoiler which changed the state is only a suspect: it gets
another chance at the end, without that spoiler. Then:

- No accepted bundle holds a revert that it does not allow, a transaction that another accepted one has, or a nonce out
  of turn.
- A bundle that pays less per gas in its place than 70 % of what it pays alone counts as a spoiler (the threshold at
  which flashbots/builder's greedy algorithm discards): the rank it was given would be a lie. Above that it keeps its
  place and is not ranked anew: ranking anew would run the whole search again for a few wei.
- The search is bounded by 12 rounds, each one `eth_simulateV1` (and a binary search where the chain refuses the whole
  request). Every round settles at least one bundle, and all that lose to one winner go in one round, so only chains of
  spoilers that spoil each other take many. At the bound the rest is dropped as SEARCH_BOUND: a block in time is worth
  more than its last bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from devnet.errors import ChainFailed
from devnet.relay.context import BlockContext, Bundle, DropReason, PlacedBundle
from devnet.relay.ranking import Candidate, advance, payment_of, spoils
from devnet.relay.simulation import Runs, SimulatedTransaction, Unexecutable, longest_executable
from protocol.ethereum.transactions import SignedTransaction

MAX_ROUNDS: Final = 12
FLOOR_PERCENT: Final = 70


@dataclass(frozen=True, slots=True)
class _Proven:
    """An accepted bundle, as it ran in its place."""

    candidate: Candidate
    payment: int
    gas_used: int


@dataclass(slots=True)
class Merged:
    """The accepted bundles in order, what was dropped and why, and the state of gas and nonces behind them."""

    nonces: dict[str, int]
    gas_left: int
    placed: list[PlacedBundle] = field(default_factory=list)
    transactions: list[SignedTransaction] = field(default_factory=list)
    dropped: list[tuple[Bundle, DropReason]] = field(default_factory=list)


async def merge(
    simulator: Runs, context: BlockContext, ranked: Sequence[Candidate], nonces: Mapping[str, int]
) -> Merged:
    """Return the merged sequence of `ranked`, best first. Raises `ChainFailed`."""
    search = _Search(simulator, context, dict(nonces))
    waiting = list(ranked)
    while waiting:
        waiting = await search.extend(waiting)
    return search.result(ranked)


@dataclass(slots=True)
class _Round:
    """What one run told: bundles whose fate is known, and those that may have failed for a spoiler's sake."""

    settled: list[Candidate] = field(default_factory=list)
    suspects: list[Candidate] = field(default_factory=list)


class _Search:
    def __init__(self, simulator: Runs, context: BlockContext, nonces: dict[str, int]) -> None:
        self._simulator = simulator
        self._nonces = nonces
        self._gas_limit, self._base_fee = context.gas_limit, context.base_fee
        self._accepted: list[_Proven] = []
        self._rounds = MAX_ROUNDS
        self.reasons: dict[int, DropReason] = {}
        """Why the bundle of an arrival is not accepted so far."""

    async def extend(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Accept of `candidates` what goes behind what is accepted; return what deserves another chance."""
        waiting = list(candidates)
        suspects: list[Candidate] = []
        while hoped := self._fitting(waiting):
            if not self._rounds:
                self._drop([*hoped, *suspects], DropReason.SEARCH_BOUND)
                return []
            self._rounds -= 1
            outcome = await self._round(hoped)
            suspects += outcome.suspects
            done = {candidate.bundle.arrival for candidate in (*outcome.settled, *outcome.suspects)}
            waiting = [candidate for candidate in waiting if candidate.bundle.arrival not in done]
        # What waits now had no place; it may have one behind a suspect.
        return sorted([*suspects, *waiting], key=lambda candidate: candidate.rank) if suspects else []

    def result(self, ranked: Sequence[Candidate]) -> Merged:
        merged = Merged(nonces=self._current_nonces(), gas_left=self._gas_limit)
        for proven in self._accepted:
            bundle = proven.candidate.bundle
            merged.placed.append(PlacedBundle(bundle, len(merged.transactions), proven.payment, proven.gas_used))
            merged.transactions.extend(bundle.transactions)
            merged.gas_left -= proven.gas_used
        for candidate in ranked:
            if (reason := self.reasons.get(candidate.bundle.arrival)) is not None:
                merged.dropped.append((candidate.bundle, reason))
        return merged

    async def _round(self, hoped: list[Candidate]) -> _Round:
        """Run the sequence once and accept its proven beginning."""
        order = [*(proven.candidate for proven in self._accepted), *hoped]
        transactions = _transactions(order)
        try:
            results = await self._simulator.run(transactions)
        except Unexecutable as error:
            return await self._without_refused(hoped, order, error.reason)
        return self._judge(hoped, results[len(transactions) - sum(map(_length, hoped)) :])

    async def _without_refused(self, hoped: list[Candidate], order: list[Candidate], reason: DropReason) -> _Round:
        """The chain refuses the request: find the bundle it is for, and judge those ahead of it."""
        spoiler = await self._spoiler_of(order)
        self._drop([spoiler], reason)
        ahead = hoped[: hoped.index(spoiler)]
        if not ahead:
            return _Round(settled=[spoiler])
        transactions = _transactions(order[: order.index(spoiler)])
        results = await self._simulator.run(transactions)
        outcome = self._judge(ahead, results[len(transactions) - sum(map(_length, ahead)) :])
        alone_at_fault = self._accepted[-1].candidate is ahead[-1]
        (outcome.settled if alone_at_fault else outcome.suspects).append(spoiler)
        return outcome

    def _judge(self, hoped: list[Candidate], results: list[SimulatedTransaction]) -> _Round:
        gas_left = self._gas_limit - sum(proven.gas_used for proven in self._accepted)
        outcome = _Round()
        clean, polluted = True, False
        for candidate in hoped:
            own, results = results[: _length(candidate)], results[_length(candidate) :]
            reason = _spoils_sequence(candidate, own, gas_left, self._base_fee)
            if reason is not None:
                self._drop([candidate], reason)
                (outcome.suspects if polluted else outcome.settled).append(candidate)
                clean = False
                polluted = polluted or any(result.succeeded for result in own)
            elif clean:
                gas_used = sum(result.gas_used for result in own)
                gas_left -= gas_used
                self._accepted.append(_Proven(candidate, sum(result.payment for result in own), gas_used))
                self.reasons.pop(candidate.bundle.arrival, None)
                outcome.settled.append(candidate)
        return outcome

    async def _spoiler_of(self, order: list[Candidate]) -> Candidate:
        index = await longest_executable(self._simulator, _transactions(order))
        for position, candidate in enumerate(order):
            index -= _length(candidate)
            if index < 0:
                if position < len(self._accepted):
                    raise ChainFailed("the chain refuses a sequence that it ran before")
                return candidate
        raise ChainFailed("the chain refuses a sequence, but none of its transactions")

    def _fitting(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return what can go behind what is accepted and ahead of it in rank, as far as that shows without running."""
        nonces = self._current_nonces()
        gas_left = self._gas_limit - sum(proven.gas_used for proven in self._accepted)
        taken = {one.hash for proven in self._accepted for one in proven.candidate.bundle.transactions}
        fitting: list[Candidate] = []
        for candidate in candidates:
            transactions = candidate.bundle.transactions
            if not taken.isdisjoint(one.hash for one in transactions):
                self._drop([candidate], DropReason.DUPLICATE_TRANSACTION)
                continue
            if candidate.gas_used > gas_left:
                self._drop([candidate], DropReason.GAS_LIMIT)
                continue
            after = advance(nonces, transactions)
            if isinstance(after, DropReason):
                self._drop([candidate], after)
                continue
            gas_left -= candidate.gas_used
            nonces = after
            taken.update(one.hash for one in transactions)
            fitting.append(candidate)
        return fitting

    def _current_nonces(self) -> dict[str, int]:
        nonces = dict(self._nonces)
        for proven in self._accepted:
            for transaction in proven.candidate.bundle.transactions:
                nonces[transaction.sender] = transaction.nonce + 1
        return nonces

    def _drop(self, candidates: Sequence[Candidate], reason: DropReason) -> None:
        for candidate in candidates:
            self.reasons[candidate.bundle.arrival] = reason


def _length(candidate: Candidate) -> int:
    return len(candidate.bundle.transactions)


def _transactions(candidates: Sequence[Candidate]) -> list[SignedTransaction]:
    return [one for candidate in candidates for one in candidate.bundle.transactions]


def _spoils_sequence(
    candidate: Candidate, own: list[SimulatedTransaction], gas_left: int, base_fee: int
) -> DropReason | None:
    """Return why a bundle cannot stay where it ran."""
    if any(spoils(candidate.bundle, result) for result in own):
        return DropReason.CONFLICT
    payment, gas_used = payment_of(own, base_fee, candidate.borrowed), sum(result.gas_used for result in own)
    if 100 * payment * candidate.gas_used < FLOOR_PERCENT * candidate.payment * gas_used:
        return DropReason.UNDERPAYS
    for result in own:  # a transaction must have room for its gas limit, and takes its gas used
        if result.transaction.gas_limit > gas_left:
            return DropReason.GAS_LIMIT
        gas_left -= result.gas_used
    return None
