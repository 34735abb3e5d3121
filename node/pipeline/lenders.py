"""Which lender an execution borrows from: the cheapest that has enough and that the route does not lock out."""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.units import TokenAmount
from node.pipeline.plans import FlashLender, FlashLoan, LenderKind
from node.pipeline.pools import PoolFamily, PoolSpec
from protocol.units import Address

_AAVE_HALF = FEE_SCALE // 2


class LenderBook:
    """The configured lenders by token, the cheapest first, with what they have."""

    def __init__(self, lenders: Sequence[FlashLender]) -> None:
        self._by_token: dict[Address, list[FlashLender]] = {}
        self._available: dict[tuple[Address, Address], TokenAmount] = {}
        for lender in lenders:
            self._by_token.setdefault(lender.token, []).append(lender)
            if lender.available is not None:
                self._available[lender.address, lender.token] = lender.available
        for several in self._by_token.values():
            several.sort(key=lambda lender: lender.fee_pips)

    def read(self, lender: Address, token: Address, available: TokenAmount) -> None:
        """Take in how much a lender has."""
        self._available[lender, token] = available

    def cheapest(self, token: Address) -> FlashLender | None:
        """The lender with the lowest fee; None if nobody lends the token."""
        lenders = self._by_token.get(token)
        return lenders[0] if lenders else None

    def most(self, token: Address) -> TokenAmount | None:
        """The most that any one lender has; None where one's amount is not known, and so no bound."""
        amounts = [self._available.get((one.address, token)) for one in self._by_token.get(token, ())]
        known = [amount for amount in amounts if amount is not None]
        return max(known, default=0) if len(known) == len(amounts) else None

    def lender_for(self, token: Address, amount: TokenAmount, route: Sequence[PoolSpec]) -> FlashLender | None:
        """The cheapest lender for a route; None if none is left."""
        for lender in self._by_token.get(token, ()):
            available = self._available.get((lender.address, token))
            if (available is None or available >= amount) and not locks_out(lender, route):
                return lender
        return None


def locks_out(lender: FlashLender, route: Sequence[PoolSpec]) -> bool:
    """Whether the lender's contract refuses to swap on the route while it lends (both have reentrancy guards)."""
    if lender.kind is LenderKind.BALANCER_V2:
        return any(spec.family is PoolFamily.BALANCER_V2_WEIGHTED for spec in route)
    return lender.kind is LenderKind.UNISWAP_V3 and lender.address in [spec.address for spec in route]


def flash_loan(lender: FlashLender, amount: TokenAmount) -> FlashLoan:
    """The loan with its fee, as the lender rounds it: Aave half up (PercentageMath), the others up."""
    product = amount * lender.fee_pips
    if lender.kind is LenderKind.AAVE_V3:
        return FlashLoan(lender, amount, (product + _AAVE_HALF) // FEE_SCALE)
    return FlashLoan(lender, amount, -(-product // FEE_SCALE))
