"""Which pools are read together next: nobody who is quick waits for who is slow, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from node.engine.wanted_pools import LATE_TURN, POOLS_AT_ONCE, SLOW_SECONDS, WantedPools
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec
from protocol.units import Address


def spec_of(pool_id: PoolId) -> PoolSpec:
    return PoolSpec(pool_id, PoolFamily.UNISWAP_V2, Address(pool_id), (), 3_000)


def ids(count: int, first: int = 0) -> list[PoolId]:
    return [PoolId(number.to_bytes(20)) for number in range(first, first + count)]


def group(wanted: WantedPools) -> list[PoolId]:
    return [spec.id for spec in wanted.next_group(spec_of)]


def test_they_come_in_the_order_in_which_they_were_wanted_and_stay_until_they_are_dropped() -> None:
    wanted = WantedPools()
    wanted.add(ids(POOLS_AT_ONCE + 1))
    assert group(wanted) == group(wanted) == ids(POOLS_AT_ONCE)
    for pool_id in ids(POOLS_AT_ONCE):
        wanted.drop(pool_id)
    assert (group(wanted), len(wanted)) == (ids(1, POOLS_AT_ONCE), 1)


def test_who_is_not_followed_any_more_is_dropped() -> None:
    wanted = WantedPools()
    wanted.add(ids(3))
    assert [spec.id for spec in wanted.next_group(lambda one: spec_of(one) if one == ids(1, 1)[0] else None)] == ids(
        1, 1
    )
    assert list(wanted) == ids(1, 1)


def test_who_was_late_comes_behind_the_others_half_as_many_together_each_time() -> None:
    wanted = WantedPools()
    late, others = ids(POOLS_AT_ONCE), ids(2, POOLS_AT_ONCE)
    wanted.add([*late, *others])
    wanted.were_late(late)
    assert group(wanted) == others
    for pool_id in others:
        wanted.drop(pool_id)
    assert group(wanted) == late[: POOLS_AT_ONCE // 2]
    wanted.were_late(late)
    assert group(wanted) == late[: POOLS_AT_ONCE // 4]


def test_who_took_long_is_read_behind_the_others_when_it_is_wanted_again_until_it_does_not() -> None:
    wanted = WantedPools()
    slow, quick = ids(1)[0], ids(1, 1)[0]
    for seconds, first in ((SLOW_SECONDS + 1, [quick]), (SLOW_SECONDS, [slow, quick])):
        wanted.add([slow, quick])
        wanted.took([slow, quick], seconds)
        wanted.took([quick], 0.0)
        for pool_id in (slow, quick):
            wanted.drop(pool_id)
        wanted.add([slow, quick])
        assert group(wanted) == first


@given(late=st.lists(st.integers(0, 199), max_size=400), others=st.integers(1, 200))
def test_whoever_waits_has_its_turn_though_others_never_end(late: Sequence[int], others: int) -> None:
    wanted, endless = WantedPools(), ids(others, 200)
    wanted.add(ids(200))
    for number in late:
        wanted.were_late(ids(1, number))
    waiting = set(ids(200))
    for _ in range(LATE_TURN * (200 + 200 // POOLS_AT_ONCE + 1)):
        wanted.add(endless)
        read = group(wanted)
        assert read
        waiting -= set(read)
        for pool_id in read:
            wanted.drop(pool_id)
    assert not waiting
