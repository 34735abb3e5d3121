"""No strategy nets more than what hindsight calls available, whatever it does and whatever others do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from devnet.demo.hindsight import Block, Hindsight
from devnet.demo.hindsight_flow import Swapped, apply_action
from devnet.demo.hindsight_pools import CannotSwap, Pair, PoolState, amount_out, swap
from devnet.demo.hindsight_search import GAS_BASE, GAS_PER_SWAP, Market, Worth

ETHER = 10**18
TOKENS = {"first": ("WETH", "USD"), "second": ("WETH", "USD"), "third": ("USD", "DAI"), "fourth": ("WETH", "DAI")}
LEVEL: dict[str, PoolState] = {
    "first": Pair((1_000 * ETHER, 3_200_000 * ETHER), 3_000),
    "second": Pair((500 * ETHER, 1_600_000 * ETHER), 3_000),
    "third": Pair((3_200_000 * ETHER, 3_200_000 * ETHER), 3_000),
    "fourth": Pair((1_000 * ETHER, 3_200_000 * ETHER), 3_000),
}
CYCLES = (
    (("first", 0, 1), ("second", 1, 0)),
    (("second", 0, 1), ("first", 1, 0)),
    (("first", 0, 1), ("third", 0, 1), ("fourth", 1, 0)),
    (("fourth", 0, 1), ("third", 1, 0), ("second", 1, 0)),
)
_MAX_BLOCKS = 4

pushes = st.builds(
    lambda pool, index, permille: (pool, index, permille),
    st.sampled_from(sorted(TOKENS)),
    st.integers(0, 1),
    st.integers(1, 60),
)
moves = st.tuples(st.sampled_from(CYCLES), st.integers(1, 40_000))
"""A cycle, and milli-ether that go in."""
behind = st.lists(st.tuples(pushes, st.lists(moves, max_size=2)), max_size=4)
blocks = st.lists(st.tuples(st.lists(moves, max_size=2), behind), min_size=1, max_size=_MAX_BLOCKS)


def play(states: dict[str, PoolState], cycle: tuple[tuple[str, int, int], ...], amount: int, base_fee: int) -> int:
    """Take a cycle if it pays; return its net wei."""
    out, after = amount, dict(states)
    for pool, index_in, index_out in cycle:
        try:
            out, after[pool] = swap(after[pool], index_in, index_out, out)
        except CannotSwap:
            return 0
    net = out - amount - base_fee * (GAS_BASE + GAS_PER_SWAP * len(cycle))
    if net <= 0:
        return 0
    states.update(after)
    return net


@given(blocks, st.sampled_from([0, 10**9, 50 * 10**9]))
@settings(max_examples=150)
def test_no_strategy_nets_more_than_was_available(played: object, base_fee: int) -> None:
    hindsight = Hindsight(Market(TOKENS, {"WETH": Worth(1, 1)}))
    states, realised = dict(LEVEL), 0
    assert isinstance(played, list)
    for at_start, steps in played:
        before, flow = dict(states), []
        for cycle, milli in at_start:
            realised += play(states, cycle, milli * ETHER // 1000, base_fee)
        for (pool, index, permille), taken in steps:
            held = before[pool]
            assert isinstance(held, Pair)
            action = Swapped(pool, index, 1 - index, held.reserves[index] * permille // 1000)
            states[pool] = apply_action(states[pool], action)
            flow.append([action])
            for cycle, milli in taken:
                realised += play(states, cycle, milli * ETHER // 1000, base_fee)
        hindsight.block(Block(before, base_fee, flow))
    assert realised <= hindsight.available_wei * (1 + 10**-4) + 1


@given(st.integers(1, 10**24), st.integers(0, 1))
def test_nothing_is_gained_by_going_back_and_forth_in_one_pool(amount: int, index: int) -> None:
    out, after = swap(LEVEL["first"], index, 1 - index, amount)
    if out:
        assert amount_out(after, 1 - index, index, out) <= amount
