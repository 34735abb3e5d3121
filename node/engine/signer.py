"""Holds the hot key. Signs plans that passed the risk gate, and nothing else.

The gate's word is the type: only the pipeline makes a `SignAndSubmit`, and only after it approved. What is checked here
once more is what a mistake anywhere above would cost most: chain, contract, sender, and what the gas may cost.

SigningRefused      the plan is not for this key, chain or contract, or costs more than the configuration allows
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.engine.bundle_wire import bundle_hash
from node.errors import NodeError
from node.pipeline.events import SignAndSubmit
from node.pipeline.plans import BundlePlan, Execution
from protocol.ethereum.hot_path import sign_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, SignedTransaction
from protocol.units import Address, ChainId, Hash32, Wei, address_from_hex, address_to_hex

_IDENTITY_DOMAIN: Final = b"hftnode relay identity: "


class SigningRefused(NodeError):
    """The plan is not for this key, chain or contract, or costs more than the configuration allows."""


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A plan with its transactions as they go over the wire, in the bundle's one order."""

    plan: BundlePlan
    transactions: tuple[bytes, ...]
    hash: Hash32
    own: tuple[Hash32, ...]
    """Hashes of our transactions, in the order of the plan's executions."""


@dataclass(frozen=True, slots=True)
class SigningLimits:
    """What is signed at most: wei that one transaction may cost its sender in gas, and contract and chain it is for."""

    chain_id: ChainId
    entry_point: Address
    max_gas_cost: Wei


class Signer:
    """See the module. `identity` signs requests to relays: a key of its own, derived, so that it holds nothing."""

    def __init__(self, secret: bytes, limits: SigningLimits) -> None:
        self._key = SigningKey(secret)
        self._limits = limits
        self.address: Address = address_from_hex(self._key.address)
        self.identity = SigningKey(keccak256(_IDENTITY_DOMAIN + secret))

    def sign(self, approved: SignAndSubmit) -> SignedBundle:
        """Sign the executions of an approved plan. Raises SigningRefused."""
        plan = approved.plan
        for execution in plan.executions:
            self._check(plan, execution)
        raws = plan.in_order(_raw_of, lambda execution: self._transaction(plan, execution))
        own = tuple(Hash32(keccak256(raw)) for raw in raws[len(plan.victims) :])
        return SignedBundle(
            plan=plan,
            transactions=tuple(raws),
            hash=bundle_hash([*(victim.hash for victim in plan.victims), *own]),
            own=own,
        )

    def __repr__(self) -> str:
        return f"Signer({self._key.address})"

    def _transaction(self, plan: BundlePlan, execution: Execution) -> bytes:
        fields = DynamicFeeFields(
            chain_id=plan.chain_id,
            nonce=execution.nonce,
            max_priority_fee_per_gas=execution.bid.priority_fee_per_gas,
            max_fee_per_gas=execution.max_fee_per_gas,
            gas_limit=execution.gas_limit,
            to=address_to_hex(plan.entry_point),
            data=execution.call_data,
        )
        return sign_call(fields, self._key)

    def _check(self, plan: BundlePlan, execution: Execution) -> None:
        limits = self._limits
        if plan.chain_id != limits.chain_id or plan.entry_point != limits.entry_point:
            raise SigningRefused("the plan is for another chain or contract")
        if execution.sender != self.address:
            raise SigningRefused("the plan is for another key")
        cost = execution.gas_limit * execution.max_fee_per_gas
        if cost > limits.max_gas_cost:
            raise SigningRefused(f"gas could cost {cost} wei, more than {limits.max_gas_cost}")


def _raw_of(victim: SignedTransaction) -> bytes:
    return victim.raw
