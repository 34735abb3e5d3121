"""Walks a folder by its `kinds.json` and counts what passes; whatever a file holds, it never raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.vectors.cases import Case, Checker, Unsupported, read


class NoVectors(Exception):
    """There is nothing to check: no folder, no `kinds.json`, or an empty one; the message says which."""


@dataclass(frozen=True)
class Failure:
    """A case that failed (or a whole file, then `case` is empty), with all that differs."""

    file: str
    case: str
    differences: tuple[str, ...]


@dataclass
class KindResult:
    """The count of one kind; `unsupported` counts the cases of what is left alone on purpose, by its name."""

    kind: str
    files: int = 0
    passed: int = 0
    failures: list[Failure] = field(default_factory=list)
    unsupported: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return the number of cases; a file that cannot be read counts as one."""
        return self.passed + len(self.failures)


@dataclass(frozen=True)
class Report:
    """The results by kind, and the kinds that nothing serves with their number of files."""

    kinds: tuple[KindResult, ...]
    not_served: tuple[tuple[str, int], ...]

    @property
    def ok(self) -> bool:
        """Return whether something was checked and no case failed."""
        return bool(self.kinds) and not any(kind.failures for kind in self.kinds)


def run(folder: Path, checkers: Mapping[str, Checker]) -> Report:
    """Check every file of `folder` whose kind one of `checkers` serves. Raises NoVectors."""
    served: dict[str, KindResult] = {}
    not_served: dict[str, int] = {}
    for name, kind in sorted(read_kinds(folder).items()):
        if kind not in checkers:
            not_served[kind] = not_served.get(kind, 0) + 1
            continue
        result = served.setdefault(kind, KindResult(kind))
        result.files += 1
        _check_file(folder, name, checkers[kind], result)
    return Report(tuple(served[kind] for kind in sorted(served)), tuple(sorted(not_served.items())))


def read_kinds(folder: Path) -> dict[str, str]:
    """Return `kinds.json`: the kind of each file. Raises NoVectors if there is nothing to go by."""
    if not folder.is_dir():
        raise NoVectors(f"there is no folder {folder}")
    listing = folder / "kinds.json"
    if not listing.is_file():
        raise NoVectors(f"{folder} has no kinds.json")
    try:
        kinds = json.loads(read(listing))
    except Exception as error:
        raise NoVectors(f"{listing} cannot be read: {error}") from error
    if not isinstance(kinds, dict) or not all(isinstance(kind, str) for kind in kinds.values()):
        raise NoVectors(f"{listing} is not an object of file names and kinds")
    if not kinds:
        raise NoVectors(f"{listing} is empty")
    return kinds


def _check_file(folder: Path, name: str, checker: Checker, result: KindResult) -> None:
    try:
        cases = list(checker.cases(read(_locate(folder, name))))
    except Exception as error:  # a file may be broken in any way; that is a failed case, with its reason
        result.failures.append(Failure(name, "", (f"cannot be read: {_told(error)}",)))
        return
    if not cases:
        result.failures.append(Failure(name, "", ("has no cases",)))
    for case in cases:
        try:
            differences = _check_case(case, checker)
        except Unsupported as left_alone:
            name_of_it = str(left_alone)
            result.unsupported[name_of_it] = result.unsupported.get(name_of_it, 0) + 1
            continue
        if differences:
            result.failures.append(Failure(name, case.name, differences))
        else:
            result.passed += 1


def _locate(folder: Path, name: str) -> Path:
    """Return the file of that name, or its `.gz`; a name that leads out of the folder is refused."""
    root, path = folder.resolve(), (folder / name).resolve()
    if not path.is_relative_to(root):
        raise ValueError("its name leads out of the folder")
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.exists() else path


def _check_case(case: Case, checker: Checker) -> tuple[str, ...]:
    try:
        return tuple(checker.check(case.stated))
    except Unsupported:
        raise
    except Exception as error:  # likewise: a malformed case, or one that our code wrongly refuses
        return (_told(error),)


def _told(error: Exception) -> str:
    what = f"missing {error}" if isinstance(error, KeyError) else str(error)
    return f"{type(error).__name__}: {what[:300]}"
