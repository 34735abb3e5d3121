"""`scripts/test`: chooses tests by path or name, and measures coverage when the whole suite runs.

The coverage of a whole run is kept in `build/coverage` together with the fingerprint of the tree it belongs to, so that
`scripts/check` can hold the floor against it without running the suite a second time.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from scripts import guards, halmos, planted_faults
from scripts.tree import COVERAGE_FOLDER, ROOT, fingerprint

RECORD = COVERAGE_FOLDER / "record.json"
DATA = COVERAGE_FOLDER / "data"
WORKERS = 2
WITH_VALUE = frozenset({"-k", "-m", "-n", "-p", "-o", "-W", "-r"})  # options of pytest that take the next word


class CoverageRecord(msgspec.Struct, frozen=True):
    """Which tree the coverage data belongs to, and how the run behind it ended (pytest's exit code)."""

    tree: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run: `arguments` for pytest; `whole` when nothing is left out but what only `--long` runs."""

    arguments: tuple[str, ...]
    whole: bool


def select(words: list[str], root: Path = ROOT) -> Selection:
    """Turn the words after `scripts/test` into arguments for pytest.

    A word that is a path (also one below tests/, which goes first; also with `::`) selects by path, any other by name
    (`-k`); words with a dash (with their values) go to pytest as they are. `--long` alone still is the whole suite.
    The whole suite, and whole folders of it, run on WORKERS processes, a file in one of them.
    """
    options: list[str] = []
    paths: list[str] = []
    names: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("-") or before in WITH_VALUE:
            options.append(word)
            continue
        place = next((base / word for base in (root / "tests", root) if (base / word.split("::")[0]).exists()), None)
        if place is None:
            names.append(word)
        else:
            paths.append(str(place))
    whole = not paths and not names and set(options) <= {"--long"}
    are_folders = bool(paths) and not names and not options and all(Path(path).is_dir() for path in paths)
    is_spread = (whole or are_folders) and (os.cpu_count() or 1) > 1
    parallel = ["--numprocesses", str(WORKERS), "--dist", "loadfile"] if is_spread else []
    by_name = ["-k", " or ".join(f"({name})" for name in names)] if names else []
    return Selection((*options, *parallel, *by_name, *paths), whole)


def hypothesis_arguments(*, long: bool, ci: bool) -> list[str]:
    """Return the profile to draw examples by: the same ones in CI, new ones elsewhere from a seed that is printed."""
    if ci:
        print("hypothesis: the same examples in every run (CI is set)")
        return ["--hypothesis-profile=ci"]
    seed = random.SystemRandom().randrange(2**32)
    print(f"hypothesis: --hypothesis-seed={seed} draws these examples again")
    return [f"--hypothesis-profile={'long' if long else 'default'}", f"--hypothesis-seed={seed}"]


def main(words: list[str]) -> int:
    """Run the selected tests; return pytest's exit code."""
    os.chdir(ROOT)
    if "--guards" in words:
        names = [word for word in words if word not in ("contracts", "--guards")]
        return guards.main(names) or halmos.main(["--guards", *names])
    if "--faults" in words:
        folder = planted_faults.NETWORK_FOLDER if "network" in words else planted_faults.FOLDER
        names = [word for word in words if word not in ("market", "network", "--faults")]
        return planted_faults.main(names, folder)
    selection = select(words)
    arguments = list(selection.arguments)
    if not any(word.startswith("--hypothesis-") for word in words):
        arguments += hypothesis_arguments(long="--long" in words, ci=bool(os.environ.get("CI")))
    sys.stdout.flush()
    if not selection.whole:
        code = int(pytest.main(arguments))
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            print(f"no test matches {' '.join(words)}; tests marked long need --long", file=sys.stderr)
        return code
    return _measured(arguments)


def _measured(arguments: list[str]) -> int:
    COVERAGE_FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in COVERAGE_FOLDER.iterdir():
        stale.unlink()
    tree = fingerprint()
    os.environ["COVERAGE_FILE"] = str(DATA)  # absolute: subprocesses of the tests run elsewhere
    # The floor is held by scripts/check; without the zero pytest-cov would take it from pyproject and hold it here too.
    code = int(pytest.main([*arguments, "--cov", "--cov-report=", "--cov-fail-under=0"]))
    RECORD.write_bytes(msgspec.json.encode(CoverageRecord(tree, code)))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
