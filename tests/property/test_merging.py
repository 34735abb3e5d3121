"""Whatever bundles come in, the merged sequence is clean, and nothing is lost from the books."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devnet.relay.context import BlockContext, Bundle, DropReason
from devnet.relay.merging import FLOOR_PERCENT, MAX_ROUNDS, Merged, merge
from devnet.relay.ranking import Candidate, spoils
from devnet.relay.simulation import Unexecutable
from protocol.ethereum.transactions import SignedTransaction
from tests.bundle_factories import COINBASE, bundle, transaction
from tests.model_chain import FADING, PLAIN, POOR, THRIVING, TURNSTILE, ModelChain

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")
KINDS = (PLAIN, TURNSTILE, TURNSTILE, FADING, THRIVING, POOR)


def context(gas_limit: int = 10**9) -> BlockContext:
    return BlockContext(1, "0x" + "00" * 32, 1000, 7, COINBASE, gas_limit)


@st.composite
def bundles(draw: st.DrawFn) -> list[Bundle]:
    """Bundles of one to three transactions by six senders, which share transactions, nonces and slots."""
    shelf = [
        transaction(
            name,
            nonce,
            value=draw(st.integers(0, 50)),
            gas_limit=draw(st.sampled_from((21_000, 100_000, 400_000))),
            data=bytes((draw(st.sampled_from(KINDS)), draw(st.integers(0, 2)))),
        )
        for name in NAMES
        for nonce in range(2)
    ]
    made = []
    for _ in range(draw(st.integers(0, 10))):
        inside = draw(st.lists(st.sampled_from(shelf), min_size=1, max_size=3, unique_by=lambda one: one.hash))
        inside.sort(key=lambda one: one.nonce)
        made.append(bundle(*inside, reverting=draw(st.lists(st.sampled_from(inside), max_size=1))))
    return made


async def alone(one: Bundle) -> Candidate | None:
    """Return the bundle as a candidate if it runs clean at the top of the block."""
    try:
        results = await ModelChain().run(one.transactions)
    except (AssertionError, Unexecutable):
        return None
    if any(spoils(one, result) for result in results):
        return None
    return Candidate(one, sum(r.payment for r in results), sum(r.gas_used for r in results))


async def candidates_of(made: list[Bundle]) -> list[Candidate]:
    found = [candidate for one in made if (candidate := await alone(one)) is not None]
    return sorted(found, key=lambda candidate: candidate.rank)


@given(made=bundles(), gas_limit=st.sampled_from((10**9, 600_000)))
async def test_a_merged_sequence_is_clean_and_every_bundle_has_one_fate(made: list[Bundle], gas_limit: int) -> None:
    ranked = await candidates_of(made)
    chain = ModelChain()
    merged = await merge(chain, context(gas_limit), ranked, {})

    hashes = [one.hash for one in merged.transactions]
    assert len(hashes) == len(set(hashes))
    results = await ModelChain().run(merged.transactions)
    gas_left = gas_limit
    for result in results:
        assert result.transaction.gas_limit <= gas_left
        gas_left -= result.gas_used
    assert gas_left == merged.gas_left
    promised = {candidate.bundle.arrival: candidate for candidate in ranked}
    for placed in merged.placed:
        own = results[placed.first_index : placed.first_index + len(placed.bundle.transactions)]
        assert tuple(result.transaction for result in own) == placed.bundle.transactions
        assert not any(spoils(placed.bundle, result) for result in own)
        assert placed.payment == sum(result.payment for result in own)
        assert placed.gas_used == promised[placed.bundle.arrival].gas_used  # always so in the model
        assert 100 * placed.payment >= FLOOR_PERCENT * promised[placed.bundle.arrival].payment

    fates = [placed.bundle.arrival for placed in merged.placed] + [one.arrival for one, _ in merged.dropped]
    assert sorted(fates) == sorted(promised)
    longest_search = (sum(len(one.transactions) for one in made) or 1).bit_length()
    assert chain.runs <= MAX_ROUNDS * (1 + longest_search)


@given(made=bundles())
async def test_the_best_bundle_is_first(made: list[Bundle]) -> None:
    ranked = await candidates_of(made)
    merged = await merge(ModelChain(), context(), ranked, {})
    if ranked:
        assert merged.placed[0].bundle == ranked[0].bundle


@given(made=bundles())
async def test_a_dropped_bundle_could_not_have_been_added_at_the_end(made: list[Bundle]) -> None:
    ranked = await candidates_of(made)
    merged = await merge(ModelChain(), context(), ranked, {})
    promised = {candidate.bundle.arrival: candidate.payment for candidate in ranked}
    for dropped, reason in merged.dropped:
        if reason is not DropReason.SEARCH_BOUND:
            assert await is_spoiled(merged, dropped, promised[dropped.arrival])


async def is_spoiled(merged: Merged, dropped: Bundle, promised: int) -> bool:
    known = {one.hash for one in merged.transactions}
    if any(one.hash in known for one in dropped.transactions) or out_of_turn(merged, dropped.transactions):
        return True
    try:
        results = await ModelChain().run([*merged.transactions, *dropped.transactions])
    except Unexecutable:
        return True
    own = results[len(merged.transactions) :]
    pays = sum(result.payment for result in own)
    return any(spoils(dropped, result) for result in own) or 100 * pays < FLOOR_PERCENT * promised


def out_of_turn(merged: Merged, transactions: tuple[SignedTransaction, ...]) -> bool:
    nonces = dict(merged.nonces)
    for one in transactions:
        if one.nonce != nonces.get(one.sender, 0):
            return True
        nonces[one.sender] = one.nonce + 1
    return False
