"""What the Universal Router or SwapRouter02 holds from step to step of one plan, and what its swaps make of it.

Its accounts begin empty but for the ether sent along: what somebody left there before is not known here. Whoever sends
is taken to be able to pay. Sources: Uniswap/universal-router, contracts/modules (Payments, V2SwapRouter, V3SwapRouter);
v4-periphery, src/V4Router.sol and src/base/DeltaResolver.sol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.decoders_core import (
    MANAGER,
    OPEN,
    OWED,
    ROUTER,
    ROUTERS_ALL,
    SENDER,
    WHOLE,
    Payment,
    PlannedSwap,
    Step,
    Venue,
)
from node.pipeline.market import Edge, Market
from node.pipeline.pools import PoolState, quote_exact_out
from node.pipeline.reach import Reach
from protocol.units import Address

_POOLS: Final = Address(b"pools")
_MAY_OWE: Final = frozenset((SENDER, MANAGER, _POOLS))


class PlanReverts(Exception):  # it says what the chain does: `Overlay.apply` takes it
    """The router or a token would revert at this step."""


class RouterAccounts:
    """One plan under way on `states`, which its swaps change; `known` gives a pool's state there, `reach` how far its
    swaps can walk."""

    __slots__ = ("_held", "_known", "_market", "_reach", "_states")

    def __init__(
        self, market: Market, states: dict[int, PoolState], known: Callable[[int], PoolState], reach: Reach
    ) -> None:
        self._market, self._states, self._known, self._reach = market, states, known, reach
        self._held: dict[tuple[Address, Address], int] = {}

    def perform(self, step: Step, edges: Sequence[int]) -> int:
        """Do one step; return what it moved. Raises PlanReverts, and what the pools' maths raise."""
        if isinstance(step, Payment):
            return self._pay(step)
        if not isinstance(step, PlannedSwap):
            raise TypeError(f"{type(step).__name__} is no step of a plan")
        ways = [self._market.edges[edge] for edge in edges]
        if step.venue is Venue.V4:
            return self._v4(step, ways)
        if step.venue is Venue.V3:
            return self._v3_in(step, ways) if step.exact_in else self._v3_out(step, ways)
        return self._v2(step, ways)

    # Accounts

    def held(self, owner: Address, token: Address) -> int:
        """What an account has more of a token than it had before the plan."""
        return self._held.get((owner, token), 0)

    def _move(self, token: Address, source: Address, target: Address, amount: int, becomes: Address | None) -> None:
        """From one account to another: only those of the sender, the pools and V4's manager may be overdrawn."""
        rest = self.held(source, token) - amount
        if rest < 0 and source not in _MAY_OWE:
            raise PlanReverts
        self._held[source, token] = rest
        into = target, becomes or token
        self._held[into] = self._held.get(into, 0) + amount

    def _pay(self, step: Payment) -> int:
        if step.settles:
            if any(left for (owner, _), left in self._held.items() if owner == MANAGER):
                raise PlanReverts
            return 0
        amount = step.amount
        if amount == ROUTERS_ALL:
            amount = self.held(ROUTER, step.token)
        elif amount == OPEN:
            amount = self._open(step.token, owed=False)
        elif amount == OWED:
            amount = self._open(step.token, owed=True)
        if not step.least <= amount <= step.most:
            raise PlanReverts
        amount = amount * step.portion // WHOLE
        self._move(step.token, step.source, step.target, amount, step.becomes)
        return amount

    def _open(self, token: Address, *, owed: bool) -> int:
        """What is due from V4's manager, or owed to it: it must not be the other."""
        amount = -self.held(MANAGER, token) if owed else self.held(MANAGER, token)
        if amount < 0:
            raise PlanReverts
        return amount

    # Swaps

    def _tokens(self, way: Edge) -> tuple[Address, Address]:
        tokens = self._market.specs[way.pool].tokens
        return tokens[way.index_in], tokens[way.index_out]

    def _leg(self, way: Edge, amount: int, *, exact_in: bool, price_limit: int = 0) -> tuple[int, int]:
        """Swap through one pool, up to a price where one is given: (amount in, amount out)."""
        known = self._known(way.pool)
        after, into, out_of = self._reach.leg(known, way, amount, exact_in=exact_in, limit=price_limit)
        self._states[way.pool] = after
        return into, out_of

    def _v3_in(self, step: PlannedSwap, ways: Sequence[Edge]) -> int:
        """Every hop pays by itself, so what one that ran dry did not take stays behind."""
        amount, payer = step.amount, step.payer
        if amount == ROUTERS_ALL:
            amount = self.held(ROUTER, step.token_in)
        for place, way in enumerate(ways):
            taken, amount = self._leg(way, amount, exact_in=True, price_limit=step.price_limit_x96)
            token_in, token_out = self._tokens(way)
            self._move(token_out, _POOLS, step.recipient if place == len(ways) - 1 else ROUTER, amount, None)
            self._move(token_in, payer, _POOLS, taken, None)
            payer = ROUTER
        if amount < step.limit:
            raise PlanReverts
        return amount

    def _v3_out(self, step: PlannedSwap, ways: Sequence[Edge]) -> int:
        """A pool is locked until the hops before it have paid it: none can be there twice."""
        if len({way.pool for way in ways}) < len(ways):
            raise PlanReverts
        amount, given = step.amount, 0
        for way in reversed(ways):
            amount, out = self._leg(way, amount, exact_in=False, price_limit=step.price_limit_x96)
            given = given or out
        if amount > step.limit:
            raise PlanReverts
        self._move(step.token_out, _POOLS, step.recipient, given, None)
        self._move(step.token_in, step.payer, _POOLS, amount, None)
        return amount

    def _v2(self, step: PlannedSwap, ways: Sequence[Edge]) -> int:
        """Pairs swap what they hold above their reserves, and give all that it buys, also for an exact output."""
        amount, first = step.amount, self._market.specs[ways[0].pool].address
        if not step.exact_in:
            for way in reversed(ways):
                amount = quote_exact_out(self._known(way.pool), way.index_in, way.index_out, amount)
            if amount > step.limit:
                raise PlanReverts
        elif amount == ROUTERS_ALL:
            if step.payer == SENDER:
                raise PlanReverts
            amount = self.held(ROUTER, step.token_in)
        self._move(step.token_in, step.payer, first, amount, None)
        for place, way in enumerate(ways):
            pair, (token_in, token_out) = self._market.specs[way.pool].address, self._tokens(way)
            paid = self.held(pair, token_in)
            _, amount = self._leg(way, paid, exact_in=True)
            self._move(token_in, pair, _POOLS, paid, None)
            last = place == len(ways) - 1
            target = step.recipient if last else self._market.specs[ways[place + 1].pool].address
            self._move(token_out, _POOLS, target, amount, None)
        if step.exact_in and amount < step.limit:
            raise PlanReverts
        return amount

    def _v4(self, step: PlannedSwap, ways: Sequence[Edge]) -> int:
        """By the router's account with the manager. What a pool cannot fill is no failure in itself."""
        amount = step.amount
        if amount == OPEN:
            amount = self._open(step.token_in if step.exact_in else step.token_out, owed=not step.exact_in)
        for way in ways if step.exact_in else reversed(ways):
            state = self._known(way.pool)
            if not isinstance(state, V4Pool):
                raise TypeError(f"{type(state).__name__} is no pool of V4's manager")
            after, into, out_of = self._reach.walk(state, way.index_in == 0, amount, exact_in=step.exact_in)
            self._states[way.pool] = after
            token_in, token_out = self._tokens(way)
            self._move(token_in, MANAGER, _POOLS, into, None)
            self._move(token_out, _POOLS, MANAGER, out_of, None)
            amount = out_of if step.exact_in else into
        if amount < step.limit if step.exact_in else amount > step.limit:
            raise PlanReverts
        return amount
