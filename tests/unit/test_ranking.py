"""Which bundles are tried, in which order, and what running them alone may cost."""

from __future__ import annotations

from devnet.relay.context import BlockContext, Bundle, DropReason
from devnet.relay.ranking import BUNDLE_BLOCKS, CACHED_BUNDLES, SIMULATED_BLOCKS, Candidate, TopOfBlockCache, rank
from tests.bundle_factories import COINBASE, bundle, transaction
from tests.model_chain import BROKEN, ModelChain

GAS_LIMIT = 1_000_000
CONTEXT = BlockContext(1, "0x" + "00" * 32, 1000, 7, COINBASE, GAS_LIMIT)


async def ranked(*bundles: Bundle) -> tuple[list[Bundle], dict[int, DropReason]]:
    best, dropped = await rank(ModelChain(), CONTEXT, bundles, {}, TopOfBlockCache())
    return [candidate.bundle for candidate in best], {one.arrival: reason for one, reason in dropped}


async def test_more_wei_per_gas_comes_first_then_the_earlier_arrival() -> None:
    early, late = bundle(transaction("alice", value=5)), bundle(transaction("bob", value=5))
    best = bundle(transaction("carol", value=6, gas_limit=100_000))
    wasteful = bundle(transaction("dave", value=6, gas_limit=200_000))
    assert (await ranked(late, wasteful, best, early))[0] == [best, early, late, wasteful]


async def test_a_refused_bundle_has_the_chains_reason() -> None:
    broken = bundle(transaction("alice", data=bytes((BROKEN, 0))))
    assert await ranked(broken) == ([], {broken.arrival: DropReason.INSUFFICIENT_FUNDS})


async def test_a_bundle_that_asks_for_more_than_two_blocks_is_not_run() -> None:
    most = [transaction("alice", nonce, gas_limit=GAS_LIMIT) for nonce in range(BUNDLE_BLOCKS)]
    fits, greedy = bundle(*most), bundle(*most, transaction("alice", BUNDLE_BLOCKS))
    assert await ranked(fits, greedy) == ([fits], {greedy.arrival: DropReason.GAS_LIMIT})


async def test_what_may_be_run_is_bounded_and_the_modest_come_first() -> None:
    greedy = [
        bundle(*(transaction(f"rival-{index}", nonce, gas_limit=GAS_LIMIT) for nonce in range(2)))
        for index in range(SIMULATED_BLOCKS // 2)
    ]
    modest = [bundle(transaction(name, value=1)) for name in ("alice", "bob")]
    best, dropped = await ranked(*greedy, *modest)
    assert best[:2] == modest
    assert dropped == {greedy[-1].arrival: DropReason.SEARCH_BOUND}


async def test_what_is_known_is_not_run_again_for_the_same_parent() -> None:
    chain, cache = ModelChain(), TopOfBlockCache()
    known = bundle(transaction("alice"))
    for _ in range(2):
        await rank(chain, CONTEXT, [known], {}, cache)
    assert chain.runs == 1
    other_parent = BlockContext(1, "0x" + "11" * 32, 1000, 7, COINBASE, GAS_LIMIT)
    await rank(chain, other_parent, [known], {}, cache)
    assert chain.runs == 2


def test_the_oldest_is_forgotten_at_the_caches_bound() -> None:
    cache = TopOfBlockCache()
    bundles = [bundle(transaction("alice")) for _ in range(CACHED_BUNDLES + 1)]
    for one in bundles:
        cache.put(CONTEXT, one, Candidate(one, 1, 1))
    assert cache.get(CONTEXT, bundles[0]) is None
    assert cache.get(CONTEXT, bundles[1]) is not None
