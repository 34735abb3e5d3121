"""What heartbeats offer: orders are handed to who can execute them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from node.engine.network.abilities import EXECUTES, GAS_OF_AN_ORDER, Means, abilities
from protocol.kinds import Capability
from protocol.units import Wei

BASE_FEE = Wei(10**9)
COMPLETE = Means(
    may_sign=True,
    takes_orders=True,
    is_live=True,
    relays=1,
    balance=Wei(GAS_OF_AN_ORDER * BASE_FEE),
    base_fee=BASE_FEE,
)


def test_who_has_all_that_it_takes_offers_to_execute() -> None:
    assert abilities(COMPLETE) == EXECUTES | Capability.ATTESTS_ALERTS


def test_who_can_draw_and_executes_offers_capital_too() -> None:
    assert abilities(replace(COMPLETE, draws=True)) == EXECUTES | Capability.FUNDS_ORDERS | Capability.ATTESTS_ALERTS
    assert Capability.FUNDS_ORDERS not in abilities(replace(COMPLETE, draws=True, is_live=False))


@pytest.mark.parametrize(
    "lack",
    [
        {"takes_orders": False},
        {"is_live": False},
        {"relays": 0},
        {"balance": Wei(COMPLETE.balance - 1)},
        {"balance": Wei(0), "base_fee": Wei(0)},
    ],
)
def test_who_lacks_something_still_attests_and_offers_no_execution(lack: dict[str, Any]) -> None:
    assert abilities(replace(COMPLETE, **lack)) == Capability.ATTESTS_ALERTS


def test_who_signs_nothing_slashable_offers_nothing() -> None:
    assert abilities(replace(COMPLETE, may_sign=False)) == Capability(0)
