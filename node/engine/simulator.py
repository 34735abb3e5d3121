"""The last check of a bundle: in our own EVM where its state is known, else by `eth_simulateV1` under a deadline.

What a run misses is read in the background, for the next bundle on the same contracts; each block's changes are taken
from its trace (`debug_traceBlockByHash`, prestate differences). A node that does not trace gives no changes: then all
bundles are simulated by it. A failure in our own EVM is always confirmed by the node.

The node is asked few things at once, so that a block's many finds do not stand before what is urgent: an order of
another operator, which waits for its answer a fifth of a second.

Always answers: SIMULATION_REVERTED, SIMULATION_UNAVAILABLE (no answer in time), or the profits as the logs tell them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.evm import Evm, EvmBlock, EvmCall, EvmResult
from node.engine.evm_state import (
    BlockTrace,
    Prestate,
    apply_block,
    apply_prestate,
    prestate_tracer,
    read_state,
    traced_call,
    unknown_accounts,
)
from node.engine.few_at_once import FewAtOnce
from node.engine.headers import Header
from node.engine.rpc import RpcError, RpcRefused, RpcTimeout
from node.engine.rpc_types import Quantity
from node.engine.vault_logs import Log, profit_told
from node.pipeline.events import BundleSimulated, SimulateBundle
from node.pipeline.plans import BundlePlan, Execution
from node.pipeline.reasons import Reason
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee
from protocol.units import Gas, Hash32, UnixNanoseconds, Wei, address_to_hex

ANSWER_SECONDS: Final = 0.5
"""For `eth_simulateV1`: later the builders close."""
MAX_ASKED: Final = 4
"""Simulations at the node at once; the others wait for their turn, at most until the next head."""
TRACE_SECONDS: Final = 1.0
BLOCK_TRACE_SECONDS: Final = 5.0
MAX_LATE: Final = 3
"""Times that a block's trace may come too late, until it begins anew; who refuses so often does not trace."""
MAX_BEHIND: Final = 8
"""Blocks whose changes are not in yet; then it begins anew."""
TAKE_OVER_SECONDS: Final = 0.4
"""For so long a bundle waits for the changes of the block before it; then the node simulates it. An order does not."""
MAX_KNOWN: Final = 200_000
"""Accounts and slots in our own EVM; beyond, it starts anew, which is counted."""
MAX_LEARNING: Final = 8
"""Bundles at once whose state is being read; further ones are not learnt from, which is counted."""
MAX_ROUNDS: Final = 24
_GAS_PERCENT: Final = 80
"""With more of its gas limit used than this, the node is asked: our EVM counts too little behind other calls."""
_NO_METHOD: Final = -32_601
_REFUSED_TRANSACTION: Final = frozenset((3, -32003))
_SIMULATION_CODES: Final = range(-38_999, -37_999)

_LOG: Final = logging.getLogger("hftnode.engine.simulator")


class _CallAnswer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    status: Quantity
    gas_used: Quantity
    logs: tuple[Log, ...] = ()


class _BlockAnswer(msgspec.Struct, frozen=True):
    calls: tuple[_CallAnswer, ...]


class BundleSimulator:
    """A `node.pipeline.ports.Simulator`. `own_evm` False: everything by the node, so that a run in lockstep does not
    depend on what was learnt when.
    """

    def __init__(
        self, endpoints: Endpoints, chain_id: int, now: Callable[[], UnixNanoseconds], *, own_evm: bool = True
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._endpoints, self._chain_id, self._now, self._own_evm = endpoints, chain_id, now, own_evm
        self._evm = Evm(chain_id)
        self._head: Header | None = None
        self._at: Hash32 | None = None
        """The block that the EVM's state is of."""
        self._behind: deque[Header] = deque()
        """Blocks after it whose changes are being read."""
        self._taking_over: asyncio.Task[None] | None = None
        self._learning = 0
        self._asking = FewAtOnce(MAX_ASKED)
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, header: Header) -> None:
        """A new head: take its changes over in the background. Called before the block is taken in."""
        self._head = header
        if not self._own_evm:
            return
        last = self._behind[-1].hash if self._behind else self._at
        if last != header.parent_hash or len(self._behind) >= MAX_BEHIND:
            self._begin_anew()
        elif len(self._evm) == 0:
            self._at = header.hash
        else:
            self._behind.append(header)
            if self._taking_over is None or self._taking_over.done():
                self._taking_over = self._start(self._take_over())

    async def simulate(self, request: SimulateBundle) -> BundleSimulated:
        """Run the bundle on the head's state."""
        plan, head = request.plan, self._head
        if head is None or plan.target_block != head.number + 1:
            self.counts["stale"] += 1
            return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)
        base_fee = Wei(plan.executions[0].max_fee_per_gas - plan.executions[0].bid.priority_fee_per_gas)
        calls = plan.in_order(lambda victim: _victims_call(victim, base_fee), lambda own: _own_call(plan, own))
        block = _block_after(head, base_fee)
        is_urgent = any(one.order is not None for one in plan.opportunities)
        if self._behind and self._taking_over is not None and not is_urgent:
            await asyncio.wait({self._taking_over}, timeout=TAKE_OVER_SECONDS)
        results = self._by_own_evm(calls, block)
        if results is None:
            async with self._asking.turn(is_urgent=is_urgent):
                if self._head is not head:
                    self.counts["stale"] += 1
                    return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)
                return await self._by_node(plan, head, block)
        self.counts["own_evm"] += 1
        return self._answer(plan, None, results)

    async def settled(self) -> None:
        """Return when nothing is being read in the background any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _by_own_evm(self, calls: Sequence[EvmCall], block: EvmBlock) -> tuple[EvmResult, ...] | None:
        """The results, or None where only the node can tell."""
        head, at = self._head, self._at
        if not self._own_evm or head is None or at != head.hash:
            return None
        run = self._evm.run(calls, block)
        results = run.results
        if results is None or not run.is_whole:  # a failing run does not tell all that it missed
            self.counts["missed" if results is not None else "failed"] += 1
            self._learn_soon(calls, block, head)
            return None
        if any(result.gas_used * 100 > call.gas * _GAS_PERCENT for result, call in zip(results, calls, strict=True)):
            self.counts["near_limit"] += 1
            return None
        return results

    async def _by_node(self, plan: BundlePlan, head: Header, block: EvmBlock) -> BundleSimulated:
        self.counts["by_node"] += 1
        shape = tuple[_BlockAnswer, ...]
        at = {"blockHash": "0x" + head.hash.hex()}
        requests = plan.in_order(_victims_request, lambda own: _own_request(plan, own))
        try:
            answers = await self._endpoints.call(
                "eth_simulateV1", _simulation(requests, block), at, shape=shape, seconds=ANSWER_SECONDS
            )
        except RpcRefused as refused:
            if refused.code in _REFUSED_TRANSACTION or refused.code in _SIMULATION_CODES:
                return self._answer(plan, Reason.SIMULATION_REVERTED)
            return self._unavailable(plan, refused)
        except RpcError as error:
            return self._unavailable(plan, error)
        calls = answers[0].calls if answers else ()
        if len(calls) != len(requests):
            self.counts["unavailable"] += 1
            return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)
        results = tuple(EvmResult(int(call.gas_used), call.logs) for call in calls)
        failed = not all(call.status for call in calls)
        return self._answer(plan, Reason.SIMULATION_REVERTED if failed else None, results)

    def _unavailable(self, plan: BundlePlan, error: RpcError) -> BundleSimulated:
        self.counts["unavailable"] += 1
        _LOG.warning("a bundle could not be simulated: %s", error)
        return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)

    def _answer(self, plan: BundlePlan, failure: Reason | None, results: Sequence[EvmResult] = ()) -> BundleSimulated:
        own = results[len(plan.victims) :] if failure is None else ()
        profits = tuple(
            profit_told(result.logs, execution.opportunity.profit_token, plan.entry_point)
            for result, execution in zip(own, plan.executions, strict=failure is None)
        )
        return BundleSimulated(plan.id, failure, profits, Gas(sum(one.gas_used for one in results)), self._now())

    # The state of our own EVM

    def _begin_anew(self) -> None:
        self.counts["begun_anew"] += 1
        self._evm = Evm(self._chain_id)
        self._behind.clear()
        self._at = None if self._head is None else self._head.hash

    async def _take_over(self) -> None:
        """Write what blocks changed, one after the other; without a block's trace begin anew.

        One that only comes late is asked for again: all that was learnt costs the node more than the trace does.
        """
        late = refused = 0
        while self._behind:
            evm, header = self._evm, self._behind[0]
            try:
                trace: tuple[BlockTrace, ...] = await self._endpoints.call(
                    "debug_traceBlockByHash",
                    "0x" + header.hash.hex(),
                    prestate_tracer(diffMode=True),
                    shape=tuple[BlockTrace, ...],
                    seconds=BLOCK_TRACE_SECONDS,
                )
            except RpcError as error:
                self.counts["not_traced"] += 1
                late += 1
                refused += isinstance(error, RpcRefused)
                has_no_method = isinstance(error, RpcRefused) and error.code == _NO_METHOD
                is_without = has_no_method or refused == MAX_LATE
                if isinstance(error, RpcTimeout | RpcRefused) and not is_without and late < MAX_LATE:
                    continue
                if is_without and self._evm is evm:
                    self._own_evm = False
                    _LOG.warning("%s; bundles are simulated by the node instead of our own EVM", error)
                if self._evm is evm:
                    self._begin_anew()
                continue
            if self._evm is evm:  # else it began anew in the meantime
                apply_block(evm, trace)
                self._at, late, refused = self._behind.popleft().hash, 0, 0
                if len(evm) > MAX_KNOWN:
                    self._begin_anew()

    def _learn_soon(self, calls: Sequence[EvmCall], block: EvmBlock, head: Header) -> None:
        if self._learning >= MAX_LEARNING:
            self.counts["not_learnt"] += 1
            return
        self._learning += 1
        self._start(self._learn(calls, block, head))

    async def _learn(self, calls: Sequence[EvmCall], block: EvmBlock, head: Header) -> None:
        """Read what a bundle needs, call after call, until each runs on what is known; give up where one fails."""
        evm = self._evm
        try:
            for end in range(1, len(calls) + 1):
                if not await self._learn_call(evm, calls[:end], block, head):
                    return
            self.counts["learnt"] += 1
        except RpcError as error:
            _LOG.debug("not learnt: %s", error)
        finally:
            self._learning -= 1

    async def _learn_call(self, evm: Evm, calls: Sequence[EvmCall], block: EvmBlock, head: Header) -> bool:
        """Read what the last of some calls needs: what the node's tracer tells, then what a run still misses."""
        at = {"blockHash": "0x" + head.hash.hex()}
        request, how = traced_call(calls[-1], evm.run(calls[:-1], block).changes, block)
        state: Prestate = await self._endpoints.call(
            "debug_traceCall", request, at, how, shape=Prestate, seconds=TRACE_SECONDS
        )
        missing: tuple[frozenset[str], frozenset[tuple[str, int]]] = unknown_accounts(evm, state), frozenset()
        for _ in range(MAX_ROUNDS):
            read = await read_state(self._endpoints, missing, at, TRACE_SECONDS) if any(missing) else {}
            if self._at != head.hash or self._evm is not evm:
                return False
            apply_prestate(evm, read)
            apply_prestate(evm, state)
            run = evm.run(calls, block)
            if run.is_whole:
                return run.results is not None
            missing = run.missing
        return False

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["faults"] += 1
            _LOG.error("reading state for simulations failed unforeseen", exc_info=error)


def _victims_call(victim: SignedTransaction, base_fee: Wei) -> EvmCall:
    price = base_fee + effective_priority_fee(victim, base_fee)
    return EvmCall(victim.sender, str(victim.to), victim.data, victim.value, victim.gas_limit, price)


def _own_call(plan: BundlePlan, own: Execution) -> EvmCall:
    sender, to = address_to_hex(own.sender), address_to_hex(plan.entry_point)
    return EvmCall(sender, to, own.call_data, 0, own.gas_limit, own.max_fee_per_gas)


def _block_after(head: Header, base_fee: Wei) -> EvmBlock:
    return EvmBlock(head.number + 1, head.timestamp + 1, base_fee, head.gas_limit, address_to_hex(head.coinbase))


def _simulation(requests: Sequence[dict[str, Any]], block: EvmBlock) -> dict[str, Any]:
    overrides = {
        "number": hex(block.number),
        "time": hex(block.timestamp),
        "gasLimit": hex(block.gas_limit),
        "feeRecipient": block.coinbase,
        "baseFeePerGas": hex(block.base_fee),
    }
    return {"blockStateCalls": [{"blockOverrides": overrides, "calls": requests}], "validation": True}


def _victims_request(victim: SignedTransaction) -> dict[str, Any]:
    return {
        "from": victim.sender,
        "to": victim.to,
        "nonce": hex(victim.nonce),
        "gas": hex(victim.gas_limit),
        "maxFeePerGas": hex(victim.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(victim.max_priority_fee_per_gas),
        "value": hex(victim.value),
        "input": "0x" + victim.data.hex(),
    }


def _own_request(plan: BundlePlan, own: Execution) -> dict[str, Any]:
    return {
        "from": address_to_hex(own.sender),
        "to": address_to_hex(plan.entry_point),
        "nonce": hex(own.nonce),
        "gas": hex(own.gas_limit),
        "maxFeePerGas": hex(own.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(own.bid.priority_fee_per_gas),
        "input": "0x" + own.call_data.hex(),
    }
