"""The mutants of the contracts: what is one, that all fit the sources, and what is said of those that survive."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scripts.forge import PROJECT
from scripts.mutants import SOURCES, collect, differences, mutants_of, planted, read_explanations

SOURCE = """
contract Purse {
    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        _;
    }

    function take(uint256 amount) external onlyGovernance {
        uint256 left = balance;
        if (amount > left) revert TooMuch(amount);
        balance -= amount;
        // a comment;
        TOKEN.transfer(
            msg.sender, amount
        );
        emit Taken(amount);
        taken = true;
        return;
    }

    function half(uint256 amount) public pure returns (uint256) {
        if (amount == 0) revert Nothing();
        return amount / 2;
    }

    function _least(uint256 amount) private pure returns (uint256 least) {
        least = amount;
    }
}
"""
LINES = SOURCE.split("\n")


def test_checks_bounds_statements_sums_and_modifiers_are_changed_and_nothing_else() -> None:
    assert [(mutant.number, mutant.name) for mutant in mutants_of("Purse", LINES, 7)] == [
        (7, "Purse.onlyGovernance: without `if (msg.sender != GOVERNANCE)`"),
        (8, "Purse.take: without onlyGovernance"),
        (9, "Purse.take: without `if (amount > left)`"),
        (10, "Purse.take: `amount >= left` for `amount > left`"),
        (11, "Purse.take: `balance += amount;`"),
        (12, "Purse.take: without `taken = true;`"),
        (13, "Purse._least: without `least = amount;`"),
    ]


def test_each_mutant_is_a_branch_of_its_own_number() -> None:
    text = "\n".join(planted(LINES, mutants_of("Purse", LINES, 7)))
    assert "if (block.prevrandao != 7 && (msg.sender != GOVERNANCE)) revert NotGovernance();" in text
    assert "external onlyGovernanceBut(8) {" in text
    assert "modifier onlyGovernanceBut(uint256 number) {\n        if (block.prevrandao != number) {" in text
    assert (
        "if (block.prevrandao != 9 && (block.prevrandao == 10 ? (amount >= left) : (amount > left)))"
        " revert TooMuch(amount);" in text
    )
    assert "if (block.prevrandao == 11) balance += amount; else balance -= amount;" in text
    assert "if (block.prevrandao != 12) taken = true;" in text
    assert "function _least(uint256 amount) private view returns" in text, "it looks at the block now"
    assert "function half(uint256 amount) public pure returns" in text, "others know it as pure"


def test_two_equal_lines_of_one_function_have_two_names() -> None:
    twice = ["contract Purse {", "    function f() external {", "        x = 1;", "        x = 1;", "    }", "}"]
    assert [mutant.name for mutant in mutants_of("Purse", twice, 1)] == [
        "Purse.f: without `x = 1;`",
        "Purse.f: without `x = 1;` (2)",
    ]


def test_all_mutants_fit_the_sources_and_have_names_of_their_own() -> None:
    mutants = collect()
    assert [mutant.number for mutant in mutants] == list(range(1, 1 + len(mutants)))
    assert {mutant.source for mutant in mutants} == set(SOURCES)
    assert max(Counter(mutant.name for mutant in mutants).values()) == 1
    for source in SOURCES:
        lines = (PROJECT / "src" / f"{source}.sol").read_text().split("\n")
        own = [mutant for mutant in mutants if mutant.source == source]
        text = "\n".join(planted(lines, own))
        assert all(f" {mutant.number}" in text or f"({mutant.number})" in text for mutant in own)


def test_what_is_explained_is_a_mutant() -> None:
    assert read_explanations().keys() <= {mutant.name for mutant in collect()}


def test_an_explanation_without_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text('[[explained]]\nmutants = ["a"]\nwhy = " "\n')
    with pytest.raises(ValueError, match=r"mutants\.toml"):
        read_explanations(path)


def test_a_survivor_must_be_explained_and_an_explanation_must_have_a_survivor() -> None:
    explained = {"b": "no matter", "c": "no matter", "gone": "no matter"}
    assert differences(["a", "b"], ["a", "b", "c"], explained) == [
        "not explained: a",
        "explained, and noticed by now: c",
        "explained, and no mutant: gone",
    ]
