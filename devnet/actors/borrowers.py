"""Borrowers of Aave V3 near liquidation: they borrow up to a thin margin and repay when it thins; some sleep."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors import calls
from devnet.actors import parameters as settings
from devnet.actors.intents import MOMENTS, Intent, tip_of_gwei
from devnet.actors.market import E8, Market
from devnet.actors.oracle import is_stable
from devnet.actors.randomness import Dice
from devnet.actors.view import LoanState, View

_HEALTH_UNIT: Final = 10**18
_LEAST_BORROW_BASE: Final = 20 * E8
"""Nobody borrows less than twenty dollars."""
_LTV_MARGIN: Final = Decimal("0.98")


class Borrowers:
    """Works on the loans in the view; an account without collateral does nothing."""

    name = "borrowers"

    def __init__(self, market: Market, parameters: settings.Borrowers, accounts: Sequence[str]) -> None:
        self._market, self._parameters = market, parameters
        asleep = int(len(accounts) * parameters.asleep_share)
        self._asleep, self._accounts = frozenset(accounts[:asleep]), tuple(accounts)

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return this block's borrowing and repaying: one action an account."""
        waiting = [account for account in self._accounts if account in view.loans]
        intents = []
        for _ in range(dice.poisson(self._parameters.actions_per_block)):
            if not waiting:
                break
            account = waiting.pop(dice.below(len(waiting)))
            loan = view.loans[account]
            if loan.debt_base and Decimal(loan.health) / _HEALTH_UNIT < self._parameters.repay_health:
                intent = None if account in self._asleep else self._repay(view, dice, account, loan)
            else:
                intent = self._borrow(view, dice, account, loan)
            if intent is not None:
                intents.append(intent)
        return intents

    def _borrow(self, view: View, dice: Dice, account: str, loan: LoanState) -> Intent | None:
        assets = [symbol for symbol in loan.debts if is_stable(self._market.tokens[symbol].usd_price_e8)]
        if not assets:
            return None
        asset = max(sorted(assets), key=lambda symbol: loan.debts[symbol])
        base = int(loan.available_base * _LTV_MARGIN)
        if loan.debt_base:
            room = Decimal(loan.health) / _HEALTH_UNIT / self._parameters.target_health - 1
            base = min(base, int(loan.debt_base * room))
        if base < _LEAST_BORROW_BASE:
            return None
        feed = view.feeds.get(asset)
        price = feed.answer_e8 if feed is not None else view.prices_e8[asset]
        amount = base * 10 ** self._market.tokens[asset].decimals // price
        data = calls.aave_borrow(self._market.address(asset), amount, named_account(account).address)
        return self._intent(dice, "borrow", account, data, (), {"token": asset, "amount": str(amount)})

    def _repay(self, view: View, dice: Dice, account: str, loan: LoanState) -> Intent | None:
        owed = {symbol: debt for symbol, debt in loan.debts.items() if debt}
        if not owed:
            return None
        asset = max(sorted(owed), key=lambda symbol: self._market.usd(symbol, owed[symbol], view.prices_e8))
        amount = min(int(owed[asset] * self._parameters.repay_share), view.balances.get((account, asset), 0))
        if amount <= 0:
            return None
        data = calls.aave_repay(self._market.address(asset), amount, named_account(account).address)
        return self._intent(dice, "repay", account, data, ((asset, amount),), {"token": asset, "amount": str(amount)})

    def _intent(
        self,
        dice: Dice,
        action: str,
        account: str,
        data: bytes,
        spends: tuple[tuple[str, int], ...],
        detail: dict[str, str | int | list[str]],
    ) -> Intent:
        tip = tip_of_gwei(dice.log_normal(self._parameters.median_tip_gwei, self._parameters.sigma_tip))
        return Intent(
            actor=self.name,
            action=action,
            account=account,
            to=self._market.contract("aave_pool"),
            data=data,
            gas_limit=calls.GAS_AAVE,
            tip=tip,
            moment=dice.below(MOMENTS),
            spends=spends,
            detail=detail,
        )
