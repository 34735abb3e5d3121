"""`scripts/prove-checks`: shows that each check can fail. Plants one fault at a time in a copy of the tree and looks.

A planted fault is `tests/planted/<name>.patch`, with three lines above the diff: `Plants:` what is wrong, `Check:`
which check of scripts/check must find it, `Says:` words that its output has with the fault and has not without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.checks import Check, Outcome, checks, run
from scripts.tree import ROOT, files

FOLDER = ROOT / "tests" / "planted"


@dataclass(frozen=True, slots=True)
class Planted:
    """One fault, and how the check that must find it is known to have found it."""

    name: str
    plants: str
    check: str
    says: str
    patch: Path


@dataclass(frozen=True, slots=True)
class Proof:
    """What the check said to the tree with the fault, beside the tree without it."""

    planted: Planted
    with_fault: Outcome
    without_fault: Outcome

    @property
    def caught(self) -> bool:
        """The check failed, and for the planted reason."""
        says = self.planted.says
        return not self.with_fault.passed and says in self.with_fault.output and says not in self.without_fault.output


def read(folder: Path = FOLDER) -> list[Planted]:
    """Read every planted fault. Raises `ValueError` for a patch without its three lines."""
    return [_read(path) for path in sorted(folder.glob("*.patch"))]


def _read(path: Path) -> Planted:
    fields = dict(line.split(": ", 1) for line in path.read_text().splitlines()[:3] if ": " in line)
    try:
        return Planted(path.stem, fields["Plants"], fields["Check"], fields["Says"], path)
    except KeyError as missing:
        raise ValueError(f"{path.name}: no line {missing} above the diff") from missing


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """Yield a temporary copy of the repository's files, with mypy's cache so that types take seconds."""
    with tempfile.TemporaryDirectory(prefix="hftnode-planted-") as folder:
        copy = Path(folder) / "tree"
        for path in files():
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        if (ROOT / ".mypy_cache").is_dir():
            shutil.copytree(ROOT / ".mypy_cache", copy / ".mypy_cache", dirs_exist_ok=True)
        yield copy


def prove(chosen: Sequence[Planted], copy: Path) -> Iterator[Proof]:
    """Run each fault's check on the copy with the fault, and once a check without any; the copy is left as it was.

    Raises `ValueError` for a fault whose check does not exist.
    """
    clean: dict[str, Outcome] = {}
    for planted in chosen:
        if planted.check not in clean:
            clean[planted.check] = run(_check(planted, copy), copy)
        apply(planted.patch, copy)
        try:
            yield Proof(planted, run(_check(planted, copy), copy), clean[planted.check])
        finally:
            apply(planted.patch, copy, "--reverse")


def _check(planted: Planted, copy: Path) -> Check:
    # Listed anew each time: a planted script is one of those that the check of scripts looks at.
    check = next((check for check in checks(copy) if check.name == planted.check), None)
    if check is None:
        raise ValueError(f"{planted.patch.name}: there is no check {planted.check!r}")
    return check


def apply(patch: Path, copy: Path, *options: str) -> None:
    """Apply a patch to the copy, or with `--reverse` take it back. Raises `subprocess.CalledProcessError`."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    command = ["git", "apply", "--unidiff-zero", "--whitespace=nowarn", *options, str(patch)]
    subprocess.run(command, cwd=copy, env=environment, check=True)


def main(names: Sequence[str]) -> int:
    """Prove the named faults, or all; print a table; return 1 when a check missed one."""
    chosen = [planted for planted in read() if not names or planted.name in names or planted.check in names]
    if not chosen:
        print(f"no planted fault is called {' or '.join(names)}", file=sys.stderr)
        return 2
    missed = 0
    with copy_of_the_tree() as copy:
        for proof in prove(chosen, copy):
            planted = proof.planted
            word = "caught" if proof.caught else "MISSED"
            print(f"{word}  {planted.check:<11} {proof.with_fault.seconds:5.1f} s  {planted.plants}", flush=True)
            if not proof.caught:
                missed += 1
                print(f"  expected {planted.says!r} in:\n{proof.with_fault.output}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} planted faults caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
