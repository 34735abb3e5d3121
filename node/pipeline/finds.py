"""A find: a route in exact integers, and what has to run before it. The detectors make them, packing chooses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.pending import PendingSwap
from node.pipeline.plans import Opportunity
from node.pipeline.search import Route, Search
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import SignedTransaction
from protocol.kinds import OpportunityKind
from protocol.units import Address, BlockNumber, Gas, Hash32, UnixNanoseconds, Wei

_TRANSACTION_GAS = 45_000
_SWAP_GAS = 90_000
"""Guesses for other people's transactions that swap through routers."""


class Find(msgspec.Struct, frozen=True, gc=False):
    """An opportunity with the numbers of the pools on its route, and of those that each victim swaps through."""

    opportunity: Opportunity
    route: Route
    pools: tuple[int, ...]
    moved: tuple[tuple[int, ...], ...]
    borrower: Address | None = None
    """Whose loan a liquidation takes; of two that take the same only one can be."""

    @property
    def victim_pools(self) -> tuple[int, ...]:
        """The pools that any victim swaps through."""
        if len(self.moved) == 1:
            return self.moved[0]
        return tuple(dict.fromkeys([pool for pools in self.moved for pool in pools]))

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

    @property
    def is_funded(self) -> bool:
        """Whether a source of ours has the capital; else it is of use to another operator alone."""
        return self.opportunity.loan.is_ours


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
    behind: tuple[Hash32, ...] = (),
) -> Find:
    """Make the opportunity of a route behind its victims, and behind better finds of ours where it was computed so."""
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
        behind=behind,
    )
    return Find(opportunity, route, pools, tuple([pending.pools for pending in victims]))


def conflict(one: Find, other: Find) -> bool:
    """Whether two finds cannot both be taken: a pool on one's route is on the other's, or is moved by a victim that
    only the other stands behind; or both liquidate the same borrower. Where both have such victims over one pool,
    neither saw what it would meet.
    """
    if not _disjoint(one.pools, other.pools) or (one.borrower is not None and one.borrower == other.borrower):
        return True
    mine, theirs = moved_besides(one, other), moved_besides(other, one)
    return not (_disjoint(one.pools, theirs) and _disjoint(other.pools, mine) and _disjoint(mine, theirs))


def share_victim(one: Find, other: Find) -> bool:
    """Whether both stand behind one transaction: a block has it once, so that both have to be in one bundle."""
    theirs = other.opportunity.victims
    return bool(theirs) and any(_is_among(victim, theirs) for victim in one.opportunity.victims)


def moved_besides(find: Find, other: Find) -> tuple[int, ...]:
    """The pools that victims move which the other find does not stand behind."""
    theirs, victims = other.opportunity.victims, find.opportunity.victims
    if not theirs:
        return find.victim_pools
    alone = [pools for victim, pools in zip(victims, find.moved, strict=True) if not _is_among(victim, theirs)]
    return tuple([pool for pools in alone for pool in pools])


def _is_among(victim: SignedTransaction, others: tuple[SignedTransaction, ...]) -> bool:
    return any(victim.hash == other.hash for other in others)


def _disjoint(some: tuple[int, ...], others: tuple[int, ...]) -> bool:
    return not [pool for pool in some if pool in others]
