"""Order flow: uninformed traders, whales, and slow arbitrage by people. Each plan is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import isqrt
from typing import Final

from devnet.actors import parameters as settings
from devnet.actors.curves import CannotQuote
from devnet.actors.intents import MOMENTS, Intent, Purse, tip_of_gwei
from devnet.actors.market import PLAIN, REVERTING, V2_FAMILIES, V3_FAMILY, Market, other_token
from devnet.actors.randomness import Dice
from devnet.actors.swaps import Swap, can_fix_amount_out, can_pay_with_ether, limit_of, swap_intent
from devnet.actors.view import View
from devnet.manifest import Pool

ETHER_RESERVE: Final = 10**18
"""Wei that every account keeps for fees."""
_BISECTIONS: Final = 24
_DEEPEST_HOLDING_SHARE: Final = Decimal("0.9")


class Traders:
    """Swaps of realistic sizes through the routers, in directions that know nothing."""

    name = "traders"

    def __init__(self, market: Market, parameters: settings.Traders, accounts: Sequence[str]) -> None:
        self._market, self._parameters, self._accounts = market, parameters, accounts
        pools = [pool for pool in market.pools.values() if _tradable(market, pool)]
        self._odd = tuple(pool for pool in pools if not market.is_plain(pool) and pool.family in V2_FAMILIES)
        self._direct = _by_venue([pool for pool in pools if market.is_plain(pool)])
        self._two_hops = {venue: _two_hop_routes(pools) for venue, pools in self._direct.items()}

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return this block's trades."""
        purse = Purse(view.balances, view.ether, ETHER_RESERVE)
        count = dice.poisson(self._parameters.trades_per_block) if self._accounts else 0
        planned = (self._trade(view, dice, purse) for _ in range(count))
        return [intent for intent in planned if intent is not None]

    def _trade(self, view: View, dice: Dice, purse: Purse) -> Intent | None:
        settings_ = self._parameters
        path, token_in, token_out = self._route(view, dice)
        if not path:
            return None
        amount = self._size(view, dice, path[0], token_in)
        tolerance = dice.weighted(settings_.slippage)
        swap = Swap(path=path, token_in=token_in, token_out=token_out, amount=amount, tolerance=tolerance)
        fixes_out, pays_ether = dice.chance(settings_.exact_out_share), dice.chance(settings_.ether_share)
        try:
            if fixes_out and all(can_fix_amount_out(pool, self._market) for pool in path):
                swap = replace(swap, exact_out=True, amount=_quote(self._market, view, swap))
            elif pays_ether and can_pay_with_ether(swap):
                swap = replace(swap, with_ether=True)
            return _order(self._market, view, dice, purse, self._accounts, swap, self.name, settings_)
        except CannotQuote:
            return None

    def _route(self, view: View, dice: Dice) -> tuple[tuple[Pool, ...], str, str]:
        settings_ = self._parameters
        odd, hops = dice.chance(settings_.odd_token_share), dice.chance(settings_.multi_hop_share)
        venue = dice.weighted(
            [
                ("uniswap_v2", int(settings_.uniswap_v2_share * 10**6)),
                ("sushi_v2", int(settings_.sushi_v2_share * 10**6)),
                ("uniswap_v3", int(settings_.uniswap_v3_share * 10**6)),
                ("balancer_v2", int(settings_.balancer_v2_share * 10**6)),
            ]
        )
        if hops and not odd and self._two_hops.get(venue):
            path, token_in, token_out = dice.pick(self._two_hops[venue])
            return path, token_in, token_out
        pools = self._odd if odd and self._odd else self._direct.get(venue, ())
        if not pools:
            return (), "", ""
        pool = dice.weighted([(pool, 1 + isqrt(_depth_usd(self._market, view, pool))) for pool in pools])
        first = dice.below(len(pool.tokens))
        second = (first + 1 + dice.below(len(pool.tokens) - 1)) % len(pool.tokens)
        return (pool,), pool.tokens[first], pool.tokens[second]

    def _size(self, view: View, dice: Dice, pool: Pool, token_in: str) -> int:
        settings_ = self._parameters
        usd = dice.log_normal(settings_.median_usd, settings_.sigma)
        usd = min(max(usd, settings_.minimum_usd), settings_.maximum_usd)
        amount = self._market.units_of_usd(token_in, usd, view.prices_e8)
        depth = self._market.depth(pool, view.pools[pool.name], token_in)
        return max(1, min(amount, int(depth * settings_.maximum_share_of_pool)))


class Whales:
    """Swaps large against their pool."""

    name = "whales"

    def __init__(self, market: Market, parameters: settings.Whales, accounts: Sequence[str]) -> None:
        self._market, self._parameters, self._accounts = market, parameters, accounts
        self._pools = [pool for pool in market.pools.values() if market.is_plain(pool)]

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return this block's large swaps."""
        purse = Purse(view.balances, view.ether, ETHER_RESERVE)
        intents = []
        count = dice.poisson(self._parameters.trades_per_block) if self._accounts else 0
        for _ in range(count):
            pool = dice.pick(self._pools)
            first = dice.below(len(pool.tokens))
            token_in, token_out = pool.tokens[first], pool.tokens[first - 1]
            share = dice.uniform(self._parameters.minimum_share_of_pool, self._parameters.maximum_share_of_pool)
            depth = self._market.depth(pool, view.pools[pool.name], token_in)
            swap = Swap(
                path=(pool,),
                token_in=token_in,
                token_out=token_out,
                amount=max(1, int(depth * share)),
                tolerance=dice.weighted(self._parameters.slippage),
            )
            try:
                intent = _order(self._market, view, dice, purse, self._accounts, swap, self.name, self._parameters)
            except CannotQuote:
                continue
            if intent is not None:
                intents.append(intent)
        return intents


class Informed:
    """People who know the reference price and move pools towards it, part of the way."""

    name = "informed"

    def __init__(self, market: Market, parameters: settings.Informed, accounts: Sequence[str]) -> None:
        self._market, self._parameters, self._accounts = market, parameters, accounts
        self._pools = [pool for pool in market.pools.values() if market.is_plain(pool)]

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return this block's trades towards the reference price."""
        purse = Purse(view.balances, view.ether, ETHER_RESERVE)
        intents = []
        for pool in self._pools if self._accounts else []:
            if not dice.chance(self._parameters.looks):
                continue
            swap = self._closing_swap(view, pool)
            if swap is None:
                continue
            intent = _order(self._market, view, dice, purse, self._accounts, swap, self.name, self._parameters)
            if intent is not None:
                intents.append(intent)
        return intents

    def _closing_swap(self, view: View, pool: Pool) -> Swap | None:
        """The swap that closes the asked share of the gap, for the pair of tokens with the widest one."""
        best: tuple[Decimal, str, str] | None = None
        for token_in in pool.tokens:
            for token_out in pool.tokens:
                if token_in != token_out:
                    probe = max(1000, self._market.units_of_usd(token_in, Decimal(10), view.prices_e8))
                    gain = self._gain(view, pool, token_in, token_out, probe)
                    if best is None or gain > best[0]:
                        best = (gain, token_in, token_out)
        if best is None or best[0] <= self._parameters.threshold:
            return None
        gain, token_in, token_out = best
        # With constant product the average gain is half the marginal one: closing all of the gap leaves an average of
        # half of it. The same rule of thumb serves the other families.
        wanted = gain * (1 - self._parameters.closes / 2)
        low, high = 0, self._market.units_of_usd(token_in, self._parameters.maximum_usd, view.prices_e8)
        for _ in range(_BISECTIONS):
            middle = (low + high + 1) // 2
            if middle and self._gain(view, pool, token_in, token_out, middle) >= wanted:
                low = middle
            else:
                high = middle - 1
        if low <= 0:
            return None
        # They take no loss: what is lost against the quote comes out of what they would have gained.
        return Swap(path=(pool,), token_in=token_in, token_out=token_out, amount=low, tolerance=max(wanted / 2, _TIGHT))

    def _gain(self, view: View, pool: Pool, token_in: str, token_out: str, amount: int) -> Decimal:
        try:
            out = self._market.amount_out(pool, view.pools[pool.name], token_in, token_out, amount)
        except CannotQuote:
            return Decimal(-1)
        spent = self._market.usd(token_in, amount, view.prices_e8)
        return self._market.usd(token_out, out, view.prices_e8) / spent - 1 if spent else Decimal(-1)


_TIGHT: Final = Decimal("0.001")


def _order(
    market: Market,
    view: View,
    dice: Dice,
    purse: Purse,
    accounts: Sequence[str],
    swap: Swap,
    actor: str,
    fees: settings.Traders | settings.Whales | settings.Informed,
) -> Intent | None:
    """Find an account that can pay for the swap, starting anywhere; None when nobody can. Raises `CannotQuote`."""
    limit = limit_of(market, view, swap)
    spent = limit if swap.exact_out else swap.amount
    tip = tip_of_gwei(dice.log_normal(fees.median_tip_gwei, fees.sigma_tip))
    moment, start = dice.below(MOMENTS), dice.below(len(accounts))
    for offset in range(len(accounts)):
        account = accounts[(start + offset) % len(accounts)]
        held = purse.ether(account) if swap.with_ether else purse.held(account, swap.token_in)
        if held * _DEEPEST_HOLDING_SHARE < spent:
            continue
        if swap.with_ether:
            purse.take_ether(account, spent)
        else:
            purse.take(account, swap.token_in, spent)
        return swap_intent(market, view, swap, actor=actor, account=account, tip=tip, moment=moment, limit=limit)
    return None


def _quote(market: Market, view: View, swap: Swap) -> int:
    exact = replace(swap, tolerance=Decimal(0))
    return limit_of(market, view, exact)


def _tradable(market: Market, pool: Pool) -> bool:
    return all(market.tokens[symbol].kind != REVERTING for symbol in pool.tokens) and (
        pool.family in V2_FAMILIES or all(market.tokens[symbol].kind == PLAIN for symbol in pool.tokens)
    )


def _by_venue(pools: Sequence[Pool]) -> dict[str, tuple[Pool, ...]]:
    venues: dict[str, tuple[Pool, ...]] = {}
    for pool in pools:
        venue = "balancer_v2" if pool.family.startswith("balancer_v2") else pool.family
        venues[venue] = (*venues.get(venue, ()), pool)
    return venues


def _two_hop_routes(pools: Sequence[Pool]) -> list[tuple[tuple[Pool, ...], str, str]]:
    """Every way of one router from a token over a second to a third, with two pools."""
    routes: list[tuple[tuple[Pool, ...], str, str]] = []
    for first in pools:
        for second in pools:
            if first.family not in V2_FAMILIES and first.family != V3_FAMILY:
                continue
            shared = [symbol for symbol in first.tokens if symbol in second.tokens]
            if first is second or len(shared) != 1:
                continue
            ends = other_token(first, shared[0]), other_token(second, shared[0])
            routes.append(((first, second), *ends))
    return routes


def _depth_usd(market: Market, view: View, pool: Pool) -> int:
    symbol = pool.tokens[0]
    return int(market.usd(symbol, market.depth(pool, view.pools[pool.name], symbol), view.prices_e8))
