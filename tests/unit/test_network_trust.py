"""How much is handed to whom: what leaders did with what they were given decides."""

from __future__ import annotations

from node.engine.network.trust import FIRST_LIMIT, LEAST_LIMIT, MAX_OPEN, MOST_LIMIT, SETTLED_AFTER, Trust
from protocol.units import Address, BlockNumber
from tests.protocol_factories import ALICE, BOB, hash_of

TARGET = BlockNumber(100)


def test_a_leader_that_pays_is_given_more_up_to_a_bound() -> None:
    trust = Trust()
    trust.given(BOB, hash_of("order"), TARGET, accepted=True)
    trust.paid(BOB, hash_of("order"))

    assert trust.of(BOB).limit == 2 * FIRST_LIMIT
    for place in range(20):
        trust.paid(BOB, hash_of(f"order {place}"))
    assert trust.of(BOB).limit == MOST_LIMIT
    trust.begin(BlockNumber(TARGET + 10))
    assert trust.of(BOB).broken == 0


def broken(trust: Trust, orders: int) -> None:
    """So many orders that are accepted and not executed."""
    for place in range(orders):
        trust.given(BOB, hash_of(f"broken {place}"), TARGET, accepted=True)
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER))


def test_a_leader_that_accepts_and_does_not_execute_is_given_less_down_to_a_bound() -> None:
    trust = Trust()
    for place in range(60):
        trust.given(BOB, hash_of(f"order {place}"), TARGET, accepted=True)
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER - 1))
    assert trust.of(BOB).broken == 0
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER))

    known = trust.of(BOB)
    assert (known.given, known.accepted, known.broken, known.limit) == (60, 60, 60, LEAST_LIMIT)


def test_a_leader_that_is_often_outbid_and_pays_now_and_then_keeps_its_limit() -> None:
    trust = Trust()
    for _ in range(20):
        trust.paid(BOB, hash_of("order"))
        broken(trust, 5)
    assert trust.of(BOB).limit >= FIRST_LIMIT


def test_what_a_leader_that_never_pays_can_take_in_all_is_bounded() -> None:
    trust, lost = Trust(), 0
    while trust.of(BOB).limit > LEAST_LIMIT:
        lost += trust.of(BOB).limit
        broken(trust, 1)
    assert lost <= 8 * FIRST_LIMIT


def test_what_was_declined_changes_no_limit() -> None:
    trust = Trust()
    trust.given(BOB, hash_of("order"), TARGET, accepted=False)
    trust.begin(BlockNumber(TARGET + 10))

    assert (trust.of(BOB).given, trust.of(BOB).limit) == (1, FIRST_LIMIT)


def test_who_leaves_the_registry_is_forgotten_and_open_orders_are_bounded() -> None:
    trust = Trust()
    for place in range(MAX_OPEN + 5):
        trust.given(BOB, hash_of(f"order {place}"), TARGET, accepted=True)
    assert len(trust._open) == MAX_OPEN
    assert trust.limits([ALICE]) == {ALICE: FIRST_LIMIT}
    assert trust.of(BOB).given == 0
    assert trust.of(Address(b"\x09" * 20)).limit == FIRST_LIMIT
