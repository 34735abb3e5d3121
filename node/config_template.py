"""Writes a `Config` as a file that explains itself: every key with its meaning; what is as by default is commented out.

The meanings are the strings under the fields of the structs (PEP 258's attribute docstrings), read out of the source.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import json
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from node.config import Config
from node.config_errors import ConfigError, ConfigProblem
from node.config_file import table_of
from node.config_values import AMOUNTS
from protocol.ethereum.keys import checksum_address
from protocol.units import Wei

_WIDTH: Final = 116
_HEAD: Final = """\
hftnode's configuration: `hftnode start --config THIS_FILE`. Every key is told in docs/reference/configuration.md.
A line that is commented out shows the default. Amounts: "0.5 ether", "30 gwei", "5000e6", or whole smallest units.
Variables such as HFTNODE_MODE=shadow or HFTNODE_CHAIN__ID=1 go over this file. No secret belongs here."""


@functools.cache
def field_meanings(shape: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the strings under a struct's fields say, by field."""
    (body,) = (node.body for node in ast.parse(textwrap.dedent(inspect.getsource(shape))).body if hasattr(node, "body"))
    return {
        this.target.id: " ".join(str(after.value.value).split())
        for this, after in itertools.pairwise(body)
        if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }


def first_sentence(shape: type[msgspec.Struct]) -> str:
    """Return the first paragraph of a struct's docstring, on one line."""
    return " ".join((inspect.getdoc(shape) or "").partition("\n\n")[0].split())


def write_commented(config: Config, path: Path) -> None:
    """Write a new configuration file; paths below its folder become relative. ConfigError if it exists or cannot be."""
    text = "\n".join(_comment(_HEAD)) + "\n\n" + "\n".join(_table(config, "", path.absolute().parent)) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError([ConfigProblem(str(path), "", f"cannot be written: {error.strerror}")]) from None


def plain_value(value: Any, field: msgspec.structs.FieldInfo, folder: Path) -> str:
    """Return a value as TOML, in the unit in which it reads best."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return f'"{checksum_address("0x" + value.hex())}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(plain_value(item, field, folder) for item in value) + "]"
    if isinstance(value, Path):
        return json.dumps(str(value.relative_to(folder) if value.is_relative_to(folder) else value))
    if isinstance(value, (str, StrEnum)):
        return json.dumps(str(value), ensure_ascii=False)
    if field.name.endswith("_ns"):
        return _in_units(value, {"s": 10**9, "ms": 10**6})
    if field.name in AMOUNTS:
        return f'"{value // 10**18}e18"' if value and value % 10**18 == 0 else str(value)
    return _in_units(value, {"ether": 10**18, "gwei": 10**9}) if field.type is Wei else str(value)


def _in_units(value: int, units: dict[str, int]) -> str:
    for unit, size in units.items():
        for tenths in (1, 10, 1000):
            if value and value * tenths % size == 0 and value * tenths >= size:
                whole, rest = divmod(value * tenths // size, tenths)
                digits = f"{rest:0{len(str(tenths)) - 1}}".rstrip("0") if rest else ""
                return f'"{whole}{"." + digits if digits else ""} {unit}"'
    return str(value)


def _table(value: msgspec.Struct, where: str, folder: Path, *, explained: bool = True) -> Iterator[str]:
    """Yield the lines of a table: its own keys first, as TOML wants it, then the tables in it."""
    meanings = field_meanings(type(value)) if explained else {}
    tables: list[tuple[str, tuple[msgspec.Struct, ...]]] = []
    for field in msgspec.structs.fields(type(value)):
        held = getattr(value, field.name)
        if isinstance(held, msgspec.Struct):
            tables.append((f"[{_inner(where, field.name)}]", (held,)))
        elif table_of(field) is not None:
            tables.append((f"[[{_inner(where, field.name)}]]", held or ()))
        elif held is not None:
            yield from _comment(meanings.get(field.name, ""))
            line = f"{field.name} = {plain_value(held, field, folder)}"
            yield f"# {line}" if not field.required and held == field.default else line
    for title, items in tables:
        for place, item in enumerate(items):
            yield ""
            yield from _comment("" if place else first_sentence(type(item)))
            yield title
            yield from _table(item, title.strip("[]"), folder, explained=place == 0)


def _inner(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _comment(text: str) -> list[str]:
    return [f"# {line}" for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _WIDTH)]
