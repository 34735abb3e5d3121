"""Exact integers into executions and bundles. No float comes here; what a plan says is what is signed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.finds import Find
from node.pipeline.gas import gas_limit
from node.pipeline.plans import Bid, BundlePlan, Execution
from node.pipeline.ports import CallDataBuilder
from node.pipeline.prices import ReferencePrice
from node.pipeline.settings import PipelineSettings
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Address, Gas, Hash32, Wei


class Costs(msgspec.Struct, frozen=True, gc=False):
    """What an execution costs with a bid: `bid` as the builder expects it, the others at their most."""

    gas_limit: Gas
    gas: Wei
    bid: Wei
    bid_most: Wei
    hot_key_most: Wei


def costs_of(find: Find, bid: Bid, base_fee: Wei) -> Costs:
    """The costs of a find with a bid at a base fee."""
    expected, limit = find.opportunity.gas, gas_limit(find.opportunity.gas)
    tip = bid.priority_fee_per_gas
    return Costs(
        limit,
        Wei(expected * base_fee),
        Wei(bid.coinbase_wei + tip * expected),
        Wei(bid.coinbase_wei + tip * limit),
        Wei(limit * (base_fee + tip)),
    )


class BundleBuilder:
    """Builds for one chain, one entry point."""

    def __init__(self, settings: PipelineSettings, call_data: CallDataBuilder) -> None:
        self._settings, self._call_data = settings, call_data

    def execution(
        self, find: Find, bid: Bid, costs: Costs, price: ReferencePrice, base_fee: Wei, sender: Address, nonce: int
    ) -> Execution:
        """The transaction of a find. At its enforced minimum the profit still pays for gas, bid and minimum profit."""
        opportunity = find.opportunity
        hot_key_pays = costs.gas + bid.priority_fee_per_gas * opportunity.gas
        minimum = price.tokens_up(Wei(hot_key_pays + self._settings.limits.minimum_net_profit))
        minimum = max(0, min(minimum, opportunity.gross_profit - bid.coinbase_wei))
        call_data = self._call_data(
            sender=sender,
            steps=opportunity.steps,
            loan=opportunity.loan,
            profit_token=opportunity.profit_token,
            minimum_profit=minimum,
            bid=bid,
            deadline_block=opportunity.target_block,
            **({} if opportunity.order is None else {"order": opportunity.order}),
        )
        return Execution(
            opportunity=opportunity,
            bid=bid,
            minimum_profit=minimum,
            net_profit_wei=Wei(find.surplus - costs.bid),
            gas_limit=costs.gas_limit,
            max_fee_per_gas=Wei(base_fee + bid.priority_fee_per_gas),
            sender=sender,
            nonce=nonce,
            call_data=call_data,
        )

    def plan(self, executions: Sequence[Execution], replaces: Hash32) -> BundlePlan:
        """One bundle for one block: all victims first, each once, in the order of the executions that need them."""
        victims: dict[bytes, SignedTransaction] = {}
        named: list[bytes] = [replaces]
        for execution in executions:
            victims.update((victim.hash, victim) for victim in execution.opportunity.victims)
            named += [execution.sender, execution.nonce.to_bytes(8, "big"), execution.call_data]
            named.append(execution.bid.priority_fee_per_gas.to_bytes(16, "big"))
        return BundlePlan(
            id=Hash32(keccak256(b"".join(named))),
            target_block=executions[0].opportunity.target_block,
            victims=tuple(victims.values()),
            executions=tuple(executions),
            entry_point=self._settings.entry_point,
            chain_id=self._settings.chain_id,
            replaces=replaces,
        )
