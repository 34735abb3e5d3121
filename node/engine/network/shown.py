"""What became of finds that were shown to a leader and not taken by it, beside finds that nobody was shown.

A leader that reads a find, declines, and trades from an address that nobody links with it leaves no trace but this: its
finds are taken by somebody more often than chance would have it. What chance would have, a control group tells: one in
CONTROL_PARTS of the finds that we would hand over, drawn by their ids, is shown to nobody. Of both, the target block
says whether somebody else took the find (`winners`); the noise of that is the same in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from node.engine.network.trust import Trust
from node.engine.receipts import Receipt
from node.engine.winners import Wanted, winner_of
from node.pipeline.plans import Opportunity, SwapStep
from protocol.units import Address, BlockNumber, Hash32, Wei

CONTROL_PARTS: Final = 16
MAX_WAITING: Final = 1_024
WAITS_BLOCKS: Final = 8
"""A target block that was not looked at by then is never."""


class _Waiting(NamedTuple):
    """A find whose target block is awaited. `leader`: who was shown it; None: nobody."""

    leader: Address | None
    target: BlockNumber
    value: Wei
    wanted: Wanted


class Shown:
    """See the module. `counts`: `shown`, `withheld`, `taken` of each, `left out` (too many wait, or no block came)."""

    def __init__(self, trust: Trust, routers: Collection[Address], ours: Callable[[], Collection[Address]]) -> None:
        self.counts: Counter[str] = Counter()
        self.ours = ours
        """Our hot keys, as they are at a block: what they took, nobody else did."""
        self._trust, self._routers = trust, frozenset(routers)
        self._waiting: list[_Waiting] = []

    @staticmethod
    def is_control(opportunity_id: Hash32) -> bool:
        """Whether a find is one that nobody is shown; an id is a hash, and no leader learns it."""
        return opportunity_id[0] % CONTROL_PARTS == 0

    def refused(self, leader: Address, opportunity: Opportunity) -> None:
        """A leader was shown a find and did not take it, whatever it said."""
        self._await(leader, opportunity)

    def withheld(self, opportunity: Opportunity) -> None:
        """A find was shown to nobody."""
        self._await(None, opportunity)

    def look(self, block: BlockNumber, receipts: Sequence[Receipt]) -> None:
        """A block is there: see who took what was for it."""
        ours = self.ours()
        for one in [one for one in self._waiting if one.target == block]:
            winner = winner_of(one.wanted, receipts, self._routers, ours)
            is_taken = winner is not None and winner.origin not in ours
            name = "withheld" if one.leader is None else "shown"
            self.counts[f"{name} and taken"] += is_taken
            self._trust.seen(one.leader, one.value, is_taken=is_taken)
        left = [one for one in self._waiting if one.target > block - WAITS_BLOCKS and one.target != block]
        self.counts["left out"] += sum(one.target <= block - WAITS_BLOCKS for one in self._waiting)
        self._waiting = left

    def _await(self, leader: Address | None, opportunity: Opportunity) -> None:
        self.counts["withheld" if leader is None else "shown"] += 1
        swaps = [step for step in opportunity.steps if isinstance(step, SwapStep)]
        pools = {name for swap in swaps for name in (swap.pool_id, swap.address)}
        victims = frozenset(Hash32(victim.hash) for victim in opportunity.victims)
        wanted = Wanted(victims, frozenset(pools), frozenset())
        self._waiting.append(_Waiting(leader, opportunity.target_block, opportunity.gross_profit_wei, wanted))
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[0]
            self.counts["left out"] += 1
