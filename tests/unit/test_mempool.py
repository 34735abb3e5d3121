"""The mempool: admission, replacement, order, bounds, blocks and reorgs."""

from __future__ import annotations

import pytest

from devnet.accounts import account
from devnet.anvil import BLOCK_GAS_LIMIT, CHAIN_ID
from devnet.relay.mempool import Mempool, Removal
from devnet.relay.mempool_rules import (
    AccountState,
    MempoolLimits,
    Reason,
    Refused,
    may_replace,
    read_transaction,
)
from protocol.ethereum.transactions import (
    SignedTransaction,
    TransactionFields,
    TransactionType,
    sign_transaction,
)
from tests.relay_factories import ETHER, GWEI, transfer

RICH = AccountState(nonce=0, balance=1000 * ETHER)
BASE_FEE = GWEI


def pool(**limits: int) -> Mempool:
    return Mempool(MempoolLimits(**limits))


def add(mempool: Mempool, transaction: SignedTransaction, state: AccountState = RICH, *, public: bool = True) -> bool:
    return mempool.add(transaction, state, public=public, base_fee=BASE_FEE).announce


def refusal(mempool: Mempool, transaction: SignedTransaction, state: AccountState = RICH) -> Reason:
    with pytest.raises(Refused) as caught:
        add(mempool, transaction, state)
    return caught.value.reason


def read_refusal(raw: bytes, **limits: int) -> Refused:
    with pytest.raises(Refused) as caught:
        read_transaction(raw, CHAIN_ID, BLOCK_GAS_LIMIT, MempoolLimits(**limits))
    return caught.value


def order(mempool: Mempool, base_fee: int = BASE_FEE) -> list[tuple[str, int]]:
    names = {account(name).address: name for name in ("alice", "bob", "carol")}
    return [(names[p.transaction.sender], p.transaction.nonce) for p in mempool.ready(base_fee)]


def legacy(chain_id: int | None) -> bytes:
    fields = TransactionFields(
        type=TransactionType.LEGACY,
        chain_id=chain_id,
        nonce=0,
        gas_limit=21_000,
        max_fee_per_gas=GWEI,
        max_priority_fee_per_gas=GWEI,
        to="0x" + "11" * 20,
    )
    return sign_transaction(fields, account("alice").key).raw


def blob() -> bytes:
    fields = TransactionFields(
        type=TransactionType.BLOB,
        chain_id=CHAIN_ID,
        nonce=0,
        gas_limit=21_000,
        max_fee_per_gas=GWEI,
        max_priority_fee_per_gas=GWEI,
        to="0x" + "11" * 20,
        max_fee_per_blob_gas=1,
        blob_versioned_hashes=(b"\x01" + bytes(31),),
    )
    return sign_transaction(fields, account("alice").key).raw


def test_a_good_transaction_is_read() -> None:
    transaction = transfer("alice", 0)
    read = read_transaction(transaction.raw, CHAIN_ID, BLOCK_GAS_LIMIT, MempoolLimits())
    assert (read.hash, read.sender) == (transaction.hash, account("alice").address)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.INVALID),
        (b"\x02\xc0", Reason.INVALID),
        (transfer("alice", 0, chain_id=1).raw, Reason.WRONG_CHAIN),
        (legacy(None), Reason.UNPROTECTED),
        (blob(), Reason.TYPE_NOT_SUPPORTED),
        (transfer("alice", 0, gas_limit=20_999).raw, Reason.INTRINSIC_GAS),
        (transfer("alice", 0, gas_limit=37_999, data=b"\xff" * 1000).raw, Reason.FLOOR_GAS),
        (transfer("alice", 0, gas_limit=BLOCK_GAS_LIMIT).raw, Reason.GAS_CAP),
        (transfer("alice", 0, gas_limit=5_000_000, to=None, data=bytes(49_153)).raw, Reason.INIT_CODE),
        (transfer("alice", 0, tip=2, fee_cap=1).raw, Reason.TIP_ABOVE_FEE_CAP),
        (transfer("alice", 0, tip=0, fee_cap=0).raw, Reason.UNDERPRICED),
        (transfer("alice", 0, gas_limit=10_000_000, data=bytes(131_073)).raw, Reason.OVERSIZED),
    ],
)
def test_what_breaks_a_rule_by_itself_is_refused_with_its_reason(raw: bytes, reason: Reason) -> None:
    refused = read_refusal(raw)
    assert refused.reason is reason
    assert str(refused).startswith(reason.value)


def test_more_gas_than_a_block_has_is_refused() -> None:
    raw = transfer("alice", 0, gas_limit=1_000_001).raw
    with pytest.raises(Refused, match="exceeds block gas limit"):
        read_transaction(raw, CHAIN_ID, 1_000_000, MempoolLimits())


def test_a_tip_below_the_minimum_is_underpriced() -> None:
    assert read_refusal(transfer("alice", 0, tip=4).raw, min_tip=5).reason is Reason.UNDERPRICED


def test_a_used_nonce_is_too_low() -> None:
    assert refusal(pool(), transfer("alice", 4), AccountState(5, ETHER)) is Reason.NONCE_TOO_LOW


def test_a_nonce_from_the_future_is_too_high() -> None:
    mempool = pool(nonces_ahead=3)
    assert add(mempool, transfer("alice", 3))
    assert refusal(mempool, transfer("alice", 4)) is Reason.NONCE_TOO_HIGH


def test_who_cannot_pay_gas_and_value_is_refused() -> None:
    poor = AccountState(0, 21_000 * 100 * GWEI)
    assert refusal(pool(), transfer("alice", 0, value=1), poor) is Reason.INSUFFICIENT_FUNDS
    assert add(pool(), transfer("alice", 0, value=0), poor)


def test_all_waiting_transactions_of_a_sender_must_be_payable_together() -> None:
    mempool, state = pool(), AccountState(0, 2 * ETHER)
    assert add(mempool, transfer("alice", 0, value=ETHER), state)
    assert refusal(mempool, transfer("alice", 1, value=ETHER), state) is Reason.INSUFFICIENT_FUNDS


def test_the_same_transaction_again_is_already_known() -> None:
    mempool = pool()
    add(mempool, transfer("alice", 0))
    assert refusal(mempool, transfer("alice", 0)) is Reason.ALREADY_KNOWN


def test_a_replacement_must_raise_both_fees_by_ten_percent() -> None:
    old = transfer("alice", 0, tip=100, fee_cap=1000)
    assert not may_replace(transfer("alice", 0, tip=110, fee_cap=1099, value=2), old)
    assert not may_replace(transfer("alice", 0, tip=109, fee_cap=1100, value=2), old)
    assert may_replace(transfer("alice", 0, tip=110, fee_cap=1100, value=2), old)


def test_a_replacement_takes_the_place_of_the_old_one() -> None:
    mempool = pool()
    old, new = transfer("alice", 0, tip=GWEI), transfer("alice", 0, tip=2 * GWEI, fee_cap=110 * GWEI)
    add(mempool, old)
    assert refusal(mempool, transfer("alice", 0, tip=GWEI, value=7)) is Reason.REPLACEMENT_UNDERPRICED
    assert add(mempool, new)
    assert [pooled.transaction.hash for pooled in mempool] == [new.hash]
    assert mempool.removed[Removal.REPLACED] == 1


def test_a_replacement_may_spend_what_the_old_one_would_have() -> None:
    mempool, state = pool(), AccountState(0, 2 * ETHER)
    add(mempool, transfer("alice", 0, value=ETHER), state)
    assert add(mempool, transfer("alice", 0, value=ETHER, tip=2 * GWEI, fee_cap=110 * GWEI), state)


def test_a_block_takes_the_best_tip_first_and_a_senders_nonces_in_order() -> None:
    mempool = pool()
    add(mempool, transfer("alice", 1, tip=9 * GWEI))
    add(mempool, transfer("alice", 0, tip=1 * GWEI))
    add(mempool, transfer("bob", 0, tip=5 * GWEI))
    add(mempool, transfer("carol", 0, tip=5 * GWEI))
    assert order(mempool) == [("bob", 0), ("carol", 0), ("alice", 0), ("alice", 1)]


def test_the_effective_tip_counts_not_the_fee_cap() -> None:
    mempool = pool()
    add(mempool, transfer("alice", 0, tip=5 * GWEI, fee_cap=11 * GWEI))  # 1 gwei over a base fee of 10
    add(mempool, transfer("bob", 0, tip=2 * GWEI, fee_cap=50 * GWEI))
    assert order(mempool, 10 * GWEI) == [("bob", 0), ("alice", 0)]


def test_what_cannot_pay_the_base_fee_waits_with_those_behind_it() -> None:
    mempool = pool()
    add(mempool, transfer("alice", 0, tip=1, fee_cap=GWEI - 1))
    add(mempool, transfer("alice", 1))
    add(mempool, transfer("bob", 1))
    assert order(mempool) == []


def test_a_full_mempool_evicts_the_cheapest_last_transaction_for_a_better_one() -> None:
    mempool = pool(transactions=2)
    add(mempool, transfer("alice", 0, tip=1))
    add(mempool, transfer("alice", 1, tip=3))
    assert refusal(mempool, transfer("bob", 0, tip=3)) is Reason.UNDERPRICED
    assert add(mempool, transfer("bob", 0, tip=4))
    assert order(mempool) == [("bob", 0), ("alice", 0)]
    assert mempool.removed[Removal.EVICTED] == 1


def test_a_full_mempool_of_one_sender_is_full_for_that_sender() -> None:
    mempool = pool(transactions=1)
    add(mempool, transfer("alice", 0))
    assert refusal(mempool, transfer("alice", 1, tip=9 * GWEI)) is Reason.POOL_FULL


def test_a_private_transaction_is_not_announced_and_not_counted_as_pending() -> None:
    mempool = pool()
    assert not add(mempool, transfer("alice", 0), public=False)
    assert mempool.pending_nonce(account("alice").address, 0) == 0
    assert mempool.public_split() == ([], [])
    assert order(mempool) == [("alice", 0)]


def test_a_private_transaction_sent_publicly_later_is_announced_then() -> None:
    mempool = pool()
    add(mempool, transfer("alice", 0), public=False)
    assert add(mempool, transfer("alice", 0))
    assert mempool.pending_nonce(account("alice").address, 0) == 1
    assert refusal(mempool, transfer("alice", 0)) is Reason.ALREADY_KNOWN


def test_the_pending_nonce_stops_at_a_gap() -> None:
    mempool = pool()
    for nonce in (0, 1, 3):
        add(mempool, transfer("alice", nonce))
    assert mempool.pending_nonce(account("alice").address, 0) == 2
    pending, queued = mempool.public_split()
    assert [pooled.transaction.nonce for pooled in pending] == [0, 1]
    assert [pooled.transaction.nonce for pooled in queued] == [3]


def test_a_block_takes_out_what_it_included_and_what_it_made_stale_or_unpayable() -> None:
    mempool = pool()
    mined = transfer("alice", 0)
    add(mempool, mined)
    add(mempool, transfer("bob", 0))
    add(mempool, transfer("carol", 0, value=ETHER))
    add(mempool, transfer("carol", 1, value=5 * ETHER))
    after = {
        account("alice").address: AccountState(1, ETHER),
        account("bob").address: AccountState(1, ETHER),
        account("carol").address: AccountState(0, 2 * ETHER),
    }
    taken = mempool.apply_block(1, [mined.hash, b"\x00" * 32], after)
    assert [pooled.transaction.hash for pooled in taken] == [mined.hash]
    assert order(mempool) == [("carol", 0)]
    assert mempool.removed == {Removal.INCLUDED: 1, Removal.STALE_NONCE: 1, Removal.UNFUNDED: 1}


def test_what_waits_too_long_expires() -> None:
    mempool, alice = pool(blocks_kept=2), account("alice").address
    add(mempool, transfer("alice", 1))
    mempool.apply_block(1, [], {alice: RICH})
    assert len(mempool) == 1
    mempool.apply_block(2, [], {alice: RICH})
    assert len(mempool) == 0
    assert mempool.removed[Removal.EXPIRED] == 1


def test_after_a_reorg_transactions_come_back_in_their_order() -> None:
    mempool, alice = pool(), account("alice").address
    first, second = transfer("alice", 0), transfer("alice", 1)
    add(mempool, first)
    add(mempool, second)
    mempool.apply_block(5, [first.hash], {alice: AccountState(1, ETHER)})
    mempool.rewind(4, {alice: RICH})
    assert add(mempool, first)
    assert order(mempool) == [("alice", 0), ("alice", 1)]


def test_one_transaction_can_be_dropped_by_name() -> None:
    mempool = pool()
    add(mempool, transfer("alice", 0))
    mempool.drop(transfer("alice", 0).hash, Removal.UNEXECUTABLE)
    mempool.drop(transfer("alice", 0).hash, Removal.UNEXECUTABLE)
    assert len(mempool) == 0
    assert mempool.removed[Removal.UNEXECUTABLE] == 1
