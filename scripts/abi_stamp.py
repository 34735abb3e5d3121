"""The check `abi`: that governance/abi was exported from the sources as they are, without a compiler.

`scripts/export-abi` writes `governance/abi/exported.txt` beside what it exports: a SHA-256 over all that the compiler
is given, and one over the exported files. A source, setting or package that has changed since, or a file edited by
hand, gives another digest. That the files are what the compiler makes of the sources is for the tests, which compile.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scripts.tree import ROOT, files

STAMP: Final = Path("governance", "abi", "exported.txt")
_COMPILED: Final = "compiled"
_EXPORTED: Final = "exported"
_GIVEN: Final = (
    "contracts/src",
    "contracts/solc.cjs",
    "devnet/npm/package-lock.json",
    "contracts/npm/package-lock.json",
)
"""Sources, and the packages: the compiler itself, what is imported, and forge."""


def stamp(root: Path = ROOT) -> str:
    """Return what the stamp of the tree must say: a line for what is compiled, one for what was exported."""
    settings = tomllib.loads((root / "contracts" / "foundry.toml").read_text())["profile"]["default"]
    compiled = hashlib.sha256(repr(sorted(settings.items())).encode())
    _add(compiled, files(*_GIVEN, root=root), root)
    exported = hashlib.sha256()
    _add(exported, sorted((root / STAMP).parent.glob("*.json")), root)
    return f"{_COMPILED} {compiled.hexdigest()}\n{_EXPORTED} {exported.hexdigest()}\n"


def _add(digest: hashlib._Hash, paths: Iterable[Path], root: Path) -> None:
    for path in paths:
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)


def differences(root: Path = ROOT) -> list[str]:
    """Say what is not as it was when governance/abi was exported."""
    if not (root / STAMP).is_file():
        return [f"{STAMP} is not there: run scripts/export-abi"]
    there = (root / STAMP).read_text().splitlines()
    odd = [line.split()[0] for line in stamp(root).splitlines() if line not in there]
    words = {
        _COMPILED: "contracts/ has changed since governance/abi was exported: run scripts/export-abi",
        _EXPORTED: "governance/abi was changed by other hands than scripts/export-abi: run it",
    }
    return [words[name] for name in odd]


def main() -> int:
    """Print what differs; return 1 if something does."""
    odd = differences()
    print("\n".join(odd))
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
