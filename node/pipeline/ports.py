"""What the pipeline lets others provide, and what the processes around it provide to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from node.pipeline.amm.units import TokenAmount
from node.pipeline.events import BundleSimulated, PendingSimulated, SimulateBundle, SimulatePending
from node.pipeline.plans import Bid, FlashLoan, NetworkOrder, Step
from protocol.units import Address, BlockNumber


class CallDataBuilder(Protocol):
    """Makes exact integers into call data of the executor contract. Pure: called inside the pipeline."""

    def __call__(
        self,
        *,
        sender: Address,
        steps: Sequence[Step],
        loan: FlashLoan,
        profit_token: Address,
        minimum_profit: TokenAmount,
        bid: Bid,
        deadline_block: BlockNumber,
        order: NetworkOrder | None = None,
    ) -> bytes:
        """Return the call data of one execution by `sender`, valid up to and including `deadline_block`.

        `minimum_profit` is what must be left after the coinbase payment; of an `order` also after the finder's part.
        """


class Simulator(Protocol):
    """The last check of a bundle, with its own deadline; always answers."""

    async def simulate(self, request: SimulateBundle) -> BundleSimulated:
        """Run the bundle on the head's state."""


class PendingSimulator(Protocol):
    """Tells what pending transactions that no decoder reads change, with its own deadline; always answers."""

    async def simulate(self, request: SimulatePending) -> PendingSimulated:
        """Run the transactions on the head's state."""
