"""What a pending transaction that no decoder reads changes in followed pools: it is run, and its logs are read.

In our own EVM where all that it reads is known there, else by a node of the chain, under a deadline and few at once:
bundles come first. Our own EVM learns only of what touches a followed pool.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from node.engine.endpoints import Endpoints
from node.engine.evm import EvmBlock, EvmCall, is_near_limit
from node.engine.few_at_once import FewAtOnce
from node.engine.headers import Header
from node.engine.node_simulation import block_after, is_for_own_evm, run_by_node, signed_call, signed_request
from node.engine.own_evm import OwnEvm
from node.engine.pool_logs import BlockLogs, PoolLogs
from node.engine.pool_topics import LogJson
from node.engine.rpc import RpcError
from node.engine.vault_logs import Log
from node.pipeline.events import PendingSimulated, PoolChange, SimulatePending
from node.pipeline.reasons import Reason
from protocol.units import Hash32, UnixNanoseconds

ANSWER_SECONDS: Final = 0.5
"""For `eth_simulateV1`: later is too late for a block of two seconds; it is asked for again with the next."""
TAKE_OVER_SECONDS: Final = 0.2
"""For so long it waits for the changes of the block before it."""
MAX_ASKED: Final = 2
"""At the node at once; the others wait, at most until the next head."""

_LOG: Final = logging.getLogger("hftnode.engine.pending_simulator")


class PendingSimulator:
    """Always answers: POOL_UNKNOWN where the logs do not tell a pool's state, VICTIM_WOULD_REVERT,
    SIMULATION_UNAVAILABLE (no answer in time, or another head), or the changes.

    `counts`: `own_evm` and `by_node` (who ran it), `touching` (those that change a followed pool), `reverting`,
    `stale`, `unavailable`.
    """

    def __init__(
        self, endpoints: Endpoints, own_evm: OwnEvm, logs: Callable[[], PoolLogs], now: Callable[[], UnixNanoseconds]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._endpoints, self._own_evm, self._logs, self._now = endpoints, own_evm, logs, now
        self._asking = FewAtOnce(MAX_ASKED)

    async def simulate(self, request: SimulatePending) -> PendingSimulated:
        """Run the transactions in the block after the head."""
        head = self._own_evm.head
        if head is None or head.hash != request.on_block:
            return self._failed(request, Reason.SIMULATION_UNAVAILABLE, "stale")
        block = block_after(head, request.base_fee)
        calls = [signed_call(transaction, request.base_fee) for transaction in request.transactions]
        await self._own_evm.caught_up(TAKE_OVER_SECONDS)
        run = self._own_evm.run(calls, block) if is_for_own_evm(request.transactions) else None
        if run is not None and run.results is not None and run.is_whole and not is_near_limit(calls, run.results):
            self.counts["own_evm"] += 1
            return self._told(request, run.results[-1].logs)
        async with self._asking.turn(is_urgent=False):
            return await self._by_node(request, head, calls, block)

    async def _by_node(
        self, request: SimulatePending, head: Header, calls: Sequence[EvmCall], block: EvmBlock
    ) -> PendingSimulated:
        if self._own_evm.head is not head:
            return self._failed(request, Reason.SIMULATION_UNAVAILABLE, "stale")
        requests = [signed_request(transaction) for transaction in request.transactions]
        try:
            run = await run_by_node(self._endpoints, requests, block, head, ANSWER_SECONDS)
        except RpcError as error:
            _LOG.info("a pending transaction could not be simulated: %s", error)
            run = None
        if run is None:
            return self._failed(request, Reason.SIMULATION_UNAVAILABLE, "unavailable")
        self.counts["by_node"] += 1
        if run.failed:
            return self._failed(request, Reason.VICTIM_WOULD_REVERT, "reverting")
        answer = self._told(request, run.results[-1].logs)
        if answer.pool_changes and self._own_evm.head is head and is_for_own_evm(request.transactions):
            self._own_evm.learn_soon(calls, block)
        return answer

    def _told(self, request: SimulatePending, logs: Sequence[Log]) -> PendingSimulated:
        said: BlockLogs = self._logs().told([_as_json(log) for log in logs])
        self.counts["touching"] += bool(said.changes or said.doubtful)
        return self._answer(request, Reason.POOL_UNKNOWN if said.doubtful else None, tuple(said.changes))

    def _failed(self, request: SimulatePending, reason: Reason, count: str) -> PendingSimulated:
        self.counts[count] += 1
        return self._answer(request, reason)

    def _answer(
        self, request: SimulatePending, failure: Reason | None, changes: tuple[PoolChange, ...] = ()
    ) -> PendingSimulated:
        asked = Hash32(request.transactions[-1].hash)
        return PendingSimulated(asked, request.on_block, failure, () if failure else changes, self._now())


def _as_json(log: Log) -> LogJson:
    topics = ["0x" + topic.hex() for topic in log.topics]
    return LogJson("0x" + log.address.hex(), topics, "0x" + log.data.hex(), "", "")
