"""The operator's stop on disk: while the file `stopped` is in the data folder, nothing is executed, whoever restarts.

`hftnode halt` and the policy `stop_all` write it, `hftnode resume` removes it; its text says why. Its being there is
what counts: a file that cannot be read stops, too.

StopUnwritable    the file cannot be written or removed; the text says why
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from node.durable import replace_file, sync_folder
from node.errors import NodeError

FILE_NAME: Final = "stopped"
MOST_CHARACTERS: Final = 400


class StopUnwritable(NodeError):
    """The file cannot be written or removed."""


class StopFile:
    """The file in a folder; without one (lockstep: a run depends on nothing before it) nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME

    @property
    def is_kept(self) -> bool:
        """Whether there is a folder for it."""
        return self._path is not None

    def why(self) -> str | None:
        """Return why nothing is to be executed; None if nobody wants that."""
        if self._path is None:
            return None
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                return " ".join(file.read(MOST_CHARACTERS).split()) or "no reason given"
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self._path} cannot be read: {error.strerror}"

    def write(self, why: str) -> None:
        """Stop, also after a power cut. Raises StopUnwritable."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, (why[:MOST_CHARACTERS] + "\n").encode())
        except OSError as error:
            raise StopUnwritable(f"{self._path} cannot be written: {error.strerror}") from None

    def remove(self) -> bool:
        """End the stop; return whether there was one. Raises StopUnwritable."""
        if self._path is None:
            return False
        try:
            self._path.unlink()
            sync_folder(self._path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StopUnwritable(f"{self._path} cannot be removed: {error.strerror}") from None
        return True
