"""What is known of mutants from runs before, in `build/mutants.json`, and whether it may still be believed.

A verdict is kept with a digest of all that it rests on: of a killed mutant the test file that killed it, of any other
every file of tests that let it live; with all that these import of contracts/ and read (the world, vectors), the
compiler's settings, the packages, and how mutants are made and judged. Where one of them has changed the digest is
another, and the verdict is as if it had never been.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from devnet.storage import write_atomically
from scripts.forge import PROJECT
from scripts.tree import ROOT

PLACE: Final = ROOT / "build" / "mutants.json"
Outcome = Literal["killed", "survived", "timed out"]
_IMPORT: Final = re.compile(r'(?:\bfrom|^import) "([^"]+)"', re.MULTILINE)
_DEPLOYED: Final = re.compile(r'deployCode(?:To)?\(\s*"(\w+)\.sol"')
_READ: Final = re.compile(r'(?:readFile|loadAllocs)\(\s*"([^"]+)"')
_ALWAYS: Final = (
    PROJECT / "foundry.toml",
    PROJECT / "solc.cjs",
    PROJECT / "npm" / "package-lock.json",
    ROOT / "devnet" / "npm" / "package-lock.json",
    ROOT / "scripts" / "mutations.py",
)


class Verdict(msgspec.Struct, frozen=True):
    """How a mutant ended: `by` is the failed test (file:contract.test), empty if none; `rests_on` a digest (hex)."""

    outcome: Outcome
    by: str
    rests_on: str


def imported(files: Iterable[Path]) -> set[Path]:
    """Return these sources and all others of contracts/ that they import or deploy by name.

    Raises `FileNotFoundError` for an import that is not there.
    """
    found: set[Path] = set()
    waiting = [path.resolve() for path in files]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


@cache
def _imports(path: Path) -> list[Path]:
    text = path.read_text()
    beside = [(path.parent / name).resolve(strict=True) for name in _IMPORT.findall(text) if name.startswith(".")]
    return [*beside, *((PROJECT / "src" / f"{name}.sol").resolve(strict=True) for name in _DEPLOYED.findall(text))]


def digest(files: Iterable[Path], *words: str) -> str:
    """Return the SHA-256 (hex) of what a verdict by these files of tests rests on; `words` is what else it is of."""
    sources = imported(files)
    paths = {*sources, *_ALWAYS, *(read for path in sources for read in _reads(path))}
    whole = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        whole.update(f"\0{os.path.relpath(path, ROOT)}\0{_content(path)}".encode())
    return whole.hexdigest()


@cache
def _reads(path: Path) -> list[Path]:
    return [(PROJECT / name).resolve() for name in _READ.findall(path.read_text())]


def read_all() -> None:
    """Read all sources and tests now: whatever is edited while mutants are judged, verdicts rest on what was copied."""
    for path in imported([*(PROJECT / "test").rglob("*.sol"), *(PROJECT / "src").rglob("*.sol")]):
        for read in (path, *_reads(path)):
            _content(read)


@cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Record:
    """The verdicts of the mutants by name, as far as they are still true; written after each."""

    def __init__(self, path: Path = PLACE) -> None:
        """Read what is there. Raises `ValueError` for a file of another form, with its path."""
        self._path = path
        self._verdicts: dict[str, Verdict] = {}
        if path.is_file():
            try:
                self._verdicts = msgspec.json.decode(path.read_bytes(), type=dict[str, Verdict])
            except msgspec.DecodeError as error:
                raise ValueError(f"{path}: {error}; delete it, it is only what was found before") from error

    def get(self, name: str) -> Verdict | None:
        """Return what was found of a mutant, true or not any more."""
        return self._verdicts.get(name)

    def put(self, name: str, verdict: Verdict) -> None:
        """Keep a verdict. Raises `StorageFailed`."""
        self._verdicts[name] = verdict
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(self._verdicts)))

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Forget the mutants that there are no more; the next `put` writes it."""
        kept = set(names)
        self._verdicts = {name: verdict for name, verdict in self._verdicts.items() if name in kept}
