"""Holds the coverage floor (`[tool.coverage.report] fail_under`) against the last whole test run.

When there was none for this very tree, it runs the suite first: the check alone is enough in a fresh clone.
"""

from __future__ import annotations

import subprocess
import sys

import coverage
import msgspec

from scripts.run_tests import DATA, RECORD, CoverageRecord
from scripts.tree import ROOT, fingerprint


def read_record() -> CoverageRecord | None:
    """Return the record of the last whole run, or None when there is none (or half a one)."""
    try:
        return msgspec.json.decode(RECORD.read_bytes(), type=CoverageRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def verdict(total: float, floor: float) -> str | None:
    """Return what is wrong with a total coverage in percent, or None."""
    if total < floor:
        return f"coverage is {total:.2f} %, below the floor of {floor:g} %"
    return None


def main() -> int:
    """Print the report; return 1 below the floor or when the tests behind it failed."""
    record = read_record()
    if record is None or record.tree != fingerprint():
        print("no coverage of this tree yet: running the whole suite", flush=True)
        subprocess.run([sys.executable, "-m", "scripts.run_tests"], cwd=ROOT, check=False)
        record = read_record()
    if record is None:
        print("the test run was broken off: no coverage was measured", file=sys.stderr)
        return 1
    if record.exit_code != 0:
        print("the tests behind this coverage failed: run scripts/test", file=sys.stderr)
        return 1
    measured = coverage.Coverage(data_file=str(DATA), config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    floor = float(measured.get_option("report:fail_under") or 0)  # type: ignore[arg-type]
    fault = verdict(measured.report(), floor)
    print(fault or f"the floor of {floor:g} % holds", file=sys.stderr if fault else sys.stdout)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
