"""A chain of a few rules in memory, for tests of merging and filling: it runs what a transaction's call data says.

Call data is (kind, slot). A transaction takes half of its gas limit and pays its value to the coinbase. If its slot
was used before, `TURNSTILE` reverts, `FADING` pays nothing, `THRIVING` pays twice its value, and `POOR` makes the
chain refuse the whole request, which `BROKEN` does always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devnet.relay.context import DropReason
from devnet.relay.simulation import SimulatedTransaction, Unexecutable
from protocol.ethereum.transactions import SignedTransaction

PLAIN, TURNSTILE, FADING, THRIVING, POOR, BROKEN = range(6)


class ModelChain:
    """Runs sequences from an empty state. A nonce out of turn is the caller's fault and fails the test."""

    def __init__(self, nonces: Mapping[str, int] | None = None) -> None:
        self._nonces = dict(nonces or {})
        self.runs = 0
        self.longest = 0

    async def run(
        self, transactions: Sequence[SignedTransaction], *, measured: int | None = None
    ) -> list[SimulatedTransaction]:
        """See `Simulator.run`."""
        self.runs += 1
        self.longest = max(self.longest, len(transactions))
        nonces = dict(self._nonces)
        used: set[int] = set()
        results = []
        for index, transaction in enumerate(transactions):
            assert transaction.nonce == nonces.get(transaction.sender, 0), "a nonce out of turn was run"
            nonces[transaction.sender] = transaction.nonce + 1
            kind, slot = transaction.data if transaction.data else (PLAIN, 0)
            taken = slot in used
            if kind == BROKEN or (kind == POOR and taken):
                raise Unexecutable(DropReason.INSUFFICIENT_FUNDS, "the model refuses")
            succeeded = not (kind == TURNSTILE and taken)
            if kind != PLAIN and succeeded:
                used.add(slot)
            pays = transaction.value if succeeded and not (kind == FADING and taken) else 0
            if kind == THRIVING and taken:
                pays *= 2
            is_measured = measured is None or index < measured
            results.append(
                SimulatedTransaction(
                    transaction=transaction,
                    gas_used=transaction.gas_limit // 2,
                    succeeded=succeeded,
                    output=b"",
                    logs=(),
                    payment=pays if is_measured else 0,
                )
            )
        return results

    async def run_each(
        self, sequences: Sequence[Sequence[SignedTransaction]]
    ) -> list[list[SimulatedTransaction] | Unexecutable]:
        """See `Simulator.run_each`."""
        outcomes: list[list[SimulatedTransaction] | Unexecutable] = []
        for sequence in sequences:
            try:
                outcomes.append(await self.run(sequence))
            except Unexecutable as error:
                outcomes.append(error)
        return outcomes
