"""An adversary for tests of detection and defence: sandwiches around pending swaps, on a local devnet only.

The node never does this; it detects, alerts and defends. Here it is done so that there is something to detect, with a
log of what was done. The chain id is checked before it starts (`devnet/actors/app.py`), and its accounts' keys are
public knowledge, worthless anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors import calls
from devnet.actors import parameters as settings
from devnet.actors.curves import CannotQuote
from devnet.actors.intents import BundleIntent, Foreign, Intent, tip_of_gwei
from devnet.actors.market import V3_FAMILY, WETH, Market, other_token
from devnet.actors.oracle import is_stable
from devnet.actors.pending import PendingSwap
from devnet.actors.randomness import Dice
from devnet.actors.swaps import DEADLINE_SECONDS
from devnet.actors.view import View
from devnet.manifest import Pool
from protocol.ethereum.abi import encode_call

EXECUTOR: Final = "sandwich_executor"
_FLASH: Final = "swap(address,bool,uint256,uint256,uint256)"
_FLASH_GAS_LIMIT: Final = 250_000
_GAS_EXPECTED: Final = 220_000
_BACK_GAS_EXPECTED: Final = 110_000
_TIP_GWEI: Final = Decimal("0.1")
_HIGHEST_TIP: Final = 20_000 * 10**9
_ROUNDS: Final = 48
_VICTIMS_TRIED: Final = 4
"""Of one pool and direction the largest are tried, in all combinations."""
_ETHER: Final = Decimal(10**18)


@dataclass(frozen=True, slots=True)
class Plan:
    """A sandwich before it is put into transactions; amounts in smallest units, profit in the token that goes in."""

    pool: Pool
    token_in: str
    victims: tuple[PendingSwap, ...]
    front_in: int
    front_out: int
    back_out: int
    flash: bool

    @property
    def profit(self) -> int:
        """What is left of the token that goes in, before gas and bid."""
        return self.back_out - self.front_in


class Sandwicher:
    """Looks for single-hop swaps whose slippage tolerance leaves room in front of them."""

    name = "sandwicher"

    def __init__(self, market: Market, parameters: settings.Sandwicher, accounts: Sequence[str]) -> None:
        self._market, self._parameters, self._accounts = market, parameters, tuple(accounts)

    def plan(self, view: View, pending: Sequence[PendingSwap], dice: Dice) -> list[BundleIntent]:
        """Return the bundles for the next block, one an account at most."""
        groups: dict[tuple[str, str], list[PendingSwap]] = {}
        for swap in pending:
            if len(swap.path) == 1 and self._has_a_price(swap.token_in) and dice.chance(self._parameters.sees):
                groups.setdefault((swap.path[0].name, swap.token_in), []).append(swap)
        plans = []
        for victims in groups.values():
            flash = victims[0].path[0].family != V3_FAMILY and dice.chance(self._parameters.flash_share)
            greedy = dice.chance(self._parameters.greedy_share)
            if (plan := self._best(view, victims, flash, greedy)) is not None:
                plans.append((self._wei(view, plan), plan))
        plans.sort(key=lambda ranked: (-ranked[0], ranked[1].pool.name, ranked[1].token_in))
        bundles: list[BundleIntent] = []
        used: set[str] = set()
        for wei, plan in plans:
            if len(bundles) >= min(self._parameters.sandwiches_per_block, len(self._accounts)):
                break
            if plan.pool.name not in used:
                used.add(plan.pool.name)
                bundles.append(self._bundle(view, self._accounts[len(bundles)], plan, wei))
        return bundles

    def _has_a_price(self, symbol: str) -> bool:
        return symbol == WETH or is_stable(self._market.tokens[symbol].usd_price_e8)

    def _best(self, view: View, victims: Sequence[PendingSwap], flash: bool, greedy: bool) -> Plan | None:
        """The best sandwich around some of the victims, in their order; None when none pays.

        The best brings most, or, if `greedy`, has most victims.
        """
        largest = sorted(victims, key=lambda swap: -swap.amount_in)[:_VICTIMS_TRIED]
        tried = [swap for swap in victims if swap in largest]
        least = int(self._parameters.minimum_profit_eth * _ETHER) + _GAS_EXPECTED * view.base_fee
        best: tuple[int, int, Plan] | None = None
        for count in range(1, min(self._parameters.maximum_victims, len(tried)) + 1):
            for chosen in combinations(tried, count):
                plan = self._sized(view, chosen, flash)
                if plan is None or self._wei(view, plan) < least:
                    continue
                rank = (count if greedy else 0, plan.profit)
                if best is None or rank > best[:2]:
                    best = (*rank, plan)
        return None if best is None else best[2]

    def _sized(self, view: View, victims: tuple[PendingSwap, ...], flash: bool) -> Plan | None:
        token_in = victims[0].token_in
        holders = [EXECUTOR] if flash else self._accounts
        held = min((view.balances.get((holder, token_in), 0) for holder in holders), default=0)
        low, high = 0, int(held * self._parameters.maximum_share_of_inventory)
        while low < high:  # the most in front that every victim still bears
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._outcome(view, victims, middle, flash) else (low, middle - 1)
        left, right = 1, low
        for _ in range(_ROUNDS):  # profit rises to one peak and falls
            if right - left < 3:
                break
            first, second = left + (right - left) // 3, right - (right - left) // 3
            one, two = self._outcome(view, victims, first, flash), self._outcome(view, victims, second, flash)
            if one is None or two is None or one.profit < two.profit:
                left = first
            else:
                right = second
        return self._outcome(view, victims, right, flash) if low > 0 else None

    def _outcome(self, view: View, victims: tuple[PendingSwap, ...], front_in: int, flash: bool) -> Plan | None:
        """What a front-run of that size ends in; None when a victim would refuse, or nothing is bought."""
        pool, token_in = victims[0].path[0], victims[0].token_in
        try:
            state, front_out = self._market.swapped(pool, view.pools[pool.name], token_in, front_in)
            for victim in victims:
                state, out = self._market.swapped(pool, state, token_in, victim.amount_in)
                if out < victim.minimum_out:
                    return None
            _, back_out = self._market.swapped(pool, state, other_token(pool, token_in), front_out)
        except CannotQuote:
            return None
        return Plan(pool, token_in, victims, front_in, front_out, back_out, flash)

    def _wei(self, view: View, plan: Plan) -> int:
        if plan.token_in == WETH:
            return plan.profit
        usd = self._market.usd(plan.token_in, max(0, plan.profit), view.prices_e8)
        return self._market.units_of_usd(WETH, usd, view.prices_e8)

    def _bundle(self, view: View, account: str, plan: Plan, wei: int) -> BundleIntent:
        kind = "flash" if plan.flash else "v3" if plan.pool.family == V3_FAMILY else "classic"
        bid_tip = min(int(wei * self._parameters.bid) // _BACK_GAS_EXPECTED, _HIGHEST_TIP)
        token_out = other_token(plan.pool, plan.token_in)
        # Crossing a tick gives a little less than the closed form says; V2 gives just that.
        least_front = plan.front_out * 999 // 1000 if kind == "v3" else plan.front_out
        front = self._leg(view, account, plan, plan.token_in, plan.front_in, least_front, tip_of_gwei(_TIP_GWEI))
        # Less than this and the bid would be paid out of the attacker's own pocket.
        least_back = plan.front_in + int(plan.profit * self._parameters.bid)
        back = self._leg(view, account, plan, token_out, plan.front_out, least_back, max(bid_tip, 1))
        detail: dict[str, str | int | list[str]] = {
            "variant": kind,
            "pool": plan.pool.name,
            "token_in": plan.token_in,
            "victims": [victim.transaction.hash for victim in plan.victims],
            "front_in": str(plan.front_in),
            "expected_profit": str(plan.profit),
        }
        parts: tuple[Intent | Foreign, ...] = (front, *(victim.transaction for victim in plan.victims), back)
        return BundleIntent(actor=self.name, action=f"sandwich_{kind}", parts=parts, detail=detail)

    def _leg(self, view: View, account: str, plan: Plan, token_in: str, amount: int, least: int, tip: int) -> Intent:
        """One of the two swaps; it reverts, and the bundle with it, when the pool is not as expected."""
        pool = plan.pool
        tokens = [self._market.address(token_in), self._market.address(other_token(pool, token_in))]
        recipient, deadline = named_account(account).address, view.timestamp + DEADLINE_SECONDS
        if plan.flash:
            to, gas = self._market.contract(EXECUTOR), _FLASH_GAS_LIMIT
            data = encode_call(_FLASH, pool.address, token_in == pool.tokens[0], amount, least, pool.fee_pips)
        elif pool.family == V3_FAMILY:
            to, gas = self._market.contract("uniswap_v3_router"), calls.GAS_V3_BASE + calls.GAS_V3_HOP
            data = calls.v3_exact_in(amount, least, tokens, [pool.fee_pips], recipient, deadline)
        else:
            router = "sushi_router" if pool.family == "sushi_v2" else "uniswap_v2_router"
            to, gas = self._market.contract(router), calls.GAS_V2_BASE + calls.GAS_V2_HOP
            data = calls.v2_exact_in(amount, least, tokens, recipient, deadline, odd=False)
        spends = () if plan.flash else ((token_in, amount),)
        return Intent(
            actor=self.name,
            action="leg",
            account=account,
            to=to,
            data=data,
            gas_limit=gas,
            tip=tip,
            spends=spends,
        )
