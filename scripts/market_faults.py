"""`scripts/test market --faults`: shows that the market's checks find a fault in each family. Plants one at a time.

A planted fault is `tests/market/faults/<name>.patch`, with three lines above the diff: `Family:` whose maths or reading
of logs it breaks (`one or other` where two share the code), `Plants:` what is wrong, `Found by:` what must fail: `fuzz`
(the differential fuzz, told the family's name), `vectors KIND` (recorded answers of the real chain), or `test PATH`
(where a family has neither). Each is applied to a copy of the tree; without any fault the same checks must pass there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.prove_checks import apply, copy_of_the_tree
from scripts.tree import ROOT

FOLDER = ROOT / "tests" / "market" / "faults"
FUZZ_SECONDS = 60
"""At most: the fuzz ends at the first thing that differs."""
CLEAN_SECONDS = 15
SEED = 6
_DEADLINE_SECONDS = 400
_DIFFERS = "DIFFERS"
_NOT_COLLECTED = 2
"""How pytest ends where an assertion fails before the first test: cases that are computed by what is tested."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, and by what it must be found."""

    name: str
    family: str
    plants: str
    found_by: str
    patch: Path


@dataclass(frozen=True, slots=True)
class Finding:
    """How the check ended: whether it failed at all, and by its own words rather than by breaking."""

    failed: bool
    seconds: float
    output: str


def read(folder: Path = FOLDER) -> list[Fault]:
    """Read every planted fault, by family. Raises `ValueError` for a patch without its three lines."""
    return sorted((_read(path) for path in folder.glob("*.patch")), key=lambda fault: (fault.family, fault.name))


def _read(path: Path) -> Fault:
    fields = dict(line.split(": ", 1) for line in path.read_text().splitlines()[:3] if ": " in line)
    try:
        return Fault(path.stem, fields["Family"], fields["Plants"], fields["Found by"], path)
    except KeyError as missing:
        raise ValueError(f"{path.name}: no line {missing} above the diff") from missing


def command(found_by: str, seconds: int) -> list[str]:
    """The command line of a check. Raises `ValueError` for one that is not known."""
    kind, _, what = found_by.partition(" ")
    if kind == "fuzz" and not what:
        return [sys.executable, "-m", "tests.market", str(seconds), str(SEED)]
    if kind == "vectors" and what:
        return [sys.executable, "-m", "tests.market.one_kind", what]
    if kind == "test" and what:
        return [sys.executable, "-m", "pytest", "--hypothesis-profile=ci", *what.split()]
    raise ValueError(f"{found_by!r} is none of: fuzz, vectors KIND, test PATH")


def judge(found_by: str, family: str, seconds: int, copy: Path) -> Finding:
    """Run a check on the copy. Raises `subprocess.TimeoutExpired`."""
    begun = time.monotonic()
    done = subprocess.run(
        command(found_by, seconds),
        cwd=copy,
        env={"HFTNODE_DATA": str(ROOT.parent / "shared" / "data"), **os.environ},
        timeout=_DEADLINE_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    if found_by == "fuzz":
        is_found = done.returncode == 1 and _names_family(output, family)
    else:
        is_uncollected = found_by.startswith("test ") and done.returncode == _NOT_COLLECTED and "assert" in output
        is_found = done.returncode == 1 or is_uncollected
    return Finding(is_found, time.monotonic() - begun, output)


def _names_family(output: str, family: str) -> bool:
    """Whether what differs is of the family, or of one of those that share its code."""
    _, differs, what = output.partition(_DIFFERS)
    return bool(differs) and any(one in what for one in family.split(" or "))


def prove(faults: Sequence[Fault], copy: Path) -> Iterator[tuple[Fault, Finding]]:
    """Yield how each fault's check ended on the copy. Raises `ValueError` where one fails without any fault."""
    for found_by in sorted({fault.found_by for fault in faults}):
        clean = judge(found_by, "", CLEAN_SECONDS, copy)
        if clean.failed or ("passed" not in clean.output and "nothing differs" not in clean.output):
            raise ValueError(f"{found_by} without any fault:\n{clean.output[-4_000:]}")
    for fault in faults:
        apply(fault.patch, copy)
        try:
            yield fault, judge(fault.found_by, fault.family, FUZZ_SECONDS, copy)
        finally:
            apply(fault.patch, copy, "--reverse")


def main(names: Sequence[str]) -> int:
    """Prove the named faults or families, or all; print a table; return 1 when one was not found."""
    faults = [fault for fault in read() if not names or {fault.name, fault.family} & set(names)]
    if not faults:
        print(f"no planted fault is called {' or '.join(names)}", file=sys.stderr)
        return 2
    missed = 0
    with copy_of_the_tree() as copy:
        shutil.rmtree(copy / ".mypy_cache", ignore_errors=True)
        try:
            for fault, finding in prove(faults, copy):
                word = "found " if finding.failed else "MISSED"
                told = f"{fault.family:<22} {fault.found_by.split('/')[-1]:<36}"
                print(f"{word} {told} {finding.seconds:6.1f} s  {fault.plants}", flush=True)
                if not finding.failed:
                    missed += 1
                    print(finding.output[-2_000:], flush=True)
        except (ValueError, subprocess.SubprocessError) as error:
            print(error, file=sys.stderr)
            return 2
    families = len({fault.family for fault in faults})
    print(f"{len(faults) - missed} of {len(faults)} planted faults found, in {families} families")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
