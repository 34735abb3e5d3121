"""The hindsight solver on blocks made by hand, whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from typing import Any

import pytest

from devnet.demo.hindsight import Block, Hindsight, RivalBid
from devnet.demo.hindsight_coins import Coins
from devnet.demo.hindsight_flow import Balanced, Followed, LogReader, MalformedLog, Ranged, Swapped, apply_action, topic
from devnet.demo.hindsight_pools import (
    CannotSwap,
    Concentrated,
    Pair,
    PoolState,
    Stable,
    Weighted,
    amount_out,
    change_liquidity,
    local_curve,
    sqrt_price_at,
    swap,
)
from devnet.demo.hindsight_search import GAS_BASE, GAS_PER_SWAP, Leg, Market, Take, Terms, Worth, best_disjoint
from protocol.ethereum.abi import encode

ETHER = 10**18
GWEI = 10**9
TOKENS = {"first": ("WETH", "USD"), "second": ("WETH", "USD"), "third": ("USD", "DAI"), "fourth": ("WETH", "DAI")}
WORTH = {"WETH": Worth(1, 1), "USD": Worth(1, 3_200)}
FREE = Terms(0)
LEVEL: dict[str, Pair] = {
    "first": Pair((1_000 * ETHER, 3_200_000 * ETHER), 3_000),
    "second": Pair((500 * ETHER, 1_600_000 * ETHER), 3_000),
    "third": Pair((3_200_000 * ETHER, 3_200_000 * ETHER), 3_000),
    "fourth": Pair((1_000 * ETHER, 3_200_000 * ETHER), 3_000),
}
PUSH = Swapped("first", 0, 1, 60 * ETHER)
GAS_OF_TWO = GAS_BASE + 2 * GAS_PER_SWAP


def solver() -> Hindsight:
    return Hindsight(Market(TOKENS, WORTH))


def block(*flow: Any, before: Any = None, bids: tuple[RivalBid, ...] = (), base_fee: int = 0) -> Block:
    return Block(before or LEVEL, base_fee, [[action] for action in flow], bids)


def two_pair_profit(cheap: Pair, dear: Pair) -> int:
    """Gross WETH of the best cycle that sells WETH at `dear` and buys it at `cheap`, in closed form."""
    # out = a·x / (b + c·x) for each hop and for both together; the best x is (√(a·b) - b) / c.
    kept, unit = 997_000, 1_000_000
    a, b, c = kept * dear.reserves[1], unit * dear.reserves[0], kept
    a2, b2, c2 = kept * cheap.reserves[0], unit * cheap.reserves[1], kept
    a, b, c = a * a2, b * b2, c * b2 + c2 * a
    amount = (isqrt(a * b) - b) // c
    return a * amount // (b + c * amount) - amount


def after_push() -> dict[str, Any]:
    return {**LEVEL, "first": apply_action(LEVEL["first"], PUSH)}


def only_two(states: dict[str, Any]) -> Market:
    return Market({name: TOKENS[name] for name in ("first", "second")}, {"WETH": Worth(1, 1)})


def test_nothing_is_available_where_all_prices_agree() -> None:
    assert solver().block(block()) == 0


def test_a_push_makes_the_profit_of_the_closed_form_available() -> None:
    states = {name: state for name, state in after_push().items() if name in ("first", "second")}
    found, after = only_two(states).take_all(states, FREE)
    expected = two_pair_profit(states["first"], states["second"])
    assert expected > ETHER // 100
    assert expected * (1 - 1e-6) <= found <= expected * (1 + 1e-9)
    assert after["first"] != states["first"]


def test_gas_comes_off_and_what_does_not_pay_it_is_left() -> None:
    states = {name: state for name, state in after_push().items() if name in ("first", "second")}
    market, gross = only_two(states), only_two(states).take_all(states, FREE)[0]
    assert market.take_all(states, Terms(GWEI))[0] == pytest.approx(gross - GAS_OF_TWO * GWEI, rel=1e-6)
    assert market.take_all(states, Terms(gross // GAS_OF_TWO + 1)) == (0, states)


def test_a_sealed_bid_wins_what_the_others_offer_less_for_and_pays_its_share_everywhere() -> None:
    market = only_two({name: state for name, state in after_push().items() if name in ("first", "second")})
    legs = market.rings[0].legs
    alone, gross = Terms(GWEI, share=3_000), 10**18
    surplus = gross - GAS_OF_TWO * GWEI
    assert alone.net(legs, gross) == surplus - surplus * 3 // 10
    offered = surplus // 4 // GAS_OF_TWO
    rivals = {legs[0].pool: offered}
    assert Terms(GWEI, rivals, 3_000).net(legs, gross) == alone.net(legs, gross)
    assert Terms(GWEI, rivals, 2_000).net(legs, gross) == 0
    assert Terms(GWEI, rivals).net(legs, gross) == surplus - offered * GAS_OF_TWO - 1
    assert Terms(GWEI, rivals, 3_000).net(legs, GAS_OF_TWO * GWEI) == 0


def test_behind_a_transaction_counts_as_at_the_start_of_the_next_block_would() -> None:
    found = solver().block(block(PUSH))
    assert found == solver().block(block(before=after_push()))
    assert found > 0


def test_what_nobody_takes_counts_once() -> None:
    hindsight = solver()
    first = hindsight.block(block(PUSH))
    assert hindsight.block(block(before=after_push())) == 0
    assert hindsight.block(block(before=after_push())) == 0
    assert hindsight.available_wei == first


def test_what_grows_counts_by_its_growth() -> None:
    hindsight = solver()
    first = hindsight.block(block(PUSH))
    again = hindsight.block(block(PUSH, before=after_push()))
    twice = {**LEVEL, "first": apply_action(after_push()["first"], PUSH)}
    assert first + again == pytest.approx(solver().block(block(before=twice)), rel=1e-6)


def test_what_is_taken_and_comes_again_counts_again() -> None:
    hindsight = solver()
    first = hindsight.block(block(PUSH))
    assert hindsight.block(block(PUSH)) == first, "somebody put the pools right between the blocks"


def test_two_pushes_that_undo_each_other_are_worth_taking_one_by_one() -> None:
    back = Swapped("first", 1, 0, amount_out(LEVEL["first"], 0, 1, 60 * ETHER))
    found = solver().block(block(PUSH, back))
    alone = solver().block(block(PUSH))
    assert found > 15 * alone // 10


def test_a_chance_that_spoils_a_better_one_is_left_out() -> None:
    expensive = 40 * GWEI
    small = Swapped("first", 0, 1, 12 * ETHER)
    found = solver().block(block(small, small, small, small, base_fee=expensive))
    big: dict[str, PoolState] = {**LEVEL}
    for _ in range(4):
        big["first"] = apply_action(big["first"], small)
    assert found >= solver().block(block(before=big, base_fee=expensive)) > 0


def test_the_least_payment_that_beats_a_rival_comes_off_and_only_over_its_pools() -> None:
    free = solver().block(block(PUSH))
    bid = free // 10
    against = solver().block(block(PUSH, bids=(RivalBid(("first", "second"), bid),)))
    assert 0 < free - against <= 3 * bid
    elsewhere = solver().block(block(PUSH, bids=(RivalBid(("elsewhere",), bid),)))
    assert elsewhere == free
    assert solver().block(block(PUSH, bids=(RivalBid(("first",), free * 2),))) < free // 2


def test_what_a_rival_kept_from_us_counts_when_it_does_not_come_again() -> None:
    hindsight = solver()
    free = solver().block(block(PUSH))
    bids = tuple(RivalBid((pool,), 10 * free) for pool in TOKENS)
    assert hindsight.block(block(PUSH, bids=bids)) == 0
    assert hindsight.block(block(before=after_push())) == free


def test_a_transaction_that_would_revert_on_these_states_does_nothing() -> None:
    assert solver().block(block(Swapped("first", 0, 1, 0), Swapped("unknown", 0, 1, 5))) == 0


def test_the_best_disjoint_set_may_leave_out_the_best_take() -> None:
    def take(net: int, *pools: str) -> Take:
        return Take(tuple(Leg(pool, 0, 1) for pool in pools), 1, net)

    both, left, right = take(10, "a", "b"), take(7, "a", "c"), take(6, "b", "d")
    assert set(best_disjoint([both, left, right])) == {left, right}
    many = [take(100 - i, f"p{i}", f"p{i + 1}") for i in range(14)]
    assert best_disjoint(many) == many[::2]


def test_profit_is_counted_in_the_token_in_which_it_is_worth_most() -> None:
    states = {name: state for name, state in after_push().items() if name in ("first", "second")}
    names = {name: TOKENS[name] for name in states}
    in_coin = Market(names, {"WETH": Worth(1, 1)}).take_all(states, FREE)[0]
    in_dollars = Market(names, {"WETH": Worth(1, 1), "USD": Worth(2, 3_200)}).take_all(states, FREE)[0]
    assert in_dollars > 18 * in_coin // 10


# Pools

RANGE = Concentrated(
    sqrt_price=sqrt_price_at(0),
    tick=0,
    liquidity=10**21,
    ticks=(-600, -60, 60, 600),
    nets=(5 * 10**20, 5 * 10**20, -5 * 10**20, -5 * 10**20),
    spacing=60,
    fee_pips=3_000,
)


def test_tick_prices_are_those_of_the_contract_at_both_ends() -> None:
    assert sqrt_price_at(-887_272) == 4_295_128_739
    assert sqrt_price_at(887_272) == 1461446703485210103287273052203988822378723970342
    assert sqrt_price_at(0) == 1 << 96


@pytest.mark.parametrize("down", [True, False])
def test_a_swap_over_ticks_gives_what_its_parts_give(down: bool) -> None:
    amount = 10 * ETHER
    into, out = (0, 1) if down else (1, 0)
    whole, end = swap(RANGE, into, out, amount)
    first, middle = swap(RANGE, into, out, amount // 2)
    second, again = swap(middle, into, out, amount - amount // 2)
    assert isinstance(end, Concentrated)
    assert isinstance(again, Concentrated)
    assert abs(whole - first - second) <= 4
    assert end.tick == again.tick
    assert end.liquidity == again.liquidity == 5 * 10**20
    assert abs(end.tick) > 60


def test_a_swap_beyond_all_liquidity_is_refused() -> None:
    with pytest.raises(CannotSwap, match="no liquidity left"):
        swap(RANGE, 0, 1, 10**30)
    with pytest.raises(CannotSwap, match="no liquidity left"):
        swap(RANGE, 1, 0, 10**30)


STABLE = Stable((3 * 10**24, 2 * 10**24, 4 * 10**24), (10**18,) * 3, 500_000, 400)
COINS = Coins((5 * 10**12, 2 * 10**24, 3 * 10**12), (10**30, 10**18, 10**30), 20_000, 4_000_000, 5 * 10**9)
STEADY = Coins((10**24,) * 3, (10**18,) * 3, 20_000, 4_000_000, 5 * 10**9)
CENTS = Stable((700_000 * 10**2, 900_000 * 10**6), (10**34, 10**30), 200_000, 400)


@pytest.mark.parametrize(
    ("state", "amount"),
    [
        (RANGE, 10**13),
        (Pair((10**18, 10**18), 3_000), 10**13),
        (Weighted((10**18, 10**18), (5 * 10**17, 5 * 10**17), 3_000), 10**13),
        (STABLE, 10**21),
        (replace(STABLE, balances=(10**26, 10**24, 10**24)), 10**22),
        (CENTS, 7_000_00),
        (COINS, 7_000 * 10**6),
    ],
)
def test_nothing_in_gives_an_error_and_the_curve_is_the_swap_of_little(state: Any, amount: int) -> None:
    with pytest.raises(CannotSwap):
        swap(state, 0, 1, 0)
    rate, bend = local_curve(state, 0, 1)
    assert amount_out(state, 0, 1, amount) == pytest.approx(rate * amount / (1 + bend * amount), rel=1e-6)


def test_an_empty_pool_gives_nothing() -> None:
    empty: tuple[PoolState, ...] = (
        Pair((0, 5), 3_000),
        Weighted((5, 0), (1, 1), 3_000),
        replace(STABLE, balances=(10**24, 10**24, 0)),
        replace(COINS, balances=(10**12, 0, 10**12)),
    )
    for state in empty:
        assert local_curve(state, 0, 1) == (0.0, 0.0)
        with pytest.raises(CannotSwap):
            amount_out(state, 0, 1, 10)


def test_a_stable_pool_keeps_its_order_of_tokens_and_never_gives_all_it_has() -> None:
    out, after = swap(STABLE, 2, 1, 10**27)
    assert out < STABLE.balances[1]
    assert after == replace(
        STABLE, balances=(STABLE.balances[0], STABLE.balances[1] - out, STABLE.balances[2] + 10**27)
    )


def test_a_stable_pool_refuses_what_its_contract_cannot_give() -> None:
    with pytest.raises(CannotSwap, match="nothing comes out"):
        swap(STABLE, 0, 1, 1)
    with pytest.raises(CannotSwap, match="the contract does not make"):
        swap(Stable((10**20, 10**12, 10**59), (10**18,) * 3, 200_000, 0), 0, 1, 10**6)
    with pytest.raises(CannotSwap, match="no end after"):
        swap(Stable((10**53, 10**23), (10**18,) * 2, 5_000_000, 0), 0, 1, 10**20)


def test_a_pool_of_coins_keeps_but_a_part_of_its_fee_and_refuses_what_gives_nothing() -> None:
    out, after = swap(COINS, 0, 1, 10**11)
    assert isinstance(after, Coins)
    left = COINS.balances[1] - out - after.balances[1]
    assert after == replace(
        COINS, balances=(COINS.balances[0] + 10**11, COINS.balances[1] - out - left, COINS.balances[2])
    )
    assert left == pytest.approx(out * 4e-4 / 2, rel=1e-3)
    with pytest.raises(CannotSwap, match="nothing comes out"):
        swap(replace(STEADY, amplification=50, balances=(10**17, 10**18, 10**5)), 0, 1, 1)
    with pytest.raises(CannotSwap, match="no invariant"):
        swap(replace(COINS, balances=(5 * 10**18, 1, 3 * 10**12)), 0, 1, 1)
    with pytest.raises(CannotSwap, match="the contract does not make"):
        swap(replace(STEADY, amplification=1, balances=(10**24, 10, 1)), 0, 1, 1)


def test_a_stable_pool_is_traded_beyond_where_its_curve_is_flat() -> None:
    # What bends at the present price says nothing of how steep it becomes: the screen's guess is far too great.
    calm = Stable((10**24, 10**24), (10**18,) * 2, 500_000, 400)
    deep = Stable((120 * 10**24, 30 * 10**24), (10**18,) * 2, 200_000, 400)
    states: dict[str, PoolState] = {"calm": calm, "deep": deep}
    market = Market(dict.fromkeys(states, ("DAI", "USD")), {"USD": Worth(1, 1)})
    found, after = market.take_all(states, FREE)
    tried = [10**24 * step // 200 for step in range(1, 300)]
    best = max(amount_out(calm, 0, 1, amount_out(deep, 1, 0, amount)) - amount for amount in tried)
    assert found >= best > 7_000 * ETHER
    assert market.take_all(after, FREE)[0] <= found // 10**6


def test_liquidity_that_goes_as_it_came_leaves_nothing() -> None:
    more = change_liquidity(RANGE, -120, 120, 10**20)
    assert more.liquidity == RANGE.liquidity + 10**20
    assert change_liquidity(more, -120, 120, -(10**20)) == RANGE
    assert change_liquidity(RANGE, 60, 600, 10**20).liquidity == RANGE.liquidity


# Logs

A, B = "0x" + "0a" * 20, "0x" + "0b" * 20
POOL_ID = "0x" + "0c" * 32
STABLE_ID, SHARE = "0x" + "0d" * 32, "0x" + "0d" * 20
V4_ID, COINS_ADDRESS = "0x" + "0e" * 32, "0x" + "0f" * 20
FOLLOWED = {
    A: Followed("first", (A, B)),
    "0x" + "33" * 20: Followed("range", (A, B)),
    POOL_ID: Followed("weighted", (A, B)),
    STABLE_ID: Followed("stable", (A, B), share=SHARE),
    V4_ID: Followed("singleton", (A, B)),
    COINS_ADDRESS: Followed("coins", (A, B, SHARE)),
}
WEIGHTED = Weighted((10**20, 10**20), (1, 1), 3_000)
STATES: dict[str, PoolState] = {
    "first": LEVEL["first"],
    "range": RANGE,
    "weighted": WEIGHTED,
    "stable": CENTS,
    "singleton": RANGE,
    "coins": COINS,
}


def log(address: str, topics: list[str], types: list[str], *values: Any) -> dict[str, Any]:
    return {"address": address, "topics": topics, "data": "0x" + encode(types, values).hex()}


def word(value: int) -> str:
    return "0x" + value.to_bytes(32, "big", signed=True).hex()


V2_SWAP = topic("Swap(address,uint256,uint256,uint256,uint256,address)")
SYNC = topic("Sync(uint112,uint112)")
V3 = "0x" + "33" * 20


def test_a_swap_of_a_pair_is_read_with_the_true_reserves() -> None:
    reader = LogReader(FOLLOWED, STATES)
    out, after = swap(LEVEL["first"], 0, 1, 5 * ETHER)
    assert isinstance(after, Pair)
    logs = [
        log(A, [SYNC], ["uint112", "uint112"], *after.reserves),
        log(A, [V2_SWAP], ["uint256"] * 4, 5 * ETHER, 0, 0, out),
        {"address": A, "topics": [], "data": "0x"},
        log(B, [SYNC], ["uint112", "uint112"], 1, 1),
        log(A, [topic("Transfer(address,address,uint256)")], ["uint256"], 1),
    ]
    assert reader.read(logs) == [Swapped("first", 0, 1, 5 * ETHER)]
    assert reader.states["first"] == after


def test_what_comes_and_goes_without_a_swap_is_a_change_of_balances() -> None:
    reader = LogReader(FOLLOWED, STATES)
    held = LEVEL["first"].reserves
    mint, burn = topic("Mint(address,uint256,uint256)"), topic("Burn(address,uint256,uint256,address)")
    less, more = (held[0] - 7, held[1] - 9), (held[0] + 7, held[1] + 9)
    assert reader.read([log(A, [mint], ["uint256"] * 2, 7, 9)]) == [Balanced("first", less, held)]
    assert reader.read([log(A, [burn], ["uint256"] * 2, 7, 9)]) == [Balanced("first", more, held)]
    both = Balanced("first", (held[0] + 2, held[1] - 6), held)
    assert reader.read([log(A, [V2_SWAP], ["uint256"] * 4, 5, 6, 7, 0)]) == [both]
    changed = topic("PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])")
    join = log(B, [changed, POOL_ID, A], ["address[]", "int256[]", "uint256[]"], [A, B], [10, -4], [1, 0])
    after = (10**20 + 9, 10**20 - 4)
    assert reader.read([join]) == [Balanced("weighted", (10**20, 10**20), after)]
    assert reader.states["weighted"] == replace(WEIGHTED, balances=after)


def test_a_withdrawal_played_again_on_another_price_leaves_that_price_where_it_is() -> None:
    half = Balanced("first", (1_000, 2_000), (500, 1_000))
    assert apply_action(LEVEL["first"], half) == Pair((500 * ETHER, 1_600_000 * ETHER), 3_000)
    assert apply_action(WEIGHTED, Balanced("weighted", (4, 4), (4, 1))) == replace(
        WEIGHTED, balances=(10**20, 10**20 // 4)
    )
    with pytest.raises(CannotSwap):
        apply_action(LEVEL["first"], Balanced("first", (0, 2_000), (500, 1_000)))


def test_swaps_and_ranges_of_uniswap_v3_are_read() -> None:
    reader = LogReader(FOLLOWED, STATES)
    swapped = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
    types = ["int256", "int256", "uint160", "uint128", "int24"]
    up = log(V3, [swapped, A, B], types, -5, 6, 1 << 97, 77, 13_863)
    down = log(V3, [swapped, A, B], types, 5, -6, 1 << 96, 78, 0)
    assert reader.read([up, down]) == [Swapped("range", 1, 0, 6), Swapped("range", 0, 1, 5)]
    assert reader.states["range"] == replace(RANGE, liquidity=78)
    mint = topic("Mint(address,address,int24,int24,uint128,uint256,uint256)")
    burn = topic("Burn(address,int24,int24,uint128,uint256,uint256)")
    ticks = [A, word(-120), word(120)]
    came = log(V3, [mint, *ticks], ["address", "uint128", "uint256", "uint256"], A, 50, 1, 1)
    went = log(V3, [burn, *ticks], ["uint128", "uint256", "uint256"], 50, 1, 1)
    nothing = log(V3, [burn, *ticks], ["uint128", "uint256", "uint256"], 0, 0, 0)
    flash = log(V3, [topic("Flash(address,address,uint256,uint256,uint256,uint256)")], ["uint256"], 1)
    assert reader.read([came, went, nothing, flash]) == [
        Ranged("range", -120, 120, 50),
        Ranged("range", -120, 120, -50),
    ]
    assert reader.states["range"] == replace(RANGE, liquidity=78)
    assert apply_action(RANGE, Ranged("range", -120, 120, 50)) == change_liquidity(RANGE, -120, 120, 50)
    assert apply_action(LEVEL["first"], Ranged("first", -120, 120, 50)) == LEVEL["first"]


def test_swaps_and_positions_of_uniswap_v4_are_read_by_their_pool_id_from_the_swappers_side() -> None:
    reader = LogReader(FOLLOWED, STATES)
    swapped = topic("Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)")
    types = ["int128", "int128", "uint160", "uint128", "int24", "uint24"]
    up = log(B, [swapped, V4_ID, A], types, 5, -6, 1 << 97, 77, 13_863, 3_000)
    down = log(B, [swapped, V4_ID, A], types, -5, 6, 1 << 96, 78, 0, 3_000)
    others = log(B, [swapped, "0x" + "dd" * 32, A], types, -5, 6, 1 << 96, 79, 0, 3_000)
    assert reader.read([up, down, others]) == [Swapped("singleton", 1, 0, 6), Swapped("singleton", 0, 1, 5)]
    modified = topic("ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")
    types = ["int24", "int24", "int256", "bytes32"]
    came, went, poked = (log(B, [modified, V4_ID, A], types, -120, 120, delta, b"\0" * 32) for delta in (50, -50, 0))
    assert reader.read([came, went, poked]) == [
        Ranged("singleton", -120, 120, 50),
        Ranged("singleton", -120, 120, -50),
    ]
    assert reader.states["singleton"] == replace(RANGE, liquidity=78)


def test_exchanges_deposits_and_withdrawals_of_a_pool_of_coins_are_read() -> None:
    reader = LogReader(FOLLOWED, STATES)
    exchanged = topic("TokenExchange(address,int128,uint256,int128,uint256)")
    out, after = swap(COINS, 1, 2, 10**21)
    assert isinstance(after, Coins)
    sold = log(COINS_ADDRESS, [exchanged, A], ["int128", "uint256", "int128", "uint256"], 1, 10**21, 2, out)
    assert reader.read([sold]) == [Swapped("coins", 1, 2, 10**21)]
    assert reader.states["coins"] == after
    added = topic("AddLiquidity(address,uint256[3],uint256[3],uint256,uint256)")
    removed = topic("RemoveLiquidity(address,uint256[3],uint256[3],uint256)")
    three = ["uint256[3]", "uint256[3]", "uint256"]
    more = tuple(held + came for held, came in zip(after.balances, (99, 200, 298), strict=True))
    assert reader.read([log(COINS_ADDRESS, [added, A], [*three, "uint256"], [100, 200, 300], [2, 0, 4], 1, 1)]) == [
        Balanced("coins", after.balances, more)
    ]
    less = tuple(held - 7 for held in more)
    assert reader.read([log(COINS_ADDRESS, [removed, A], three, [7, 7, 7], [0, 0, 0], 1)]) == [
        Balanced("coins", more, less)
    ]
    assert reader.read([log(COINS_ADDRESS, [topic("RampA(uint256,uint256,uint256,uint256)")], ["uint256"], 1)]) == []
    assert apply_action(COINS, Balanced("coins", (2, 2, 2), (1, 1, 1))) == replace(
        COINS, balances=tuple(held // 2 for held in COINS.balances)
    )
    with pytest.raises(MalformedLog, match="an exchange of coins gave"):
        reader.read([log(COINS_ADDRESS, [exchanged, A], ["int128", "uint256", "int128", "uint256"], 0, 10**9, 2, 1)])


def test_a_swap_of_the_vault_is_read_by_its_pool_id() -> None:
    reader = LogReader(FOLLOWED, STATES)
    event = topic("Swap(bytes32,address,address,uint256,uint256)")
    padded = ["0x" + "00" * 12 + address[2:] for address in (B, A)]
    assert reader.read([log(B, [event, POOL_ID, *padded], ["uint256"] * 2, 100, 90)]) == [
        Swapped("weighted", 1, 0, 100)
    ]
    assert reader.states["weighted"] == replace(WEIGHTED, balances=(10**20 - 90, 10**20 + 100))
    other = log(B, [event, "0x" + "dd" * 32, *padded], ["uint256"] * 2, 100, 90)
    assert reader.read([other]) == []
    unknown = log(B, [event[:-1] + "0"], ["uint256"], 1)
    assert reader.read([unknown]) == []


def test_a_stable_pool_is_read_without_its_own_token_and_a_swap_with_that_is_a_deposit() -> None:
    reader = LogReader(FOLLOWED, STATES)
    changed = topic("PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])")
    event = topic("Swap(bytes32,address,address,uint256,uint256)")
    held = CENTS.balances
    join = log(
        B, [changed, STABLE_ID, A], ["address[]", "int256[]", "uint256[]"], [A, SHARE, B], [10, 0, 40], [0, 5, 1]
    )
    joined = (held[0] + 10, held[1] + 39)
    assert reader.read([join]) == [Balanced("stable", held, joined)]

    def swapped(sold: str, bought: str, *amounts: int) -> dict[str, Any]:
        topics = [event, STABLE_ID, *("0x" + "00" * 12 + token[2:] for token in (sold, bought))]
        return log(B, topics, ["uint256"] * 2, *amounts)

    bought, left = (joined[0] + 7, joined[1]), (joined[0] + 7, joined[1] - 3)
    assert reader.read([swapped(A, SHARE, 7, 10**18), swapped(SHARE, B, 10**12, 3), swapped(B, A, 20, 1)]) == [
        Balanced("stable", joined, bought),
        Balanced("stable", bought, left),
        Swapped("stable", 1, 0, 20),
    ]
    assert reader.states["stable"] == replace(CENTS, balances=(left[0] - 1, left[1] + 20))
    assert apply_action(CENTS, Balanced("stable", (2, 2), (1, 1))) == replace(
        CENTS, balances=(held[0] // 2, held[1] // 2)
    )
    with pytest.raises(MalformedLog, match="a log of stable cannot be read"):
        reader.read([swapped("0x" + "77" * 20, A, 1, 1)])


def test_a_log_that_cannot_be_read_is_named() -> None:
    with pytest.raises(MalformedLog, match="a log of first cannot be read"):
        LogReader(FOLLOWED, STATES).read([{"address": A, "topics": [SYNC], "data": "0x00"}])
    swapped = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
    with pytest.raises(MalformedLog, match="a log of range cannot be read"):
        LogReader(FOLLOWED, STATES).read([{"address": V3, "topics": [swapped], "data": "0x00"}])
