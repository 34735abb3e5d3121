"""What the engine tells the desk of itself once a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from node.config import Config
from node.engine.core import EngineCore
from node.engine.feed import ChainFeed
from node.engine.network.part import NetworkPart
from node.engine.relays import Relays
from node.engine.spool import Spool
from node.engine.treasury import Treasury
from node.link import EngineStatus
from node.pipeline.state import PipelineState
from protocol.units import UnixMilliseconds, address_to_hex

_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_MS_PER_SECOND: Final = 1_000


class StatusTeller:
    """Reads the parts when it is asked; changes nothing."""

    def __init__(
        self,
        config: Config,
        core: EngineCore,
        feed: ChainFeed,
        relays: Relays,
        treasury: Treasury,
        spool: Spool,
        network: NetworkPart | None,
        simulations: Mapping[str, int],
        wall_ns: Callable[[], int],
    ) -> None:
        self._config, self._core, self._feed, self._relays = config, core, feed, relays
        self._treasury, self._spool, self._network, self._wall_ns = treasury, spool, network, wall_ns
        self._simulations = simulations
        self.is_warm = False

    def __call__(self) -> EngineStatus:
        """The engine as it is now."""
        feed, core, state = self._feed.status, self._core, self._core.state
        market, now_ms = state.market, self._wall_ns() // _NS_PER_MS
        age = now_ms - feed.head_timestamp * _MS_PER_SECOND if feed.head_timestamp else 0
        dropped = {reason.value: count for reason, count in state.dropped.items()}
        phase = feed.phase if self.is_warm or feed.phase != "running" else "warming up"
        return EngineStatus(
            at=UnixMilliseconds(now_ms),
            phase=phase,
            mode=self._config.mode.value,
            head_number=feed.head_number,
            head_age_ms=max(0, age),
            pools=len(market.specs),
            pools_quarantined=market.quarantined_pools,
            cycles=len(market.index.cycles),
            tokens_trusted=feed.tokens_trusted,
            tokens_refused=feed.tokens_refused,
            tokens_unpriced=_unpriced(state) if phase == "running" else [],
            pending_seen=feed.pending_seen,
            pending_read=feed.pending_read,
            opportunities=dict(core.opportunities),
            dropped=_with_counts(dropped, core.counts),
            bundles_sent=core.counts["bundles_sent"],
            tick_to_bundle_us=percentiles_us(core.latencies_ns),
            rpcs=feed.rpcs,
            relays=dict(self._relays.states),
            hot_keys={address_to_hex(key): str(balance) for key, balance in self._treasury.balances.items()},
            spooled=len(self._spool),
            network=None if self._network is None else self._network.status(),
            pending_simulated=dict(self._simulations),
            load=feed.load,
            loans=loan_counts(state),
        )


def loan_counts(state: PipelineState) -> dict[str, int]:
    """What is followed of the lenders' loans, and what is left out of it."""
    aave, morpho, detector = state.loans.book, state.morpho.book, state.liquidations
    counts = {"unjudged": detector.unjudged, "not_weighed": detector.passed_over}
    if aave is not None:
        counts |= {"aave_positions": len(aave.positions), "aave_beyond_bound": aave.passed_over}
    if morpho is not None:
        counts |= {
            "morpho_markets": len(morpho.markets),
            "morpho_markets_refused": len(morpho.refused),
            "morpho_markets_beyond_bound": morpho.markets_beyond,
            "morpho_positions": len(morpho.positions),
            "morpho_positions_beyond_bound": morpho.positions_beyond,
            "morpho_feeds_unpriced": morpho.unpriced,
        }
    return counts


def percentiles_us(latencies_ns: Sequence[int]) -> dict[str, int]:
    """p50, p99 and max in whole microseconds, by nearest rank; empty without any."""
    if not latencies_ns:
        return {}
    ranked = sorted(latencies_ns)
    last = len(ranked) - 1
    places = {"p50": last // 2, "p99": (last * 99) // 100, "max": last}
    return {name: ranked[place] // _NS_PER_US for name, place in places.items()}


def _unpriced(state: PipelineState) -> list[str]:
    tokens = zip(state.settings.profit_tokens, state.search.prices, strict=True)
    return [address_to_hex(token.address) for token, price in tokens if price is None]


def _with_counts(dropped: dict[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """The pipeline's drops by reason, with those on the way out: no room, unrecorded, faults."""
    for name in ("outbox_full", "unrecorded", "faults", "pending_unsimulated"):
        if counts.get(name):
            dropped[name] = dropped.get(name, 0) + counts[name]
    return dropped
