"""Merging, case by case, on a chain of a few rules."""

from __future__ import annotations

from devnet.relay.context import BlockContext, Bundle, DropReason
from devnet.relay.merging import MAX_ROUNDS, Merged, merge
from devnet.relay.ranking import Candidate
from protocol.ethereum.transactions import SignedTransaction
from tests.bundle_factories import COINBASE, bundle, transaction
from tests.model_chain import FADING, POOR, THRIVING, TURNSTILE, ModelChain

CONTEXT = BlockContext(1, "0x" + "00" * 32, 1000, 7, COINBASE, 10**9)


def takes(name: str, slot: int, *, kind: int = TURNSTILE, value: int = 10, nonce: int = 0) -> SignedTransaction:
    return transaction(name, nonce, value=value, data=bytes((kind, slot)))


async def merged_of(*bundles: Bundle, chain: ModelChain | None = None, context: BlockContext = CONTEXT) -> Merged:
    """Merge bundles in the order given, which stands for their rank."""
    ranked = []
    for one in bundles:
        results = await ModelChain().run(one.transactions)
        ranked.append(Candidate(one, sum(r.payment for r in results), sum(r.gas_used for r in results)))
    return await merge(chain or ModelChain(), context, ranked, {})


def placed_in(merged: Merged) -> list[Bundle]:
    return [placed.bundle for placed in merged.placed]


async def test_bundles_without_conflict_are_merged_in_one_round() -> None:
    chain = ModelChain()
    first, second = bundle(takes("alice", 1), takes("bob", 2)), bundle(takes("carol", 3))
    merged = await merged_of(first, second, chain=chain)
    assert placed_in(merged) == [first, second]
    assert [placed.first_index for placed in merged.placed] == [0, 2]
    assert (merged.dropped, chain.runs) == ([], 1)


async def test_of_bundles_that_want_the_same_the_better_one_stays() -> None:
    best, *others = (bundle(takes(name, 1)) for name in ("alice", "bob", "carol"))
    chain = ModelChain()
    merged = await merged_of(best, *others, chain=chain)
    assert placed_in(merged) == [best]
    assert merged.dropped == [(other, DropReason.CONFLICT) for other in others]
    assert chain.runs == 1  # what reverts altogether leaves the state to the next as it was


async def test_a_revert_that_is_allowed_does_not_drop_the_bundle() -> None:
    loser = takes("bob", 1)
    best, lenient = bundle(takes("alice", 1)), bundle(loser, takes("carol", 2, value=90), reverting=[loser])
    assert placed_in(await merged_of(best, lenient)) == [best, lenient]


async def test_what_failed_only_beside_a_spoiler_gets_a_second_chance() -> None:
    best = bundle(takes("alice", 1))
    spoiler = bundle(takes("bob", 2), takes("carol", 1))
    victim = bundle(takes("dave", 2))
    merged = await merged_of(best, spoiler, victim)
    assert placed_in(merged) == [best, victim]
    assert merged.dropped == [(spoiler, DropReason.CONFLICT)]


async def test_what_ran_behind_a_spoiler_is_measured_again_without_it() -> None:
    best = bundle(takes("alice", 1))
    spoiler = bundle(takes("bob", 2), takes("carol", 1))
    thriving = bundle(takes("dave", 2, kind=THRIVING))
    merged = await merged_of(best, spoiler, thriving)
    assert [placed.payment for placed in merged.placed] == [10, 10]


async def test_a_shared_transaction_is_in_the_better_bundle() -> None:
    victim = takes("erin", 9)
    best, other = bundle(victim, takes("alice", 1)), bundle(victim, takes("bob", 2))
    merged = await merged_of(best, other)
    assert placed_in(merged) == [best]
    assert merged.dropped == [(other, DropReason.DUPLICATE_TRANSACTION)]


async def test_a_shared_transaction_is_free_again_when_the_better_bundle_spoils() -> None:
    victim = takes("erin", 9)
    best = bundle(takes("alice", 1))
    spoiler, other = bundle(victim, takes("bob", 1)), bundle(victim, takes("carol", 2))
    assert placed_in(await merged_of(best, spoiler, other)) == [best, other]


async def test_two_transactions_of_one_nonce_are_not_merged() -> None:
    best, other = bundle(takes("alice", 1)), bundle(takes("alice", 2))
    assert (await merged_of(best, other)).dropped == [(other, DropReason.NONCE_TOO_LOW)]


async def test_a_bundle_that_pays_less_than_70_percent_in_its_place_is_dropped() -> None:
    best = bundle(takes("alice", 1))
    poor = bundle(takes("bob", 1, kind=FADING, value=31), takes("carol", 2, value=69))
    fair = bundle(takes("dave", 1, kind=FADING, value=30), takes("erin", 3, value=70))
    merged = await merged_of(best, poor, fair)
    assert placed_in(merged) == [best, fair]
    assert merged.placed[1].payment == 70
    assert merged.dropped == [(poor, DropReason.UNDERPAYS)]


async def test_what_the_chain_refuses_to_run_is_found_and_dropped() -> None:
    best, spoiler, last = bundle(takes("alice", 1)), bundle(takes("bob", 1, kind=POOR)), bundle(takes("carol", 3))
    merged = await merged_of(best, spoiler, last)
    assert placed_in(merged) == [best, last]
    assert merged.dropped == [(spoiler, DropReason.INSUFFICIENT_FUNDS)]


async def test_a_bundle_without_room_for_its_gas_limit_is_dropped() -> None:
    small_block = BlockContext(1, "0x" + "00" * 32, 1000, 7, COINBASE, 149_999)
    best, other = bundle(takes("alice", 1)), bundle(takes("bob", 2))
    merged = await merged_of(best, other, context=small_block)
    assert merged.dropped == [(other, DropReason.GAS_LIMIT)]
    assert merged.gas_left == 99_999


async def test_the_search_ends_at_its_bound_with_what_is_proven() -> None:
    # Each is refused whole and pays its sender's way into another round, until the rounds run out.
    best = bundle(takes("alice", 1))
    spoilers = [bundle(takes(f"rival-{index}", 1, kind=POOR)) for index in range(MAX_ROUNDS + 3)]
    merged = await merged_of(best, *spoilers)
    assert placed_in(merged) == [best]
    reasons = [reason for _, reason in merged.dropped]
    assert reasons.count(DropReason.INSUFFICIENT_FUNDS) == MAX_ROUNDS
    assert reasons.count(DropReason.SEARCH_BOUND) == 3
