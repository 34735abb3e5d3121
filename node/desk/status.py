"""What `hftnode status` shows: the processes, what the engine tells, what the ledger adds up to."""

from __future__ import annotations

import time

import msgspec

from node.clock import Clock
from node.config import Config
from node.desk.intake import Intake
from node.desk.ledger.errors import LedgerUnusable, LedgerUnwritable
from node.desk.ledger.totals import Totals, read_totals
from node.desk.watch.watcher import Watcher, WatchStatus
from node.link import EngineStatus
from node.run_file import ProcessRecord, read_run
from protocol.units import UnixMilliseconds

ENGINE_SILENT_MS = 5_000
"""An engine that told nothing for so long is called silent."""
_TOTALS_SECONDS = 1.0


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node at one moment."""

    name: str
    mode: str
    at: UnixMilliseconds
    processes: dict[str, ProcessRecord]
    """In the order in which they start; empty when no supervisor runs."""
    engine: EngineStatus | None
    """None until the engine has told something."""
    engine_silent_ms: int | None
    totals: Totals
    ledger_entries: int
    """Sequence of the last entry on disk."""
    trouble: str
    """Empty, or what keeps the ledger from being written."""
    watch: WatchStatus | None = None
    """What the watchers of stake, governance and vaults know; None for a node that belongs to no network."""

    @property
    def healthy(self) -> bool:
        """Whether the engine speaks and runs, and the ledger takes what it says."""
        silent = self.engine_silent_ms
        speaks = self.engine is not None and silent is not None and silent < ENGINE_SILENT_MS
        return speaks and self.engine is not None and self.engine.phase == "running" and not self.trouble


class StatusReader:
    """Puts the status together; the ledger is added up at most once a second."""

    def __init__(self, config: Config, intake: Intake, clock: Clock, watcher: Watcher | None = None) -> None:
        self._config = config
        self._watcher = watcher
        self._intake = intake
        self._clock = clock
        self._totals = Totals()
        self._totals_at: float | None = None
        self._trouble = ""

    async def read(self) -> NodeStatus:
        """Return the status now. A ledger that cannot be read is a trouble in it, not an error."""
        now = self._clock.monotonic()
        if self._totals_at is None or now - self._totals_at >= _TOTALS_SECONDS:
            try:
                self._totals, self._trouble = await read_totals(self._config.ledger_path), ""
            except (LedgerUnusable, LedgerUnwritable) as error:
                self._trouble = str(error)
            self._totals_at = now
        run = read_run(self._config.run_folder)
        told_at = self._intake.engine_told_at
        return NodeStatus(
            name=self._config.name,
            mode=self._config.mode,
            at=UnixMilliseconds(time.time_ns() // 10**6),
            processes=run.processes if run else {},
            engine=self._intake.engine,
            engine_silent_ms=None if told_at is None else int((now - told_at) * 1000),
            totals=self._totals,
            ledger_entries=self._intake.last_sequence,
            trouble=self._intake.trouble or self._trouble,
            watch=None if self._watcher is None else self._watcher.status,
        )
