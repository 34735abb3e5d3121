"""Our own view of the price feeds that lenders ask: Chainlink, contracts/src/v0.6/interfaces/AggregatorInterface.sol
(AnswerUpdated), and the pending answer of an aggregator with one oracle (FluxAggregator.sol, submit).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from node.pipeline.lending.errors import StateContradicted
from node.pipeline.lending.logs import Event, events_of
from protocol.ethereum.abi import InvalidAbi, decode_call

FEED_EVENTS: Final = events_of("AnswerUpdated(int256 indexed,uint256 indexed,uint256)")
_SUBMIT: Final = "submit(uint256,int256)"


class OracleView(msgspec.Struct, frozen=True, gc=False):
    """Which aggregator prices which assets, and the latest answers by asset, in the feeds' unit."""

    assets: Mapping[str, tuple[str, ...]]
    prices: Mapping[str, int]

    def after(self, aggregator: str, event: Event) -> OracleView:
        """The view after AnswerUpdated of an aggregator. Raises StateContradicted for an answer that is no price."""
        return self.with_answer(aggregator, event.values[0])

    def with_answer(self, aggregator: str, answer: int) -> OracleView:
        """The view as it would be after an answer; unchanged for an aggregator that prices nothing here."""
        if answer <= 0:
            raise StateContradicted(f"an answer of {answer} by {aggregator}")
        told = dict.fromkeys(self.assets.get(aggregator, ()), answer)
        return OracleView(self.assets, {**self.prices, **told}) if told else self


def pending_answer(call_data: bytes) -> int | None:
    """The answer that a pending call of an aggregator would give, None for any other call."""
    try:
        answer: int = decode_call(_SUBMIT, call_data)[1]
    except InvalidAbi:
        return None
    return answer
