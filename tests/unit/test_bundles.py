"""What a builder refuses of `eth_sendBundle`, and how it reads the rest."""

from __future__ import annotations

from typing import Any

import pytest

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.relay.bundles import MAX_BLOCKS_AHEAD, BundleFault, BundleRefused, Submission, bundle_hash, read_bundle
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import TransactionFields, sign_transaction
from tests.bundle_factories import hex_of, transaction

RULES = ChainRules(Fork.OSAKA, CHAIN_ID)
SUBMISSION = Submission(head_number=10, rules=RULES, signer=account("alice").address, arrival=3, received_at=5.5)
FIRST, SECOND = transaction("alice"), transaction("bob")
UUID = "6b0f0a56-28f7-4d7a-a2b5-0d7c1a8f1e21"


def request(**changes: Any) -> list[dict[str, Any]]:
    fields = {"txs": [hex_of(FIRST.raw), hex_of(SECOND.raw)], "blockNumber": "0xb"} | changes
    return [{name: value for name, value in fields.items() if value != "absent"}]


def fault_of(params: Any) -> BundleFault:
    with pytest.raises(BundleRefused) as caught:
        read_bundle(params, SUBMISSION)
    assert caught.value.code == caught.value.reason.code
    assert str(caught.value).startswith(caught.value.reason.message)
    return caught.value.reason


def test_a_plain_bundle_is_read() -> None:
    bundle = read_bundle(request(), SUBMISSION)
    assert bundle.transactions == (FIRST, SECOND)
    assert (bundle.block_number, bundle.min_timestamp, bundle.max_timestamp) == (11, 0, 0)
    assert (bundle.reverting_hashes, bundle.replacement_uuid) == (frozenset(), "")
    assert (bundle.signer, bundle.arrival, bundle.received_at) == (account("alice").address, 3, 5.5)


def test_its_hash_is_that_of_the_joined_transaction_hashes() -> None:
    assert read_bundle(request(), SUBMISSION).hash == keccak256(FIRST.hash + SECOND.hash)
    assert bundle_hash((SECOND, FIRST)) != bundle_hash((FIRST, SECOND))


def test_every_field_is_read() -> None:
    params = request(
        minTimestamp=5, maxTimestamp=5, revertingTxHashes=[hex_of(SECOND.hash)], replacementUuid=UUID.upper()
    )
    bundle = read_bundle(params, SUBMISSION)
    assert (bundle.min_timestamp, bundle.max_timestamp) == (5, 5)
    assert bundle.reverting_hashes == {SECOND.hash}
    assert bundle.replacement_uuid == UUID


def test_nulls_count_as_absent_and_unknown_fields_are_ignored() -> None:
    params = request(
        minTimestamp=None, maxTimestamp=None, revertingTxHashes=None, replacementUuid=None, builders=["swift"]
    )
    assert read_bundle(params, SUBMISSION).replacement_uuid == ""


def test_the_furthest_target_is_taken() -> None:
    params = request(blockNumber=hex(10 + MAX_BLOCKS_AHEAD))
    assert read_bundle(params, SUBMISSION).block_number == 10 + MAX_BLOCKS_AHEAD


@pytest.mark.parametrize("params", [None, {}, [], [[]], ["0x"], [{}, {}]])
def test_missing_parameters_are_named(params: Any) -> None:
    assert fault_of(params) is BundleFault.MISSING_PARAMS


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"txs": "absent"}, BundleFault.NO_TRANSACTIONS),
        ({"txs": []}, BundleFault.NO_TRANSACTIONS),
        ({"txs": "0x00"}, BundleFault.MALFORMED_TXS),
        ({"txs": [1]}, BundleFault.MALFORMED_TXS),
        ({"txs": ["00"]}, BundleFault.MALFORMED_TXS),
        ({"txs": ["0x0"]}, BundleFault.MALFORMED_TXS),
        ({"txs": ["0x"]}, BundleFault.MALFORMED_TXS),
        ({"txs": [hex_of(FIRST.raw)] * 101}, BundleFault.TOO_MANY_TRANSACTIONS),
        ({"txs": ["0x" + "00" * 100_001] * 3}, BundleFault.TOO_LARGE),
        ({"txs": ["0xdeadbeef"]}, BundleFault.UNDECODABLE),
        ({"txs": [hex_of(FIRST.raw)[:-2]]}, BundleFault.UNDECODABLE),
        ({"txs": [hex_of(FIRST.raw) + "00"]}, BundleFault.UNDECODABLE),
        ({"txs": [hex_of(transaction("alice", gas_limit=20_999).raw)]}, BundleFault.UNDECODABLE),
        ({"txs": [hex_of(transaction("alice", chain_id=1).raw)]}, BundleFault.WRONG_CHAIN),
        ({"txs": [hex_of(transaction("alice", to=None).raw)]}, BundleFault.CONTRACT_CREATION),
        ({"txs": [hex_of(FIRST.raw)] * 2}, BundleFault.REPEATED_TRANSACTION),
        ({"blockNumber": "absent"}, BundleFault.MISSING_BLOCK),
        ({"blockNumber": 11}, BundleFault.MALFORMED_BLOCK),
        ({"blockNumber": "11"}, BundleFault.MALFORMED_BLOCK),
        ({"blockNumber": "0x"}, BundleFault.MALFORMED_BLOCK),
        ({"blockNumber": "latest"}, BundleFault.MALFORMED_BLOCK),
        ({"blockNumber": "0xa"}, BundleFault.BLOCK_PASSED),
        ({"blockNumber": hex(11 + MAX_BLOCKS_AHEAD)}, BundleFault.BLOCK_TOO_FAR),
        ({"minTimestamp": "5"}, BundleFault.MALFORMED_MIN_TIMESTAMP),
        ({"minTimestamp": True}, BundleFault.MALFORMED_MIN_TIMESTAMP),
        ({"minTimestamp": -1}, BundleFault.MALFORMED_MIN_TIMESTAMP),
        ({"maxTimestamp": 1.5}, BundleFault.MALFORMED_MAX_TIMESTAMP),
        ({"maxTimestamp": 2**63}, BundleFault.MALFORMED_MAX_TIMESTAMP),
        ({"minTimestamp": 6, "maxTimestamp": 5}, BundleFault.TIMESTAMP_ORDER),
        ({"revertingTxHashes": "0x"}, BundleFault.MALFORMED_REVERTING),
        ({"revertingTxHashes": ["0x12"]}, BundleFault.MALFORMED_REVERTING),
        ({"revertingTxHashes": [hex_of(bytes(32))]}, BundleFault.FOREIGN_REVERTING),
        ({"replacementUuid": "alice"}, BundleFault.MALFORMED_UUID),
        ({"replacementUuid": 7}, BundleFault.MALFORMED_UUID),
        ({"replacementUuid": ""}, BundleFault.MALFORMED_UUID),
        ({"droppingTxHashes": [hex_of(FIRST.hash)]}, BundleFault.UNSUPPORTED_FIELD),
    ],
)
def test_each_fault_has_its_reason(changes: dict[str, Any], fault: BundleFault) -> None:
    assert fault_of(request(**changes)) is fault


def test_a_transaction_without_replay_protection_is_refused() -> None:
    fields = TransactionFields(
        type=0,
        chain_id=None,
        nonce=0,
        gas_limit=21_000,
        max_fee_per_gas=1,
        max_priority_fee_per_gas=1,
        to="0x" + "11" * 20,
    )
    unprotected = sign_transaction(fields, account("alice").key)
    assert fault_of(request(txs=[hex_of(unprotected.raw)])) is BundleFault.UNPROTECTED


def test_a_blob_transaction_is_refused() -> None:
    fields = TransactionFields(
        type=3,
        chain_id=CHAIN_ID,
        nonce=0,
        gas_limit=21_000,
        max_fee_per_gas=1,
        max_priority_fee_per_gas=1,
        to="0x" + "11" * 20,
        max_fee_per_blob_gas=1,
        blob_versioned_hashes=(b"\x01" + bytes(31),),
    )
    blob = sign_transaction(fields, account("alice").key)
    assert fault_of(request(txs=[hex_of(blob.raw)])) is BundleFault.BLOB_TRANSACTION


def test_the_faulty_transaction_is_named() -> None:
    with pytest.raises(BundleRefused, match="tx 1"):
        read_bundle(request(txs=[hex_of(FIRST.raw), "0xdeadbeef"]), SUBMISSION)


def test_every_fault_has_a_message_of_its_own() -> None:
    assert len({fault.message for fault in BundleFault}) == len(BundleFault)
