"""A find: a route in exact integers, and what has to run before it. The detectors make them, packing chooses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.pending import PendingSwap
from node.pipeline.plans import Opportunity
from node.pipeline.search import Route, Search
from protocol.ethereum.keccak import keccak256
from protocol.kinds import OpportunityKind
from protocol.units import Address, BlockNumber, Gas, Hash32, UnixNanoseconds, Wei

_TRANSACTION_GAS = 45_000
_SWAP_GAS = 90_000
"""Guesses for other people's transactions that swap through routers."""


class Find(msgspec.Struct, frozen=True, gc=False):
    """An opportunity with the numbers of the pools on its route, and of those that its victims swap through."""

    opportunity: Opportunity
    route: Route
    pools: tuple[int, ...]
    victim_pools: tuple[int, ...]
    borrower: Address | None = None
    """Whose loan a liquidation takes; of two that take the same only one can be."""

    @property
    def victims_gas(self) -> Gas:
        """What the victims are expected to use."""
        victims = self.opportunity.victims
        limits = sum([victim.gas_limit for victim in victims])
        return Gas(min(limits, len(victims) * _TRANSACTION_GAS + len(self.victim_pools) * _SWAP_GAS))

    @property
    def gas_in_bundle(self) -> int:
        """What a bundle with nothing else is expected to use."""
        return self.opportunity.gas + self.victims_gas

    @property
    def surplus(self) -> Wei:
        """Profit after gas, before the bid."""
        return self.route.surplus_wei


class Given(msgspec.Struct, frozen=True, gc=False):
    """A find that was handed over, and whether its leader has accepted."""

    find: Find
    accepted: bool = False


def find_of(
    search: Search,
    route: Route,
    pools: tuple[int, ...],
    victims: Sequence[PendingSwap],
    *,
    chain_id: int,
    target_block: BlockNumber,
    profit_token: Address,
    seen_at: UnixNanoseconds,
) -> Find:
    """Make the opportunity of a route behind its victims."""
    steps = search.steps_of(route)
    kind = OpportunityKind.BACKRUN if victims else OpportunityKind.CYCLIC_ARBITRAGE
    transactions = tuple([pending.transaction for pending in victims])
    named = b"".join([step.pool_id + step.token_in for step in steps] + [one.hash for one in transactions])
    opportunity = Opportunity(
        id=Hash32(keccak256(chain_id.to_bytes(8, "big") + target_block.to_bytes(8, "big") + named)),
        kind=kind,
        target_block=target_block,
        steps=steps,
        loan=route.loan,
        profit_token=profit_token,
        gross_profit=route.gain,
        gross_profit_wei=route.gain_wei,
        gas=route.gas,
        victims=transactions,
        seen_at=seen_at,
    )
    if len(victims) == 1:
        victim_pools = victims[0].pools
    else:
        victim_pools = tuple(dict.fromkeys([pool for pending in victims for pool in pending.pools]))
    return Find(opportunity, route, pools, victim_pools)


def conflict(one: Find, other: Find) -> bool:
    """Whether two finds cannot both be taken: a pool on one's route is on the other's, or is moved by its victims; or
    both liquidate the same borrower.

    Behind the same victims only the routes count; with different victims over one pool neither saw what it would meet.
    """
    if not _disjoint(one.pools, other.pools) or (one.borrower is not None and one.borrower == other.borrower):
        return True
    if _same_victims(one, other):
        return False
    return not (
        _disjoint(one.pools, other.victim_pools)
        and _disjoint(other.pools, one.victim_pools)
        and _disjoint(one.victim_pools, other.victim_pools)
    )


def _same_victims(one: Find, other: Find) -> bool:
    mine, theirs = one.opportunity.victims, other.opportunity.victims
    return len(mine) == len(theirs) and all(a.hash == b.hash for a, b in zip(mine, theirs, strict=True))


def _disjoint(some: tuple[int, ...], others: tuple[int, ...]) -> bool:
    return not [pool for pool in some if pool in others]
