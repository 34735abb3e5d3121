"""Where proposals stand: state, votes, quorum, deadlines, read off the chain; the same words for whoever reads them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from governance.proposals import PROPOSAL_CREATED, Proposed, read_proposed
from governance.reading import Reader
from protocol.units import Address, StakeUnits, UnixSeconds, address_to_hex


class ProposalUnknown(Exception):
    """There is no proposal of this number."""


class State(IntEnum):
    """Where a proposal stands, in the order of the governor's enumeration."""

    PENDING = 0
    ACTIVE = 1
    CANCELLED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7

    @property
    def is_over(self) -> bool:
        """Whether nothing can become of it any more."""
        return self in (State.CANCELLED, State.DEFEATED, State.EXPIRED, State.EXECUTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One proposal. `quorum` is known from the moment on at which voting begins; `eta` once it is queued."""

    proposed: Proposed
    state: State
    against: StakeUnits
    in_favour: StakeUnits
    abstained: StakeUnits
    quorum: StakeUnits | None
    eta: UnixSeconds | None

    @property
    def counts_for_quorum(self) -> StakeUnits:
        """What counts: for and abstain."""
        return StakeUnits(self.in_favour + self.abstained)


async def read_proposals(reader: Reader) -> list[Proposed]:
    """Return all proposals ever made, the oldest first."""
    told = await reader.events(reader.contracts.governor, PROPOSAL_CREATED)
    return [read_proposed(reader.contracts, event.data) for event in told]


async def read_standing(reader: Reader, proposed: Proposed, now: UnixSeconds) -> Standing:
    """Return where a proposal stands."""
    governor, number = reader.contracts.governor, proposed.identifier
    state = State(await reader.number(governor, "state(uint256)", number))
    votes = await reader.view(governor, "proposalVotes(uint256)", ["uint256"] * 3, number)
    begun = now > proposed.voting_begins
    eta = await reader.number(governor, "proposalEta(uint256)", number)
    return Standing(
        proposed=proposed,
        state=state,
        against=StakeUnits(votes[0]),
        in_favour=StakeUnits(votes[1]),
        abstained=StakeUnits(votes[2]),
        quorum=StakeUnits(await reader.number(governor, "quorum(uint256)", proposed.voting_begins)) if begun else None,
        eta=UnixSeconds(eta) if eta else None,
    )


async def find_proposal(reader: Reader, number: int) -> Proposed:
    """Return the proposal of that number. Raises `ProposalUnknown`."""
    for proposed in await read_proposals(reader):
        if proposed.identifier == number:
            return proposed
    raise ProposalUnknown(f"there is no proposal {number:#x}: `hftnode gov list` shows them")


async def read_votes(reader: Reader, account: Address, at: int) -> StakeUnits:
    """Return the votes of an account at a past second."""
    votes = await reader.number(reader.contracts.governor, "getVotes(address,uint256)", address_to_hex(account), at)
    return StakeUnits(votes)
