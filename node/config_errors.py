"""What is wrong with a configuration: all of it at once, each problem with its place and what was expected.

ConfigError (SetupError)     `problems` tells each one; its text is one line a problem
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import msgspec

from node.errors import SetupError


class ConfigProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong: `source` is the file or "environment", `key` the dotted key or the variable's name."""

    source: str
    key: str
    expected: str
    nearest: str = ""
    """The valid key that was probably meant."""

    def __str__(self) -> str:
        meant = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.source}: {self.key}: {self.expected}{meant}" if self.key else f"{self.source}: {self.expected}"


class ConfigError(SetupError):
    """A configuration that cannot be used."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return the word that was probably meant, or nothing."""
    return next(iter(difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)), "")
