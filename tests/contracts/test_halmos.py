"""Halmos over the contracts: P7, P12, P14 and P15 are proved within bounds, and no proof holds without its guard."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from devnet.home import Home
from scripts import halmos
from scripts.forge import Forge, compiler
from scripts.guards import Guard
from scripts.halmos import Proof, checks, guards_of_proofs, is_noticed, problems, proofs, prove, without_guards
from tests.conftest import quiet
from tests.programs import set_up

PROVED = ["P7", "P12", "P14", "P15"]
GUARDS = ["P7", "P7-window", "P12", "P14", "P15"]


def result(name: str, code: int, cut: int = 0) -> dict[str, object]:
    return {"name": name, "exitcode": code, "num_bounded_loops": cut, "num_paths": [7, 7, 0], "time": [1.5, 1.0, 0.5]}


def test_every_property_that_is_to_be_proved_has_a_check() -> None:
    assert list(dict.fromkeys(check.split("_")[1] for check in checks())) == PROVED


def test_a_report_is_read_by_the_propertys_number() -> None:
    results = {"a": [result("check_P12_b(uint8)", 1)], "b": [result("check_P7_a(bool)", 0)]}
    assert proofs({"test_results": results}) == [
        Proof("check_P7_a", proved=True, refuted=False, seconds=1.5, words="proved, 7 paths"),
        Proof("check_P12_b", proved=False, refuted=True, seconds=1.5, words="counterexample"),
    ]


@pytest.mark.parametrize(
    ("code", "cut", "words"),
    [
        (0, 2, "2 loops were cut short"),
        (1, 0, "counterexample"),
        (2, 0, "the solver did not end"),
        (4, 0, "every path reverts"),
        (9, 0, "ended with 9"),
    ],
)
def test_whatever_is_not_wholly_proved_is_a_problem(code: int, cut: int, words: str) -> None:
    found = proofs({"test_results": {"a": [result("check_P7_a(bool)", code, cut)]}})
    assert problems(found, ["check_P7_a"]) == [f"check_P7_a: {words}"]


def test_a_check_that_was_not_run_is_a_problem() -> None:
    assert problems([], ["check_P7_a"]) == ["check_P7_a: was not run"]


def test_only_a_counterexample_shows_that_a_guard_is_missed() -> None:
    found = proofs({"test_results": {"a": [result("check_P7_a()", 2), result("check_P7_b()", 0)]}})
    assert not is_noticed(found)
    assert is_noticed([*found, *proofs({"test_results": {"a": [result("check_P7_c()", 1)]}})])


def test_the_guards_that_a_proof_rests_on_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert [guard.name for guard in guards_of_proofs()] == GUARDS
    assert [guard.name for guard in guards_of_proofs(["P1", "P12"])] == ["P12"]
    assert [guard.name for guard in guards_of_proofs(["P7"])] == ["P7", "P7-window"]
    assert [guard.name for guard in guards_of_proofs(["P7-window"])] == ["P7-window"]
    assert halmos.main(["--guards", "P1"]) == 0
    assert "no proof rests on a guard called P1" in capsys.readouterr().out


def test_the_table_has_a_row_for_each_guard_and_tells_a_proof_that_holds_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {name: [result(f"check_{name[:3].strip('-')}_a()", int(name[:2] == "P7"))] for name in GUARDS}

    def found(forge: Forge, guards: Sequence[Guard]) -> list[tuple[Guard, list[Proof]]]:
        return [(guard, proofs({"test_results": {"a": ends[guard.name]}})) for guard in guards]

    monkeypatch.setattr(halmos, "without_guards", found)
    monkeypatch.setattr(halmos, "compiler", lambda home, progress: None)
    monkeypatch.setattr("scripts.halmos.subprocess.run", lambda command, check: None)
    assert halmos.main(["--guards", "P7"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["2 of 2 proofs are refuted without their guard"]
    assert halmos.main(["--guards", "P7", "P12"]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:3] for row in rows[:3]] == [
        ["P7", "refuted", "1.5"],
        ["P7-window", "refuted", "1.5"],
        ["P12", "MISSED", "1.5"],
    ]
    assert rows[3:] == ["P12     1.5 s  proved, 7 paths: a", "2 of 3 proofs are refuted without their guard"]


@pytest.mark.forge
@pytest.mark.timeout(900)
async def test_every_check_is_proved(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    await set_up("analysis")
    found = prove(compiler(home, quiet))
    with capsys.disabled():
        print("", *found, sep="\n")  # noqa: T201 what was proved is to be seen
    assert problems(found, checks()) == []


@pytest.mark.long
@pytest.mark.forge
@pytest.mark.timeout(1800)
async def test_no_proof_holds_without_its_guard(home: Home) -> None:
    await set_up("analysis")
    noticed = {
        guard.name: is_noticed(found) for guard, found in without_guards(compiler(home, quiet), guards_of_proofs())
    }
    assert noticed == dict.fromkeys(GUARDS, True)
