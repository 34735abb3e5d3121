"""The repository's own tools: what they select, what they refuse, and how they say so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import audit, checks, coverage_floor, locks, prove_checks, run_tests
from scripts.tree import ROOT, bash_scripts, fingerprint

PYPROJECT: dict[str, Any] = {
    "project": {"requires-python": ">=3.11", "dependencies": ["click>=8"]},
    "dependency-groups": {"test": ["pytest>=9"], "dev": [{"include-group": "test"}, "ruff"], "nodejs": ["nodejs"]},
}
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def _tools_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools run as processes of their own; tracing them costs half of their time and tells nothing."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


# Tests


def test_the_whole_suite_is_selected_by_no_word_and_by_long_alone() -> None:
    assert run_tests.select([]).whole
    assert run_tests.select(["--long"]).whole
    assert not run_tests.select(["purity"]).whole
    assert not run_tests.select(["-x"]).whole


def test_a_word_that_is_a_path_selects_by_path_also_below_tests() -> None:
    assert run_tests.select(["tests/unit", "-x"]).arguments == ("-x", str(ROOT / "tests/unit"))
    assert run_tests.select(["unit/test_tooling.py::test_x"]).arguments == (
        str(ROOT / "tests/unit/test_tooling.py::test_x"),
    )
    assert run_tests.select(["contracts", "-x"]).arguments == ("-x", str(ROOT / "tests/contracts"))  # not the sources


def test_the_whole_suite_and_whole_folders_run_on_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = ("--numprocesses", str(run_tests.WORKERS), "--dist", "loadfile")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert run_tests.select([]).arguments == spread
    assert run_tests.select(["network", "market"]).arguments == (
        *spread,
        str(ROOT / "tests/network"),
        str(ROOT / "tests/market"),
    )
    for alone in (["network", "unit/test_tooling.py"], ["network", "peers"], ["network", "--long"]):
        assert not set(spread) & set(run_tests.select(alone).arguments), alone
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert run_tests.select(["network"]).arguments == (str(ROOT / "tests/network"),)


def test_any_other_word_selects_by_name() -> None:
    assert run_tests.select(["relay", "-x"]).arguments == ("-x", "-k", "(relay)")


def test_the_value_of_an_option_is_not_taken_for_a_pattern() -> None:
    assert run_tests.select(["-k", "relay and not slow"]).arguments == ("-k", "relay and not slow")


def test_the_guards_of_the_contracts_are_removed_on_demand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("scripts.guards.main", len)
    monkeypatch.setattr("scripts.halmos.main", lambda words: 10 * len(words))
    assert run_tests.main(["contracts", "--guards"]) == 10, "the proofs as well, after the invariants"
    assert run_tests.main(["contracts", "--guards", "P7", "P12"]) == 2, "an invariant has not noticed"


def test_ci_draws_the_same_examples_and_others_get_a_seed_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tests.hypothesis_arguments(long=False, ci=True) == ["--hypothesis-profile=ci"]

    profile, seed = run_tests.hypothesis_arguments(long=True, ci=False)

    assert profile == "--hypothesis-profile=long"
    assert seed in capsys.readouterr().out


def test_what_is_marked_long_runs_only_when_asked_for(pytester_folder: Path) -> None:
    (pytester_folder / "test_soak.py").write_text(
        "import pytest\n@pytest.mark.long\ndef test_soak() -> None: ...\ndef test_quick() -> None: ...\n"
    )

    assert "1 passed, 1 deselected" in _pytest(pytester_folder)
    assert "2 passed" in _pytest(pytester_folder, "--long")


@pytest.fixture
def pytester_folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -q -p tests.selection -p no:cacheprovider\nmarkers =\n    long: slow\n"
    )
    return tmp_path


def _pytest(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60).stdout


# Set-up


@pytest.mark.parametrize(
    ("says", "complaint"),
    [("Python 3.9.2", "is Python 3.9.2; hftnode needs Python 3.11, 3.12 or 3.13"), (None, "is not a program")],
)
def test_an_unfit_python_is_refused_in_one_line(tmp_path: Path, says: str | None, complaint: str) -> None:
    python = tmp_path / "python"
    if says is not None:
        python.write_text(f"#!/bin/sh\necho {says}\nexit 1\n")
        python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python)}

    done = subprocess.run(
        [ROOT / "scripts" / "setup"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert done.stderr == f"setup: PYTHON={python} {complaint}\n"


# Coverage


def test_coverage_below_the_floor_is_a_fault_and_at_the_floor_is_none() -> None:
    assert coverage_floor.verdict(89.99, 90) == "coverage is 89.99 %, below the floor of 90 %"
    assert coverage_floor.verdict(90.0, 90) is None


def test_the_coverage_of_another_tree_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "a.py").write_text("A = 1\n")
    before = fingerprint(tmp_path)
    (tmp_path / "protocol" / "a.py").write_text("A = 2\n")

    assert fingerprint(tmp_path) != before


# Locks


def test_the_stamp_of_a_lock_changes_with_what_it_is_resolved_from_and_with_nothing_else() -> None:
    node, dev = locks.LOCKS[0], locks.LOCKS[1]
    newer = {**PYPROJECT, "dependency-groups": {**PYPROJECT["dependency-groups"], "test": ["pytest>=10"]}}

    assert locks.stamp(dev, PYPROJECT) != locks.stamp(dev, newer)
    assert locks.stamp(node, PYPROJECT) == locks.stamp(node, newer)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("--index-url https://example.org/simple\n", "an address"),
        (f"click @ https://example.org/click.whl {HASH}\n", "an address"),
        (f"click>=8 {HASH}\n", "not pinned"),
        ("click==8.1\n", "no hash"),
        ("# nothing\n", "no package in it"),
    ],
)
def test_a_lock_with_addresses_or_loose_or_unhashed_packages_is_refused(text: str, fault: str) -> None:
    assert any(fault in found for found in locks.requirement_faults(text))


def test_a_pinned_and_hashed_lock_is_accepted() -> None:
    assert locks.requirement_faults(f"# by scripts/lock\nclick[x]==8.1 ; os_name == 'nt' \\\n    {HASH}\n") == []


@pytest.mark.parametrize(
    ("entry", "fault"),
    [({"resolved": "https://x", "integrity": "sha512-A"}, "an address"), ({}, "no integrity")],
)
def test_an_npm_lock_with_addresses_or_without_integrity_is_refused(entry: dict[str, str], fault: str) -> None:
    (found,) = locks.npm_faults({"packages": {"": {}, "node_modules/a": entry}}, {})

    assert fault in found


def test_an_npm_lock_that_differs_from_its_package_json_is_refused() -> None:
    (found,) = locks.npm_faults({"packages": {"": {"dependencies": {"a": "1"}}}}, {"dependencies": {"a": "2"}})

    assert "differ from package.json" in found


# Audit


def _report(*dependencies: audit.Dependency) -> audit.Report:
    return audit.Report(list(dependencies))


def test_a_known_vulnerability_fails_the_audit() -> None:
    flawed = audit.Dependency("a", "1", [audit.Vulnerability("PYSEC-1", ["2"])])

    code, lines = audit.verdict(_report(flawed), required=False)

    assert code == 1
    assert lines[0] == "a 1: PYSEC-1, fixed in 2"


@pytest.mark.parametrize("report", [_report(), _report(audit.Dependency("a", "1", skip_reason="not found"))])
def test_an_audit_that_looked_at_nothing_says_so_and_fails_where_one_is_required(report: audit.Report) -> None:
    assert audit.verdict(report, required=False)[0] == 0
    assert audit.verdict(report, required=True)[0] == 1
    assert "not audited" in audit.verdict(report, required=False)[1][0]


# Checks


def _check(*command: str) -> checks.Check:
    return checks.Check("planted", (command,))


def test_a_check_fails_with_its_tool_and_shows_what_it_said() -> None:
    outcome = checks.run(_check(sys.executable, "-c", "print('found a fault'); raise SystemExit(3)"))

    assert not outcome.passed
    assert outcome.output == "found a fault"


def test_a_check_whose_tool_is_missing_fails() -> None:
    outcome = checks.run(_check("no-such-tool"))

    assert not outcome.passed
    assert "not installed" in outcome.output


def test_a_check_of_several_commands_fails_when_the_first_fails() -> None:
    failing, passing = (sys.executable, "-c", "raise SystemExit(1)"), (sys.executable, "-c", "")

    assert not checks.run(checks.Check("planted", (failing, passing))).passed
    assert checks.run(checks.Check("planted", (passing, passing))).passed


def test_all_checks_run_after_one_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = checks.run_all([_check("no-such-tool"), _check(sys.executable, "-c", "")])

    assert sorted(outcome.passed for outcome in outcomes) == [False, True]
    assert "FAILED planted" in capsys.readouterr().out


def test_a_check_that_could_not_look_at_everything_is_not_shown_as_ok(capsys: pytest.CaptureFixture[str]) -> None:
    checks.run_all([_check(sys.executable, "-c", "print('not audited: 1 of 1 packages')")])

    shown = capsys.readouterr().out
    assert "UNSEEN planted" in shown
    assert "not audited: 1 of 1 packages" in shown


def test_every_shell_script_is_looked_at() -> None:
    names = {path.name for path in bash_scripts()}

    assert {"setup", "run", "test", "check", "bench", "lock", "prove-checks"} <= names


# Planted faults: each check finds what it exists for. Types take a cold mypy and run with --long.

PLANTED = prove_checks.read()


def test_every_fast_check_has_a_planted_fault() -> None:
    assert {planted.check for planted in PLANTED} == {check.name for check in checks.checks() if check.fast}


def test_each_check_finds_the_faults_planted_for_it() -> None:
    quick = [planted for planted in PLANTED if planted.check != "types"]
    with prove_checks.copy_of_the_tree() as copy:
        proofs = list(prove_checks.prove(quick, copy))

    assert [proof.planted.name for proof in proofs if not proof.caught] == []


@pytest.mark.long
def test_the_type_check_finds_the_faults_planted_for_it() -> None:
    of_types = [planted for planted in PLANTED if planted.check == "types"]
    with prove_checks.copy_of_the_tree() as copy:
        proofs = list(prove_checks.prove(of_types, copy))

    assert [proof.planted.name for proof in proofs if not proof.caught] == []


def test_a_planted_fault_that_the_check_misses_is_not_called_caught() -> None:
    planted = next(planted for planted in PLANTED if planted.check == "purity")
    passed = checks.Outcome(checks.Check("purity", ()), True, 0.0, planted.says)
    failed_for_another_reason = checks.Outcome(checks.Check("purity", ()), False, 0.0, "another fault")

    assert not prove_checks.Proof(planted, passed, passed).caught
    assert not prove_checks.Proof(planted, failed_for_another_reason, passed).caught


def test_a_planted_fault_without_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare.patch").write_text("diff --git a/x b/x\n")

    with pytest.raises(ValueError, match=r"bare\.patch: no line 'Plants' above the diff"):
        prove_checks.read(tmp_path)
