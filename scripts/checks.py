"""`scripts/check`: every static check, then the coverage floor. Each line names the check and its seconds.

All checks run, also after a failure; what failed is shown in full at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from scripts.tree import ROOT, bash_scripts

TOOLS = Path(sys.executable).parent
PACKAGES = ("protocol", "governance", "node", "devnet")
DEADLINE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check: commands that must all end with 0. A live one shows its output as it comes, after all others."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    fast: bool = True
    live: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended; `output` is what its tools said."""

    check: Check
    passed: bool
    seconds: float
    output: str


def _tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(TOOLS / name), *arguments)


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def checks(root: Path = ROOT) -> list[Check]:
    """Return the checks in the order in which they start: the slowest first, the live one last."""
    shell = tuple(str(path.relative_to(root)) for path in bash_scripts(root))
    return [
        Check("types", (_tool("mypy"),)),
        Check("audit", (_module("scripts.audit"),), fast=False),
        Check("format", (_tool("ruff", "format", "--check", "--diff", "--quiet", "."),)),
        Check("lint", (_tool("ruff", "check", "--quiet", "."),)),
        Check("layers", (_tool("lint-imports", "--no-cache"),)),
        Check("purity", (_module("scripts.lint_purity"),)),
        Check("dead-code", (_module("scripts.lint_dead_code"),)),
        Check("security", (_tool("bandit", "-c", "pyproject.toml", "--quiet", "-ll", "-r", *PACKAGES, "scripts"),)),
        Check("locks", (_module("scripts.locks", "check"),)),
        Check("abi", (_module("scripts.abi_stamp"),)),
        Check("shell", (*(("bash", "-n", script) for script in shell), _tool("shellcheck", *shell))),
        Check("dockerfile", (_tool("hadolint", "Dockerfile"),)),
        Check("coverage", (_module("scripts.coverage_floor"),), fast=False, live=True),
    ]


def run(check: Check, root: Path = ROOT) -> Outcome:
    """Run one check; a tool that is missing or hangs past the deadline is a failure with that as its output."""
    begun = time.monotonic()
    said: list[str] = []
    passed = True
    for command in check.commands:
        try:
            done = subprocess.run(
                command,
                cwd=root,
                check=False,
                text=True,
                timeout=DEADLINE_SECONDS,
                stdout=None if check.live else subprocess.PIPE,
                stderr=None if check.live else subprocess.STDOUT,
            )
        except FileNotFoundError:
            said.append(f"{command[0]} is not installed: run scripts/setup")
            passed = False
        except subprocess.TimeoutExpired:
            said.append(f"{' '.join(command)} did not end within {DEADLINE_SECONDS:.0f} s")
            passed = False
        else:
            said.append(done.stdout or "")
            passed = passed and done.returncode == 0
    return Outcome(check, passed, time.monotonic() - begun, "".join(said).strip())


def _notes(outcome: Outcome) -> list[str]:
    """What a check that passed could not look at."""
    return [line for line in outcome.output.splitlines() if line.startswith("not audited")]


def _show(outcome: Outcome) -> None:
    notes = _notes(outcome) if outcome.passed else []
    word = "FAILED" if not outcome.passed else "UNSEEN" if notes else "ok    "
    print(f"{word} {outcome.check.name:<12} {outcome.seconds:6.1f} s", flush=True)
    for note in notes:
        print(f"       {note}", flush=True)


def run_all(selected: Sequence[Check], root: Path = ROOT) -> list[Outcome]:
    """Run the quiet checks side by side, then the live ones; show each as it ends."""
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        under_way = [pool.submit(run, check, root) for check in selected if not check.live]
        for future in as_completed(under_way):
            outcomes.append(future.result())
            _show(outcomes[-1])
    for check in selected:
        if check.live:
            outcomes.append(run(check, root))
            _show(outcomes[-1])
    return outcomes


def main(words: list[str]) -> int:
    """Run the chosen checks; return 1 when one failed, 2 when there is none of that name."""
    known = checks()
    parser = argparse.ArgumentParser(prog="scripts/check", description="Runs every check of the repository.")
    parser.add_argument("--fast", action="store_true", help="leave out the dependency audit and the coverage floor")
    parser.add_argument(
        "--only", action="append", choices=[c.name for c in known], metavar="NAME", help="only this one"
    )
    parser.add_argument("--list", action="store_true", help="list the checks")
    options = parser.parse_args(words)
    if options.list:
        print("\n".join(check.name for check in known))
        return 0
    selected = [c for c in known if (not options.only or c.name in options.only) and (c.fast or not options.fast)]
    begun = time.monotonic()
    outcomes = run_all(selected)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print(f"\n──── {outcome.check.name} ────\n{outcome.output}" if outcome.output else "", flush=True)
    names = f"; failed: {', '.join(outcome.check.name for outcome in failed)}" if failed else ""
    unseen = [outcome for outcome in outcomes if outcome.passed and _notes(outcome)]
    names += f"; not everything could be looked at: {', '.join(o.check.name for o in unseen)}" if unseen else ""
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} checks passed in {time.monotonic() - begun:.0f} s{names}")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
