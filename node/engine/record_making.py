"""The pipeline's values as records for the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from node.engine.signer import SignedBundle
from node.pipeline.plans import Execution, Opportunity
from node.records import BundleSigned, Leg, OpportunityFound, SignedExecution
from protocol.units import Hash32, UnixNanoseconds


def found_record(opportunity: Opportunity) -> OpportunityFound:
    """An opportunity with its route."""
    loan = opportunity.loan
    return OpportunityFound(
        opportunity_id=opportunity.id,
        opportunity_kind=opportunity.kind.name.lower(),
        target_block=opportunity.target_block,
        seen_at=opportunity.seen_at,
        victims=tuple(Hash32(victim.hash) for victim in opportunity.victims),
        legs=tuple(
            Leg(
                pool_id=step.pool_id,
                family=step.family.value,
                token_in=step.token_in,
                token_out=step.token_out,
                amount_in=str(step.amount_in),
                amount_out=str(step.amount_out),
            )
            for step in opportunity.steps
        ),
        lender=loan.lender.kind.value,
        borrowed=str(loan.amount),
        flash_fee=str(loan.fee),
        profit_token=opportunity.profit_token,
        gross_profit=str(opportunity.gross_profit),
        gross_profit_wei=str(opportunity.gross_profit_wei),
        gas=opportunity.gas,
    )


def signed_record(bundle: SignedBundle, signed_at: UnixNanoseconds, tick_to_bundle_ns: int) -> BundleSigned:
    """A bundle that is about to be sent."""
    plan = bundle.plan
    return BundleSigned(
        bundle_hash=bundle.hash,
        target_block=plan.target_block,
        victims=tuple(Hash32(victim.hash) for victim in plan.victims),
        executions=_signed_executions(plan.executions, bundle.own),
        signed_at=signed_at,
        tick_to_bundle_ns=tick_to_bundle_ns,
    )


def _signed_executions(executions: Sequence[Execution], own: Sequence[Hash32]) -> tuple[SignedExecution, ...]:
    return tuple(
        SignedExecution(
            opportunity_id=execution.opportunity.id,
            transaction_hash=transaction_hash,
            sender=execution.sender,
            nonce=execution.nonce,
            predicted_profit=str(execution.opportunity.gross_profit - execution.bid.coinbase_wei),
            minimum_profit=str(execution.minimum_profit),
            coinbase_wei=str(execution.bid.coinbase_wei),
            priority_fee_per_gas=str(execution.bid.priority_fee_per_gas),
            gas_limit=execution.gas_limit,
            behind=execution.opportunity.behind,
        )
        for execution, transaction_hash in zip(executions, own, strict=True)
    )
