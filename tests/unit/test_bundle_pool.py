"""Bundles that wait for their block: replacement, cancellation, cut-off, expiry, bounds."""

from __future__ import annotations

import pytest

from devnet.accounts import account
from devnet.relay.bundle_pool import BundleLimits, BundlePool, PoolEvent
from devnet.relay.bundles import BundleFault, BundleRefused
from tests.bundle_factories import bundle, transaction

ALICE = account("alice").address
UUID = "6b0f0a56-28f7-4d7a-a2b5-0d7c1a8f1e21"
FIRST, SECOND, THIRD = transaction("alice"), transaction("bob"), transaction("carol")


def test_a_builder_is_offered_its_own_bundles_for_the_block_in_order_of_arrival() -> None:
    pool = BundlePool()
    early, late = bundle(FIRST), bundle(SECOND)
    pool.add("swift", late)
    pool.add("swift", early)
    pool.add("swift", bundle(FIRST, block_number=2))
    pool.add("picky", bundle(THIRD))
    assert pool.offered("swift", 1, 0.0) == (early, late)
    assert pool.offered("nobody", 1, 0.0) == ()
    assert len(pool) == 4


def test_what_arrives_after_the_builder_has_closed_is_not_offered() -> None:
    pool = BundlePool()
    in_time, too_late = bundle(FIRST, received_at=9.9), bundle(SECOND, received_at=10.1)
    pool.add("swift", in_time)
    pool.add("swift", too_late)
    assert pool.offered("swift", 1, 10.0) == (in_time,)


def test_the_same_bundle_sent_again_keeps_its_place() -> None:
    pool = BundlePool()
    first = bundle(FIRST)
    pool.add("swift", first)
    assert pool.add("swift", bundle(FIRST)) == []
    assert pool.offered("swift", 1, 0.0) == (first,)
    assert pool.counts[PoolEvent.REPEATED] == 1


def test_a_bundle_that_may_revert_elsewhere_is_another_one() -> None:
    pool = BundlePool()
    pool.add("swift", bundle(FIRST))
    pool.add("swift", bundle(FIRST, reverting=[FIRST]))
    assert len(pool) == 2


def test_one_of_the_same_signer_and_uuid_replaces_whatever_block_it_was_for() -> None:
    pool = BundlePool()
    old, new = bundle(FIRST, uuid=UUID, block_number=2), bundle(SECOND, uuid=UUID)
    pool.add("swift", old)
    assert pool.add("swift", new) == [old]
    assert pool.offered("swift", 1, 0.0) == (new,)
    assert pool.offered("swift", 2, 0.0) == ()
    assert pool.counts[PoolEvent.REPLACED] == 1


def test_nobody_replaces_or_cancels_the_bundle_of_another_signer() -> None:
    pool = BundlePool()
    pool.add("swift", bundle(FIRST, uuid=UUID, signer="alice"))
    assert pool.add("swift", bundle(SECOND, uuid=UUID, signer="bob")) == []
    assert pool.cancel("swift", account("carol").address, UUID) == []
    assert len(pool) == 2


def test_a_cancelled_bundle_is_gone_at_that_builder_only() -> None:
    pool = BundlePool()
    named, plain = bundle(FIRST, uuid=UUID), bundle(SECOND)
    for builder in ("swift", "picky"):
        pool.add(builder, named)
        pool.add(builder, plain)
    assert pool.cancel("swift", ALICE, UUID) == [named]
    assert pool.cancel("swift", ALICE, UUID) == []
    assert pool.cancel("nobody", ALICE, UUID) == []
    assert pool.offered("swift", 1, 0.0) == (plain,)
    assert pool.offered("picky", 1, 0.0) == (named, plain)
    assert pool.counts[PoolEvent.CANCELLED] == 1


def test_bundles_expire_with_their_block() -> None:
    pool = BundlePool()
    pool.add("swift", bundle(FIRST, block_number=1))
    pool.add("picky", bundle(FIRST, block_number=2))
    pool.add("swift", bundle(FIRST, block_number=3))
    assert pool.expire(2) == 2
    assert (len(pool), pool.counts[PoolEvent.EXPIRED]) == (1, 2)


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        (BundleLimits(per_signer_and_block=1), BundleFault.SIGNER_FULL),
        (BundleLimits(per_block=1), BundleFault.BLOCK_FULL),
        (BundleLimits(in_all=1), BundleFault.POOL_FULL),
    ],
)
def test_at_a_bound_the_newcomer_is_refused_and_counted(limits: BundleLimits, fault: BundleFault) -> None:
    pool = BundlePool(limits)
    first = bundle(FIRST)
    pool.add("swift", first)
    with pytest.raises(BundleRefused) as caught:
        pool.add("swift", bundle(SECOND))
    assert caught.value.reason is fault
    assert pool.offered("swift", 1, 0.0) == (first,)
    assert pool.counts[PoolEvent.REFUSED] == 1


def test_a_replacement_needs_no_second_place_at_the_bound() -> None:
    pool = BundlePool(BundleLimits(in_all=1))
    pool.add("swift", bundle(FIRST, uuid=UUID))
    pool.add("swift", bundle(SECOND, uuid=UUID))
    assert len(pool) == 1


def test_a_replacement_that_is_refused_leaves_the_old_bundle() -> None:
    pool = BundlePool(BundleLimits(per_block=1))
    old = bundle(FIRST, uuid=UUID, block_number=2)
    pool.add("swift", old)
    pool.add("swift", bundle(SECOND, block_number=1))
    with pytest.raises(BundleRefused):
        pool.add("swift", bundle(THIRD, uuid=UUID, block_number=1))
    assert pool.offered("swift", 2, 0.0) == (old,)
