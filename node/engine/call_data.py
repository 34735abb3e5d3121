"""Call data of the vault module for the pipeline's executions: its types into those of `governance.executor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from governance.executor import (
    AaveLiquidation,
    AaveLoan,
    BalancerHop,
    BalancerLoan,
    ConcentratedHop,
    ConcentratedLoan,
    CurveHop,
    Hop,
    Loan,
    MorphoLiquidation,
    OrderToExecute,
    PairHop,
    PairVenue,
    Plan,
    SingletonHop,
    encode_execution,
)
from node.pipeline.amm.units import TokenAmount
from node.pipeline.plans import Bid, FlashLoan, LenderKind, LiquidationStep, NetworkOrder, Step
from node.pipeline.pools import AT_BALANCER_V2, PoolFamily
from protocol.errors import InvalidField
from protocol.units import Address, BlockNumber
from protocol.units import TokenAmount as Amount

_PAIRS: Final = {PoolFamily.UNISWAP_V2: PairVenue.UNISWAP_V2, PoolFamily.SUSHI_V2: PairVenue.SUSHI_SWAP}


TRADED: Final = frozenset(
    {*_PAIRS, PoolFamily.UNISWAP_V3, *AT_BALANCER_V2, PoolFamily.UNISWAP_V4, PoolFamily.CURVE_PLAIN}
)
"""The families that the executor has venues for; `_hop` knows each."""


class VaultCallData:
    """A `CallDataBuilder` for one vault a hot key: `safes` tells which Safe a sender operates."""

    def __init__(self, safes: Mapping[Address, Address]) -> None:
        self._safes = dict(safes)

    def let(self, sender: Address, safe: Address) -> None:
        """Let a sender operate a Safe."""
        self._safes[sender] = safe

    def __call__(
        self,
        *,
        sender: Address,
        steps: Sequence[Step],
        loan: FlashLoan,
        profit_token: Address,
        minimum_profit: TokenAmount,
        bid: Bid,
        deadline_block: BlockNumber,
        order: NetworkOrder | None = None,
    ) -> bytes:
        """Return `VaultModule.execute` with its plan. Raises InvalidField for what the contract would always refuse."""
        plan = Plan(
            last_block=deadline_block,
            minimum_profit=Amount(minimum_profit),
            builder_payment=bid.coinbase_wei,
            loan=_loan(loan),
            hops=tuple([_hop(step) for step in steps]),
            network=None if order is None else OrderToExecute(order.order, order.signature, order.entry),
        )
        drawn = Amount(loan.amount if loan.lender.kind is LenderKind.VAULT else 0)
        return encode_execution(self._safes[sender], profit_token, drawn, plan)


def _loan(loan: FlashLoan) -> Loan | None:
    lender, amount = loan.lender, Amount(loan.amount)
    if lender.kind is LenderKind.VAULT:
        return None
    if lender.kind is LenderKind.BALANCER_V2:
        return BalancerLoan(amount)
    if lender.kind is LenderKind.AAVE_V3:
        return AaveLoan(amount)
    if lender.other_token is None:
        raise InvalidField("a Uniswap V3 lender is named by its other token too", "other_token")
    return ConcentratedLoan(amount, lender.other_token, lender.fee_pips)


def _hop(step: Step) -> Hop:
    minimum = Amount(step.minimum_out)
    if isinstance(step, LiquidationStep):
        if step.terms is None:
            return AaveLiquidation(token_out=step.token_out, borrower=step.borrower, minimum_out=minimum)
        return MorphoLiquidation(
            token_out=step.token_out,
            borrower=step.borrower,
            oracle=step.terms.oracle,
            irm=step.terms.rate_model,
            lltv=step.terms.lltv,
            repaid_shares=step.terms.repaid_shares,
            minimum_out=minimum,
        )
    if step.family is PoolFamily.UNISWAP_V3:
        return ConcentratedHop(token_out=step.token_out, fee_pips=step.fee_pips, minimum_out=minimum)
    if step.family in AT_BALANCER_V2:
        return BalancerHop(token_out=step.token_out, pool_id=step.pool_id, minimum_out=minimum)
    if step.family is PoolFamily.UNISWAP_V4:
        return SingletonHop(
            token_out=step.token_out,
            fee_pips=step.fee_pips,
            tick_spacing=step.tick_spacing,
            in_ether=step.in_ether,
            minimum_out=minimum,
        )
    if step.family is PoolFamily.CURVE_PLAIN:
        return CurveHop(
            token_out=step.token_out,
            pool=step.address,
            coin_in=step.index_in,
            coin_out=step.index_out,
            is_crypto=False,
            minimum_out=minimum,
        )
    return PairHop(venue=_PAIRS[step.family], token_out=step.token_out, minimum_out=minimum)
