"""`scripts/guards`: shows that each numbered property of the contracts is held by its guard, and by its invariant.

A guard patch is `contracts/test/guards/P<number>.patch`, or `P<number>-<what>.patch` where a property has several: a
line `Removes:` and a diff that takes the guard out. Each is applied to a copy of contracts/, which must still compile;
then the invariant of that number, and it must fail by its own message. Without any patch all of these invariants must
pass.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.errors import DevnetError
from devnet.home import Home
from scripts.forge import PROJECT, Forge, prepare
from scripts.tree import ROOT

FOLDER: Final = PROJECT / "test" / "guards"
INVARIANTS: Final = "test/invariants/*.invariants.t.sol"
SECONDS: Final = 900.0
# A guard that is gone must show, so these runs are longer than the everyday ones; what led to it need not be shortest.
_SETTINGS: Final = {
    "FOUNDRY_INVARIANT_RUNS": "64",
    "FOUNDRY_INVARIANT_DEPTH": "80",
    "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
}
_LINKED: Final = ("lib", "build")


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard patch: its name, what it removes, and the file."""

    name: str
    removes: str
    patch: Path

    @property
    def number(self) -> str:
        """The property's."""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the invariant of a property ended: `compiled`, `failed`; `output` is what forge said."""

    compiled: bool
    failed: bool
    seconds: float
    output: str


def read(folder: Path = FOLDER) -> list[Guard]:
    """Read every guard patch, by number. Raises `ValueError` for one without its first line."""
    guards = (_read(path) for path in folder.glob("P*.patch"))
    return sorted(guards, key=lambda guard: (int(guard.number[1:]), guard.name))


def _read(path: Path) -> Guard:
    word, _, removes = path.read_text().partition("\n")[0].partition(": ")
    if word != "Removes" or not removes:
        raise ValueError(f"{path.name}: its first line is not `Removes: …`")
    return Guard(path.stem, removes, path)


@contextmanager
def copy_of_the_contracts() -> Iterator[Path]:
    """Yield a temporary folder with a copy of contracts/; packages, world and vectors in it are links."""
    with tempfile.TemporaryDirectory(prefix="hftnode-guards-") as folder:
        copy = Path(folder) / PROJECT.name
        shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*_LINKED, "node_modules"))
        (copy / "lib").symlink_to(PROJECT / "lib")
        (copy / "build").mkdir()
        (copy / "build" / "world").symlink_to(PROJECT / "build" / "world")
        (copy.parent / "protocol").symlink_to(ROOT / "protocol")  # its vectors
        yield Path(folder)


def apply(guard: Guard, folder: Path, *options: str) -> None:
    """Apply a patch below `folder`, or with `--reverse` take it back. Raises `subprocess.CalledProcessError`."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    subprocess.run(["git", "apply", *options, str(guard.patch)], cwd=folder, env=environment, check=True)


def judge(forge: Forge, folder: Path, names: Sequence[str]) -> Verdict:
    """Run the invariants of these properties on the copy. Raises `subprocess.TimeoutExpired`."""
    environment = {
        **forge.environment,
        **_SETTINGS,
        "FOUNDRY_OUT": str(folder / "out"),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
    }
    pattern = f"^invariant_({'|'.join(names)})_"
    begun = time.monotonic()
    done = subprocess.run(
        [str(forge.program), "test", "--threads", "2", "--match-path", INVARIANTS, "--match-test", pattern],
        cwd=folder / PROJECT.name,
        env=environment,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    ran = re.search(r"\d+ tests? passed, \d+ failed", output) is not None
    by_message = all(re.search(rf"\[FAIL: {name}: ", output) for name in names)
    return Verdict(ran, done.returncode != 0 and by_message, time.monotonic() - begun, output)


def prove(forge: Forge, guards: Sequence[Guard]) -> Iterator[tuple[Guard, Verdict]]:
    """Yield how each property's invariant ended without its guard. Raises `ValueError` if one fails with it."""
    with copy_of_the_contracts() as folder:
        whole = judge(forge, folder, sorted({guard.number for guard in guards}))
        if not whole.compiled or "[FAIL" in whole.output:
            raise ValueError(f"with all guards in place:\n{whole.output[-8_000:]}")
        for guard in guards:
            apply(guard, folder)
            yield guard, judge(forge, folder, [guard.number])
            apply(guard, folder, "--reverse")


def main(names: Sequence[str]) -> int:
    """Prove the named guards, of properties or single ones, or all; print a table; return 1 for one not noticed."""
    guards = [guard for guard in read() if not names or {guard.name, guard.number} & set(names)]
    if not guards:
        print(f"no guard is called {' or '.join(names)}", file=sys.stderr)
        return 2
    missed = 0
    try:
        forge = asyncio.run(prepare(Home.from_environment(), lambda line: print(line, file=sys.stderr)))
        for guard, verdict in prove(forge, guards):
            word = "fails" if verdict.failed else "MISSED" if verdict.compiled else "NO CODE"
            print(f"{guard.name:<12} {word:<8} {verdict.seconds:6.1f} s  without: {guard.removes}", flush=True)
            if not verdict.failed:
                missed += 1
                print(verdict.output[-4_000:], flush=True)
    except (DevnetError, ValueError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(guards) - missed} of {len(guards)} invariants fail without their guard")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
