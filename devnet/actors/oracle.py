"""The reference price of each token, block by block, and the oracle that reports it to its aggregators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from devnet.actors import calls
from devnet.actors import parameters as settings
from devnet.actors.intents import MOMENTS, Intent, tip_of_gwei
from devnet.actors.market import E8, Market
from devnet.actors.randomness import Dice
from devnet.actors.view import View

_STABLE_BAND: Final = (9 * E8 // 10, 11 * E8 // 10)


def is_stable(usd_price_e8: int) -> bool:
    """Return whether a token set up at that price is a dollar stablecoin."""
    return _STABLE_BAND[0] <= usd_price_e8 <= _STABLE_BAND[1]


def next_prices(
    market: Market, parameters: settings.Oracle, prices_e8: Mapping[str, int], dice: Dice
) -> dict[str, int]:
    """Return the reference prices one block later: a geometric walk, drawn back to the set-up, with rare jumps."""
    jumps = dice.chance(parameters.jump_chance)
    jumping = dice.below(len(market.manifest.tokens))
    following = {}
    for index, token in enumerate(market.manifest.tokens):
        price = prices_e8[token.symbol]
        stable = is_stable(token.usd_price_e8)
        volatility = parameters.stable_volatility if stable else parameters.volatile_volatility
        step = volatility * dice.normal() + parameters.reversion * (Decimal(token.usd_price_e8) / price).ln()
        if jumps and index == jumping and not stable:
            step += parameters.jump_volatility * dice.normal()
        following[token.symbol] = max(1, int(price * step.exp()))
    return following


class Oracle:
    """Submits a token's reference price when it has moved, or when the last answer is old."""

    name = "oracle"

    def __init__(
        self, market: Market, parameters: settings.Oracle, accounts: Sequence[str], block_seconds: float
    ) -> None:
        self._market, self._parameters, self._accounts = market, parameters, accounts
        self._heartbeat_seconds = int(parameters.heartbeat_blocks * block_seconds)

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return this block's submissions, in the order of the symbols."""
        if not self._accounts:
            return []
        intents = []
        for symbol in sorted(view.feeds):
            feed, price = view.feeds[symbol], view.prices_e8[symbol]
            off = abs(Decimal(price) / feed.answer_e8 - 1) if feed.answer_e8 > 0 else Decimal(1)
            if off < self._parameters.deviation and view.timestamp - feed.updated_at < self._heartbeat_seconds:
                continue
            intents.append(
                Intent(
                    actor=self.name,
                    action="submit",
                    account=self._accounts[0],
                    to=self._market.manifest.aggregators[symbol].lower(),
                    data=calls.submit(feed.round_id + 1, price),
                    gas_limit=calls.GAS_SUBMIT,
                    tip=tip_of_gwei(self._parameters.tip_gwei),
                    moment=dice.below(MOMENTS),
                    detail={"token": symbol, "answer_e8": price, "before_e8": feed.answer_e8},
                )
            )
        return intents
