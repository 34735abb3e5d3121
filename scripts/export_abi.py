"""`scripts/export-abi`: compiles contracts/ and writes what running needs of it to governance/abi, or compares.

One JSON file a contract: its ABI, its creation and runtime code, and what its errors mean in words (the interface's
own). Running needs no compiler; these files are never edited by hand, and a test compares them with a compilation.
Beside them is written what they were exported from (`scripts/abi_stamp.py`), for `scripts/check` to compare in no time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from devnet.errors import DevnetError
from devnet.home import Home
from scripts.abi_stamp import STAMP, stamp
from scripts.forge import Forge, compiler
from scripts.tree import ROOT

FOLDER: Final = ROOT / "governance" / "abi"
CONTRACTS: Final = (
    "ArbExecutor",
    "EmergencyBrake",
    "ExecutionLedger",
    "HftGovernor",
    "HftToken",
    "NetworkParameters",
    "NodeStaking",
    "RewardStream",
    "SlashingCourt",
    "TimelockController",
    "VaultModule",
    "WorkRewards",
)
BUILD_SECONDS: Final = 300.0


class BuildFailed(Exception):
    """The contracts do not compile; the text is what forge said."""


def exported(forge: Forge) -> dict[str, str]:
    """Compile and return the text of each file by contract name. Raises `BuildFailed`, `subprocess.TimeoutExpired`."""
    done = forge.run(["build", "src"], seconds=BUILD_SECONDS, capture=True)
    if done.returncode != 0:
        raise BuildFailed((done.stdout + done.stderr).strip())
    return {name: _text(name, forge.artifacts) for name in CONTRACTS}


def _text(name: str, artifacts: Path) -> str:
    compiled: dict[str, Any] = json.loads((artifacts / f"{name}.sol" / f"{name}.json").read_bytes())
    errors = compiled["userdoc"].get("errors", {})
    document = {
        "contract": name,
        "compiler": compiled["metadata"]["compiler"]["version"],
        "errors": {signature: errors[signature][0]["notice"] for signature in sorted(errors)},
        "abi": compiled["abi"],
        "bytecode": compiled["bytecode"]["object"],
        "deployedBytecode": compiled["deployedBytecode"]["object"],
    }
    return json.dumps(document, indent=1) + "\n"


def differences(forge: Forge) -> list[str]:
    """Compile and name the committed files that differ from it."""
    wanted = exported(forge)
    found = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main(words: list[str]) -> int:
    """Write the files, or with `--check` return 1 if one differs."""
    parser = argparse.ArgumentParser(prog="scripts/export-abi", description="Writes governance/abi from contracts/.")
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args(words)
    try:
        forge = compiler(Home.from_environment(), lambda line: print(line, file=sys.stderr))
        if options.check:
            odd = differences(forge)
            print(
                f"differ from contracts/: {', '.join(odd)}; run scripts/export-abi" if odd else "governance/abi is true"
            )
            return 1 if odd else 0
        FOLDER.mkdir(exist_ok=True)
        for name, text in exported(forge).items():
            (FOLDER / f"{name}.json").write_text(text)
            print(f"governance/abi/{name}.json")
        (ROOT / STAMP).write_text(stamp())
        print(STAMP)
    except (BuildFailed, DevnetError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
