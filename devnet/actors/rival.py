"""A rival searcher: cycles on the confirmed state, and backruns of pending swaps, sent as bundles with a bid."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from devnet.actors import parameters as settings
from devnet.actors.curves import CannotQuote
from devnet.actors.cycles import CycleFinder, Opportunity
from devnet.actors.intents import BundleIntent, Intent, tip_of_gwei
from devnet.actors.market import V3_FAMILY, WETH, Market
from devnet.actors.pending import PendingSwap
from devnet.actors.randomness import Dice
from devnet.actors.view import PoolState, View
from protocol.ethereum.abi import encode_call

EXECUTOR: Final = "rival_executor"
_RUN: Final = "run(uint256,uint256,uint256,(address,bool,bool,uint24)[])"
_GAS_LIMIT: Final = 700_000
_GAS_EXPECTED: Final = 300_000
_ETHER: Final = Decimal(10**18)
_TIP_GWEI: Final = Decimal("0.1")
_PENDING_BOUND: Final = 200
"""Pending swaps looked at in a block; later arrivals are left alone."""


class Rival:
    """Sees a part of what there is, takes the best, pays a drawn share of the profit to the builder."""

    name = "rival"

    def __init__(self, market: Market, parameters: settings.Rival, accounts: Sequence[str]) -> None:
        self._market, self._parameters, self._accounts = market, parameters, tuple(accounts)
        self._finder = CycleFinder(market, parameters.knows)

    def plan(self, view: View, pending: Sequence[PendingSwap], dice: Dice) -> list[BundleIntent]:
        """Return the bundles for the next block, one an account at most: they must not wait for each other's nonce."""
        settings_ = self._parameters
        capital = int(view.balances.get((EXECUTOR, WETH), 0) * settings_.maximum_share_of_inventory)
        least = int(settings_.minimum_profit_eth * _ETHER) + _GAS_EXPECTED * view.base_fee
        found = [(o, None) for o in self._finder.find(view.pools, capital)[:_PENDING_BOUND]]
        candidates: list[tuple[Opportunity, PendingSwap | None]] = [*found]
        if settings_.backruns:
            candidates += self._backruns(view, pending, capital)
        candidates = [c for c in candidates if c[0].profit >= least and dice.chance(settings_.sees)]
        candidates.sort(key=lambda c: (-c[0].profit, c[1].transaction.hash if c[1] else ""))
        bundles: list[BundleIntent] = []
        used: set[str] = set()
        for opportunity, target in candidates:
            if len(bundles) >= min(settings_.bundles_per_block, len(self._accounts)):
                break
            moved = opportunity.pools | {pool.name for pool in (target.path if target else ())}
            if not moved & used:
                used |= moved
                bundles.append(self._bundle(self._accounts[len(bundles)], opportunity, target, dice))
        return bundles

    def _backruns(
        self, view: View, pending: Sequence[PendingSwap], capital: int
    ) -> list[tuple[Opportunity, PendingSwap]]:
        found = []
        for swap in pending[:_PENDING_BOUND]:
            states: dict[str, PoolState] = dict(view.pools)
            token, amount = swap.token_in, swap.amount_in
            try:
                for pool in swap.path:
                    states[pool.name], amount = self._market.swapped(pool, states[pool.name], token, amount)
                    token = pool.tokens[1] if token == pool.tokens[0] else pool.tokens[0]
            except CannotQuote:
                continue
            best = self._finder.find(states, capital, [pool.name for pool in swap.path])[:1]
            found += [(opportunity, swap) for opportunity in best]
        return found

    def _bundle(self, account: str, opportunity: Opportunity, target: PendingSwap | None, dice: Dice) -> BundleIntent:
        bid = int(dice.weighted(self._parameters.bid) * 10_000)
        hops = [
            (hop.pool.address, hop.pool.family == V3_FAMILY, hop.zero_for_one, hop.pool.fee_pips)
            for hop in opportunity.hops
        ]
        own = Intent(
            actor=self.name,
            action="backrun" if target else "cycle",
            account=account,
            to=self._market.contract(EXECUTOR),
            data=encode_call(_RUN, opportunity.amount_in, opportunity.profit // 2, bid, hops),
            gas_limit=_GAS_LIMIT,
            tip=tip_of_gwei(_TIP_GWEI),
        )
        detail: dict[str, str | int | list[str]] = {
            "pools": [hop.pool.name for hop in opportunity.hops],
            "amount_in": str(opportunity.amount_in),
            "expected_profit": str(opportunity.profit),
            "bid_basis_points": bid,
            "target": target.transaction.hash if target else "",
        }
        parts = (target.transaction, own) if target else (own,)
        return BundleIntent(actor=self.name, action=own.action, parts=parts, detail=detail)
