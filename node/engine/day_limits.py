"""What is used of the day's limits, on disk from block to block: a restart is no way around them.

One small file, replaced whole, so that it is the old one or the new one, also after a power cut. A day that is over
counts for nothing.

DayLimitsDamaged    the file is not what was written: nobody knows what the day has used
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from node.durable import replace_file
from node.errors import NodeError
from node.pipeline.risk import DayUse
from node.records import OpportunityFound
from protocol.units import Address, Wei

FILE_NAME: Final = "day-limits.json"


class DayLimitsDamaged(NodeError):
    """The file is not what was written; the text names it."""


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. Amounts as decimal text, tokens as hex."""

    day: int
    spent_wei: str
    turnover: dict[str, str]


class DayLimits:
    """The file in a folder; without one (lockstep: a run depends on nothing before it) nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._saved: DayUse | None = None
        self._is_saving = False

    def load(self) -> DayUse | None:
        """Return what an earlier process left; None if there is nothing. Raises DayLimitsDamaged, OSError."""
        if self._path is None or not self._path.exists():
            return None
        try:
            written = msgspec.json.decode(self._path.read_bytes(), type=_Written)
            turnover = {Address(bytes.fromhex(token)): int(used) for token, used in written.turnover.items()}
            self._saved = DayUse(written.day, Wei(int(written.spent_wei)), turnover)
        except (msgspec.MsgspecError, ValueError) as error:
            raise DayLimitsDamaged(
                f"{self._path} is damaged ({error}): what today's limits have left is not known; "
                "remove it to let them begin anew"
            ) from None
        return self._saved

    def is_news(self, use: DayUse) -> bool:
        """Whether there is anything to keep, and nothing is being written."""
        return self._path is not None and use != self._saved and not self._is_saving

    def save(self, use: DayUse) -> None:
        """Keep what is used, if it changed, and return once it is on disk. Raises OSError."""
        if self._path is None or use == self._saved:
            return
        turnover = {token.hex(): str(used) for token, used in sorted(use.turnover.items())}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, msgspec.json.encode(_Written(use.day, str(use.spent), turnover)))
        self._saved = use

    async def keep(self, use: DayUse) -> None:
        """As `save`, on a thread of its own: a disk takes its time. One at a time; what is skipped comes with the next.

        Raises OSError.
        """
        if not self.is_news(use):
            return
        self._is_saving = True
        try:
            await asyncio.to_thread(self.save, use)
        finally:
            self._is_saving = False


def with_open(use: DayUse, sent: Iterable[OpportunityFound]) -> DayUse:
    """The same with the turnover of what was sent after it was written down and is not judged yet, as if all landed."""
    turnover = dict(use.turnover)
    for found in sent:
        turnover[found.profit_token] = turnover.get(found.profit_token, 0) + int(found.borrowed)
    return DayUse(use.day, use.spent, turnover)
