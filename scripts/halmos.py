"""`scripts/halmos`: proves numbered properties of the contracts for all inputs within stated bounds.

The checks are `contracts/test/symbolic/*.symbolic.t.sol`, a function `check_P<number>_…` each; what its parameters may
be is what is proved. Halmos runs in an environment of its own (`scripts/setup-env analysis`) over a copy of contracts/,
compiled with the profile `symbolic`. A proof holds only if no path fails, none was cut short and the solver said so in
time. `scripts/halmos --guards` takes each property's guard out (`contracts/test/guards`) and wants a counterexample.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devnet.errors import DevnetError
from devnet.home import Home
from scripts.forge import PROJECT, Forge, compiler
from scripts.guards import Guard, apply, copy_of_the_contracts
from scripts.guards import read as read_guards
from scripts.tree import ROOT

FOLDER: Final = PROJECT / "test" / "symbolic"
ENVIRONMENT: Final = ROOT / ".venv-analysis"
SECONDS: Final = 300.0
"""All of one run with its compilation; a machine at rest needs a small part of it."""
_SECONDS_A_QUERY: Final = 60
_SECONDS_TO_REFUTE: Final = 10
_SECONDS_TO_END: Final = 10.0
_LOOPS: Final = 16
_ALSO: Final = ("P7-window",)
"""The guards that a proof must miss beside the one that has the property's own name."""
_PROVED, _REFUTED = 0, 1
_WORDS: Final = {
    2: "the solver did not end",
    3: "a path stopped at something that halmos does not know",
    4: "every path reverts",
    5: "halmos itself failed",
}


class HalmosFailed(Exception):
    """Halmos gave no report that can be believed; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How a check ended: `proved`, `refuted` by a counterexample, or neither; `words` says which."""

    check: str
    proved: bool
    refuted: bool
    seconds: float
    words: str

    @property
    def number(self) -> str:
        """The property's."""
        return self.check.split("_")[1]

    def __str__(self) -> str:
        what = self.check.split("_", 2)[2].replace("_", " ")
        return f"{self.number:<4} {self.seconds:6.1f} s  {self.words}: {what}"


def checks(folder: Path = FOLDER) -> list[str]:
    """Return the name of every committed check, by the property's number."""
    sources = (path.read_text() for path in folder.glob("*.symbolic.t.sol"))
    names = [name for source in sources for name in re.findall(r"function (check_P\d+_\w+)\(", source)]
    return sorted(names, key=lambda name: int(name.split("_")[1][1:]))


def proofs(report: Mapping[str, Any]) -> list[Proof]:
    """Read halmos's report. Raises `KeyError` for one that is of another form."""
    results = [result for each in report["test_results"].values() for result in each]
    return sorted((_proof(result) for result in results), key=lambda proof: int(proof.number[1:]))


def _proof(result: Mapping[str, Any]) -> Proof:
    code, cut = result["exitcode"], result["num_bounded_loops"]
    if code == _PROVED:
        words = f"{cut} loops were cut short" if cut else f"proved, {result['num_paths'][0]} paths"
    else:
        words = "counterexample" if code == _REFUTED else _WORDS.get(code, f"ended with {code}")
    seconds = result["time"][0] if result["time"] else 0.0
    return Proof(result["name"].partition("(")[0], code == _PROVED and not cut, code == _REFUTED, seconds, words)


def run(forge: Forge, folder: Path, number: str = r"P\d+", query_seconds: int = _SECONDS_A_QUERY) -> list[Proof]:
    """Run the checks of one property, or all, on the copy of contracts/ in `folder`.

    Raises `HalmosFailed`, also when it takes longer than `SECONDS`.
    """
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    programs = (str(forge.program.parent), str(ENVIRONMENT / "bin"), forge.environment["PATH"])
    environment = {
        **forge.environment,
        "PATH": os.pathsep.join(programs),
        "HOME": str(folder),  # it makes a folder there for solvers that it would download
        "VIRTUAL_ENV": str(ENVIRONMENT),
        "FOUNDRY_PROFILE": "symbolic",
        "FOUNDRY_OUT": str(folder / "out"),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
    }
    options = ["--solver", "yices", "--solver-timeout-assertion", f"{query_seconds}s", "--loop", str(_LOOPS)]
    words = ["--forge-build-out", str(folder / "out"), "--no-status", "--json-output", str(report)]
    output, ended = _run(
        [str(ENVIRONMENT / "bin" / "halmos"), "--match-test", f"^check_{number}_", *options, *words],
        folder / PROJECT.name,
        environment,
    )
    if not ended:
        raise HalmosFailed(f"halmos did not end within {SECONDS:.0f} s:\n{output[-4_000:]}")
    if not report.is_file():
        raise HalmosFailed(output[-4_000:])
    return proofs(json.loads(report.read_bytes()))


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Run a command and whatever it starts, compiler and solvers, which all end with it."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=SECONDS)[0], True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate(timeout=_SECONDS_TO_END)[0], False


def problems(found: Sequence[Proof], wanted: Sequence[str]) -> list[str]:
    """Name what was not proved, and what was not even run."""
    ran = {proof.check for proof in found}
    return [
        *(f"{proof.check}: {proof.words}" for proof in found if not proof.proved),
        *(f"{check}: was not run" for check in wanted if check not in ran),
    ]


def prove(forge: Forge) -> list[Proof]:
    """Run all checks on the sources as they are. Raises like `run`."""
    with copy_of_the_contracts() as folder:
        return run(forge, folder)


def guards_of_proofs(names: Sequence[str] = ()) -> list[Guard]:
    """Return the guards of the properties that have a check, of these names or all."""
    held = {check.split("_")[1] for check in checks()} | set(_ALSO)
    guards = [guard for guard in read_guards() if guard.name in held]
    return [guard for guard in guards if not names or {guard.name, guard.number} & set(names)]


def without_guards(forge: Forge, guards: Sequence[Guard]) -> Iterator[tuple[Guard, list[Proof]]]:
    """Yield how the checks of each property ended without its guard. Raises like `run`."""
    with copy_of_the_contracts() as folder:
        for guard in guards:
            apply(guard, folder)
            yield guard, run(forge, folder, guard.number, _SECONDS_TO_REFUTE)
            apply(guard, folder, "--reverse")


def is_noticed(found: Sequence[Proof]) -> bool:
    """Whether a missing guard shows: at least one check of its property has a counterexample."""
    return any(proof.refuted for proof in found)


def main(words: Sequence[str]) -> int:
    """Prove everything, or remove guards, all or those named; print a table; return 1 when one is not as it must be."""
    if words and words[0] != "--guards":
        print("usage: scripts/halmos [--guards [P7]…]", file=sys.stderr)
        return 2
    guards = guards_of_proofs(words[1:])
    if words and not guards:
        print(f"no proof rests on a guard called {' or '.join(words[1:])}")
        return 0
    try:
        subprocess.run([str(ROOT / "scripts" / "setup-env"), "analysis"], check=True)
        forge = compiler(Home.from_environment(), lambda line: print(line, file=sys.stderr))
        return _tell_guards(forge, guards) if words else _tell_proofs(forge)
    except (DevnetError, HalmosFailed, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2


def _tell_proofs(forge: Forge) -> int:
    begun = time.monotonic()
    found = prove(forge)
    print(*found, sep="\n")
    wrong = problems(found, checks())
    print("\n".join(wrong) if wrong else f"{len(found)} checks proved in {time.monotonic() - begun:.0f} s")
    return 1 if wrong else 0


def _tell_guards(forge: Forge, guards: Sequence[Guard]) -> int:
    """Print a row for each, as scripts/guards does for its invariant."""
    missed = 0
    for guard, found in without_guards(forge, guards):
        missed += not is_noticed(found)
        word = "refuted" if is_noticed(found) else "MISSED"
        print(f"{guard.name:<12} {word:<8} {sum(proof.seconds for proof in found):6.1f} s  without: {guard.removes}")
        if not is_noticed(found):
            print("\n".join(str(proof) for proof in found) or f"no check of {guard.name} was run")
        sys.stdout.flush()
    print(f"{len(guards) - missed} of {len(guards)} proofs are refuted without their guard")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
