"""Errors of the ledger's file.

NodeError
├── LedgerUnwritable           full disk, or another program holds the file: what was to be written is not there
└── SetupError
    └── LedgerUnusable         no database, another program's, damaged, or written by a newer hftnode
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from node.errors import NodeError, SetupError

_PASSING: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED")


class LedgerUnwritable(NodeError):
    """The disk is full, or another program holds the file: nothing of what was to be written is there. Try again."""


class LedgerUnusable(SetupError):
    """No database, another program's, damaged, or written by a newer hftnode."""


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Tell what SQLite raises in the operator's words."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(_PASSING):
            raise LedgerUnwritable(f"ledger {path}: cannot be written ({error}): is its disk full?") from error
        raise LedgerUnusable(f"ledger {path}: {error}; move it away, or mend data_folder") from error
    except OSError as error:
        raise LedgerUnusable(f"ledger {path}: {error.strerror}") from error
