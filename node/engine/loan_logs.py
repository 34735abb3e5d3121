"""A block's logs into what they change in the loans that we follow. The reader tells whose logs they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from node.engine.pool_topics import LogJson
from node.pipeline.lending import morpho_book
from node.pipeline.lending.aave_book import BORROW, SETTINGS, UNREADABLE, LoanLog
from node.pipeline.lending.aave_v3 import POOL_EVENTS, TOKEN_EVENTS
from node.pipeline.lending.errors import LogMalformed
from node.pipeline.lending.logs import Event, EventKind, decode_log
from node.pipeline.lending.oracle_view import FEED_EVENTS

Kinds = dict[bytes, EventKind]
OF_POOL: Final[Kinds] = {topic: kind for topic, kind in POOL_EVENTS.items() if kind.name != "LiquidationCall"} | BORROW
OF_TOKEN: Final[Kinds] = TOKEN_EVENTS
OF_FEED: Final[Kinds] = FEED_EVENTS
OF_SETTINGS: Final[Kinds] = SETTINGS
OF_MORPHO: Final[Kinds] = morpho_book.EVENTS
TOPICS: Final = ["0x" + topic.hex() for topic in (*OF_POOL, *OF_TOKEN, *OF_FEED, *OF_SETTINGS, *OF_MORPHO)]
"""For the filter of `eth_getLogs`."""


class LoanLogs:
    """Reads logs. `counts`: `changes`, `malformed`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._sources: dict[str, Kinds] = {}

    def watch(self, sources: Mapping[str, Kinds]) -> bool:
        """From now on read these contracts' logs (lower-case hex), and no others; False if it was these already."""
        is_new, self._sources = sources != self._sources, dict(sources)
        return is_new

    def read(self, logs: Sequence[LogJson]) -> tuple[LoanLog, ...]:
        """What the logs of one block say, in their order; one that cannot be read says that."""
        if not self._sources:
            return ()
        said: list[LoanLog] = []
        for log in logs:
            kinds = self._sources.get(log.address.lower())
            if kinds is None:
                continue
            try:
                topics = [bytes.fromhex(topic[2:]) for topic in log.topics]
                event = decode_log(kinds, topics, bytes.fromhex(log.data[2:]))
            except (LogMalformed, ValueError) as error:
                self.counts["malformed"] += 1
                event = Event(UNREADABLE, (str(error)[:100],))
            if event is not None:
                said.append(LoanLog(log.address.lower(), event))
        self.counts["changes"] += len(said)
        return tuple(said)
