"""Which lender an execution borrows from: the cheapest that has enough and that the route does not lock out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.units import TokenAmount
from node.pipeline.gas import fixed_guess
from node.pipeline.plans import FlashLender, FlashLoan, LenderKind
from node.pipeline.pool_lenders import PoolLenders
from node.pipeline.pools import AT_BALANCER_V2, PoolSpec, PoolState
from protocol.units import ZERO_ADDRESS, Address

_AAVE_HALF = FEE_SCALE // 2


class LenderBook:
    """The configured lenders by token, the cheapest first, with what they have; of equal fees that with less gas.

    `pools`: Uniswap V3's, where these lend too. They are looked at anew by `refresh`, once a block.
    """

    def __init__(self, lenders: Sequence[FlashLender], pools: PoolLenders | None = None) -> None:
        self._configured: dict[Address, list[FlashLender]] = {}
        self._available: dict[tuple[Address, Address], TokenAmount] = {}
        self._pools = pools
        self._removed: frozenset[bytes] = frozenset()
        self._unusable: set[Address] = set()
        for lender in lenders:
            self._configured.setdefault(lender.token, []).append(lender)
            if lender.available is not None:
                self._available[lender.address, lender.token] = lender.available
        self._by_token = {token: sorted(several, key=_dearness) for token, several in self._configured.items()}

    def refresh(self, tokens: Sequence[Address]) -> None:
        """Bring the pools' part up to the market's confirmed states."""
        if self._pools is not None:
            for token in tokens:
                several = [*self._configured.get(token, ()), *self._pools.of(token)]
                self._by_token[token] = sorted(several, key=_dearness)

    def read(self, lender: Address, token: Address, available: TokenAmount) -> None:
        """Take in how much a configured lender has."""
        self._available[lender, token] = available

    def allow(self, token: Address, module: Address, drawable: TokenAmount | None) -> None:
        """Take in the most that our vaults, through their `module`, let one execution draw of a token; None: they do
        not let it be used, and nothing is borrowed of it either.
        """
        self._available[module, token] = drawable or 0
        (self._unusable.add if drawable is None else self._unusable.discard)(token)

    def take_out(self, removed: frozenset[bytes]) -> None:
        """Borrow from none of these addresses; whether a pool lends the market says."""
        self._removed = removed

    def cheapest(self, token: Address) -> FlashLender | None:
        """The lender with the lowest fee that has anything; None if nobody lends the token."""
        for lender in self._by_token.get(token, ()):
            if self._has(lender) != 0:
                return lender
        return None

    def most(self, token: Address) -> TokenAmount | None:
        """The most that any one lender has; None where one's amount is not known, and so no bound."""
        amounts = [self._has(one) for one in self._by_token.get(token, ())]
        known = [amount for amount in amounts if amount is not None]
        return max(known, default=0) if len(known) == len(amounts) else None

    def lender_for(
        self,
        token: Address,
        amount: TokenAmount,
        route: Sequence[PoolSpec],
        moved: Mapping[int, PoolState] | None = None,
        *,
        drawable: TokenAmount | None = None,
    ) -> FlashLender | None:
        """The cheapest lender that has all of an amount for a route; None if none is left. See `sources`."""
        sources = self.sources(token, amount, route, moved, drawable=drawable)
        return sources[-1][0] if sources and sources[-1][1] >= amount else None

    def sources(
        self,
        token: Address,
        amount: TokenAmount,
        route: Sequence[PoolSpec],
        moved: Mapping[int, PoolState] | None = None,
        *,
        drawable: TokenAmount | None = None,
    ) -> list[tuple[FlashLender, TokenAmount]]:
        """Who lends for a route, and how much of an amount: the cheapest first, each further one has more than those
        before it; the last has all of it, if anybody has.

        `moved`: pools' states behind pending swaps. `drawable`: what the vault that will execute lets be drawn, where
        it is a certain one.
        """
        found: list[tuple[FlashLender, TokenAmount]] = []
        most = 0
        for lender in self._by_token.get(token, ()):
            available = self._has(lender)
            if drawable is not None and lender.kind is LenderKind.VAULT:
                available = min(drawable, available or 0)
            if available is not None and moved and self._pools is not None:
                available = self._pools.behind(lender, available, moved)
            part = amount if available is None else min(amount, available)
            if part > most and not locks_out(lender, route):
                found.append((lender, part))
                most = part
                if part == amount:
                    break
        return found

    def _has(self, lender: FlashLender) -> TokenAmount | None:
        if lender.address in self._removed or lender.token in self._unusable:
            return 0
        if lender.kind is LenderKind.UNISWAP_V3:
            return lender.available
        return self._available.get((lender.address, lender.token))


def locks_out(lender: FlashLender, route: Sequence[PoolSpec]) -> bool:
    """Whether the lender's contract refuses to swap on the route while it lends (both have reentrancy guards)."""
    if lender.kind is LenderKind.BALANCER_V2:
        return any(spec.family in AT_BALANCER_V2 for spec in route)
    return lender.kind is LenderKind.UNISWAP_V3 and lender.address in [spec.address for spec in route]


def leaders_vault(token: Address) -> FlashLender:
    """Stands for the vault of whoever executes an order of ours: it costs nothing, and is none of our sources."""
    return FlashLender(LenderKind.VAULT, ZERO_ADDRESS, token, 0)


def flash_loan(lender: FlashLender, amount: TokenAmount) -> FlashLoan:
    """The loan with its fee, as the lender rounds it: Aave half up (PercentageMath), the others up."""
    product = amount * lender.fee_pips
    if lender.kind is LenderKind.AAVE_V3:
        return FlashLoan(lender, amount, (product + _AAVE_HALF) // FEE_SCALE)
    return FlashLoan(lender, amount, -(-product // FEE_SCALE))


def _dearness(lender: FlashLender) -> tuple[int, int, int]:
    return lender.fee_pips, fixed_guess(lender.kind), -(lender.available or 0)
