"""Asks the advisory database whether a locked dependency has a known vulnerability.

An answer that says nothing about a package is no clean bill: pip-audit ends with 0 when the service knows none of the
packages (a mirror without advisories) or skips some. Those are named here as "not audited", and are a failure where the
service is known to be reachable: HFTNODE_REQUIRE_AUDIT=1, as the project's continuous integration sets.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import msgspec

from scripts.tree import ROOT

DEADLINE_SECONDS = 120.0
LONGEST_REASON = 200
ENVIRONMENTS = ("dev", "nodejs", "bootstrap")  # dev holds everything that the node's own lock has


class Vulnerability(msgspec.Struct, frozen=True):
    """One advisory that applies."""

    id: str
    fix_versions: list[str] = []


class Dependency(msgspec.Struct, frozen=True):
    """One locked package: audited (`vulns` is its list) or skipped, with the reason."""

    name: str
    version: str | None = None
    vulns: list[Vulnerability] = []
    skip_reason: str | None = None


class Report(msgspec.Struct, frozen=True):
    """The JSON that pip-audit prints."""

    dependencies: list[Dependency]


def verdict(report: Report, *, required: bool) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print."""
    lines = [
        f"{d.name} {d.version}: {v.id}" + (f", fixed in {' or '.join(v.fix_versions)}" if v.fix_versions else "")
        for d in report.dependencies
        for v in d.vulns
    ]
    code = 1 if lines else 0
    skipped = [d for d in report.dependencies if d.skip_reason is not None]
    if skipped or not report.dependencies:
        first = f", for example: {skipped[0].skip_reason}" if skipped else ""
        lines.append(f"not audited: {len(skipped)} of {len(report.dependencies)} packages{first}")
        code = 1 if required else code
    audited = len(report.dependencies) - len(skipped)
    lines.append(f"audited: {audited} packages")
    return code, lines


def ask(lock: Path) -> Report | str:
    """Return pip-audit's report on a lock file, or why there is none."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--vulnerability-service",
        "pypi",
        "--require-hashes",
        "--disable-pip",
    ]
    command += ["--progress-spinner", "off", "--format", "json", "--requirement", str(lock)]
    paths = ssl.get_default_verify_paths()
    store = {"REQUESTS_CA_BUNDLE": paths.cafile or paths.capath or ""}  # the system's, as pip and uv take
    environment = {**{key: value for key, value in store.items() if value}, **os.environ}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, env=environment
        )
        return msgspec.json.decode(done.stdout, type=Report)
    except subprocess.TimeoutExpired:
        return f"no answer within {DEADLINE_SECONDS:.0f} s"
    except msgspec.DecodeError:
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:LONGEST_REASON]


def main() -> int:
    """Audit every environment that runs our code; see the module's docstring for the exit code."""
    required = os.environ.get("HFTNODE_REQUIRE_AUDIT") == "1"
    worst = 0
    for name in ENVIRONMENTS:
        answer = ask(ROOT / "requirements" / f"{name}.txt")
        code, lines = (
            (1 if required else 0, [f"not audited: {answer}"])
            if isinstance(answer, str)
            else verdict(answer, required=required)
        )
        worst = max(worst, code)
        for line in lines:
            print(line.replace("not audited:", f"not audited ({name}):"))
    return worst


if __name__ == "__main__":
    sys.exit(main())
