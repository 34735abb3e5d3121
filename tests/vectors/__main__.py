"""Command line of the vectors runner: exits 0 if all cases pass, 1 if one fails, 2 if there is nothing to check."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from tests.vectors.registry import CHECKERS
from tests.vectors.runner import KindResult, NoVectors, Report, run

_SHOWN_FAILURES = 5
_SHOWN_DIFFERENCES = 3


def default_folder() -> Path:
    """Return `$HFTNODE_DATA`, else `../shared/data` beside the repository."""
    stated = os.environ.get("HFTNODE_DATA")
    return Path(stated) if stated else Path(__file__).resolve().parents[3] / "shared" / "data"


def main(arguments: list[str] | None = None) -> int:
    """Run and print; see the module's docstring for the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/vectors",
        description="Check our maths and decoders against a folder of vectors, going by its kinds.json.",
    )
    parser.add_argument("folder", nargs="?", type=Path, help="default: $HFTNODE_DATA, else ../shared/data")
    parser.add_argument("--json", action="store_true", help="print one JSON object with every failure")
    options = parser.parse_args(arguments)
    folder = options.folder or default_folder()
    try:
        report = run(folder, CHECKERS)
    except NoVectors as error:
        sys.stderr.write(f"no vectors: {error}\n")
        return 2
    sys.stdout.write(as_json(folder, report) if options.json else as_text(folder, report))
    if not report.kinds:
        sys.stderr.write("nothing was checked: no kind of this folder is served\n")
        return 2
    return 0 if report.ok else 1


def as_json(folder: Path, report: Report) -> str:
    """Return the report as one JSON object."""
    kinds = [
        {
            "kind": kind.kind,
            "files": kind.files,
            "passed": kind.passed,
            "total": kind.total,
            "unsupported": kind.unsupported,
            "failures": [asdict(failure) for failure in kind.failures],
        }
        for kind in report.kinds
    ]
    not_served = [{"kind": kind, "files": files} for kind, files in report.not_served]
    return json.dumps({"folder": str(folder), "ok": report.ok, "kinds": kinds, "not_served": not_served}) + "\n"


def as_text(folder: Path, report: Report) -> str:
    """Return a line a kind, the first failures of each, then the kinds that nothing serves."""
    width = max(
        (len(kind) for kind in [*(k.kind for k in report.kinds), *(k for k, _ in report.not_served)]), default=0
    )
    lines = [f"vectors in {folder}"]
    for kind in report.kinds:
        lines.append(f"{kind.kind:<{width}}  {kind.passed}/{kind.total}{'' if not kind.failures else '  FAILED'}")
        lines += [f"    unsupported: {_counted(count, 'case')} of {name}" for name, count in kind.unsupported.items()]
        lines += _failure_lines(kind)
    if report.not_served:
        files = sum(count for _, count in report.not_served)
        lines.append(f"not served: {_counted(len(report.not_served), 'kind')}, {_counted(files, 'file')}")
        lines += [f"  {kind:<{width}}  {_counted(count, 'file')}" for kind, count in report.not_served]
    if report.kinds:
        passed, total = (sum(getattr(kind, name) for kind in report.kinds) for name in ("passed", "total"))
        lines.append(f"{'all' if report.ok else 'only'} {passed} of {total} cases pass")
    return "\n".join(lines) + "\n"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _failure_lines(kind: KindResult) -> list[str]:
    lines = []
    for failure in kind.failures[:_SHOWN_FAILURES]:
        lines.append(f"    {failure.file}{': ' * bool(failure.case)}{failure.case}")
        lines += [f"      {difference}" for difference in failure.differences[:_SHOWN_DIFFERENCES]]
        if len(failure.differences) > _SHOWN_DIFFERENCES:
            lines.append(f"      and {len(failure.differences) - _SHOWN_DIFFERENCES} more differences")
    if len(kind.failures) > _SHOWN_FAILURES:
        lines.append(f"    and {len(kind.failures) - _SHOWN_FAILURES} more (see --json)")
    return lines


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a folder may name its files and cases as it likes
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
