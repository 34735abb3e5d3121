"""What a checker is: a function from one case of a file to what differs, and how files fall into cases.

A case that lacks something, or has it in a shape it cannot have, raises whatever it likes: the runner counts it as
failed and says what and where.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

MAX_FILE_BYTES: Final = 1 << 28
_SHOWN: Final = 60


class Case(NamedTuple):
    """One case of a file: its name there, and what it states."""

    name: str
    stated: Any


class Checker(NamedTuple):
    """How a kind is checked: `cases` splits a file's bytes, `check` yields what differs in one case."""

    cases: Callable[[bytes], Iterable[Case]]
    check: Callable[[Any], Iterable[str]]


class Malformed(Exception):
    """A file or a case that is not laid out as its kind is."""


class Unsupported(Exception):
    """A case of something that is left alone on purpose; the message names it."""


def read(path: Path) -> bytes:
    """Return a file's bytes, gzip undone, up to 256 MiB; raises OSError, EOFError or Malformed."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        content: bytes = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise Malformed(f"more than {MAX_FILE_BYTES} bytes")
    return content


def json_list(*name_keys: str) -> Callable[[bytes], Iterator[Case]]:
    """Return a splitter for a JSON list of objects; a case is named by the first of `name_keys` that it has."""

    def split(content: bytes) -> Iterator[Case]:
        entries = json.loads(content)
        if not isinstance(entries, list):
            raise Malformed("expected a list of cases")
        for number, entry in enumerate(entries):
            names = [str(entry[key]) for key in name_keys if key in entry] if isinstance(entry, dict) else []
            yield Case(names[0] if names else f"#{number}", entry)

    return split


def differs(what: str, got: object, stated: object) -> Iterator[str]:
    """Yield a line if what we computed is not what the vector states."""
    if type(got) is not type(stated) or got != stated:
        yield f"{what}: {_short(got)}, stated {_short(stated)}"


def must_be(what: str, kind: type, value: object) -> Any:
    """Return `value` if it is of `kind`; otherwise the case is malformed."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Malformed(f"{what} should be {kind.__name__}, is {type(value).__name__}")
    return value


def unhex(value: object) -> bytes:
    """Return the bytes of 0x-prefixed hex text; otherwise the case is malformed."""
    text = must_be("hex data", str, value)
    if not text.startswith("0x"):
        raise Malformed(f"hex data should begin with 0x: {_short(text)}")
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise Malformed(f"not hex data: {_short(text)}") from error


def number(value: object) -> int:
    """Return an integer given as such, in decimal or in 0x hex; otherwise the case is malformed."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = must_be("a number", str, value)
    try:
        return int(text, 16 if text[:2] == "0x" or text[:3] == "-0x" else 10)
    except ValueError as error:
        raise Malformed(f"not a number: {_short(text)}") from error


def number_up_to(most: int, value: object) -> int:
    """Return a number between 0 and `most`, which makes powers and lengths of it harmless."""
    found = number(value)
    if not 0 <= found <= most:
        raise Malformed(f"{found} is not between 0 and {most}")
    return found


def _short(value: object) -> str:
    text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 4 :]} ({len(text)} characters)"
