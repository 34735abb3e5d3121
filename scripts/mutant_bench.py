"""Where mutants are judged: a copy of contracts/ with all of them in it, and forge's runs of the tests over each."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.forge import PROJECT, Forge
from scripts.guards import copy_of_the_contracts
from scripts.mutant_record import Record, Verdict, digest
from scripts.mutations import Mutant, planted


@dataclass(frozen=True, slots=True)
class Tests:
    """Who is to notice the mutants of a source: contracts that mostly do, and a glob of all files that could."""

    own: tuple[str, ...]
    all: str


_NETWORK: Final = "test/network/*.t.sol"
_VAULT: Final = "test/*.t.sol"  # to forge a star takes folders too: network's and the thefts as well
SOURCES: Final = {
    "RewardStream": Tests(("Stream",), _NETWORK),
    "WorkRewards": Tests(("Work",), _NETWORK),
    "NodeStaking": Tests(("Stake", "Register", "Escrow", "Report"), _NETWORK),
    "SlashingCourt": Tests(("Report", "Escrow", "Vectors"), _NETWORK),
    "ExecutionLedger": Tests(("CheckIn", "Roll", "Leader", "Open"), _NETWORK),
    "EmergencyBrake": Tests(("Brake",), _NETWORK),
    "NetworkParameters": Tests(("Parameters", "Governance"), _NETWORK),
    "VaultSettings": Tests(("Settings", "InventorySettings", "Deposit", "Pause"), _VAULT),
    "libraries/Bucket": Tests(("InventorySettings", "Trade"), _VAULT),
    "libraries/Allowance": Tests(("Grief", "Borrow"), _VAULT),
    "CallbackGuard": Tests(("Callback",), _VAULT),
    "NetworkOrders": Tests(("Uses", "Orders"), _VAULT),
    "VaultModule": Tests(("Settle", "Deposit", "Pause", "Prices", "Trade", "Execute", "Bid"), _VAULT),
    "ArbExecutor": Tests(("Plan", "Callback", "Grief", "Bid", "Borrow", "Execute", "Orders", "Uses"), _VAULT),
}
_PROCESSOR_SECONDS: Final = 300
"""Of forge over one mutant's tests: many times what they need, and the same on a machine with other work to do."""
_SECONDS: Final = 3_600.0  # by the clock, where a machine with other work gives forge less than its processor time
_FUZZ_RUNS: Final = 3  # what only luck notices deserves a test of its own
_LEFT_OUT: Final = "Gas|SymbolicMath|PlanVectors|Invariants"
_FAILED: Final = re.compile(r"\[FAIL[^\n]*\] (\w+)\(")
_SUITE: Final = re.compile(r"^Ran \d+ tests? for (\S+):(\w+)$", re.MULTILINE)
_PASSED: Final = re.compile(r" [1-9]\d* tests passed, 0 failed")
_ENDED_BY_DEADLINE: Final = (-signal.SIGXCPU, -signal.SIGKILL)
_ANSWERS: Final = 20  # of the compiler, some MB each; past that it begins anew
COMPILER: Final = """#!/usr/bin/env bash
# Answers as the compiler did when it was asked the same: forge asks anew each time that it runs.
set -euo pipefail
here=$(dirname "$0") answers=$(dirname "$0")/../answers
input=$(mktemp "$answers/asked.XXXXXX")
if [[ $* == *--version* ]]; then what=version; else cat >"$input"; what=asked; fi
answer=$what-$(cat "$here/lib/packages/solc/package.json" "$input" | sha256sum | cut -c 1-64)
if [[ ! -f $answers/$answer ]]; then
    node "$here/genuine.cjs" "$@" <"$input" >"$input.new"
    mv "$input.new" "$answers/$answer"
fi
rm "$input"
cat "$answers/$answer"
"""


def plant(folder: Path, mutants: Sequence[Mutant]) -> None:
    """Write all mutants into a copy of contracts/."""
    for source in SOURCES:
        path = folder / "src" / f"{source}.sol"
        path.write_text("\n".join(planted(path.read_text().split("\n"), [m for m in mutants if m.source == source])))


class Bench:
    """A copy of contracts/ with all mutants in it, compiled where it was before; one run at a time."""

    def __init__(self, forge: Forge, folder: Path) -> None:
        """Choose the place; `lay` makes the copy there."""
        self._forge = forge
        self._folder = folder

    def lay(self, mutants: Sequence[Mutant]) -> None:
        """Make the copy anew, but for what is compiled."""
        project = self._folder / PROJECT.name
        with copy_of_the_contracts() as copy:
            plant(copy / PROJECT.name, mutants)
            for name in (PROJECT.name, "protocol"):
                place = self._folder / name
                shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink(missing_ok=True)
            shutil.copytree(copy, self._folder, symlinks=True, dirs_exist_ok=True)
        (project / "lib").unlink()
        for link in (PROJECT / "lib").iterdir():  # to the packages themselves: forge compiles anew where a link moves
            (project / "lib").mkdir(exist_ok=True)
            (project / "lib" / link.name).symlink_to(link.resolve())
        (project / "solc.cjs").rename(project / "genuine.cjs")
        answers = self._folder / "answers"
        if answers.is_dir() and len(list(answers.iterdir())) > _ANSWERS:
            shutil.rmtree(answers)
        answers.mkdir(exist_ok=True)
        (project / "solc.cjs").write_text(COMPILER)
        (project / "solc.cjs").chmod(0o755)

    def test(self, words: Sequence[str], number: int) -> subprocess.CompletedProcess[str]:
        """Run these tests with a mutant, to the first that fails. Raises `subprocess.TimeoutExpired`."""
        environment = {
            **self._forge.environment,
            "FOUNDRY_OUT": str(self._folder / "out"),
            "FOUNDRY_CACHE_PATH": str(self._folder / "cache"),
            "FOUNDRY_BLOCK_PREVRANDAO": f"0x{number:064x}",
            "FOUNDRY_FUZZ_RUNS": str(_FUZZ_RUNS),
            "FOUNDRY_DENY": "never",
            "FOUNDRY_DYNAMIC_TEST_LINKING": "false",  # forge would read all sources anew for each mutant
        }
        command = [str(self._forge.program), "test", "--fail-fast", "--threads", "1", *words]
        with subprocess.Popen(
            command,
            cwd=self._folder / PROJECT.name,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (_PROCESSOR_SECONDS, _PROCESSOR_SECONDS + 1))
            try:
                output, _ = process.communicate(timeout=_SECONDS)
            finally:
                process.kill()
        return subprocess.CompletedProcess(command, process.returncode, output)


def _stages(tests: Tests) -> Iterator[list[str]]:
    """Yield forge's words for each stage: what lives through one goes to the next."""
    yield ["--match-contract", f"^({'|'.join(tests.own)})Test$"]
    yield ["--match-path", tests.all, "--no-match-contract", _LEFT_OUT]


def _rests_on(tests: Tests, mutant: str, by: str) -> str:
    """Digest what the verdict rests on: the file of the test that killed it, or every file that let it live."""
    words = (mutant, str(_FUZZ_RUNS), *(" ".join(stage) for stage in _stages(tests)))
    if by:
        return digest([PROJECT / by.partition(":")[0]], *words)
    folder = "*.t.sol" if tests.all == _NETWORK else "**/*.t.sol"
    files = (PROJECT / "test" / "network" if tests.all == _NETWORK else PROJECT / "test").glob(folder)
    return digest([path for path in files if not re.search(_LEFT_OUT, path.name)], *words)


def believed(record: Record, mutant: Mutant) -> Verdict | None:
    """Return what was found before, if all that it rests on is as it was."""
    verdict = record.get(mutant.name)
    if verdict is None or (verdict.by and not (PROJECT / verdict.by.partition(":")[0]).is_file()):
        return None
    return verdict if _rests_on(SOURCES[mutant.source], mutant.name, verdict.by) == verdict.rests_on else None


def read_verdict(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return how a run of tests ended (as an `Outcome`), and which test failed first.

    Raises `ValueError` if forge failed without a failed test, or ran none.
    """
    if done.returncode in _ENDED_BY_DEADLINE:
        return "timed out", ""
    failed = _FAILED.search(done.stdout)
    if done.returncode != 0 and failed is not None:
        file, contract = _SUITE.findall(done.stdout[: failed.start()])[-1]
        return "killed", f"{file}:{contract}.{failed[1]}"
    if done.returncode != 0 or not _PASSED.search(done.stdout):
        raise ValueError(done.stdout[-4_000:])
    return "survived", ""


def judge_one(bench: Bench, mutant: Mutant) -> Verdict:
    """Run its stages of tests until one kills it. Raises `ValueError` if forge fails without a failed test."""
    tests = SOURCES[mutant.source]
    outcome, by = "survived", ""
    for words in _stages(tests):
        try:
            outcome, by = read_verdict(bench.test(words, mutant.number))
        except subprocess.TimeoutExpired:
            outcome, by = "timed out", ""
        except ValueError as error:
            raise ValueError(f"{mutant.name}:\n{error}") from error
        if outcome != "survived":
            break
    return Verdict(outcome, by, _rests_on(tests, mutant.name, by))  # type: ignore[arg-type]


def unchanged(tests: Tests) -> str:
    """Name the run of these tests without any mutant, for the record."""
    return f"nothing, under {tests.all}"


def check_unchanged(bench: Bench, record: Record, sources: set[str]) -> None:
    """See that all tests over these sources pass without any mutant. Raises `ValueError` with what fails."""
    for glob in sorted({SOURCES[source].all for source in sources}):
        tests = Tests((), glob)
        name = unchanged(tests)
        rests_on = _rests_on(tests, name, "")
        known = record.get(name)
        if known is None or known.rests_on != rests_on:
            *_, words = _stages(tests)
            outcome, by = read_verdict(bench.test(words, 0))
            if outcome != "survived":
                raise ValueError(f"without any mutant {by or tests.all} {'fails' if by else outcome}")
            record.put(name, Verdict("survived", "", rests_on))
