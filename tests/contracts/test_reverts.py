"""What a revert says, in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.contracts import ARB_EXECUTOR, VAULT_MODULE, contract, error_meanings
from governance.reverts import explain_revert
from protocol.ethereum.abi import argument_types, encode, selector


def revert_data(signature: str, *arguments: object) -> bytes:
    return selector(signature) + encode(argument_types(signature), arguments)


def test_every_error_of_the_interfaces_is_explained() -> None:
    for name in (ARB_EXECUTOR, VAULT_MODULE):
        own = contract(name)
        declared = {entry["name"] for entry in own.abi if entry["type"] == "error"}
        explained = {signature.partition("(")[0] for signature in own.errors}
        libraries = {"ReentrancyGuardReentrantCall", "SafeCastOverflowedUintToInt", "SafeERC20FailedOperation"}
        assert declared - explained <= libraries
        assert explained <= declared


def test_an_error_of_ours_is_told_with_its_meaning_and_arguments() -> None:
    found = explain_revert(
        revert_data("ProfitBelowMinimum(uint256,uint256)", 5, 7), error_meanings(VAULT_MODULE, ARB_EXECUTOR)
    )
    assert (found.name, found.arguments) == ("ProfitBelowMinimum", (5, 7))
    assert found.words.startswith("P18: ")
    assert found.words.endswith(" (5, 7)")
    assert (
        explain_revert(revert_data("VaultPaused()"), error_meanings(VAULT_MODULE, ARB_EXECUTOR)).words
        == "The vault is paused."
    )


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "Empty", "without a reason"),
        (revert_data("Error(string)", "UniswapV2: K"), "Error", "UniswapV2: K"),
        (revert_data("Error(string)", "\x1b[31mred"), "Error", "?[31mred"),
        (revert_data("Panic(uint256)", 0x11), "Panic", "overflowed"),
        (revert_data("Panic(uint256)", 0x99), "Panic", "0x99"),
        (revert_data("Error(string)", "x")[:40], "Unknown", "does not decode"),
        (revert_data("ProfitBelowMinimum(uint256,uint256)", 5, 7)[:-1], "Unknown", "does not decode"),
        (b"\x01\x02\x03\x04", "Unknown", "0x01020304"),
    ],
)
def test_other_reverts_are_told_too(data: bytes, name: str, words: str) -> None:
    found = explain_revert(data, error_meanings(VAULT_MODULE, ARB_EXECUTOR))
    assert found.name == name
    assert words in found.words


@given(st.binary(max_size=200))
def test_any_data_is_explained(data: bytes) -> None:
    assert explain_revert(data, error_meanings(VAULT_MODULE, ARB_EXECUTOR)).words


def test_an_error_that_several_contracts_have_is_told_in_the_words_of_the_one_that_refused() -> None:
    gone = revert_data("NotGovernance()")
    for name in ("EmergencyBrake", "ExecutionLedger"):
        assert explain_revert(gone, error_meanings(name)).words == contract(name).errors["NotGovernance()"]
    early = revert_data("TooEarly(uint256)", 5)
    for name, other in (("NodeStaking", "SlashingCourt"), ("SlashingCourt", "NodeStaking")):
        assert explain_revert(early, error_meanings(name, other)).words.startswith(
            contract(name).errors["TooEarly(uint256)"]
        )
    assert contract("NodeStaking").errors["TooEarly(uint256)"] != contract("SlashingCourt").errors["TooEarly(uint256)"]
    assert "TooEarly(uint256)" not in error_meanings("HftToken")
    assert "TooEarly(uint256)" in error_meanings("HftToken", "NodeStaking")
