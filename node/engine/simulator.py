"""The last check of a bundle: in our own EVM where its state is known, else by `eth_simulateV1` under a deadline.

A failure in our own EVM is always confirmed by the node.

What was computed behind executions of ours in other bundles runs behind them, with what they stand behind: alone it may
be worth nothing. Only its own transactions are in the answer.

The node is asked few things at once, so that a block's many finds do not stand before what is urgent: an order of
another operator, which waits for its answer a fifth of a second.

Always answers: SIMULATION_REVERTED, SIMULATION_UNAVAILABLE (no answer in time), or the profits as the logs tell them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from node.engine.endpoints import Endpoints
from node.engine.evm import EvmBlock, EvmCall, EvmResult, is_near_limit
from node.engine.few_at_once import FewAtOnce
from node.engine.headers import Header
from node.engine.node_simulation import block_after, is_for_own_evm, run_by_node, signed_call, signed_request
from node.engine.own_evm import OwnEvm
from node.engine.rpc import RpcError
from node.engine.vault_logs import profit_told
from node.pipeline.events import BundleSimulated, SimulateBundle
from node.pipeline.plans import BundlePlan, Execution
from node.pipeline.reasons import Reason
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Gas, UnixNanoseconds, Wei, address_to_hex

ANSWER_SECONDS: Final = 0.5
"""For `eth_simulateV1`: later the builders close."""
MAX_ASKED: Final = 4
"""Simulations at the node at once; the others wait for their turn, at most until the next head."""
TAKE_OVER_SECONDS: Final = 0.4
"""For so long a bundle waits for the changes of the block before it; then the node simulates it. An order does not."""

_Slot = TypeVar("_Slot")
_LOG: Final = logging.getLogger("hftnode.engine.simulator")


class BundleSimulator:
    """A `node.pipeline.ports.Simulator`. `counts`: `own_evm` and `by_node` (who answered), `missed`, `failed` and
    `near_limit` (what our own EVM could not tell), `stale`, `unavailable`.
    """

    def __init__(self, endpoints: Endpoints, own_evm: OwnEvm, now: Callable[[], UnixNanoseconds]) -> None:
        self.counts: Counter[str] = Counter()
        self.own_evm, self._endpoints, self._now = own_evm, endpoints, now
        self._asking = FewAtOnce(MAX_ASKED)

    async def simulate(self, request: SimulateBundle) -> BundleSimulated:
        """Run the bundle on the head's state."""
        plan, head = request.plan, self.own_evm.head
        if head is None or plan.target_block != head.number + 1:
            self.counts["stale"] += 1
            return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)
        base_fee = Wei(plan.executions[0].max_fee_per_gas - plan.executions[0].bid.priority_fee_per_gas)
        order = _order_of(request)
        calls = order.map(lambda victim: signed_call(victim, base_fee), lambda own: _own_call(plan, own))
        block = block_after(head, base_fee)
        is_urgent = any(one.order is not None for one in plan.opportunities)
        if not is_urgent:
            await self.own_evm.caught_up(TAKE_OVER_SECONDS)
        results = self._by_own_evm(calls, block) if is_for_own_evm(order.victims) else None
        if results is None:
            async with self._asking.turn(is_urgent=is_urgent):
                if self.own_evm.head is not head:
                    self.counts["stale"] += 1
                    return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)
                return await self._by_node(plan, order, head, block)
        self.counts["own_evm"] += 1
        return self._answer(plan, None, order.of_bundle(results))

    def _by_own_evm(self, calls: Sequence[EvmCall], block: EvmBlock) -> tuple[EvmResult, ...] | None:
        """The results, or None where only the node can tell."""
        run = self.own_evm.run(calls, block)
        if run is None:
            return None
        if run.results is None or not run.is_whole:  # a failing run does not tell all that it missed
            self.counts["missed" if run.results is not None else "failed"] += 1
            self.own_evm.learn_soon(calls, block)
            return None
        if is_near_limit(calls, run.results):
            self.counts["near_limit"] += 1
            return None
        return run.results

    async def _by_node(self, plan: BundlePlan, order: _Order, head: Header, block: EvmBlock) -> BundleSimulated:
        self.counts["by_node"] += 1
        requests = order.map(signed_request, lambda own: _own_request(plan, own))
        try:
            run = await run_by_node(self._endpoints, requests, block, head, ANSWER_SECONDS)
        except RpcError as error:
            return self._unavailable(plan, error)
        if run is None:
            self.counts["unavailable"] += 1
            return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)
        if run.failed:
            return self._answer(plan, Reason.SIMULATION_REVERTED)
        return self._answer(plan, None, order.of_bundle(run.results))

    def _unavailable(self, plan: BundlePlan, error: RpcError) -> BundleSimulated:
        self.counts["unavailable"] += 1
        _LOG.warning("a bundle could not be simulated: %s", error)
        return self._answer(plan, Reason.SIMULATION_UNAVAILABLE)

    def _answer(self, plan: BundlePlan, failure: Reason | None, results: Sequence[EvmResult] = ()) -> BundleSimulated:
        own = results[-len(plan.executions) :] if failure is None else ()
        profits = tuple(
            profit_told(result.logs, execution.opportunity.profit_token, plan.entry_point)
            for result, execution in zip(own, plan.executions, strict=failure is None)
        )
        gas = Gas(sum(one.gas_used for one in results))
        return BundleSimulated(plan.id, failure, profits, gas, self._now(), tuple(Gas(one.gas_used) for one in own))


class _Order(NamedTuple):
    """Transactions in the order in which they run, each with whether it is one of the bundle's own or of what it was
    computed behind.
    """

    transactions: tuple[tuple[SignedTransaction | Execution, bool], ...]

    @property
    def victims(self) -> list[SignedTransaction]:
        """Others' transactions, of this bundle and of those ahead."""
        return [one for one, _ in self.transactions if isinstance(one, SignedTransaction)]

    def map(self, theirs: Callable[[SignedTransaction], _Slot], ours: Callable[[Execution], _Slot]) -> list[_Slot]:
        """What the two functions make of them, in order."""
        return [theirs(one) if isinstance(one, SignedTransaction) else ours(one) for one, _ in self.transactions]

    def of_bundle(self, results: Sequence[EvmResult]) -> list[EvmResult]:
        """Of the results those of the bundle's own transactions."""
        return [result for result, (_, is_own) in zip(results, self.transactions, strict=True) if is_own]


def _order_of(request: SimulateBundle) -> _Order:
    """What is ahead first, each execution behind the transactions that it stands behind; each transaction once."""
    plan, ran = request.plan, dict[bytes, None]()
    order: list[tuple[SignedTransaction | Execution, bool]] = []
    own = {victim.hash for victim in plan.victims}
    for execution in request.ahead:
        before = [victim for victim in execution.opportunity.victims if victim.hash not in ran]
        ran.update(dict.fromkeys([victim.hash for victim in before]))
        order += [*((victim, victim.hash in own) for victim in before), (execution, False)]
    rest: list[SignedTransaction | Execution] = plan.in_order(lambda victim: victim, lambda execution: execution)
    order += [(one, True) for one in rest if not (isinstance(one, SignedTransaction) and one.hash in ran)]
    return _Order(tuple(order))


def _own_call(plan: BundlePlan, own: Execution) -> EvmCall:
    sender, to = address_to_hex(own.sender), address_to_hex(plan.entry_point)
    return EvmCall(sender, to, own.call_data, 0, own.gas_limit, own.max_fee_per_gas)


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
