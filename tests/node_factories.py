"""What the tests of the node's processes are made of."""

from __future__ import annotations

from node.pipeline.events import SignAndSubmit
from node.pipeline.step import step
from tests.pipeline_scene import pipeline, plans, seen, small_market, swap_of


def approved() -> SignAndSubmit:
    """A plan that the pipeline's gate has approved: a backrun behind Carol."""
    market = small_market()
    state = pipeline(market)
    for spec, pool in market.pools:
        for part in (0.05, 0.2):
            found = plans(step(state, seen(swap_of(spec, pool, part=part))))
            if found:
                return SignAndSubmit(found[0])
    raise AssertionError("no swap of the scene can be followed")
