"""Whatever is sent, cancelled and expired: the pool keeps its bounds and its books."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from devnet.accounts import account
from devnet.relay.bundle_pool import BundleLimits, BundlePool, PoolEvent
from devnet.relay.bundles import BundleRefused
from tests.bundle_factories import bundle, transaction

LIMITS = BundleLimits(per_signer_and_block=2, per_block=3, in_all=5)
TRANSACTIONS = [transaction(name, nonce) for name in ("alice", "bob") for nonce in range(3)]
SIGNERS = ("alice", "bob")
UUIDS = ("", "6b0f0a56-28f7-4d7a-a2b5-0d7c1a8f1e21", "6b0f0a56-28f7-4d7a-a2b5-0d7c1a8f1e22")
BUILDERS = ("swift", "picky")

sends = st.tuples(
    st.just("send"),
    st.sampled_from(BUILDERS),
    st.sampled_from(TRANSACTIONS),
    st.integers(1, 4),
    st.sampled_from(SIGNERS),
    st.sampled_from(UUIDS),
)
cancels = st.tuples(st.just("cancel"), st.sampled_from(BUILDERS), st.sampled_from(SIGNERS), st.sampled_from(UUIDS[1:]))
expiries = st.tuples(st.just("expire"), st.integers(0, 4))


@given(st.lists(st.one_of(sends, sends, sends, cancels, expiries), max_size=40))
def test_no_bound_is_passed_and_every_bundle_is_accounted_for(steps: list[tuple[object, ...]]) -> None:
    pool = BundlePool(LIMITS)
    for step in steps:
        match step:
            case ("send", str(builder), sent, int(block), str(signer), str(uuid)):
                with contextlib.suppress(BundleRefused):
                    pool.add(builder, bundle(sent, block_number=block, signer=signer, uuid=uuid))  # type: ignore[arg-type]
            case ("cancel", str(builder), str(signer), str(uuid)):
                pool.cancel(builder, account(signer).address, uuid)
            case ("expire", int(head)):
                pool.expire(head)
        for builder in BUILDERS:
            waiting = [one for block in range(1, 5) for one in pool.offered(builder, block, 0.0)]
            assert len(waiting) <= LIMITS.in_all
            for block in range(1, 5):
                of_block = [one for one in waiting if one.block_number == block]
                assert len(of_block) <= LIMITS.per_block
                for signer in SIGNERS:
                    mine = [one for one in of_block if one.signer == account(signer).address]
                    assert len(mine) <= LIMITS.per_signer_and_block
            names = [(one.signer, one.replacement_uuid) for one in waiting if one.replacement_uuid]
            assert len(names) == len(set(names))
        gone = sum(pool.counts[event] for event in (PoolEvent.REPLACED, PoolEvent.CANCELLED, PoolEvent.EXPIRED))
        assert len(pool) == pool.counts[PoolEvent.ADMITTED] - gone
