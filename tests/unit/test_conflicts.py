"""Legs, primary keys and the set of orders that a leader keeps."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.conflicts import (
    MAX_LEGS,
    MAX_SEARCHED,
    Candidate,
    Leg,
    Occasion,
    best_set,
    conflict,
    direction_of,
    leg_key,
    primary_leg,
    tie_rank,
)
from protocol.errors import InvalidField
from protocol.units import BlockNumber, ChainId, LegKey, Wei
from tests.protocol_factories import ALICE, BOB, CAROL, WETH, hash_of

OCCASION = Occasion(ChainId(31337), BlockNumber(100), None)
SEED = hash_of("seed")


def candidate(name: str, legs: str, net: int) -> Candidate:
    return Candidate(hash_of(name), frozenset(LegKey(hash_of(leg)) for leg in legs), Wei(net))


CANDIDATES = st.lists(
    st.tuples(st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3), st.integers(-5, 20)), max_size=9
).map(lambda rows: [candidate(str(n), "".join(sorted(legs)), net) for n, (legs, net) in enumerate(rows)])


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


@given(CANDIDATES)
def test_the_kept_set_is_the_best_of_all_sets(candidates: list[Candidate]) -> None:
    kept = best_set(candidates, SEED)
    assert not any(conflict(a, b) for a, b in combinations(kept, 2))
    allowed = (
        chosen
        for size in range(len(candidates) + 1)
        for chosen in combinations(candidates, size)
        if not any(conflict(a, b) for a, b in combinations(chosen, 2))
    )
    assert sum(one.net for one in kept) == max(sum(one.net for one in chosen) for chosen in allowed)


@given(CANDIDATES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(candidates: list[Candidate], chance: object) -> None:
    shuffled = list(candidates)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert best_set(shuffled, SEED) == best_set(candidates, SEED)


def test_of_two_that_earn_the_same_the_lower_rank_wins() -> None:
    rivals = [candidate(name, "a", 10) for name in "pqrst"]
    (winner,) = best_set(rivals, SEED)
    assert winner == min(rivals, key=lambda one: tie_rank(SEED, one.order_hash))
    (other,) = best_set(rivals, hash_of("another seed"))
    assert tie_rank(hash_of("another seed"), other.order_hash) <= tie_rank(hash_of("another seed"), winner.order_hash)


def test_two_small_ones_beat_a_larger_one_between_them() -> None:
    kept = best_set([candidate("left", "a", 6), candidate("middle", "ab", 10), candidate("right", "b", 6)], SEED)
    assert {one.order_hash for one in kept} == {hash_of("left"), hash_of("right")}


def test_among_very_many_the_highest_come_first() -> None:
    many = [candidate(str(number), "x", number) for number in range(1, MAX_SEARCHED + 20)]
    assert [one.net for one in best_set(many, SEED)] == [MAX_SEARCHED + 19]


def test_what_earns_nothing_and_what_comes_twice_is_left_out() -> None:
    assert best_set([candidate("nothing", "a", 0), candidate("loss", "b", -1)], SEED) == ()
    assert len(best_set([candidate("one", "a", 1)] * 3, SEED)) == 1
