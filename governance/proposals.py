"""Proposals: a tuple of actions and a text that says why; built, numbered as the governor does, read back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from governance.network import NetworkContracts
from governance.policy import Parameter
from governance.proposal_actions import (
    AllowWork,
    FundWork,
    Mint,
    OtherCall,
    ProposalAction,
    ProposalUnfit,
    SetParameter,
    call_of,
    decode_call,
    parameter_name,
    parameter_words,
)
from protocol.ethereum.abi import decode, encode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, Hash32, TokenAmount, Wei, address_from_hex, address_to_hex

PROPOSER_MARK: Final = "#proposer="
"""A description that ends with it and an address can be proposed by that account only: so nobody takes another's."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is voted on. `description` says why; what it does say the actions."""

    actions: tuple[ProposalAction, ...]
    description: str

    def arguments(self, network: NetworkContracts) -> tuple[list[str], list[int], list[bytes]]:
        """Return targets, values and call data, as the governor takes them."""
        calls = [call_of(network, action) for action in self.actions]
        return (
            [address_to_hex(call.target) for call in calls],
            [call.value for call in calls],
            [call.data for call in calls],
        )

    def identifier(self, network: NetworkContracts) -> int:
        """Return the number that the governor gives it."""
        values = (*self.arguments(network), self.description_hash)
        return int.from_bytes(keccak256(encode(["address[]", "uint256[]", "bytes[]", "bytes32"], values)), "big")

    @property
    def description_hash(self) -> bytes:
        """What the governor stores of the description."""
        return keccak256(self.description.encode())

    def proposal_call(self, network: NetworkContracts) -> bytes:
        """Return the governor's call that proposes it."""
        signature = "propose(address[],uint256[],bytes[],string)"
        return encode_call(signature, *self.arguments(network), self.description)

    def step_call(self, network: NetworkContracts, step: str) -> bytes:
        """Return the governor's call that queues, executes or cancels it."""
        signature = f"{step}(address[],uint256[],bytes[],bytes32)"
        return encode_call(signature, *self.arguments(network), self.description_hash)


def owned_description(text: str, proposer: Address) -> str:
    """Return the description with the mark that lets only `proposer` propose (and so cancel) it."""
    if PROPOSER_MARK in text or not text.strip() or not text.isprintable():
        raise ProposalUnfit(f"say in one line of text why, without {PROPOSER_MARK!r}")
    return f"{text.strip()} {PROPOSER_MARK}{address_to_hex(proposer)}"


def fund_work(network: NetworkContracts, amount: TokenAmount) -> tuple[ProposalAction, ...]:
    """Return the actions that mint a week's pot for alerts and put it in."""
    return (Mint(network.timelock, amount), AllowWork(amount), FundWork(amount))


def changes(actions: Sequence[ProposalAction], now: Mapping[Parameter, int]) -> list[str]:
    """Return what the actions change of the parameters, as `before → after` lines."""
    last: dict[Parameter, int] = {each.parameter: each.value for each in actions if isinstance(each, SetParameter)}
    return [
        f"{parameter_name(each)}: {parameter_words(each, now[each])} → {parameter_words(each, value)}"
        + (" (as it is)" if now[each] == value else "")
        for each, value in last.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposal as the governor told of it."""

    identifier: int
    proposer: Address
    proposal: Proposal
    voting_begins: int
    voting_ends: int


PROPOSAL_CREATED: Final = Hash32(
    keccak256(b"ProposalCreated(uint256,address,address[],uint256[],string[],bytes[],uint256,uint256,string)")
)
_CREATED_TYPES: Final = (
    "uint256", "address", "address[]", "uint256[]", "string[]", "bytes[]", "uint256", "uint256", "string"
)  # fmt: skip


def read_proposed(network: NetworkContracts, data: bytes) -> Proposed:
    """Read the data of a `ProposalCreated` event."""
    number, proposer, targets, values, _signatures, datas, begins, ends, description = decode(_CREATED_TYPES, data)
    calls = [
        OtherCall(address_from_hex(target), Wei(value), bytes(each))
        for target, value, each in zip(targets, values, datas, strict=True)
    ]
    return Proposed(
        identifier=number,
        proposer=address_from_hex(proposer),
        proposal=Proposal(tuple(decode_call(network, call) for call in calls), description),
        voting_begins=begins,
        voting_ends=ends,
    )
