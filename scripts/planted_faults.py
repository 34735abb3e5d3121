"""`scripts/test market --faults`, `scripts/test network --faults`: show that checks find planted faults, two at a time.

A planted fault is `tests/market/faults/<name>.patch`, with three lines above the diff: `Family:` whose maths or reading
of logs it breaks (`one or other` where two share the code), `Plants:` what is wrong, `Found by:` what must fail: `fuzz`
(the differential fuzz over that family), `vectors KIND` (recorded answers of the real chain), or `test PATH` (where a
family has neither). Each is applied to a copy of the tree, and is alone there; without any fault the same checks must
pass.

The network's are `tests/network/faults`: one for each mend of libp2p, in the place of the family, and its test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from scripts.prove_checks import apply, copy_of_the_tree
from scripts.tree import ROOT

FOLDER = ROOT / "tests" / "market" / "faults"
NETWORK_FOLDER = ROOT / "tests" / "network" / "faults"
FUZZ_SECONDS = 60
"""At most: the fuzz ends at the first thing that differs."""
CLEAN_SECONDS = 15
SEED = 6
COPIES = 2
_DEADLINE_SECONDS = 400
_DIFFERS = "DIFFERS"
_OR = " or "
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


def command(found_by: str, family: str, seconds: int) -> list[str]:
    """The command line of a check; `family` empty: the fuzz over all. Raises `ValueError` for a check not known."""
    kind, _, what = found_by.partition(" ")
    if kind == "fuzz" and not what:
        only = family.split(_OR) if family else []
        return [sys.executable, "-m", "tests.market", str(seconds), str(SEED), *only]
    if kind == "vectors" and what:
        return [sys.executable, "-m", "tests.market.one_kind", what]
    if kind == "test" and what:
        return [sys.executable, "-m", "pytest", "-x", "--hypothesis-profile=found", *what.split()]
    raise ValueError(f"{found_by!r} is none of: fuzz, vectors KIND, test PATH")


def judge(found_by: str, family: str, seconds: int, copy: Path) -> Finding:
    """Run a check on the copy. One that does not end in time found nothing; the others go on."""
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command(found_by, family, seconds),
            cwd=copy,
            env={"HFTNODE_DATA": str(ROOT.parent / "shared" / "data"), **os.environ},
            timeout=_DEADLINE_SECONDS,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(False, time.monotonic() - begun, f"no end within {_DEADLINE_SECONDS} s")
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
    return bool(differs) and any(one in what for one in family.split(_OR))


def prove(faults: Sequence[Fault], copies: Sequence[Path]) -> Iterator[tuple[Fault, Finding]]:
    """Yield how each fault's check ended, in the order in which they end; one fault at a time on each of the copies.

    Raises `ValueError` where a check fails without any fault.
    """
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def without(found_by: str) -> tuple[str, Finding]:
        copy = free.get()
        try:
            return found_by, judge(found_by, "", CLEAN_SECONDS, copy)
        finally:
            free.put(copy)

    def planted(fault: Fault) -> tuple[Fault, Finding]:
        copy = free.get()
        apply(fault.patch, copy)
        try:
            return fault, judge(fault.found_by, fault.family, FUZZ_SECONDS, copy)
        finally:
            apply(fault.patch, copy, "--reverse")
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        try:
            for found_by, clean in pool.map(without, sorted({fault.found_by for fault in faults})):
                if clean.failed or ("passed" not in clean.output and "nothing differs" not in clean.output):
                    raise ValueError(f"{found_by} without any fault:\n{clean.output[-4_000:]}")
            for done in as_completed([pool.submit(planted, fault) for fault in faults]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def main(names: Sequence[str], folder: Path = FOLDER) -> int:
    """Prove the named faults or families of a folder, or all; print a table; return 1 when one was not found."""
    faults = [fault for fault in read(folder) if not names or {fault.name, fault.family} & set(names)]
    if not faults:
        print(f"no planted fault is called {' or '.join(names)}", file=sys.stderr)
        return 2
    missed, begun = 0, time.monotonic()
    with ExitStack() as stack:
        copies = [stack.enter_context(copy_of_the_tree()) for _ in range(min(COPIES, len(faults)))]
        for copy in copies:
            shutil.rmtree(copy / ".mypy_cache", ignore_errors=True)
        try:
            for fault, finding in prove(faults, copies):
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
    took = time.monotonic() - begun
    print(f"{len(faults) - missed} of {len(faults)} planted faults found, in {families} families, in {took:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
