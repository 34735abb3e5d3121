"""The mutants of the contracts: what is one, that all fit the sources, and what is said of those that survive."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from devnet.home import Home
from scripts import mutant_bench, mutants
from scripts.forge import PROJECT, Forge, prepare
from scripts.mutant_bench import SOURCES, Bench, believed, check_unchanged, judge_one, read_verdict
from scripts.mutant_record import Record, Verdict, digest, imported
from scripts.mutants import Tally, collect, differences, read_explanations
from scripts.mutations import Mutant, mutants_of, planted
from tests.conftest import quiet

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
        "explained, and killed by now: c",
        "explained, and no mutant: gone",
    ]


PASSES = """
Ran 2 tests for test/network/Roll.t.sol:RollTest
[PASS] test_a() (gas: 1)
Suite result: ok. 2 passed; 0 failed; 0 skipped
"""
FAILS = """
Ran 1 test for test/network/Stream.t.sol:StreamTest
[FAIL: the pot; counterexample: calldata=0x00 args=[1]] test_a_seventh_a_day(uint256) (runs: 1, μ: 2, ~: 2)
Suite result: FAILED. 0 passed; 1 failed; 0 skipped
"""
END = "\nRan 1 test suite in 9.00ms (7.00ms CPU time): 2 tests passed, 0 failed, 0 skipped (2 total tests)\n"


def ended(code: int, output: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(["forge"], code, output)


class ScriptedBench(Bench):
    """Says what it was told to, one answer a run, and keeps the words of each run."""

    def __init__(self, *answers: subprocess.CompletedProcess[str]) -> None:
        super().__init__(Forge(Path("forge"), {}, Path("build")), Path("nowhere"))
        self.answers = list(answers)
        self.runs: list[tuple[str, ...]] = []

    def test(self, words: Sequence[str], number: int) -> subprocess.CompletedProcess[str]:
        self.runs.append((*words, f"mutant {number}"))
        return self.answers.pop(0)


def stream_mutant() -> Mutant:
    return next(mutant for mutant in collect() if mutant.source == "RewardStream")


def test_a_mutant_is_killed_by_the_first_test_that_fails() -> None:
    assert read_verdict(ended(1, PASSES + FAILS)) == (
        "killed",
        "test/network/Stream.t.sol:StreamTest.test_a_seventh_a_day",
    )
    assert read_verdict(ended(0, PASSES + END)) == ("survived", "")


@pytest.mark.parametrize("code", [-signal.SIGXCPU, -signal.SIGKILL])
def test_tests_that_do_not_end_are_no_kill(code: int) -> None:
    assert read_verdict(ended(code, FAILS)) == ("timed out", "")


@pytest.mark.parametrize(("code", "output"), [(1, "error: no such path"), (0, "No tests found"), (0, PASSES)])
def test_a_run_without_a_failed_test_that_is_not_whole_is_no_verdict(code: int, output: str) -> None:
    with pytest.raises(ValueError, match=output[:8].strip() or "Ran"):
        read_verdict(ended(code, output))


def test_what_lives_through_the_tests_of_its_source_is_shown_to_all() -> None:
    bench, mutant = ScriptedBench(ended(0, PASSES + END), ended(1, FAILS)), stream_mutant()
    assert judge_one(bench, mutant).outcome == "killed"
    assert [words[:2] for words in bench.runs] == [
        ("--match-contract", "^(Stream)Test$"),
        ("--match-path", "test/network/*.t.sol"),
    ]
    bench = ScriptedBench(ended(1, FAILS))
    assert judge_one(bench, mutant).outcome == "killed"
    assert len(bench.runs) == 1, "nobody else is asked"


def test_the_tests_must_pass_without_any_mutant(tmp_path: Path) -> None:
    record = Record(tmp_path / "mutants.json")
    with pytest.raises(ValueError, match=r"without any mutant .*test_a_seventh_a_day fails"):
        check_unchanged(ScriptedBench(ended(1, FAILS)), record, {"RewardStream"})
    bench = ScriptedBench(ended(0, PASSES + END))
    check_unchanged(bench, record, {"RewardStream", "WorkRewards"})
    check_unchanged(bench, Record(tmp_path / "mutants.json"), {"RewardStream"})
    assert len(bench.runs) == 1, "the same tests of the same sources pass again"


def test_what_a_verdict_rests_on_is_the_test_and_all_that_it_imports() -> None:
    names = {path.name for path in imported([PROJECT / "test" / "network" / "Stream.t.sol"])}
    assert {"Stream.t.sol", "StakingTest.sol", "RewardStream.sol", "NodeStaking.sol"} <= names
    assert "ArbExecutor.sol" not in names
    assert "SlashingCourt.sol" in {path.name for path in imported([PROJECT / "test" / "network" / "Vectors.t.sol"])}


def test_another_source_or_name_is_another_digest(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("before", "after")]
    for place, amount in zip(places, (1, 2), strict=True):
        place.mkdir()
        (place / "A.t.sol").write_text('import {\n    B\n} from "./B.sol";\n')
        (place / "B.sol").write_text(f"uint256 constant AMOUNT = {amount};\n")
    before, after = (digest([place / "A.t.sol"], "x") for place in places)
    assert before != after
    assert before != digest([places[0] / "A.t.sol"], "y")
    assert before == digest([places[0] / "A.t.sol"], "x")
    (places[0] / "C.t.sol").write_text('import {D} from "./D.sol";\n')
    with pytest.raises(FileNotFoundError, match=r"D\.sol"):
        digest([places[0] / "C.t.sol"])


def test_a_verdict_is_believed_while_all_that_it_rests_on_is_as_it_was(tmp_path: Path) -> None:
    path, mutant = tmp_path / "build" / "mutants.json", stream_mutant()
    verdict = judge_one(ScriptedBench(ended(1, FAILS)), mutant)
    Record(path).put(mutant.name, verdict)
    assert believed(Record(path), mutant) == verdict
    for stale in (Verdict("killed", verdict.by, "0" * 64), Verdict("killed", "test/Gone.t.sol:A.b", verdict.rests_on)):
        Record(path).put(mutant.name, stale)
        assert believed(Record(path), mutant) is None
    record = Record(path)
    record.put("another", verdict)
    record.forget_all_but(["another"])
    assert (record.get(mutant.name), record.get("another")) == (None, verdict)


def test_a_torn_record_is_refused_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mutants.json"
    path.write_text('{"a": {"outcome": "lived"')
    with pytest.raises(ValueError, match=r"mutants\.json"):
        Record(path)


def test_a_run_tells_how_far_it_is() -> None:
    now = [0.0]
    mutants = [Mutant(number, "A" if number < 3 else "B", 0, f"m{number}", "") for number in range(1, 7)]
    tally = Tally(mutants, lambda: now[0])
    assert tally.add(mutants[0], Verdict("killed", "t", ""), remembered=True) is None
    now[0] = 60.0
    assert tally.add(mutants[1], Verdict("survived", "", ""), remembered=False) == (
        "A                       2 mutants:    1 killed,   1 survived,  0 timed out,    0 remaining"
        "; 4 of all remain, about 4 min"
    )
    tally.add(mutants[2], Verdict("timed out", "", ""), remembered=False)
    assert tally.lines()[1] == (
        "B                       4 mutants:    0 killed,   0 survived,  1 timed out,    3 remaining"
    )
    assert (sorted(tally.alive), tally.remaining()) == (["m2", "m3"], 3)


def test_the_compiler_is_asked_once_for_each_input(tmp_path: Path) -> None:
    program, calls = tmp_path / "contracts" / "solc.cjs", tmp_path / "calls"
    package = tmp_path / "contracts" / "lib" / "packages" / "solc" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text("{}")
    program.write_text(mutant_bench.COMPILER)
    program.chmod(0o755)
    (tmp_path / "answers").mkdir()
    (tmp_path / "node").write_text(f'#!/bin/sh\necho "$@" >>{calls}\ncat | tr a-z A-Z\n')
    (tmp_path / "node").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    def ask(word: str, text: str) -> str:
        return subprocess.run(
            [str(program), word], input=text, env=environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    assert [ask("--standard-json", text) for text in ("one", "two", "one")] == ["ONE", "TWO", "ONE"]
    assert [ask("--version", "") for _ in range(2)] == ["", ""]
    package.write_text('{"version": "0.8.38"}')
    assert ask("--standard-json", "one") == "ONE"
    assert [line.split()[-1] for line in calls.read_text().splitlines()] == [
        *["--standard-json"] * 2,
        "--version",
        "--standard-json",
    ], "another compiler is asked again"


@pytest.mark.long
@pytest.mark.forge
@pytest.mark.timeout(int(mutants.SECONDS) + 3_600)
async def test_every_mutant_is_killed_or_explained(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    forge, explained = await prepare(home, quiet), read_explanations()
    chosen = collect()
    with capsys.disabled():
        tally = mutants.run(forge, chosen, explained, lambda line: print(line, flush=True))  # noqa: T201 it takes long
    assert differences(tally.alive, [mutant.name for mutant in chosen], explained) == []
    assert tally.remaining() == 0
