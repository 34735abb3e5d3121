"""TOML and environment to one frozen `Config`, with everything that is wrong named at once.

A variable of the environment goes over the file: `HFTNODE_` and the key in capitals, tables and places in lists apart
by two underscores: `HFTNODE_MODE=shadow`, `HFTNODE_CHAIN__RPCS__0__HTTP=http://127.0.0.1:8545`. Tables and lists may be
given whole, as TOML. Relative paths count from the file's folder. Raises ConfigError only.
"""

from __future__ import annotations

import enum
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from node.config import Config
from node.config_errors import ConfigError, ConfigProblem, nearest
from node.config_rules import broken_rules
from node.config_values import AMOUNTS, PARSERS, FromEnvironment, Unfit, amount, nanoseconds, one_of, path_beside, typed

PREFIX: Final = "HFTNODE_"
NOT_KEYS: Final = frozenset(
    {
        "HFTNODE_HOME",
        "HFTNODE_DEBUG",
        "HFTNODE_REQUIRE_AUDIT",
        "HFTNODE_DATA",
        "HFTNODE_CONFIG",
        "HFTNODE_PASSWORD_FILE",
        "HFTNODE_NETWORK_FILE",
    }
)
"""Variables with this prefix that mean something else."""
MAX_FILE_BYTES: Final = 1024 * 1024
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Return the configuration in a file, as the environment changes it. Raises ConfigError with every problem."""
    tree = _parse(path)
    reader = _Reader(path)
    _overlay(tree, environ, reader.problems)
    config = reader.struct(Config, tree, "")
    if config is not None and not reader.problems:
        reader.problems += [ConfigProblem(str(path), key, expected) for key, expected in broken_rules(config)]
    if config is None or reader.problems:
        raise ConfigError(reader.problems)
    return config


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        advice = "; `hftnode init` writes one" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([ConfigProblem(str(path), "", f"{error.strerror}{advice}")]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError([ConfigProblem(str(path), "", f"more than {MAX_FILE_BYTES} bytes")])
    try:
        return tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([ConfigProblem(str(path), "", f"not TOML: {error}")]) from None


def _overlay(tree: dict[str, Any], environ: Mapping[str, str], problems: list[ConfigProblem]) -> None:
    """Put the variables into the tree, outer keys first, so that one may give a table and another change it."""
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in NOT_KEYS)
    for name in sorted(names, key=lambda name: name.count("__")):
        steps = name.removeprefix(PREFIX).lower().split("__")
        if "PASSWORD" in name:
            problems.append(
                ConfigProblem("environment", name, "passwords are not taken from here: every child sees it")
            )
        elif not _put(tree, steps, FromEnvironment(environ[name])):
            problems.append(
                ConfigProblem("environment", name, f"there is no place {'.'.join(steps)} in the configuration")
            )


def _put(node: Any, steps: list[str], value: FromEnvironment) -> bool:
    """Set the value at `steps`; False if the way leads through a list's end or a plain value."""
    step, *rest = steps
    key: Any = step
    if isinstance(node, list):
        if not step.isdecimal() or int(step) >= len(node):
            return False
        key = int(step)
    elif not isinstance(node, dict):
        return False
    if not rest:
        node[key] = value
        return True
    if isinstance(node, dict):
        node.setdefault(key, {})
    node[key] = typed(node[key])
    return _put(node[key], rest, value)


@dataclass
class _Reader:
    """Walks the types of `Config` along a tree of TOML, and goes on after a problem to find the next."""

    path: Path
    problems: list[ConfigProblem] = field(default_factory=list)

    def struct(self, shape: type[_Shape], raw: Any, where: str) -> _Shape | None:
        """Return the struct, or None after telling what is wrong."""
        raw = typed(raw)
        if not isinstance(raw, dict):
            self._unfit(where, raw, "expected a table")
            return None
        fields = {found.name: found for found in msgspec.structs.fields(shape)}
        for key in raw:
            if key not in fields:
                self._unfit(_join(where, key), raw[key], "unknown key", nearest(key, fields))
        begun = len(self.problems)
        values: dict[str, Any] = {}
        for name, found in fields.items():
            if name in raw:
                values[name] = self.value(found.type, raw[name], _join(where, name))
            elif found.required:
                self._unfit(_join(where, name), None, f"is missing: {described(found)}")
        return None if len(self.problems) > begun else shape(**values)

    def value(self, kind: Any, raw: Any, where: str) -> Any:
        """Return one typed value; None after telling what is wrong."""
        kind = _without_none(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(kind, raw, where)
        if typing.get_origin(kind) is tuple:
            return self._list(typing.get_args(kind)[0], raw, where)
        try:
            return self._single(kind, raw, where)
        except Unfit as unfit:
            self._unfit(where, raw, str(unfit), unfit.nearest)
            return None

    def _single(self, kind: Any, raw: Any, where: str) -> Any:
        if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
            return one_of(kind, raw)
        if kind is Path:
            return path_beside(self.path.absolute().parent, raw)
        if where.endswith("_ns"):
            return nanoseconds(raw)
        parse = amount if where.rpartition(".")[2] in AMOUNTS else PARSERS[kind]
        return parse(raw)

    def _list(self, kind: Any, raw: Any, where: str) -> tuple[Any, ...] | None:
        raw = typed(raw)
        if not isinstance(raw, list):
            self._unfit(where, raw, "expected a list")
            return None
        return tuple(self.value(kind, item, f"{where}[{place}]") for place, item in enumerate(raw))

    def _unfit(self, where: str, raw: Any, expected: str, meant: str = "") -> None:
        if isinstance(raw, FromEnvironment):
            name = PREFIX + re.sub(r"\[(\d+)\]", r".\1", where).replace(".", "__").upper()
            self.problems.append(ConfigProblem("environment", name, expected, meant))
        else:
            self.problems.append(ConfigProblem(str(self.path), where, expected, meant))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def described(found: msgspec.structs.FieldInfo) -> str:
    """Return in a few words what a field takes."""
    kind = _without_none(found.type)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return "a list of tables" if _is_table(inner) else f"a list: {_word(inner)}"
    if _is_table(kind):
        return "a table"
    if found.name in AMOUNTS:
        return 'an amount in smallest units, or such as "100 ether", "5000e6"'
    return 'a time such as "30 s"' if found.name.endswith("_ns") else _word(kind)


def table_of(found: msgspec.structs.FieldInfo) -> type[msgspec.Struct] | None:
    """Return the struct of a field that is a table or a list of tables."""
    kind = _without_none(found.type)
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
    return kind if _is_table(kind) else None


def _word(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        return "one of " + ", ".join(member.value for member in kind)
    return _WORDS.get(kind.__name__, "a whole number")


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


_WORDS: Final = {
    "Address": "an address, 0x and 40 hex digits",
    "Path": "a path",
    "Wei": 'an amount such as "0.5 ether"',
    "BasisPoints": "basis points, 0 to 10000",
    "float": "a number above 0",
    "bool": "true or false",
    "str": "text",
}
