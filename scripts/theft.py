"""`scripts/theft`: shows that each attack of the theft test is one, by removing what stops it.

`contracts/test/theft/*.t.sol` have the attacks, T01 and on: none of them takes anything. A control is a patch beside
them: a line `Removes:`, a line `Lets:` with numbers of attacks, and a diff. Each is applied to a copy of contracts/;
then each of these attacks must succeed, which is that its test fails by its own message, and all others must still
take nothing: so it is this guard, and no other, that stops them. Every attack has one control.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.errors import DevnetError
from devnet.home import Home
from scripts.forge import PROJECT, Forge, prepare
from scripts.guards import Guard, apply, copy_of_the_contracts

FOLDER: Final = PROJECT / "test" / "theft"
SECONDS: Final = 900.0
_NEEDED: Final = ("base", "malicious", "theft")


@dataclass(frozen=True, slots=True)
class Control:
    """A patch: what it removes, and the attacks that then succeed."""

    guard: Guard
    attacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the attacks went: those that took something, those that did not; `output` is what forge said."""

    succeeded: frozenset[str]
    failed: frozenset[str]
    seconds: float
    output: str


def attacks(folder: Path = FOLDER) -> dict[str, str]:
    """Return every attack's number and name."""
    sources = "".join(source.read_text() for source in sorted(folder.glob("*.t.sol")))
    found = sorted(re.findall(r"function test_(T\d+)_(\w+)\(", sources))
    return {number: words.replace("_", " ") for number, words in found}


def read(folder: Path = FOLDER) -> list[Control]:
    """Read every control, by name. Raises `ValueError` for one whose first lines say not what they must."""
    return [_read(path) for path in sorted(folder.glob("*.patch"))]


def _read(path: Path) -> Control:
    removes, lets = (line.partition(": ") for line in [*path.read_text().split("\n", 2), ""][:2])
    if (removes[0], lets[0]) != ("Removes", "Lets") or not removes[2] or not lets[2]:
        raise ValueError(f"{path.name}: its first lines are not `Removes: …` and `Lets: T…`")
    return Control(Guard(path.stem, removes[2], path), tuple(lets[2].split()))


def run(forge: Forge, folder: Path) -> Outcome:
    """Run all attacks on the copy. Raises `subprocess.TimeoutExpired`."""
    environment = {
        **forge.environment,
        "FOUNDRY_OUT": str(folder / "out"),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
    }
    begun = time.monotonic()
    done = subprocess.run(
        [str(forge.program), "test", "--match-path", "test/theft/*.t.sol", "--threads", "2"],
        cwd=folder / PROJECT.name,
        env=environment,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    lines = output.splitlines()
    succeeded = {found[1] for line in lines if (found := re.match(r"\[FAIL: (T\d+): .*\btest_\1_", line))}
    failed = {found[1] for line in lines if (found := re.match(r"\[PASS\] test_(T\d+)_", line))}
    return Outcome(frozenset(succeeded), frozenset(failed), time.monotonic() - begun, output)


def prove(forge: Forge, controls: Sequence[Control]) -> Iterator[tuple[Control | None, Outcome]]:
    """Yield how the attacks went with all guards (`None`) and without those that each control removes."""
    with copy_of_the_contracts() as folder:
        for place in (folder / PROJECT.name / "test").iterdir():
            if place.name not in _NEEDED:
                shutil.rmtree(place) if place.is_dir() else place.unlink()
        yield None, run(forge, folder)
        for control in controls:
            apply(control.guard, folder)
            yield control, run(forge, folder)
            apply(control.guard, folder, "--reverse")


def main(words: Sequence[str]) -> int:
    """Prove the named controls, or all; print the table; return 1 when an attack did not go as it must."""
    controls = [control for control in read() if not words or control.guard.name in words]
    if not controls:
        print(f"no control is called {' or '.join(words)}", file=sys.stderr)
        return 2
    odd = 0
    known = attacks()
    try:
        forge = asyncio.run(prepare(Home.from_environment(), lambda line: print(line, file=sys.stderr)))
        for control, outcome in prove(forge, controls):
            odd += _tell(known, control, outcome)
    except (DevnetError, ValueError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    shown = sum(len(control.attacks) for control in controls)
    print(f"{odd} attacks went wrong" if odd else f"{len(known)} attacks take nothing; {shown} do without their guard")
    return 1 if odd else 0


def _tell(known: dict[str, str], control: Control | None, outcome: Outcome) -> int:
    """Print how the attacks went; return how many of them did not go as they must."""
    if control is None:
        missing = known.keys() - outcome.failed
        print(f"with all guards: {len(outcome.failed)} of {len(known)} attacks take nothing ({outcome.seconds:.0f} s)")
    else:
        missing = set(control.attacks) - outcome.succeeded
        missing |= known.keys() - outcome.failed - set(control.attacks)
        print(f"without {control.guard.removes} ({outcome.seconds:.0f} s):")
        for number in control.attacks:
            print(
                f"  {number}  {'MISSED  ' if number in missing else 'succeeds'}  {known.get(number, 'no such attack')}"
            )
        for number in sorted(missing - set(control.attacks)):
            print(f"  {number}  SUCCEEDS TOO  {known[number]}")
    if missing:
        print(outcome.output[-6_000:])
    sys.stdout.flush()
    return len(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
