"""Our own view of the price feeds that lenders ask: Chainlink, contracts/src/v0.6/interfaces/AggregatorInterface.sol
(AnswerUpdated), and the pending answer of an aggregator with one oracle (FluxAggregator.sol, submit, getOracles).

Anybody can send `submit`, with any value; from anybody but an oracle it reverts. It is believed of the oracle alone.
Of several oracles the aggregator answers with the median, which no submission of one tells. Feeds that report off the
chain first (OCR, `transmit`) name no such oracle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from node.pipeline.lending.errors import StateContradicted
from node.pipeline.lending.logs import Event, events_of
from protocol.ethereum.abi import InvalidAbi, decode_call

FEED_EVENTS: Final = events_of("""
    AnswerUpdated(int256 indexed,uint256 indexed,uint256)
    OraclePermissionsUpdated(address indexed,bool indexed)
""")
MOST_SUBMITTERS: Final = 77
"""Of one aggregator: FluxAggregator.sol, MAX_ORACLE_COUNT. What takes more is none, and anybody can make one."""
_SUBMIT: Final = "submit(uint256,int256)"


class OracleView(msgspec.Struct, frozen=True, gc=False):
    """Which aggregator prices which assets, the latest answers by asset in the feeds' unit, and the oracles that an
    aggregator takes answers of.
    """

    assets: Mapping[str, tuple[str, ...]]
    prices: Mapping[str, int]
    oracles: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)

    def after(self, aggregator: str, event: Event) -> OracleView:
        """The view after an event of an aggregator. Raises StateContradicted for an answer that is no price."""
        if event.name == "OraclePermissionsUpdated":
            now = submitters_after(self.oracles.get(aggregator), event)
            return OracleView(self.assets, self.prices, {**self.oracles, aggregator: now})
        return self.with_answer(aggregator, event.values[0])

    def believes(self, aggregator: str, sender: str) -> bool:
        """Whether an account's answer is the aggregator's: that of the only oracle that it is known to have."""
        return self.oracles.get(aggregator) == frozenset({sender})

    def with_answer(self, aggregator: str, answer: int) -> OracleView:
        """The view as it would be after an answer; unchanged for an aggregator that prices nothing here."""
        if answer <= 0:
            raise StateContradicted(f"an answer of {answer} by {aggregator}")
        told = dict.fromkeys(self.assets.get(aggregator, ()), answer)
        return OracleView(self.assets, {**self.prices, **told}, self.oracles) if told else self


def submitters_after(known: frozenset[str] | None, event: Event) -> frozenset[str]:
    """Whose answers an aggregator takes after an `OraclePermissionsUpdated`; of more than it can have those before."""
    oracle, is_let_in = event.values
    before = known or frozenset()
    if not is_let_in:
        return before - {oracle}
    return before | {oracle} if len(before) < MOST_SUBMITTERS else before


def pending_answer(call_data: bytes) -> int | None:
    """The answer that a pending call of an aggregator would give, None for any other call."""
    try:
        answer: int = decode_call(_SUBMIT, call_data)[1]
    except InvalidAbi:
        return None
    return answer
