"""`scripts/slither`: static analysis of contracts/src, in which every finding of weight is explained or fails.

Slither runs in an environment of its own (`scripts/setup-env analysis`) over a copy of contracts/ without the tests.
What it finds of high or medium impact in our sources is compared with contracts/slither.toml, both ways.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from devnet.errors import DevnetError
from devnet.home import Home
from scripts.forge import PROJECT, Forge, prepare
from scripts.guards import copy_of_the_contracts
from scripts.tree import ROOT

EXPLANATIONS: Final = PROJECT / "slither.toml"
PROGRAM: Final = ROOT / ".venv-analysis" / "bin" / "slither"
SECONDS: Final = 600.0
_FEWEST_CONTRACTS: Final = 50
_WEIGHTY: Final = frozenset({"High", "Medium"})
_OPTIONS: Final = ("--exclude-informational", "--exclude-low", "--exclude-optimization")


class Finding(NamedTuple):
    """One kind of finding at one place of our sources: `check` is slither's name of it, `where` Contract.member."""

    check: str
    where: str


class SlitherFailed(Exception):
    """Slither gave no report that can be believed; the text is what it said."""


def read_explanations(path: Path = EXPLANATIONS) -> dict[Finding, str]:
    """Read what is explained. Raises `ValueError` for an explanation without a reason, or one that is there twice."""
    explained: dict[Finding, str] = {}
    for entry in tomllib.loads(path.read_text())["explained"]:
        for where in entry["where"]:
            finding = Finding(entry["check"], where)
            if finding in explained or not entry["why"].strip():
                raise ValueError(f"{path.name}: {finding.check} in {where} is explained twice, or by nothing")
            explained[finding] = entry["why"]
    return explained


def findings(report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the weighty findings of a report of slither's that lie in our own sources."""
    for result in report["results"].get("detectors", []):
        first = result["elements"][0]
        if result["impact"] in _WEIGHTY and first["source_mapping"]["filename_relative"].startswith("src/"):
            yield Finding(result["check"], _place(first))


def _place(element: Mapping[str, Any]) -> str:
    names = [element["name"]]
    while (parent := element.get("type_specific_fields", {}).get("parent")) is not None:
        element = parent
        if element["type"] in ("function", "contract"):
            names.append(element["name"])
    return ".".join(reversed(names))


def differences(found: Iterable[Finding], explained: Mapping[Finding, str]) -> list[str]:
    """Name what is found and not explained, and what is explained and not found."""
    places = set(found)
    return [
        *(f"not explained: {check} in {where}" for check, where in sorted(places - explained.keys())),
        *(f"explains nothing: {check} in {where}" for check, where in sorted(explained.keys() - places)),
    ]


def analyse(forge: Forge, folder: Path) -> dict[str, Any]:
    """Run slither on the copy of contracts/ in `folder`; return its report.

    Raises `SlitherFailed`, `subprocess.TimeoutExpired`.
    """
    project = folder / PROJECT.name
    shutil.rmtree(project / "test", ignore_errors=True)
    environment = {
        **forge.environment,
        "PATH": f"{forge.program.parent}:{forge.environment['PATH']}",
        "FOUNDRY_OUT": str(folder / "out"),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
    }
    report = folder / "report.json"
    done = subprocess.run(
        [str(PROGRAM), ".", *_OPTIONS, "--json", str(report)],
        cwd=project,
        env=environment,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.is_file():
        raise SlitherFailed(done.stderr[-4_000:])
    read: dict[str, Any] = json.loads(report.read_bytes())
    analysed = done.stderr.rpartition(" analyzed (")[2].partition(" contracts")[0]
    if not read["success"] or not analysed.isdigit() or int(analysed) < _FEWEST_CONTRACTS:
        raise SlitherFailed(f"{read.get('error')}\n{done.stderr[-4_000:]}")
    return read


def problems(forge: Forge) -> list[str]:
    """Analyse the sources and name what does not fit. Raises like `analyse`."""
    with copy_of_the_contracts() as folder:
        return differences(findings(analyse(forge, folder)), read_explanations())


def main(words: Sequence[str]) -> int:
    """Print what does not fit; return 1 when something does not."""
    if words:
        print("usage: scripts/slither", file=sys.stderr)
        return 2
    try:
        subprocess.run([str(ROOT / "scripts" / "setup-env"), "analysis"], check=True)
        forge = asyncio.run(prepare(Home.from_environment(), lambda line: print(line, file=sys.stderr)))
        found = problems(forge)
    except (DevnetError, SlitherFailed, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(found) if found else f"slither: {len(read_explanations())} findings, each explained")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
