"""What an operator can do on the chain, one value an action: which contract, which call, and in words. Pure.

An action says what it does in numbers that a person reads; `governance.transactions` simulates, signs and sends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from governance.amounts import HFT
from governance.contracts import ARB_EXECUTOR, VAULT_MODULE, error_meanings
from governance.deploy_plan import BRAKE, COURT, GOVERNOR, LEDGER, PARAMETERS, STAKING, STREAM, TIMELOCK, TOKEN, WORK
from governance.network import (
    NetworkContracts,
    approve_call,
    check_in_call,
    complete_unstake_call,
    register_call,
    request_unstake_call,
    roll_call,
    set_hot_key_call,
    stake_call,
)
from governance.reverts import Revert, explain_revert
from protocol.ethereum.abi import encode_call
from protocol.units import (
    Address,
    EpochNumber,
    Hash32,
    PeerIdHash,
    SignatureBytes,
    StakeUnits,
    TokenAmount,
    Wei,
    address_to_hex,
)

_NETWORK: Final = (STAKING, LEDGER, COURT, GOVERNOR, BRAKE, STREAM, WORK, PARAMETERS, TOKEN, TIMELOCK)
_OURS: Final = (*_NETWORK, VAULT_MODULE, ARB_EXECUTOR)
_OPENZEPPELIN: Final[Mapping[str, str]] = {
    "ERC20InsufficientBalance(address,uint256,uint256)": "An account has less of the token than is to be moved.",
    "ERC20InsufficientAllowance(address,uint256,uint256)": "Less was approved than is to be moved.",
    "ERC20ExceededCap(uint256,uint256)": "The supply would exceed the token's cap.",
    "SafeERC20FailedOperation(address)": "A token refused a transfer.",
    "GovernorInsufficientProposerVotes(address,uint256,uint256)": "A proposer needs more active stake than this.",
    "GovernorRestrictedProposer(address)": "The description names another proposer.",
    "GovernorUnexpectedProposalState(uint256,uint8,bytes32)": (
        "The proposal is in a state in which this is not possible: `hftnode gov show` tells which."
    ),
    "GovernorNonexistentProposal(uint256)": "There is no such proposal.",
    "GovernorAlreadyCastVote(address)": "This account has voted.",
    "GovernorAlreadyQueuedProposal(uint256)": "The proposal is queued.",
    "GovernorUnableToCancel(uint256,address)": "Only its proposer cancels a proposal, before voting begins.",
    "GovernorOnlyExecutor(address)": "Only governance itself may do this.",
    "OwnableUnauthorizedAccount(address)": "Only the Timelock may do this.",
    "AccessControlUnauthorizedAccount(address,bytes32)": "The account does not have the role for this.",
    "TimelockUnexpectedOperationState(bytes32,bytes32)": "The Timelock's delay is not over, or it was executed.",
    "TimelockInsufficientDelay(uint256,uint256)": "The Timelock asks for a longer delay.",
    "ERC5805FutureLookup(uint256,uint48)": "The votes of that moment are not known yet: try again in a block.",
    "FailedCall()": "A call that the proposal makes failed without saying why.",
}
NOTHING: Final = Wei(0)
_TEXT_IN_TITLE: Final = 60


class Vote(StrEnum):
    """How one votes."""

    AGAINST = "against"
    FOR = "for"
    ABSTAIN = "abstain"

    @property
    def number(self) -> int:
        """As the governor counts it."""
        return tuple(Vote).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One call that changes the chain. `contract`: the name of what is called, for the meaning of its errors."""

    contract: str
    to: Address
    data: bytes
    title: str
    value: Wei = NOTHING

    def explain(self, revert: bytes) -> Revert:
        """Say why the call reverted: the contract's own words first, then those of who it calls."""
        known = dict(_OPENZEPPELIN)
        others = tuple(name for name in _OURS if name != self.contract)
        own = (self.contract,) if self.contract in _OURS else ()
        return explain_revert(revert, known | dict(error_meanings(*own, *others)))


def register(network: NetworkContracts, hot_key: Address, peer_id_hash: PeerIdHash, binding: SignatureBytes) -> Action:
    """Become an operator."""
    title = f"register as an operator with the hot key {address_to_hex(hot_key)}"
    return Action(contract=STAKING, to=network.staking, data=register_call(hot_key, peer_id_hash, binding), title=title)


def set_hot_key(network: NetworkContracts, hot_key: Address, binding: SignatureBytes) -> Action:
    """Put another hot key in force."""
    title = f"put the hot key {address_to_hex(hot_key)} in force; the former one never is again"
    return Action(contract=STAKING, to=network.staking, data=set_hot_key_call(hot_key, binding), title=title)


def approve(network: NetworkContracts, amount: TokenAmount) -> Action:
    """Let the registry take this much HFT, and no more."""
    title = f"allow the registry to take {HFT.shown(amount)}"
    return Action(contract=TOKEN, to=network.token, data=approve_call(network.staking, amount), title=title)


def stake(network: NetworkContracts, amount: TokenAmount) -> Action:
    """Add to active stake."""
    return Action(contract=STAKING, to=network.staking, data=stake_call(amount), title=f"stake {HFT.shown(amount)}")


def request_unstake(network: NetworkContracts, amount: TokenAmount) -> Action:
    """Let active stake leave."""
    title = f"let {HFT.shown(amount)} of the stake leave"
    return Action(contract=STAKING, to=network.staking, data=request_unstake_call(amount), title=title)


def complete_unstake(network: NetworkContracts, amount: StakeUnits) -> Action:
    """Take out what has left."""
    title = f"withdraw {HFT.shown(amount)} that have left"
    return Action(contract=STAKING, to=network.staking, data=complete_unstake_call(), title=title)


def check_in(network: NetworkContracts, epoch: EpochNumber) -> Action:
    """Take part in the next epoch."""
    title = f"check in for epoch {epoch}, which locks the active stake through it"
    return Action(contract=LEDGER, to=network.ledger, data=check_in_call(epoch), title=title)


def roll_epoch(network: NetworkContracts, epoch: EpochNumber, header: bytes) -> Action:
    """Give an epoch its seed."""
    title = f"give epoch {epoch} its seed"
    return Action(contract=LEDGER, to=network.ledger, data=roll_call(epoch, header), title=title)


def roll_stream(network: NetworkContracts) -> Action:
    """Make the day's pot."""
    title = "make today's pot: a seventh of what is not promised"
    return Action(contract=STREAM, to=network.stream, data=encode_call("roll()"), title=title)


def claim_stream(network: NetworkContracts, operator: Address, pots: int, words: str) -> Action:
    """Pay an operator its share of the next pots."""
    title = f"claim {words} of {pots} pot{'' if pots == 1 else 's'} of the reward stream"
    data = encode_call("claim(address,uint256)", address_to_hex(operator), pots)
    return Action(contract=STREAM, to=network.stream, data=data, title=title)


def claim_week(network: NetworkContracts, operator: Address, week: int, amount: TokenAmount) -> Action:
    """Pay an operator for a week's alerts."""
    title = f"claim {HFT.shown(amount)} for alerts attested in week {week}"
    data = encode_call("claim(uint256,address)", week, address_to_hex(operator))
    return Action(contract=WORK, to=network.work, data=data, title=title)


def vote(network: NetworkContracts, proposal: int, choice: Vote) -> Action:
    """Vote with all active stake."""
    title = f"vote {choice} proposal {short_id(proposal)}"
    data = encode_call("castVote(uint256,uint8)", proposal, choice.number)
    return Action(contract=GOVERNOR, to=network.governor, data=data, title=title)


def delegate(network: NetworkContracts, to: Address) -> Action:
    """Give one's votes to another: the registry refuses all but oneself."""
    title = f"delegate the votes to {address_to_hex(to)}"
    data = encode_call("delegate(address)", address_to_hex(to))
    return Action(contract=STAKING, to=network.staking, data=data, title=title)


def support_scope_pause(network: NetworkContracts, subject: Hash32) -> Action:
    """Count for a pause of one subject."""
    data = encode_call("supportScopePause(bytes32)", subject)
    return Action(contract=BRAKE, to=network.brake, data=data, title=f"support a pause of 0x{subject.hex()}")


def support_pause(network: NetworkContracts) -> Action:
    """Count for a pause of everything."""
    data = encode_call("supportPause()")
    return Action(contract=BRAKE, to=network.brake, data=data, title="support a pause of everything")


def guardian_pause(network: NetworkContracts) -> Action:
    """Pause everything, as the guardian."""
    title = "pause everything for up to 72 hours, as the guardian"
    return Action(contract=BRAKE, to=network.brake, data=encode_call("pause()"), title=title)


def support_release(network: NetworkContracts) -> Action:
    """Count for the end of the pause."""
    data = encode_call("supportRelease()")
    return Action(contract=BRAKE, to=network.brake, data=data, title="support the release of the brake")


def short_id(proposal: int) -> str:
    """Return a proposal's number as it is shown in sentences."""
    return f"{proposal:#066x}"[:12] + "…"


def one_line(text: str) -> str:
    """Return text of others as a title shows it: printable, in one line, cut."""
    cleaned = "".join(character if character.isprintable() else " " for character in text.strip())
    return cleaned if len(cleaned) <= _TEXT_IN_TITLE else cleaned[: _TEXT_IN_TITLE - 1] + "…"
