"""The market across restarts: states out of the snapshot, brought to the head by the logs in between.

Only what logs tell in full is brought up; a pool that a log made doubtful, or whose state changes without one, is
read as if there were no snapshot. So is everything where the snapshot is refused, is too old, or its block is not on
the chain.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from node.config import ProtocolsConfig
from node.engine import market_snapshot
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, HeaderInvalid, header_from_json
from node.engine.market_snapshot import Snapshot, SnapshotRefused
from node.engine.pool_logs import PoolLogs
from node.engine.pool_topics import LogJson
from node.engine.rpc import RpcRefused
from node.pipeline.amm.balancer_stable import BalancerStablePool
from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.amm.errors import AmmError
from node.pipeline.changes import changed
from node.pipeline.events import StateOutdated
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState
from protocol.units import BlockNumber, ChainId, Hash32

_log = logging.getLogger(__name__)

MOST_BEHIND: Final = 2_048
"""Blocks; an older snapshot costs more logs than reading the pools does calls."""
RANGE_BLOCKS: Final = 256
_UNTOLD: Final = frozenset({PoolFamily.CURVE_META, PoolFamily.CURVE_CRYPTO, PoolFamily.ERC4626, PoolFamily.WRAPPER})

MAY_MOVE: Final = frozenset({PoolFamily.BALANCER_V2_STABLE, PoolFamily.CURVE_PLAIN})
"""Families of which some pools, by their states, change with time alone."""


class _RangeLog(LogJson, frozen=True, gc=False, rename="camel"):
    """A log of a range of blocks."""

    block_number: str


def is_untold(spec: PoolSpec, state: PoolState | None) -> bool:
    """Whether the pool's state, so far as it is known, changes without a log that says so: rates and yields grow, fees
    move, an amplification ramps.
    """
    is_moving = isinstance(state, BalancerStablePool | CurvePool) and state.is_moving
    return is_moving or spec.has_moving_fee or spec.family in _UNTOLD


class MarketMemory:
    """The snapshot of one node; without a folder nothing is kept. `counts`: `restored`, `refused`, `written`."""

    def __init__(self, folder: Path | None, chain: ChainId, endpoints: Endpoints, protocols: ProtocolsConfig) -> None:
        self.counts: Counter[str] = Counter()
        self._path = None if folder is None else folder / market_snapshot.FILE_NAME
        self._chain, self._endpoints, self._protocols = chain, endpoints, protocols
        self._writing = threading.Lock()

    @property
    def is_kept(self) -> bool:
        """Whether there is a folder to keep anything in."""
        return self._path is not None

    async def states_at(self, head: Header, specs: Sequence[PoolSpec]) -> dict[PoolId, PoolState]:
        """States of these pools after a head, as far as the snapshot and the logs since tell them. Raises RpcError."""
        try:
            snapshot = await self._fitting(head)
        except SnapshotRefused as refused:
            self.counts["refused"] += 1
            _log.warning("the market is read anew: %s", refused)
            return {}
        if snapshot is None:
            return {}
        logs = PoolLogs(self._protocols.factories, [one.family for one in self._protocols.pools])
        kept = snapshot.states
        known = {spec.id: spec for spec in specs if spec.id in kept and not is_untold(spec, kept[spec.id])}
        for spec in known.values():
            logs.follow(spec)
        try:
            between = await self._logs_between(BlockNumber(snapshot.number + 1), head.number, logs.topics)
        except RpcRefused as refused:
            _log.warning("the market is read anew: %s", refused)
            return {}
        if await self._hash_of(head.number) != head.hash:
            return {}  # the head left the chain meanwhile; the logs may be another's
        states = _brought_up({pool_id: snapshot.states[pool_id] for pool_id in known}, logs, between)
        self.counts["restored"] += len(states)
        return states

    def keep(self, head: Header, states: Mapping[PoolId, PoolState]) -> None:
        """Write the states after a head. A failure is logged: the next start takes longer."""
        if self._path is None or not self._path.parent.is_dir() or not states:
            return
        try:
            with self._writing:  # a thread may still be at it when the process ends
                market_snapshot.write(self._path, self._chain, head.number, head.hash, states)
            self.counts["written"] += 1
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)

    async def _fitting(self, head: Header) -> Snapshot | None:
        """The snapshot, if there is one. Raises SnapshotRefused, RpcError."""
        snapshot = None if self._path is None else market_snapshot.read(self._path, self._chain)
        if snapshot is None:
            return None
        behind = head.number - snapshot.number
        if not 0 <= behind <= MOST_BEHIND:
            raise SnapshotRefused(f"the snapshot is of block {snapshot.number}, the head {head.number}")
        if await self._hash_of(snapshot.number) != snapshot.hash:
            raise SnapshotRefused(f"the snapshot's block {snapshot.number} is not on the chain")
        return snapshot

    async def _logs_between(self, first: BlockNumber, last: BlockNumber, topics: list[str]) -> list[_RangeLog]:
        logs: list[_RangeLog] = []
        for start in range(first, last + 1, RANGE_BLOCKS):
            end = min(start + RANGE_BLOCKS - 1, last)
            asked = {"fromBlock": hex(start), "toBlock": hex(end), "topics": [topics]}
            logs += await self._endpoints.call("eth_getLogs", asked, shape=list[_RangeLog], seconds=15.0)
        # In the chain's order whatever the node's, and each once.
        placed = {(int(log.block_number, 16), int(log.log_index, 16)): log for log in logs}
        return [placed[place] for place in sorted(placed)]

    async def _hash_of(self, number: BlockNumber) -> Hash32 | None:
        raw = await self._endpoints.call("eth_getBlockByNumber", hex(number), False, shape=msgspec.Raw)
        try:
            return header_from_json(raw).hash
        except HeaderInvalid:
            return None


def _brought_up(states: dict[PoolId, PoolState], logs: PoolLogs, between: Sequence[LogJson]) -> dict[PoolId, PoolState]:
    said = logs.read(between)
    doubtful = set(said.doubtful)
    for change in said.changes:
        if change.pool_id in doubtful or isinstance(change, StateOutdated):
            doubtful.add(change.pool_id)
            continue
        try:
            states[change.pool_id] = changed(states[change.pool_id], change)
        except AmmError:
            doubtful.add(change.pool_id)
    return {pool_id: state for pool_id, state in states.items() if pool_id not in doubtful}
