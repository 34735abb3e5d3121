"""Where the devnet keeps its files: npm packages, compiled contracts, the deployed world, the run under way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).resolve().parent.parent
"""The repository where there is one; the folder of installed packages otherwise."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds everything the devnet stores."""

    root: Path
    run_elsewhere: Path | None = None
    """Keeps the run under way apart, so that a comparison can go on beside a devnet that is up."""

    @classmethod
    def from_environment(cls) -> Home:
        """Take `$HFTNODE_HOME`; in a checkout its own `.hftnode`, as the scripts do; else `~/.hftnode`."""
        if configured := os.environ.get("HFTNODE_HOME"):
            return cls(Path(configured).expanduser().resolve())
        if (_CHECKOUT / "pyproject.toml").is_file():
            return cls(_CHECKOUT / ".hftnode")
        return cls(Path.home() / ".hftnode")

    @property
    def packages(self) -> Path:
        """npm packages, one folder a lock file."""
        return self.root / "npm"

    @property
    def builds(self) -> Path:
        """Compiled contracts, one file a set of sources and compiler."""
        return self.root / "build"

    @property
    def worlds(self) -> Path:
        """Deployed worlds: state dump and manifest, one folder a key."""
        return self.root / "worlds"

    @property
    def run(self) -> Path:
        """The devnet under way: lock, endpoints, logs."""
        return self.run_elsewhere or self.root / "run"
