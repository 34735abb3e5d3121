"""The mempool's transactions behind the bundles: order, gas, and what the chain refuses."""

from __future__ import annotations

from itertools import count

from devnet.relay.context import PooledTransaction
from devnet.relay.filling import MAX_ROUNDS, by_tip, fill
from devnet.relay.merging import Merged
from protocol.ethereum.transactions import SignedTransaction
from tests.bundle_factories import GWEI, transaction
from tests.model_chain import BROKEN, ModelChain

BASE_FEE = 7


def pooled(*transactions: SignedTransaction) -> list[PooledTransaction]:
    arrivals = count(1)
    return [PooledTransaction(one, next(arrivals), public=True) for one in transactions]


def behind_nothing(gas_left: int = 10**9) -> Merged:
    return Merged(nonces={}, gas_left=gas_left)


async def filled(*transactions: SignedTransaction, gas_left: int = 10**9) -> list[SignedTransaction]:
    return await fill(ModelChain(), behind_nothing(gas_left), pooled(*transactions), BASE_FEE)


def test_better_tips_come_first_and_equal_ones_by_arrival() -> None:
    low, high = transaction("alice", tip=1), transaction("bob", tip=3)
    same = transaction("carol", tip=1)
    assert by_tip(pooled(low, high, same), BASE_FEE, {}) == [high, low, same]


def test_a_tip_counts_as_far_as_the_fee_cap_leaves_it() -> None:
    capped = transaction("alice", tip=GWEI, fee_cap=GWEI)
    plain = transaction("bob", tip=GWEI - BASE_FEE + 1)
    assert by_tip(pooled(capped, plain), BASE_FEE, {}) == [plain, capped]


def test_a_senders_nonces_stay_in_turn_whatever_they_pay() -> None:
    first, second = transaction("alice", 0, tip=1), transaction("alice", 1, tip=9)
    other = transaction("bob", tip=5)
    assert by_tip(pooled(second, other, first), BASE_FEE, {}) == [other, first, second]


def test_gaps_used_nonces_and_fees_under_the_base_fee_stay_out() -> None:
    gap, used = transaction("alice", 1), transaction("bob", 0)
    poor, behind_poor = transaction("carol", 0, tip=0, fee_cap=6), transaction("carol", 1)
    assert by_tip(pooled(gap, used, poor, behind_poor), BASE_FEE, {"bob": 0, used.sender: 1}) == []


async def test_what_fits_is_chosen_by_the_gas_it_takes() -> None:
    # The model takes half of a gas limit: 50,000 each.
    transactions = [transaction(name) for name in ("alice", "bob", "carol")]
    assert await filled(*transactions, gas_left=200_000) == transactions
    assert await filled(*transactions, gas_left=199_999) == transactions[:2]


async def test_one_without_room_is_left_out_with_its_senders_later_ones() -> None:
    big, behind = transaction("alice", 0, gas_limit=900_000, tip=9), transaction("alice", 1, tip=8)
    small = transaction("bob", tip=1)
    assert await filled(big, behind, small, gas_left=300_000) == [small]


async def test_one_that_the_chain_refuses_is_left_out_with_its_senders_later_ones() -> None:
    first = transaction("carol", tip=3)
    broken, behind = transaction("alice", 0, data=bytes((BROKEN, 0)), tip=2), transaction("alice", 1)
    last = transaction("bob", tip=1)
    assert await filled(first, broken, behind, last) == [first, last]


async def test_bundles_ahead_count_with_their_gas_and_nonces() -> None:
    ahead = transaction("alice", 0)
    merged = Merged(nonces={ahead.sender: 1}, gas_left=150_000, transactions=[ahead])
    next_one, other = transaction("alice", 1, tip=2), transaction("bob", tip=1)
    assert await fill(ModelChain(), merged, pooled(ahead, next_one, other), BASE_FEE) == [next_one, other]


async def test_creations_come_last_and_count_with_their_gas_limits() -> None:
    creation, behind = transaction("alice", 0, to=None, tip=9), transaction("alice", 1, tip=9)
    plain = transaction("bob", tip=1)
    assert await filled(creation, behind, plain) == [plain, creation, behind]
    assert await filled(creation, behind, plain, gas_left=249_999) == [plain, creation]


async def test_of_a_long_queue_only_the_front_is_run() -> None:
    chain = ModelChain()
    crowd = pooled(*(transaction("alice", nonce) for nonce in range(100)))
    chosen = await fill(chain, behind_nothing(gas_left=1_000_000), crowd, BASE_FEE)
    assert len(chosen) == 19
    assert chain.longest == 40


async def test_one_that_asks_for_more_than_all_is_not_in_the_way_of_others() -> None:
    big, small = transaction("alice", gas_limit=16_000_000, tip=9), transaction("bob")
    assert await filled(big, small, gas_left=300_000) == [small]


async def test_an_empty_mempool_costs_no_run() -> None:
    chain = ModelChain()
    assert await fill(chain, behind_nothing(), [], BASE_FEE) == []
    assert chain.runs == 0


async def test_after_so_many_refusals_what_is_proven_stays() -> None:
    first = transaction("alice", tip=9)
    broken = [transaction(f"rival-{index}", data=bytes((BROKEN, 0)), tip=5) for index in range(MAX_ROUNDS + 1)]
    last = transaction("bob", tip=1)
    assert await filled(first, *broken, last) == [first]
