"""Proposals describe themselves, and are read back as what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.network import NetworkContracts
from governance.policy import PARAMETER_BOUNDS, Parameter
from governance.proposal_actions import (
    AllowWork,
    CancelSlash,
    FundStream,
    FundWork,
    Mint,
    OtherCall,
    ProposalAction,
    ProposalUnfit,
    ReleaseBrake,
    ReleaseScope,
    Remove,
    SetExecutor,
    SetParameter,
    call_of,
    decode_call,
    parameter_words,
    subject_words,
)
from governance.proposals import Proposal, changes, fund_work, owned_description, read_proposed
from protocol.ethereum.abi import encode, encode_call
from protocol.units import Address, Hash32, TokenAmount, Wei

CONTRACTS = NetworkContracts(
    **{name: Address(bytes([number]) * 20) for number, name in enumerate(NetworkContracts.__struct_fields__, 1)}
)
addresses = st.binary(min_size=20, max_size=20).map(Address)
words = st.binary(min_size=32, max_size=32).map(Hash32)
amounts = st.integers(0, 2**256 - 1).map(TokenAmount)
parameters = st.sampled_from(list(Parameter)).flatmap(
    lambda each: st.builds(SetParameter, st.just(each), st.integers(*PARAMETER_BOUNDS[each]))
)
actions: st.SearchStrategy[ProposalAction] = st.one_of(
    parameters,
    st.builds(Remove, words),
    st.builds(FundStream, addresses, amounts),
    st.builds(Mint, addresses, amounts),
    st.builds(AllowWork, amounts),
    st.builds(FundWork, amounts),
    st.builds(CancelSlash, words),
    st.just(ReleaseBrake()),
    st.builds(ReleaseScope, words),
    st.builds(SetExecutor, addresses, st.booleans()),
)


@given(actions)
def test_every_action_is_read_back_as_itself_from_its_call(action: ProposalAction) -> None:
    assert decode_call(CONTRACTS, call_of(CONTRACTS, action)) == action


@given(actions, addresses)
def test_the_same_call_of_another_contract_is_unknown(action: ProposalAction, other: Address) -> None:
    call = call_of(CONTRACTS, action)
    moved = OtherCall(other, call.value, call.data)
    if isinstance(action, FundStream) or other == call.target:
        return
    assert decode_call(CONTRACTS, moved) == moved
    assert "UNKNOWN CALL" in moved.words()


@given(actions)
def test_a_call_with_ether_or_more_bytes_is_unknown(action: ProposalAction) -> None:
    call = call_of(CONTRACTS, action)
    for odd in (OtherCall(call.target, Wei(1), call.data), OtherCall(call.target, Wei(0), call.data + b"\0")):
        assert decode_call(CONTRACTS, odd) == odd


def test_values_outside_their_enumeration_or_bounds_stay_unknown() -> None:
    for arguments in ((9, 1), (1, 501)):
        call = OtherCall(CONTRACTS.parameters, Wei(0), encode_call("set(uint8,uint256)", *arguments))
        assert decode_call(CONTRACTS, call) == call
    stranger = OtherCall(CONTRACTS.token, Wei(0), encode_call("approve(address,uint256)", "0x" + "77" * 20, 5))
    assert decode_call(CONTRACTS, stranger) == stranger
    away = OtherCall(CONTRACTS.token, Wei(0), encode_call("transfer(address,uint256)", "0x" + "77" * 20, 5))
    assert decode_call(CONTRACTS, away) == away


def test_a_parameter_outside_its_bounds_cannot_be_proposed() -> None:
    with pytest.raises(ProposalUnfit, match="between 1 HFT and 1,000,000 HFT, not 0 HFT"):
        SetParameter(Parameter.MIN_STAKE, 0)


def test_the_effect_is_told_as_a_difference_of_the_parameters() -> None:
    now = {Parameter.MIN_STAKE: 10**21, Parameter.PROTOCOL_FEE_BPS: 100, Parameter.ALERT_QUORUM_BPS: 5_000}
    proposed: list[ProposalAction] = [
        SetParameter(Parameter.PROTOCOL_FEE_BPS, 7),
        SetParameter(Parameter.PROTOCOL_FEE_BPS, 50),
        SetParameter(Parameter.ALERT_QUORUM_BPS, 5_000),
        ReleaseBrake(),
    ]
    assert changes(proposed, now) == [
        "protocol-fee-bps: 1 % → 0.5 %",
        "alert-quorum-bps: 50 % → 50 % (as it is)",
    ]
    assert parameter_words(Parameter.MIN_STAKE, 10**18) == "1 HFT"


def test_a_proposal_reads_back_from_the_governors_event() -> None:
    description = owned_description("more alerts", Address(b"\x55" * 20))
    proposal = Proposal(fund_work(CONTRACTS, TokenAmount(10**18)), description)
    targets, values, datas = proposal.arguments(CONTRACTS)
    types = ("uint256", "address", "address[]", "uint256[]", "string[]", "bytes[]", "uint256", "uint256", "string")
    event = (5, "0x" + "55" * 20, targets, values, [""] * 3, datas, 10, 20, description)
    read = read_proposed(CONTRACTS, encode(types, event))
    assert read.proposal == proposal
    assert (read.identifier, read.voting_begins, read.voting_ends) == (5, 10, 20)
    assert [type(action).__name__ for action in read.proposal.actions] == ["Mint", "AllowWork", "FundWork"]


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "mine #proposer=0x00"])
def test_a_description_is_one_line_without_anothers_mark(text: str) -> None:
    with pytest.raises(ProposalUnfit, match="one line"):
        owned_description(text, Address(b"\x55" * 20))


def test_a_subject_that_is_an_address_is_shown_as_one() -> None:
    assert subject_words(Hash32(bytes(12) + b"\x11" * 20)) == "0x" + "11" * 20
    assert subject_words(Hash32(b"\x11" * 32)) == "0x" + "11" * 32
