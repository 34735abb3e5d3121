"""Who took a find, by the order of the block."""

from __future__ import annotations

from node.engine.receipts import Receipt
from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity
from node.engine.vault_logs import Log
from node.engine.winners import Wanted, Winner, winner_of
from protocol.units import Address, Hash32, Wei

POOL, ELSEWHERE = b"\x50" * 20, b"\x51" * 20
ROUTER, EXECUTOR = b"\x60" * 20, b"\x61" * 20
ALICE, MALLORY, TRADER = b"\xa1" * 20, b"\xb0" * 20, b"\xc0" * 20
VICTIM = Hash32(b"\x01" * 32)
WANTED = Wanted(frozenset([VICTIM]), frozenset([POOL]), frozenset([Hash32(b"\x0a" * 32)]))
NO_VICTIM = Wanted(frozenset(), frozenset([POOL]), frozenset())


def receipt(number: int, sender: bytes, to: bytes, *pools: bytes, gas: int = 100, good: bool = True) -> Receipt:
    logs = tuple(Log(AddressHex(pool), (HashHex(bytes(32)),), Data(b"")) for pool in pools)
    name = HashHex(bytes([number]) * 32)
    return Receipt(name, Quantity(good), Quantity(gas), Quantity(1), logs, AddressHex(sender), AddressHex(to))


def winner(wanted: Wanted, *block: Receipt) -> Winner | None:
    return winner_of(wanted, block, [Address(ROUTER)], [Address(ALICE)])


def test_who_stands_right_behind_the_victim_took_it_and_its_bundle_has_the_victims_gas() -> None:
    first = receipt(7, TRADER, EXECUTOR, POOL)
    behind = receipt(2, MALLORY, EXECUTOR, POOL, gas=30)
    found = winner(WANTED, first, receipt(1, TRADER, ROUTER, POOL, gas=50), behind)
    assert found is not None
    assert (found.parts, found.gas) == ((behind,), 80)
    assert (found.hash, found.origin, found.destination) == (b"\x02" * 32, MALLORY, EXECUTOR)


def test_a_sandwich_through_a_router_took_it_with_both_its_parts() -> None:
    front, back = receipt(3, MALLORY, ROUTER, POOL, gas=7), receipt(4, MALLORY, ROUTER, POOL, gas=8)
    found = winner(WANTED, front, receipt(1, TRADER, ROUTER, POOL, gas=50), back)
    assert found is not None
    assert (found.parts, found.gas) == ((front, back), 65)
    assert found.income({front.hash: Wei(5), back.hash: Wei(6)}) == 11
    assert found.income({front.hash: Wei(5)}) is None


def test_a_trade_that_happens_to_follow_the_victim_took_nothing() -> None:
    block = receipt(1, TRADER, ROUTER, POOL), receipt(2, MALLORY, ROUTER, POOL)
    assert winner(WANTED, *block) is None
    assert winner(WANTED, receipt(1, TRADER, ROUTER, POOL)) is None


def test_without_a_neighbour_the_first_that_is_no_trade_took_it() -> None:
    far, later = receipt(5, MALLORY, EXECUTOR, POOL), receipt(6, TRADER, EXECUTOR, POOL)
    block = receipt(2, TRADER, ROUTER, POOL), receipt(3, MALLORY, EXECUTOR, ELSEWHERE), far, later
    found = winner(NO_VICTIM, *block)
    assert found is not None
    assert found.parts == (far,)


def test_where_a_find_of_ours_took_the_route_it_is_that() -> None:
    own = receipt(9, ALICE, EXECUTOR, POOL)
    found = winner(NO_VICTIM, receipt(5, MALLORY, EXECUTOR, POOL), own)
    assert found is not None
    assert found.parts == (own,)


def test_what_reverted_or_is_another_attempt_of_the_same_find_took_nothing() -> None:
    failed, attempt = receipt(5, MALLORY, EXECUTOR, POOL, good=False), receipt(10, ALICE, EXECUTOR, POOL)
    assert winner(WANTED, receipt(1, TRADER, ROUTER, POOL), failed, attempt) is None
