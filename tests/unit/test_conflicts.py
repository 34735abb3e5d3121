"""Legs and primary keys."""

from __future__ import annotations

import pytest

from protocol.conflicts import MAX_LEGS, Leg, Occasion, direction_of, leg_key, primary_leg
from protocol.errors import InvalidField
from protocol.units import BlockNumber, ChainId
from tests.protocol_factories import ALICE, BOB, CAROL, WETH, hash_of

OCCASION = Occasion(ChainId(31337), BlockNumber(100), None)


def test_every_part_of_a_leg_is_in_its_key() -> None:
    leg = Leg(WETH, 0)
    keys = {
        leg_key(OCCASION, leg),
        leg_key(OCCASION, Leg(WETH, 1)),
        leg_key(OCCASION, Leg(ALICE, 0)),
        leg_key(OCCASION._replace(chain_id=ChainId(1)), leg),
        leg_key(OCCASION._replace(target_block=BlockNumber(101)), leg),
        leg_key(OCCASION._replace(trigger=hash_of("trigger")), leg),
    }
    assert len(keys) == 6


def test_an_address_and_the_same_address_as_a_word_are_one_pool() -> None:
    assert leg_key(OCCASION, Leg(WETH, 0)) == leg_key(OCCASION, Leg(WETH.rjust(32, b"\0"), 0))


@pytest.mark.parametrize("leg", [Leg(b"short", 0), Leg(WETH, 2), Leg(b"", 0)])
def test_what_is_no_leg_is_refused(leg: Leg) -> None:
    with pytest.raises(InvalidField):
        leg_key(OCCASION, leg)


def test_the_direction_is_told_by_the_tokens_addresses() -> None:
    low, high = sorted((ALICE, BOB))
    assert (direction_of(low, high), direction_of(high, low)) == (0, 1)
    with pytest.raises(InvalidField):
        direction_of(low, low)


def test_the_primary_leg_is_on_the_triggers_pool_else_on_the_smallest() -> None:
    route = [Leg(CAROL, 0), Leg(ALICE, 1), Leg(BOB, 0), Leg(ALICE, 0)]
    smallest = min((ALICE, BOB, CAROL))
    assert primary_leg(route, None) == next(leg for leg in route if leg.pool_id == smallest)
    assert primary_leg(route, ALICE) == Leg(ALICE, 1)
    assert primary_leg(route, WETH) == primary_leg(route, None)
    for wrong in ([], [Leg(ALICE, 0)] * (MAX_LEGS + 1)):
        with pytest.raises(InvalidField):
            primary_leg(wrong, None)
