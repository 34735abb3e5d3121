"""What is offered to the builder: what it costs against rivals of every sort, and what bounds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest

from node.pipeline.bids import MEMORY, SHARES, THIRD, WEIGHTY_FROM, BidPolicy, bid_for, bid_wei
from protocol.ethereum.keccak import keccak256
from protocol.kinds import OpportunityKind
from protocol.units import BASIS_POINTS_ONE, Gas, Hash32, Wei

KIND = OpportunityKind.BACKRUN
SURPLUS = Wei(10**16)
Rival = Callable[[Random], int]
"""A rival's share for one find, in basis points; -1 where it does not bid."""


def name(number: int) -> Hash32:
    return Hash32(keccak256(number.to_bytes(8, "big")))


def market_rival(random: Random) -> int:
    """In 22 percent of the finds, half to nine tenths of the profit."""
    return random.choices([5_000, 7_000, 9_000], [20, 40, 40])[0] if random.random() < 0.22 else -1


def auctions(
    policies: Sequence[BidPolicy], rivals: Sequence[Rival], *, seed: int, finds: int = 1_000, sees: float = 1.0
) -> list[float]:
    """What each policy keeps of all surplus, when each sees a find with a chance of `sees` and the highest bid wins."""
    random, kept = Random(seed), [0] * len(policies)
    for number in range(finds):
        offers: list[tuple[int, int, int]] = []
        for place, policy in enumerate(policies):
            if random.random() < sees:
                bucket = policy.choose(KIND, SURPLUS)
                offers.append((policy.share(bucket, name(number)), place, bucket))
        theirs = max([rival(random) for rival in rivals], default=-1)
        best = max([theirs, *(share for share, _, _ in offers)])
        for share, place, bucket in offers:
            if share == best > theirs:
                policies[place].won(KIND, SURPLUS, bucket)
                kept[place] += BASIS_POINTS_ONE - share
            elif best == theirs:  # what another operator of the network takes teaches nothing
                policies[place].lost(KIND, SURPLUS, bucket, best)
    return [one / finds / BASIS_POINTS_ONE for one in kept]


def learners(count: int) -> list[BidPolicy]:
    return [BidPolicy(bytes([number])) for number in range(count)]


def best_fixed(rivals: Sequence[Rival], *, seed: int, finds: int = 1_000) -> float:
    """What the best single share would have kept, alone against the rivals, known only afterwards."""
    random = Random(seed)
    bids = [max(rival(random) for rival in rivals) for _ in range(finds)]
    return max((1 - share / BASIS_POINTS_ONE) * sum(bid < share for bid in bids) / finds for share in range(1, 10_000))


@pytest.mark.parametrize("seed", range(5))
def test_alone_against_the_markets_rival_the_regret_is_small(seed: int) -> None:
    (kept,) = auctions(learners(1), [market_rival], seed=seed)
    assert kept >= best_fixed([market_rival], seed=seed) - 0.05


@pytest.mark.parametrize("sees", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_three_learners_over_the_same_finds_do_not_bid_their_profit_away(sees: float, seed: int) -> None:
    kept = auctions(learners(3), [market_rival], seed=seed, sees=sees)
    in_reach = (1 - (1 - sees) ** 3) * 0.78  # what the rival leaves of what at least one of them sees
    assert sum(kept) >= 0.92 * in_reach
    assert min(kept) >= 0.2 * in_reach


def test_one_that_always_pays_half_is_passed_by_little() -> None:
    (kept,) = auctions(learners(1), [lambda _: 5_000], seed=1)
    assert kept >= 0.4


def test_one_that_is_gone_again_is_soon_forgotten() -> None:
    (policy,) = learners(1)
    auctions([policy], [lambda _: 7_000], seed=1, finds=200)
    assert policy.choose(KIND, SURPLUS) == SHARES.index(7_100)
    (kept,) = auctions([policy], [], seed=2, finds=200)
    assert kept >= 0.75


def test_where_nothing_lands_nothing_is_offered_in_vain() -> None:
    (policy,) = learners(1)
    for _ in range(3 * MEMORY):
        policy.lost(KIND, SURPLUS, policy.choose(KIND, SURPLUS), BASIS_POINTS_ONE)
    assert policy.choose(KIND, SURPLUS) == 0


def test_without_knowing_what_the_winner_paid_it_climbs_step_by_step() -> None:
    (policy,) = learners(1)
    seen = []
    for _ in range(4 * MEMORY):
        bucket = policy.choose(KIND, SURPLUS)
        seen.append(bucket)
        if bucket >= 4:
            policy.won(KIND, SURPLUS, bucket)
        else:
            policy.lost(KIND, SURPLUS, bucket, None)
    assert seen[0] == 0
    assert max(seen) == 4
    assert seen.index(4) <= 5 * MEMORY


def test_sizes_and_kinds_are_learnt_apart() -> None:
    (policy,) = learners(1)
    for _ in range(MEMORY):
        policy.lost(KIND, SURPLUS, 0, 5_000)
    assert policy.choose(KIND, SURPLUS) == SHARES.index(5_100)
    assert policy.choose(KIND, Wei(10**15)) == 0
    assert policy.choose(KIND, Wei(1)) == 0
    assert policy.choose(OpportunityKind.CYCLIC_ARBITRAGE, SURPLUS) == 0


def test_what_is_learnt_of_large_finds_holds_for_still_larger_ones() -> None:
    (policy,) = learners(1)
    for _ in range(MEMORY):
        policy.lost(KIND, SURPLUS, 0, 5_000)
    assert policy.choose(KIND, Wei(10**21)) == SHARES.index(5_100)


def test_a_find_that_outweighs_all_that_has_landed_is_bid_a_third_for() -> None:
    (policy,) = learners(1)
    find = Wei(10**18)
    bucket = policy.choose(KIND, find)
    shares = [policy.share(bucket, name(number)) for number in range(200)]
    assert all(BASIS_POINTS_ONE / 3 < share < BASIS_POINTS_ONE * 0.38 for share in shares)
    policy.won(KIND, find, policy.choose(KIND, find))
    assert policy.choose(KIND, find) == 0
    assert policy.choose(KIND, Wei(2 * find)) == bucket


def test_what_was_lost_weighs_nothing_and_a_small_find_never_much() -> None:
    (policy,) = learners(1)
    assert policy.choose(KIND, Wei(WEIGHTY_FROM - 1)) == 0
    policy.lost(KIND, Wei(10**18), 0, 1_000)
    assert policy.choose(KIND, Wei(10**18)) == SHARES.index(THIRD)


def test_no_bid_for_a_single_find_has_a_smaller_worst_regret_than_a_third() -> None:
    """Against who bids as likely as not, and always one share; beside the share that is best where that is known."""

    def worst_regret(share: int) -> int:
        regrets = []
        for rivals in range(BASIS_POINTS_ONE):
            best = max(BASIS_POINTS_ONE, 2 * (BASIS_POINTS_ONE - rivals))
            kept = (BASIS_POINTS_ONE - share) * (2 if share > rivals else 1)
            regrets.append(best - kept)
        return max(regrets)

    assert all(worst_regret(THIRD) <= worst_regret(share) + 2 for share in range(0, BASIS_POINTS_ONE, 50))


def test_the_same_outcomes_give_the_same_bids() -> None:
    assert auctions(learners(3), [market_rival], seed=3) == auctions(learners(3), [market_rival], seed=3)


def test_nodes_draw_differently_within_the_bucket() -> None:
    one, other = learners(2)
    for bucket, (begin, end) in enumerate(zip(SHARES, (*SHARES[1:], BASIS_POINTS_ONE), strict=True)):
        ours = [one.share(bucket, name(number)) for number in range(200)]
        theirs = [other.share(bucket, name(number)) for number in range(200)]
        assert all(begin <= share < end for share in [*ours, *theirs])
        assert 60 <= sum(mine > yours for mine, yours in zip(ours, theirs, strict=True)) <= 140


# What a share becomes


def test_a_bid_in_the_wrapped_coin_is_paid_out_of_profit_and_another_as_a_fee() -> None:
    cap = Wei(10**18)
    paid = bid_for(0, 5_000, Wei(1_001), Gas(10), Gas(16), in_coin=True, cap=cap)
    assert (paid.priority_fee_per_gas, paid.coinbase_wei) == (0, 500)
    fee = bid_for(0, 5_000, Wei(1_001), Gas(10), Gas(16), in_coin=False, cap=cap)
    assert (fee.priority_fee_per_gas, fee.coinbase_wei) == (50, 0)
    assert bid_wei(fee, Gas(10)) == 500
    assert bid_for(0, 5_000, Wei(-5), Gas(10), Gas(16), in_coin=True, cap=cap).coinbase_wei == 0


@pytest.mark.parametrize("in_coin", [True, False])
def test_a_bid_is_cut_to_the_cap_at_its_gas_limit(in_coin: bool) -> None:
    bid = bid_for(0, 5_000, Wei(10**9), Gas(10), Gas(16), in_coin=in_coin, cap=Wei(1_000))
    most = bid_wei(bid, Gas(16))
    assert 1_000 - 16 < most <= 1_000


@pytest.mark.parametrize(("in_coin", "cap"), [(True, 0), (False, 15)])
def test_a_cap_that_carries_no_bid_is_left_to_the_gate(in_coin: bool, cap: int) -> None:
    bid = bid_for(0, 5_000, Wei(10**9), Gas(10), Gas(16), in_coin=in_coin, cap=Wei(cap))
    assert bid_wei(bid, Gas(16)) > cap
