"""From "swap this for that" to a router's call: which router, which function, which limits."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors import calls
from devnet.actors.intents import Intent
from devnet.actors.market import (
    FEE_ON_TRANSFER,
    PLAIN,
    STABLE_FAMILY,
    V2_FAMILIES,
    V3_FAMILY,
    WETH,
    Market,
    other_token,
)
from devnet.actors.view import View
from devnet.manifest import Pool

DEADLINE_SECONDS: Final = 600
TRANSFER_FEE_ALLOWANCE: Final = Decimal("0.15")
"""What a trader of a token with a fee on transfer puts up with on top of the slippage tolerance."""
_ROUTERS: Final = {
    "uniswap_v2": "uniswap_v2_router",
    "sushi_v2": "sushi_router",
    "uniswap_v3": "uniswap_v3_router",
    "balancer_v2_weighted": "balancer_vault",
    "balancer_v2_stable": "balancer_vault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A swap along pools of one router. `token_out` matters for pools of more than two tokens.

    With `exact_out`, `amount` is what is bought, else what is spent.
    """

    path: tuple[Pool, ...]
    token_in: str
    token_out: str
    amount: int
    tolerance: Decimal
    exact_out: bool = False
    with_ether: bool = False


def limit_of(market: Market, view: View, swap: Swap) -> int:
    """Return the least amount out (or, with `exact_out`, the most in) that the trader accepts. Raises `CannotQuote`."""
    if swap.exact_out:
        amount, token = swap.amount, swap.token_out
        for pool in reversed(swap.path):
            before = swap.token_in if len(swap.path) == 1 else other_token(pool, token)
            amount = market.amount_in(pool, view.pools[pool.name], before, token, amount)
            token = before
        return int(amount * (1 + swap.tolerance)) + 1
    if len(swap.path) == 1:
        pool = swap.path[0]
        amount = market.amount_out(pool, view.pools[pool.name], swap.token_in, swap.token_out, swap.amount)
    else:
        amount = market.path_out(view.pools, list(swap.path), swap.token_in, swap.amount)
    tolerance = swap.tolerance + (TRANSFER_FEE_ALLOWANCE if _takes_transfer_fee(market, swap) else 0)
    return max(1, int(amount * (1 - tolerance)))


def swap_intent(
    market: Market, view: View, swap: Swap, *, actor: str, account: str, tip: int, moment: int, limit: int
) -> Intent:
    """Return the transaction of a swap for an account with the given limit (see `limit_of`)."""
    spent = limit if swap.exact_out else swap.amount
    return Intent(
        actor=actor,
        action=_action(swap),
        account=account,
        to=market.contract(_ROUTERS[swap.path[0].family]),
        data=_call_data(market, view, swap, named_account(account).address, limit),
        gas_limit=_gas_limit(market, swap),
        tip=tip,
        value=spent if swap.with_ether else 0,
        moment=moment,
        spends=() if swap.with_ether else ((swap.token_in, spent),),
        detail={
            "pools": [pool.name for pool in swap.path],
            "token_in": swap.token_in,
            "token_out": swap.token_out,
            "amount": str(swap.amount),
            "limit": str(limit),
            "tolerance": str(swap.tolerance),
        },
    )


def _call_data(market: Market, view: View, swap: Swap, recipient: str, limit: int) -> bytes:
    family, deadline = swap.path[0].family, view.timestamp + DEADLINE_SECONDS
    if family not in V2_FAMILIES and family != V3_FAMILY:
        ends = market.address(swap.token_in), market.address(swap.token_out)
        return calls.vault_swap(
            swap.path[0].pool_id, *ends, swap.amount, limit, recipient, deadline, exact_out=swap.exact_out
        )
    addresses = [market.address(symbol) for symbol in _symbols(swap)]
    if family == V3_FAMILY:
        fees = [pool.fee_pips for pool in swap.path]
        encode = calls.v3_exact_out if swap.exact_out else calls.v3_exact_in
        return encode(swap.amount, limit, addresses, fees, recipient, deadline)
    if swap.exact_out:
        return calls.v2_exact_out(swap.amount, limit, addresses, recipient, deadline)
    if swap.with_ether:
        return calls.v2_exact_ether_in(limit, addresses, recipient, deadline)
    odd = _takes_transfer_fee(market, swap)
    return calls.v2_exact_in(swap.amount, limit, addresses, recipient, deadline, odd=odd)


def _symbols(swap: Swap) -> list[str]:
    symbols = [swap.token_in]
    for pool in swap.path:
        symbols.append(other_token(pool, symbols[-1]))
    return symbols


def _takes_transfer_fee(market: Market, swap: Swap) -> bool:
    return any(market.tokens[symbol].kind == FEE_ON_TRANSFER for pool in swap.path for symbol in pool.tokens)


def _gas_limit(market: Market, swap: Swap) -> int:
    family, hops = swap.path[0].family, len(swap.path)
    odd = any(market.tokens[symbol].kind != PLAIN for pool in swap.path for symbol in pool.tokens)
    extra = calls.GAS_ODD_TOKEN if odd else 0
    if family in V2_FAMILIES:
        return extra + calls.GAS_V2_BASE + hops * calls.GAS_V2_HOP
    if family == V3_FAMILY:
        return extra + calls.GAS_V3_BASE + hops * calls.GAS_V3_HOP
    return extra + calls.GAS_VAULT


def _action(swap: Swap) -> str:
    family = "balancer_v2" if swap.path[0].family.startswith("balancer") else swap.path[0].family
    shape = "exact_out" if swap.exact_out else "exact_in"
    return f"{family}_{shape}{'_multi_hop' if len(swap.path) > 1 else ''}{'_ether' if swap.with_ether else ''}"


def can_fix_amount_out(pool: Pool, market: Market) -> bool:
    """Return whether the actors quote the pool by amount out: not stable pools, not odd tokens."""
    return pool.family != STABLE_FAMILY and market.is_plain(pool)


def can_pay_with_ether(swap: Swap) -> bool:
    """Return whether Router02 can take ether for this swap."""
    return swap.path[0].family in V2_FAMILIES and swap.token_in == WETH and not swap.exact_out
