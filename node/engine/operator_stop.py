"""Makes the pipeline's kill switch follow the stop on disk, and puts a policy's stop there."""

from __future__ import annotations

import logging

from node.engine.core import EngineCore
from node.pipeline.events import Event, KillSwitchSet
from node.pipeline.risk import StoppedBy
from node.stop_file import StopFile, StopUnwritable

_LOG = logging.getLogger("hftnode.engine")


class OperatorStop:
    """See the module."""

    def __init__(self, core: EngineCore, file: StopFile) -> None:
        self._core, self._file = core, file
        self._unwritten = ""

    def feed(self, event: Event) -> None:
        """Step the pipeline; a stop is on disk before."""
        if isinstance(event, KillSwitchSet) and event.on:
            self._write(event.why)
        self._core.feed(event)

    def follow(self) -> None:
        """Turn the kill switch as the file says; a stop that could not be written holds until it is."""
        if not self._file.is_kept:
            return
        if self._unwritten:
            self._write(self._unwritten)
        why = self._unwritten or self._file.why()
        is_on = StoppedBy.OPERATOR in self._core.state.gate.stopped_by
        if why and not is_on:
            _LOG.warning("executing nothing: %s; `hftnode resume` ends it", why)
            self._core.feed(KillSwitchSet(True, why))
        elif is_on and not why:
            _LOG.warning("executing again: the operator ended the stop")
            self._core.feed(KillSwitchSet(False, "the operator ended the stop"))

    def _write(self, why: str) -> None:
        try:
            self._file.write(why)
        except StopUnwritable as error:
            self._core.counts["stops_unwritten"] += 1
            if not self._unwritten:
                _LOG.error("the stop holds until it is written or the engine ends: %s", error)
            self._unwritten = why
        else:
            self._unwritten = ""
