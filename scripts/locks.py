"""Writes and checks the lock files: requirements/*.txt (one an environment) and every package-lock.json.

Each requirements file carries a SHA-256 of what it was resolved from, so that drift from pyproject.toml shows without a
network. No lock file names an address: where packages come from is the installing machine's choice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.tree import ROOT, files

_STAMP = "# resolved from: sha256:"
_ADDRESS = re.compile(r"(?:https?|git\+[a-z]+|ssh|file)://|--(?:extra-)?index-url|--find-links", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lock:
    """One environment: the project's dependencies or not, a dependency group if any, and the oldest Python for it."""

    name: str
    project: bool
    group: str | None
    python: str = "3.11"


LOCKS = (
    Lock("node", project=True, group=None),
    Lock("dev", project=True, group="dev"),
    Lock("relay-conformance", project=False, group="relay-conformance"),
    Lock("contracts", project=False, group="contracts"),
    Lock("degenbot", project=False, group="degenbot"),
    Lock("degenbot-compiled", project=False, group="degenbot-compiled", python="3.12"),
    Lock("analysis", project=False, group="analysis"),
    Lock("nodejs", project=False, group="nodejs"),
    Lock("bootstrap", project=False, group="bootstrap"),
)


def group_members(groups: dict[str, list[Any]], name: str) -> list[str]:
    """Return the requirements of a dependency group with its included groups resolved (PEP 735)."""
    members: list[str] = []
    for entry in groups[name]:
        members += [entry] if isinstance(entry, str) else group_members(groups, entry["include-group"])
    return sorted(set(members))


def stamp(lock: Lock, pyproject: dict[str, Any]) -> str:
    """Return the header line of a lock: the SHA-256 of everything in pyproject.toml that it is resolved from."""
    inputs = {
        "python": pyproject["project"]["requires-python"],
        "project": sorted(pyproject["project"]["dependencies"]) if lock.project else [],
        "group": group_members(pyproject["dependency-groups"], lock.group) if lock.group else [],
        "resolver": pyproject.get("tool", {}).get("uv", {}),
    }
    return _STAMP + hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def write(*, upgrade: bool, root: Path = ROOT) -> None:
    """Resolve every lock (pins that still fit stay, unless `upgrade`) and put its stamp on top."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    for lock in LOCKS:
        target = root / "requirements" / f"{lock.name}.txt"
        command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", lock.python, "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--no-annotate", "--no-header", *(["--upgrade"] if upgrade else [])]
        command += ["pyproject.toml"] if lock.project else []
        command += ["--group", lock.group] if lock.group else []
        subprocess.run([*command, "--output-file", str(target)], cwd=root, check=True, stdout=subprocess.DEVNULL)
        body = "".join(line for line in target.read_text().splitlines(keepends=True) if not line.startswith("#"))
        target.write_text(f"# Written by scripts/lock.\n{stamp(lock, pyproject)}\n{body}")
        print(f"requirements/{target.name}", flush=True)


def requirement_faults(text: str) -> list[str]:
    """Return what is wrong with a requirements file: addresses, packages without an exact version or without a hash."""
    faults = [
        f"line {n}: an address: {line.strip()}" for n, line in enumerate(text.splitlines(), 1) if _ADDRESS.search(line)
    ]
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    entries = [entry for entry in body.replace("\\\n", " ").splitlines() if entry.strip()]
    for entry in entries:
        name = entry.split()[0]
        if not re.match(r"[A-Za-z0-9._-]+(\[[^\]]*\])?==\S+$", name):
            faults.append(f"not pinned to one version: {name}")
        elif not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry):
            faults.append(f"no hash: {name}")
    return faults if entries else [*faults, "no package in it"]


def npm_faults(lock: dict[str, Any], package: dict[str, Any]) -> list[str]:
    """Return what is wrong with a package-lock.json: addresses, missing integrity, drift from its package.json."""
    packages: dict[str, dict[str, Any]] = lock.get("packages", {})
    faults = [
        f"{kind} differ from package.json: run npm install --package-lock-only"
        for kind in ("dependencies", "devDependencies", "optionalDependencies")
        if packages.get("", {}).get(kind, {}) != package.get(kind, {})
    ]
    for place, entry in packages.items():
        if "resolved" in entry:
            faults.append(f"{place}: an address: {entry['resolved']}")
        if place and not entry.get("link") and not entry.get("inBundle") and "integrity" not in entry:
            faults.append(f"{place}: no integrity hash")
    return faults


def problems(root: Path = ROOT) -> list[str]:
    """Return every fault of every lock file, each with its file."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    found: list[str] = []
    known = {f"{lock.name}.txt": lock for lock in LOCKS}
    present = {path.name: path.read_text() for path in files("requirements", root=root) if path.suffix == ".txt"}
    found += [f"requirements/{name}: missing: run scripts/lock" for name in sorted(known.keys() - present.keys())]
    for name, text in present.items():
        faults = requirement_faults(text)
        if name not in known:
            faults.append("no environment of this name in scripts/locks.py")
        elif stamp(known[name], pyproject) not in text.splitlines()[:2]:
            faults.append("pyproject.toml has changed since it was resolved: run scripts/lock")
        found += [f"requirements/{name}: {fault}" for fault in faults]
    for path in files(root=root):
        if path.name == "package-lock.json":
            package = json.loads(path.with_name("package.json").read_text())
            place = path.relative_to(root).as_posix()
            found += [f"{place}: {fault}" for fault in npm_faults(json.loads(path.read_text()), package)]
    return found


def main(words: list[str]) -> int:
    """`write` the locks, or `check` them: one line a fault and exit code 1."""
    parser = argparse.ArgumentParser(prog="scripts/lock")
    parser.add_argument("action", choices=["write", "check"])
    parser.add_argument("--upgrade", action="store_true", help="move to the newest versions that fit")
    options = parser.parse_args(words)
    if options.action == "write":
        write(upgrade=options.upgrade)
    found = problems()
    print("\n".join(found) if found else f"{len(LOCKS)} locks in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
