"""The files of the working tree, and a fingerprint of those that a test run depends on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COVERAGE_FOLDER = ROOT / "build" / "coverage"
_TESTED = (
    "protocol",
    "governance",
    "node",
    "devnet",
    "contracts",
    "benchmarks",
    "scripts",
    "tests",
    "requirements",
    "pyproject.toml",
)
_GENERATED = frozenset({"__pycache__", "node_modules", "build", "dist"})
_KEPT_DOT_FOLDERS = frozenset({".ci", ".github"})  # all others are environments, caches and git's own


def files(*places: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield the files under `places` of `root` in sorted order, without generated folders."""
    for place in places or (".",):
        start = root / place
        if start.is_file():
            yield start
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if _is_kept(name))
            yield from (Path(folder, name) for name in sorted(names))


def _is_kept(folder: str) -> bool:
    return folder not in _GENERATED and (not folder.startswith(".") or folder in _KEPT_DOT_FOLDERS)


def fingerprint(root: Path = ROOT) -> str:
    """Return a SHA-256 (hex) over names and contents of everything that the tests see."""
    digest = hashlib.sha256()
    for path in files(*_TESTED, root=root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def bash_scripts(root: Path = ROOT) -> list[Path]:
    """Return the shell scripts of the repository, known by their first line."""
    return [
        path for path in files("scripts", ".ci", root=root) if path.read_bytes()[:32].startswith(b"#!/usr/bin/env bash")
    ]
