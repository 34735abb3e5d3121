"""What to offer the builder: a share of the surplus, by a policy that learns what lands.

A win at a share says that any higher share would have won too; a loss says that any lower one would have lost. So the
chance of a share is (wins at or below it + prior) / (those + losses at or above it + prior), and the policy takes the
share with the greatest (1 - share) · chance. Before it knows anything the chance of a share is the share itself. Every
eighth time it tries the next lower share. Old outcomes fade by 1/32 at each new one. Integers throughout, nothing
random: the same outcomes give the same bids.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.plans import Bid
from protocol.kinds import OpportunityKind
from protocol.units import BASIS_POINTS_ONE, BasisPoints, Gas, Wei, basis_points_of_down

SHARES: Sequence[int] = (500, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 8_500, 9_000, 9_300, 9_600)
"""Offered shares of the surplus, in basis points."""
_ONE = 1 << 16
_FADE = 32
_PRIOR = 2 * _ONE
_TRY_LOWER_EVERY = 8


class BidPolicy:
    """Outcomes by kind of opportunity and share, in parts of 65,536."""

    def __init__(self) -> None:
        self._wins: dict[OpportunityKind, list[int]] = {}
        self._losses: dict[OpportunityKind, list[int]] = {}
        self._choices: dict[OpportunityKind, int] = {}
        self._best: dict[OpportunityKind, int] = {}

    def choose(self, kind: OpportunityKind) -> int:
        """The bucket (place in SHARES) to bid for the next opportunity of a kind."""
        best = self._best.get(kind)
        if best is None:
            scores = [(BASIS_POINTS_ONE - share) * self._chance(kind, bucket) for bucket, share in enumerate(SHARES)]
            best = self._best[kind] = scores.index(max(scores))
        turn = self._choices[kind] = self._choices.get(kind, 0) + 1
        return max(0, best - 1) if turn % _TRY_LOWER_EVERY == 0 else best

    def won(self, kind: OpportunityKind, bucket: int) -> None:
        """An execution with this bucket landed."""
        self._fade(kind)
        self._wins[kind][bucket] += _ONE

    def lost(self, kind: OpportunityKind, bucket: int) -> None:
        """An execution with this bucket was outbid."""
        self._fade(kind)
        self._losses[kind][bucket] += _ONE

    def _fade(self, kind: OpportunityKind) -> None:
        self._best.pop(kind, None)
        for outcomes in (self._wins, self._losses):
            counts = outcomes.setdefault(kind, [0] * len(SHARES))
            counts[:] = [count - count // _FADE for count in counts]

    def _chance(self, kind: OpportunityKind, bucket: int) -> int:
        """In parts of 65,536."""
        wins = sum(self._wins.get(kind, ())[: bucket + 1])
        losses = sum(self._losses.get(kind, ())[bucket:])
        prior = _PRIOR * SHARES[bucket] // BASIS_POINTS_ONE
        return _ONE * (wins + prior) // (wins + losses + _PRIOR)


def bid_for(bucket: int, surplus: Wei, gas: Gas, *, in_coin: bool) -> Bid:
    """The bid of a bucket on a surplus (wei, after gas): a coinbase transfer where the profit is the wrapped coin,
    else a priority fee, which the hot key pays.
    """
    amount = basis_points_of_down(Wei(max(surplus, 0)), BasisPoints(SHARES[bucket]))
    if in_coin:
        return Bid(Wei(0), amount, bucket)
    return Bid(Wei(amount // gas), Wei(0), bucket)


def bid_wei(bid: Bid, gas: Gas) -> Wei:
    """What the builder gets in all, at an expected gas."""
    return Wei(bid.coinbase_wei + bid.priority_fee_per_gas * gas)
