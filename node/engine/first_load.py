"""How far a start is with its market: the factories' blocks looked through, then the pools' states read.

Told in the log now and then, and to whoever asks. What is not over is guessed by the pace so far: a factory's early
blocks are emptier than its late ones, so the time that is left is a guess until half is done.
"""

from __future__ import annotations

import logging
from typing import Final

from node.clock import Clock
from node.link import LoadStatus

_log = logging.getLogger(__name__)

FINDING: Final = "finding pools"
READING: Final = "reading pools"
SECONDS_BETWEEN_LINES: Final = 10.0
SECONDS_BETWEEN_SAVES: Final = 10.0
"""What was read is written to disk so often while a load goes on …"""
SAVE_PAUSE: Final = 10
"""… and not before so many times as long as the last writing took: at most a tenth of a load is spent on it."""
_MS_PER_SECOND: Final = 1_000


class FirstLoad:
    """One start's load; nothing is told before it begins and after it has ended. `pools` are those known so far."""

    def __init__(self, clock: Clock) -> None:
        self.is_over = False
        self.pools = 0
        self._clock, self._stage = clock, ""
        self._done = self._whole = self._done_before = 0
        self._begun_at = self._started_at = self._told_at = clock.monotonic()
        self._save_at = self._begun_at + SECONDS_BETWEEN_SAVES

    def begin(self, stage: str, whole: int, done: int = 0) -> None:
        """A stage begins, of which so much was done already: blocks to look through, or pools to be read."""
        if not self.is_over:
            self._stage, self._whole, self._done, self._done_before = stage, whole, done, done
            self._begun_at = self._clock.monotonic()

    def reached(self, done: int, whole: int | None = None) -> None:
        """So much of the stage is done; of `whole`, where that is another than when it began."""
        self._done, self._whole = done, self._whole if whole is None else whole
        now = self._clock.monotonic()
        if not self.is_over and now - self._told_at >= SECONDS_BETWEEN_LINES:
            self._told_at = now
            _log.info("%s", self._line())

    def end(self) -> None:
        """The market is there."""
        if not self.is_over:
            self.is_over = True
            took = self._clock.monotonic() - self._started_at
            _log.info("the market is there: %d pools, in %.1f s", self.pools, took)

    @property
    def is_save_due(self) -> bool:
        """Whether what was read so far should be written to disk."""
        return not self.is_over and self._clock.monotonic() >= self._save_at

    def saved(self, seconds: float) -> None:
        """It was written, in so long."""
        self._save_at = self._clock.monotonic() + max(SECONDS_BETWEEN_SAVES, SAVE_PAUSE * seconds)

    @property
    def status(self) -> LoadStatus | None:
        """How far it is; None before it begins and after its end."""
        if self.is_over or not self._stage:
            return None
        elapsed_ms = round((self._clock.monotonic() - self._begun_at) * _MS_PER_SECOND)
        moved = self._done - self._done_before
        left_ms = None if moved <= 0 else (self._whole - self._done) * elapsed_ms // moved
        return LoadStatus(
            stage=self._stage,
            done=self._done,
            whole=self._whole,
            kept=self._done_before,
            pools=self.pools,
            elapsed_ms=elapsed_ms,
            left_ms=left_ms,
        )

    def _line(self) -> str:
        told = self.status
        if told is None:
            return "the market's load has not begun"
        what = "blocks looked through" if told.stage == FINDING else "pools read"
        left = "no pace yet" if told.left_ms is None else f"about {told.left_ms / _MS_PER_SECOND:,.0f} s left"
        pace = f"{told.per_second:,.1f} a second, {left}"
        return f"{told.done:,} of {told.whole:,} {what}, {told.pools:,} pools known, {pace}"
