"""What a heartbeat may offer: nobody is to hand an order to who could not execute it. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.kinds import Capability
from protocol.units import Wei

EXECUTES: Final = Capability.ACCEPTS_ORDERS | Capability.EXECUTOR_LIVE
GAS_OF_AN_ORDER: Final = 2_000_000
"""So much gas at the present base fee the hot key has to be able to pay: a long route, its opening and its bid."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has at a block to act with. `base_fee` and `balance` (of the registered hot key) in wei."""

    may_sign: bool
    """Whether slashable statements are signed: without them nothing is promised."""
    takes_orders: bool
    is_live: bool
    """The vault's executor."""
    relays: int
    """Those that take something of us."""
    balance: Wei
    base_fee: Wei
    draws: bool = False
    """Whether the vault lets anything be drawn."""


def abilities(means: Means) -> Capability:
    """Return what a node with these means can do for others."""
    if not means.may_sign:
        return Capability(0)
    able = Capability.ATTESTS_ALERTS
    can_pay = means.balance >= GAS_OF_AN_ORDER * means.base_fee and means.balance > 0
    if means.takes_orders and means.is_live and means.relays > 0 and can_pay:
        able |= EXECUTES
        if means.draws:
            able |= Capability.FUNDS_ORDERS
    return able
