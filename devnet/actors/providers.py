"""Liquidity providers: V2 deposits and withdrawals, V3 positions through the position manager."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors import calls, curves
from devnet.actors import parameters as settings
from devnet.actors.intents import MOMENTS, Intent, Purse, tip_of_gwei
from devnet.actors.market import V2_FAMILIES, V3_FAMILY, Market
from devnet.actors.randomness import Dice
from devnet.actors.swaps import DEADLINE_SECONDS
from devnet.actors.view import ConcentratedState, ConstantProductState, View
from devnet.manifest import Pool

_ADD_TOLERANCE: Final = Decimal("0.02")
_MAXIMUM_TICK: Final = 887_272
_ROUTERS: Final = {"uniswap_v2": "uniswap_v2_router", "sushi_v2": "sushi_router"}


class Providers:
    """Adds and removes liquidity of plain pairs; the router is allowed exactly the shares that it then takes."""

    name = "providers"

    def __init__(self, market: Market, parameters: settings.Providers, accounts: Sequence[str]) -> None:
        self._market, self._parameters, self._accounts = market, parameters, accounts
        plain = [pool for pool in market.pools.values() if market.is_plain(pool)]
        self.v2_pools = tuple(pool for pool in plain if pool.family in V2_FAMILIES)
        self.v3_pools = tuple(pool for pool in plain if pool.family == V3_FAMILY)

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return this block's deposits and withdrawals."""
        if not self._accounts:
            return []
        purse, settings_ = Purse(view.balances, view.ether, 0), self._parameters
        intents: list[Intent] = []
        closing: set[int] = set()
        leaving: set[tuple[str, str]] = set()
        for _ in range(dice.poisson(settings_.v2_adds_per_block)):
            intents += self._add_v2(view, dice, purse)
        for _ in range(dice.poisson(settings_.v2_removes_per_block)):
            intents += self._remove_v2(view, dice, leaving)
        for _ in range(dice.poisson(settings_.v3_burns_per_block)):
            intents += self._burn_v3(view, dice, closing)
        for _ in range(dice.poisson(settings_.v3_mints_per_block)):
            intents += self._mint_v3(view, dice, purse)
        return intents

    def _add_v2(self, view: View, dice: Dice, purse: Purse) -> list[Intent]:
        if not self.v2_pools:
            return []
        pool, account = dice.pick(self.v2_pools), dice.pick(self._accounts)
        state = view.pools[pool.name]
        share = self._share(dice)
        if not isinstance(state, ConstantProductState):
            return []
        desired = [max(1, int(reserve * share)) for reserve in state.reserves]
        if not self._take(purse, account, pool, desired):
            return []
        least = [int(amount * (1 - _ADD_TOLERANCE)) for amount in desired]
        data = calls.v2_add(
            self._addresses(pool), (desired[0], desired[1]), (least[0], least[1]), *self._to(account, view)
        )
        router = self._market.contract(_ROUTERS[pool.family])
        spends = tuple(zip(pool.tokens, desired, strict=True))
        return [self._intent(dice, "add_v2", account, router, data, calls.GAS_ADD_V2, pool, spends)]

    def _remove_v2(self, view: View, dice: Dice, leaving: set[tuple[str, str]]) -> list[Intent]:
        holders = [
            (account, pool)
            for account in self._accounts
            for pool in self.v2_pools
            if view.shares.get((account, pool.name), 0) > 0 and (account, pool.name) not in leaving
        ]
        if not holders:
            return []
        account, pool = dice.pick(holders)
        leaving.add((account, pool.name))
        taken = max(1, int(view.shares[account, pool.name] * dice.uniform(Decimal("0.3"), Decimal(1))))
        router = self._market.contract(_ROUTERS[pool.family])
        data = calls.v2_remove(self._addresses(pool), taken, (0, 0), *self._to(account, view))
        allow = calls.approve(router, taken)
        first = self._intent(dice, "approve_shares", account, pool.address.lower(), allow, calls.GAS_APPROVE, pool, ())
        then = self._intent(dice, "remove_v2", account, router, data, calls.GAS_REMOVE_V2, pool, ())
        return [replace(first, moment=then.moment), then]

    def _mint_v3(self, view: View, dice: Dice, purse: Purse) -> list[Intent]:
        room = [a for a in self._accounts if len(view.positions.get(a, ())) < self._parameters.maximum_positions]
        if not room or not self.v3_pools:
            return []
        account, pool = dice.pick(room), dice.pick(self.v3_pools)
        state = view.pools[pool.name]
        share, half = (
            self._share(dice),
            dice.between(self._parameters.minimum_spacings, self._parameters.maximum_spacings),
        )
        if not isinstance(state, ConcentratedState) or not state.liquidity:
            return []
        middle = state.tick // pool.tick_spacing * pool.tick_spacing
        bound = _MAXIMUM_TICK // pool.tick_spacing * pool.tick_spacing
        low = max(-bound, middle - half * pool.tick_spacing)
        high = min(bound, middle + (half + 1) * pool.tick_spacing)
        # A position as thick as `share` of the pool's liquidity needs about this much of each token.
        width = Decimal(high - low) / 2 / 20_000
        desired = [
            max(1, int(reserve * share * width))
            for reserve in curves.virtual_reserves(state.sqrt_price, state.liquidity)
        ]
        if low >= high or not self._take(purse, account, pool, desired):
            return []
        to = self._to(account, view)
        data = calls.v3_mint(self._addresses(pool), pool.fee_pips, (low, high), (desired[0], desired[1]), *to)
        manager = self._market.contract("uniswap_v3_position_manager")
        spends = tuple(zip(pool.tokens, desired, strict=True))
        return [self._intent(dice, "mint_v3", account, manager, data, calls.GAS_MINT_V3, pool, spends)]

    def _burn_v3(self, view: View, dice: Dice, closing: set[int]) -> list[Intent]:
        opened = [
            (account, position)
            for account in self._accounts
            for position in view.positions.get(account, ())
            if position.token_id not in closing
        ]
        if not opened:
            return []
        account, position = dice.pick(opened)
        closing.add(position.token_id)
        data = calls.v3_close(position.token_id, position.liquidity, *self._to(account, view))
        manager = self._market.contract("uniswap_v3_position_manager")
        pool = self._market.pools[position.pool]
        return [self._intent(dice, "burn_v3", account, manager, data, calls.GAS_BURN_V3, pool, ())]

    def _take(self, purse: Purse, account: str, pool: Pool, amounts: list[int]) -> bool:
        if any(purse.held(account, symbol) < amount for symbol, amount in zip(pool.tokens, amounts, strict=True)):
            return False
        for symbol, amount in zip(pool.tokens, amounts, strict=True):
            purse.take(account, symbol, amount)
        return True

    def _share(self, dice: Dice) -> Decimal:
        return dice.uniform(self._parameters.minimum_share_of_pool, self._parameters.maximum_share_of_pool)

    def _addresses(self, pool: Pool) -> tuple[str, str]:
        return self._market.address(pool.tokens[0]), self._market.address(pool.tokens[1])

    def _to(self, account: str, view: View) -> tuple[str, int]:
        return named_account(account).address, view.timestamp + DEADLINE_SECONDS

    def _intent(
        self,
        dice: Dice,
        action: str,
        account: str,
        to: str,
        data: bytes,
        gas_limit: int,
        pool: Pool,
        spends: tuple[tuple[str, int], ...],
    ) -> Intent:
        tip = tip_of_gwei(dice.log_normal(self._parameters.median_tip_gwei, self._parameters.sigma_tip))
        return Intent(
            actor=self.name,
            action=action,
            account=account,
            to=to,
            data=data,
            gas_limit=gas_limit,
            tip=tip,
            moment=dice.below(MOMENTS),
            spends=spends,
            detail={"pools": [pool.name]},
        )
