"""What to offer the builder: the lowest share of the surplus that lands, learnt from what landed and what was outbid.

A bid is a share of the surplus, drawn within a bucket. The draw follows from the opportunity and the node's own keys:
two nodes that see the same find from the same bucket are no tie, and neither always wins. For each class of finds
(kind, and the surplus's order of magnitude, all large ones together, for these are few) the last 48 outcomes that say
something of a bucket are remembered: a win says that its own bucket and those above land; a loss that all below the
winner's payment do not, and those above it do; where that payment is not known, only that its own bucket and those
below do not.

The policy takes the lowest bucket that no higher one beats by more than twice in (1 - share) · chance. So it starts at
the bottom, where whoever is alone pays least, and climbs to what others pay where they leave little. Losses to other
operators of the network are not told to it: they would answer, and the builder would have it all. From above it tries
the bottom again, soon after a success there, seldom after failures.

That is right on average, and for most finds the average is what comes. Not for one that outweighs all that has landed
so far: nothing evens out what is lost with it. There the worst regret is kept small, beside the share that would have
been best for such finds. Where others bid nothing, a share b regrets b; where they come as likely as not and bid just
more, (1 - b) / 2. The worse of the two is least at a third.
Integers throughout, nothing random: the same outcomes give the same bids.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.plans import Bid
from protocol.ethereum.keccak import keccak256
from protocol.kinds import OpportunityKind
from protocol.units import BASIS_POINTS_ONE, Gas, Hash32, Wei

THIRD = 3_334
SHARES: Sequence[int] = (
    *(20, 100, 300, 700, 1_500, 2_500, THIRD, 3_700),
    *(5_100, 6_000, 7_100, 8_000, 9_100, 9_400, 9_700, 9_900),
)
"""Where each bucket begins, in basis points of the surplus; it ends where the next one begins."""
PATIENCE = 2
"""By how many times a higher bucket must promise more: a few outcomes say little, and what is bid is gone."""
MEMORY = 48
WEIGHTY_FROM = Wei(2 * 10**17)
"""The least surplus that can outweigh what has landed: at the start nothing has."""
OUTWEIGHS = 2
"""So many times what has landed, since as much may still come."""
_EDGES = (*SHARES, BASIS_POINTS_ONE)
_ONE = 1 << 16
_UINT64 = 1 << 64
_TRY_EVERY_LEAST, _TRY_EVERY_MOST = 2, 32
_SMALLEST_BITS, _BITS_PER_SIZE, _SIZES = 46, 4, 3
_NEVER = len(SHARES)
_OF_THE_WEIGHTY = SHARES.index(THIRD)


class _Class:
    """What is known of one class of finds: of each bucket the last outcomes as bits, 1 for landed, behind a 1.

    Each begins with one that landed.
    """

    __slots__ = ("best", "outcomes", "try_every", "turn")

    def __init__(self) -> None:
        self.outcomes = [0b11] * _NEVER
        self.best = 0
        self.turn = 0
        self.try_every = _TRY_EVERY_LEAST

    def choose(self) -> int:
        self.turn += 1
        if self.best and self.turn >= self.try_every:
            self.turn = 0
            return 0
        return self.best

    def learn(self, bucket: int, lands_from: int, fails_to: int) -> None:
        """Take in that every bucket from `lands_from` on would have landed, and none up to `fails_to`."""
        if bucket == 0 and self.best:
            landed = fails_to < 0
            self.try_every = _TRY_EVERY_LEAST if landed else min(2 * self.try_every, _TRY_EVERY_MOST)
        for place in range(_NEVER):
            if place >= lands_from or place <= fails_to:
                known = self.outcomes[place] << 1 | (place >= lands_from)
                self.outcomes[place] = known if known < 2 << MEMORY else known & (1 << MEMORY) - 1 | 1 << MEMORY
        self.best = self._lowest_worth_it()
        if self.best == 0:
            self.try_every = _TRY_EVERY_LEAST

    def _lowest_worth_it(self) -> int:
        scores = [
            (BASIS_POINTS_ONE - share) * _chance(known) for share, known in zip(SHARES, self.outcomes, strict=True)
        ]
        best, above = _NEVER - 1, 0
        for bucket in range(_NEVER - 1, -1, -1):
            if above <= PATIENCE * scores[bucket]:
                best = bucket
            above = max(above, scores[bucket])
        return best


def _chance(known: int) -> int:
    """How often a bucket would have landed, in parts of 65,536; never quite nothing."""
    landed, asked = known.bit_count() - 1, known.bit_length() - 1
    return _ONE * (4 * landed + 1) // (4 * asked + 1)


class BidPolicy:
    """See the module. `salt` names the node: its hot keys. At most three classes a kind."""

    def __init__(self, salt: bytes = b"") -> None:
        # The upper bits of a digest times a node's own odd number: as good as a hash of both, and quicker.
        self._factor = int.from_bytes(keccak256(salt)[:8], "big") | 1
        self._classes: dict[tuple[OpportunityKind, int], _Class] = {}
        self._kept = 0

    def choose(self, kind: OpportunityKind, surplus: Wei) -> int:
        """The bucket (place in SHARES) to bid from for a find."""
        return self._at_least(self._class_of(kind, surplus).choose(), surplus)

    def usual(self, kind: OpportunityKind, surplus: Wei) -> int:
        """The bucket that is mostly chosen for such a find."""
        return self._at_least(self._class_of(kind, surplus).best, surplus)

    def _at_least(self, bucket: int, surplus: Wei) -> int:
        return max(bucket, _OF_THE_WEIGHTY) if surplus >= WEIGHTY_FROM and surplus > OUTWEIGHS * self._kept else bucket

    def share(self, bucket: int, opportunity_id: Hash32) -> int:
        """The share to bid for an opportunity from a bucket, in basis points."""
        begin, end = _EDGES[bucket], _EDGES[bucket + 1]
        draw = int.from_bytes(opportunity_id[:8], "big") * self._factor % _UINT64 >> 48
        return begin + (end - begin) * draw // _ONE

    def won(self, kind: OpportunityKind, surplus: Wei, bucket: int) -> None:
        """An execution from this bucket landed."""
        self._kept += surplus * (BASIS_POINTS_ONE - SHARES[bucket]) // BASIS_POINTS_ONE
        self._class_of(kind, surplus).learn(bucket, bucket, -1)

    def lost(self, kind: OpportunityKind, surplus: Wei, bucket: int, winning_share: int | None) -> None:
        """An execution from this bucket was outbid. `winning_share`: what share of our surplus the winner's price for
        our gas would have been, in basis points; None if not known.
        """
        if winning_share is None:
            self._class_of(kind, surplus).learn(bucket, _NEVER, bucket)
            return
        enough = next((place for place, share in enumerate(SHARES) if share > winning_share), _NEVER)
        enough = max(enough, bucket + 1)
        self._class_of(kind, surplus).learn(bucket, enough, enough - 1)

    def _class_of(self, kind: OpportunityKind, surplus: Wei) -> _Class:
        size = min(max(surplus.bit_length() - _SMALLEST_BITS, 0) // _BITS_PER_SIZE, _SIZES - 1)
        found = self._classes.get((kind, size))
        if found is None:
            found = self._classes[kind, size] = _Class()
        return found


def bid_for(bucket: int, share: int, surplus: Wei, gas: Gas, limit: Gas, *, in_coin: bool, cap: Wei) -> Bid:
    """The bid of a share (basis points) of a surplus (wei, after gas), no more than the vault's cap allows.

    A coinbase transfer where the profit is the wrapped coin, else a priority fee, which the hot key pays and the vault
    judges by the gas `limit`. A cap that cannot carry any bid is left to the risk gate, which refuses.
    """
    amount = max(surplus, 0) * share // BASIS_POINTS_ONE
    if in_coin:
        return Bid(Wei(0), Wei(min(amount, cap) if cap > 0 else amount), bucket)
    fee, most = amount // gas, cap // limit
    return Bid(Wei(min(fee, most) if most > 0 else fee), Wei(0), bucket)


def bid_wei(bid: Bid, gas: Gas) -> Wei:
    """What the builder gets in all, at an expected gas."""
    return Wei(bid.coinbase_wei + bid.priority_fee_per_gas * gas)
